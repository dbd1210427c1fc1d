r"""One small interface: concept graph + evidence -> concept tokens and the bias between all tokens.

Tokens stand in this order: first one a modality, :math:`z_1 .. z_M`, then the evidence, `slot` places for each
modality. The bias :math:`A_{ij}` is per patient; what is the same for every patient, or constant along a row,
would carry no knowledge of the patient or cancel in the softmax.

A member says what the states of the concepts are and how each pair of concept tokens scores. What a modality's token
and another one have between them is made of the scores of their concepts, so it can be told pair by pair:

.. math::
    A_{mn} = \frac{1}{|m||n|} \sum_{a \in m} \sum_{b \in n} A_{ab}  \quad (\text{mean}), \qquad
    A_{mn} = \max_{a \in m, b \in n} A_{ab}  \quad (\text{any})

Modalities without evidence have no bias.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from graph_builders import ConceptGraph
from mhdiff.batch import EvidenceBatch
from ontology.errors import InputError
from ontology.recognise import POLARITIES

#: Node attributes of this name are features.
FEATURE = "x_"


@dataclass
class GuidanceOutput:
    """What guidance hands to fusion.

    Attributes:
        tokens: Concept tokens, modality by modality.
        mask: True where a token holds evidence of a present modality.
        bias: A between all tokens (modalities first), with a dimension of 1 or `heads`; None where there is none.
        anchors: Learned tokens that are attended to and attend to nothing; None where there are none.
        toward: A between all tokens and the anchors.
    """

    tokens: Float[Tensor, "batch evidence dim"]
    mask: Bool[Tensor, "batch evidence"]
    bias: Float[Tensor, "batch #heads token token"] | None
    anchors: Float[Tensor, "anchor dim"] | None = None
    toward: Float[Tensor, "batch heads token anchor"] | None = None


class Local(NamedTuple):
    """What the tokens of a batch are read from.

    Attributes:
        states: h of every concept, or of those of a part.
        plain: h^0 of the same, where tokens must not show what the graph says; None where they may.
        place: Where the evidence's concepts stand among the states, if not where their numbers say.
    """

    states: Float[Tensor, "concept dim"]
    plain: Float[Tensor, "concept dim"] | None = None
    place: Int64[Tensor, "batch modality slot"] | None = None


class Guidance(nn.Module, ABC):
    r"""Base of the family. A concept c of polarity p and weight w gives the token

    .. math:: t = w \cdot (h_c + e_p), \qquad h = \mathrm{states}(h^0), \qquad
              h^0_c = E_c + \sum_f W_f \, \mathrm{LN}(x_{f,c})

    with a learned embedding E, the features x_f that the graph was built with, and e_p of each polarity. Subclasses say
    what `states` and `pairs` are. It does not know modalities' latents: those meet the evidence in the attention.

    Args:
        graph: The concept side of the graph.
        dim: Width of a token.
        heads: Number of attention heads.
        embedding_dropout: Probability that a concept's own embedding is blanked in a training step, so that its
            neighbours and features (where there are any) must speak for it, as they must for a concept never seen.
        embedding_std: Standard deviation of the initial embedding.
        features: Which features of the concept nodes (`x_...`) are read: all that the graph has, or those named.
        learn_embedding: Whether concepts have embeddings of their own; without, the features must speak for them.

    Attributes:
        gives_bias: Whether there is a bias at all; without one lambda has nothing to scale and is not trained.
        learns_bias: Whether the bias depends on parameters.
        reads_tokens: Whether the bias depends on the concepts' embeddings and features.
        summary: How the scores of concepts become that of their modalities.
        needs_concepts: Whether a graph without any is refused.

    Raises:
        InputError: If the graph has no concepts, lacks a feature, or nothing is left to tell concepts apart.
    """  # noqa: D415

    needs_concepts = True
    gives_bias = False
    learns_bias = False
    reads_tokens = False
    summary: ClassVar[Literal["mean", "any"]] = "mean"

    def __init__(
        self,
        graph: ConceptGraph,
        dim: int,
        heads: int,
        embedding_dropout: float = 0.2,
        embedding_std: float = 0.1,
        features: Literal["all"] | Sequence[str] = "all",
        learn_embedding: bool = True,
    ) -> None:
        super().__init__()
        if self.needs_concepts and not graph.num_nodes:
            raise InputError(
                "the graph has no concepts, so there is nothing that model.guidance could say",
                remedy="See what the cohort's codes, labs and notes were taken for: mhdiff graph info GRAPH. Without "
                "an ontology train with --model.guidance=mhdiff.guidance.NoGuidance",
            )
        self.dim, self.heads, self.embedding_dropout = dim, heads, embedding_dropout
        self.num_nodes = graph.num_nodes
        self._kept: list[Local] | None = None
        self.features = _chosen(graph, features)
        if not self.features and not learn_embedding:
            raise InputError(
                "model.guidance has neither embeddings nor features to tell concepts apart",
                remedy="Set learn_embedding: true, or build the graph with features",
            )
        self.embedding = nn.Embedding(graph.num_nodes, dim) if learn_embedding else None
        if self.embedding is not None:
            nn.init.normal_(self.embedding.weight, std=embedding_std)
        self.readers = nn.ModuleDict()
        for name in self.features:
            value = graph.node[name].float().reshape(graph.num_nodes, -1)
            self.register_buffer(f"feature_{name}", value, persistent=False)
            width = value.shape[1]
            norm = nn.LayerNorm(width, elementwise_affine=False) if width > 1 else nn.Identity()
            self.readers[name] = nn.Sequential(norm, nn.Linear(width, dim, bias=False))
        self.polarity = nn.Embedding(len(POLARITIES), dim)
        nn.init.normal_(self.polarity.weight, std=embedding_std)

    def embedded(self, nodes: Int64[Tensor, " concept"] | None = None) -> Float[Tensor, "concept dim"]:
        """Give each concept's h^0: its own embedding, blanked for some while training, and what its features say.

        Args:
            nodes: Only these concepts; all by default.
        """
        known = [self.get_buffer(f"feature_{name}") for name in self.features]
        known = known if nodes is None else [value[nodes] for value in known]
        read = [self.readers[name](value) for name, value in zip(self.features, known, strict=True)]
        if self.embedding is not None:
            own = self.embedding.weight if nodes is None else self.embedding(nodes)
            if self.training and self.embedding_dropout > 0:
                own = own * (torch.rand(own.shape[0], 1, device=own.device) >= self.embedding_dropout)
            read.append(own)
        total = read[0]
        for part in read[1:]:
            total = total + part
        return total

    def token_parameters(self) -> list[nn.Parameter]:
        """Give the parameters that concept tokens are made of before the graph speaks."""
        parts = [self.polarity, self.readers, *([] if self.embedding is None else [self.embedding])]
        return [parameter for part in parts for parameter in part.parameters()]

    @abstractmethod
    def states(self) -> Float[Tensor, "concept dim"]:
        """Give the state of every concept of the graph, once a step for the whole batch."""

    @abstractmethod
    def pairs(
        self,
        evidence: EvidenceBatch,
        tokens: Float[Tensor, "batch evidence dim"],
        mask: Bool[Tensor, "batch evidence"],
    ) -> Float[Tensor, "batch #heads evidence evidence"] | None:
        """Score every pair of concept tokens; what stands where `mask` is False does not matter.

        Args:
            evidence: The batch's evidence.
            tokens: Its concept tokens.
            mask: Which of them hold evidence of a present modality.

        Returns:
            A between concept tokens; None where the member gives no bias.
        """

    def tell(
        self,
        states: Float[Tensor, "concept dim"],
        evidence: EvidenceBatch,
        mask: Bool[Tensor, "batch evidence"],
        place: Int64[Tensor, "batch modality slot"] | None = None,
    ) -> Float[Tensor, "batch evidence dim"]:
        """Give the tokens t of a batch's evidence, 0 where there is none.

        Args:
            states: h of every concept, or of those of a part.
            evidence: The batch's evidence.
            mask: Which places hold evidence of a present modality.
            place: Where the evidence's concepts stand among the states, if not where their numbers say.
        """
        place = evidence.concept if place is None else place
        if not len(states):
            return states.new_zeros(len(mask), mask.shape[1], self.dim)
        # `index_select`: to index by a tensor of several dimensions takes several times as long, there and back.
        state = states.index_select(0, place.clamp(min=0).flatten()).unflatten(0, place.shape)
        state = state + self.polarity(evidence.polarity.clamp(min=0))
        tokens = (state * evidence.weight[..., None]).flatten(1, 2)
        return torch.where(mask[..., None], tokens, tokens.new_zeros(()))

    def local(self, evidence: EvidenceBatch) -> Local:
        """Give the states that a batch's evidence is read from.

        Args:
            evidence: The batch's evidence.
        """
        return Local(self.states())

    def find(self, evidence: EvidenceBatch) -> Local:
        """Give what `local` gives; within `unchanging` from what it gave before, if that was of all concepts.

        Args:
            evidence: The batch's evidence.
        """
        if self._kept is None or self.training or torch.is_grad_enabled():
            return self.local(evidence)
        if not self._kept:
            found = self.local(evidence)
            if found.place is not None:
                return found
            self._kept.append(found)
        return self._kept[0]

    @contextmanager
    def unchanging(self) -> Iterator[None]:
        """Say that no parameter changes meanwhile, so that the states need not be computed for each batch again."""
        before, self._kept = self._kept, []
        try:
            yield
        finally:
            self._kept = before

    def anchored(
        self,
        evidence: EvidenceBatch,
        tokens: Float[Tensor, "batch evidence dim"],
        mask: Bool[Tensor, "batch evidence"],
    ) -> tuple[Tensor | None, Tensor | None]:
        """Give anchors and A towards them, see `GuidanceOutput`; none by default.

        Args:
            evidence: The batch's evidence.
            tokens: Its concept tokens.
            mask: Which of them hold evidence of a present modality.
        """
        return None, None

    def forward(
        self,
        evidence: EvidenceBatch,
        present: Bool[Tensor, "batch modality"],
        found: Local | None = None,
        concepts: bool = True,
    ) -> GuidanceOutput:
        """Give concept tokens and bias for a batch.

        Args:
            evidence: The batch's evidence, `slot` places for each modality.
            present: Which modalities may be used; evidence of the others counts as not there.
            found: What `local` gave for the same evidence, where it is known already.
            concepts: Whether the bias is asked for concepts' tokens too, or for the modalities' alone.
        """
        mask = evidence.available(present)
        found = self.find(evidence) if found is None else found
        tokens = self.tell(found.states, evidence, mask, found.place)
        bias, anchors, toward = self.relate(evidence, tokens, mask, concepts)
        shown = tokens if found.plain is None else self.tell(found.plain, evidence, mask, found.place)
        return GuidanceOutput(shown, mask, bias, anchors, toward)

    def relate(
        self,
        evidence: EvidenceBatch,
        tokens: Float[Tensor, "batch evidence dim"],
        mask: Bool[Tensor, "batch evidence"],
        concepts: bool,
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Give A between tokens, the anchors, and A towards them: what `bias` and `anchored` give.

        Args:
            evidence: The batch's evidence.
            tokens: Its concept tokens.
            mask: Which of them hold evidence of a present modality.
            concepts: Whether concepts' tokens are asked about too, or the modalities' alone.
        """
        bias, (anchors, toward) = self.bias(evidence, tokens, mask), self.anchored(evidence, tokens, mask)
        if concepts:
            return bias, anchors, toward
        modalities = evidence.owners.shape[1]
        bias = None if bias is None else bias[:, :, :modalities, :modalities]
        return bias, anchors, None if toward is None else toward[:, :, :modalities]

    def bias(
        self,
        evidence: EvidenceBatch,
        tokens: Float[Tensor, "batch evidence dim"],
        mask: Bool[Tensor, "batch evidence"],
    ) -> Float[Tensor, "batch #heads token token"] | None:
        """Give A between all tokens, modalities first: the scores of pairs, and what they come to for modalities.

        Args:
            evidence: The batch's evidence.
            tokens: Its concept tokens.
            mask: Which of them hold evidence of a present modality.
        """
        scores = self.pairs(evidence, tokens, mask)
        if scores is None:
            return None
        scores = torch.where((mask[:, :, None] & mask[:, None, :])[:, None], scores, scores.new_zeros(()))
        owned = evidence.owners & mask[:, None]
        if self.summary == "any":
            of = [owned[:, None, m] for m in range(owned.shape[1])]
            rows = torch.stack([(scores * m[..., None]).amax(2) for m in of], 2)
            columns = torch.stack([(scores * m[..., None, :]).amax(3) for m in of], 3)
            between = torch.stack([(rows * m[..., None, :]).amax(3) for m in of], 3)
        else:
            share = (owned / owned.sum(-1, keepdim=True).clamp(min=1)).to(scores.dtype)[:, None]
            rows, columns = share @ scores, scores @ share.mT
            between = rows @ share.mT
        return torch.cat([torch.cat([between, rows], 3), torch.cat([columns, scores], 3)], 2)


