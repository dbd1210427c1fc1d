r"""Contrastive alignment: a patient's modalities find each other among the patients of the batch.

    L = mean_{(i,j), b} -log softmax_c( s <z_i^b, z_j^c> )_b,        s = min(exp(theta), 100)

- z_i^b: the latent of modality i of patient b, at length 1; (i, j): every ordered pair of two modalities, or with a
  `center` those that it is one of: M - 1 pairs, and their reverses, in the place of M (M - 1) / 2;
- b, c: patients who have both i and j, at least two of them: a patient with one modality has no part;
- theta: learned, log(1 / temperature).

The plain alternative to `mhdiff.losses.Adversarial`. Radford et al., "Learning transferable visual models from natural
language supervision" (ICML 2021). The negatives are the other patients of this process's batch: several processes with
smaller batches each give another loss than one with all.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mhdiff.losses.base import Loss, LossContext
from mhdiff.losses.schedule import Schedule
from mhdiff.model import MHDiff
from mhdiff.training.spec import DataSpec
from ontology.errors import InputError

_LARGEST_SCALE = 100.0


class Contrastive(Loss):
    """InfoNCE between the modalities that a patient was shown with.

    Args:
        weight: See `Loss`.
        log_only: See `Loss`.
        temperature: What is learned starts here.
        center: Name of the modality that every other one is aligned with; None aligns all pairs.
    """

    name = "contrastive"

    def __init__(
        self,
        weight: float | Schedule = 1.0,
        log_only: bool = False,
        temperature: float = 0.07,
        center: str | None = None,
    ) -> None:
        super().__init__(weight, log_only)
        if not temperature >= 1 / _LARGEST_SCALE:
            raise InputError(
                f"temperature is {temperature}", remedy=f"Give {1 / _LARGEST_SCALE} or more, such as 0.07"
            )
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
        self.center, self.place = center, None if center is None else -1

    def build(self, spec: DataSpec, net: MHDiff) -> None:
        """Refuse data of one modality, see `Loss.build`."""
        if len(spec.modalities) < 2:
            raise InputError(
                "mhdiff.losses.Contrastive aligns modalities, and there is one",
                remedy="Take it out of model.losses",
            )
        if self.center is None:
            return
        if self.center not in spec.modalities:
            raise InputError(
                f"mhdiff.losses.Contrastive has center '{self.center}', which is no modality of these data",
                remedy=f"Name one of {', '.join(spec.modalities)}",
            )
        self.place = spec.modalities.index(self.center)

    def forward(self, context: LossContext) -> Float[Tensor, ""]:
        """Compute it, see `Loss.forward`."""
        latents = context.output.latents
        here = latents.present
        with torch.autocast(here.device.type, enabled=False):
            z = latents.modality.float().masked_fill(~here[..., None], 0.0)
            return self.of(nn.functional.normalize(z, dim=-1), here)

    def of(
        self, z: Float[Tensor, "batch modality dim"], here: Bool[Tensor, "batch modality"]
    ) -> Float[Tensor, ""]:
        """Compute it from latents.

        Args:
            z: Latents of length 1.
            here: Which of them there are, shape (batch, modality).
        """
        rows, count = here.shape
        scale = self.log_scale.exp().clamp(max=_LARGEST_SCALE)
        logits = scale * torch.einsum("bid,cjd->ijbc", z, z)
        both = torch.einsum("bi,bj->ijb", here.float(), here.float()) > 0
        own = torch.eye(rows, dtype=torch.bool, device=z.device)
        # A row keeps its own column whatever it is, so that no softmax is empty.
        log_p = logits.masked_fill(~(both[:, :, None, :] | own), -math.inf).log_softmax(dim=-1)
        of_own = log_p.diagonal(dim1=-2, dim2=-1)
        other = ~torch.eye(count, dtype=torch.bool, device=z.device)[..., None]
        if self.place is not None:
            central = torch.arange(count, device=z.device) == self.place
            other = other & (central[:, None] | central)[..., None]
        part = both & other & (both.sum(dim=-1, keepdim=True) > 1)
        return -of_own.masked_fill(~part, 0.0).sum() / part.sum().clamp(min=1)
