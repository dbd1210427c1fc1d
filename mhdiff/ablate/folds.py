"""A difference between arms fold by fold, tested by the corrected resampled t (`mhdiff.evaluate.folds`).

A fold's figure of an arm is the mean over its seeds on the patients held out there: seeds are averaged and never
counted as folds. Where folds are dealt r times there are r x k of them, numbered through the repetitions. It stands
beside the interval over patients and asks something else: whether the arm would be better again were both trained
anew. The luck of a null's draw is not in it; that is what the rank is for. A fold in which a class is missing has no
macro figure, and then there is no test: the fold is named, not left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mhdiff.ablate.pool import Pooled
from mhdiff.ablate.rare import Rare
from mhdiff.evaluate.bootstrap import Estimate, Result
from mhdiff.evaluate.folds import corrected_t
from mhdiff.evaluate.metrics import Metrics, WeightedMetrics, average

NOTHING: Estimate = dict.fromkeys(("value", "low", "high", "p", "df", "folds"))


def fold_figures(pooled: Pooled, rare: Rare | None = None) -> list[Metrics]:
    """Give an arm's figures on each fold of every repetition, the mean over its seeds.

    Args:
        pooled: The arm.
        rare: The rare classes, whose figures are added.
    """
    found = []
    for parts in zip(*pooled.by_fold, strict=True):
        mean = average([WeightedMetrics(part)(np.ones((1, len(part.samples)))) for part in parts])
        found.append(mean if rare is None else rare.added(Result(mean, None)).point)
    return found


def over_folds(
    first: Sequence[Metrics], second: Sequence[Metrics], metric: str, sizes: Sequence[tuple[int, int]]
) -> Estimate:
    """Estimate first minus second over folds.

    Args:
        first: One arm's figures by fold.
        second: The other's.
        metric: Which overall metric.
        sizes: Patients trained on and held out, by fold.

    Returns:
        {value, low, high, p, df, folds}, with a reason where there is no test.
    """
    if len(first) < 2 or len(first) != len(second):
        return NOTHING | {"reason": "there are no folds to test over"}
    trained, tested = np.mean(sizes, axis=0)
    if trained < 1:
        return NOTHING | {"reason": "how many patients each fold was trained on is not known"}
    d = [float(a.overall[metric][0] - b.overall[metric][0]) for a, b in zip(first, second, strict=True)]
    return corrected_t(d, float(trained), float(tested))
