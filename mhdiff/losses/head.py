"""The head's own loss, for heads that learn from more than the diagnosis, see `mhdiff.head`."""

from __future__ import annotations

from collections.abc import Iterable

from jaxtyping import Float
from torch import Tensor, nn

from mhdiff.losses.base import Loss, LossContext
from mhdiff.model import MHDiff


class HeadLoss(Loss):
    """What `model.head` learns from beside the diagnosis; 0 for a head without such a loss."""

    name = "head"

    def owned(self, net: MHDiff) -> Iterable[nn.Parameter]:
        """The parameters of the head that learn from it alone, see `Loss.owned`."""
        return net.head.own()

    def forward(self, context: LossContext) -> Float[Tensor, ""]:
        """Compute it, see `Loss.forward`."""
        latents = context.output.latents
        z = context.net.prior.denoise(latents)
        return context.net.head.loss(z, latents, context.batch.label, context.generator)
