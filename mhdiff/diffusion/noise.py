"""Normal numbers for draws of a batch: each row its own, or all rows the same ones.

With common numbers what is drawn for a patient depends on the seed and on the patient alone, not on who else is in the
batch, and two patients differ by what is known of them and not by luck. Draws of different patients are then not
independent of each other: for a synthetic population each row wants its own.

A generator may live on another device than the rows. Devices differ in the numbers that they give for one seed: what is
settled on one and explained on another wants its numbers from one place, the processor.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


class Noise:
    """Gives standard normal numbers for draws x batch rows, the draws outermost.

    Args:
        draws: How many draws each row has.
        batch: How many rows there are.
        common: Whether all rows of a draw have the same numbers.
        generator: Where the numbers come from.
    """

    def __init__(
        self, draws: int, batch: int, common: bool, generator: torch.Generator | None = None
    ) -> None:
        self.draws, self.batch, self.common, self.generator = draws, batch, common, generator

    def __call__(self, like: Float[Tensor, rows * shape]) -> Float[Tensor, rows * shape]:
        """Draw for every row.

        Args:
            like: A tensor of the wanted shape, type and device.
        """
        shape = (self.draws, 1 if self.common else self.batch, *like.shape[1:])
        device = like.device if self.generator is None else self.generator.device
        drawn = torch.randn(shape, generator=self.generator, dtype=like.dtype, device=device).to(like.device)
        return drawn.expand(self.draws, self.batch, *like.shape[1:]).reshape(like.shape)


#: Where a stochastic sampler's numbers come from: a generator, or a `Noise` of as many rows as are walked.
Source = torch.Generator | Noise | None
