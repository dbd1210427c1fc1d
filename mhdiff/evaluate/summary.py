"""`metrics.json`: a run's figures for every pattern of modalities, with intervals and the ceiling.

Thresholds and temperature come from the tuning split, every figure from the held-out one. On a known-answer
cohort the exact posterior is evaluated as if it were a model, on the same samples and the same resamples: what it
reaches is the ceiling for that pattern. What is lost against it and against the fullest pattern is told as in
`mhdiff.evaluate.lost`: `gap`, `drop`, `irreducible_drop` and `excess_drop`. Predictions of several models, each on the
patients held out from it, are one set; what the tuning split decides is decided for each model by its own.

Intervals are BCa's over patients, which miss less often than percentiles near the ends of the scale and with few
positives, at a fifth more time (ARCHITECTURE.md has the simulations); where BCa does not exist a figure's `remark` says
so. Those of calibration errors are basic ones (`mhdiff.evaluate.bootstrap`). Slope and intercept are fitted anew for
every resample, which takes longer than all else: they have an interval with everything offered, and none under the
other patterns.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Int64

from mhdiff.evaluate.bootstrap import LEVEL, Resamples, Result, bootstrap
from mhdiff.evaluate.ceiling import check_ceiling
from mhdiff.evaluate.decision import decision_curves
from mhdiff.evaluate.described import Figures
from mhdiff.evaluate.every_metric import EveryMetric
from mhdiff.evaluate.metrics import undefined_reasons
from mhdiff.evaluate.patterns import modalities_of, order_patterns
from mhdiff.evaluate.predictions import Scored, check_predictions
from mhdiff.evaluate.prepared import CEILING, Prepared, prepare
from mhdiff.evaluate.recalibration import Recalibration
from mhdiff.evaluate.regimes import RATE, Regime, regimes
from mhdiff.evaluate.robustness import curve
from mhdiff.evaluate.shortcut import presence_only
from mhdiff.evaluate.stored import About, Stored
from mhdiff.evaluate.strata import strata
from mhdiff.evaluate.subgroups import subgroups
from ontology.errors import InputError

SPLIT = "held_out"
INTERVAL = {"kind": "bca", "of calibration errors": "basic"}


def summarise(
    predictions: pl.DataFrame,
    classes: Sequence[str],
    *,
    ceiling: pl.DataFrame | None = None,
    replicates: int = 1000,
    seed: int = 0,
    modalities: Sequence[str] | None = None,
    counts: Int64[np.ndarray, " classes"] | None = None,
    rate: float = RATE,
    ceiling_reason: str = "no exact posterior was given",
) -> dict[str, Any]:
    """Evaluate predictions under every pattern of modalities that they hold.

    Args:
        predictions: The predictions frame (see `mhdiff.evaluate.predictions` and `mhdiff.evaluate.stored`).
        classes: Names of the classes, in the order of p_0, p_1, ...
        ceiling: Exact posteriors: subject_id, pattern, p_0 ..., where they are known.
        replicates: How many bootstrap resamples of patients.
        seed: Seed of the resamples.
        modalities: The task's modalities in order; read from the fullest pattern if not given.
        counts: How many samples of each class were trained on, by which classes are rare; else those of the tuning
            split are counted.
        rate: Which share of the modalities the regimes of missingness hide.
        ceiling_reason: Why there are no exact posteriors, if there are none.

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
    truth = None if ceiling is None else check_ceiling(ceiling, classes, order)
    chosen = regimes(frame, order, classes, truth, rate=rate, seed=seed)
    prepared = {name: _pattern(name, names[0], frame, truth, classes, ceiling_reason) for name in names}
    prepared |= {r.name: _regime(r, truth, classes, ceiling_reason) for r in chosen if r.rows is not None}

    resamples = Resamples.of(held_out["subject_id"].to_numpy(), replicates, seed)
    arms = {key: runs for name, one in prepared.items() for key, runs in one.arms(name).items()}
    results = bootstrap(arms, resamples, figures=partial(EveryMetric, fitted=False), accelerated=True)
    full = prepared[names[0]].scored
    counted, of = (counts, "train") if counts is not None else (_counts(frame, classes), "tuning")
    if not counted.sum():
        counted, of = np.bincount(full.labels, minlength=len(classes)), SPLIT
    figures = Figures(prepared, results, _fits(prepared, names[0], resamples), classes, counted)
    absent = "; ".join(undefined_reasons(full, classes).values())
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
        "interval": INTERVAL,
        "frequency_counted_in": of,
        "patterns": {name: figures.describe(name, names[0]) for name in names},
        "regimes": {r.name: _describe_regime(r, figures, names[0], rate) for r in chosen},
        "robustness": _robustness(results, prepared, names, order, absent),
        "subgroups": _subgroups(held_out, full, names[0], classes, resamples),
        "presence_only": presence_only(
            frame.filter(pl.col("split") == "tuning"),
            held_out.filter(pl.col("pattern") == names[0]),
            full,
            classes,
            resamples,
        ),
        "decision_curves": decision_curves(full, classes, resamples, accelerated=True),
    }


