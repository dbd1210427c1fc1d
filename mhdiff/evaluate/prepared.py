"""What is known of a pattern, or a regime, before resampling: its rows, and what the tuning split fixed for it.

Thresholds and temperature come from tuning rows of the same pattern, or the fullest's where it has none. The exact
posterior of a known-answer cohort stands beside the model with thresholds of its own, chosen on the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from mhdiff.evaluate.calibration import apply_temperature, fit_temperature, log_probabilities
from mhdiff.evaluate.ceiling import with_posterior
from mhdiff.evaluate.compare import tuned_thresholds
from mhdiff.evaluate.predictions import Scored, to_scored
from mhdiff.evaluate.thresholds import Thresholds

CEILING, SCALED = "|ceiling", "|scaled"


@dataclass(frozen=True)
class Prepared:
    """One pattern's predictions, ready to be weighed.

    Args:
        scored: Held-out predictions.
        thresholds: The operating points.
        tuned_on: The pattern of the tuning rows; None if there are none.
        temperature: The fitted temperature, as it is told.
        ceiling: The exact posterior of the same samples, where it is known.
        ceiling_reason: Why it is not.
        ceiling_thresholds: Its operating points.
    """

    scored: Scored
    thresholds: Thresholds
    tuned_on: str | None
    temperature: dict[str, Any] | None
    ceiling: Scored | None
    ceiling_reason: str
    ceiling_thresholds: Thresholds | None

    def arms(self, name: str) -> dict[str, list[Scored]]:
        """Give what is resampled: the model, after its temperature, and the ceiling.

        Args:
            name: What the model's is called.
        """
        found = {name: [self.scored]}
        if self.temperature is not None:
            found[name + SCALED] = [rescaled(self.scored, self.temperature["value"])]
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
        tuning: Tuning rows by pattern; the first that has any is used.
        exact: Exact posteriors of the pattern, or of each row's own; None if none were given.
        classes: Names of the classes.
        reason: Why no exact posteriors were given.
    """
    tuned_on = next((pattern for pattern, found in tuning.items() if found.height), None)
    chosen = rows.clear() if tuned_on is None else tuning[tuned_on]
    thresholds = tuned_thresholds(chosen, classes)
    temperature = None
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
    return Prepared(
        to_scored(rows, thresholds.values), thresholds, tuned_on, temperature, best, reason, best_thresholds
    )


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
