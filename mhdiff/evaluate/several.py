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
    pairs = tuned_apart(rows, tuning)
    limits = [tuned_thresholds(own, classes) for _, own in pairs]
    parts = [to_scored(part, limit.values) for (part, _), limit in zip(pairs, limits, strict=True)]
    return joined(parts), limits


def tuned_apart(rows: pl.DataFrame, tuning: pl.DataFrame) -> list[tuple[pl.DataFrame, pl.DataFrame]]:
    """Give each model's rows with the tuning rows of the same model.

    Args:
        rows: Held-out rows.
        tuning: Tuning rows.
    """
    found = []
    for part in by_model(rows):
        own = tuning
        if (number := model_of(part)) is not None:
            own = tuning.filter(pl.col(MODEL) == number)
        found.append((part, own))
    return found


def model_of(rows: pl.DataFrame) -> int | None:
    """Give the number of the model that rows are of; None where there is one model alone.

    Args:
        rows: Rows of one model.
    """
    return int(rows[MODEL][0]) if MODEL in rows.columns and rows.height else None


def reasons_of(limits: Sequence[Thresholds]) -> dict[str, str]:
    """Give, by class, why a model has no threshold.

    Args:
        limits: The thresholds of each.
    """
    return {name: why for limit in limits for name, why in limit.reasons.items()}
