"""From cells to a verdict: pooled out-of-fold figures for each arm, and paired differences between arms.

For each seed the held-out predictions of all folds are pooled, so that each patient is predicted once by a
model that never saw them; an arm's figure is the mean over seeds, and its interval resamples patients, the
same ones for all arms.
Neither folds nor seeds are taken for independent evidence; a difference from a null arm that is drawn anew for every
seed has the spread of the draws in its interval, and the rank among the draws beside it (`draws`). Arms may have
different seeds. Thresholds come from each cell's own tuning split.
An arm with a failed cell has no figures: it stays in the table as failed, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from mhdiff.ablate.cells import Cell
from mhdiff.ablate.config import Ablation
from mhdiff.ablate.draws import is_drawn, rank, widen
from mhdiff.evaluate.bootstrap import LEVEL, Resamples, Result, bootstrap
from mhdiff.evaluate.compare import reason_for, refuse_different_patients, tuned_thresholds
from mhdiff.evaluate.metrics import LOWER_IS_BETTER, OVERALL, PER_CLASS, undefined_reasons
from mhdiff.evaluate.patterns import modalities_of, order_patterns
from mhdiff.evaluate.predictions import Scored, check_predictions, probability_columns, to_scored
from mhdiff.evaluate.summary import describe_classes
from ontology.errors import InputError


@dataclass(frozen=True)
class _Arm:
    """One arm's pooled predictions, one set a seed, or why there are none."""

    runs: list[Scored]
    untuned: dict[str, str]
    reason: str = ""


def summarise_ablation(
    ablation: Ablation,
    cells: Sequence[Cell],
    *,
    predictions: Mapping[str, pl.DataFrame],
    records: Mapping[str, dict[str, Any]],
    failures: Mapping[str, str],
) -> dict[str, Any]:
    """Put the cells' predictions together into the document `ablation.json`.

    Args:
        ablation: What was run.
        cells: All its cells.
        predictions: By key, the predictions frame of each cell that did not fail.
        records: By key, what the training said of itself: parameters, seconds, classes.
        failures: By key, why a cell failed.
    """
    frames = {key: check_predictions(frame) for key, frame in predictions.items()}
    classes = _classes(frames, records)
    pattern = ablation.pattern or _fullest(frames)
    arms = {arm: _pool(ablation, arm, cells, frames, failures, classes, pattern) for arm in ablation.arms}
    usable = {name: arm for name, arm in arms.items() if arm.runs}
    results: dict[str, Result] = {}
    seeds: dict[str, Result] = {}
    if usable:
        everyone = np.concatenate([run.subjects for arm in usable.values() for run in arm.runs])
        resamples = Resamples.of(everyone, ablation.replicates, ablation.bootstrap_seed)
        # Patients of all arms together; arms on different patients are never paired below.
        results = bootstrap({name: arm.runs for name, arm in usable.items()}, resamples)
        once = Resamples.of(everyone, 0, 0)
        single = {
            f"{a}|{s}": [run]
            for a, arm in usable.items()
            for s, run in zip(ablation.seeds_of(a), arm.runs, strict=True)
        }
        seeds = bootstrap(single, once)
    differences, by_class = _differences(ablation, arms, results, seeds, classes)
    return {
        "name": ablation.name,
        "classes": classes,
        "pattern": pattern,
        "reference": ablation.reference,
        "level": LEVEL,
        "replicates": ablation.replicates,
        "folds": ablation.folds,
        "seeds": list(ablation.seeds),
        "arms": {
            name: _describe_arm(ablation, name, arms[name], results, seeds, cells, records, failures, classes)
            for name in ablation.arms
        },
        "differences": differences,
        "differences_per_class": by_class,
        "cells": [
            {
                "key": cell.key,
                "arm": cell.arm,
                "fold": cell.fold,
                "seed": cell.seed,
                "overrides": list(cell.overrides),
                "status": "failed" if cell.key in failures else "done",
                "message": failures.get(cell.key),
                "seconds": records.get(cell.key, {}).get("seconds"),
                "parameters": records.get(cell.key, {}).get("parameters"),
            }
            for cell in cells
        ],
    }


