r"""How sure a figure is: the bootstrap over patients, the same resamples for all that is compared.

A replicate draws S patients with replacement from the S patients and weighs each sample by how often its
patient was drawn; samples of one patient stand or fall together. A replicate in which a class is missing
has no AUROC for it: it is NaN there, left out of the percentiles, and counted in `undefined`. With more
than half undefined there is no interval.

Intervals are percentiles of the replicates; with `accelerated` they are BCa's, from the same replicates and from the
figures without one patient, or one group of them, after the other (`mhdiff.evaluate.bca`). A difference of two
results is a figure like any other: replicates and left-out figures are subtracted pair by pair.

Calibration errors are sums of absolute values: a sample's is above the population's, and a resample's above the
sample's, so that percentiles and BCa, which look at replicates alone, may lie wholly on the wrong side (in simulated
studies of 100 and 500 patients, 1.5 times overconfident, they covered the top label's in 22 to 84 % where 95 was said).
Theirs is the basic interval, the replicates reflected at the figure t, [2 t - t_(.975), 2 t - t_(.025)], cut at 0 and
stretched to hold t (86 to 90 %). What an error is for calibrated probabilities stands beside it, see
`mhdiff.evaluate.calibration_error.floor`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from threadpoolctl import threadpool_limits

from mhdiff.evaluate.bca import bca, left_out
from mhdiff.evaluate.metrics import CALIBRATION_ERRORS, Metrics, WeightedMetrics, average, concatenate
from mhdiff.evaluate.predictions import Scored
from ontology.errors import InputError

LEVEL = 0.95
_BLOCK = 64  # replicates at a time; part of the seeding, so results do not depend on the machine's memory
_AT_ONCE = (
    1_000_000  # weights; larger arrays come fresh from the system for every operation, at twice the time
)

Estimate = dict[str, Any]
Figures = Callable[[Float64[np.ndarray, "replicates n"]], Metrics]


@dataclass(frozen=True)
class Resamples:
    """Seeded draws of patients, the same whenever they are asked for.

    Args:
        subjects: The patients, ascending, each once.
        replicates: How many resamples; 0 gives no intervals.
        seed: Seed of the draws.
    """

    subjects: Int64[np.ndarray, " subjects"]
    replicates: int
    seed: int

    @classmethod
    def of(cls, subjects: Int64[np.ndarray, " n"], replicates: int, seed: int) -> Resamples:
        """Make resamples of the patients behind these rows.

        Args:
            subjects: subject_id of each row.
            replicates: How many resamples.
            seed: Seed of the draws.

        Raises:
            InputError: If there are no patients or the number of replicates is negative.
        """
        unique = np.unique(subjects)
        if unique.size == 0:
            raise InputError("there are no patients to resample", remedy="Evaluate at least one patient")
        if replicates < 0:
            raise InputError(f"{replicates} bootstrap replicates cannot be drawn", remedy="Give 0 or more")
        return cls(unique, replicates, seed)

    def blocks(self) -> Iterator[Float64[np.ndarray, "block subjects"]]:
        """Yield how often each patient is drawn, a block of replicates at a time."""
        size = self.subjects.size
        for index, start in enumerate(range(0, self.replicates, _BLOCK)):
            rows = min(_BLOCK, self.replicates - start)
            drawn = np.random.default_rng([self.seed, index]).integers(size, size=(rows, size))
            flat = (drawn + np.arange(rows)[:, None] * size).ravel()
            yield np.bincount(flat, minlength=rows * size).reshape(rows, size).astype(np.float64)

    def place(self, subjects: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """Give the position of each row's patient among the resampled patients.

        Args:
            subjects: subject_id of each row.

        Raises:
            InputError: If a patient is not among them.
        """
        at = np.minimum(np.searchsorted(self.subjects, subjects), self.subjects.size - 1)
        strangers = np.unique(subjects[self.subjects[at] != subjects])
        if strangers.size:
            raise InputError(
                f"{strangers.size} patients are not among those resampled, such as {strangers[0]}"
            )
        return at


@dataclass(frozen=True)
class Result:
    """The figures and their bootstrap replicates.

    Args:
        point: On the data as they are: one replicate.
        draws: On the resamples.
        without: With one group of patients after the other left out; None where intervals are percentiles.
        difference: Whether the figures are differences, which may be below 0.
    """

    point: Metrics
    draws: Metrics | None
    without: Metrics | None = None
    difference: bool = False

    def __sub__(self, other: Result) -> Result:
        draws = None if self.draws is None or other.draws is None else self.draws - other.draws
        without = None if self.without is None or other.without is None else self.without - other.without
        return Result(self.point - other.point, draws, without, difference=True)

    def overall(self, name: str, reason: str = "") -> Estimate:
        """Give one overall metric with its interval.

        Args:
            name: The metric.
            reason: Why it is undefined, if it is.
        """
        draws = None if self.draws is None else self.draws.overall[name]
        without = None if self.without is None else self.without.overall[name]
        return self._estimate(name, float(self.point.overall[name][0]), draws, reason, without)

    def per_class(self, name: str, index: int, reason: str = "") -> Estimate:
        """Give one metric of one class with its interval.

        Args:
            name: The metric.
            index: The class.
            reason: Why it is undefined, if it is.
        """
        draws = None if self.draws is None else self.draws.per_class[name][:, index]
        without = None if self.without is None else self.without.per_class[name][:, index]
        return self._estimate(name, float(self.point.per_class[name][0, index]), draws, reason, without)

    def _estimate(
        self,
        name: str,
        value: float,
        draws: Float64[np.ndarray, " replicates"] | None,
        reason: str,
        without: Float64[np.ndarray, " groups"] | None,
    ) -> Estimate:
        found = estimate(value, draws, reason, without)
        if name not in CALIBRATION_ERRORS or found["low"] is None or draws is None:
            return found
        low, high = 2 * value - np.nanquantile(draws, [(1 + LEVEL) / 2, (1 - LEVEL) / 2])
        if not self.difference:
            low, high = max(float(low), 0.0), max(float(high), value)
        found.pop("remark", None)
        return found | {"low": float(low), "high": float(high)}


def estimate(
    value: float,
    draws: Float64[np.ndarray, " replicates"] | None,
    reason: str = "",
    without: Float64[np.ndarray, " groups"] | None = None,
) -> Estimate:
    """Write a figure as {value, low, high, undefined}, with None and a `reason` for what is undefined.

    Args:
        value: The figure on the data as they are.
        draws: Its replicates, NaN where undefined; None where there are too few patients to resample.
        reason: Why the figure is undefined, if it is.
        without: The figure without each group of patients, for a BCa interval; a `remark` says where that does
            not exist and percentiles are given.
    """
    if np.isnan(value):
        why = reason or "undefined on these samples"
        return {
            "value": None,
            "low": None,
            "high": None,
            "undefined": 0 if draws is None else len(draws),
            "reason": why,
        }
    if draws is None or not len(draws):
        return {
            "value": value,
            "low": None,
            "high": None,
            "undefined": 0,
            "reason": "no interval: not resampled",
        }
    defined = draws[~np.isnan(draws)]
    undefined = len(draws) - len(defined)
    if 2 * undefined > len(draws):
        why = (
            f"no interval: undefined in {undefined} of {len(draws)} replicates, in which a class was missing"
        )
        return {"value": value, "low": None, "high": None, "undefined": undefined, "reason": why}
    if without is not None:
        low, high, why = bca(value, defined, without, LEVEL)
        remark = {"remark": f"percentile interval, not BCa: {why}"} if why else {}
        return {"value": value, "low": low, "high": high, "undefined": undefined} | remark
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {"value": value, "low": float(low), "high": float(high), "undefined": undefined}


def bootstrap(
    arms: Mapping[str, Sequence[Scored]],
    resamples: Resamples,
    *,
    figures: Callable[[Scored], Figures] = WeightedMetrics,
    accelerated: bool = False,
) -> dict[str, Result]:
    """Compute every metric of every arm on the same resamples; an arm's runs (seeds) are averaged in each.

    Args:
        arms: By name, the predictions of one or more runs.
        resamples: The draws of patients; with fewer than two patients there are none.
        figures: What is computed: from predictions to a function of weightings. `EveryMetric` has all there is.
        accelerated: Whether intervals are BCa's, which costs up to 200 weightings more, or percentiles.
    """
    ready = {
        name: [(figures(run), resamples.place(run.subjects)) for run in runs] for name, runs in arms.items()
    }
    points = {
        name: average([metrics(np.ones((1, rows.size))) for metrics, rows in runs])
        for name, runs in ready.items()
    }

    step = max(1, _AT_ONCE // max((rows.size for runs in ready.values() for _, rows in runs), default=1))

    def weighted(counts: Float64[np.ndarray, "block subjects"]) -> dict[str, Metrics]:
        return {name: average([m(counts[:, rows]) for m, rows in runs]) for name, runs in ready.items()}

    def over(weightings: Iterable[Float64[np.ndarray, "block subjects"]]) -> dict[str, Metrics]:
        parts: list[dict[str, Metrics]] = []
        # BLAS's own threads wait for each other in each of many small products; ours share out whole pieces instead.
        alone = threadpool_limits(1, "blas") if step < _BLOCK else nullcontext()
        with alone, ThreadPoolExecutor(2) as pool:
            for block in weightings:
                pieces = [block[start : start + step] for start in range(0, len(block), step)]
                parts += pool.map(weighted, pieces) if len(pieces) > 1 else map(weighted, pieces)
        return {name: concatenate([part[name] for part in parts]) for name in arms} if parts else {}

    size = resamples.subjects.size
    draws = over(resamples.blocks()) if size > 1 else {}
    without = over(left_out(size, resamples.seed)) if accelerated and draws else {}
    return {name: Result(points[name], draws.get(name), without.get(name)) for name in arms}
