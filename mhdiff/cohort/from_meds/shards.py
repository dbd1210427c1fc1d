"""The files of events of a MEDS dataset: each is linked as it is where it can be, else written again.

What the standard asks of a file is checked: types, no event without subject or code, subjects contiguous and their
events sorted by time, no subject in two files. Of the last, a dataset that does not keep to it is refused; unsorted
files are sorted, and broken rows are left out, up to `--max-bad`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path, PurePath
from typing import Final, NamedTuple

import polars as pl

from graph_builders.collect import names_a_file
from mhdiff.cohort import meds
from mhdiff.cohort.import_report import ImportReport
from mhdiff.cohort.looked_at import Look
from mhdiff.cohort.source_files import bring
from mhdiff.cohort.table_files import reading
from ontology.errors import InputError

_ROW: Final = "\0row"
_BELOW: Final = "Name a file below images/ or signals/"
_REMEDY: Final = (
    "See the Medical Event Data Standard 0.4: https://github.com/Medical-Event-Data-Standard/meds"
)
_KNOWN: Final = meds.EVENTS | meds.EVENTS_OPTIONAL
_TABLES: Final = ("data", "labels", "metadata")
#: Looks at the files of some paths, of `images` or of `signals`.
LookAt = Callable[[str, list[str]], Iterable[Look]]


class Shard(NamedTuple):
    """A file of events, checked.

    Attributes:
        file: The file.
        events: Its events, sorted, without what is refused; extra columns are left out.
        as_is: Whether the file can be taken as it is.
        named: Path -> what was found of a file that the events name.
    """

    file: Path
    events: pl.DataFrame
    as_is: bool
    named: dict[str, Look]


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


def read_shard(file: Path, report: ImportReport, look: LookAt) -> Shard:
    """Read and check a file of events.

    Args:
        file: The file.
        report: Filled.
        look: Looks at the files that the events name.

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
    kept, named = _with_files(_whole(rows, file, report), file, report, look)
    report.refused.check()
    ordered = kept.sort("subject_id", "time", _ROW, nulls_last=False)
    if not ordered[_ROW].equals(kept[_ROW]):
        report.changed.add("file: its events were not sorted by subject and time")
    as_is = exact and kept.height == rows.height and ordered[_ROW].equals(kept[_ROW])
    extra = {name: 1 for name in schema if name not in _KNOWN}
    if extra:
        report.name("columns of data/ that nothing here reads", extra)
    return Shard(file, ordered.drop(_ROW), as_is, named)


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


def _with_files(
    rows: pl.DataFrame, file: Path, report: ImportReport, look: LookAt
) -> tuple[pl.DataFrame, dict[str, Look]]:
    """Leave out events that name a file which cannot be taken; give what was found of the others' files."""
    kind = (
        pl.when(pl.col("code").str.starts_with("IMAGE//")).then(pl.lit("images")).otherwise(pl.lit("signals"))
    )
    named = rows.filter(names_a_file(), pl.col("text_value").is_not_null())
    named = named.select(_ROW, kind.alias("kind"), path="text_value")
    strange = {path: reason for path in named["path"].unique() if (reason := _strange(path))}
    found: dict[tuple[str, str], Look] = {}
    for what in ("images", "signals"):
        paths = named.filter(pl.col("kind") == what)["path"].unique(maintain_order=True)
        own = [path for path in paths if path not in strange]
        found |= {(what, path): one for path, one in zip(own, look(what, own), strict=True)}
    bad: set[int] = set()
    for row, what, path in named.iter_rows():
        reason, remedy = (strange[path], _BELOW) if path in strange else found[what, path][:2]
        if reason:
            bad.add(row)
            report.refused.add(reason, file, row, "text_value", remedy=remedy)
    kept = rows.filter(~pl.col(_ROW).is_in(list(bad))) if bad else rows
    return kept, {path: one for (_, path), one in found.items() if not one.reason}


def _strange(path: str) -> str:
    """Say why a cohort can hold no file under this path, "" if it can."""
    place = PurePath(os.path.normpath(path))
    if place.is_absolute():
        return "the path is not relative to the dataset's folder"
    return (
        "the path is one of the dataset's own tables" if place.parts[:1] and place.parts[0] in _TABLES else ""
    )


def write_shard(target: Path, shard: Shard, images: pl.DataFrame) -> None:
    """Write a file of events, or link it where it is taken as it is.

    Args:
        target: The file.
        shard: What `read_shard` gave.
        images: Events of images of its subjects.
    """
    target.unlink(missing_ok=True)  # what a killed import left may be a link to the dataset's own file
    if shard.as_is and images.is_empty():
        bring(shard.file, target)
    else:
        meds.write_events(target, pl.concat([shard.events, images], how="diagonal"))


def named_files(shard: Shard) -> pl.DataFrame:
    """Give subject_id and path of the files that a shard's events name.

    Args:
        shard: The file of events.
    """
    held = shard.events.filter(names_a_file(), pl.col("text_value").is_not_null())
    return held.select("subject_id", path="text_value").unique(maintain_order=True)
