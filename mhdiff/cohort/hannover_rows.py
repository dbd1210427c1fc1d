"""Reading the COVID-19 Image Repository of Hannover Medical School: data.csv -> rows with line, image and days.

Each row is a radiograph. Offsets are days relative to the exam of the row, negative before it; the admission
itself is 1 January 2020 for every patient, which is invented, so that

    exam = 2020-01-01 - admission_offset,    any other time = exam + its own offset.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from mhdiff.cohort import covid_fields as fields
from mhdiff.cohort.import_report import ImportReport
from mhdiff.cohort.looked_at import Look, looks, picture
from mhdiff.cohort.resumed import Parts
from mhdiff.cohort.source_files import records
from ontology.errors import InputError

TABLE: Final = "data.csv"
ADMISSION: Final = datetime(2020, 1, 1)
STAYS: Final = ("icu_admission_offset", "icu_release_offset", "death_offset")
_REMEDY: Final = "Give the folder that holds data.csv and png/, as the repository publishes it"
_MODALITIES: Final = ("CR", "DX")
_DAYS: Final = 36_500.0


class LabKind(NamedTuple):
    """One laboratory column: its code, what it is, UCUM unit and the source's reference interval."""

    code: str
    description: str
    unit: str
    low: float | None = None
    high: float | None = None


LABS: Final = {
    "crp": LabKind("LOINC/1988-5", "C reactive protein in serum or plasma", "mg/L", None, 5.0),
    "d-dimer": LabKind("LOINC/48065-7", "Fibrin D-dimer FEU in plasma", "mg/L", 0.0, 0.5),
    "ldh": LabKind("LOINC/2532-0", "Lactate dehydrogenase in serum or plasma", "U/L", None, 248.0),
    "lymphocytes": LabKind("LOINC/731-0", "Lymphocytes in blood", "10*9/L", 1.1, 4.0),
    "neutrophils": LabKind("LOINC/751-8", "Neutrophils in blood", "10*9/L", 1.5, 7.7),
    "pco2": LabKind("LOINC/11557-6", "Carbon dioxide partial pressure in blood", "mm[Hg]"),
    "po2": LabKind("LOINC/11556-8", "Oxygen partial pressure in blood", "mm[Hg]"),
    "factor_xii": LabKind("HANNOVER/factor_xii", "Coagulation factor, XII or XIII", "%", 70.0, 140.0),
}
COLUMNS: Final = (
    *("patient_id", "image_id", "sex", "admission_offset", *STAYS, "modality", "projection"),
    *(f"{name}_{what}" for name in LABS for what in ("offset", "val")),
)


@dataclass
class Row:
    """One row of the source.

    Attributes:
        line: Its line in data.csv, counted from 1.
        subject: The patient's number.
        values: Column -> text, for the columns that say something.
        time: When the radiograph was taken.
        image: The image file, None where it cannot be used.
        digest: SHA-256 of the image's bytes.
        stays: Column of `STAYS` -> its time.
        labs: (name in `LABS`, time, value).
    """

    line: int
    subject: int
    values: dict[str, str]
    time: datetime
    image: Path | None = None
    digest: str = ""
    stays: dict[str, datetime] = field(default_factory=dict)
    labs: list[tuple[str, datetime, float]] = field(default_factory=list)

    @property
    def code(self) -> str:
        """The image's code, such as IMAGE//CXR//AP."""
        return f"IMAGE//CXR//{fields.view(self.values.get('projection'))}"


