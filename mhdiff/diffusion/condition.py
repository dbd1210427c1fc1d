"""What a denoiser is told besides the noisy latent and its times.

- label: which class the latent belongs to; a row that is not told has `UNTOLD`;
- present: which blocks there are. A block that is neither known nor asked for is not there: what stands in it has no
  influence, and the distribution is that of the others;
- observed: which blocks stand at t = 0 and are given; the others are drawn given them.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Int64
from torch import Tensor

UNTOLD = -1


@dataclass(frozen=True)
class Condition:
    """A condition for each row; None stands for: no label told, every block there, none observed.

    Attributes:
        label: Class of each row, or `UNTOLD`.
        present: True for the blocks that are there.
        observed: True for the blocks that are given.
    """

    label: Int64[Tensor, " batch"] | None = None
    present: Bool[Tensor, "batch blocks"] | None = None
    observed: Bool[Tensor, "batch blocks"] | None = None
