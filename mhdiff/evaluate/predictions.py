"""The predictions frame: what `predictions.parquet` must hold before anything is computed from it.

One row is one sample under one pattern of offered modalities: sample_id, subject_id, site, split, pattern,
label and the probabilities p_0 .. p_{C-1}. Where several models were pooled, such as those of the folds of a
cross-validation, a column `model` numbers them, and each is a table of its own: a patient may tune one model and be
held out from another, and is held out once. Whatever would make a figure wrong without showing (a NaN, a patient in two
splits of a model, a sample twice) is refused here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float64, Int64

from ontology.errors import InputError

SPLITS = ("train", "tuning", "held_out")
KEYS = ("sample_id", "subject_id", "split", "pattern", "label")
MODEL = "model"  # the column that numbers the models, where there are several
SUM_TOLERANCE = 1e-3  # float32 softmaxes, averaged over imputations, stay well inside


@dataclass(frozen=True)
class Scored:
    """Predictions as arrays, sorted by sample_id, so that no figure depends on the order of a file's rows.

    Args:
        samples: sample_id of each row, ascending.
        subjects: subject_id of each row: the unit that is resampled.
        labels: Index of the true class.
        probabilities: One row a sample, one column a class.
        called: 1 where the class is called at its threshold, 0 where not, NaN where it has no threshold.
    """

    samples: Int64[np.ndarray, " n"]
    subjects: Int64[np.ndarray, " n"]
    labels: Int64[np.ndarray, " n"]
    probabilities: Float64[np.ndarray, "n classes"]
    called: Float64[np.ndarray, "n classes"]


def probability_columns(frame: pl.DataFrame, path: str | Path | None = None) -> list[str]:
    """Give the names p_0 .. p_{C-1} that the frame holds.

    Args:
        frame: Predictions, or exact posteriors.
        path: Where the frame came from, for the message.

    Raises:
        InputError: If there are fewer than two, or one is missing in between.
    """
    found = {name for name in frame.columns if name.startswith("p_") and name[2:].isdigit()}
    names = [f"p_{i}" for i in range(len(found))]
    missing = [name for name in names if name not in found]
    if len(found) < 2 or missing:
        raise InputError(
            "the probabilities of the classes are missing",
            path=path,
            column=(missing or [f"p_{len(found)}"])[0],
            remedy="Give one column a class: p_0, p_1, ... without a gap",
        )
    return names


def check_predictions(
    frame: pl.DataFrame, classes: Sequence[str] | None = None, *, path: str | Path | None = None
) -> pl.DataFrame:
    """Refuse predictions that cannot be evaluated; otherwise give them back sorted and with plain types.

    Args:
        frame: Predictions in the columns of this module's description.
        classes: Names of the classes, where they are known.
        path: Where the frame came from, for the messages.

    Raises:
        InputError: For a missing column, no rows, NaN or infinite or impossible probabilities, a label
            outside the classes, an unknown split, a sample twice under one pattern, a patient in two splits, a patient
            who is held out from two models.
    """
    for name in KEYS:
        if name not in frame.columns:
            raise InputError(
                "a column is missing", path=path, column=name, remedy="Predict again with `mhdiff predict`"
            )
    columns = check_probabilities(frame, classes, path=path)
    if frame.is_empty():
        raise InputError("there are no predictions", path=path, remedy="Predict for at least one patient")
    pooled = [MODEL] if MODEL in frame.columns else []
    for name in (*KEYS, *pooled):
        nulls = frame[name].null_count()
        if nulls:
            raise InputError(f"{nulls} of {frame.height} values are missing", path=path, column=name)
    try:
        frame = frame.with_columns(
            pl.col("sample_id", "subject_id", "label", *pooled).cast(pl.Int64),
            pl.col("split", "pattern").cast(pl.String),
        )
    except pl.exceptions.PolarsError as error:
        whole = ", ".join(["sample_id", "subject_id", *pooled])
        raise InputError(f"{whole} and label must be whole numbers", path=path) from error
    outside = frame.filter(~pl.col("label").is_between(0, len(columns) - 1))
    if outside.height:
        raise InputError(
            f"label {outside['label'][0]} of sample {outside['sample_id'][0]} is no class of {len(columns)}",
            path=path,
            column="label",
        )
    strange = sorted(set(frame["split"].unique()) - set(SPLITS))
    if strange:
        raise InputError(
            f"unknown split {strange[0]!r}",
            path=path,
            column="split",
            remedy=f"Known ones: {', '.join(SPLITS)}",
        )
    for part in by_model(frame):
        _check_once(part, path)
    if pooled:
        _check_held_out_once(frame, path)
    return frame.sort("pattern", "sample_id", *pooled).with_columns(pl.col(columns).cast(pl.Float64))


def check_probabilities(
    frame: pl.DataFrame, classes: Sequence[str] | None = None, *, path: str | Path | None = None
) -> list[str]:
    """Check the columns p_0 .. p_{C-1} alone and give their names.

    Args:
        frame: Predictions, or exact posteriors.
        classes: Names of the classes, where they are known.
        path: Where the frame came from, for the messages.

    Raises:
        InputError: If a value is missing, NaN, outside [0, 1], if a row does not sum to 1, or if the number
            of columns is not that of the classes.
    """
    columns = probability_columns(frame, path)
    if classes is not None and len(columns) != len(classes):
        raise InputError(
            f"{len(columns)} probabilities a row, but {len(classes)} classes: {', '.join(classes)}",
            path=path,
            remedy="Evaluate with the task that the model was trained on",
        )
    for name in columns:
        if not frame.schema[name].is_numeric():
            raise InputError("probabilities must be numbers", path=path, column=name)
        values = frame[name].cast(pl.Float64)
        bad = (~(values.is_finite() & values.is_between(-1e-9, 1 + 1e-9))).fill_null(True)
        if bad.any():
            row = int(np.flatnonzero(bad.to_numpy())[0])
            raise InputError(
                f"{int(bad.sum())} of {frame.height} probabilities are no numbers in [0, 1]: "
                f"the first is {values[row]} in row {row}",
                path=path,
                column=name,
                remedy="A diverged training gives NaN: lower the learning rate or find the input",
            )
    total = frame.select(columns).to_numpy().astype(np.float64).sum(axis=1)
    off = np.flatnonzero(np.abs(total - 1) > SUM_TOLERANCE)
    if off.size:
        raise InputError(
            f"{off.size} rows of probabilities do not sum to 1: row {off[0]} sums to {total[off[0]]:.4f}",
            path=path,
            remedy="Store probabilities, not logits",
        )
    return columns


def by_model(frame: pl.DataFrame) -> list[pl.DataFrame]:
    """Give the rows of each model, in the order of their numbers; all of them where there is one model.

    Args:
        frame: Predictions.
    """
    if MODEL not in frame.columns:
        return [frame]
    return frame.sort(MODEL, maintain_order=True).partition_by(MODEL, maintain_order=True)


def to_scored(frame: pl.DataFrame, thresholds: Float64[np.ndarray, " classes"] | None = None) -> Scored:
    """Turn checked predictions of one pattern and one split into arrays.

    Args:
        frame: Rows of one pattern, each sample once.
        thresholds: Per class; NaN where there is none. Without them no class is called.
    """
    frame = frame.sort("sample_id")
    probabilities = frame.select(probability_columns(frame)).to_numpy().astype(np.float64)
    limits = (
        np.full(probabilities.shape[1], np.nan) if thresholds is None else np.asarray(thresholds, np.float64)
    )
    called = np.where(np.isnan(limits), np.nan, (probabilities >= limits).astype(np.float64))
    return Scored(
        frame["sample_id"].to_numpy().astype(np.int64),
        frame["subject_id"].to_numpy().astype(np.int64),
        frame["label"].to_numpy().astype(np.int64),
        probabilities,
        called,
    )


def _check_once(frame: pl.DataFrame, path: str | Path | None) -> None:
    twice = frame.filter(frame.select("sample_id", "pattern").is_duplicated())
    if twice.height:
        raise InputError(
            f"sample {twice['sample_id'][0]} is predicted twice under pattern '{twice['pattern'][0]}'",
            path=path,
            column="sample_id",
        )
    for unit, name, meaning in (
        ("subject_id", "split", "a patient in two splits is a leak"),
        ("sample_id", "label", "a sample has one label"),
        ("sample_id", "subject_id", "a sample belongs to one patient"),
    ):
        several = (
            frame.group_by(unit).agg(pl.col(name).n_unique().alias("k")).filter(pl.col("k") > 1).sort(unit)
        )
        if several.height:
            who, count = several[unit][0], several["k"][0]
            raise InputError(
                f"{unit} {who} has {count} different values ({several.height} such): {meaning}",
                path=path,
                column=name,
                remedy="Split by patient and predict again",
            )


def _check_held_out_once(frame: pl.DataFrame, path: str | Path | None) -> None:
    held_out = frame.filter(pl.col("split") == "held_out")
    several = (
        held_out.group_by("subject_id")
        .agg(pl.col(MODEL).unique().sort())
        .filter(pl.col(MODEL).list.len() > 1)
    )
    if several.height:
        first = several[MODEL].sort()[0].to_list()[:2]
        raise InputError(
            f"{several.height} of {held_out['subject_id'].n_unique()} held-out patients are held out from several "
            f"models, such as {first[0]} and {first[1]}",
            path=path,
            column=MODEL,
            remedy="Pool the folds of one cross-validation, which hold each patient out once",
        )
    patterns = held_out.group_by(MODEL).agg(pl.col("pattern").unique().sort()).sort(MODEL)
    if patterns["pattern"].n_unique() > 1 or patterns.height < frame[MODEL].n_unique():
        told = "; ".join(
            f"{row[MODEL]}: {', '.join(row['pattern'])}" for row in patterns.iter_rows(named=True)
        )
        raise InputError(
            f"the models hold out under different patterns of modalities ({told})",
            path=path,
            column="pattern",
            remedy="Predict with all of them under the same patterns",
        )
    apart = frame.group_by("sample_id").agg(pl.col("subject_id", "label").n_unique())
    for name in ("subject_id", "label"):
        if count := int((apart[name] > 1).sum()):
            raise InputError(
                f"{count} samples have another {'patient' if name == 'subject_id' else name} with one model than with "
                "another",
                path=path,
                column=name,
                remedy="Pool runs on one cohort and task",
            )
