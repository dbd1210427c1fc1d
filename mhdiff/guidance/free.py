"""A bias that is learned freely, without any ontology: what an ontology must beat to be worth having.

Its tokens are the concepts' own embeddings, its score that of `mhdiff.guidance.scored`. The same score over states that
messages have passed through is `MessagePassing`; for an arm with exactly its number of parameters see the null graph
`severed`.
"""

from collections.abc import Sequence
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from graph_builders import ConceptGraph
from mhdiff.guidance.scored import BilinearScore, Scored


class Free(Scored):
    """A learned bias between concepts that knows no ontology.

    Args:
        graph: The concept side of the graph; only its number of nodes is read.
        dim: Width of a token.
        heads: Number of attention heads.
        anchors: Number of anchors, see `mhdiff.fusion.attention`.
        embedding_dropout: See `Guidance`.
        embedding_std: See `Guidance`.
        features: See `Guidance`; none by default, since most features come from the ontology.
        learn_embedding: See `Guidance`.
    """

    gives_bias = learns_bias = reads_tokens = True

    def __init__(
        self,
        graph: ConceptGraph,
        dim: int,
        heads: int,
        anchors: int = 0,
        embedding_dropout: float = 0.2,
        embedding_std: float = 0.1,
        features: Literal["all"] | Sequence[str] = (),
        learn_embedding: bool = True,
    ) -> None:
        super().__init__(graph, dim, heads, embedding_dropout, embedding_std, features, learn_embedding)
        self.score = BilinearScore(dim, heads, anchors)

    def states(self) -> Float[Tensor, "concept dim"]:
        """Give the embeddings as they are."""
        return self.embedded()
