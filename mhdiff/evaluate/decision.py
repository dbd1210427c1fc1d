r"""Decision curves: what calling a class at a threshold probability brings, in true positives a patient.

    net benefit(t) = TP(t) / n - FP(t) / n * t / (1 - t),   a call being p_c >= t

(Vickers and Elkin 2006). The threshold is not tuned: it says how many needless calls one found case is worth, so the
curve is read at a user's t, beside calling everybody, prevalence - (1 - prevalence) t / (1 - t), and nobody, 0. It is
linear in the weights, so a patient-clustered bootstrap costs one matrix product.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64

from mhdiff.evaluate.bootstrap import Resamples, Result, bootstrap
from mhdiff.evaluate.metrics import Metrics
from mhdiff.evaluate.predictions import Scored
from ontology.errors import InputError

THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.5)


class NetBenefit:
    """The net benefit of every class at every threshold, as functions of weights on the samples.

    Figures are named `net_benefit_at_0.1` and `call_all_at_0.1`, by class.

    Args:
        scored: The predictions.
        thresholds: Threshold probabilities, inside (0, 1).

    Raises:
        InputError: If a threshold is not inside (0, 1).
    """

    def __init__(self, scored: Scored, thresholds: Sequence[float] = THRESHOLDS) -> None:
        for t in thresholds:
            if not 0 < t < 1:
                raise InputError(
                    f"{t} is no threshold probability: a needless call would cost nothing or everything",
                    remedy="Give thresholds between 0 and 1, both excluded",
                )
        true = np.eye(scored.probabilities.shape[1])[scored.labels]
        self._names, columns = [], []
        for t in thresholds:
            worth = true - (1 - true) * t / (1 - t)
            self._names += [f"net_benefit_at_{t:g}", f"call_all_at_{t:g}"]
            columns += [worth * (scored.probabilities >= t), worth]
        self._columns = np.concatenate(columns, axis=1) if columns else np.zeros((len(true), 0))

    def __call__(self, weights: Float64[np.ndarray, "replicates n"]) -> Metrics:
        """Compute the net benefits under every weighting.

        Args:
            weights: How often each sample counts, one row a replicate.
        """
        n = weights.sum(axis=1, keepdims=True)
        sums = weights @ self._columns
        means = np.divide(sums, n, out=np.full_like(sums, np.nan), where=n > 0)
        per_class = dict(zip(self._names, np.split(means, max(len(self._names), 1), axis=1), strict=False))
        return Metrics({}, per_class)


def decision_curves(
    scored: Scored,
    classes: Sequence[str],
    resamples: Resamples,
    thresholds: Sequence[float] = THRESHOLDS,
    *,
    accelerated: bool = False,
) -> dict[str, list[dict[str, Any]]]:
    """Tabulate each class's decision curve with intervals.

    Args:
        scored: The predictions.
        classes: Names of the classes.
        resamples: The draws of patients.
        thresholds: Threshold probabilities, inside (0, 1).
        accelerated: Whether intervals are BCa's or percentiles.

    Returns:
        By class, one row a threshold: `threshold`, `model` and `gain` (over the better of calling all and nobody,
        as decided on the samples as they are), each {value, low, high, undefined}, and `all` and `nobody`.

    Raises:
        InputError: If a threshold is not inside (0, 1).
    """
    result = bootstrap(
        {"model": [scored]}, resamples, figures=lambda s: NetBenefit(s, thresholds), accelerated=accelerated
    )["model"]
    curves: dict[str, list[dict[str, Any]]] = {}
    for i, name in enumerate(classes):
        rows = []
        for t in thresholds:
            model, everybody = f"net_benefit_at_{t:g}", f"call_all_at_{t:g}"
            call_all = float(result.point.per_class[everybody][0, i])
            gain = _over(result, model, everybody) if call_all > 0 else result
            rows.append(
                {
                    "threshold": float(t),
                    "model": result.per_class(model, i),
                    "gain": gain.per_class(model, i),
                    "all": call_all,
                    "nobody": 0.0,
                }
            )
        curves[name] = rows
    return curves


def _over(result: Result, name: str, rival: str) -> Result:
    """Give a result whose figure `name` is the difference to `rival`, replicate by replicate."""

    def minus(metrics: Metrics) -> Metrics:
        return Metrics({}, {name: metrics.per_class[name] - metrics.per_class[rival]})

    draws, without = (None if m is None else minus(m) for m in (result.draws, result.without))
    return Result(minus(result.point), draws, without)
