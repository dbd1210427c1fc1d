r"""How sure a figure is: the percentile bootstrap over patients, the same resamples for all that is compared.

A replicate draws S patients with replacement from the S patients and weighs each sample by how often its
patient was drawn; samples of one patient stand or fall together. A replicate in which a class is missing
has no AUROC for it: it is NaN there, left out of the percentiles, and counted in `undefined`. With more
than half undefined there is no interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from mhdiff.evaluate.metrics import Metrics, WeightedMetrics, average, concatenate
from mhdiff.evaluate.predictions import Scored
from ontology.errors import InputError

LEVEL = 0.95
_BLOCK = 64  # replicates at a time; part of the seeding, so results do not depend on the machine's memory

Estimate = dict[str, Any]


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
    """

    point: Metrics
    draws: Metrics | None

    def __sub__(self, other: Result) -> Result:
        draws = None if self.draws is None or other.draws is None else self.draws - other.draws
        return Result(self.point - other.point, draws)

    def overall(self, name: str, reason: str = "") -> Estimate:
        """Give one overall metric with its interval.

        Args:
            name: The metric.
            reason: Why it is undefined, if it is.
        """
        draws = None if self.draws is None else self.draws.overall[name]
        return estimate(float(self.point.overall[name][0]), draws, reason)

    def per_class(self, name: str, index: int, reason: str = "") -> Estimate:
        """Give one metric of one class with its interval.

        Args:
            name: The metric.
            index: The class.
            reason: Why it is undefined, if it is.
        """
        draws = None if self.draws is None else self.draws.per_class[name][:, index]
        return estimate(float(self.point.per_class[name][0, index]), draws, reason)


def estimate(value: float, draws: Float64[np.ndarray, " replicates"] | None, reason: str = "") -> Estimate:
    """Write a figure as {value, low, high, undefined}, with None and a `reason` for what is undefined.

    Args:
        value: The figure on the data as they are.
        draws: Its replicates, NaN where undefined; None where there are too few patients to resample.
        reason: Why the figure is undefined, if it is.
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
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {"value": value, "low": float(low), "high": float(high), "undefined": undefined}


def bootstrap(arms: Mapping[str, Sequence[Scored]], resamples: Resamples) -> dict[str, Result]:
    """Compute every metric of every arm on the same resamples; an arm's runs (seeds) are averaged in each.

    Args:
        arms: By name, the predictions of one or more runs.
        resamples: The draws of patients; with fewer than two patients there are none.
    """
    ready = {
        name: [(WeightedMetrics(run), resamples.place(run.subjects)) for run in runs]
        for name, runs in arms.items()
    }
    points = {
        name: average([metrics(np.ones((1, rows.size))) for metrics, rows in runs])
        for name, runs in ready.items()
    }
    blocks: dict[str, list[Metrics]] = {name: [] for name in arms}
    if resamples.subjects.size > 1:
        for counts in resamples.blocks():
            for name, runs in ready.items():
                blocks[name].append(average([metrics(counts[:, rows]) for metrics, rows in runs]))
    return {name: Result(points[name], concatenate(blocks[name]) if blocks[name] else None) for name in arms}
