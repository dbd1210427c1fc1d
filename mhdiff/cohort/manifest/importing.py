"""From a manifest to a MEDS folder; a killed import goes on.

    rows.parquet            the table, its rows with their subject and time
    images/<n>/<k>.parquet  the images of a column, looked at: see `looked_at`

What else the rows hold is read anew from the first of them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import polars as pl

from mhdiff.cohort import meds, splits
from mhdiff.cohort.account import Account
from mhdiff.cohort.import_report import ImportReport
from mhdiff.cohort.imported import write_frames
from mhdiff.cohort.manifest.columns import Columns
from mhdiff.cohort.manifest.declaration import read_columns
from mhdiff.cohort.manifest.events import Values
from mhdiff.cohort.manifest.people import SOURCE, SUBJECT, place_rows, static_events
from mhdiff.cohort.refused import DEFAULT, MaxBad, Refused
from mhdiff.cohort.resumed import Parts, resumed, stamps
from mhdiff.cohort.text_rows import read_rows
from ontology.errors import InputError
from ontology.files import atomic_directory

KIND = "manifest"
SUBJECTS_FILE = "metadata/subjects.parquet"
CHOICES = (
    "A row is a visit: all that it holds is at its time, where no column of its own says another one.",
    "A day without a time of day is put at its last microsecond: a prediction on it sees all of that day.",
    "A broken value is refused and the rest of its row kept; a row without subject or time is refused as a whole.",
    "Patients that share an image, byte for byte, are in one split.",
    f"The source's ids are in {SUBJECTS_FILE} and nowhere else. Images are renamed by patient.",
)


def import_manifest(
    source: str | Path, out: str | Path, *, columns: str | Path | None = None, max_bad: MaxBad = DEFAULT
) -> ImportReport:
    """Write a cohort from one table.

    Args:
        source: The table: .csv, .tsv, .jsonl (all perhaps .gz) or .parquet. Paths of images are relative to it.
        out: Folder of the cohort to make or to replace.
        columns: YAML that says what its columns are: see `columns`.
        max_bad: How many broken rows and values are borne.

    Returns:
        What was read, kept, changed, refused and dropped; also in `metadata/import_report.json`.

    Raises:
        InputError: If the table or the YAML cannot be read or do not fit, or too much is refused.
    """
    file = Path(source)
    if not file.is_file():
        raise InputError("there is no such file", path=file, remedy="Give the manifest: a file, not a folder")
    if columns is None:
        raise InputError(
            "the columns of a manifest must be declared",
            path=file,
            remedy="Give --columns FILE.yaml; docs/cohorts.md shows one",
        )
    declared = read_columns(Path(columns))
    report = ImportReport(KIND, refused=Refused(max_bad, file.parent), choices=list(CHOICES))
    key = {
        "kind": KIND,
        "source": str(file.resolve()),
        "files": stamps([file], file.parent),
        "columns": hashlib.sha256(Path(columns).read_bytes()).hexdigest(),
    }
    with resumed(out, key) as parts, atomic_directory(out, marker=meds.MARKER) as folder:
        rows = _rows(file, declared, parts, report)
        values = Values(rows, declared, file, report)
        (folder / "images").mkdir()
        (folder / "metadata").mkdir()
        static, sites = static_events(rows, declared, report)
        tables = [values.labs(), values.coded(), values.notes()]
        labels = values.labels()
        report.worded = {entry.what for entry in declared.labels if entry.values is None}
        report.refused.check()  # before the images, which take longest
        images, files = values.images(parts, folder)
        report.refused.check()
        events = pl.concat([static, images, *tables], how="diagonal")
        files.write_parquet(folder / "metadata/images.parquet")
        rows.select(subject_id=SUBJECT, source_id=SOURCE).unique().sort("subject_id").write_parquet(
            folder / SUBJECTS_FILE
        )
        groups = splits.unite(list(sites), files.select("subject_id", "sha256").iter_rows())
        for size in groups["group"].value_counts().filter(pl.col("count") > 1)["count"]:
            report.changed.add("patients that share an image, kept in one split", n=size)
        report.read = {**report.read, "patients": len(sites), "distinct images": files["sha256"].n_unique()}
        write_frames(
            folder,
            report,
            events=events,
            codes=_codes(static, values.codes),
            sites=sites,
            labels=labels,
            groups=groups,
            metadata={"dataset_name": file.name.split(".")[0]},
        )
    return report


def _rows(file: Path, declared: Columns, parts: Parts, report: ImportReport) -> pl.DataFrame:
    """Give the rows with their subject and time."""

    def write(target: Path, account: Account) -> None:
        own = account.report(report)
        table = read_rows(file, declared.wanted, own)
        own.read["rows"] = table.height
        rows = place_rows(table, declared, file, own)
        own.refused.check()
        if rows.is_empty():
            raise InputError(
                "there is no usable row", path=file, remedy="See what is refused with a higher --max-bad"
            )
        rows.write_parquet(target)

    parts.make("rows.parquet", write).into(report, file.parent)
    return pl.read_parquet(parts.path("rows.parquet"))


def _codes(static: pl.DataFrame, described: dict[str, dict[str, object]]) -> pl.DataFrame:
    names = {"GENDER//F": "Female", "GENDER//M": "Male", meds.BIRTH: "Birth"}
    rows = [
        {"code": code, "description": names.get(code, f"Site: {code.removeprefix('SITE//')}")}
        for code in static["code"].unique().sort()
    ]
    schema = {name: meds.CODES[name] for name in meds.CODES}
    return pl.DataFrame([*rows, *described.values()], schema=schema)
