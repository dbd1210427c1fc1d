"""The tables beside the events of a MEDS dataset: codes, splits and labels, completed where they are not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import polars as pl

from mhdiff.cohort import meds
from mhdiff.cohort.import_report import ImportReport
from mhdiff.cohort.imported import deal
from mhdiff.cohort.table_files import reading
from ontology.errors import InputError

_NAMES: Final = {"test": "held_out", "validation": "tuning", "val": "tuning", "dev": "tuning"}
_VALUES: Final = ("categorical_value", "integer_value", "boolean_value", "float_value")


def read_codes(root: Path, used: set[str], report: ImportReport) -> pl.DataFrame:
    """Give the codes in use with what the dataset says of them.

    Args:
        root: The dataset's folder.
        used: The codes of all events.
        report: Filled.
    """
    every = pl.DataFrame({"code": sorted(used)}, schema={"code": pl.String})
    file = root / meds.CODES_FILE
    if not file.is_file():
        report.changed.add("codes: no metadata/codes.parquet, codes have no description", n=len(used))
        return every
    with reading(file):
        held = pl.read_parquet(file)
    if "code" not in held.columns:
        raise InputError("the column is missing", path=file, column="code", remedy="See MEDS 0.4")
    try:
        said = meds.conform(held, meds.CODES).filter(pl.col("code").is_not_null())
    except pl.exceptions.PolarsError as error:
        raise InputError(
            "a column is of another type than MEDS has", path=file, remedy="See MEDS 0.4"
        ) from error
    again = said.filter(~pl.col("code").is_first_distinct()).height
    if again:
        report.dropped.add("codes: the code is described again", n=again)
    said = said.unique("code", keep="first")
    if bare := len(used - set(said["code"])):
        report.changed.add("codes: not in metadata/codes.parquet, without a description", n=bare)
    return every.join(said, on="code", how="left")


def read_splits(
    root: Path,
    sites: Mapping[int, str],
    groups: pl.DataFrame,
    labels: Mapping[str, pl.DataFrame],
    report: ImportReport,
) -> pl.DataFrame:
    """Give each subject's split: the dataset's own, else dealt; whoever shares an image shares the split.

    Args:
        root: The dataset's folder.
        sites: Subject -> site, of every subject.
        groups: subject_id, group.
        labels: Name -> labels, which are spread evenly.
        report: Filled.
    """
    first = {name: _classed(frame) for name, frame in labels.items()}
    file = root / meds.SPLITS_FILE
    if not file.is_file():
        report.changed.add("splits: no metadata/subject_splits.parquet, dealt by patient", n=len(sites))
        return deal(first, sites, groups)
    with reading(file):
        held = pl.read_parquet(file)
    if not {"subject_id", "split"} <= set(held.columns):
        raise InputError("the columns subject_id and split are not there", path=file, remedy="See MEDS 0.4")
    with reading(file):
        stored = held.select(
            pl.col("subject_id").cast(pl.Int64), pl.col("split").cast(pl.String).replace(_NAMES)
        ).unique()
    if strange := sorted(set(stored["split"].drop_nulls()) - set(meds.SPLITS)):
        raise InputError(
            f"there is a split that is none of {', '.join(meds.SPLITS)}: {strange[0][:20]}",
            path=file,
            column="split",
        )
    if stored["subject_id"].is_duplicated().any():
        raise InputError("a subject is in two splits", path=file, column="subject_id", remedy="Keep one")
    own = groups.join(stored, on="subject_id", how="left")
    rest = own.filter(pl.col("split").is_null())
    if rest.height:
        report.changed.add("splits: the subject is in none, dealt by patient", n=rest.height)
        dealt = deal(first, sites, groups).rename({"split": "dealt"})
        own = own.join(dealt, on="subject_id").with_columns(pl.coalesce("split", "dealt").alias("split"))
    rank = pl.col("split").replace_strict(
        dict(zip(meds.SPLITS, range(3), strict=True)), return_dtype=pl.Int64
    )
    put = own.with_columns(rank.alias("rank")).with_columns(pl.col("rank").max().over("group").alias("put"))
    if moved := put.filter(pl.col("put") != pl.col("rank")).height:
        report.changed.add("splits: moved to that of a patient with the same image", n=moved)
    name = pl.col("put").replace_strict(dict(enumerate(meds.SPLITS)), return_dtype=pl.String)
    return put.select("subject_id", name.alias("split"))


def read_labels(root: Path, subjects: set[int], report: ImportReport) -> dict[str, pl.DataFrame]:
    """Give the labels below labels/: <name>.parquet, or a folder <name> of such files.

    Args:
        root: The dataset's folder.
        subjects: Its subjects.
        report: Filled.
    """
    found: dict[str, list[pl.DataFrame]] = {}
    for name, file in _label_files(root / "labels"):
        with reading(file):
            held = pl.read_parquet(file)
        for column in ("subject_id", "prediction_time"):
            if column not in held.columns:
                raise InputError("the column is missing", path=file, column=column, remedy="See MEDS 0.4")
        try:
            rows = meds.conform(held, meds.LABELS).with_row_index("row", offset=1)
        except pl.exceptions.PolarsError as error:
            raise InputError(
                "a column is of another type than MEDS has", path=file, remedy="See MEDS 0.4"
            ) from error
        report.refused.read(file, rows.height)
        for column, bad, reason in (
            (
                "subject_id",
                ~pl.col("subject_id").is_in(list(subjects)),
                "the label's subject is not in the dataset",
            ),
            ("prediction_time", pl.col("prediction_time").is_null(), "the label has no prediction_time"),
        ):
            wrong = bad.fill_null(True)
            report.refused.add_lines(
                reason, file, rows.filter(wrong)["row"], column, remedy="Correct the row"
            )
            rows = rows.filter(~wrong)
        report.refused.check()
        found.setdefault(name, []).append(rows.drop("row"))
    return {name: pl.concat(frames) for name, frames in found.items()}


def _label_files(folder: Path) -> Iterator[tuple[str, Path]]:
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
        if entry.is_dir():
            yield from ((entry.name, file) for file in sorted(entry.rglob("*.parquet")))
        elif entry.suffix == ".parquet":
            yield entry.stem, entry


def _classed(labels: pl.DataFrame) -> pl.DataFrame:
    value = pl.coalesce(pl.col(name).cast(pl.String) for name in _VALUES).fill_null("none")
    return labels.select("subject_id", categorical_value=value)
