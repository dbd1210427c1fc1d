r"""Who has no image, no note, no labs, no codes: P(modality m absent | site h, age band a, label y).

With a marginal rate :math:`r_m` asked for and log-odds shifts :math:`\delta`,

.. math:: P(\text{absent}_m \mid h, a, y) = \operatorname{logistic}(\beta_m + \delta_{m}),
    \qquad \beta_m \text{ such that } E[P(\text{absent}_m)] = r_m

where :math:`\delta_m` is 0 (MCAR), depends on site and age band only (MAR: once both are known, absence
tells nothing about the label), or depends on the label only (MNAR: absence itself is evidence, and the
posterior uses it). Modalities go missing independently of each other given (h, a, y). Site and age band are
always known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.special import expit

Mechanism = Literal["MCAR", "MAR", "MNAR"]

AGE_BANDS = ((18, 50), (50, 70), (70, 95))
"""Age bands in years, upper ends excluded; the band enters the missingness (MAR) and nothing else."""

AGE_SHARE = np.array([0.30, 0.40, 0.30])
"""P(age band), the same at every site and for every label."""

_SITE_SHIFT = (-1.0, 0.0, 1.0, -0.5, 0.5, 1.5)
_AGE_SHIFT = (-0.8, 0.0, 0.8)
_LABEL_SHIFT = 1.2


def absence(
    mechanism: Mechanism,
    rates: Sequence[float],
    site_share: Float[np.ndarray, sites],
    prevalence: Float[np.ndarray, "sites labels"],
) -> Float[np.ndarray, "modalities sites bands labels"]:
    """Give the probability that each modality is absent.

    Args:
        mechanism: MCAR, MAR or MNAR.
        rates: Marginal probability of absence, per modality.
        site_share: P(site).
        prevalence: P(label | site).

    Returns:
        P(absent) by modality, site, age band and label. Its expectation is the rate asked for.
    """
    sites, labels = prevalence.shape
    weight = site_share[:, None, None] * AGE_SHARE[None, :, None] * prevalence[:, None, :]
    result = np.empty((len(rates), sites, len(AGE_BANDS), labels))
    for m, rate in enumerate(rates):
        shift = np.zeros(weight.shape)
        sign = 1.0 if m % 2 == 0 else -1.0
        if mechanism == "MAR":
            shift += np.resize(_SITE_SHIFT, sites)[:, None, None] * sign
            shift += np.asarray(_AGE_SHIFT)[None, :, None]
        elif mechanism == "MNAR":
            # The first label (the healthiest) has the modality less often, or more often, than the others.
            shift[..., 0] += sign * _LABEL_SHIFT
            shift[..., 1:] += np.linspace(-0.5, 0.5, labels - 1) * _LABEL_SHIFT if labels > 1 else 0.0
        result[m] = _at_rate(rate, shift, weight)
    return result


def _at_rate(rate: float, shift: np.ndarray, weight: np.ndarray) -> np.ndarray:
    if rate in (0.0, 1.0) or not shift.any():
        return np.full(shift.shape, rate)
    beta = brentq(lambda b: float((weight * expit(b + shift)).sum()) - rate, -60.0, 60.0, xtol=1e-12)
    return np.asarray(expit(beta + shift))
