"""Notes by their type, parts of visits, and images that a table links to persons of a CDM."""

from datetime import datetime

import omop_source
import polars as pl
import pytest

from mhdiff.cli import main
from mhdiff.cohort import Cohort
from mhdiff.cohort.omop import import_omop

EVENING = 23, 59, 59, 999_999


@pytest.fixture
def content():
    return omop_source.tables()


@pytest.fixture
def source(tmp_path, content):
    return omop_source.write(tmp_path / "cdm", content)


def test_notes_without_a_class_take_their_type(tmp_path, content):
    content["CONCEPT"].append(
        {
            "concept_id": 16,
            "concept_name": "EHR note",
            "vocabulary_id": "Type Concept",
            "concept_code": "OMOP1",
        }
    )
    note = {**content["NOTE"][0], "note_type_concept_id": 16}
    bare = {**note, "note_id": 3, "note_class_concept_id": 0, "note_datetime": "2015-03-01 12:00:00"}
    neither = {**bare, "note_id": 4, "note_type_concept_id": 0, "note_datetime": "2015-03-01 13:00:00"}
    content["NOTE"] = [note, bare, neither]
    import_omop(omop_source.write(tmp_path / "cdm", content), tmp_path / "cohort")
    cohort = Cohort.open(tmp_path / "cohort")
    rows = cohort.scan(optional=True).filter(pl.col("code").str.starts_with("NOTE")).collect()
    assert rows.select("code", "source_code").rows() == [
        ("NOTE//LOINC:11506-3", "Type_Concept/OMOP1"), ("NOTE//Type_Concept:OMOP1", None), ("NOTE//UNCLASSIFIED", None)
    ]  # fmt: skip
    codes = {row["code"]: row for row in cohort.codes.to_dicts()}
    assert codes["Type_Concept/OMOP1"]["parent_codes"] is None  # a type means no class
    assert codes["NOTE//Type_Concept:OMOP1"]["description"] == "EHR note"


def test_parts_of_a_visit_are_events(tmp_path, content):
    content["VISIT_DETAIL"] = [
        {"visit_detail_id": 1, "person_id": 1, "visit_detail_concept_id": 6,
         "visit_detail_start_date": "2015-03-01", "visit_detail_start_datetime": "2015-03-01 09:40:00",
         "visit_detail_end_date": "2015-03-01", "visit_detail_end_datetime": "2015-03-01 09:50:00"}
    ]  # fmt: skip
    report = import_omop(omop_source.write(tmp_path / "cdm", content), tmp_path / "cohort")
    events = Cohort.open(tmp_path / "cohort").events.filter(pl.col("subject_id") == 1)
    times = events.filter(pl.col("code").str.contains("^VISIT|^Visit"))
    assert times.select("time", "code").rows() == [
        (datetime(2015, 3, 1, 9, 30), "Visit/OP"),
        (datetime(2015, 3, 1, 9, 40), "Visit/OP"),
        (datetime(2015, 3, 1, 9, 50), "VISIT_DETAIL//END"),
        (datetime(2015, 3, 1, 10), "VISIT//END"),
    ]
    assert report.read["visit_detail rows"] == 1


def test_images_come_by_a_table(tmp_path, source, capsys):
    from PIL import Image

    rows = ["person_id,time,path,modality", "1,2015-03-01 10:30,a.png,CXR//PA", "2,2015-03-01,b.png,CXR//AP"]
    rows += ["4,2015-03-01,b.png,CXR//PA", "77,2015-03-01,a.png,CXR//PA", "1,2015-03-01,../cdm/c.png,CXR//PA"]
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, grey in (("a", 10), ("b", 200)):
        Image.new("L", (8, 8), grey).save(folder / f"{name}.png")
    (folder / "images.csv").write_text("\n".join(rows) + "\n")
    command = ["cohort", "import", "omop", str(source), "--out", str(tmp_path / "cohort")]
    command += ["--images", str(folder / "images.csv")]
    assert main(command) == 2
    assert "line 5, column 'person_id': the subject is not in the dataset" in capsys.readouterr().err
    assert main([*command, "--max-bad", "2"]) == 0
    cohort = Cohort.open(tmp_path / "cohort")
    found = cohort.events.filter(pl.col("code").str.starts_with("IMAGE//")).select(
        "subject_id", "time", "code"
    )
    assert found.rows() == [
        (1, datetime(2015, 3, 1, 10, 30), "IMAGE//CXR//PA"),
        (2, datetime(2015, 3, 1, *EVENING), "IMAGE//CXR//AP"),
        (4, datetime(2015, 3, 1, *EVENING), "IMAGE//CXR//PA"),
    ]
    assert cohort.validate() == []
    assert {r["code"]: r["description"] for r in cohort.codes.to_dicts()}[
        "IMAGE//CXR//PA"
    ] == "Image: CXR//PA"
    group = dict(cohort.groups.select("subject_id", "group").iter_rows())
    assert group[2] == group[4] != group[1]  # the same picture
