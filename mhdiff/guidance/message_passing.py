r"""Guidance by message passing over the ontology, with any PyTorch Geometric convolution.

States and bias:

.. math::
    h^0_c &= E_c \quad \text{or what c inherits, see `mhdiff.guidance.inheritance`} \\
    m^l &= \mathrm{round}^l(h^l), \qquad
    h^{l+1} = h^l + \gamma^l \odot \mathrm{dropout}(\mathrm{GELU}(\mathrm{norm}(m^l))) \\
    A^{head}_{ij} &= w_i w_j \frac{(n_i U^{head}) (n_j V^{head})^T}{\sqrt{d_{head}}}, \qquad n = \mathrm{LN}(t)

A round with one convolution a relation is the mean over the relations :math:`R_i` through which something reaches i,
:math:`m_i = \tfrac{1}{|R_i|} \sum_{r \in R_i} \mathrm{conv}_r(h)_i`; the other two forms weigh relations themselves
(see `mhdiff.guidance.convolutions`). A concept that nothing reaches keeps its state. t are the tokens; since the
score is bilinear, a modality's is that of the mean of its tokens.

:math:`\gamma` is learned and starts at `GATE` (LayerScale: Touvron et al., "Going deeper with image transformers", ICCV
2021). A normalised message has the size 1 and a concept's embedding a tenth of it: at full size the messages of an
untrained round drown what concepts inherit, and small cohorts never recover from it. docs/layers.md has the figures.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal, cast

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch_geometric.nn import GraphNorm, JumpingKnowledge, PairNorm, SAGEConv

from graph_builders import ConceptGraph
from graph_builders.csr import ConceptCSR
from graph_builders.cutting import Floats, cut
from mhdiff.batch import EvidenceBatch
from mhdiff.guidance.base import Local
from mhdiff.guidance.convolutions import Round, Routes
from mhdiff.guidance.forms import ConvFactory, rounds
from mhdiff.guidance.inheritance import Inherit, Inheritance
from mhdiff.guidance.scored import BilinearScore, Scored
from ontology.errors import InputError

#: What a round adds at the start, of its normalised messages.
GATE = 0.1
_NORMS = {"layer": nn.LayerNorm, "batch": nn.BatchNorm1d, "graph": GraphNorm}


class MessagePassing(Scored):
    """Messages pass over the concept graph once a step; the result is bias, concept tokens, or both.

    Args:
        graph: The concept side of the graph.
        dim: Width of a token.
        heads: Number of attention heads.
        conv: Any convolution of the three forms that `mhdiff.guidance.convolutions` names.
        layers: Number of rounds.
        inherit: Whether messages start from each concept's own embedding (`none`), from the sum over its ancestors too
            (`is_a`), or over all that it reaches upward along any relation (`all`), see `mhdiff.guidance.inheritance`.
        channels: What the graph may reach: the `bias`, the concept `tokens`, or `both`.
        residual: Whether a round adds to the states, or replaces them.
        norm: Normalisation of messages: `layer` (each concept alone), `batch`, `graph` (over all concepts), `pair`,
            `none`.
        jumping: How the states of all rounds become one: the `last`, or by jumping knowledge (Xu et al., 2018) `cat`,
            `max` or `lstm`; `cat` and `lstm` are followed by a linear map back to the width.
        dropout: Dropout on each round's messages.
        anchors: Number of anchors towards which the bias can say what a concept is, see `mhdiff.fusion.attention`;
            none for `channels: tokens`.
        edge_attributes: For keywords of the convolution (`edge_attr`, `edge_weight`) the edge attribute that it is
            given, such as {edge_weight: weight}.
        part: Whether messages pass over the `whole` graph, or over what the `batch` needs, which is cut out of it: for
            graphs of hundreds of thousands of concepts. The states are the same, but for `norm` over many concepts.
        fan_out: With `batch`: at most so many neighbours for each concept and relation, drawn anew for every training
            step and the same ones always in evaluation; all by default.
        importance: With `fan_out`: the feature of the concepts, such as x_ic, by which neighbours are drawn.
        embedding_dropout: See `Guidance`.
        embedding_std: See `Guidance`.
        features: See `Guidance`.
        learn_embedding: See `Guidance`.

    Raises:
        InputError: If the convolution has none of the forms or gives another width, or an attribute is not in the
            graph.
    """

    def __init__(
        self,
        graph: ConceptGraph,
        dim: int,
        heads: int,
        conv: ConvFactory = SAGEConv,
        layers: int = 2,
        inherit: Inherit = "none",
        channels: Literal["bias", "tokens", "both"] = "both",
        residual: bool = True,
        norm: Literal["layer", "batch", "graph", "pair", "none"] = "layer",
        jumping: Literal["last", "cat", "max", "lstm"] = "last",
        dropout: float = 0.1,
        anchors: int = 0,
        edge_attributes: Mapping[str, str] | None = None,
        part: Literal["whole", "batch"] = "whole",
        fan_out: int | None = None,
        importance: str | None = None,
        embedding_dropout: float = 0.2,
        embedding_std: float = 0.1,
        features: Literal["all"] | Sequence[str] = "all",
        learn_embedding: bool = True,
    ) -> None:
        super().__init__(graph, dim, heads, embedding_dropout, embedding_std, features, learn_embedding)
        if layers < 0:
            raise InputError(f"guidance cannot have {layers} rounds", remedy="Give layers >= 0")
        self.channels, self.residual, self.jumping = channels, residual, jumping
        self.gives_bias = self.learns_bias = self.reads_tokens = channels != "tokens"
        self.relations = sorted(relation for relation, edges in graph.edge_index.items() if edges.shape[1])
        self.attributes = dict(edge_attributes or {})
        self.rows = ConceptCSR.of(graph) if part == "batch" else None
        if part not in ("whole", "batch") or (fan_out is not None and (self.rows is None or fan_out < 1)):
            raise InputError(
                f"guidance cannot pass messages with part={part} and fan_out={fan_out}",
                remedy="Choose part: whole, or part: batch with fan_out of 1 or more, or none",
            )
        self.fan_out = fan_out
        self.importance = None if importance is None else _importance(graph, importance)
        attributes = {
            k: {r: _attribute(graph, r, n) for r in self.relations} for k, n in self.attributes.items()
        }
        self.inheritance = None if inherit == "none" else Inheritance(graph, inherit)
        self.rounds = rounds(conv, dim, self.relations, layers if self.relations else 0, attributes)
        self.routes = self._routes(graph) if self.rows is None else None
        self.norms = nn.ModuleList(_norm(norm, dim) for _ in self.rounds)
        self.gates = nn.ParameterList(
            nn.Parameter(torch.full((dim,), GATE)) for _ in (self.rounds if residual else ())
        )
        self.dropout = nn.Dropout(dropout)
        self.jump, self.land = _jumping(jumping, dim, len(self.rounds))
        self.score = BilinearScore(dim, heads, anchors) if channels != "tokens" else None

    def _routes(self, graph: ConceptGraph, device: torch.device | None = None) -> Routes | None:
        """Give what messages travel along; None where no message does."""
        if not len(self.rounds):
            return None
        edges = {relation: graph.edge_index[relation] for relation in self.relations}
        attributes = {
            keyword: {relation: _attribute(graph, relation, name) for relation in self.relations}
            for keyword, name in self.attributes.items()
        }
        return cast(Round, self.rounds[0]).routes(graph.num_nodes, edges, attributes).to(device)

    def _first(
        self, nodes: Int64[Tensor, " part"] | None = None, muted: Collection[str] = ()
    ) -> Float[Tensor, "part dim"]:
        """Give h^0."""
        if self.inheritance is None:
            return self.embedded(nodes)
        found: Tensor = self.inheritance(self.embedded, nodes, muted)
        return found

    def _pass(
        self,
        state: Float[Tensor, "concept dim"],
        routes: Routes | None,
        muted: Collection[str] = (),
        read: Bool[Tensor, " concept"] | None = None,
    ) -> Float[Tensor, "concept dim"]:
        """Give the states after all rounds, or what stands for them where nobody reads them."""
        if routes is None:
            return state
        routes = routes.muted(muted) if muted else routes
        seen = [state]
        for place, (round_, norm) in enumerate(zip(self.rounds, self.norms, strict=True)):
            last = place == len(self.rounds) - 1 and isinstance(norm, nn.LayerNorm | nn.Identity)
            message = norm(round_(state, routes, read if last else None))
            message = self.dropout(nn.functional.gelu(message))
            following = state + self.gates[place] * message if self.residual else message
            state = torch.where(routes.reached, following, state)
            seen.append(state)
        if self.jump is None:
            return state
        if (
            self.jumping == "lstm"
        ):  # as its weights are: not every processor has a recurrent network in half precision
            kind = cast(Tensor, self.land.weight).dtype
            with torch.autocast(state.device.type, enabled=False):
                return cast(Tensor, self.land(self.jump([each.to(kind) for each in seen])))
        return cast(Tensor, self.land(self.jump(seen)))

    def states(
        self, muted: Collection[str] = (), read: Bool[Tensor, " concept"] | None = None
    ) -> Float[Tensor, "concept dim"]:
        """Pass the messages over the whole graph.

        Args:
            muted: Names of relations along which no message passes and nothing is inherited, for whoever asks what
                they brought.
            read: Whose states are read, if not all are; what stands for the others' says nothing.
        """
        state = self._first(muted=muted)
        routes = self.routes if self.rows is None else self._routes(self.rows.graph, state.device)
        return self._pass(state, routes, muted, read)

    def _read(self, evidence: EvidenceBatch) -> Bool[Tensor, " concept"] | None:
        """Say whose states a training step reads; None in evaluation, where states may serve other batches."""
        if not self.training:
            return None
        read = torch.zeros(self.num_nodes + 1, dtype=torch.bool, device=evidence.concept.device)
        return read.index_fill_(0, evidence.concept.flatten() + 1, True)[1:]  # an empty place is -1

    def local(self, evidence: EvidenceBatch) -> Local:
        """Pass the messages once for a batch, over the whole graph or over what the batch needs.

        Args:
            evidence: The batch's evidence.
        """
        plain = self.channels == "bias"
        if self.rows is None or not (len(self.rounds) or self.inheritance):
            return Local(self.states(read=self._read(evidence)), self.embedded() if plain else None)
        seed = int(torch.randint(2**62, (1,))) if self.training and self.fan_out is not None else 0
        wanted = evidence.concept.clamp(
            min=0
        )  # an empty place stands for some concept, so that no part is empty
        part = cut(
            self.rows, wanted, len(self.rounds), fan_out=self.fan_out, importance=self.importance, seed=seed
        )
        nodes = part.nodes.to(evidence.concept.device)
        state = self._pass(self._first(nodes), self._routes(part.graph, nodes.device))
        return Local(state, self.embedded(nodes) if plain else None, part.locate(evidence.concept))


def _importance(graph: ConceptGraph, name: str) -> Floats:
    if name not in graph.node or graph.node[name].numel() != graph.num_nodes:
        known = [n for n, value in graph.node.items() if value.numel() == graph.num_nodes]
        raise InputError(
            f"model.guidance.importance names '{name}', which is not one number for each concept",
            remedy=f"There are: {', '.join(sorted(known)) or 'none'}; features are chosen when a graph is built",
        )
    number = graph.node[name].reshape(-1).double()
    return number.clamp(min=float(number.abs().max()) * 1e-3 or 1.0).numpy()


def _attribute(graph: ConceptGraph, relation: str, name: str) -> Tensor:
    known = graph.edge.get(relation, {})
    if name not in known:
        raise InputError(
            f"model.guidance.edge_attributes names '{name}', which edges of '{relation}' do not have",
            remedy=f"They have: {', '.join(sorted(known)) or 'none'}",
        )
    return known[name].float()


def _norm(name: str, dim: int) -> nn.Module:
    if name == "none":
        return nn.Identity()
    if name == "pair":
        return PairNorm()
    if name not in _NORMS:
        raise InputError(f"there is no norm '{name}'", remedy=f"Choose {', '.join(_NORMS)}, pair or none")
    return _NORMS[name](dim)


def _jumping(name: str, dim: int, layers: int) -> tuple[nn.Module | None, nn.Module]:
    if name == "last" or not layers:
        return None, nn.Identity()
    if name == "cat":
        return JumpingKnowledge("cat"), nn.Linear((layers + 1) * dim, dim)
    if name == "max":
        return JumpingKnowledge("max"), nn.Identity()
    if name == "lstm":
        return JumpingKnowledge("lstm", dim, layers + 1), nn.Linear(dim, dim)
    raise InputError(f"there is no jumping knowledge '{name}'", remedy="Choose last, cat, max or lstm")
