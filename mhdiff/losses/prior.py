"""The prior's own loss, `diff` in the proposal: what the prior alone learns from, see `mhdiff.diffusion.prior`.

In training the prior sees the latents of the complete patients: it would otherwise learn that what masking has hidden
is missing from the population. Whether a gradient reaches the encoders is the prior's decision, and by default none
does, since encoders can lower a denoising loss by collapsing.
"""

from __future__ import annotations

from collections.abc import Iterable

from jaxtyping import Float
from torch import Tensor, nn

from mhdiff.losses.base import Loss, LossContext
from mhdiff.model import MHDiff


class PriorLoss(Loss):
    """What `model.prior` learns from. Its weight sets the prior's learning rate relative to the rest."""

    name = "prior"
    teaches_prior = True

    def owned(self, net: MHDiff) -> Iterable[nn.Parameter]:
        """The prior's parameters, see `Loss.owned`."""
        return net.prior.parameters()

    def forward(self, context: LossContext) -> Float[Tensor, ""]:
        """Compute it, see `Loss.forward`."""
        prior = context.net.prior
        latents = (
            context.latents if prior.learning else context.output.latents
        )  # the former cost another fusion
        return prior.loss(latents, label=context.batch.label, generator=context.generator)
