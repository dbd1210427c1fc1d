"""COVID-19 image data collection -> MEDS: a study is a patient's rows at one time, and one sample of a task.

Why studies and not patients: the collection is small, a patient's studies differ in image, note and time, and
splits, folds and intervals are by patient anyway. See `CHOICES` for what a reader of results must know.
"""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from mhdiff.cohort import covid_fields as fields
from mhdiff.cohort import meds, splits
from mhdiff.cohort.covid_labels import icu_labels, pneumonia_labels
from mhdiff.cohort.covid_rows import METADATA, Row, read_rows
from mhdiff.cohort.import_report import ImportReport
from mhdiff.cohort.imported import Tables, write
from mhdiff.cohort.refused import DEFAULT, MaxBad, Refused
from mhdiff.cohort.resumed import resumed, stamps
from ontology.files import atomic_directory

KIND = "covid-chestxray"
CHOICES = (
    "One sample per patient and study (rows of one time that include a radiograph); splits are by patient.",
    "Site is the country of `location`: the hospital is stated for few.",
    "Days are relative: see the counts of invented and partial dates. The calendar is not to be trusted.",
    "Notes were written in retrospect. Parts under Discussion and Impression are NOTE//DISCUSSION, which no "
    "shipped task reads; the rest is NOTE//CLINICAL and still knows the case's end in places.",
    "Credits in other_notes are kept in metadata/images.parquet, not among the events.",
    "Image files are renamed by patient: the source's names state the diagnosis.",
    "CT slices are IMAGE//CT events; the shipped tasks read radiographs only.",
    "covid_pneumonia: class by the stated cause; 'ARDS' without a cause and fungal, lipoid and aspiration "
    "pneumonia are 'other'; 'todo' and 'No Finding' give no label, whatever the text says.",
    "covid_icu: 'icu' if any row of the patient says went_icu or in_icu Y; 'no_icu' if N, or 'Would have "
    "been stated' (the annotators' judgement that the report would have said so). Studies at or after the "
    "first one in the ICU are no samples.",
    "Patients that share an image, a source page or a case number are in one split.",
    "Finding, country, year, licence and source are confounded: a model may learn where a picture is from.",
)


def import_covid_chestxray(source: str | Path, out: str | Path, *, max_bad: MaxBad = DEFAULT) -> ImportReport:
    """Write a cohort from the folder of the collection.

    Args:
        source: Folder with metadata.csv and images/.
        out: Folder of the cohort to make or to replace.
        max_bad: How many broken rows are borne.

    Returns:
        What was read, kept, changed and dropped; also in `metadata/import_report.json`.

    Raises:
        InputError: If the source cannot be read or too many rows are refused: see `covid_rows.read_rows`.
    """
    root = Path(source)
    report = ImportReport(KIND, refused=Refused(max_bad, root), choices=list(CHOICES))
    files = [file for file in (root / METADATA,) if file.is_file()]
    key = {"kind": KIND, "source": str(root.resolve()), "files": stamps(files, root)}
    with resumed(out, key) as parts, atomic_directory(out, marker=meds.MARKER) as folder:
        patients: dict[int, list[Row]] = {}
        rows = read_rows(root, parts, report)
        for row in sorted(rows, key=lambda row: (row.subject, row.time, row.line)):
            patients.setdefault(row.subject, []).append(row)
        (folder / "images").mkdir()
        (folder / "metadata").mkdir()
        tables, sites = Tables(), {}
        for subject, own in patients.items():
            sites[subject] = _person(subject, own, tables, report)
            _images(own, tables, folder)
            _notes(own, tables, report)
            _labs(own, tables, report)
        labels = {
            "covid_pneumonia": pneumonia_labels(patients, report),
            "covid_icu": icu_labels(patients, report),
        }
        groups = _groups(patients, report)
        write(
            folder,
            report,
            tables,
            sites,
            labels,
            groups,
            licence="stated for each image in metadata/images.parquet",
            uri="https://github.com/ieee8023/covid-chestxray-dataset",
        )
    return report


