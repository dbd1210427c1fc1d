"""Every metric there is of one set of predictions, for many weightings at once."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from mhdiff.evaluate import calibration_error, metrics, recalibration
from mhdiff.evaluate.calibration_error import CalibrationErrors
from mhdiff.evaluate.decision import NetBenefit
from mhdiff.evaluate.metrics import AT_SPECIFICITY, Metrics, WeightedMetrics
from mhdiff.evaluate.predictions import Scored
from mhdiff.evaluate.recalibration import Recalibration

# What can be resampled a thousand times under every pattern: all but slope and intercept, which are fitted each time.
RESAMPLED_OVERALL = (*metrics.OVERALL, AT_SPECIFICITY, *calibration_error.OVERALL)
RESAMPLED_PER_CLASS = (*metrics.PER_CLASS, AT_SPECIFICITY, *calibration_error.PER_CLASS)
EVERY_OVERALL = (*RESAMPLED_OVERALL, *recalibration.OVERALL)
EVERY_PER_CLASS = (*RESAMPLED_PER_CLASS, *recalibration.PER_CLASS)


class EveryMetric:
    """The headline metrics, calibration errors, slope and intercept, and net benefit by class.

    Give it to `bootstrap` as `figures`. What is undefined under a weighting is NaN there.

    Args:
        scored: The predictions.
        fitted: Whether slope and intercept are among them, which take some twenty times as long as all the others.
    """

    def __init__(self, scored: Scored, fitted: bool = True) -> None:
        self._parts = (
            WeightedMetrics(scored),
            CalibrationErrors(scored),
            *((Recalibration(scored),) if fitted else ()),
            NetBenefit(scored),
        )

    def __call__(self, weights: Float64[np.ndarray, "replicates n"]) -> Metrics:
        """Compute all of them under every weighting.

        Args:
            weights: How often each sample counts, one row a replicate.
        """
        found = [part(weights) for part in self._parts]
        return Metrics(
            {name: values for one in found for name, values in one.overall.items()},
            {name: values for one in found for name, values in one.per_class.items()},
        )
