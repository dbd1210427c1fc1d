"""Which ways to diagnose a run tries before it settles on one: `model.inference` in YAML.

Complete patients have nothing to impute: they are denoised, at each of `times`. For the others

    denoise   what was fused from what is there, at each of `times`
    mean      the conditional mean of what is missing, one evaluation: as the shared latent, and through the fusion
    shared    `draws` draws of the complete patient's shared latent
    fusion    `draws` draws of the missing modalities, each fused with what is there

are tried, imputed ones denoised at each of `imputed_times`. A prior that knows no time is asked once, one that has no
model of the shared latent beside the modalities imputes through the fusion alone, and where all draws would be the same
their mean takes their place. An arm of an ablation is a choice among these:

    denoise:    [--model.inference.ways=[denoise]]
    impute_32:  ["--model.inference.ways=[shared,fusion]", --model.inference.draws=32]
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from mhdiff.diffusion.prior_base import Prior
from mhdiff.inference import Way
from ontology.errors import InputError

Name = Literal["denoise", "mean", "shared", "fusion"]


@dataclass(frozen=True)
class Candidates:
    """What is tried.

    Attributes:
        ways: Which ways incomplete patients are tried on.
        times: Times of denoising what was fused, in [0, 1]: 0 leaves it as it is.
        imputed_times: Times of denoising what was imputed; each costs one more evaluation a draw.
        draws: Number of imputations whose probabilities are averaged, K.
        steps: Effort of a draw, see `Prior.impute`.
    """

    ways: tuple[Name, ...] = ("denoise", "mean", "shared", "fusion")
    times: tuple[float, ...] = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)
    imputed_times: tuple[float, ...] = (0.0, 0.1, 0.2)
    draws: int = 8
    steps: int = 8

    def __post_init__(self) -> None:
        for name in ("ways", "times", "imputed_times"):  # YAML has lists
            object.__setattr__(self, name, tuple(getattr(self, name)))
        known = get_args(Name)
        if not self.ways or any(way not in known for way in self.ways):
            raise InputError(
                f"model.inference.ways is {list(self.ways)}", remedy=f"Name one or more of {', '.join(known)}"
            )
        for name in ("times", "imputed_times"):
            times = getattr(self, name)
            if not times or not all(0.0 <= time <= 1.0 for time in times):
                raise InputError(
                    f"model.inference.{name} is {list(times)}",
                    remedy="Give one or more times in [0, 1]: 0 is data and 1 is noise",
                )
        for name in ("draws", "steps"):
            if getattr(self, name) < 1:
                raise InputError(
                    f"model.inference.{name} is {getattr(self, name)}",
                    remedy="Give 1 or more; without draws are the ways denoise and mean",
                )

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()
        }

    def of(self, prior: Prior, incomplete: bool) -> list[Way]:
        """Give the ways that are tried with a prior, those that come first preferred.

        Args:
            prior: The prior.
            incomplete: For patients who lack some modality, or for those with all.

        Raises:
            InputError: If the prior has none of the ways that were asked for.
        """
        times: tuple[float | None, ...] = self.times if prior.knows_time else (None,)
        denoising = [Way(time=time) for time in times]
        if not incomplete:
            return denoising
        found = denoising if "denoise" in self.ways else []
        if prior.imputes:
            found = found + self._imputing(prior)
        if not found:
            raise InputError(
                f"model.inference.ways is {list(self.ways)}, and {type(prior).__name__} imputes in none of these ways",
                remedy="Add denoise"
                + (", or fusion" if prior.imputes else ", or take a prior that imputes, see docs/prior.md"),
            )
        return found

    def _imputing(self, prior: Prior) -> list[Way]:
        """The ways that fill in what is missing, without repetition."""
        times: tuple[float | None, ...] = self.imputed_times if prior.knows_time else (None,)
        kinds: dict[tuple[Literal["shared", "fusion"], int], None] = {}
        for via in ("shared", "fusion"):
            if via == "shared" and not prior.draws_shared:
                continue
            if "mean" in self.ways:
                kinds[via, 0] = None
            if via in self.ways:
                kinds[via, self.draws if prior.has_spread else 0] = None
        return [
            Way(time=time, draws=draws, steps=self.steps, via=via, mean=not draws)
            for via, draws in kinds
            for time in times
        ]


#: What is tried where nothing else is asked for.
CANDIDATES = Candidates()
