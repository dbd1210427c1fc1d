r"""How much of a metric stays when modalities are withheld: relative and effective robustness.

Of M modalities k are withheld; A_k is the mean of the metric over all patterns that offer M - k, all on the same
samples. With the trapezoid rule over the levels k = 0 .. M - 1,

    relative    = \int A_k dk / (M - 1)                                    the mean height of the curve
    effective   = \int (A_k - A_0) - (R_k - R_0) dk / (M - 1)              what is kept beyond a reference R

The first is high for whoever starts high; the second is about the falling alone, and its reference is another model or,
on a known-answer cohort, the exact posterior, which falls because the information is gone: 0 is then the most that can
be hoped for on average. Terms as in MultiBench (Liang et al., NeurIPS Datasets and Benchmarks 2021) and, for the
second, Taori et al. (NeurIPS 2020), with modalities withheld for noise. Intervals are over patients, all paired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mhdiff.evaluate.bootstrap import Result
from mhdiff.evaluate.metrics import Metrics
from mhdiff.evaluate.patterns import all_patterns, parse_pattern, pattern_name

METRICS = ("auroc", "auprc", "accuracy", "f1")


def combined(results: Sequence[Result], weights: Sequence[float], names: Sequence[str]) -> Result:
    """Give the weighted sum of overall figures, replicate by replicate.

    Args:
        results: On the same resamples.
        weights: One for each.
        names: Which overall figures.
    """

    def one(parts: Sequence[Metrics | None]) -> Metrics | None:
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return None
        pairs = list(zip(weights, known, strict=True))
        return Metrics({m: np.sum([w * part.overall[m] for w, part in pairs], axis=0) for m in names}, {})

    point = one([r.point for r in results])
    assert point is not None
    return Result(point, one([r.draws for r in results]), one([r.without for r in results]))


def area_weights(modalities: Sequence[str]) -> dict[str, float]:
    """Give the weight of each pattern in the area under the curve, which sum to 1.

    Args:
        modalities: At least two.
    """
    last = len(modalities) - 1
    weights = {}
    for subset in all_patterns(modalities):
        withheld = len(modalities) - len(subset)
        same = sum(len(other) == len(subset) for other in all_patterns(modalities))
        weights[pattern_name(subset, modalities)] = (0.5 if withheld in (0, last) else 1.0) / last / same
    return weights


def curve(
    results: Mapping[str, Result],
    modalities: Sequence[str],
    reference: Mapping[str, Result] | None = None,
    *,
    reason: str = "",
    absent: str = "",
) -> dict[str, Any]:
    """Tabulate the levels, and relative and effective robustness.

    Args:
        results: By pattern, the figures of one model on the same samples.
        modalities: The task's modalities, in its order.
        reference: By pattern, those of what it is held against, on the same samples and resamples.
        reason: Why there is no reference.
        absent: Why ranked figures are undefined, if they are.

    Returns:
        {levels: [{withheld, patterns, metric...}], relative, effective}; None with `reason` where a pattern is missing,
        and `effective` None with `effective_reason` where there is no reference.
    """
    nothing: dict[str, Any] = {"levels": None, "relative": None, "effective": None}
    if len(modalities) < 2:
        return nothing | {"reason": "with one modality nothing can be withheld"}
    weights = area_weights(modalities)
    lost = [name for name in weights if name not in results]
    if lost:
        return nothing | {
            "reason": f"{len(lost)} of {len(weights)} patterns were not predicted for these samples: "
            + ", ".join(lost[:3])
        }

    def told(result: Result) -> dict[str, Any]:
        return {m: result.overall(m, absent) for m in METRICS}

    def area(of: Mapping[str, Result]) -> Result:
        return combined([of[name] for name in weights], list(weights.values()), METRICS)

    fullest = next(iter(weights))
    levels = []
    for withheld in range(len(modalities)):
        names = [n for n in weights if len(parse_pattern(n, modalities)) == len(modalities) - withheld]
        mean = combined([results[n] for n in names], [1 / len(names)] * len(names), METRICS)
        levels.append({"withheld": withheld, "patterns": len(names)} | told(mean))
    document = {"levels": levels, "relative": told(area(results)), "effective": None}
    if reference is None or any(name not in reference for name in weights):
        return document | {"effective_reason": reason or "the reference lacks a pattern"}
    fallen = [combined([area(of), of[fullest]], [1.0, -1.0], METRICS) for of in (results, reference)]
    return document | {"effective": told(combined(fallen, [1.0, -1.0], METRICS))}
