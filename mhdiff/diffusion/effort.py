r"""What sampling costs, and which sampler is the best for the cost.

Error of the samplers on mixtures of unit variance in 32 dimensions with their exact denoiser, by number of evaluations:
root mean square over 2,000 walks of the distance to where the probability-flow equation ends, over six mixtures of 3
to 20 components with a standard deviation of .4 to .7; below it the median walk, which no component's border crosses:

                    6      8      10     14     20     24     30     50     100
    DDIM            .196   .156   .130   .101   .077   .067   .056   .039   .024
    DPMSolver       .127   .088   .071   .048   .033   .027   .019   .007   .002
    Heun            .177   .123   .090   .058   .035   .027   .019   .005   .001

    DDIM            .148   .113   .091   .066   .046   .039   .031   .019   .010
    DPMSolver       .054   .025   .016   .011   .008   .006   .004   .002   .0006
    Heun            .065   .041   .028   .016   .008   .006   .004   .001   .0004

So DPM-Solver++ below 24 evaluations, and Heun from there on. DDIM wins nowhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mhdiff.diffusion.condition import Condition
from mhdiff.diffusion.denoiser import Denoiser
from mhdiff.diffusion.multistep import DPMSolver
from mhdiff.diffusion.sampler import Heun, Sampler

_FEW_EVALUATIONS = 24  # where Heun overtakes DPM-Solver++ in the table above


def sampler_for(denoiser: Denoiser, evaluations: int = 50) -> Sampler:
    """The sampler that does best with so many evaluations: Heun, and below 24 of them DPM-Solver++.

    Args:
        denoiser: The model that is sampled from.
        evaluations: How often its network may be run for each case; at least one step is taken.
    """
    asked = evaluations // denoiser.passes
    if asked < _FEW_EVALUATIONS:
        return DPMSolver(denoiser, max(asked, 1))
    return Heun(denoiser, asked // Heun.evaluations_per_step)


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
