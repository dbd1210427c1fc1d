"""Predictions of several models as one set: each patient by the model that never saw them, at its own thresholds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from mhdiff.evaluate.compare import tuned_thresholds
from mhdiff.evaluate.predictions import MODEL, Scored, by_model, to_scored
from mhdiff.evaluate.thresholds import Thresholds
from ontology.errors import InputError


def joined(parts: Sequence[Scored]) -> Scored:
    """Join the held-out predictions of several folds.

    Args:
        parts: Those of each fold.

    Raises:
        InputError: If a sample is held out twice.
    """
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


def at_own_thresholds(
    rows: pl.DataFrame, tuning: pl.DataFrame, classes: Sequence[str]
) -> tuple[Scored, list[Thresholds]]:
    """Call the classes of each model's rows at the thresholds of its own tuning rows.

    Args:
        rows: Checked held-out rows, each sample once.
        tuning: Checked tuning rows, each sample once a model.
        classes: Names of the classes.

    Returns:
        All rows, and the thresholds of each model that has some.
    """
    parts = by_model(rows)
    limits = [tuned_thresholds(of_the_same(part, tuning), classes) for part in parts]
    return joined([to_scored(part, own.values) for part, own in zip(parts, limits, strict=True)]), limits


def of_the_same(part: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Give those rows that are of the same model as a part; all of them where there is one model.

    Args:
        part: Rows of one model.
        rows: Rows of all.
    """
    if MODEL not in part.columns or part.is_empty():
        return rows
    return rows.filter(pl.col(MODEL) == part[MODEL][0])


def reasons_of(limits: Sequence[Thresholds]) -> dict[str, str]:
    """Give, by class, why a model has no threshold.

    Args:
        limits: The thresholds of each.
    """
    return {name: why for limit in limits for name, why in limit.reasons.items()}
