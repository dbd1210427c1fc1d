r"""Class guidance (Ho and Salimans 2022).

    v = v(z_t) + w (v(z_t | y) - v(z_t)),      score = grad log p(z_t) + w grad log p(y | z_t)

- y: a label; v(z_t): what the denoiser says when it is not told one;
- w: the scale. 0 is the denoiser without the label and 1 the one with it, both bit for bit and for one run of the
  network; beyond 1 the draws are more typical of the class than its members are, and vary less.

Every view (z_0, eps, score) is linear in v and mixes alike. With w other than 0 and 1 the score is not that of any
noised density: draws from it, and likelihoods, are those of this flow, not of p(z) p(y | z)^w.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from mhdiff.diffusion.condition import UNTOLD, Condition
from mhdiff.diffusion.denoiser import Denoiser, Estimate
from ontology.errors import InputError


class Guided(Denoiser):
    """A denoiser led towards a class.

    Args:
        denoiser: A denoiser that was trained with and without labels.
        label: y, the same for every row; None takes the labels of the condition, of which those untold stay unguided.
        scale: w.
    """

    def __init__(self, denoiser: Denoiser, label: int | None = None, scale: float = 1.0) -> None:
        super().__init__(denoiser.schedule)
        if scale < 0.0:
            raise InputError(
                f"a guidance scale of {scale} leads away from the class",
                remedy="Give 0 (no guidance), 1 (conditional) or more.",
            )
        if label is not None and label < 0:
            raise InputError(f"{label} is no label", remedy="Give a class's number, from 0, or None.")
        self.denoiser, self.label, self.scale = denoiser, label, scale

    @property
    def passes(self) -> int:
        """How often the network is run in one call."""
        return self.denoiser.passes * (1 if self.scale in (0.0, 1.0) else 2)

    def forward(
        self,
        z_t: Float[Tensor, "batch *blocks dim"],
        t: Float[Tensor, "batch *times"],
        condition: Condition | None = None,
    ) -> Estimate:
        """Estimate the clean latent, see `Denoiser.forward`."""
        untold = replace(condition or Condition(), label=None)
        label = None if condition is None else condition.label
        if self.label is not None:
            label = torch.full((len(z_t),), self.label, dtype=torch.int64, device=z_t.device)
        if self.scale == 0.0 or label is None:
            return self.denoiser(z_t, t, untold)
        towards: Estimate = self.denoiser(z_t, t, replace(untold, label=label))
        if self.scale == 1.0:
            return towards
        free: Estimate = self.denoiser(z_t, t, untold)
        v = free.v + self.scale * (towards.v - free.v)
        led = (label != UNTOLD).reshape(-1, *(1,) * (v.ndim - 1))
        return replace(free, v=torch.where(led, v, free.v))
