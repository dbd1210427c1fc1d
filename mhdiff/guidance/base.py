r"""One small interface: concept graph + evidence -> concept tokens and the bias between all tokens.

Tokens stand in this order: first one a modality, :math:`z_1 .. z_M`, then the evidence, `slot` places for each
modality. The bias :math:`A_{ij}` is per patient; what is the same for every patient, or constant along a row,
would carry no knowledge of the patient or cancel in the softmax.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from graph_builders import ConceptGraph
from mhdiff.batch import EvidenceBatch
from ontology.recognise import POLARITIES


@dataclass
class GuidanceOutput:
    """What guidance hands to fusion.

    Attributes:
        tokens: Concept tokens, modality by modality.
        mask: True where a token holds evidence of a present modality.
        bias: A between all tokens (modalities first), with a dimension of 1 or `heads`; None where there is none.
    """

    tokens: Float[Tensor, "batch evidence dim"]
    mask: Bool[Tensor, "batch evidence"]
    bias: Float[Tensor, "batch #heads token token"] | None


class Guidance(nn.Module, ABC):
    r"""Base of the family. A concept c of polarity p and weight w gives the token

    .. math:: t = w \cdot (h_c + e_p), \qquad h = \mathrm{states}(E),

    with a learned embedding E and e_p of each polarity. Subclasses say what `states` and the bias are. It does not
    know modalities' latents: those meet the evidence in the attention.

    Args:
        graph: The concept side of the graph.
        dim: Width of a token.
        heads: Number of attention heads.
        embedding_dropout: Probability that a concept's own embedding is blanked in a training step, so that its
            neighbours (where there are any) must speak for it, as they must for a concept never seen.
        embedding_std: Standard deviation of the initial embedding.

    Attributes:
        gives_bias: Whether there is a bias at all; without one lambda has nothing to scale and is not trained.
        learns_bias: Whether the bias depends on parameters.
    """  # noqa: D415

    gives_bias = False
    learns_bias = False

    def __init__(
        self,
        graph: ConceptGraph,
        dim: int,
        heads: int,
        embedding_dropout: float = 0.2,
        embedding_std: float = 0.1,
    ) -> None:
        super().__init__()
        self.dim, self.heads, self.embedding_dropout = dim, heads, embedding_dropout
        self.embedding = nn.Embedding(graph.num_nodes, dim)
        nn.init.normal_(self.embedding.weight, std=embedding_std)
        self.polarity = nn.Embedding(len(POLARITIES), dim)
        nn.init.normal_(self.polarity.weight, std=embedding_std)

    def embedded(self) -> Float[Tensor, "concept dim"]:
        """Give each concept's own embedding, some of them blanked while training."""
        weight = self.embedding.weight
        if not self.training or self.embedding_dropout == 0:
            return weight
        keep = torch.rand(weight.shape[0], 1, device=weight.device) >= self.embedding_dropout
        return weight * keep

    @abstractmethod
    def states(self) -> Float[Tensor, "concept dim"]:
        """Give the state of every concept of the graph, once a step for the whole batch."""

    @abstractmethod
    def bias(
        self,
        evidence: EvidenceBatch,
        tokens: Float[Tensor, "batch evidence dim"],
        mask: Bool[Tensor, "batch evidence"],
    ) -> Float[Tensor, "batch #heads token token"] | None:
        """Give A between all tokens, modalities first.

        Args:
            evidence: The batch's evidence.
            tokens: Its concept tokens.
            mask: Which of them hold evidence of a present modality.
        """

    def forward(self, evidence: EvidenceBatch, present: Bool[Tensor, "batch modality"]) -> GuidanceOutput:
        """Give concept tokens and bias for a batch.

        Args:
            evidence: The batch's evidence, `slot` places for each modality.
            present: Which modalities may be used; evidence of the others counts as not there.
        """
        mask = (evidence.mask & present[:, :, None]).flatten(1)
        states = self.states()[evidence.concept.clamp(min=0)] + self.polarity(evidence.polarity.clamp(min=0))
        tokens = (states * evidence.weight[..., None]).flatten(1, 2)
        tokens = torch.where(mask[..., None], tokens, tokens.new_zeros(()))
        return GuidanceOutput(tokens, mask, self.bias(evidence, tokens, mask))


class NoGuidance(Guidance):
    """No ontology: concept tokens are plain learned embeddings and there is no bias (lambda = 0)."""

    def states(self) -> Float[Tensor, "concept dim"]:
        """Give the embeddings as they are."""
        return self.embedded()

    def bias(
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