def _classes(frames: Mapping[str, pl.DataFrame], records: Mapping[str, dict[str, Any]]) -> list[str]:
    """Take the classes' names from what a training recorded, or number them."""
    widths = {len(probability_columns(frame)) for frame in frames.values()}
    if len(widths) > 1:
        raise InputError(
            f"cells predict different numbers of classes: {sorted(widths)}", remedy="Use one task"
        )
    width = widths.pop() if widths else 0
    named = [record["classes"] for record in records.values() if record.get("classes")]
    if named and len(named[0]) == width:
        return [str(name) for name in named[0]]
    return [str(i) for i in range(width)]


def _fullest(frames: Mapping[str, pl.DataFrame]) -> str | None:
    names = {name for frame in frames.values() for name in frame["pattern"].unique().to_list()}
    return order_patterns(names, modalities_of(names))[0] if names else None


def _pool(
    ablation: Ablation,
    arm: str,
    cells: Sequence[Cell],
    frames: Mapping[str, pl.DataFrame],
    failures: Mapping[str, str],
    classes: Sequence[str],
    pattern: str | None,
) -> _Arm:
    """Pool an arm's held-out predictions over its folds, seed by seed."""
    own = [cell for cell in cells if cell.arm == arm]
    failed = [cell for cell in own if cell.key in failures]
    if failed:
        places = ", ".join(c.place for c in failed)
        return _Arm([], {}, f"{len(failed)} of {len(own)} cells failed ({places}): {failures[failed[0].key]}")
    runs: list[Scored] = []
    untuned: dict[str, str] = {}
    own_seeds = ablation.seeds_of(arm)
    for seed in own_seeds:
        parts: list[Scored] = []
        for cell in (c for c in own if c.seed == seed):
            frame = frames[cell.key].filter(pl.col("pattern") == pattern)
            limits = tuned_thresholds(frame.filter(pl.col("split") == "tuning"), classes)
            untuned |= limits.reasons
            held_out = frame.filter(pl.col("split") == "held_out")
            if held_out.is_empty():
                return _Arm([], {}, f"{cell.place} holds nobody out under pattern '{pattern}'")
            parts.append(to_scored(held_out, limits.values))
        try:
            runs.append(_joined(parts))
            refuse_different_patients(runs[0], runs[-1], (f"seed {own_seeds[0]}", f"seed {seed}"))
        except InputError as error:
            return _Arm([], {}, str(error))
    return _Arm(runs, untuned)


def _joined(parts: Sequence[Scored]) -> Scored:
    samples = np.concatenate([part.samples for part in parts])
    order = np.argsort(samples, kind="stable")
    again = samples[order][1:][np.diff(samples[order]) == 0]
    if again.size:
        raise InputError(f"sample {again[0]} is held out in two folds", remedy="Folds must not overlap")
    return Scored(
        samples[order],
        np.concatenate([part.subjects for part in parts])[order],
        np.concatenate([part.labels for part in parts])[order],
        np.concatenate([part.probabilities for part in parts])[order],
        np.concatenate([part.called for part in parts])[order],
    )


