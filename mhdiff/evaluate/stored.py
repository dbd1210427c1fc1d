"""Predictions on disk: `predictions.parquet` holds all that its figures need, so that they need nothing else.

Columns, one row a sample and pattern of offered modalities; those with * must be there (`mhdiff.evaluate.predictions`):

    sample_id* subject_id* split* pattern* label* p_0* .. p_{C-1}*
    spread              between the imputations behind the probabilities
    site, sex, age      for figures by subgroup; age in whole years at the time of prediction, null where unknown
    present             the modalities that the sample has, named like a pattern
    model               which of several models made it, 0, 1, ..., where folds were pooled: a row is one of a model too
    q_0 .. q_{C-1}      the exact posterior under the pattern, of a known-answer cohort: the ceiling

The file's own metadata has, under the key `mhdiff`, what `About` says as JSON. Predictions of any other system can be
written with `write_predictions` and are evaluated like ours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Int64

from mhdiff.evaluate.predictions import MODEL, probability_columns
from ontology.errors import InputError

KEY = "mhdiff"
PREDICTIONS = "predictions.parquet"
EXACT = "q_"
AGAIN = "Delete the file and predict again: mhdiff predict RUN"


@dataclass(frozen=True)
class About:
    """What a table of probabilities does not say of itself.

    Args:
        task: Name of the task.
        classes: Names of the classes, in the order of p_0, p_1, ...
        modalities: The task's modalities, in its order.
        held_out: How the samples were split, such as `stored` or `fold:0/5`.
        counts: How many samples of each class were trained on; empty where nobody counted.
        ceiling_reason: Why there is no exact posterior; empty where there is.
        models: How many models made these predictions; more than one where folds were pooled, counted in the
            column `model` where there is one.
    """

    task: str
    classes: tuple[str, ...]
    modalities: tuple[str, ...]
    held_out: str = "stored"
    counts: tuple[int, ...] = ()
    ceiling_reason: str = "no exact posterior was given"
    models: int = 1

    @property
    def frequency(self) -> Int64[np.ndarray, " classes"] | None:
        """The counts as an array, None where nobody counted."""
        return np.asarray(self.counts, dtype=np.int64) if sum(self.counts) else None


@dataclass(frozen=True)
class Stored:
    """Predictions as they were read.

    Args:
        path: The file.
        frame: Its rows.
        about: What it says of itself; None for a file of an earlier version.
    """

    path: Path
    frame: pl.DataFrame
    about: About | None

    @property
    def ceiling(self) -> pl.DataFrame | None:
        """The exact posteriors that it holds: subject_id, pattern, p_0 ...; None if there are none."""
        names = [name.replace("p_", EXACT, 1) for name in probability_columns(self.frame, self.path)]
        if not set(names) <= set(self.frame.columns):
            return None
        found = self.frame.select("subject_id", "pattern", *names).drop_nulls().unique(maintain_order=True)
        return found.rename({name: name.replace(EXACT, "p_", 1) for name in names}) if found.height else None


def write_predictions(frame: pl.DataFrame, path: Path, about: About | None = None) -> None:
    """Write predictions whole or not at all.

    Args:
        frame: The predictions.
        path: The file.
        about: What they are of.
    """
    fresh = path.with_suffix(".new")
    frame.write_parquet(fresh, metadata={} if about is None else {KEY: json.dumps(asdict(about))})
    fresh.replace(path)


def read_predictions(path: str | Path, *, alone: bool = False) -> Stored:
    """Read predictions.

    Args:
        path: A file, or a folder that holds predictions.parquet.
        alone: Whether nothing else is known of them, so that the file must say what it is of.

    Raises:
        InputError: If there is no such file, it cannot be read, or it does not say what it is of and has to.
    """
    file = Path(path) / PREDICTIONS if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise InputError("there are no predictions", path=file, remedy="Write them with: mhdiff predict RUN")
    try:
        frame, metadata = pl.read_parquet(file), pl.read_parquet_metadata(file)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError("the file is no readable Parquet", path=file, remedy=AGAIN) from error
    text = metadata.get(KEY)
    if text is None and alone:
        raise InputError(
            "the file does not say which classes and modalities it is of: an earlier version or another tool wrote it",
            path=file,
            remedy=f"{AGAIN}; predictions of your own: mhdiff.evaluate.stored.write_predictions",
        )
    about = None if text is None else _about(text, file)
    if about is not None and MODEL in frame.columns:
        about = replace(about, models=max(frame[MODEL].n_unique(), 1))
    return Stored(file, frame, about)


def _about(text: str, path: Path) -> About:
    try:
        content = json.loads(text)
        if not isinstance(content, Mapping):
            raise TypeError
        known: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in content.items()}
        return About(**known)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"what the file says of itself (its metadata '{KEY}') is not understood", path=path, remedy=AGAIN
        ) from error
