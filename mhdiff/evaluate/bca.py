r"""BCa intervals: percentiles of a bootstrap, moved for the figure's bias and for how its spread depends on itself.

With B replicates t_b of a figure t, and the figures t_(g) without one group g of patients after the other,

    z_0 = Phi^{-1}( (#{t_b < t} + #{t_b = t} / 2) / B ),
    a = \sum_g (m - t_(g))^3 / ( 6 (\sum_g (m - t_(g))^2)^{3/2} ),   m the mean of the t_(g),
    end(q) = the percentile of the t_b at Phi( z_0 + (z_0 + z_q) / (1 - a (z_0 + z_q)) )

(Efron, Better bootstrap confidence intervals, 1987, sections 4 and 6). One group is one patient where there are at
most `GROUPS` of them. With more, patients are dealt at random into that many groups: m mean influences of k patients
each have 1 / sqrt(k) of the skewness of one patient's, and their number is smaller by k, so that a is the same up to
chance of about .41 / GROUPS.

BCa does not exist where the figure stands outside all its replicates (z_0 infinite), where leaving out a group makes
the figure undefined or changes it in no group (no acceleration), and where a is so great that the end turns round.
There the percentile interval stands in its place, and `remark` says so and why.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64
from scipy.special import ndtr, ndtri

GROUPS = 200
_BLOCK = 64
_MOST = 1 - 1e-9  # of a (z_0 + z_q); at 1 the end passes through infinity


def left_out(subjects: int, seed: int) -> Iterator[Float64[np.ndarray, "block subjects"]]:
    """Yield how often each patient counts when one group after the other is left out, a block at a time.

    Args:
        subjects: How many patients.
        seed: Seed of the groups, where a group is more than one patient.
    """
    groups = min(subjects, GROUPS)
    own = np.arange(subjects) % groups
    if groups < subjects:
        own = np.random.default_rng([seed, groups]).permutation(own)
    for start in range(0, groups, _BLOCK):
        yield (own != np.arange(start, min(start + _BLOCK, groups))[:, None]).astype(np.float64)


def acceleration(without: Float64[np.ndarray, " groups"]) -> float:
    """Give the acceleration a; NaN where a figure is undefined or none differs.

    Args:
        without: The figure without each group.
    """
    influence = without.mean() - without if len(without) else without
    square = float((influence**2).sum())
    if not np.isfinite(square) or square <= (1e-12 * (1 + np.abs(without).max(initial=0.0))) ** 2:
        return float("nan")
    return float((influence**3).sum() / (6 * square**1.5))


def bca(
    value: float,
    draws: Float64[np.ndarray, " replicates"],
    without: Float64[np.ndarray, " groups"],
    level: float = 0.95,
) -> tuple[float, float, str]:
    """Give the ends of the BCa interval, or of the percentile interval and why there is no BCa.

    Args:
        value: The figure.
        draws: Its replicates, all defined and at least one.
        without: The figure without each group of patients.
        level: Nominal coverage.

    Returns:
        Low, high, and the reason why they are percentiles, empty where they are BCa's.
    """
    tail = np.array([(1 - level) / 2, (1 + level) / 2])
    why, at = "", tail
    share = float(np.mean(draws < value) + np.mean(draws == value) / 2)
    a = acceleration(without)
    if not 0 < share < 1:
        why = "the figure lies outside all of its replicates"
    elif np.isnan(a):
        why = "leaving patients out makes the figure undefined, or changes nothing"
    else:
        centre = ndtri(share)
        moved = centre + ndtri(tail)
        if (a * moved > _MOST).any():
            why = f"the acceleration {a:.3g} is too great"
        else:
            at = ndtr(centre + moved / (1 - a * moved))
    low, high = np.quantile(draws, at)
    return float(low), float(high), why