def _describe_arm(
    ablation: Ablation,
    name: str,
    arm: _Arm,
    results: Mapping[str, Result],
    seeds: Mapping[str, Result],
    cells: Sequence[Cell],
    records: Mapping[str, dict[str, Any]],
    failures: Mapping[str, str],
    classes: Sequence[str],
) -> dict[str, Any]:
    own = [cell for cell in cells if cell.arm == name]
    recorded = [records.get(cell.key, {}) for cell in own]
    parameters = {r["parameters"] for r in recorded if r.get("parameters") is not None}
    seconds = [r["seconds"] for r in recorded if r.get("seconds") is not None]
    document: dict[str, Any] = {
        "status": "done" if arm.runs else "failed",
        "reason": arm.reason or None,
        "overrides": list(ablation.arms[name]),
        "seeds": list(ablation.seeds_of(name)),
        "parameters": max(parameters) if parameters else None,
        "seconds": float(sum(seconds)) if seconds else None,
        "failures": [
            {"fold": c.fold, "seed": c.seed, "message": failures[c.key]} for c in own if c.key in failures
        ],
    }
    if not arm.runs:
        missing = {"value": None, "low": None, "high": None, "undefined": 0, "reason": arm.reason}
        metrics = {metric: dict(missing) for metric in OVERALL}
        return document | {"n": 0, "n_subjects": 0, "metrics": metrics, "per_class": {}, "by_seed": {}}
    first, result = arm.runs[0], results[name]
    absent = undefined_reasons(first, classes)
    points = {str(s): seeds[f"{name}|{s}"].point.overall for s in ablation.seeds_of(name)}
    return document | {
        "n": len(first.samples),
        "n_subjects": len(np.unique(first.subjects)),
        "metrics": {m: result.overall(m, reason_for(m, absent, arm.untuned)) for m in OVERALL},
        "per_class": describe_classes(result, first, classes),
        "by_seed": {
            seed: {m: None if np.isnan(values[m][0]) else float(values[m][0]) for m in OVERALL}
            for seed, values in points.items()
        },
    }


def _differences(
    ablation: Ablation,
    arms: Mapping[str, _Arm],
    results: Mapping[str, Result],
    seeds: Mapping[str, Result],
    classes: Sequence[str],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Compare pairs of arms on the same resamples: arm minus reference."""
    overall: list[dict[str, Any]] = []
    by_class: list[dict[str, Any]] = []
    for name, reference in ablation.comparisons():
        head: dict[str, Any] = {"arm": name, "reference": reference}
        reason = arms[name].reason or arms[reference].reason
        if not reason:
            try:
                refuse_different_patients(arms[name].runs[0], arms[reference].runs[0], (name, reference))
            except InputError as error:
                reason = str(error)
        if reason:
            nothing = {"value": None, "low": None, "high": None, "undefined": 0, "n": 0, "reason": reason}
            overall += [head | {"metric": metric} | nothing for metric in OVERALL]
            continue
        scored, result = arms[name].runs[0], results[name] - results[reference]
        absent, size = undefined_reasons(scored, classes), {"n": len(scored.samples)}
        untuned = arms[name].untuned | arms[reference].untuned
        drawn = [a for a in (reference, name) if is_drawn(ablation.arms[a])]
        null = drawn[0] if drawn else None
        draws = [seeds[f"{null}|{seed}"].point for seed in ablation.seeds_of(null)] if null else []
        # A null has no rank to speak of among the draws of another one.
        ranked = results[name].point if drawn == [reference] else None
        for metric in OVERALL:
            figure = result.overall(metric, reason_for(metric, absent, untuned))
            if null:
                values = [float(point.overall[metric][0]) for point in draws]
                figure = widen(figure, values)
                if ranked:
                    real = float(ranked.overall[metric][0])
                    figure |= rank(real, values, lower_is_better=metric in LOWER_IS_BETTER)
            overall.append(head | {"metric": metric} | figure | size)
        for i, label in enumerate(classes):
            n = {"n_positive": int((scored.labels == i).sum())}
            for metric in PER_CLASS:
                figure = result.per_class(metric, i, absent.get(label, "") or untuned.get(label, ""))
                if null:
                    values = [float(point.per_class[metric][0, i]) for point in draws]
                    figure = widen(figure, values)
                    if ranked:
                        figure |= rank(float(ranked.per_class[metric][0, i]), values)
                by_class.append(head | {"class": label, "metric": metric} | figure | size | n)
    return overall, by_class
