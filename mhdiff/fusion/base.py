"""What a fusion is: a patient's tokens, of which some are there, to one latent.

Whatever stands in a token that is not there (NaN included) has no influence, and no gradient reaches it. With nothing
there the latent is defined, and the same for every such patient. Members without attention read the modalities' tokens
alone; asked for a bias or for concepts' tokens, which they would not look at, they refuse.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor, nn

from ontology.errors import InputError


@dataclass(frozen=True)
class FusionOutput:
    """What the fusion gives.

    Attributes:
        latent: The fused latent.
        tokens: The tokens as the fusion leaves them.
        attention: alpha of each layer, over the tokens and then the anchors; empty where nothing attends.
    """

    latent: Float[Tensor, "batch dim"]
    tokens: Float[Tensor, "batch tokens dim"]
    attention: list[Float[Tensor, "batch heads tokens keys"]]


class Fusion(nn.Module, ABC):
    """From tokens to a latent.

    Args:
        dim: Width of the tokens and of the latent.
    """

    #: Whether guidance's bias and anchors are read, and whether concepts may be tokens beside the modalities.
    reads_bias: bool = False
    reads_concepts: bool = False

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def build(self, modalities: int) -> None:
        """Make what depends on the number of modalities; nothing, unless a member needs it.

        Args:
            modalities: Number of modalities, which are the first tokens.
        """
        return None

    @property
    def lambdas(self) -> list[Float[Tensor, " heads"]]:
        """Lambda of each layer and head, detached, for logging; empty where no bias is read."""
        return []

    @abstractmethod
    def forward(
        self,
        tokens: Float[Tensor, "batch tokens dim"],
        bias: Float[Tensor, "batch #heads tokens tokens"] | None,
        mask: Bool[Tensor, "batch tokens"],
        query_mask: Bool[Tensor, "batch tokens"] | None = None,
        anchors: Float[Tensor, "anchors dim"] | None = None,
        toward: Float[Tensor, "batch heads tokens anchors"] | None = None,
    ) -> FusionOutput:
        """Fuse the tokens of a batch of patients.

        Args:
            tokens: z; an absent modality's may hold anything.
            bias: A, or None.
            mask: True where a token is there.
            query_mask: True where a token is pooled; by default the same as `mask`.
            anchors: Tokens that are only attended to.
            toward: A between tokens and anchors.
        """


def refuse_unread(fusion: Fusion, gives_bias: bool, granularity: str) -> None:
    """Refuse a model that would compute what its fusion does not look at.

    Args:
        fusion: The fusion.
        gives_bias: Whether guidance gives a bias.
        granularity: What the tokens are, `modality` or `concept`.

    Raises:
        InputError: If it does not read the bias, or not the concepts.
    """
    name = type(fusion).__name__
    if gives_bias and not fusion.reads_bias:
        raise InputError(
            f"{name} has no attention that a bias could shift",
            remedy="Set model.guidance: mhdiff.guidance.NoGuidance, or take CrossModalFusion",
        )
    if granularity == "concept" and not fusion.reads_concepts:
        raise InputError(
            f"{name} fuses one token a modality and no concepts",
            remedy="Set model.granularity: modality, or take CrossModalFusion",
        )
