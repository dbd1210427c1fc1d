"""The files of events of a MEDS dataset: each is linked as it is where it can be, else written again.

What the standard asks of a file is checked: types, no event without subject or code, subjects contiguous and their
events sorted by time, no subject in two files. Of the last, a dataset that does not keep to it is refused; unsorted
files are sorted, and broken rows are left out, up to `--max-bad`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import polars as pl

from graph_builders.collect import names_a_file
from mhdiff.cohort import meds
from mhdiff.cohort.image_files import absent, unusable
from mhdiff.cohort.import_report import ImportReport
from mhdiff.cohort.omop_tables import reading
from mhdiff.cohort.source_files import bring
from ontology.errors import InputError

_ROW: Final = "\0row"
_REMEDY: Final = (
    "See the Medical Event Data Standard 0.4: https://github.com/Medical-Event-Data-Standard/meds"
)
_KNOWN: Final = meds.EVENTS | meds.EVENTS_OPTIONAL


class Shard(NamedTuple):
    """A file of events, checked.

    Attributes:
        file: The file.
        events: Its events, sorted, without what is refused; extra columns are left out.
        as_is: Whether the file can be taken as it is.
    """

    file: Path
    events: pl.DataFrame
    as_is: bool


def find_shards(root: Path) -> list[Path]:
    """Give the files of events in a fixed order.

    Args:
        root: The dataset's folder.

    Raises:
        InputError: If there are none.
    """
    if not root.is_dir():
        raise InputError(
            "there is no such folder", path=root, remedy="Give the folder that holds data/ and metadata/"
        )
    files = sorted((root / "data").rglob("*.parquet"))
    if not files:
        raise InputError("there is no data/*.parquet", path=root, remedy=_REMEDY)
    return files


def read_shard(file: Path, root: Path, report: ImportReport) -> Shard:
    """Read and check a file of events.

    Args:
        file: The file.
        root: The dataset's folder, which paths of images are relative to.
        report: Filled.

    Raises:
        InputError: If a column is missing or of another type, or too many rows are refused.
    """
    with reading(file):
        schema = pl.read_parquet_schema(file)
        for name in ("subject_id", "time", "code"):
            if name not in schema:
                raise InputError("the column is missing", path=file, column=name, remedy=_REMEDY)
        for name, kind in _KNOWN.items():
            if name in schema and not _fits(schema[name], kind):
                raise InputError(
                    f"the column is {schema[name]}, not {kind}", path=file, column=name, remedy=_REMEDY
                )
        held = {name: kind for name, kind in _KNOWN.items() if name in schema}
        read = pl.read_parquet(file, columns=list(held))
    exact = all(schema[name] == kind for name, kind in held.items())
    rows = read.select(pl.col(name).cast(kind) for name, kind in held.items())  # type: ignore[arg-type]
    rows = meds.conform(rows, meds.EVENTS | {n: k for n, k in held.items() if n in meds.EVENTS_OPTIONAL})
    rows = rows.with_row_index(_ROW, offset=1)
    report.refused.read(file, rows.height)
    kept = _with_files(_whole(rows, file, report), file, root, report)
    report.refused.check()
    ordered = kept.sort("subject_id", "time", _ROW, nulls_last=False)
    if not ordered[_ROW].equals(kept[_ROW]):
        report.changed.add("file: its events were not sorted by subject and time")
    as_is = exact and kept.height == rows.height and ordered[_ROW].equals(kept[_ROW])
    extra = {name: 1 for name in schema if name not in _KNOWN}
    if extra:
        report.name("columns of data/ that nothing here reads", extra)
    return Shard(file, ordered.drop(_ROW), as_is)


def _fits(held: pl.DataType, wanted: meds.Type) -> bool:
    if held in (wanted, pl.Null()):
        return True
    if isinstance(held, pl.Datetime):
        return isinstance(wanted, pl.Datetime) and held.time_zone is None
    if wanted == pl.Float32():
        return held.is_numeric()
    if wanted == pl.Int64():
        return held.is_integer() and held != pl.UInt64()
    return isinstance(held, (pl.Categorical, pl.Enum)) and wanted == pl.String()


def _whole(rows: pl.DataFrame, file: Path, report: ImportReport) -> pl.DataFrame:
    """Leave out events without a subject or code, and those before their subject's birth."""
    born = (
        rows.filter(pl.col("code") == meds.BIRTH)
        .group_by("subject_id")
        .agg(pl.col("time").min().alias("born"))
    )
    rows = rows.join(born, on="subject_id", how="left", maintain_order="left")
    for column, bad, reason in (
        ("subject_id", pl.col("subject_id").is_null(), "the event has no subject"),
        ("code", pl.col("code").fill_null("") == "", "the event has no code"),
        ("time", (pl.col("time") < pl.col("born")).fill_null(False), "the event is before the birth"),
    ):
        report.refused.add_lines(reason, file, rows.filter(bad)[_ROW], column, remedy="Correct the row")
        rows = rows.filter(~bad)
    return rows.drop("born")


def _with_files(rows: pl.DataFrame, file: Path, root: Path, report: ImportReport) -> pl.DataFrame:
    """Leave out events that name a file which cannot be taken."""
    bad: set[int] = set()
    named = rows.filter(names_a_file(), pl.col("text_value").is_not_null())
    for row, code, path in named.select(_ROW, "code", "text_value").iter_rows():
        reason, remedy = (unusable if code.startswith("IMAGE//") else absent)(path, root)
        if reason:
            bad.add(row)
            report.refused.add(reason, file, row, "text_value", remedy=remedy)
    return rows.filter(~pl.col(_ROW).is_in(list(bad))) if bad else rows


def write_shard(folder: Path, number: int, shard: Shard, images: pl.DataFrame) -> None:
    """Put a file of events into the cohort.

    Args:
        folder: The cohort that is being written.
        number: Number of the file, from 0.
        shard: The file.
        images: Events of images of its subjects.
    """
    if shard.as_is and images.is_empty():
        (folder / "data").mkdir(exist_ok=True)
        bring(shard.file, folder / "data" / f"{number}.parquet")
    else:
        meds.write_shard(folder, number, pl.concat([shard.events, images], how="diagonal"))


def named_files(shard: Shard) -> pl.DataFrame:
    """Give subject_id and path of the files that a shard's events name.

    Args:
        shard: The file of events.
    """
    held = shard.events.filter(names_a_file(), pl.col("text_value").is_not_null())
    return held.select("subject_id", path="text_value").unique(maintain_order=True)
