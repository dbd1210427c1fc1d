r"""The maximum mean discrepancy between two sets of latents: an unbiased estimate, and the same under any weights.

    MMD^2 = E k(x, x') + E k(y, y') - 2 E k(x, y),         k(a, b) = exp(-|a - b|^2 / (2 s^2))
    U(w, u) = mean over pairs of k, a pair counting w_i w_j, u_i u_j or w_i u_j

- where x_i was drawn for the patient of y_i and shares the patient's class, the pair (x_i, y_i) is more alike than two
  of the pooled laws are: it is left out too, so that all three means are over the same pairs of classes;
- x, x' are of two patients, and so are y, y': pairs of one patient's rows are left out, a row with itself too, which
  makes the estimate unbiased. It may be negative: then the sets are as alike as two samples of one law;
- w, u: how often each row counts: 1 for the figure, the number of times its patient was drawn for a replicate of the
  bootstrap. Copies of a patient are no pair either, or every replicate would be biased upwards;
- s: the median distance between two real rows, see `median_distance`; a kernel that does not depend on the model that
  is judged. It is characteristic: MMD is 0 for equal laws alone, where a polynomial kernel (KID) sees as many moments
  as its degree.

Where the laws are equal the statistic is degenerate, and the bootstrap over patients spreads wider than it does: the
interval is then too wide, not too narrow.

Gretton et al., "A kernel two-sample test" (JMLR 2012), eq. 3 and section 8 (the median); Binkowski et al.,
"Demystifying MMD GANs" (ICLR 2018) for the unbiased form as a score.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64, Int64


def squared_distances(
    x: Float64[np.ndarray, "n dim"], y: Float64[np.ndarray, "m dim"]
) -> Float64[np.ndarray, "n m"]:
    """Give |x_i - y_j|^2.

    Args:
        x: Rows.
        y: Other rows.
    """
    square = (x**2).sum(axis=1)[:, None] + (y**2).sum(axis=1) - 2 * x @ y.T
    return np.maximum(square, 0.0)


def median_distance(x: Float64[np.ndarray, "n dim"]) -> float:
    """Give s, the median distance between two different rows; 1 where there is none.

    Args:
        x: Real latents.
    """
    away = squared_distances(x, x)[np.triu_indices(len(x), 1)]
    median = float(np.sqrt(np.median(away))) if len(away) else 0.0
    return median or 1.0


class Discrepancy:
    """MMD^2 between two sets, whose kernels are computed once.

    Args:
        x: The first set.
        y: The second.
        x_subjects: Whose row each is.
        y_subjects: The same for the second; of generated rows any numbers that tell apart what was drawn apart.
        bandwidth: s.
        matched: Whether rows of the first set were drawn for patients of the second: then pairs of one patient across
            the sets are left out.
    """

    def __init__(
        self,
        x: Float64[np.ndarray, "n dim"],
        y: Float64[np.ndarray, "m dim"],
        x_subjects: Int64[np.ndarray, " n"],
        y_subjects: Int64[np.ndarray, " m"],
        bandwidth: float,
        matched: bool = False,
    ) -> None:
        self._scale = -1 / (2 * bandwidth**2)
        self._x = self._within(x, x_subjects)
        self._y = self._within(y, y_subjects)
        across = np.exp(self._scale * squared_distances(x, y))
        others = x_subjects[:, None] != y_subjects if matched else np.ones(across.shape, dtype=bool)
        self._xy = across * others, others

    def _within(
        self, x: Float64[np.ndarray, "n dim"], subjects: Int64[np.ndarray, " n"]
    ) -> tuple[Float64[np.ndarray, "n n"], Bool[np.ndarray, "n n"]]:
        apart = subjects[:, None] != subjects
        return np.exp(self._scale * squared_distances(x, x)) * apart, apart

    def __call__(
        self, w: Float64[np.ndarray, "replicates n"], u: Float64[np.ndarray, "replicates m"]
    ) -> Float64[np.ndarray, " replicates"]:
        """Give U under every weighting; NaN where a set has no pair.

        Args:
            w: Weights of the first set, one row a replicate.
            u: Weights of the second.
        """
        return _pairs(w, w, *self._x) + _pairs(u, u, *self._y) - 2 * _pairs(w, u, *self._xy)

    @property
    def value(self) -> float:
        """The estimate on the sets as they are."""
        n, m = self._xy[0].shape
        return float(self(np.ones((1, n)), np.ones((1, m)))[0])


def _pairs(
    w: Float64[np.ndarray, "replicates n"],
    u: Float64[np.ndarray, "replicates m"],
    kernel: Float64[np.ndarray, "n m"],
    apart: Bool[np.ndarray, "n m"],
) -> Float64[np.ndarray, " replicates"]:
    top = np.einsum("rn,rn->r", w @ kernel, u)
    bottom = np.einsum("rn,rn->r", w @ apart.astype(np.float64), u)
    return np.divide(top, bottom, out=np.full(np.shape(top), np.nan), where=bottom > 0)