def summarise_stored(
    stored: Stored,
    about: About,
    *,
    ceiling: pl.DataFrame | None = None,
    replicates: int = 1000,
    seed: int = 0,
    rate: float = RATE,
) -> dict[str, Any]:
    """Evaluate stored predictions, from what the file holds alone.

    Args:
        stored: The predictions.
        about: What they are of.
        ceiling: Exact posteriors from elsewhere, for a file of an earlier version that holds none.
        replicates: How many bootstrap resamples of patients.
        seed: Seed of the resamples, and of the regimes.
        rate: Which share of the modalities the regimes of missingness hide.

    Raises:
        InputError: If the predictions are unusable.
    """
    document = summarise(
        check_predictions(stored.frame, about.classes, path=stored.path),
        about.classes,
        ceiling=stored.ceiling if ceiling is None else ceiling,
        replicates=replicates,
        seed=seed,
        modalities=about.modalities,
        counts=about.frequency,
        rate=rate,
        ceiling_reason=about.ceiling_reason,
    )
    return document | {"task": about.task, "held_out": about.held_out, "models": about.models}


def _pattern(
    name: str,
    fullest: str,
    frame: pl.DataFrame,
    truth: pl.DataFrame | None,
    classes: Sequence[str],
    reason: str,
) -> Prepared:
    tuning, held_out = (frame.filter(pl.col("split") == split) for split in ("tuning", SPLIT))
    exact = None if truth is None else truth.filter(pl.col("pattern") == name).drop("pattern")
    of = {pattern: tuning.filter(pl.col("pattern") == pattern) for pattern in (name, fullest)}
    return prepare(name, held_out.filter(pl.col("pattern") == name), of, exact, classes, reason)


def _regime(regime: Regime, truth: pl.DataFrame | None, classes: Sequence[str], reason: str) -> Prepared:
    assert regime.rows is not None
    tuning, held_out = (regime.rows.filter(pl.col("split") == split) for split in ("tuning", SPLIT))
    return prepare(regime.name, held_out, {regime.name: tuning}, truth, classes, reason)


def _describe_regime(regime: Regime, figures: Figures, fullest: str, rate: float) -> dict[str, Any]:
    head: dict[str, Any] = {"driver": regime.driver or None, "rate": rate, "hidden": regime.hidden}
    if regime.rows is None:
        return head | {"metrics": None, "reason": regime.reason}
    return head | figures.describe(regime.name, fullest)


def _counts(frame: pl.DataFrame, classes: Sequence[str]) -> Int64[np.ndarray, " classes"]:
    labels = frame.filter(pl.col("split") == "tuning").unique("sample_id")["label"].to_numpy()
    return np.bincount(labels, minlength=len(classes)).astype(np.int64)


def _fits(prepared: dict[str, Prepared], fullest: str, resamples: Resamples) -> dict[str, Result]:
    arms = {name: [one.scored] for name, one in prepared.items()}
    once = Resamples(resamples.subjects, 0, resamples.seed)
    found = bootstrap(arms, once, figures=Recalibration)
    return found | bootstrap({fullest: arms[fullest]}, resamples, figures=Recalibration, accelerated=True)


def _robustness(
    results: dict[str, Result],
    prepared: dict[str, Prepared],
    names: Sequence[str],
    order: Sequence[str],
    absent: str,
) -> dict[str, Any]:
    samples = prepared[names[0]].scored.samples
    same = [name for name in names if np.array_equal(prepared[name].scored.samples, samples)]
    ceilings = {name: results[name + CEILING] for name in same if name + CEILING in results}
    return curve(
        {name: results[name] for name in same},
        order,
        ceilings or None,
        reason=f"{prepared[names[0]].ceiling_reason}: give another run with --against",
        absent=absent,
    )


def _subgroups(
    held_out: pl.DataFrame, scored: Scored, fullest: str, classes: Sequence[str], resamples: Resamples
) -> dict[str, Any]:
    rows = held_out.filter(pl.col("pattern") == fullest).sort("sample_id")
    found: dict[str, Any] = {}
    for kind, groups in strata(rows).items():
        if isinstance(groups, str):
            found[kind] = {"groups": None, "reason": groups}
        else:
            found[kind] = {"groups": subgroups(scored, groups, classes, resamples, accelerated=True)}
    return found
