r"""Calibration slope and intercept of each class against the rest, by logistic recalibration.

With x = logit(p_c) and y = 1 where c is the truth (Cox 1958; names as in Van Calster et al. 2019):

    slope b:      logit P(y = 1) = a + b x,  both fitted; below 1 the probabilities are too extreme
    intercept a:  logit P(y = 1) = a + x,    the slope held at 1 (calibration in the large); below 0 they are too high

Both are maximum likelihood, weighted, by Newton's method for all weightings at once. Samples enter through at most
`GROUPS` values of x: each distinct value its own where there are so few, else neighbours in rank at their mean, which
moves slope and intercept by less than .002 in the test that holds it.

No figure exists where a class is missing or is everything, and no slope where the likelihood has no maximum: all
x equal, or x parts the class from the rest without overlap. scikit-learn's LogisticRegression cannot tell the last
(it returns some large number where its iterations end), and without `penalty=None` it shrinks; so neither is used.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from scipy import sparse
from scipy.special import expit

from mhdiff.evaluate.calibration import log_probabilities
from mhdiff.evaluate.metrics import Metrics
from mhdiff.evaluate.predictions import Scored

OVERALL = PER_CLASS = ("calibration_slope", "calibration_intercept")
GROUPS = 1024
_STEPS, _SETTLED = 40, 1e-6  # a step of Newton errs by the square of the one before
_FARTHEST = 100.0  # of slope or intercept: reached only where the likelihood has no maximum


class Recalibration:
    """Slope and intercept of each class as functions of weights on the samples; macro figures are plain means.

    Args:
        scored: The predictions.
    """

    def __init__(self, scored: Scored) -> None:
        p = scored.probabilities
        logits = log_probabilities(p) - log_probabilities(1 - p)
        self._classes = [_Class(logits[:, c], scored.labels == c) for c in range(p.shape[1])]

    def __call__(self, weights: Float64[np.ndarray, "replicates n"]) -> Metrics:
        """Fit under every weighting.

        Args:
            weights: How often each sample counts, one row a replicate.
        """
        columns = np.ascontiguousarray(weights.T)
        fits = [one(columns) for one in self._classes]
        per_class = {name: np.stack([fit[i] for fit in fits], axis=1) for i, name in enumerate(PER_CLASS)}
        return Metrics({name: values.mean(axis=1) for name, values in per_class.items()}, per_class)


class _Class:
    def __init__(self, x: Float64[np.ndarray, " n"], positive: np.ndarray) -> None:
        values, group = np.unique(x, return_inverse=True)
        if len(values) > GROUPS:
            rank = np.argsort(np.argsort(x, kind="stable"), kind="stable")
            group = rank * GROUPS // len(x)
            values = np.bincount(group, x) / np.bincount(group)
        rows = np.arange(len(x))
        shape = (len(values), len(x))
        self._x = values
        self._all = sparse.csr_array((np.ones(len(x)), (group, rows)), shape=shape)
        self._positive = sparse.csr_array((positive.astype(float), (group, rows)), shape=shape)
        # Replicates lie around the fit to the samples as they are: from there Newton needs half as many steps.
        self._near: dict[bool, tuple[float, float]] = {}
        self(np.ones((len(x), 1)))

    def __call__(
        self, columns: Float64[np.ndarray, "n replicates"]
    ) -> tuple[Float64[np.ndarray, " replicates"], Float64[np.ndarray, " replicates"]]:
        n, k = (self._all @ columns).T, (self._positive @ columns).T
        some = (k.sum(axis=1) > 0) & (k.sum(axis=1) < n.sum(axis=1))
        overlap = some & _overlaps(self._x, n, k)
        alpha, slope = _fit(self._x, n, k, overlap, self._near.get(True), free=True)
        intercept, one = _fit(self._x, n, k, some, self._near.get(False), free=False)
        if columns.shape[1] == 1 and not self._near:
            pairs = {True: (alpha[0], slope[0]), False: (intercept[0], one[0])}
            self._near = {free: pair for free, pair in pairs.items() if np.isfinite(pair).all()}
        return slope, intercept


def _overlaps(x: np.ndarray, n: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Say in which replicates neither x > t nor x < t calls the class without an error."""
    low_pos, high_pos = _ends(x, k)
    low_neg, high_neg = _ends(x, n - k)
    return (low_pos < high_neg) & (low_neg < high_pos)


def _ends(x: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    there = weight > 0
    return np.where(there, x, np.inf).min(axis=1), np.where(there, x, -np.inf).max(axis=1)


def _fit(
    x: np.ndarray,
    n: np.ndarray,
    k: np.ndarray,
    which: np.ndarray,
    near: tuple[float, float] | None,
    *,
    free: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Maximise the likelihood of a + b x, from `near` where it is known; give a and b, which is 1 if not free."""
    found = np.full((2, len(n)), np.nan)
    at = np.flatnonzero(which)
    if not at.size:
        return found[0], found[1]
    n, k = n[at], k[at]
    centre = (n @ x) / n.sum(axis=1)
    shifted = x - centre[:, None]  # keeps the two unknowns apart, so that Newton's steps are good
    start = np.log(k.sum(axis=1) / (n - k).sum(axis=1))
    if near is not None:
        a, b = near[0] + near[1] * centre, np.full(len(at), near[1])
    else:
        a, b = (start, np.zeros(len(at))) if free else (centre, np.ones(len(at)))
    previous = _likelihood(a, b, shifted, n, k)
    done = np.zeros(len(at), dtype=bool)
    for _ in range(_STEPS):
        q = expit(a[:, None] + b[:, None] * shifted)
        gap, curve = k - n * q, n * q * (1 - q)
        g0, h00 = gap.sum(axis=1), curve.sum(axis=1)
        if free:
            g1 = (gap * shifted).sum(axis=1)
            h01, h11 = (curve * shifted).sum(axis=1), (curve * shifted**2).sum(axis=1)
            bottom = np.maximum(h00 * h11 - h01**2, 1e-300)
            step_a, step_b = (h11 * g0 - h01 * g1) / bottom, (h00 * g1 - h01 * g0) / bottom
        else:
            step_a, step_b = g0 / np.maximum(h00, 1e-300), np.zeros_like(g0)
        longest = np.maximum(np.abs(step_a), np.abs(step_b))
        step = np.where(done, 0.0, np.minimum(1.0, 5.0 / np.maximum(longest, 1e-300)))
        for _ in range(30):  # halve a step that overshoots
            now = _likelihood(a + step * step_a, b + step * step_b, shifted, n, k)
            worse = now < previous - 1e-12 * np.abs(previous)
            if not worse.any():
                break
            step = np.where(worse, step / 2, step)
        a, b, previous = a + step * step_a, b + step * step_b, now
        done |= longest < _SETTLED * (1 + np.abs(b))
        if done.all():
            break
    intercept = a - b * centre
    fine = done & (np.abs(b if free else intercept) < _FARTHEST)
    found[:, at] = np.where(fine, (intercept, b), np.nan)
    return found[0], found[1]


def _likelihood(a: np.ndarray, b: np.ndarray, x: np.ndarray, n: np.ndarray, k: np.ndarray) -> np.ndarray:
    eta = a[:, None] + b[:, None] * x
    return (k * eta - n * np.logaddexp(0.0, eta)).sum(axis=1)
