"""What is known of a pattern, or a regime, before resampling: its rows, and what the tuning split fixed for it.

Thresholds and temperature come from tuning rows of the same pattern, or the fullest's where it has none. The exact
posterior of a known-answer cohort stands beside the model with thresholds of its own, chosen on the same rows. Of
several models, each has its own tuning rows, thresholds and temperature for the patients held out from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from mhdiff.evaluate.calibration import apply_temperature, fit_temperature, log_probabilities
from mhdiff.evaluate.ceiling import with_posterior
from mhdiff.evaluate.compare import tuned_thresholds
from mhdiff.evaluate.predictions import Scored, by_model, to_scored
from mhdiff.evaluate.several import joined, of_the_same, reasons_of
from mhdiff.evaluate.thresholds import Thresholds

CEILING, SCALED = "|ceiling", "|scaled"


@dataclass(frozen=True)
class Prepared:
    """One pattern's predictions, ready to be weighed.

    Args:
        scored: Held-out predictions.
        thresholds: The operating points; of several models NaN, and why one of them has none.
        tuned_on: The pattern of the tuning rows; None if there are none.
        temperature: The fitted temperature, as it is told; of several models all of them, in order.
        scaled: The predictions after it.
        ceiling: The exact posterior of the same samples, where it is known.
        ceiling_reason: Why it is not.
        ceiling_thresholds: Its operating points.
        by_model: The operating points of each model, where there are several.
    """

    scored: Scored
    thresholds: Thresholds
    tuned_on: str | None
    temperature: dict[str, Any] | None
    scaled: Scored | None
    ceiling: Scored | None
    ceiling_reason: str
    ceiling_thresholds: Thresholds | None
    by_model: tuple[Thresholds, ...] = ()

    def arms(self, name: str) -> dict[str, list[Scored]]:
        """Give what is resampled: the model, after its temperature, and the ceiling.

        Args:
            name: What the model's is called.
        """
        found = {name: [self.scored]}
        if self.scaled is not None:
            found[name + SCALED] = [self.scaled]
        if self.ceiling is not None:
            found[name + CEILING] = [self.ceiling]
        return found


def prepare(
    name: str,
    rows: pl.DataFrame,
    tuning: Mapping[str, pl.DataFrame],
    exact: pl.DataFrame | None,
    classes: Sequence[str],
    reason: str = "no exact posterior was given",
) -> Prepared:
    """Fix thresholds and temperature, and find the ceiling.

    Args:
        name: The pattern, or the regime.
        rows: Its held-out rows, each sample once.
        tuning: Tuning rows by pattern, each sample once a model; the first that has any is used.
        exact: Exact posteriors of the pattern, or of each row's own; None if none were given.
        classes: Names of the classes.
        reason: Why no exact posteriors were given.
    """
    models = [
        _of_one(
            name, part, {p: of_the_same(part, found) for p, found in tuning.items()}, exact, classes, reason
        )
        for part in by_model(rows)
    ]
    return models[0] if len(models) == 1 else _together(models)


def _of_one(
    name: str,
    rows: pl.DataFrame,
    tuning: Mapping[str, pl.DataFrame],
    exact: pl.DataFrame | None,
    classes: Sequence[str],
    reason: str,
) -> Prepared:
    tuned_on = next((pattern for pattern, found in tuning.items() if found.height), None)
    chosen = rows.clear() if tuned_on is None else tuning[tuned_on]
    thresholds = tuned_thresholds(chosen, classes)
    temperature: dict[str, Any] | None = None
    if tuned_on is not None:
        fitted_on = to_scored(chosen)
        fitted = fit_temperature(log_probabilities(fitted_on.probabilities), fitted_on.labels)
        temperature = {
            "value": fitted.value,
            "tuned_on": tuned_on,
            "n": chosen.height,
            "nll_before": fitted.nll_before,
            "nll_after": fitted.nll_after,
            "at_bound": fitted.at_bound,
        }
    best, best_thresholds = None, None
    if exact is not None:
        reason = f"the exact posteriors hold no pattern '{name}'"
        if exact.height:
            best_thresholds = tuned_thresholds(with_posterior(chosen, exact, name), classes)
            best = to_scored(with_posterior(rows, exact, name), best_thresholds.values)
    scored = to_scored(rows, thresholds.values)
    scaled = None if temperature is None else rescaled(scored, temperature["value"])
    return Prepared(scored, thresholds, tuned_on, temperature, scaled, best, reason, best_thresholds)


def _together(models: Sequence[Prepared]) -> Prepared:
    """Put together what is known of several models, each of which has other patients."""
    limits = tuple(one.thresholds for one in models)
    fitted = [one.temperature for one in models if one.temperature is not None]
    scaled = [one.scaled for one in models if one.scaled is not None]
    best = [one.ceiling for one in models if one.ceiling is not None]
    whole = len(fitted) == len(models)
    tuned_on = dict.fromkeys(one.tuned_on for one in models if one.tuned_on is not None)
    n = sum(one["n"] for one in fitted)
    temperature: dict[str, Any] = {
        "value": None,
        "values": [one["value"] for one in fitted],
        "tuned_on": " or ".join(tuned_on),
        "n": n,
        **{
            key: sum(one["n"] * one[key] for one in fitted) / max(n, 1) for key in ("nll_before", "nll_after")
        },
        "at_bound": any(one["at_bound"] for one in fitted),
    }
    exact = [one.ceiling_thresholds for one in models if one.ceiling_thresholds is not None]
    return Prepared(
        joined([one.scored for one in models]),
        _no_common(limits),
        temperature["tuned_on"] or None,
        temperature if whole else None,
        joined(scaled) if whole else None,
        joined(best) if len(best) == len(models) else None,
        next((one.ceiling_reason for one in models if one.ceiling is None), ""),
        _no_common(exact) if len(best) == len(models) else None,
        limits,
    )


def _no_common(limits: Sequence[Thresholds]) -> Thresholds:
    return Thresholds(np.full(len(limits[0].values), np.nan), reasons_of(limits))


def rescaled(scored: Scored, temperature: float) -> Scored:
    """Give predictions after a temperature.

    Args:
        scored: The predictions.
        temperature: T.
    """
    return Scored(
        scored.samples,
        scored.subjects,
        scored.labels,
        apply_temperature(scored.probabilities, temperature),
        scored.called,
    )
