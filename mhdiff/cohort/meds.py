"""A cohort folder is a MEDS 0.4 dataset: the column schemas, and the one function that writes it.

    data/*.parquet                    subject_id, time, code, numeric_value, text_value, and ours where they are
                                      known: ref_low, ref_high (the value's own range), source_code
    metadata/codes.parquet            code, description, parent_codes, and ours: unit, ref_low, ref_high
    metadata/subject_splits.parquet   subject_id, split
    metadata/dataset.json             the MEDS metadata and an object "mhdiff" (also the folder's marker)
    labels/<task>.parquet             subject_id, prediction_time, and the value columns that are in use
    metadata/groups.parquet           ours, optional: subject_id, group: subjects that must share a split

Rows of a subject are contiguous and sorted by time, static rows (null time) first. See the Medical Event
Data Standard, https://github.com/Medical-Event-Data-Standard/meds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl
from polars.datatypes import DataTypeClass

from ontology.files import sha256

MEDS_VERSION: Final = "0.4.0"
MARKER: Final = "metadata/dataset.json"
CODES_FILE: Final = "metadata/codes.parquet"
SPLITS_FILE: Final = "metadata/subject_splits.parquet"
GROUPS_FILE: Final = "metadata/groups.parquet"
REPORT_FILE: Final = "metadata/import_report.json"
BIRTH: Final = "MEDS_BIRTH"
SPLITS: Final = ("train", "tuning", "held_out")

_LEVEL = 1  # of zstd: writes in two thirds of the default's time and takes 7 % more room
Type = pl.DataType | DataTypeClass
EVENTS: Final[dict[str, Type]] = {
    "subject_id": pl.Int64(),
    "time": pl.Datetime("us"),
    "code": pl.String(),
    "numeric_value": pl.Float32(),
    "text_value": pl.String(),
}
#: Columns of ours that events may have besides: a laboratory's own range for the value, and what the source called it.
EVENTS_OPTIONAL: Final[dict[str, Type]] = {
    "ref_low": pl.Float32(),
    "ref_high": pl.Float32(),
    "source_code": pl.String(),
}
CODES: Final[dict[str, Type]] = {
    "code": pl.String(),
    "description": pl.String(),
    "parent_codes": pl.List(pl.String()),
    "unit": pl.String(),
    "ref_low": pl.Float64(),
    "ref_high": pl.Float64(),
}
SUBJECT_SPLITS: Final[dict[str, Type]] = {"subject_id": pl.Int64(), "split": pl.String()}
LABELS: Final[dict[str, Type]] = {
    "subject_id": pl.Int64(),
    "prediction_time": pl.Datetime("us"),
    "boolean_value": pl.Boolean(),
    "integer_value": pl.Int64(),
    "float_value": pl.Float32(),
    "categorical_value": pl.String(),
}


def conform(frame: pl.DataFrame, schema: Mapping[str, Type]) -> pl.DataFrame:
    """Give exactly the columns of a schema, in its order and types; a missing column is filled with null.

    Args:
        frame: Any frame.
        schema: One of this module's schemas.
    """
    return frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(dtype).alias(name)  # type: ignore[arg-type]
        for name, dtype in schema.items()
    )


@dataclass(frozen=True)
class Seen:
    """What the events of a cohort name, so that the other tables must hold it.

    Attributes:
        codes: Every code, once.
        subjects: Every subject_id, once.
    """

    codes: pl.Series
    subjects: pl.Series


def write_meds(
    directory: Path,
    *,
    events: pl.DataFrame | None,
    seen: Seen | None = None,
    codes: pl.DataFrame,
    splits: pl.DataFrame,
    labels: Mapping[str, pl.DataFrame],
    metadata: Mapping[str, Any],
) -> None:
    """Write the tables and the metadata of a cohort; call it inside `atomic_directory(..., marker=MARKER)`.

    Images belong in `directory/images`, signals in `directory/signals`, before this is called: their bytes enter the
    fingerprint.

    Args:
        directory: The folder to write into.
        events: Columns of `EVENTS`, in any order of rows; absent value columns become null. None where the adapter
            has written `directory/data` itself, by `write_shard`.
        seen: What those shards name, where the adapter has noted it of every event that it wrote; by default they are
            read again, which takes a twentieth of the time of a large import.
        codes: Columns of `CODES`, one row a code; absent optional columns become null.
        splits: Columns of `SUBJECT_SPLITS`, one row a subject.
        labels: Task's label name -> columns of `LABELS`, see `write_labels`.
        metadata: MEDS metadata (dataset_name, license ...) with an object "mhdiff" holding "kind".

    Raises:
        ValueError: If the tables contradict each other: that is a defect of the adapter, not of its input.
    """
    known, split = conform(codes, CODES), conform(splits, SUBJECT_SPLITS)
    if seen is None:
        written = scan_shards(directory, "subject_id", "code") if events is None else events.lazy()
        columns = [written.select(pl.col(name).unique()) for name in ("code", "subject_id")]
        codes_seen, subjects_seen = (f.to_series() for f in pl.collect_all(columns, engine="streaming"))
        seen = Seen(codes_seen, subjects_seen)
    _consistent(seen, known, split, labels)
    if events is not None:
        write_shard(directory, 0, events)
    (directory / "metadata").mkdir(parents=True, exist_ok=True)
    known.sort("code").write_parquet(directory / CODES_FILE)
    split.sort("subject_id").write_parquet(directory / SPLITS_FILE)
    for name, frame in labels.items():
        write_labels(directory, name, frame)
    ours = dict(metadata.get("mhdiff", {}))
    if "kind" not in ours:
        raise ValueError('metadata["mhdiff"] must name the kind of the cohort')
    ours["fingerprint"] = fingerprint(directory)
    document = {
        "dataset_name": "cohort",
        "dataset_version": "1",
        "etl_name": "mhdiff",
        "meds_version": MEDS_VERSION,
        **{key: value for key, value in metadata.items() if key != "mhdiff"},
        "mhdiff": ours,
    }
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    (directory / MARKER).write_text(text, encoding="utf-8")


def write_shard(directory: Path, number: int, events: pl.DataFrame, *, in_order: bool = False) -> None:
    """Write the events of some subjects, all of each, as one file of `directory/data`.

    Args:
        directory: The folder of the cohort that is being written.
        number: Number of the shard, from 0.
        events: As for `write_meds`, perhaps with columns of `EVENTS_OPTIONAL`; rows of one subject and time keep their
            order.
        in_order: Whether they are sorted already.
    """
    (directory / "data").mkdir(parents=True, exist_ok=True)
    write_events(directory / "data" / f"{number}.parquet", events, in_order=in_order)


def write_events(file: Path, events: pl.DataFrame, *, in_order: bool = False) -> None:
    """Write the file of a shard; for the arguments see `write_shard`.

    Args:
        file: The file.
        events: See there.
        in_order: See there.
    """
    table = conform(events, _schema(events)) if in_order else ordered(events)
    table.write_parquet(file, compression_level=_LEVEL)


def scan_shards(directory: Path, *columns: str) -> pl.LazyFrame:
    """Give columns of `EVENTS` of all shards, lazily: a shard that is a dataset's own file may have others besides.

    Args:
        directory: The cohort's folder.
        columns: The columns.
    """
    files = sorted((directory / "data").glob("*.parquet"))
    return pl.concat([pl.scan_parquet(file).select(columns) for file in files])


def ordered(events: pl.DataFrame) -> pl.DataFrame:
    """Give events in the columns, types and order in which a shard holds them.

    Args:
        events: As for `write_shard`.
    """
    return conform(events, _schema(events)).sort("subject_id", "time", nulls_last=False, maintain_order=True)


def _schema(events: pl.DataFrame) -> dict[str, Type]:
    return EVENTS | {name: kind for name, kind in EVENTS_OPTIONAL.items() if name in events.columns}


def write_labels(directory: Path, name: str, labels: pl.DataFrame) -> None:
    """Write the labels of a task, in the place of older ones.

    Args:
        directory: The folder of the cohort that is being written.
        name: Name of the labels.
        labels: Columns of `LABELS`; value columns that are all null are left out.
    """
    rows = conform(labels, LABELS).sort("subject_id", "prediction_time", maintain_order=True)
    needed = ("subject_id", "prediction_time")
    used = [c for c in rows.columns if c in needed or rows[c].null_count() < len(rows)]
    file = directory / "labels" / f"{name}.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)  # it may be a link to the file of another folder
    rows.select(used).write_parquet(file)


def fingerprint(directory: Path) -> str:
    """Give the SHA-256 over the names and bytes of a cohort's tables, labels, images and signals.

    Args:
        directory: The cohort's folder.
    """
    digest = hashlib.sha256()
    files = [directory / CODES_FILE, directory / SPLITS_FILE, directory / GROUPS_FILE]
    for folder in ("data", "labels"):
        files += (directory / folder).rglob("*.parquet")
    for folder in ("images", "signals"):
        files += (p for p in (directory / folder).rglob("*") if p.is_file())
    for file in sorted(p for p in files if p.is_file()):
        digest.update(f"{file.relative_to(directory).as_posix()}\0{sha256(file)}\n".encode())
    return digest.hexdigest()


def _consistent(
    seen: Seen, codes: pl.DataFrame, splits: pl.DataFrame, labels: Mapping[str, pl.DataFrame]
) -> None:
    """Refuse tables that contradict each other."""
    problems = []
    if seen.subjects.null_count() or seen.codes.null_count():
        problems.append("an event has no subject_id or no code")
    if unknown := sorted(set(seen.codes.drop_nulls()) - set(codes["code"])):
        problems.append(f"codes without a row in the codes table: {', '.join(unknown[:5])}")
    if codes["code"].n_unique() < len(codes):
        problems.append("a code stands twice in the codes table")
    if splits["subject_id"].n_unique() < len(splits):
        problems.append("a subject stands twice in the splits")
    if wrong := sorted(set(splits["split"]) - set(SPLITS)):
        problems.append(f"unknown splits: {', '.join(map(str, wrong))}")
    subjects = set(splits["subject_id"])
    if not set(seen.subjects.drop_nulls()) <= subjects:
        problems.append("a subject with events is in no split")
    for name, frame in labels.items():
        if not set(frame["subject_id"]) <= subjects or frame["prediction_time"].null_count():
            problems.append(f"labels '{name}': a subject in no split, or no prediction_time")
    if problems:
        raise ValueError("; ".join(problems))
