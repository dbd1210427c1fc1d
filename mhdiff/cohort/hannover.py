"""COVID-19 Image Repository of Hannover Medical School -> MEDS: a study is a patient's radiographs at one time.

See `hannover_rows` for the times and `CHOICES` for what a reader of results must know.
"""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path

import polars as pl

from mhdiff.cohort import meds, splits
from mhdiff.cohort.hannover_rows import LABS, TABLE, Row, read_rows
from mhdiff.cohort.import_report import ImportReport
from mhdiff.cohort.imported import Label, Tables, write
from mhdiff.cohort.refused import DEFAULT, MaxBad, Refused
from mhdiff.cohort.resumed import resumed, stamps
from ontology.files import atomic_directory

KIND = "hannover"
LICENCE = "CC BY 3.0"
DOI = "10.6084/m9.figshare.12275009"
CHOICES = (
    "One sample per patient and time of a radiograph; splits are by patient.",
    "Every patient is admitted on 2020-01-01, which is invented; days after it follow the offsets. The source "
    "calls admission_offset noisy: the ICU may come before the admission.",
    "covid_icu: 'icu' if the ICU follows the exam, 'no_icu' if no admission to it is stated. Exams at or after "
    "the admission to the ICU are no samples.",
    "No labels covid_pneumonia: every patient has COVID-19, so the class would be the site.",
    "Values are rounded by the source. Beyond a detection limit stands the column's lowest or highest value.",
    "Values measured after an exam are events at their own time, which its sample does not see.",
    "factor_xii: the table says factor XII, its description XIII, so it has a code of its own, "
    "HANNOVER/factor_xii//%, which no shipped task reads.",
    "pO2 and pCO2: arterial or venous is not stated, so they have no reference range.",
    "ICU//ADMISSION, ICU//RELEASE and MEDS_DEATH are events that no shipped task reads.",
    "Age, size and weight are redacted in the source, and there are no notes.",
    "Patients that share an image are in one split.",
)
_STAYS = {
    "icu_admission_offset": ("ICU//ADMISSION", "Admission to intensive care"),
    "icu_release_offset": ("ICU//RELEASE", "Release from intensive care"),
    "death_offset": ("MEDS_DEATH", "Death"),
}


def import_hannover(source: str | Path, out: str | Path, *, max_bad: MaxBad = DEFAULT) -> ImportReport:
    """Write a cohort from the folder of the repository.

    Args:
        source: Folder with data.csv and png/.
        out: Folder of the cohort to make or to replace.
        max_bad: How many broken rows are borne.

    Returns:
        What was read, kept, changed and dropped; also in `metadata/import_report.json`.

    Raises:
        InputError: If the source cannot be read or too many rows are refused: see `hannover_rows.read_rows`.
    """
    root = Path(source)
    report = ImportReport(KIND, refused=Refused(max_bad, root), choices=list(CHOICES))
    files = [file for file in (root / TABLE,) if file.is_file()]
    key = {"kind": KIND, "source": str(root.resolve()), "files": stamps(files, root)}
    with resumed(out, key) as parts, atomic_directory(out, marker=meds.MARKER) as folder:
        patients: dict[int, list[Row]] = {}
        rows = read_rows(root, parts, report)
        for row in sorted(rows, key=lambda row: (row.subject, row.time, row.line)):
            patients.setdefault(row.subject, []).append(row)
        sites = dict.fromkeys(patients, KIND)
        (folder / "images").mkdir()
        (folder / "metadata").mkdir()
        tables = Tables()
        given: list[Label] = []
        for subject, own in patients.items():
            _person(subject, own, tables, report)
            entered = _stays(subject, own, tables, report)
            _images(own, tables, folder)
            _labs(own, tables, report)
            given += _labels(subject, own, entered, report)
        labels = {"covid_icu": given}
        pairs = [(row.subject, row.digest) for own in patients.values() for row in own if row.image]
        groups = splits.unite(list(patients), pairs)
        for size in groups["group"].value_counts().filter(pl.col("count") > 1)["count"]:
            report.changed.add("patients that share an image, kept in one split", n=size)
        write(
            folder,
            report,
            tables,
            sites,
            labels,
            groups,
            licence=f"{LICENCE}; attribute DOI {DOI}",
            uri="https://github.com/ml-workgroup/covid-19-image-repository",
        )
    return report


def _person(subject: int, rows: list[Row], tables: Tables, report: ImportReport) -> None:
    """Add the static facts."""
    tables.add(subject, None, f"SITE//{KIND}", f"Site: {KIND}")
    sexes = {row.values["sex"].upper() for row in rows if "sex" in row.values}
    names = {"F": "Female", "M": "Male"}
    if len(sexes) == 1 and sexes <= set(names):
        sex = sexes.pop()
        tables.add(subject, None, f"GENDER//{sex}", names[sex])
    elif sexes:
        reason = "rows of a patient disagree" if len(sexes) > 1 else "neither f nor m"
        report.dropped.add(f"sex: {reason}", rows[0].line)


def _stays(subject: int, rows: list[Row], tables: Tables, report: ImportReport) -> datetime | None:
    """Add the stay in the ICU and the death; give the first admission to the ICU."""
    entered = None
    for column, (code, description) in _STAYS.items():
        stated = [row.stays.get(column) for row in rows]
        times = sorted({time for time in stated if time is not None})
        if len(set(stated)) > 1:
            report.changed.add(f"{column}: rows of a patient disagree, the earliest is used", rows[0].line)
        if times:
            tables.add(subject, times[0], code, description)
            entered = times[0] if column == "icu_admission_offset" else entered
    return entered


def _images(rows: list[Row], tables: Tables, folder: Path) -> None:
    """Copy the images and add their events."""
    for place, row in enumerate(row for row in rows if row.image):
        assert row.image is not None
        relative = f"images/{row.subject}_{place}.png"
        shutil.copyfile(row.image, folder / relative)
        description = f"Radiograph of the chest, {row.code.split('//')[-1]}"
        tables.add(row.subject, row.time, row.code, description, text=relative)
        tables.images.append(
            {
                "path": relative,
                "subject_id": row.subject,
                "sha256": row.digest,
                "source_line": row.line,
                "source_name": row.image.name,
                "licence": LICENCE,
                "doi": DOI,
            }
        )


def _labs(rows: list[Row], tables: Tables, report: ImportReport) -> None:
    """Add the laboratory values; one that several rows state at one time once."""
    seen: set[tuple[str, datetime, float]] = set()
    for row in rows:
        for name, time, value in row.labs:
            if (name, time, value) in seen:
                report.dropped.add("lab: the same value on another row of the patient", row.line)
                continue
            seen.add((name, time, value))
            kind = LABS[name]
            parents = [kind.code] if kind.code.startswith("LOINC/") else None
            tables.add(
                row.subject,
                time,
                f"{kind.code}//{kind.unit}",
                kind.description,
                number=value,
                parent_codes=parents,
                unit=kind.unit,
                ref_low=kind.low,
                ref_high=kind.high,
            )


def _labels(subject: int, rows: list[Row], entered: datetime | None, report: ImportReport) -> list[Label]:
    """Give icu or no_icu for the radiographs before the ICU, one a time."""
    labels = []
    for time in sorted({row.time for row in rows}):
        study = [row for row in rows if row.time == time]
        if not any(row.image for row in study):
            report.dropped.add("covid_icu study: no radiograph", study[0].line)
        elif entered is not None and time >= entered:
            report.dropped.add("covid_icu study: the patient is or was in the ICU already", study[0].line)
        else:
            labels.append(Label(subject, time, "no_icu" if entered is None else "icu"))
    return labels
