r"""What sampling costs, and which sampler is the best for the cost.

Error of the samplers on mixtures of unit variance in 32 dimensions with their exact denoiser, by number of evaluations:
root mean square over 2,400 walks of the distance to where the probability-flow equation ends, over six mixtures of 3 to
20 components. First with a standard deviation of .4 to .7 in every direction, then as latents are: of components that
share variances over four powers of ten, few directions hold nearly all; there also on uniform grids (see `eased`):

                    6      8      10     14     20     24     30     50     100
    DDIM            .195   .160   .135   .107   .089   .079   .071   .055   .045
    DPMSolver       .111   .084   .070   .056   .045   .034   .024   .016   .012
    Heun            .158   .111   .087   .066   .050   .046   .041   .017   .012

    DDIM            .204   .158   .130   .096   .069   .058   .048   .030   .016
    DPMSolver       .074   .046   .033   .020   .011   .008   .005   .002   .0008
    Heun            .172   .106   .074   .043   .023   .017   .011   .004   .0012
      uniform       .215   .143   .103   .062   .036   .027   .019   .008   .0023
      DPM, uniform  .111   .075   .054   .034   .020   .016   .011   .005   .0015

So DPM-Solver++ is the default for all of them. In the median walk, which no component's border crosses, Heun is as good
from 30 on. The others are there to be compared, and the two with noise in every step (`ancestral`, `euler_maruyama`)
for many steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mhdiff.diffusion.condition import Condition
from mhdiff.diffusion.denoiser import Denoiser
from mhdiff.diffusion.multistep import DPMSolver
from mhdiff.diffusion.sampler import DDIM, EulerMaruyama, Heun, Sampler
from ontology.errors import InputError

SamplerName = Literal["dpm_solver", "heun", "ddim", "ancestral", "euler_maruyama"]
#: The samplers by the names that a configuration has for them.
SAMPLERS: dict[str, Callable[[Denoiser, int], Sampler]] = {
    "dpm_solver": DPMSolver,
    "heun": Heun,
    "ddim": DDIM,
    "ancestral": partial(DDIM, eta=1.0),
    "euler_maruyama": EulerMaruyama,
}


def sampler_for(denoiser: Denoiser, evaluations: int = 50, name: SamplerName = "dpm_solver") -> Sampler:
    """A sampler that takes so many evaluations; by default DPM-Solver++, which does best with them.

    Args:
        denoiser: The model that is sampled from.
        evaluations: How often its network may be run for each case; at least one step is taken.
        name: Which of `SAMPLERS`.

    Raises:
        InputError: If there is none of this name.
    """
    if name not in SAMPLERS:
        raise InputError(f"there is no sampler '{name}'", remedy=f"Choose one of {', '.join(SAMPLERS)}.")
    one = SAMPLERS[name](denoiser, 1).evaluations
    return SAMPLERS[name](denoiser, max(evaluations // one, 1))


@dataclass(frozen=True)
class Effort:
    """What a draw cost.

    Attributes:
        evaluations: How often the network was run for each case.
        cases: Number of cases.
        seconds: Wall time of all.
    """

    evaluations: int
    cases: int
    seconds: float

    @property
    def ms_per_case(self) -> float:
        """Wall time of one case in milliseconds, when drawn together with the others."""
        return 1000 * self.seconds / max(self.cases, 1)

    def __add__(self, other: Effort) -> Effort:
        """The effort for the cases of both, of as many evaluations each.

        Args:
            other: The effort for other cases.
        """
        return Effort(self.evaluations, self.cases + other.cases, self.seconds + other.seconds)

    def __str__(self) -> str:
        return (
            f"{self.evaluations} evaluations, {self.ms_per_case:.3g} ms a case "
            f"({self.cases:,} cases in {self.seconds:.2f} s)"
        )


def timed(
    sampler: Sampler,
    z_1: Float[Tensor, "batch *blocks dim"],
    observed: Bool[Tensor, batch * blocks] | None = None,
    generator: torch.Generator | None = None,
    condition: Condition | None = None,
) -> tuple[Float[Tensor, "batch *blocks dim"], Effort]:
    """Call a sampler, without keeping a graph, and say what it cost; the arguments are those of `Sampler.__call__`.

    Args:
        sampler: The sampler.
        z_1: Noise, and clean values where `observed`.
        observed: True where a block is given.
        generator: Source of the random numbers.
        condition: What else is known.
    """
    return measured(
        lambda: sampler(z_1, observed, generator, condition), sampler.evaluations, len(z_1), z_1.device
    )


@torch.no_grad()
def measured(
    draw: Callable[[], Tensor], evaluations: int, cases: int, device: torch.device
) -> tuple[Tensor, Effort]:
    """Draw, without keeping a graph, and say what it cost.

    Args:
        draw: What is done.
        evaluations: How often it runs the network for each case.
        cases: How many cases it gives.
        device: Where it is done, which is waited for.
    """
    clock = torch.get_device_module(device)
    clock.synchronize(device)
    start = time.perf_counter()
    z = draw()
    clock.synchronize(device)
    return z, Effort(evaluations, cases, time.perf_counter() - start)
