"""How good generated latents are: their distance to real ones beside the distance of real ones to real ones.

Each real row is given a counterpart, a draw of the row's class, so that classes are as frequent among draws as among
patients, and every figure by class is at the same n. Patients are split into random halves A and B, several times:

    value = d(counterparts of A, real B),      floor = d(real A, real B),      excess = value - floor

at the same n, on the same B; mean and standard deviation over the splits. d is the Fréchet distance, whose bias the
floor shows, and the squared maximum mean discrepancy, which has none and whose floor is 0 but for luck. MMD is also
given over all rows, with an interval by bootstrap over patients, in which a patient's counterpart comes and goes with
the patient; a patient and the own counterpart are never compared, for they share a class. The splits of one set of
patients are not independent: their standard deviation says how much a figure depends on the split, and is no standard
error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from mhdiff.evaluate.bootstrap import Estimate, Resamples, estimate
from mhdiff.evaluate.discrepancy import Discrepancy, median_distance
from mhdiff.evaluate.frechet import frechet_distance

#: With fewer patients than this nothing is said.
FEWEST = 20


@dataclass(frozen=True)
class Counterparts:
    """Real latents, and for each a draw of the same class.

    Attributes:
        real: Latents of patients.
        made: Draws, row by row of the same class.
        subjects: Whose row it is.
        labels: Its class.
    """

    real: Float64[np.ndarray, "n dim"]
    made: Float64[np.ndarray, "n dim"]
    subjects: Int64[np.ndarray, " n"]
    labels: Int64[np.ndarray, " n"]

    def of_class(self, label: int) -> Counterparts:
        """Keep one class.

        Args:
            label: Its number.
        """
        rows = self.labels == label
        return Counterparts(self.real[rows], self.made[rows], self.subjects[rows], self.labels[rows])


def judge(
    pairs: Counterparts, classes: Sequence[str], splits: int = 10, replicates: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """Compare draws with real latents, pooled and class by class.

    Args:
        pairs: Both.
        classes: Names of the classes; empty where the draws know none.
        splits: Number of random halves.
        replicates: Bootstrap resamples of patients.
        seed: Of the halves and resamples.

    Returns:
        `bandwidth` of the kernel, `pooled`, and `per_class` by name: n, n_subjects, `frechet` and `mmd`, which are None
        with a `reason` where there are fewer than `FEWEST` patients.
    """
    bandwidth = median_distance(pairs.real)
    return {
        "bandwidth": bandwidth,
        "pooled": _figures(pairs, bandwidth, splits, replicates, seed),
        "per_class": {
            name: _figures(pairs.of_class(label), bandwidth, splits, replicates, seed)
            for label, name in enumerate(classes)
        },
    }


def compare_draws(
    few: Counterparts, many: Counterparts, splits: int = 10, replicates: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """Compare draws made with less effort with draws made with more, by their distances to the same patients.

    Args:
        few: The former.
        many: The latter, of the same patients in the same order.
        splits: Number of random halves.
        replicates: Bootstrap resamples of patients.
        seed: Of the halves and resamples.

    Returns:
        `frechet` and `mmd`, each `few` minus `many`: above 0 the former are worse.
    """
    enough = _size(few)
    if "reason" in enough:
        return enough
    bandwidth = median_distance(few.real)
    kernels = [_kernel(one, bandwidth) for one in (few, many)]
    rows = Resamples.of(few.subjects, replicates, seed)
    draws = _replicated(kernels, few.subjects, rows)
    gaps = [
        frechet_distance(few.made[a], few.real[b]) - frechet_distance(many.made[a], few.real[b])
        for a, b in _halves(few.subjects, splits, seed)
    ]
    return enough | {
        "frechet": {"value": float(np.mean(gaps)), "sd": _sd(gaps)},
        "mmd": estimate(kernels[0].value - kernels[1].value, draws[0] - draws[1]),
    }


def between(
    x: Float64[np.ndarray, "n dim"],
    y: Float64[np.ndarray, "m dim"],
    x_subjects: Int64[np.ndarray, " n"],
    y_subjects: Int64[np.ndarray, " m"],
    replicates: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Estimate MMD^2 between the real latents of two groups of patients, each resampled by itself.

    Args:
        x: Of the first group, whose median distance is the kernel's width.
        y: Of the second.
        x_subjects: Whose they are.
        y_subjects: Whose they are.
        replicates: Bootstrap resamples.
        seed: Of the resamples.
    """
    size = {"n": len(x), "n_other": len(y)}
    if min(len(np.unique(x_subjects)), len(np.unique(y_subjects))) < FEWEST:
        return estimate(float("nan"), None, f"fewer than {FEWEST} patients in one of the two groups") | size
    kernel = Discrepancy(x, y, x_subjects, y_subjects, median_distance(x))
    groups = [Resamples.of(x_subjects, replicates, seed), Resamples.of(y_subjects, replicates, seed + 1)]
    places = [groups[0].place(x_subjects), groups[1].place(y_subjects)]
    draws = [
        kernel(a[:, places[0]], b[:, places[1]])
        for a, b in zip(groups[0].blocks(), groups[1].blocks(), strict=True)
    ]
    return estimate(kernel.value, np.concatenate(draws) if draws else None) | size