class NoGuidance(Guidance):
    """No ontology: concept tokens are plain learned embeddings and there is no bias (lambda = 0).

    Args:
        graph: The concept side of the graph.
        dim: Width of a token.
        heads: Number of attention heads.
        embedding_dropout: See `Guidance`.
        embedding_std: See `Guidance`.
        features: See `Guidance`; none by default, since most features come from the ontology.
        learn_embedding: See `Guidance`.
    """

    needs_concepts = False

    def __init__(
        self,
        graph: ConceptGraph,
        dim: int,
        heads: int,
        embedding_dropout: float = 0.2,
        embedding_std: float = 0.1,
        features: Literal["all"] | Sequence[str] = (),
        learn_embedding: bool = True,
    ) -> None:
        super().__init__(graph, dim, heads, embedding_dropout, embedding_std, features, learn_embedding)

    def states(self) -> Float[Tensor, "concept dim"]:
        """Give the embeddings as they are."""
        return self.embedded()

    def pairs(
        self,
        evidence: EvidenceBatch,
        tokens: Float[Tensor, "batch evidence dim"],
        mask: Bool[Tensor, "batch evidence"],
    ) -> None:
        """Give none.

        Args:
            evidence: Not read.
            tokens: Not read.
            mask: Not read.
        """
        return


def _chosen(graph: ConceptGraph, features: Literal["all"] | Sequence[str]) -> tuple[str, ...]:
    known = sorted(name for name in graph.node if name.startswith(FEATURE))
    if features == "all":
        return tuple(known)
    if isinstance(features, str):
        features = (features,)
    lost = [name for name in features if name not in known]
    if lost:
        raise InputError(
            f"model.guidance.features names '{lost[0]}', which the graph does not have",
            remedy=f"It has: {', '.join(known) or 'none'}; features are chosen when a graph is built",
        )
    return tuple(features)
