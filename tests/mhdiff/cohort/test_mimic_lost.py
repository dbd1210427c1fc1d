"""MIMIC-CXR: nothing is left out without being counted, nor a table passed over without being named."""

import csv
import gzip
import shutil

import mimic_source
import pytest

from mhdiff.cohort import Cohort
from mhdiff.cohort.mimic_cxr import import_mimic_cxr
from mhdiff.cohort.refused import MaxBad
from ontology.errors import InputError

FEW = MaxBad(9)
NO_NUMBER = "the value is missing or no number without a fraction"


@pytest.fixture
def source(tmp_path):
    return mimic_source.many(tmp_path / "source", 4)


def change(folder, name, **cells):
    """Change cells of the first row of a table."""
    file = next(folder.rglob(f"*{name}.csv.gz"))
    with gzip.open(file, "rt", newline="") as stream:
        lines = csv.DictReader(stream)
        rows = list(lines)
    rows[0] |= cells
    with gzip.open(file, "wt", newline="") as stream:
        writer = csv.DictWriter(stream, list(lines.fieldnames))
        writer.writeheader()
        writer.writerows(rows)
    return file.relative_to(folder).as_posix()


def test_tables_that_are_passed_over_are_named(tmp_path, source):
    folder = source.write()
    assert import_mimic_cxr(folder, tmp_path / "all").not_read == []
    hosp, jpg = folder / "mimiciv/hosp", folder / "mimic-cxr-jpg"
    for name in ("prescriptions", "emar"):
        (hosp / f"{name}.csv.gz").write_bytes(b"")
    (folder / "mimiciv/icu/chartevents.csv").write_text("")
    (jpg / "mimic-cxr-2.1.0-test-set-labeled.csv").write_text("")
    (jpg / "mimic-cxr-reports.zip").write_bytes(b"")
    shutil.copy(next(jpg.glob("*metadata*")), jpg / "cxr-record-list.csv.gz")
    report = import_mimic_cxr(folder, tmp_path / "cohort")
    assert report.to_dict()["not_read"] == [
        "cxr-record-list.csv.gz", "hosp/emar.csv.gz", "hosp/prescriptions.csv.gz", "icu/chartevents.csv",
        "mimic-cxr-2.1.0-test-set-labeled.csv", "(1 more, whose names are not shown)",
    ]  # fmt: skip


ROWS = {
    "no split": ("split", {"split": ""}, "the value is missing or no text", "split"),
    "an unknown split": ("split", {"split": "MARKEDTEXT"}, "the split is none of train, validate, test", "split"),
    "a split of nobody": ("split", {"subject_id": "MARKEDTEXT"}, NO_NUMBER,
                          "subject_id"),
    "an item": ("d_labitems", {"itemid": "MARKEDTEXT"}, NO_NUMBER, "itemid"),
    "an item twice": ("d_labitems", {"itemid": "51301"}, "itemid is there twice", "itemid"),
    "a title": ("d_icd_diagnoses", {"icd_version": "MARKEDTEXT"}, NO_NUMBER,
                "icd_version"),
}  # fmt: skip


@pytest.mark.parametrize("case", ROWS)
def test_a_broken_row_of_any_table_is_refused(tmp_path, source, case):
    name, cells, reason, column = ROWS[case]
    folder = source.write()
    table = change(folder, name, **cells)
    with pytest.raises(InputError, match=reason) as caught:
        import_mimic_cxr(folder, tmp_path / "cohort", max_bad=MaxBad(0))
    assert "MARKEDTEXT" not in str(caught.value)
    assert {p.name for p in tmp_path.iterdir()} == {"source"}
    report = import_mimic_cxr(folder, tmp_path / "cohort", max_bad=FEW)
    line = 3 if case == "an item twice" else 2
    assert [str(place) for place in report.refused.places[reason]] == [f"{table}:{line}:{column}"]
    assert report.refused.rows[table] >= 1
    assert "MARKEDTEXT" not in report.text()


LEFT_OUT = {
    "no birth": ("patients", {"anchor_age": "150"}, "changed",
                 "patients: no age from 0 to 120, so no birth, and no event is held against it", "MEDS_BIRTH"),
    "no discharge": ("admissions", {"dischtime": ""}, "dropped", "hospital discharge: no time",
                     "HOSPITAL_DISCHARGE//HOME"),
}  # fmt: skip


@pytest.mark.parametrize("case", LEFT_OUT)
def test_what_is_left_out_of_a_subject_is_counted(tmp_path, source, case):
    name, cells, kind, reason, code = LEFT_OUT[case]
    folder = source.write()
    assert getattr(import_mimic_cxr(folder, tmp_path / "whole"), kind).counts[reason] == 0
    change(folder, name, **cells)
    assert getattr(import_mimic_cxr(folder, tmp_path / "less"), kind).counts[reason] == 1
    whole, less = (Cohort.open(tmp_path / name).events["code"] for name in ("whole", "less"))
    assert (less == code).sum() == (whole == code).sum() - 1
