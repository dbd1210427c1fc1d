r"""A difference from a drawn null arm: the luck of the draw belongs into its interval.

Had the ontology nothing to say, the real graph would be one more draw of the null, so over draws the difference
between the one and the mean of k others has the standard error

    s * sqrt(1 + 1/k),   s the standard deviation of the null arm's figure over its k draws,

however many patients there are. Resampling patients sees none of it. Both are put together as independent errors,
each end of the interval for itself:  end = value -+ sqrt(patients^2 + (t_{k-1} * s * sqrt(1 + 1/k))^2), with the
quantile of Student's t at k - 1 degrees of freedom. A draw comes with its own training seed, so s holds that luck too.

Beside it stands the rank of the real graph among the draws, which assumes no normal distribution:

    p = (1 + #{draws at least as good as the real graph}) / (k + 1)

one-sided, and .05 at the least with 19 draws. Where the real graph was trained on several seeds their mean is ranked,
which varies less than a draw does, so p is rather too great than too small. Patients are not resampled for it: it says
whether the real graph is an outlier among the nulls on these patients.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from scipy import stats

from mhdiff.evaluate.bootstrap import LEVEL, Estimate

_NULL, _SEED = "--data.null=", "--data.null_seed="
ONE_DRAW = "one draw of the null: the interval is over patients only"


def is_drawn(overrides: Iterable[str]) -> bool:
    """Say whether an arm draws its null graph anew for every seed.

    Args:
        overrides: The arm's overrides, as the ablation's file has them.
    """
    listed = list(overrides)
    seeds = [o for o in listed if o.startswith(_SEED)]
    kinds = [o.removeprefix(_NULL) for o in listed if o.startswith(_NULL)]
    if not seeds or "{seed}" not in seeds[-1]:
        return False
    from graph_builders.nulls import NULLS  # imports torch, which a listing of arms can do without

    return not kinds or (kinds[-1] != "none" and (kinds[-1] not in NULLS or NULLS[kinds[-1]].drawn))


def rank(real: float, draws: Sequence[float], *, lower_is_better: bool = False) -> dict[str, float | None]:
    """Give the rank p-value of the real graph's figure among those of the draws.

    Args:
        real: The real graph's figure.
        draws: The figures of the draws.
        lower_is_better: Whether a smaller figure is the better one.

    Returns:
        `rank_p`; None with less than two draws, or where a figure is undefined.
    """
    values = np.asarray(draws, dtype=float)
    if len(values) < 2 or not np.isfinite([real, *values]).all():
        return {"rank_p": None}
    beaten = values <= real if lower_is_better else values >= real
    return {"rank_p": float((1 + beaten.sum()) / (len(values) + 1))}


def widen(figure: Estimate, values: Sequence[float]) -> Estimate:
    """Put the spread over draws into the interval of a difference.

    Args:
        figure: The difference with its interval over patients.
        values: The drawn arm's figure by draw.

    Returns:
        The figure with `draws`, and for two draws or more `low` and `high` widened; the interval over patients
        stays as `patients_low` and `patients_high`. With one draw the spread is unknown, and `remark` says so.
    """
    drawn = figure | {"draws": len(values)}
    if figure["value"] is None or figure["low"] is None:
        return drawn
    if len(values) < 2:
        return drawn | {"remark": ONE_DRAW}
    k = len(values)
    spread = float(np.std(values, ddof=1)) * math.sqrt(1 + 1 / k) * float(stats.t.ppf((1 + LEVEL) / 2, k - 1))
    if not math.isfinite(spread):
        return drawn | {"low": None, "high": None, "reason": "no interval: undefined in one of the draws"}
    value, low, high = figure["value"], figure["low"], figure["high"]
    return drawn | {
        "low": value - math.hypot(value - low, spread),
        "high": value + math.hypot(high - value, spread),
        "patients_low": low,
        "patients_high": high,
    }
