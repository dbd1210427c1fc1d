"""Reading the COVID-19 image data collection: metadata.csv -> rows with their line, image, day and patient.

Days: per row, the source states a date, an offset in days (since admission or onset), both, or neither. Each
patient gets a day 0: a row's full date minus its offset; else the first day of the month or year it states;
else 1 January 2020, which is invented. A row without a full date lies at day 0 plus its offset, and one
without an offset on day 0. All this is counted. The order of a patient's studies is right wherever the source
states it; the calendar is not to be trusted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from mhdiff.cohort import covid_fields as fields
from mhdiff.cohort.import_report import ImportReport
from mhdiff.cohort.looked_at import Look, looks, picture
from mhdiff.cohort.resumed import Parts
from mhdiff.cohort.source_files import records
from ontology.errors import InputError

METADATA = "metadata.csv"
COLUMNS = (
    *("patientid", "offset", "sex", "age", "finding", "went_icu", "in_icu", "temperature", "pO2_saturation"),
    *("leukocyte_count", "neutrophil_count", "lymphocyte_count", "view", "modality", "date", "location"),
    *("folder", "filename", "doi", "url", "license", "clinical_notes", "other_notes"),
)
_KINDS = {"x-ray": "CXR", "ct": "CT"}
_INVENTED = datetime(2020, 1, 1)
_REMEDY = "Give the folder that holds metadata.csv and images/, as the collection publishes it"


@dataclass
class Row:
    """One row of the source.

    Attributes:
        line: Its line in metadata.csv, counted from 1.
        subject: The patient's number.
        values: Column -> text, for the columns that say something.
        image: The image file, None where it cannot be used.
        digest: SHA-256 of the image's bytes.
        code: The image's code, such as IMAGE//CXR//PA.
        time: When it was taken.
    """

    line: int
    subject: int
    values: dict[str, str]
    image: Path | None = None
    digest: str = ""
    code: str = ""
    time: datetime = field(default=_INVENTED)

    def get(self, column: str) -> str | None:
        """Give a column's text, None where it is not stated."""
        return self.values.get(column)


def read_rows(source: Path, parts: Parts, report: ImportReport) -> list[Row]:
    """Read the source; what is not usable is counted.

    Args:
        source: Folder with metadata.csv and images.
        parts: The parts of the import, whose key must settle metadata.csv: images are looked at in parts `images/<n>`.
        report: Where it is counted.

    Raises:
        InputError: If the file is no such CSV, a column is missing, or too many rows are refused: for another width, no
            patientid, or an image that is missing, unreadable or outside the folder.
    """
    file = source / METADATA
    if not file.is_file():
        raise InputError("there is no metadata.csv", path=source, remedy=_REMEDY)
    named = (_path(record) for _, record in records(file, COLUMNS, _REMEDY, report.refused.apart()))
    paths = list(dict.fromkeys(path for path in named if path is not None))
    looked = dict(zip(paths, looks(parts, "images", source, paths, picture, keep=False), strict=True))
    rows: list[Row] = []
    read = 0
    seen: set[str] = set()
    for line, record in records(file, COLUMNS, _REMEDY, report.refused):
        if not read:
            for column in sorted(set(record) - set(COLUMNS) - {""}):
                report.dropped.add(f"column not read: {column[:40]}", 1)
        read += 1
        if not any(record.values()):
            report.dropped.add("row: empty", line)
            continue
        values: dict[str, str] = {}
        for column in COLUMNS:
            text = fields.stated(record[column])
            if text is not None:
                values[column] = text
            elif record[column].strip():
                report.changed.add(f"{column}: '?' and its like read as not stated", line)
        if "patientid" not in values:
            report.refused.add(
                "row: no patientid", file, line, "patientid", remedy="Repair the row, or remove it"
            )
            continue
        row = Row(line, fields.subject_id(values["patientid"]), values)
        if any("\ufffd" in values.get(c, "") for c in ("clinical_notes", "other_notes")):
            report.changed.add("notes: letters that were lost in the source stay lost (U+FFFD)", line)
        _image(row, source, looked, report, seen)
        rows.append(row)
    report.refused.check()
    if not rows:
        raise InputError("there is no usable row", path=file, remedy=_REMEDY)
    report.read = {"rows": read, "patients": len({row.subject for row in rows}), "distinct images": len(seen)}
    _days(rows, report)
    return rows


