"""A table of images beside a MEDS dataset: subject_id, time, path, modality -> events IMAGE//<modality>.

Paths are relative to the table's folder and may not leave it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from mhdiff.cohort import meds
from mhdiff.cohort.image_files import suffix
from mhdiff.cohort.import_report import ImportReport
from mhdiff.cohort.looked_at import looks
from mhdiff.cohort.resumed import Parts
from mhdiff.cohort.source_files import bring
from mhdiff.cohort.text_rows import LINE, Wanted, read_rows
from mhdiff.cohort.values import stated, times

COLUMNS: Final = ("subject_id", "time", "path", "modality")
FILES: Final = {"path": pl.String, "subject_id": pl.Int64, "sha256": pl.String, "source_line": pl.Int64}
_MODALITY: Final = r"^[A-Za-z0-9_.-]+(//[A-Za-z0-9_.-]+)*$"


def read_images(
    file: Path,
    subjects: set[int],
    parts: Parts,
    folder: Path,
    report: ImportReport,
    *,
    key: str = "subject_id",
    below: str = "images/added",
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Bring the images of a table into the cohort.

    Args:
        file: The table: CSV, TSV, JSON lines or Parquet.
        subjects: The dataset's subjects.
        parts: The parts of the import, whose key must settle the table: images are looked at in parts `added/<n>`.
        folder: The cohort that is being written.
        report: Filled.
        key: Name of the column that says whose an image is.
        below: Where in the cohort the images go.

    Returns:
        Their events, and path, subject_id, sha256 and source_line of each.

    Raises:
        InputError: If the table cannot be read or too many rows are refused.
    """
    columns = (key, *COLUMNS[1:])
    wanted = Wanted(dict.fromkeys(columns, "--images"), where="the command")
    rows = read_rows(file, wanted, report).with_columns(stated(name).alias(name) for name in columns)
    rows = rows.rename({key: "subject_id"})
    report.read["rows of images"] = rows.height
    number = pl.col("subject_id").cast(pl.Int64, strict=False)
    modality = pl.col("modality").str.strip_prefix("IMAGE//")
    when = times("time")
    rows = rows.with_columns(
        number.alias("subject_id"), modality.alias("modality"), when.time.alias("moment")
    )
    for column, bad, reason, remedy in (
        (key, number.is_null() | ~number.is_in(list(subjects)), "the subject is not in the dataset",
         f"Write the {key} that the dataset has"),
        ("time", pl.col("moment").is_null(), "the time is none, or has a zone", "Write it as 2020-03-31 14:05"),
        ("path", pl.col("path").is_null(), "the row has no path", "Fill the cell"),
        ("modality", ~pl.col("modality").str.contains(_MODALITY), "the modality is no name", "Such as CXR//PA"),
    ):  # fmt: skip
        wrong = bad.fill_null(True)
        report.refused.add_lines(reason, file, rows.filter(wrong)[LINE], column, remedy=remedy)
        rows = rows.filter(~wrong)
    days = rows.filter(pl.col("time").str.len_chars() == len("2020-03-31"))[LINE]
    if len(days):
        report.changed.add("image: no time of day, put at the end of the day", days[0], len(days))
    report.refused.check()  # before the images, which take longest
    (folder / below).mkdir(parents=True, exist_ok=True)
    events, table = [], []
    told = rows.select(LINE, "subject_id", "moment", "path", "modality").iter_rows()
    found = looks(parts, "added", file.parent, rows["path"].to_list())
    for (line, subject, moment, path, modality), image in zip(told, found, strict=True):
        if image.reason:
            report.refused.add(image.reason, file, line, "path", remedy=image.remedy)
            continue
        new = f"{below}/{subject}_{line}{suffix(path)}"
        bring(image.place, folder / new)
        events.append((subject, moment, f"IMAGE//{modality}", None, new))
        table.append((new, subject, image.sha256, line))
    report.refused.check()
    return (
        pl.DataFrame(events, schema=meds.EVENTS, orient="row"),
        pl.DataFrame(table, schema=FILES, orient="row"),
    )