def read_rows(source: Path, parts: Parts, report: ImportReport) -> list[Row]:
    """Read the source; what is not usable is counted.

    Args:
        source: Folder with data.csv and png/.
        parts: The parts of the import, whose key must settle data.csv: images are looked at in parts `images/<n>`.
        report: Where it is counted.

    Raises:
        InputError: If the file is no such CSV, or too many rows are refused: for another width, a patient's id that is
            none, or an image that is missing, unreadable or outside the folder.
    """
    file = source / TABLE
    if not file.is_file():
        raise InputError(f"there is no {TABLE}", path=source, remedy=_REMEDY)
    named = (_path(_stated(record)) for _, record in records(file, COLUMNS, _REMEDY, report.refused.apart()))
    paths = list(dict.fromkeys(path for path in named if path is not None))
    looked = dict(zip(paths, looks(parts, "images", source, paths, picture, keep=False), strict=True))
    rows: list[Row] = []
    read = 0
    for line, record in records(file, COLUMNS, _REMEDY, report.refused):
        read += 1
        values = _stated(record)
        if not values:
            report.dropped.add("row: empty", line)
            continue
        patient = values.get("patient_id", "")
        if not re.fullmatch(r"[0-9a-f]{1,15}", patient):
            report.refused.add(
                "the patient's id is no hexadecimal number",
                file,
                line,
                "patient_id",
                remedy="Repair the row, or remove it",
            )
            continue
        admitted = _offset(values, "admission_offset", report, line)
        if admitted is None:
            report.dropped.add("row: no admission_offset, so the exam has no time", line)
            continue
        row = Row(line, int(patient, 16), values, ADMISSION - timedelta(days=admitted))
        _image(row, source, looked, report)
        for column in STAYS:
            days = _offset(values, column, report, line)
            if days is not None:
                row.stays[column] = row.time + timedelta(days=days)
        _labs(row, report)
        rows.append(row)
    report.refused.check()
    if not rows:
        raise InputError("there is no usable row", path=file, remedy=_REMEDY)
    _clip(rows, report)
    images = {row.digest for row in rows if row.image}
    report.read = {
        "rows": read,
        "patients": len({row.subject for row in rows}),
        "distinct images": len(images),
    }
    return rows


def _offset(values: dict[str, str], column: str, report: ImportReport, line: int) -> float | None:
    """Give a number of days, None where none is stated."""
    if column not in values:
        return None
    days = fields.number(values[column], -_DAYS, _DAYS)
    if days is None:
        report.dropped.add(f"{column}: no number of days", line)
    return days


def _stated(record: Mapping[str, str]) -> dict[str, str]:
    return {column: record[column].strip() for column in COLUMNS if record[column].strip()}


def _path(values: Mapping[str, str]) -> str | None:
    """Give where a row's image is, None where it names none."""
    if values.get("modality") not in _MODALITIES or "image_id" not in values:
        return None
    return str(Path("png") / f"{values['image_id']}.png")


def _image(row: Row, source: Path, looked: Mapping[str, Look], report: ImportReport) -> None:
    """Give the row its image, if it can be used."""
    path = _path(row.values)
    if path is None:
        report.dropped.add("image: no image_id, or neither CR nor DX", row.line)
        return
    image = looked[path]
    if image.reason:
        report.refused.add(image.reason, source / TABLE, row.line, "image_id", remedy=image.remedy)
        return
    row.image, row.digest = image.place, image.sha256


def _labs(row: Row, report: ImportReport) -> None:
    """Read the laboratory values, infinite ones as they stand."""
    for name in LABS:
        text = row.values.get(f"{name}_val")
        if text is None:
            continue
        days = _offset(row.values, f"{name}_offset", report, row.line)
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if math.isnan(value) or days is None:
            report.dropped.add(
                f"lab: {name} is no number" if days is not None else "lab: no offset", row.line
            )
            continue
        row.labs.append((name, row.time + timedelta(days=days), value))


def _clip(rows: list[Row], report: ImportReport) -> None:
    """Put the column's lowest or highest finite value for one beyond the detection limit."""
    finite: dict[str, list[float]] = {}
    for row in rows:
        for name, _, value in row.labs:
            if math.isfinite(value):
                finite.setdefault(name, []).append(value)
    for row in rows:
        kept = []
        for name, time, value in row.labs:
            if not math.isfinite(value):
                if name not in finite:
                    report.dropped.add(f"lab: {name} has no finite value to stand for the limit", row.line)
                    continue
                side = "lowest" if value < 0 else "highest"
                report.changed.add(
                    f"lab: {name} beyond the detection limit, the {side} value is put", row.line
                )
                value = min(finite[name]) if value < 0 else max(finite[name])
            kept.append((name, time, value))
        row.labs = kept