def _path(values: Mapping[str, str]) -> str | None:
    """Give where a row says that its image is, None where it names none."""
    told = {column: fields.stated(values.get(column, "")) for column in ("modality", "folder", "filename")}
    if told["filename"] is None or (told["modality"] or "").lower() not in _KINDS:
        return None
    return str(Path(told["folder"] or "images") / told["filename"])


def _image(row: Row, source: Path, looked: Mapping[str, Look], report: ImportReport, seen: set[str]) -> None:
    """Give the row its image, if it can be used, and the image its code."""
    path = _path(row.values)
    if path is None:
        none = row.get("filename") is None
        report.dropped.add("image: no filename" if none else "image: neither X-ray nor CT", row.line)
        return
    image = looked[path]
    if image.reason:
        report.refused.add(image.reason, source / METADATA, row.line, "filename", remedy=image.remedy)
        return
    row.image, row.digest = image.place, image.sha256
    if row.digest in seen:
        report.changed.add("image: the same bytes as another row's; both are kept, in one split", row.line)
    seen.add(row.digest)
    view = fields.view(row.get("view"))
    if view == "UNKNOWN":
        report.changed.add("view: not stated or not known, coded UNKNOWN", row.line)
    row.code = f"IMAGE//{_KINDS[row.values['modality'].lower()]}//{view}"


def _days(rows: list[Row], report: ImportReport) -> None:
    """Give each row its time."""
    patients: dict[int, list[Row]] = {}
    for row in rows:
        patients.setdefault(row.subject, []).append(row)
    for own in patients.values():
        dates = {row.line: fields.date(text) for row in own if (text := row.get("date"))}
        offsets = {row.line: _offset(row, report) for row in own}
        zero = _day_zero(own, dates, offsets)
        if zero is None:
            report.changed.add(
                "date: none stated, day 0 of the patient is invented (2020-01-01)", own[0].line
            )
            zero = _INVENTED
        for row in own:
            dated, offset = dates.get(row.line), offsets[row.line]
            if row.get("date") and dated is None:
                report.changed.add("date: cannot be read, taken as not stated", row.line)
            if dated and dated[1] == "day":
                row.time = dated[0]
                if offset is not None and dated[0] != zero + timedelta(days=offset):
                    report.changed.add("date: disagrees with the offset, the date is used", row.line)
                continue
            if dated:
                report.changed.add(f"date: only the {dated[1]} is stated, day 0 is its first day", row.line)
            if offset is None and len(own) > 1:
                report.changed.add("offset: not stated in a patient of several rows, put on day 0", row.line)
            row.time = zero + timedelta(days=offset or 0.0)


def _offset(row: Row, report: ImportReport) -> float | None:
    text = row.get("offset")
    if text is None:
        return None
    days = fields.number(text, -36_500, 36_500)
    if days is None:
        report.changed.add("offset: no number of days, taken as not stated", row.line)
    return days


def _day_zero(
    rows: list[Row], dates: dict[int, tuple[datetime, str] | None], offsets: dict[int, float | None]
) -> datetime | None:
    """Give the patient's day 0 from the most precise date that any of the rows states."""
    for precision in ("day", "month", "year"):
        for row in rows:
            dated = dates.get(row.line)
            if dated and dated[1] == precision:
                return dated[0] - timedelta(days=offsets[row.line] or 0.0) if precision == "day" else dated[0]
    return None
