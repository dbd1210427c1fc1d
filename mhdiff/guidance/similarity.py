r"""The bias is how alike two concepts are by the is-a hierarchy, in [0, 1].

With the ancestors A(c) of c, itself among them, IC their information content, m the common ancestor of a and b with
the most of it, and d the greatest depth (a root has 1):

- `lin`: :math:`2\,\mathrm{IC}(m) / (\mathrm{IC}(a) + \mathrm{IC}(b))`;
- `resnik`: :math:`\mathrm{IC}(m) / \max_c \mathrm{IC}(c)`;
- `wu_palmer`: :math:`2 d / (d(a) + d(b))`, d of the deepest common ancestor;
- `path`: :math:`1 / (1 + \text{steps})`, the fewest steps up from both to a common ancestor;
- `jaccard`: :math:`|A(a) \cap A(b)| / |A(a) \cup A(b)|`.

Sources are given in `ontology.similarity`, which computes the same for a whole terminology. Here everything comes
from the graph that the model sees: a graph whose edges were rewired has other similarities, as it must have to be a
control.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from graph_builders import ConceptGraph
from graph_builders.hierarchy import information, longest_way_up
from graph_builders.reach import IS_A, least, most, reach_upward
from mhdiff.guidance.lookup import PairLookup, ReachIndex
from ontology.errors import InputError

Measure = Literal["lin", "resnik", "wu_palmer", "path", "jaccard"]


class Similarity(PairLookup):
    """Semantic similarity between evidence; concept tokens are plain embeddings.

    Args:
        graph: The concept side of the graph.
        dim: Width of a token.
        heads: Number of attention heads.
        measure: Which similarity.
        ic: Information content by Sánchez or by Seco, see `ontology.information`.
        relation: Name of the hierarchy's relation in the graph.
        polarity_gain: See `PairLookup`.
        embedding_dropout: See `Guidance`.
        embedding_std: See `Guidance`.
        features: See `Guidance`.
        learn_embedding: See `Guidance`.

    Raises:
        InputError: If the graph has no such relation, or the measure is unknown.
    """

    worth: Tensor
    above: Tensor

    def __init__(
        self,
        graph: ConceptGraph,
        dim: int,
        heads: int,
        measure: Measure = "lin",
        ic: Literal["sanchez", "seco"] = "sanchez",
        relation: str = IS_A,
        polarity_gain: Literal["ignore", "learned"] = "ignore",
        embedding_dropout: float = 0.2,
        embedding_std: float = 0.1,
        features: Literal["all"] | Sequence[str] = "all",
        learn_embedding: bool = True,
    ) -> None:
        super().__init__(
            graph, dim, heads, polarity_gain, embedding_dropout, embedding_std, features, learn_embedding
        )
        known = ("lin", "resnik", "wu_palmer", "path", "jaccard")
        if measure not in known:
            raise InputError(f"'{measure}' is no similarity", remedy=f"Known ones: {', '.join(known)}")
        self.measure = measure
        reach = reach_upward(graph, [relation])
        self.reach = reach
        self.up = ReachIndex(reach)
        informed = measure in ("lin", "resnik")
        worth = information(reach, ic) if informed else longest_way_up(reach).float() + 1
        self.register_buffer("worth", worth, persistent=False)
        self.register_buffer("above", reach.above, persistent=False)

    def meeting(self, a: int, b: int) -> int | None:
        """Give the common ancestor with the most information, the deepest, or for `path` the nearest one.

        Args:
            a: A concept.
            b: Another.
        """
        shared = self.up.meet(*self.one_pair(a, b))
        node = self.up.node[shared.left]
        if not len(node):
            return None
        nearness = -(self.up.hops[shared.left] + self.up.hops[shared.right]).double()
        # Of equally informative ancestors the nearest is told.
        worth = nearness if self.measure == "path" else self.worth[node].double() + nearness * 1e-9
        return int(node[worth.argmax()])

    def look_up(self, a: Int64[Tensor, " pairs"], b: Int64[Tensor, " pairs"]) -> Float[Tensor, "1 pairs"]:
        """Compare pairs.

        Args:
            a: First concepts.
            b: Second concepts.
        """
        shared, count = self.up.meet(a, b), len(a)
        if self.measure == "path":
            nowhere = 2 * self.num_nodes  # no two ways up are as long
            steps = least(shared, self.up.hops[shared.left] + self.up.hops[shared.right], count, nowhere)
            return torch.where(steps < nowhere, 1 / (1 + steps), 0.0)[None]
        if self.measure == "jaccard":
            common = torch.bincount(shared.pair, minlength=count)
            return (common / (self.above[a] + self.above[b] - common))[None]
        best = most(shared, self.worth[self.up.node[shared.left]], count, -1.0)
        met = best >= 0
        if self.measure == "resnik":
            scale = self.worth.max().clamp(min=torch.finfo(self.worth.dtype).tiny)
            return torch.where(met, best / scale, 0.0)[None]
        total = self.worth[a] + self.worth[b]
        # Two roots say nothing, and are one and the same: a pair without information is alike if it meets at all.
        ratio = torch.where(total > 0, 2 * best / total.clamp(min=torch.finfo(total.dtype).tiny), 1.0)
        return torch.where(met, ratio, 0.0)[None]
