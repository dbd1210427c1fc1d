"""Small sources of every kind in which each id, note, name, file name and broken cell is a string of its own.

`spoil` gives a table a broken row a column: all as in its first row, but for a string where a number, a time, a code
or a path belongs. What is sound is made by the writers that other tests have, with other ids.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path

import import_sources
import marked_cohort
import mimic_source
import omop_source
import polars as pl
import ukb_source
from marked_cohort import Marks

IDS = ("person_id", "visit_occurrence_id", "condition_occurrence_id", "measurement_id", "observation_id", "note_id",
       "drug_exposure_id", "observation_period_id", "patientunitstayid", "patienthealthsystemstayid", "uniquepid",
       "labid", "medicationid", "treatmentid", "patientid", "patient_id", "subject_id")  # fmt: skip


def number(marks: Marks, first: str = "", digits: int = 9) -> str:
    """A new id of digits."""
    made = first + "".join(marks.rng.choices("123456789", k=digits - len(first)))
    marks.strings.setdefault("id", []).append(made)
    return made


class Table:
    """A CSV, perhaps gzipped, to be changed.

    Args:
        file: The CSV.
        marks: What is written into it.
    """

    def __init__(self, file: Path, marks: Marks) -> None:
        self.file, self.marks = file, marks
        with self._open("rt") as stream:
            lines = csv.DictReader(stream)
            self.rows = list(lines)
            self.header = list(lines.fieldnames or ())

    def _open(self, mode: str):
        how = gzip.open if self.file.suffix == ".gz" else open
        return how(self.file, mode, newline="", encoding="utf-8")

    def replace(self, column: str, known: dict[str, str], new: Callable[[], str] | None = None) -> None:
        """Put another string into the place of each value of a column, the same one wherever it stands."""
        for row in self.rows:
            if old := row.get(column):
                row[column] = known.setdefault(old, (new or (lambda: number(self.marks)))())

    def spoil(self, key: str = "", skip: Iterable[str] = ()) -> None:
        """Add a row for each column in which it holds a string."""
        first = dict(self.rows[0])
        for column in self.header:
            if column not in skip:
                own = {key: number(self.marks)} if key else {}
                self.rows.append(first | own | {column: self.marks.new("text")})

    def write(self) -> None:
        """Write it again."""
        with self._open("wt") as stream:
            writer = csv.DictWriter(stream, self.header)
            writer.writeheader()
            writer.writerows(self.rows)


def renumber(folder: Path, marks: Marks, spoiled: bool, **keys: str) -> None:
    """Give all ids of the tables of a folder other digits, and perhaps each table its broken rows."""
    known: dict[str, dict[str, str]] = {}
    for file in sorted(folder.glob("*.csv")):
        table = Table(file, marks)
        for column in IDS:
            table.replace(column, known.setdefault(column, {}))
        if spoiled and file.stem.lower() in keys:
            table.spoil(keys[file.stem.lower()])
        table.write()


def rename(folder: Path, marks: Marks) -> dict[str, str]:
    """Give the pictures of a folder other names; which is which, without their suffix."""
    known = {file.stem: marks.new("file") for file in sorted(folder.glob("*.png"))}
    for old, new in known.items():
        (folder / f"{old}.png").rename(folder / f"{new}.png")
    return known


def manifest(folder: Path, marks: Marks, spoiled: bool) -> list[object]:
    """The manifest of the marked cohort."""
    file = marked_cohort.write_source(folder, marks, 12)
    if spoiled:
        table = Table(file, marks)
        table.spoil("patient")
        table.write()
    return [file, "--columns", folder / "columns.yaml"]


def meds(folder: Path, marks: Marks, spoiled: bool) -> list[object]:
    """A MEDS dataset with notes, codes that are words, and a table of images."""
    import_sources.write("meds", folder)
    known: dict[str, str] = {}
    table = Table(folder / "table.csv", marks)
    table.replace("subject_id", known)
    if spoiled:
        table.spoil()
    table.write()
    images = rename(folder / "dataset/images", marks)
    ids = {n: int(known.setdefault(str(n), number(marks))) for n in range(1, 7)}
    for file in [*(folder / "dataset/data").iterdir(), *(folder / "dataset/labels").iterdir()]:
        frame = pl.read_parquet(file).with_columns(
            pl.col("subject_id").replace_strict(ids, return_dtype=pl.Int64)
        )
        if "code" in frame.columns:
            paths = {f"images/{old}.png": f"images/{new}.png" for old, new in images.items()}
            frame = frame.with_columns(pl.col("text_value").replace(paths))
            last = frame["time"].max() + timedelta(days=1)
            own = {"subject_id": frame["subject_id"].max(), "time": last}
            notes = [own | {"code": "NOTE//FINDINGS", "text_value": marks.new("text")},
                     own | {"code": marks.new("text")}, own | {"code": f"LOCAL//{marks.new('text')}"}]  # fmt: skip
            if spoiled:
                notes.append(own | {"code": "IMAGE//CXR", "text_value": f"../{marks.new('file')}.png"})
            frame = pl.concat([frame, pl.DataFrame(notes)], how="diagonal_relaxed")
        frame.write_parquet(file)
    return [folder / "dataset", "--images", folder / "table.csv"]


def eicu(folder: Path, marks: Marks, spoiled: bool) -> list[object]:
    """Tables of eICU, with drugs, treatments and laboratory values that nobody knows."""
    import_sources.write("eicu", folder)
    keys = {"lab": "labid", "medication": "medicationid", "treatment": "treatmentid",
            "patient": "patientunitstayid"}  # fmt: skip
    renumber(folder, marks, spoiled, **keys)
    return [folder]


def covid(folder: Path, marks: Marks, spoiled: bool) -> list[object]:
    """The collection's layout, with notes."""
    import_sources.write("covid-chestxray", folder)
    renumber(folder, marks, spoiled=False)
    table, names = Table(folder / "metadata.csv", marks), rename(folder / "images", marks)
    table.replace("filename", {f"{old}.png": f"{new}.png" for old, new in names.items()})
    for row in table.rows:
        row["clinical_notes"], row["other_notes"] = marks.new("text"), marks.new("text")
    if spoiled:
        table.spoil(skip=["license"])  # is of the image, and counted
    table.write()
    return [folder]


