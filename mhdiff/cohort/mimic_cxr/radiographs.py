"""Which radiographs there are, of whom, in which study, when and in which view: the metadata of MIMIC-CXR.

StudyDate is written as 20500101 and StudyTime as 155813.515, of which leading zeros are lost where it was a number:
91.5 is 00:01:31.5. Dates are shifted by the days by which MIMIC-IV's are shifted for the same subject
(https://physionet.org/content/mimic-cxr/2.1.0/, "De-identification").
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from mhdiff.cohort.account import Account
from mhdiff.cohort.mimic_cxr.sources import Sources
from mhdiff.cohort.typed import TIME, refused, typed

_METADATA: Final = {
    "dicom_id": pl.String(),
    "subject_id": pl.Int64(),
    "study_id": pl.Int64(),
    "viewposition": pl.String(),
    "studydate": pl.Int64(),
    "studytime": pl.Float64(),
}
_RECORDS: Final = {"dicom_id": pl.String(), "subject_id": pl.Int64(), "study_id": pl.Int64()}
_VIEWS: Final = {"PA": "PA", "AP": "AP", "LATERAL": "LATERAL", "LL": "LATERAL", "RL": "LATERAL"}
#: Views that stand last among the images of one time, so that the latest image is a frontal one.
FRONTAL: Final = ("PA", "AP")
SCHEMA: Final = {
    "line": pl.Int64(),
    "dicom_id": pl.String(),
    "subject_id": pl.Int64(),
    "study_id": pl.Int64(),
    "view": pl.String(),
    "time": TIME,
}


def write_radiographs(sources: Sources, target: Path, account: Account) -> None:
    """Write the columns of `SCHEMA`, a row an image; where only the DICOMs know them, view and time are null.

    Args:
        sources: Where the tables are.
        target: The Parquet file.
        account: Filled.
    """
    name = "metadata" if "metadata" in sources.tables else "cxr-record-list"
    file, table = sources.tables[name], sources.name(name)
    columns = _METADATA if name == "metadata" else _RECORDS
    rows = typed(file, columns, tuple(columns), ("dicom_id", "subject_id", "study_id"))
    if name == "metadata":
        rows = rows.with_columns(time=_time(pl.col("studydate"), pl.col("studytime")), view=_view())
        timeless = pl.col("bad").is_null() & pl.col("time").is_null()
        rows = rows.with_columns(bad=pl.when(timeless).then(pl.lit("studydate")).otherwise("bad"))
    else:
        rows = rows.with_columns(time=pl.lit(None, dtype=TIME), view=pl.lit(None, dtype=pl.String))
    odd = ~pl.col("dicom_id").str.contains(r"^[0-9A-Za-z._-]+$") | pl.col("dicom_id").str.contains(
        "..", literal=True
    )
    rows = rows.with_columns(
        bad=pl.when(pl.col("bad").is_null() & odd).then(pl.lit("dicom_id")).otherwise("bad")
    )
    made = rows.collect()
    account.rows[table] += made.height
    account.read["images listed"] += made.height
    refused(made.lazy(), table, account, columns)
    sound = made.filter(pl.col("bad").is_null()).rename({"row": "line"})
    again = sound["dicom_id"].is_duplicated() & ~sound["dicom_id"].is_first_distinct()
    if again.any():
        account.refuse(
            "the dicom_id is there twice", table, sound.filter(again)["line"][0], "dicom_id", int(again.sum())
        )
    sound.filter(~again).select(list(SCHEMA)).sort("subject_id", "study_id", "line").write_parquet(target)


def _time(date: pl.Expr, clock: pl.Expr) -> pl.Expr:
    """Give the moment of a day written as 20500101 and a time of day written as 155813.515."""
    day = date.cast(pl.String).str.to_date("%Y%m%d", strict=False).cast(TIME)
    whole = clock.floor().cast(pl.Int64)
    hours, minutes, seconds = whole // 10_000, whole // 100 % 100, whole % 100
    sound = clock.is_between(0, 240_000) & (hours < 24) & (minutes < 60) & (seconds < 60)
    micros = ((clock - clock.floor()) * 1e6).round().cast(pl.Int64)
    moment = pl.duration(hours=hours, minutes=minutes, seconds=seconds, microseconds=micros)
    return pl.when(sound).then(day + moment)


def _view() -> pl.Expr:
    return view_of(pl.col("viewposition"))


def view_of(stated: pl.Expr) -> pl.Expr:
    """Give PA, AP, LATERAL or OTHER for what a table states.

    Args:
        stated: ViewPosition.
    """
    return stated.str.to_uppercase().replace_strict(_VIEWS, default="OTHER", return_dtype=pl.String)
