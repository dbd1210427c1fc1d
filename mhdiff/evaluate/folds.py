r"""Nadeau and Bengio's corrected resampled t over the folds of a (repeated) cross-validation.

The k differences d_j, one a fold of every repetition, share training patients, so their mean varies more than s^2 / k.
With n_test / n_train patients in each fold (Inference for the generalization error, 2003, section 3; for r x k folds
Bouckaert and Frank 2004),

    t = mean(d) / sqrt( (1 / J + n_test / n_train) s^2 ),   s^2 = \sum_j (d_j - mean)^2 / (J - 1),  J folds in all,

with J - 1 degrees of freedom. It asks about the learning algorithm, trained anew on patients like these; the paired
bootstrap over patients asks about the models that there are. The correction is a good approximation, not exact: the
factor holds where n_test / n_train is small, and repeating a cross-validation never takes it below n_test / n_train.
Folds are never tested as if they were independent, and seeds and bootstrap replicates are never folds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from mhdiff.evaluate.bootstrap import LEVEL, Estimate
from ontology.errors import InputError


def corrected_t(
    differences: Sequence[float], n_train: float, n_test: float, *, level: float = LEVEL
) -> Estimate:
    """Estimate a mean difference over folds with its corrected interval and two-sided p.

    Args:
        differences: First minus second on each fold of every repetition; NaN where a fold has no figure.
        n_train: Patients that a fold was trained on, the mean over folds.
        n_test: Patients that a fold was tested on, the mean over folds.
        level: Nominal coverage of the interval.

    Returns:
        {value, low, high, p, df, folds}. A fold without a figure makes all of them None, with a reason: it is not left
        out of the mean. With one fold, or with none that differs from another, there is a value only.

    Raises:
        InputError: If there are no folds or no patients.
    """
    d = np.asarray(differences, dtype=float)
    if not d.size or not n_train > 0 or not n_test > 0:
        raise InputError(
            f"{d.size} folds of {n_train:g} training and {n_test:g} test patients are nothing to test",
            remedy="Give at least one fold, with patients on both sides",
        )
    nothing: Estimate = {
        "value": None,
        "low": None,
        "high": None,
        "p": None,
        "df": d.size - 1,
        "folds": d.size,
    }
    bad = np.flatnonzero(~np.isfinite(d))
    if bad.size:
        where = ", ".join(str(j + 1) for j in bad[:5])
        return nothing | {"reason": f"undefined in {bad.size} of {d.size} folds (number {where})"}
    value = float(d.mean())
    spread = float(d.std(ddof=1)) if d.size > 1 else 0.0
    if spread <= 1e-14 * max(1.0, abs(value)):
        why = "one fold has no spread" if d.size == 1 else "all folds have the same difference"
        return nothing | {"value": value, "reason": f"no interval: {why}"}
    error = spread * math.sqrt(1 / d.size + n_test / n_train)
    half = float(stats.t.ppf((1 + level) / 2, d.size - 1)) * error
    p = float(2 * stats.t.sf(abs(value) / error, d.size - 1))
    return nothing | {"value": value, "low": value - half, "high": value + half, "p": p}