def _person(subject: int, rows: list[Row], tables: Tables, report: ImportReport) -> str:
    """Add the static facts and the birth; give the site."""
    sexes = sorted({row.values["sex"].upper() for row in rows if row.get("sex")})
    if len(sexes) == 1 and sexes[0] in ("F", "M"):
        tables.add(subject, None, f"GENDER//{sexes[0]}", {"F": "Female", "M": "Male"}[sexes[0]])
    elif sexes:
        reason = "rows of a patient disagree" if len(sexes) > 1 else "neither F nor M"
        report.dropped.add(f"sex: {reason}", rows[0].line)
    places = list(dict.fromkeys(fields.site(row.get("location")) for row in rows))
    places = [place for place in places if place != "unknown"] or ["unknown"]
    if len(places) > 1:
        report.changed.add("location: rows of a patient disagree, the first is used", rows[0].line)
    if places[0] == "unknown":
        report.changed.add("location: no country stated, site 'unknown'", rows[0].line)
    tables.add(subject, None, f"SITE//{places[0]}", f"Site: {places[0]}")
    ages = list(dict.fromkeys(row.values["age"] for row in rows if row.get("age")))
    years = next((y for text in ages if (y := fields.number(text, 0, 120)) is not None), None)
    if len(ages) > 1:
        report.changed.add("age: rows of a patient disagree, the first is used", rows[0].line)
    if ages and years is None:
        report.dropped.add("age: no number from 0 to 120", rows[0].line)
    if years is not None:
        born = rows[0].time - timedelta(days=round(years * 365.25))
        tables.add(subject, born, meds.BIRTH, "Birth, computed from the age at the first study")
    return places[0]


def _images(rows: list[Row], tables: Tables, folder: Path) -> None:
    """Copy the images and add their events; at one time frontal views come last."""
    ordered = sorted(rows, key=lambda row: (row.time, row.code.endswith(fields.FRONTAL)))
    for place, row in enumerate(row for row in ordered if row.image):
        assert row.image is not None
        relative = f"images/{row.subject}_{place}{row.image.suffix.lower()}"
        shutil.copyfile(row.image, folder / relative)
        kind = (
            "Radiograph of the chest" if "//CXR//" in row.code else "Computed tomography of the chest, slice"
        )
        tables.add(row.subject, row.time, row.code, f"{kind}, {row.code.split('//')[-1]}", text=relative)
        other = row.get("other_notes")
        tables.images.append(
            {
                "path": relative,
                "subject_id": row.subject,
                "sha256": row.digest,
                "source_line": row.line,
                "source_name": row.get("filename"),
                "licence": row.get("license") or "not stated",
                "credit": other if fields.case_number(other) is not None else None,
                "url": row.get("url"),
                "doi": row.get("doi"),
            }
        )


def _notes(rows: list[Row], tables: Tables, report: ImportReport) -> None:
    """Add the notes; a text that a patient's earlier row already had is added once."""
    seen: set[str] = set()
    for row in rows:
        clinical, concluded = fields.sections(row.get("clinical_notes") or "")
        other = row.get("other_notes") or ""
        if fields.case_number(other) is not None:
            report.dropped.add("other_notes: credit of the author, kept in metadata/images.parquet", row.line)
            other = ""
        if concluded:
            report.changed.add(
                "clinical_notes: Discussion and Impression parted as NOTE//DISCUSSION", row.line
            )
        for text, code, description in (
            (clinical, "NOTE//CLINICAL", "Clinical note"),
            (other, "NOTE//CLINICAL", "Clinical note"),
            (concluded, "NOTE//DISCUSSION", "Discussion or impression, written in retrospect"),
        ):
            key = " ".join(text.split())
            if key in seen:
                report.dropped.add("note: the patient's earlier row has the same text", row.line)
            elif key:
                seen.add(key)
                tables.add(row.subject, row.time, code, description, text=text)


def _labs(rows: list[Row], tables: Tables, report: ImportReport) -> None:
    """Add the laboratory values in one unit a code, once a study."""
    seen: set[tuple[datetime, str, float]] = set()
    for row in rows:
        for column, kind in fields.LABS.items():
            text = row.get(column)
            if text is None:
                continue
            value, remark = fields.lab(column, text)
            if value is None:
                report.dropped.add(f"lab: {remark}", row.line)
                continue
            if remark:
                report.changed.add(f"lab: {remark}", row.line)
            if (row.time, column, value) in seen:
                report.dropped.add("lab: the same value on another row of the study", row.line)
                continue
            seen.add((row.time, column, value))
            tables.add(
                row.subject,
                row.time,
                f"LOINC/{kind.loinc}//{kind.unit}",
                kind.description,
                number=value,
                parent_codes=[f"LOINC/{kind.loinc}"],
                unit=kind.unit,
                ref_low=kind.reference[0],
                ref_high=kind.reference[1],
            )


def _groups(patients: dict[int, list[Row]], report: ImportReport) -> pl.DataFrame:
    """Unite patients that share an image, a source page or a case number."""
    pairs = []
    for subject, rows in patients.items():
        for row in rows:
            case = fields.case_number(row.get("other_notes"))
            keys = (("image", row.digest), ("page", row.get("url")), ("case", case))
            pairs += [(subject, key) for key in keys if key[1]]
    groups = splits.unite(list(patients), pairs)
    for size in groups["group"].value_counts().filter(pl.col("count") > 1)["count"]:
        report.changed.add("patients that share an image, page or case number, kept in one split", n=size)
    return groups
