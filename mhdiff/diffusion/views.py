r"""Which blocks of a patient a prior is shown in a training step, and which of these are given.

    a quarter of the rows      the shared block alone
    a quarter                  each block that the patient has is shown with probability 1/2
    the rest                   all that the patient has
    then, but for the first    each shown block is given with probability r, r ~ U(0, 1) for each row, at least one not

Each row is drawn on its own, so that a step holds every kind of question that is asked later: the shared latent
alone (denoising it, drawing it), blocks given others (imputing), some blocks alone (densities).

The shared block is shown together with modalities only for a complete patient. What was fused from fewer
modalities follows another law than what is fused from all, and imputing asks for the latter: with every block
shown, the law that is learned is that of complete patients.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool
from torch import Tensor

Hierarchy = Literal["full", "flat", "no_shared"]


@dataclass(frozen=True)
class View:
    """What is shown of each row.

    Attributes:
        shown: The blocks that are there; block 0 is the shared one.
        given: The observed ones among them; of a row of which anything is shown at least one block is not given.
    """

    shown: Bool[Tensor, "batch blocks"]
    given: Bool[Tensor, "batch blocks"]


def draw_views(
    present: Bool[Tensor, "batch modalities"],
    hierarchy: Hierarchy = "full",
    generator: torch.Generator | None = None,
) -> View:
    """Draw a view of each patient; nothing is shown of one of whom nothing is present.

    Args:
        present: The modalities that each patient has.
        hierarchy: `full`: all blocks; `flat`: the shared block alone; `no_shared`: never the shared block.
        generator: Source of the random numbers.
    """
    complete, known = present.all(dim=1, keepdim=True), present.any(dim=1, keepdim=True)
    shared_alone = torch.cat((known, torch.zeros_like(present)), dim=1)
    if hierarchy == "flat":
        return View(shared_alone, torch.zeros_like(shared_alone))
    has = torch.cat((complete if hierarchy == "full" else torch.zeros_like(complete), present), dim=1)
    u = torch.rand((4, *has.shape), generator=generator, device=present.device)
    kind, share = u[0, :, :1], u[0, :, 1:2]
    thinned = has & (u[1] < 0.5)
    shown = torch.where((kind >= 0.25) & (kind < 0.5), thinned, has)
    given = shown & (u[2] < share)
    # Where all are given, one of them is not: that with the largest of the numbers drawn for it.
    spared = u[3].masked_fill(~shown, -1.0).argmax(dim=1, keepdim=True)
    all_given = (given == shown).all(dim=1, keepdim=True)
    given = given & ~(all_given & torch.zeros_like(given).scatter(1, spared, True))
    if hierarchy == "full":
        alone = kind < 0.25
        shown, given = torch.where(alone, shared_alone, shown), given & ~alone
    return View(shown, given)
