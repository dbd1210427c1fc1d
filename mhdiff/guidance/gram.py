r"""Ontology attention: a concept's state is an attention-weighted mean of its own embedding and its ancestors'.

.. math::
    h_c = \sum_{a \in A(c)} \alpha_{ca} E_a, \qquad
    \alpha_{ca} = \mathrm{softmax}_{a \in A(c)} \, u^T \tanh(W [E_c ; E_a] + b)

with A(c) the concept c and all its ancestors by is-a. Concepts with few patients can lean on their ancestors, frequent
ones on themselves.

After Choi et al., "GRAM: Graph-based attention model for healthcare representation learning" (KDD 2017), section 2.3,
equations 1 to 3, with random basic embeddings (their GRAM, not GRAM+). There the states of a visit's codes are summed
and a recurrent network reads the visits. Here they are concept tokens, of every modality's evidence and not of codes
alone, which the fusion attends to; the ontology gives no bias. `mhdiff.guidance.inheritance` is the same without
attention.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch_geometric.utils import softmax

from graph_builders import ConceptGraph
from graph_builders.reach import IS_A, reach_upward
from mhdiff.batch import EvidenceBatch
from mhdiff.guidance.base import Guidance


class OntologyAttention(Guidance):
    """Concept tokens by attention over ancestors, and no bias.

    Args:
        graph: The concept side of the graph.
        dim: Width of a token.
        heads: Number of attention heads of the fusion; not read.
        width: Width of the attention's hidden layer; None for `dim`.
        embedding_dropout: See `Guidance`.
        embedding_std: See `Guidance`.
        features: See `Guidance`; none by default, as in the paper.
        learn_embedding: See `Guidance`.
    """

    row: Tensor
    node: Tensor

    def __init__(
        self,
        graph: ConceptGraph,
        dim: int,
        heads: int,
        width: int | None = None,
        embedding_dropout: float = 0.0,
        embedding_std: float = 0.1,
        features: Literal["all"] | Sequence[str] = (),
        learn_embedding: bool = True,
    ) -> None:
        super().__init__(graph, dim, heads, embedding_dropout, embedding_std, features, learn_embedding)
        reach = reach_upward(graph, [IS_A])
        concepts = torch.arange(graph.num_nodes)
        self.register_buffer("row", concepts.repeat_interleave(reach.start.diff()), persistent=False)
        self.register_buffer("node", reach.node, persistent=False)
        width = dim if width is None else width
        self.own = nn.Linear(dim, width)
        self.other = nn.Linear(dim, width, bias=False)
        self.score = nn.Linear(width, 1, bias=False)

    def states(self) -> Float[Tensor, "concept dim"]:
        """Give the attended states."""
        embedded = self.embedded()
        hidden = self.own(embedded)[self.row] + self.other(embedded)[self.node]
        alpha = softmax(self.score(hidden.tanh()).float(), self.row, num_nodes=self.num_nodes)
        parts = alpha.to(embedded.dtype) * embedded[self.node]
        return torch.zeros_like(embedded).index_add(0, self.row, parts)

    def pairs(
        self,
        evidence: EvidenceBatch,
        tokens: Float[Tensor, "batch evidence dim"],
        mask: Tensor,
    ) -> None:
        """Give none.

        Args:
            evidence: Not read.
            tokens: Not read.
            mask: Not read.
        """
        return
