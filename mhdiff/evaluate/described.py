"""One pattern's, or one regime's, figures as plain data: overall, by class and class frequency, and what is lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64

from mhdiff.evaluate.bootstrap import Estimate, Result
from mhdiff.evaluate.calibration import reliability
from mhdiff.evaluate.calibration_error import floor
from mhdiff.evaluate.class_frequency import by_frequency
from mhdiff.evaluate.compare import reason_for
from mhdiff.evaluate.every_metric import RESAMPLED_OVERALL, RESAMPLED_PER_CLASS
from mhdiff.evaluate.lost import losses
from mhdiff.evaluate.metrics import AT_SPECIFICITY, PER_CLASS, THRESHOLDED, undefined_reasons
from mhdiff.evaluate.predictions import Scored
from mhdiff.evaluate.prepared import CEILING, SCALED, Prepared
from mhdiff.evaluate.recalibration import PER_CLASS as FITTED
from mhdiff.evaluate.thresholds import Thresholds

SLOPE = "calibration_slope"
BY_FREQUENCY = ("auroc", "auprc", "f1", "sensitivity", "specificity", AT_SPECIFICITY)
_NO_FIT = "a class is parted from the rest without overlap, or all of its scores are equal"


@dataclass(frozen=True)
class Figures:
    """The figures of all patterns.

    Args:
        prepared: By name, the predictions.
        results: By name, and by name with `CEILING` or `SCALED`, the figures and their replicates.
        fits: By name, slope and intercept.
        classes: Names of the classes.
        counts: By which classes are put into bands of frequency.
    """

    prepared: Mapping[str, Prepared]
    results: Mapping[str, Result]
    fits: Mapping[str, Result]
    classes: Sequence[str]
    counts: Int64[np.ndarray, " classes"]

    def describe(self, name: str, fullest: str) -> dict[str, Any]:
        """Write one pattern.

        Args:
            name: The pattern, or the regime.
            fullest: The pattern that what is lost is told against.
        """
        pattern, result, fit = self.prepared[name], self.results[name], self.fits[name]
        absent = undefined_reasons(pattern.scored, self.classes)
        reasons = {m: reason_for(m, absent, pattern.thresholds.reasons) for m in RESAMPLED_OVERALL}
        unfitted = "; ".join(absent.values()) or _NO_FIT
        document: dict[str, Any] = {
            "n": len(pattern.scored.samples),
            "n_subjects": len(np.unique(pattern.scored.subjects)),
            "tuned_on": pattern.tuned_on,
            "metrics": {m: result.overall(m, reasons[m]) for m in RESAMPLED_OVERALL}
            # The mean of the intercepts is left out: one class is too likely where another is not, and they cancel.
            | {SLOPE: _fitted(fit.overall(SLOPE, unfitted))},
            "per_class": describe_classes(
                result, pattern.scored, self.classes, pattern.thresholds, RESAMPLED_PER_CLASS
            ),
            "by_frequency": self._by_frequency(name),
            "calibration": self._calibration(name),
            "ceiling": None,
            "gap": None,
            "drop": None,
        }
        for i, label in enumerate(self.classes):
            if pattern.by_model:
                points = [limits.values[i] for limits in pattern.by_model]
                document["per_class"][label]["thresholds"] = [
                    None if np.isnan(p) else float(p) for p in points
                ]
            why = absent.get(label, _NO_FIT)
            document["per_class"][label] |= {m: _fitted(fit.per_class(m, i, why)) for m in FITTED}
        best, why_best = self.results.get(name + CEILING), dict.fromkeys(RESAMPLED_OVERALL, "")
        if best is None or pattern.ceiling_thresholds is None:
            document["ceiling_reason"] = pattern.ceiling_reason
        else:
            limits = pattern.ceiling_thresholds.reasons
            why_best = {m: reason_for(m, absent, limits) for m in RESAMPLED_OVERALL}
            document["ceiling"] = {m: best.overall(m, why_best[m]) for m in RESAMPLED_OVERALL}
        whole = None
        if name != fullest:
            if np.array_equal(self.prepared[fullest].scored.samples, pattern.scored.samples):
                whole = self.results[fullest]
            else:
                document["drop_reason"] = f"'{name}' and '{fullest}' were not predicted for the same samples"
        for what, lost in losses(result, whole, best, self.results.get(fullest + CEILING)).items():
            document[what] = {
                m: lost.overall(m, (why_best[m] if what == "gap" else "") or reasons[m])
                for m in RESAMPLED_OVERALL
            }
        return document

    def _by_frequency(self, name: str) -> list[dict[str, Any]]:
        pattern = self.prepared[name]
        rows = by_frequency(
            self.results[name], pattern.scored, self.classes, self.counts, metrics=BY_FREQUENCY
        )
        for row in rows:  # a class of the band without a threshold is why these are undefined
            untuned = [
                pattern.thresholds.reasons[c] for c in row["n_positive"] if c in pattern.thresholds.reasons
            ]
            for metric in THRESHOLDED:
                if untuned and row[metric]["value"] is None:
                    row[metric]["reason"] = "; ".join(untuned)
        return rows

    def _calibration(self, name: str) -> dict[str, Any]:
        pattern = self.prepared[name]
        known = {
            "reliability": reliability(pattern.scored.probabilities, pattern.scored.labels),
            "floor": floor(pattern.scored.probabilities),
        }
        scaled = self.results.get(name + SCALED)
        if scaled is None:
            reason = "no tuning predictions to fit a temperature on"
            return known | {"temperature": None, "scaled": None, "reason": reason}
        figures: dict[str, Estimate] = {m: scaled.overall(m) for m in ("ece", "brier")}
        return known | {"temperature": pattern.temperature, "scaled": figures}


def _fitted(figure: Estimate) -> Estimate:
    """Say why slope and intercept have no interval, where they were not resampled to keep an evaluation short."""
    if figure["value"] is not None and figure["low"] is None and not figure["undefined"]:
        return figure | {"reason": "no interval: resampled with everything offered only"}
    return figure


def describe_classes(
    result: Result,
    scored: Scored,
    classes: Sequence[str],
    thresholds: Thresholds | None = None,
    metrics: Sequence[str] = PER_CLASS,
) -> dict[str, dict[str, Any]]:
    """Write the figures of each class, with how many samples have it.

    Args:
        result: The figures and their replicates.
        scored: The predictions behind them.
        classes: Names of the classes.
        thresholds: The operating points, where there is one set of them.
        metrics: Which metrics of a class.
    """
    absent = undefined_reasons(scored, classes)
    document: dict[str, dict[str, Any]] = {}
    for i, name in enumerate(classes):
        row: dict[str, Any] = {"n_positive": int((scored.labels == i).sum())}
        if thresholds is not None:
            limit = thresholds.values[i]
            row["threshold"] = None if np.isnan(limit) else float(limit)
        untuned = "" if thresholds is None else thresholds.reasons.get(name, "")
        for metric in metrics:
            reason = absent.get(name, "") or (untuned if metric in THRESHOLDED else "")
            row[metric] = result.per_class(metric, i, reason)
        document[name] = row
    return document
