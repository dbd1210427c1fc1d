"""What passes from the encoders and the fusion to a prior."""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Latents:
    """What the fusion and the encoders say of a batch of patients.

    Attributes:
        shared: The fused latent z of what is present.
        modality: The latent z_m of each modality; anything where it is absent.
        present: Which modalities are present.
    """

    shared: Float[Tensor, "batch dim"]
    modality: Float[Tensor, "batch modalities dim"]
    present: Bool[Tensor, "batch modalities"]

    @property
    def known(self) -> Bool[Tensor, " batch"]:
        """True for a patient of whom anything is present."""
        return self.present.any(dim=1)

    @property
    def complete(self) -> Bool[Tensor, " batch"]:
        """True for a patient of whom everything is present."""
        return self.present.all(dim=1)
