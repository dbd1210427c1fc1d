"""From cells to a verdict: pooled out-of-fold figures for each arm, and paired differences between arms.

For each seed, and each repetition of the folds, the held-out predictions of all folds are pooled, so that each patient
is predicted once by a model that never saw them; an arm's figure is the mean over these sets, and its interval
resamples patients, the same ones for all sets and arms.
Neither folds nor seeds nor repetitions are taken for independent evidence; a difference from a null arm that is drawn
anew for every seed has the spread of the draws in its interval, and the rank among the draws beside it (`draws`). Arms
may have different seeds. Thresholds come from each cell's own tuning split.
An arm with a failed cell has no figures: it stays in the table as failed, with the reason.
The arms are compared under one pattern of offered modalities; `patterns` has the figures of all that were predicted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from mhdiff.ablate.cells import Cell
from mhdiff.ablate.config import Ablation
from mhdiff.ablate.differences import differences
from mhdiff.ablate.families import adjust
from mhdiff.ablate.patterns import Figures, describe_patterns
from mhdiff.ablate.pool import Pooled, Truth, pool, pool_ceiling
from mhdiff.ablate.rare import Rare
from mhdiff.evaluate.bootstrap import LEVEL, Resamples, Result
from mhdiff.evaluate.compare import reason_for
from mhdiff.evaluate.described import describe_classes
from mhdiff.evaluate.metrics import OVERALL, undefined_reasons
from mhdiff.evaluate.patterns import modalities_of, order_patterns, parse_pattern, pattern_name
from mhdiff.evaluate.power import expected
from mhdiff.evaluate.predictions import check_predictions, probability_columns
from mhdiff.evaluate.summary import INTERVAL
from ontology.errors import InputError


def summarise_ablation(
    ablation: Ablation,
    cells: Sequence[Cell],
    *,
    predictions: Mapping[str, pl.DataFrame],
    records: Mapping[str, dict[str, Any]],
    failures: Mapping[str, str],
    truth: Truth | None = None,
) -> dict[str, Any]:
    """Put the cells' predictions together into the document `ablation.json`.

    Args:
        ablation: What was run.
        cells: All its cells.
        predictions: By key, the predictions frame of each cell that did not fail.
        records: By key, what the training said of itself: parameters, seconds, peak memory, classes.
        failures: By key, why a cell failed.
        truth: The exact posteriors of known-answer cohorts.
    """
    frames = {key: check_predictions(frame) for key, frame in predictions.items()}
    classes, names = _classes(frames, records), _patterns(frames)
    pattern = _compared(ablation, names)
    pools = {
        name: {arm: pool(ablation, arm, cells, frames, failures, classes, name) for arm in ablation.arms}
        for name in dict.fromkeys([pattern, *names])
    }
    usable = [run for pooled in pools.values() for arm in pooled.values() for run in arm.runs]
    figures: dict[str | None, Figures] = {pattern: Figures(pools[pattern], {}, {}, {})}
    rare: Rare | None = None
    if usable:
        rare = Rare.of(ablation.rare, classes, usable[0])
        everyone = np.concatenate([run.subjects for run in usable])
        resamples = Resamples.of(everyone, ablation.replicates, ablation.bootstrap_seed)
        truth = (truth or Truth({}, {})).checked(classes, modalities_of(names))
        for name, pooled in pools.items():
            exact = {
                arm: pool_ceiling(arm, ablation.seeds_of(arm)[0], cells, frames, str(name), truth)
                for arm in ablation.arms
                if pooled[arm].runs
            }
            figures[name] = Figures.of(ablation, pooled, exact, resamples, rare)
    arms, results, seeds = figures[pattern].pools, figures[pattern].results, figures[pattern].seeds
    overall, by_class = differences(ablation, arms, results, seeds, classes)
    patterns = {} if rare is None else describe_patterns(ablation, names, figures, rare)
    everywhere = [row for pattern in patterns.values() for row in pattern["differences"]]
    return {
        "name": ablation.name,
        "classes": classes,
        "pattern": pattern,
        "reference": ablation.reference,
        "level": LEVEL,
        "interval": INTERVAL,
        "families": {
            "adjustment": "holm",
            "differences": adjust(overall),
            "patterns": adjust(everywhere),
            "differences_per_class": adjust(by_class),
        },
        "power": expected(usable[0].labels, usable[0].subjects, classes) if usable else None,
        "replicates": ablation.replicates,
        "folds": ablation.folds,
        "repeats": ablation.repeats,
        "seeds": list(ablation.seeds),
        "arms": {
            name: _describe_arm(ablation, name, arms[name], results, seeds, cells, records, failures, classes)
            for name in ablation.arms
        },
        "differences": overall,
        "differences_per_class": by_class,
        "patterns": patterns,
        "rare": None if rare is None else rare.describe(),
        "cells": [
            {
                "key": cell.key,
                "arm": cell.arm,
                "repeat": cell.repeat,
                "fold": cell.fold,
                "seed": cell.seed,
                "overrides": list(cell.overrides),
                "status": "failed" if cell.key in failures else "done",
                "message": failures.get(cell.key),
                "seconds": records.get(cell.key, {}).get("seconds"),
                "peak_mib": records.get(cell.key, {}).get("peak_mib"),
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


def _patterns(frames: Mapping[str, pl.DataFrame]) -> list[str]:
    """List the patterns that were predicted, the fullest first."""
    names = {name for frame in frames.values() for name in frame["pattern"].unique().to_list()}
    return order_patterns(names, modalities_of(names)) if names else []


def _compared(ablation: Ablation, names: Sequence[str]) -> str | None:
    """Name the pattern on which arms are compared first, as the predictions spell it."""
    if ablation.pattern is None or not names:
        return names[0] if names else None
    modalities = modalities_of(names)
    return pattern_name(parse_pattern(ablation.pattern, modalities), modalities)


def _describe_arm(
    ablation: Ablation,
    name: str,
    arm: Pooled,
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
            {"repeat": c.repeat, "fold": c.fold, "seed": c.seed, "message": failures[c.key]}
            for c in own
            if c.key in failures
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
