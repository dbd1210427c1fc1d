r"""A learned bias for how far apart two concepts are and by which relations, per head.

.. math:: A^{head}_{ij} = b^{head}_{h_{ij}} + r^{head}_{k_i} + r^{head}_{k_j}, \qquad
          h_{ij} = \min_x \, (h_{ix} + h_{jx})

x runs over what both concepts reach by going along the relations as the ontology states them: the nearest common
ancestor, the body structure that both findings lie in. k is the first relation on the way from a concept to x that is
not is-a (0 where there is none: r of it is fixed at 0). Pairs farther apart than `max_hops`, or without a common x,
have no bias. After Ying et al. (2021), Do Transformers Really Perform Bad for Graph Representation, which has a bias
for each shortest-path distance.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from graph_builders import ConceptGraph
from graph_builders.reach import Shared, least, reach_upward
from mhdiff.guidance.lookup import PairLookup, ReachIndex
from ontology.errors import InputError


class Distance(PairLookup):
    """Learned bias per hop distance and relation, for each head; concept tokens are plain embeddings.

    Args:
        graph: The concept side of the graph.
        dim: Width of a token.
        heads: Number of attention heads.
        max_hops: The greatest distance that has a bias.
        relations: Names of the relations that are walked, as the graph has them; all by default.
        polarity_gain: See `PairLookup`.
        embedding_dropout: See `Guidance`.
        embedding_std: See `Guidance`.
        features: See `Guidance`.
        learn_embedding: See `Guidance`.

    Raises:
        InputError: If the graph has no such relation, or max_hops is negative.
    """

    learns_bias = True
    on_the_way: Tensor

    def __init__(
        self,
        graph: ConceptGraph,
        dim: int,
        heads: int,
        max_hops: int = 8,
        relations: Sequence[str] | None = None,
        polarity_gain: Literal["ignore", "learned"] = "learned",
        embedding_dropout: float = 0.2,
        embedding_std: float = 0.1,
        features: Literal["all"] | Sequence[str] = "all",
        learn_embedding: bool = True,
    ) -> None:
        super().__init__(
            graph, dim, heads, polarity_gain, embedding_dropout, embedding_std, features, learn_embedding
        )
        if max_hops < 0:
            raise InputError(f"a distance of {max_hops} hops is none", remedy="Give max_hops >= 0")
        self.max_hops = max_hops
        reach = reach_upward(graph, relations, max_hops)
        self.reach = reach
        self.up = ReachIndex(reach)
        self.relations = reach.relations
        near = 1 / (1 + torch.arange(max_hops + 1.0))  # nearer is more, until training knows better
        self.by_hops = nn.Parameter(near.expand(heads, -1).clone())
        self.by_relation = nn.Parameter(torch.zeros(heads, max(len(reach.relations) - 1, 0)))

    def meeting(self, a: int, b: int) -> int | None:
        """Give the concept in which a pair meets, by which its bias was chosen.

        Args:
            a: A concept.
            b: Another.
        """
        shared = self.up.meet(*self.one_pair(a, b))
        cost = self._cost(shared)
        if not len(cost) or int(cost.min()) // self._kinds**2 > self.max_hops:
            return None
        return int(self.up.node[shared.left][cost.argmin()])

    @property
    def _kinds(self) -> int:
        return max(len(self.relations), 1)

    def _cost(self, shared: Shared) -> Int64[Tensor, " shared"]:
        """Order where pairs meet by hops, then by the relations on the way, the smaller one first."""
        left, right = self.up.kind[shared.left], self.up.kind[shared.right]
        hops = self.up.hops[shared.left] + self.up.hops[shared.right]
        ranks = hops * self._kinds + torch.minimum(left, right)
        return ranks * self._kinds + torch.maximum(left, right)

    def look_up(self, a: Int64[Tensor, " pairs"], b: Int64[Tensor, " pairs"]) -> Float[Tensor, "heads pairs"]:
        """Give the bias of pairs by where they meet.

        Args:
            a: First concepts.
            b: Second concepts.
        """
        shared, kinds = self.up.meet(a, b), self._kinds
        nothing = (2 * self.max_hops + 2) * kinds * kinds
        best = least(shared, self._cost(shared), len(a), nothing)
        hops = best // (kinds * kinds)
        met = hops <= self.max_hops
        table = torch.cat([self.by_relation.new_zeros(self.heads, 1), self.by_relation], 1)
        one, other = best // kinds % kinds, best % kinds
        bias = self.by_hops[:, hops.clamp(max=self.max_hops)] + table[:, one] + table[:, other]
        return torch.where(met, bias, bias.new_zeros(()))
