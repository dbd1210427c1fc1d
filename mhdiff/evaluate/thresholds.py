r"""Operating points: per class the maximum of ``J = sensitivity + specificity - 1`` on tuning data (Youden).

A class is called where p_c >= threshold, one class against the rest. Among equally good thresholds the
highest is taken (fewest calls). Never choose one on the patients whose sensitivity is reported with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from sklearn.metrics import roc_curve


@dataclass(frozen=True)
class Thresholds:
    """One operating point a class.

    Args:
        values: The thresholds; NaN where the tuning data cannot give one.
        reasons: Why, by class, for those that are NaN.
    """

    values: Float64[np.ndarray, " classes"]
    reasons: dict[str, str]

    @classmethod
    def none(cls, classes: Sequence[str], reason: str) -> Thresholds:
        """Make thresholds that are all undefined for one reason.

        Args:
            classes: Names of the classes.
            reason: Why there are none.
        """
        return cls(np.full(len(classes), np.nan), dict.fromkeys(classes, reason))


def youden(
    probabilities: Float64[np.ndarray, "n classes"], labels: Int64[np.ndarray, " n"], classes: Sequence[str]
) -> Thresholds:
    """Choose the threshold of each class against the rest.

    Args:
        probabilities: Predictions on the TUNING split.
        labels: Its true classes.
        classes: Names of the classes.
    """
    values, reasons = np.full(len(classes), np.nan), {}
    for c, name in enumerate(classes):
        positive = labels == c
        n = int(positive.sum())
        if n == 0 or n == len(labels):
            reasons[name] = (
                f"no tuning sample {'of class' if n == 0 else 'outside class'} {name}, so no threshold for it"
            )
            continue
        false_rate, true_rate, limits = roc_curve(positive, probabilities[:, c])
        best = true_rate - false_rate
        values[c] = min(limits[int(np.argmax(best >= best.max() - 1e-12))], 1.0)
    return Thresholds(values, reasons)
