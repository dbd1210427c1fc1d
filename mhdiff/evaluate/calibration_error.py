r"""Calibration error besides the top label's with equal bins: adaptive bins, and every class for itself.

Over bins b, with scores s and outcomes o of n samples, ``ECE = \sum_b |\sum_{i in b} (s_i - o_i)| / n``. Two choices:

- bins: of equal width, (0, 1/B], ..., ((B-1)/B, 1]; or adaptive, with edges at the b/B quantiles of the scores, so
  that each holds as many samples as ties allow (Nguyen and O'Connor 2015). Edges come from the samples as they are and
  stay for every resample of them.
- what is scored: `top`, the confidence max_c p_c against being right; or `class`, p_c against having c, for each class,
  and their plain mean (Kull et al. 2019; with adaptive bins Nixon et al. 2019).

The top-label figure is blind to how wrong the other classes' probabilities are, the class-wise one of many rare classes
is small because most p_c are: they are told apart by name, never compared. torchmetrics has equal-width bins of the top
label only, and puts a confidence of 1 into a bin of its own (`mhdiff.evaluate.calibration`); scikit-learn draws a
curve and has no figure. All are biased upwards by about sqrt(B / n): compare them at equal n, and with their `floor`,
what they are on average were the probabilities right: with labels drawn from them anew (Broecker and Smith 2007).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64
from scipy import sparse

from mhdiff.evaluate.calibration import BINS, bin_of
from mhdiff.evaluate.metrics import Metrics
from mhdiff.evaluate.predictions import Scored

OVERALL = ("ece_adaptive", "ece_classwise", "ece_classwise_adaptive")
PER_CLASS = ("ece_classwise", "ece_classwise_adaptive")


def adaptive_bin_of(score: Float64[np.ndarray, " n"], bins: int = BINS) -> Int64[np.ndarray, " n"]:
    """Give each score its bin 0 .. bins-1 of equally many samples; equal scores share one.

    Args:
        score: Values in [0, 1], at least one.
        bins: How many bins.
    """
    # Edges are scores that occur, so that a bin is closed on the right at a sample and order does not matter.
    edges = np.quantile(score, np.arange(1, bins) / bins, method="inverted_cdf")
    return np.searchsorted(edges, score, side="left").astype(np.int64)


class CalibrationErrors:
    """The calibration errors of `OVERALL` and `PER_CLASS` as functions of weights on the samples.

    Args:
        scored: The predictions.
        bins: How many bins.
    """

    def __init__(self, scored: Scored, bins: int = BINS) -> None:
        p, labels = scored.probabilities, scored.labels
        self.bins, self.classes = bins, p.shape[1]
        top, right = p.max(axis=1), p.argmax(axis=1) == labels
        parts = [_spread(adaptive_bin_of(top, bins), top - right, bins)]
        for place in (bin_of, adaptive_bin_of):
            parts += [
                _spread(place(p[:, c], bins), p[:, c] - (labels == c), bins) for c in range(self.classes)
            ]
        self._gaps = sparse.vstack(parts).tocsr()

    def __call__(self, weights: Float64[np.ndarray, "replicates n"]) -> Metrics:
        """Compute the errors under every weighting.

        Args:
            weights: How often each sample counts, one row a replicate.
        """
        n = weights.sum(axis=1)
        sums = np.abs((self._gaps @ weights.T).T).reshape(len(weights), -1, self.bins).sum(axis=2)
        errors = np.divide(sums, n[:, None], out=np.full_like(sums, np.nan), where=n[:, None] > 0)
        equal, adaptive = errors[:, 1 : 1 + self.classes], errors[:, 1 + self.classes :]
        overall = (errors[:, 0], equal.mean(axis=1), adaptive.mean(axis=1))
        return Metrics(
            dict(zip(OVERALL, overall, strict=True)), dict(zip(PER_CLASS, (equal, adaptive), strict=True))
        )


def floor(
    probabilities: Float64[np.ndarray, "n classes"], *, draws: int = 100, seed: int = 0, bins: int = BINS
) -> dict[str, dict[str, float]]:
    """Give what each calibration error is where labels follow the probabilities exactly.

    Args:
        probabilities: One row a sample, sorted by sample, so that no order decides the draws.
        draws: How often labels are drawn.
        seed: Of the draws.
        bins: How many bins.

    Returns:
        By error {mean, high}: the mean over draws and their .95 quantile; an error above that speaks of
        miscalibration.
    """
    p = probabilities
    u = np.random.default_rng(seed).random((len(p), 1, draws))
    labels = (u > p.cumsum(axis=1)[:, :-1, None]).sum(axis=1)
    top, guess = p.max(axis=1), p.argmax(axis=1)
    found = {
        name: _error(place(top, bins), top[:, None] - (labels == guess[:, None]), bins)
        for name, place in (("ece", bin_of), ("ece_adaptive", adaptive_bin_of))
    }
    for name, place in (("ece_classwise", bin_of), ("ece_classwise_adaptive", adaptive_bin_of)):
        each = [_error(place(p[:, c], bins), p[:, c, None] - (labels == c), bins) for c in range(p.shape[1])]
        found[name] = np.mean(each, axis=0)
    return {
        name: {"mean": float(values.mean()), "high": float(np.quantile(values, 0.95))}
        for name, values in found.items()
    }


def _error(
    place: Int64[np.ndarray, " n"], gaps: Float64[np.ndarray, "n draws"], bins: int
) -> Float64[np.ndarray, " draws"]:
    rows = sparse.csr_array((np.ones(len(place)), (place, np.arange(len(place)))), shape=(bins, len(place)))
    error: Float64[np.ndarray, " draws"] = np.abs(rows @ gaps).sum(axis=0) / len(place)
    return error


def _spread(place: Int64[np.ndarray, " n"], gap: Float64[np.ndarray, " n"], bins: int) -> sparse.csr_array:
    """Give the matrix whose row b holds the gaps of bin b's samples."""
    return sparse.csr_array((gap, (place, np.arange(len(gap)))), shape=(bins, len(gap)))