def hannover(folder: Path, marks: Marks, spoiled: bool) -> list[object]:
    """The repository's layout."""
    import_sources.write("hannover", folder)
    renumber(folder, marks, spoiled=False)
    table, names = Table(folder / "data.csv", marks), rename(folder / "png", marks)
    table.replace("image_id", names)
    if spoiled:
        table.spoil()
    table.write()
    return [folder]


def omop(folder: Path, marks: Marks, spoiled: bool) -> list[object]:
    """A CDM, with names in notes and in source values."""
    content = omop_source.tables()
    name, record = marks.new("name"), number(marks)
    row = content["CONDITION_OCCURRENCE"][2]
    for n, value in enumerate([name, record, f"{name} was here", *[marks.new("name")] * 4]):
        content["CONDITION_OCCURRENCE"].append(
            row | {"condition_occurrence_id": 700 + n, "condition_source_value": value}
        )
    content["NOTE"][0]["note_text"] = f"{name} has {marks.new('text')}"
    omop_source.write(folder, content)
    keys = {name.lower(): next(iter(rows[0])) for name, rows in content.items() if "person_id" in rows[0]}
    renumber(folder, marks, spoiled, **keys)
    return [folder]


def mimic(folder: Path, marks: Marks, spoiled: bool) -> list[object]:
    """MIMIC-CXR-JPG with MIMIC-IV, reports with names, and laboratory values in words."""
    source = mimic_source.Source(folder)
    for n in range(4):
        subject, study = int(number(marks, "1", 8)), int(number(marks, "5", 8))
        time = datetime(2150, 1, 3 + n, 8, 30)
        source.person(subject)
        source.stay(subject, int(number(marks, "2", 8)), time - timedelta(days=9), codes=(("I10", 10),))
        report = mimic_source.REPORT.format(
            complaint=marks.new("text"), findings=marks.new("text"), impression=marks.new("name")
        )
        source.study(subject, study, time, values={"Pneumonia": float(n % 2)}, report=report)
        for value, unit in (("9.5", "K/uL"), (marks.new("text"), marks.new("text"))):
            source.lab(int(number(marks)), subject, 51301, time - timedelta(hours=4), value, valueuom=unit)
    for name in ("procedures_icd", "icustays"):
        row = {"subject_id": subject, "hadm_id": source.tables["admissions"][-1]["hadm_id"]}
        source.tables[name].append(row | {
            "procedures_icd": {"seq_num": 1, "chartdate": str(time.date()), "icd_code": "9604", "icd_version": 9},
            "icustays": {"stay_id": number(marks), "first_careunit": marks.new("text"), "last_careunit": "MICU",
                         "intime": str(time), "outtime": str(time + timedelta(hours=5)), "los": "0.2"},
        }[name])  # fmt: skip
    source.write()
    for name in ("prescriptions", "emar"):
        (folder / f"mimiciv/hosp/{name}.csv").write_text(f"subject_id,drug\n{subject},{marks.new('text')}\n")
    (folder / f"mimiciv/{marks.new('file')}.txt").write_text(marks.new("text"))
    if spoiled:
        cut = source.image(subject, study, 1)
        cut.write_bytes(marks.new("text").encode())
        report_file = cut.parent.with_suffix(".txt")
        report_file.write_bytes(b"\xff" + report_file.read_bytes())
        keys = {"metadata": "dicom_id", "patients": "subject_id", "admissions": "hadm_id", "icustays": "stay_id",
                "labevents": "labevent_id", "d_labitems": "itemid"}  # fmt: skip
        for file in sorted(folder.rglob("*.csv.gz")):
            table = Table(file, marks)
            table.spoil(keys.get(file.name.split(".csv")[0].split("-")[-1], ""))
            table.write()
    return [folder]


def ukb(folder: Path, marks: Marks, spoiled: bool) -> list[object]:
    """A main dataset, zips and a list of who withdrew."""
    source = ukb_source.Source(folder)
    eids = [int(number(marks, "1", 7)) for _ in range(4)]
    for eid in eids:
        source.person(eid, (("I10", "2010-01-02"),), f20002_0_0=marks.new("text"))
    source.scan(eids[-1])
    if spoiled:
        source.scan(eids[0], ukb_source.packed({f"../{marks.new('file')}": marks.new("text").encode()}))
        source.scan(eids[1], marks.new("text").encode())
    source.write()
    (folder / "bulk" / f"{eids[0]}_20227_2_0.zip").write_bytes(b"")
    (folder / f"{marks.new('file')}.txt").write_text(f"{marks.new('text')}\n")
    (folder / "w12345_20240101.csv").write_text(f"{eids[2]}\n")
    if spoiled:
        table = Table(folder / "ukb12345.csv", marks)
        table.spoil("eid")
        table.write()
    return [folder]


WRITERS = {
    "manifest": manifest,
    "meds": meds,
    "eicu": eicu,
    "covid-chestxray": covid,
    "hannover": hannover,
    "omop": omop,
    "mimic-cxr": mimic,
    "uk-biobank": ukb,
}
