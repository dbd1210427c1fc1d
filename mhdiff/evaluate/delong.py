r"""DeLong's test: the AUROCs of two models on the same independent test set, without resampling.

With m positives x_i and n negatives y_j, psi = 1, 1/2 or 0 as the positive scores higher, equal or lower, and for each
model r the placements

    V10_r(i) = mean_j psi(x_i, y_j),   V01_r(j) = mean_i psi(x_i, y_j),   AUROC_r = mean_i V10_r(i),
    cov(AUROC_r, AUROC_s) = S10_rs / m + S01_rs / n,   S the sample covariances of the placements

(DeLong, DeLong and Clarke-Pearson 1988, equations 4 to 6). Placements come from midranks in O(N log N) (Sun and Xu
2014): V10(i) = (rank among all - rank among positives) / n.

**When it is allowed**: both models were fixed before these patients were seen; each patient has ONE sample; the test
set is independent of all training. Not over pooled folds of a cross-validation, whose models differ and share
training patients; not for nested models compared on the data they were fitted to, where the difference is no longer
normal under the null (Demler, Pencina and D'Agostino 2012); not with few positives (below about 10), where the normal
approximation fails. There, use the patient-clustered bootstrap.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy import stats

from mhdiff.evaluate.bootstrap import LEVEL, Estimate
from ontology.errors import InputError


def placements(
    scores: Float64[np.ndarray, " n"], positive: Bool[np.ndarray, " n"]
) -> tuple[Float64[np.ndarray, " positives"], Float64[np.ndarray, " negatives"]]:
    """Give V10 of the positives and V01 of the negatives; there must be both.

    Args:
        scores: One model's scores.
        positive: Who has the class.
    """
    ranks = stats.rankdata(scores)
    m = int(positive.sum())
    n = len(scores) - m
    above = (ranks[positive] - stats.rankdata(scores[positive])) / n
    below = 1 - (ranks[~positive] - stats.rankdata(scores[~positive])) / m
    return above, below


def delong(
    first: Float64[np.ndarray, " n"],
    second: Float64[np.ndarray, " n"],
    positive: Bool[np.ndarray, " n"],
    subjects: Int64[np.ndarray, " n"],
    *,
    level: float = LEVEL,
) -> Estimate:
    """Estimate the AUROC of one model minus another's; read in this module when that is allowed.

    Args:
        first: Scores of one model, fixed before these patients were seen.
        second: Scores of the other, for the same samples in the same order.
        positive: Who has the class.
        subjects: subject_id of each sample; each once.
        level: Nominal coverage of the interval.

    Returns:
        {value, low, high, p, first, second, n_positive, n_negative}: the interval is normal and may leave [-1, 1]; p
        is two-sided. None and a reason where a class is missing, or has a single sample; no p where the models rank
        alike and the variance is 0.

    Raises:
        InputError: If a patient has several samples, a score is NaN, or lengths differ.
    """
    positive = np.asarray(positive, dtype=bool)
    if not len(first) == len(second) == len(positive) == len(subjects):
        raise InputError(
            "scores, labels and patients are not of one length", remedy="Give one of each a sample"
        )
    if len(np.unique(subjects)) < len(subjects):
        raise InputError(
            f"{len(subjects)} samples of {len(np.unique(subjects))} patients are not independent",
            remedy="Take the bootstrap over patients (paired_difference), or one sample a patient",
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise InputError("a score is NaN or infinite", remedy="Predict every sample with both models")
    m, n = int(positive.sum()), int((~positive).sum())
    found: Estimate = dict.fromkeys(("value", "low", "high", "p", "first", "second"))
    found |= {"n_positive": m, "n_negative": n}
    if min(m, n) < 2:
        return found | {"reason": f"{m} positives and {n} negatives: at least two of each are needed"}
    one, two = placements(first, positive), placements(second, positive)
    covariance = np.cov(one[0], two[0]) / m + np.cov(one[1], two[1]) / n
    auroc = float(one[0].mean()), float(two[0].mean())
    value = auroc[0] - auroc[1]
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    found |= {"value": value, "first": auroc[0], "second": auroc[1]}
    if variance <= 1e-15:
        return found | {"reason": "no interval: the difference has no variance on these samples"}
    error = math.sqrt(variance)
    half = float(stats.norm.ppf((1 + level) / 2)) * error
    p = float(2 * stats.norm.sf(abs(value) / error))
    return found | {"low": value - half, "high": value + half, "p": p}