def _figures(
    pairs: Counterparts, bandwidth: float, splits: int, replicates: int, seed: int
) -> dict[str, Any]:
    enough = _size(pairs)
    if "reason" in enough:
        return enough
    judged, floor = _kernel(pairs, bandwidth), _real_kernel(pairs, bandwidth)
    frechet: dict[str, list[float]] = {"value": [], "floor": []}
    mmd: dict[str, list[float]] = {"value": [], "floor": []}
    sizes = []
    for a, b in _halves(pairs.subjects, splits, seed):
        sizes.append(min(int(a.sum()), int(b.sum())))
        frechet["value"].append(frechet_distance(pairs.made[a], pairs.real[b]))
        frechet["floor"].append(frechet_distance(pairs.real[a], pairs.real[b]))
        weights = a.astype(np.float64)[None], b.astype(np.float64)[None]
        mmd["value"].append(float(judged(*weights)[0]))
        mmd["floor"].append(float(floor(*weights)[0]))
    (draws,) = _replicated([judged], pairs.subjects, Resamples.of(pairs.subjects, replicates, seed))
    return enough | {
        "n_each": min(sizes),
        "frechet": _against_floor(frechet),
        "mmd": estimate(judged.value, draws) | {"halves": _against_floor(mmd)},
    }


def _size(pairs: Counterparts) -> dict[str, Any]:
    size: dict[str, Any] = {"n": len(pairs.real), "n_subjects": len(np.unique(pairs.subjects))}
    if size["n_subjects"] < FEWEST:
        reason = f"too few patients to compare: {size['n_subjects']}, of at least {FEWEST}"
        size |= {"frechet": None, "mmd": None, "reason": reason}
    return size


def _against_floor(by_split: dict[str, list[float]]) -> dict[str, float]:
    excess = np.subtract(by_split["value"], by_split["floor"]).tolist()
    return {
        "value": float(np.mean(by_split["value"])),
        "sd": _sd(by_split["value"]),
        "floor": float(np.mean(by_split["floor"])),
        "floor_sd": _sd(by_split["floor"]),
        "excess": float(np.mean(excess)),
        "excess_sd": _sd(excess),
    }


def _sd(values: list[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _kernel(pairs: Counterparts, bandwidth: float) -> Discrepancy:
    return Discrepancy(pairs.made, pairs.real, pairs.subjects, pairs.subjects, bandwidth, matched=True)


def _real_kernel(pairs: Counterparts, bandwidth: float) -> Discrepancy:
    return Discrepancy(pairs.real, pairs.real, pairs.subjects, pairs.subjects, bandwidth)


def _replicated(
    kernels: Sequence[Discrepancy], subjects: Int64[np.ndarray, " n"], resamples: Resamples
) -> list[Float64[np.ndarray, " replicates"]]:
    """MMD^2 of each on the same resamples of patients."""
    place = resamples.place(subjects)
    found: list[list[np.ndarray]] = [[] for _ in kernels]
    for counts in resamples.blocks():
        weights = counts[:, place]
        for kernel, parts in zip(kernels, found, strict=True):
            parts.append(kernel(weights, weights))
    return [np.concatenate(parts) if parts else np.zeros(0) for parts in found]


def _halves(
    subjects: Int64[np.ndarray, " n"], splits: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Which rows are in A and which in B, by patient."""
    unique, place = np.unique(subjects, return_inverse=True)
    for split in range(splits):
        order = np.random.default_rng([seed, split]).permutation(len(unique))
        first = np.zeros(len(unique), dtype=bool)
        first[order[: len(unique) // 2]] = True
        yield first[place], ~first[place]
