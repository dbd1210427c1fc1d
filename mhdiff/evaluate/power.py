r"""How wide an interval of an AUROC, or of a difference of two, will be: to be told before anything long is trained.

At an AUROC A with n+ positives and n- negatives, exponential scores give (Hanley and McNeil 1982, equation 1)

    var = ( A (1 - A) + (n+ - 1) (Q1 - A^2) + (n- - 1) (Q2 - A^2) ) / (n+ n-),   Q1 = A / (2 - A), Q2 = 2 A^2 / (1 + A),

and two models on the same samples, whose AUROCs correlate by rho over such samples (Hanley and McNeil 1983),

    var(A_1 - A_2) = var_1 + var_2 - 2 rho sqrt(var_1 var_2).

For normal scores the first is some 15 % too great at one positive in ten: a run shows rather more than is told here.

Half-widths are z_{.975} times the root. rho is unknown beforehand: .7 is a guess for two models of one design, and
rho = 0 gives the most that the half-width can be where they agree at all. One sample a patient: with several, n counts
patients. A true difference must exceed 1.43 half-widths to be found with a power of .8.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int64
from scipy import stats

from mhdiff.evaluate.bootstrap import LEVEL
from ontology.errors import InputError


def auroc_variance(auroc: float, positives: int, negatives: int) -> float:
    """Give Hanley and McNeil's variance of an AUROC; NaN where a class has nobody.

    Args:
        auroc: The AUROC expected, in [0, 1].
        positives: n+, independent samples with the class.
        negatives: n-, without.

    Raises:
        InputError: If the AUROC is outside [0, 1] or a number negative.
    """
    if not 0 <= auroc <= 1 or positives < 0 or negatives < 0:
        raise InputError(
            f"an AUROC of {auroc} with {positives} positives and {negatives} negatives cannot be",
            remedy="Give an AUROC in [0, 1] and numbers of samples",
        )
    if not positives or not negatives:
        return math.nan
    a = auroc
    q1, q2 = a / (2 - a) - a**2, 2 * a**2 / (1 + a) - a**2
    return (a * (1 - a) + (positives - 1) * q1 + (negatives - 1) * q2) / (positives * negatives)


def auroc_half_width(auroc: float, positives: int, negatives: int, level: float = LEVEL) -> float:
    """Give the half-width to expect of an AUROC's interval; NaN where a class has nobody.

    Args:
        auroc: The AUROC expected.
        positives: n+ in the test pool.
        negatives: n- in the test pool.
        level: Nominal coverage.
    """
    z = float(stats.norm.ppf((1 + level) / 2))
    return z * math.sqrt(auroc_variance(auroc, positives, negatives))


def difference_half_width(
    first: float, second: float, positives: int, negatives: int, *, correlation: float, level: float = LEVEL
) -> float:
    """Give the half-width to expect of a paired difference of two AUROCs; NaN where a class has nobody.

    Args:
        first: One model's AUROC.
        second: The other's, on the same samples.
        positives: n+ in the test pool.
        negatives: n- in the test pool.
        correlation: rho, of the two AUROCs over samples of this size, in [-1, 1].
        level: Nominal coverage.

    Raises:
        InputError: If the correlation is outside [-1, 1].
    """
    if not -1 <= correlation <= 1:
        raise InputError(f"a correlation of {correlation} cannot be", remedy="Give one in [-1, 1]")
    one, two = (auroc_variance(a, positives, negatives) for a in (first, second))
    variance = one + two - 2 * correlation * math.sqrt(one * two)
    z = float(stats.norm.ppf((1 + level) / 2))
    return z * math.sqrt(max(variance, 0.0)) if not math.isnan(variance) else math.nan


AUROC, CORRELATION = 0.85, 0.7  # assumed where nothing better is known


def patients_of(
    labels: Int64[np.ndarray, " n"], subjects: Int64[np.ndarray, " n"], classes: Sequence[str]
) -> dict[str, tuple[int, int]]:
    """Count, by class, the patients who have it in a sample and those who do not.

    Args:
        labels: Of each sample.
        subjects: Whose it is.
        classes: Names of the classes.
    """
    everybody = len(np.unique(subjects))
    with_it = {name: len(np.unique(subjects[labels == i])) for i, name in enumerate(classes)}
    return {name: (n, everybody - n) for name, n in with_it.items()}


def expected(
    labels: Int64[np.ndarray, " n"], subjects: Int64[np.ndarray, " n"], classes: Sequence[str]
) -> dict[str, Any]:
    """Give the half-widths to expect at each class's n+, as plain data.

    Args:
        labels: Of each sample that will be held out.
        subjects: Whose it is.
        classes: Names of the classes.
    """

    def told(positives: int, negatives: int) -> dict[str, Any]:
        alone = auroc_half_width(AUROC, positives, negatives)
        paired = difference_half_width(AUROC, AUROC, positives, negatives, correlation=CORRELATION)
        return {
            "n_positive": positives,
            "n_negative": negatives,
            "auroc": None if math.isnan(alone) else alone,
            "difference": None if math.isnan(paired) else paired,
        }

    counts = patients_of(labels, subjects, classes)
    return {
        "assumed": {"auroc": AUROC, "correlation": CORRELATION},
        "half_width": {name: told(*pair) for name, pair in counts.items()},
    }


def expectation(
    positives: int, negatives: int, *, auroc: float = AUROC, correlation: float = CORRELATION
) -> str:
    """Say in one line what a run on so many patients can show.

    Args:
        positives: n+ in the test pool.
        negatives: n- in the test pool.
        auroc: The AUROC expected of both models.
        correlation: Of the two AUROCs.
    """
    if not positives or not negatives:
        return f"n+ {positives}, n- {negatives}: without both there is no AUROC"
    alone = auroc_half_width(auroc, positives, negatives)
    paired = difference_half_width(auroc, auroc, positives, negatives, correlation=correlation)
    return (
        f"n+ {positives}, n- {negatives}: around an AUROC of {auroc:.2f} expect +-{100 * alone:.1f} points, "
        f"and +-{100 * paired:.1f} for a paired difference (correlation {correlation:g})"
    )
