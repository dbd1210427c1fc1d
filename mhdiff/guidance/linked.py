r"""The founding proposal's binary A_onto.

.. math:: A_{ij} = 1 \text{ if a concept of token } i \text{ and one of token } j \text{ are at most } k
          \text{ relations apart, else } 0

A modality's concepts are all its evidence; a concept token's is itself. Two concepts are at most k steps apart exactly
when the ball of radius :math:`\lceil k/2 \rceil` around one and that of radius :math:`\lfloor k/2 \rfloor` around the
other share a concept, so small balls are all that is stored.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from graph_builders import ConceptGraph
from graph_builders.reach import meets, reach_around
from mhdiff.guidance.lookup import PairLookup, ReachIndex


class Linked(PairLookup):
    """Binary links between evidence within `hops` relations; concept tokens are plain embeddings.

    Args:
        graph: The concept side of the graph.
        dim: Width of a token.
        heads: Number of attention heads.
        hops: How many relations, in either direction, still count as linked.
        relations: Names of the relations that link, as the graph has them; all by default.
        polarity_gain: See `PairLookup`.
        embedding_dropout: See `Guidance`.
        embedding_std: See `Guidance`.
        features: See `Guidance`.
        learn_embedding: See `Guidance`.

    Raises:
        InputError: If the graph has no such relation, or hops is negative.
    """

    summary: ClassVar[Literal["mean", "any"]] = "any"

    def __init__(
        self,
        graph: ConceptGraph,
        dim: int,
        heads: int,
        hops: int = 2,
        relations: Sequence[str] | None = None,
        polarity_gain: Literal["ignore", "learned"] = "ignore",
        embedding_dropout: float = 0.2,
        embedding_std: float = 0.1,
        features: Literal["all"] | Sequence[str] = "all",
        learn_embedding: bool = True,
    ) -> None:
        super().__init__(
            graph, dim, heads, polarity_gain, embedding_dropout, embedding_std, features, learn_embedding
        )
        if polarity_gain == "learned":
            self.summary = "mean"  # type: ignore[misc]  # "any" of numbers that may be negative means nothing
        far = reach_around(graph, hops - hops // 2, relations)
        self.relations = tuple(name for name in far.relations if name)
        self.near = ReachIndex(reach_around(graph, hops // 2, relations))
        self.far = ReachIndex(far)

    def look_up(self, a: Int64[Tensor, " pairs"], b: Int64[Tensor, " pairs"]) -> Float[Tensor, "1 pairs"]:
        """Say which pairs are linked.

        Args:
            a: First concepts.
            b: Second concepts.
        """
        linked = meets(self.far.meet(a, b, self.near), len(a))
        return linked[None].to(torch.get_default_dtype())
