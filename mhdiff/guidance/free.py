r"""A bias that is learned freely, without any ontology: what an ontology must beat to be worth having.

.. math:: A^{head}_{ij} = w_i w_j \frac{(n_i U^{head}) (n_j V^{head})^T}{\sqrt{d_{head}}}, \qquad n = \mathrm{LN}(t)

with tokens t made of the concepts' own embeddings and weights w of the evidence. Without the normalisation LN the bias
is as large as the states happen to be: on the known-answer cohort .03 for embeddings and 2.7 for states after three
rounds of messages, where it moved two thirds of the attention and the tuning loss was worse than without a bias. The
same score over states that messages have passed through is `MessagePassing`; for an arm with exactly its number of
parameters see the null graph `severed`.
"""

from collections.abc import Sequence
from typing import Literal

from jaxtyping import Bool, Float
from torch import Tensor, nn

from graph_builders import ConceptGraph
from mhdiff.batch import EvidenceBatch
from mhdiff.guidance.base import Guidance


class BilinearScore(nn.Module):
    """Scores of all pairs of tokens, by head; of the order of 1 at the start, whatever the scale of the tokens.

    Args:
        dim: Width of a token.
        heads: Number of heads.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(dim, elementwise_affine=False)
        self.query = nn.Linear(dim, dim, bias=False)
        self.key = nn.Linear(dim, dim, bias=False)

    def forward(
        self, tokens: Float[Tensor, "batch token dim"], weight: Float[Tensor, "batch token"]
    ) -> Float[Tensor, "batch heads token token"]:
        """Score every pair.

        Args:
            tokens: t.
            weight: w, how much the evidence of each token counts.
        """
        tokens = self.norm(tokens) * weight[..., None]
        query = self.query(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        key = self.key(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        scores: Tensor = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
        return scores


class Free(Guidance):
    """A learned bias between concepts that knows no ontology.

    Args:
        graph: The concept side of the graph; only its number of nodes is read.
        dim: Width of a token.
        heads: Number of attention heads.
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
        embedding_dropout: float = 0.2,
        embedding_std: float = 0.1,
        features: Literal["all"] | Sequence[str] = (),
        learn_embedding: bool = True,
    ) -> None:
        super().__init__(graph, dim, heads, embedding_dropout, embedding_std, features, learn_embedding)
        self.score = BilinearScore(dim, heads)

    def states(self) -> Float[Tensor, "concept dim"]:
        """Give the embeddings as they are."""
        return self.embedded()

    def pairs(
        self,
        evidence: EvidenceBatch,
        tokens: Float[Tensor, "batch evidence dim"],
        mask: Bool[Tensor, "batch evidence"],
    ) -> Float[Tensor, "batch heads evidence evidence"]:
        """Score every pair by its tokens.

        Args:
            evidence: Read for its weights.
            tokens: Concept tokens.
            mask: Not read.
        """
        scores: Tensor = self.score(tokens, evidence.weight.flatten(1))
        return scores
