r"""What an encoder gave once stands in the encoder's place: z_m = W e_m + b.

- e_m: what `mhdiff embed` stored for the patient; z_m: the latent of the modality.

Of a frozen pretrained network e_m is the pooled feature, and W is the projection that the live encoder would train
too: nothing is lost by storing. Of a trained encoder e_m is its latent, and W starts as the identity where the widths
agree: what follows starts where that encoder stood, and can still turn and stretch what it is given, which an identity
that stays one could not.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mhdiff.encoders.base import Encoder, Inputs
from mhdiff.encoders.specs import EmbeddingSpec


class Embedded(Encoder):
    """A linear map of a stored embedding.

    Args:
        spec: What is stored.
        dim: Width of the latent.
    """

    def __init__(self, spec: EmbeddingSpec, dim: int) -> None:
        super().__init__(dim)
        self.out = nn.Linear(spec.width, dim)
        if spec.is_latent and spec.width == dim:
            with torch.no_grad():
                self.out.weight.copy_(torch.eye(dim))
                self.out.bias.zero_()

    def differentiable(self, inputs: Inputs) -> Float[Tensor, "batch width"]:
        """Give the stored embedding.

        Args:
            inputs: `embedding`, `[batch, width]`.
        """
        return inputs["embedding"]

    def encode(self, x: Float[Tensor, "batch width"], inputs: Inputs) -> Float[Tensor, "batch dim"]:
        """Give the latent.

        Args:
            x: The embedding.
            inputs: Not read.
        """
        return self.out(x)

    def baseline(self, inputs: Inputs) -> Float[Tensor, "batch width"]:
        """Give the embedding 0.

        Args:
            inputs: `embedding`, `[batch, width]`.
        """
        return torch.zeros_like(inputs["embedding"])
