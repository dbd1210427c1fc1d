"""`metrics.json`: a run's figures for every pattern of modalities, with intervals and the ceiling.

Thresholds and temperature come from the tuning split, every figure from the held-out one. On a known-answer
cohort the exact posterior is evaluated as if it were a model, on the same samples and the same resamples: what it
reaches is the ceiling for that pattern. What is lost against it and against the fullest pattern is told as in
`mhdiff.evaluate.lost`: `gap`, `drop`, `irreducible_drop` and `excess_drop`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from mhdiff.evaluate.bootstrap import LEVEL, Estimate, Resamples, Result, bootstrap
from mhdiff.evaluate.calibration import apply_temperature, fit_temperature, log_probabilities, reliability
from mhdiff.evaluate.ceiling import check_ceiling, with_posterior
from mhdiff.evaluate.compare import reason_for, tuned_thresholds
from mhdiff.evaluate.lost import losses
from mhdiff.evaluate.metrics import OVERALL, PER_CLASS, THRESHOLDED, undefined_reasons
from mhdiff.evaluate.patterns import modalities_of, order_patterns
from mhdiff.evaluate.predictions import Scored, check_predictions, to_scored
from mhdiff.evaluate.thresholds import Thresholds
from ontology.errors import InputError

SPLIT = "held_out"


@dataclass(frozen=True)
class _Pattern:
    """What is known of one pattern before resampling: its rows, and what the tuning split fixed for it."""

    scored: Scored
    thresholds: Thresholds
    tuned_on: str | None
    temperature: dict[str, Any] | None
    ceiling: Scored | None
    ceiling_reason: str
    ceiling_thresholds: Thresholds | None


def summarise(
    predictions: pl.DataFrame,
    classes: Sequence[str],
    *,
    ceiling: pl.DataFrame | None = None,
    replicates: int = 1000,
    seed: int = 0,
    modalities: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Evaluate predictions under every pattern of modalities that they hold.

    Args:
        predictions: The predictions frame (see `mhdiff.evaluate.predictions`).
        classes: Names of the classes, in the order of p_0, p_1, ...
        ceiling: Exact posteriors: subject_id, pattern, p_0 ..., where they are known.
        replicates: How many bootstrap resamples of patients.
        seed: Seed of the resamples.
        modalities: The task's modalities in order; read from the fullest pattern if not given.

    Returns:
        The document `metrics.json`, made of plain dicts, lists, numbers, strings and None.

    Raises:
        InputError: If predictions or ceiling are unusable, hold an unknown pattern, or nobody is held out.
    """
    frame = check_predictions(predictions, classes)
    held_out = frame.filter(pl.col("split") == SPLIT)
    if held_out.is_empty():
        raise InputError(
            "nobody is held out, so there is nothing to evaluate on",
            column="split",
            remedy="Split the cohort first",
        )
    order = list(modalities) if modalities is not None else modalities_of(held_out["pattern"].unique())
    names = order_patterns(held_out["pattern"].unique().to_list(), order)
    tuning = frame.filter(pl.col("split") == "tuning")
    truth = None if ceiling is None else check_ceiling(ceiling, classes, order)
    patterns = {name: _prepare(name, names[0], held_out, tuning, truth, classes) for name in names}

    arms: dict[str, list[Scored]] = {}
    for name, pattern in patterns.items():
        arms[name] = [pattern.scored]
        if pattern.temperature is not None:
            arms[f"{name}|scaled"] = [_rescaled(pattern.scored, pattern.temperature["value"])]
        if pattern.ceiling is not None:
            arms[f"{name}|ceiling"] = [pattern.ceiling]
    resamples = Resamples.of(held_out["subject_id"].to_numpy(), replicates, seed)
    results = bootstrap(arms, resamples)

    full = patterns[names[0]].scored
    return {
        "classes": list(classes),
        "modalities": order,
        "split": SPLIT,
        "n_samples": held_out["sample_id"].n_unique(),
        "n_subjects": int(resamples.subjects.size),
        "prevalence": {c: float(np.mean(full.labels == i)) for i, c in enumerate(classes)},
        "replicates": replicates,
        "seed": seed,
        "level": LEVEL,
        "patterns": {name: _describe(name, names[0], patterns, results, classes) for name in names},
    }


