r"""Guidance by message passing over the ontology, with any PyTorch Geometric convolution.

States and bias, with one convolution for each relation r and its reverse:

.. math::
    h^{l+1}_i &= h^l_i + \mathrm{GELU}\big(\mathrm{LN}\big(\tfrac{1}{|R_i|} \sum_{r \in R_i}
    \mathrm{conv}^l_r(h^l)_i\big)\big), \qquad h^0 = E \\
    A^{head}_{ij} &= \frac{(s_i U^{head}) (s_j V^{head})^T}{\sqrt{d_{head}}}

R_i are the relations through which something reaches concept i: a mean over all relations would drown the one
parent of a leaf in what most convolutions make of the leaf itself. s of a concept token is the token; s of a
modality is the mean over its evidence, 0 where it has none, so that a pair without evidence has no bias.
"""

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch_geometric.nn import HeteroConv, SAGEConv
from torch_geometric.nn.conv import MessagePassing as Convolution

from graph_builders import ConceptGraph
from mhdiff.batch import EvidenceBatch
from mhdiff.guidance.base import Guidance, GuidanceOutput
from ontology.errors import InputError


class MessagePassing(Guidance):
    """Messages pass over the concept graph once a step; the result is bias, concept tokens, or both.

    Args:
        graph: The concept side of the graph.
        dim: Width of a token.
        heads: Number of attention heads.
        conv: Any convolution that is built from (in_channels, out_channels) and gives `out_channels` back.
        layers: Number of rounds.
        channels: What the graph may reach: the `bias`, the concept `tokens`, or `both`.
        dropout: Dropout on each round's messages.
        embedding_dropout: See `Guidance`.
        embedding_std: See `Guidance`.

    Raises:
        InputError: If the convolution cannot be built from two widths, or gives another width.
    """

    share: Tensor

    def __init__(
        self,
        graph: ConceptGraph,
        dim: int,
        heads: int,
        conv: Callable[[int, int], Convolution] = SAGEConv,
        layers: int = 2,
        channels: Literal["bias", "tokens", "both"] = "both",
        dropout: float = 0.1,
        embedding_dropout: float = 0.2,
        embedding_std: float = 0.1,
    ) -> None:
        super().__init__(graph, dim, heads, embedding_dropout, embedding_std)
        self.channels = channels
        self.gives_bias = self.learns_bias = channels != "tokens"
        self.relations = [relation for relation, edges in graph.edge_index.items() if edges.shape[1]]
        for position, relation in enumerate(self.relations):
            self.register_buffer(f"edges_{position}", graph.edge_index[relation], persistent=False)
        reached = torch.zeros(graph.num_nodes, len(self.relations))
        for position, relation in enumerate(self.relations):
            reached[graph.edge_index[relation][1], position] = 1.0
        share = reached / reached.sum(1, keepdim=True).clamp(min=1.0)
        self.register_buffer("share", share[..., None], persistent=False)
        self.rounds = nn.ModuleList(self._round(conv, dim) for _ in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)
        if channels != "tokens":
            self.query = nn.Linear(dim, dim, bias=False)
            self.key = nn.Linear(dim, dim, bias=False)

    def _round(self, conv: Callable[[int, int], Convolution], dim: int) -> nn.Module:
        """Build one convolution a relation and try it on two nodes, so that a misfit is said at once."""
        try:
            sample = conv(dim, dim)
            width = sample(torch.zeros(2, dim), torch.tensor([[0, 1], [1, 0]])).shape[-1]
        except (TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise InputError(
                f"model.guidance.conv cannot be used between concepts ({error})",
                remedy="Give a convolution that is built from (in_channels, out_channels) and called with "
                "(x, edge_index), such as SAGEConv or GATv2Conv",
            ) from error
        if width != dim:
            raise InputError(
                f"model.guidance.conv {type(sample).__name__} gives {width} channels where {dim} are wanted",
                remedy="With several heads set concat: false",
            )
        return HeteroConv({("concept", r, "concept"): conv(dim, dim) for r in self.relations}, aggr=None)

    def _edges(self) -> dict[tuple[str, str, str], Tensor]:
        return {
            ("concept", relation, "concept"): getattr(self, f"edges_{position}")
            for position, relation in enumerate(self.relations)
        }

    def states(self) -> Float[Tensor, "concept dim"]:
        """Pass the messages."""
        state = self.embedded()
        if not self.relations:
            return state
        edges = self._edges()
        for convolution, norm in zip(self.rounds, self.norms, strict=True):
            by_relation = convolution({"concept": state}, edges)["concept"]  # concept, relation, dim
            message = norm((self.share * by_relation).sum(1))
            state = state + self.dropout(nn.functional.gelu(message))
        return state

    def forward(self, evidence: EvidenceBatch, present: Bool[Tensor, "batch modality"]) -> GuidanceOutput:
        """Give concept tokens and bias for a batch.

        Args:
            evidence: The batch's evidence.
            present: Which modalities may be used.
        """
        guided = super().forward(evidence, present)
        if self.channels == "bias":  # tokens that the graph did not touch
            plain = self.embedded()[evidence.concept.clamp(min=0)] + self.polarity(
                evidence.polarity.clamp(min=0)
            )
            plain = (plain * evidence.weight[..., None]).flatten(1, 2)
            guided.tokens = torch.where(guided.mask[..., None], plain, plain.new_zeros(()))
        return guided

    def bias(
        self,
        evidence: EvidenceBatch,
        tokens: Float[Tensor, "batch evidence dim"],
        mask: Bool[Tensor, "batch evidence"],
    ) -> Float[Tensor, "batch #heads token token"] | None:
        """Score every pair of tokens by their states.

        Args:
            evidence: Read for its shape only.
            tokens: Concept tokens after message passing.
            mask: Which of them count.
        """
        if self.channels == "tokens":
            return None
        batch, modalities, slots = evidence.concept.shape
        count = mask.view(batch, modalities, slots).sum(-1, keepdim=True).clamp(min=1)
        pooled = tokens.view(batch, modalities, slots, -1).sum(2) / count
        states = torch.cat([pooled, tokens], 1)
        shape = (batch, states.shape[1], self.heads, self.dim // self.heads)
        query = self.query(states).view(shape).transpose(1, 2)
        key = self.key(states).view(shape).transpose(1, 2)
        return query @ key.transpose(-1, -2) / shape[-1] ** 0.5