def _prepare(
    name: str,
    fullest: str,
    held_out: pl.DataFrame,
    tuning: pl.DataFrame,
    truth: pl.DataFrame | None,
    classes: Sequence[str],
) -> _Pattern:
    """Fix thresholds and temperature on this pattern's tuning rows, or the fullest's where it has none."""
    rows = held_out.filter(pl.col("pattern") == name)
    tuned_on: str | None = None
    chosen = tuning.clear()
    for candidate in (name, fullest):
        chosen = tuning.filter(pl.col("pattern") == candidate)
        if chosen.height:
            tuned_on = candidate
            break
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
    best, best_thresholds, reason = None, None, "no exact posterior was given"
    if truth is not None:
        posterior = truth.filter(pl.col("pattern") == name).drop("pattern")
        reason = f"the exact posteriors hold no pattern '{name}'"
        if posterior.height:
            best_thresholds = tuned_thresholds(with_posterior(chosen, posterior, name), classes)
            best = to_scored(with_posterior(rows, posterior, name), best_thresholds.values)
    return _Pattern(
        to_scored(rows, thresholds.values), thresholds, tuned_on, temperature, best, reason, best_thresholds
    )


def _rescaled(scored: Scored, temperature: float) -> Scored:
    return Scored(
        scored.samples,
        scored.subjects,
        scored.labels,
        apply_temperature(scored.probabilities, temperature),
        scored.called,
    )


def _describe(
    name: str, fullest: str, patterns: dict[str, _Pattern], results: dict[str, Result], classes: Sequence[str]
) -> dict[str, Any]:
    pattern, result = patterns[name], results[name]
    absent = undefined_reasons(pattern.scored, classes)
    reasons = {m: reason_for(m, absent, pattern.thresholds.reasons) for m in OVERALL}
    document: dict[str, Any] = {
        "n": len(pattern.scored.samples),
        "n_subjects": len(np.unique(pattern.scored.subjects)),
        "tuned_on": pattern.tuned_on,
        "metrics": {m: result.overall(m, reasons[m]) for m in OVERALL},
        "per_class": describe_classes(result, pattern.scored, classes, pattern.thresholds),
        "calibration": _calibration(name, pattern, results),
        "ceiling": None,
        "gap": None,
        "drop": None,
    }
    best, why = results.get(f"{name}|ceiling"), dict.fromkeys(OVERALL, "")
    if best is None or pattern.ceiling_thresholds is None:
        document["ceiling_reason"] = pattern.ceiling_reason
    else:
        why = {m: reason_for(m, absent, pattern.ceiling_thresholds.reasons) for m in OVERALL}
        document["ceiling"] = {m: best.overall(m, why[m]) for m in OVERALL}
    whole = None
    if name != fullest:
        if np.array_equal(patterns[fullest].scored.samples, pattern.scored.samples):
            whole = results[fullest]
        else:
            document["drop_reason"] = f"'{name}' and '{fullest}' were not predicted for the same samples"
    for what, lost in losses(result, whole, best, results.get(f"{fullest}|ceiling")).items():
        document[what] = {
            m: lost.overall(m, (why[m] if what == "gap" else "") or reasons[m]) for m in OVERALL
        }
    return document


def describe_classes(
    result: Result, scored: Scored, classes: Sequence[str], thresholds: Thresholds | None = None
) -> dict[str, dict[str, Any]]:
    """Write the figures of each class, with how many samples have it.

    Args:
        result: The figures and their replicates.
        scored: The predictions behind them.
        classes: Names of the classes.
        thresholds: The operating points, where there is one set of them.
    """
    absent = undefined_reasons(scored, classes)
    document: dict[str, dict[str, Any]] = {}
    for i, name in enumerate(classes):
        row: dict[str, Any] = {"n_positive": int((scored.labels == i).sum())}
        if thresholds is not None:
            limit = thresholds.values[i]
            row["threshold"] = None if np.isnan(limit) else float(limit)
        untuned = "" if thresholds is None else thresholds.reasons.get(name, "")
        for metric in PER_CLASS:
            reason = absent.get(name, "") or (untuned if metric in THRESHOLDED else "")
            row[metric] = result.per_class(metric, i, reason)
        document[name] = row
    return document


def _calibration(name: str, pattern: _Pattern, results: dict[str, Result]) -> dict[str, Any]:
    table = reliability(pattern.scored.probabilities, pattern.scored.labels)
    scaled = results.get(f"{name}|scaled")
    if scaled is None:
        reason = "no tuning predictions to fit a temperature on"
        return {"reliability": table, "temperature": None, "scaled": None, "reason": reason}
    figures: dict[str, Estimate] = {m: scaled.overall(m) for m in ("ece", "brier")}
    return {"reliability": table, "temperature": pattern.temperature, "scaled": figures}
