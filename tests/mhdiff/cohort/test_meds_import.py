import json
import shutil
from datetime import datetime, timedelta

import meds as published
import polars as pl
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mhdiff.cli import main
from mhdiff.cohort import Cohort, meds
from mhdiff.cohort.from_meds import import_meds
from mhdiff.cohort.refused import MaxBad
from ontology.errors import InputError

DAY = datetime(2020, 1, 1)


@pytest.fixture
def dataset(tmp_path):
    """Two files of events of six subjects, sorted as MEDS wants, without metadata."""
    rows = []
    for subject in range(1, 7):
        rows += [
            (subject, None, "GENDER//F", None, None),
            (subject, DAY - timedelta(days=9000), "MEDS_BIRTH", None, None),
            (subject, DAY, "LOINC/1988-5//mg/L", float(subject), None),
            (subject, DAY + timedelta(days=1), "NOTE//X", None, "SECRET words"),
        ]
    events = pl.DataFrame(rows, schema=meds.EVENTS, orient="row")
    folder = tmp_path / "dataset"
    (folder / "data/train").mkdir(parents=True)
    events.filter(pl.col("subject_id") < 4).write_parquet(folder / "data/train/0.parquet")
    events.filter(pl.col("subject_id") >= 4).write_parquet(folder / "data/1.parquet")
    return folder


def put(file, **columns):
    pl.read_parquet(file).with_columns(**columns).write_parquet(file)


def run(dataset, tmp_path, bad=0, **more):
    return import_meds(dataset, tmp_path / "out", max_bad=MaxBad(bad), **more)


def test_a_dataset_without_metadata_is_completed_and_linked(dataset, tmp_path):
    report = run(dataset, tmp_path)
    cohort = Cohort.open(tmp_path / "out")
    assert cohort.validate() == []
    assert report.read == {"files": 2, "events": 24, "patients": 6}
    assert report.written["patients"] == 6
    assert report.written["LOINC events"] == 6
    assert (tmp_path / "out/data/1.parquet").samefile(dataset / "data/train/0.parquet")
    assert set(cohort.codes["code"]) == {"GENDER//F", "MEDS_BIRTH", "LOINC/1988-5//mg/L", "NOTE//X"}
    assert set(cohort.splits["split"]) == {"train", "tuning", "held_out"}
    files = {
        "data/0.parquet": published.DataSchema,
        published.code_metadata_filepath: published.CodeMetadataSchema,
        published.subject_splits_filepath: published.SubjectSplitSchema,
    }
    for name, schema in files.items():
        schema.validate(schema.align(pq.read_table(tmp_path / "out" / name)))
    document = json.loads((tmp_path / "out" / published.dataset_metadata_filepath).read_text())
    published.DatasetMetadataSchema.validate(document)
    assert "SECRET" not in report.text() + json.dumps(report.to_dict())


def test_what_the_dataset_says_of_itself_is_kept(dataset, tmp_path):
    (dataset / "metadata").mkdir()
    (dataset / "labels/sick/a").mkdir(parents=True)
    (dataset / meds.MARKER).write_text(json.dumps({"dataset_name": "theirs", "license": "CC0"}))
    pl.DataFrame({"code": ["NOTE//X"], "description": ["a note"]}).write_parquet(dataset / meds.CODES_FILE)
    splits = {"subject_id": [1, 2, 3, 4, 5], "split": ["train", "train", "validation", "test", "train"]}
    pl.DataFrame(splits).write_parquet(dataset / meds.SPLITS_FILE)
    label = {"subject_id": [1, 4], "prediction_time": [DAY, DAY], "boolean_value": [True, False]}
    pl.DataFrame(label).write_parquet(dataset / "labels/sick/a/0.parquet")
    report = run(dataset, tmp_path)
    cohort = Cohort.open(tmp_path / "out")
    assert (cohort.name, cohort.kind, cohort.metadata["license"]) == ("theirs", "meds", "CC0")
    assert dict(cohort.splits.filter(pl.col("subject_id") < 6).iter_rows()) == {
        1: "train", 2: "train", 3: "tuning", 4: "held_out", 5: "train",
    }  # fmt: skip
    assert report.changed.counts["splits: the subject is in none, dealt by patient"] == 1
    assert report.changed.counts["codes: not in metadata/codes.parquet, without a description"] == 3
    assert cohort.labels("sick")["boolean_value"].to_list() == [True, False]
    assert report.labels["sick"]["true"] == {"samples": 1, "patients": 1}
    assert cohort.validate() == []


def test_images_of_a_table_become_events(dataset, tmp_path):
    (tmp_path / "pictures").mkdir()
    for place in range(3):
        Image.new("L", (8, 8), place // 2).save(tmp_path / f"pictures/{place}.png")
    (tmp_path / "SECRET.png").write_bytes((tmp_path / "pictures/0.png").read_bytes())
    table = tmp_path / "pictures/table.csv"
    table.write_text(
        "subject_id,time,path,modality,more\n"
        "1,2020-01-01 06:00,0.png,CXR//PA,x\n"
        "6,2020-01-02,1.png,IMAGE//CXR//AP,x\n"
        "9,2020-01-01,2.png,CXR,x\n"
        "2,soon,2.png,CXR,x\n"
        "2,2020-01-01,../SECRET.png,CXR,x\n"
        "2,2020-01-01,2.png,a b,x\n"
    )
    report = run(dataset, tmp_path, bad=4, images=table)
    cohort = Cohort.open(tmp_path / "out")
    own = cohort.events.filter(pl.col("code").str.starts_with("IMAGE"))
    assert own.select("subject_id", "time", "code").rows() == [
        (6, datetime(2020, 1, 2, 23, 59, 59, 999_999), "IMAGE//CXR//AP"),
        (1, datetime(2020, 1, 1, 6), "IMAGE//CXR//PA"),
    ]
    assert report.refused.counts == {
        "the subject is not in the dataset": 1,
        "the time is none, or has a zone": 1,
        "the image's path leaves the folder": 1,
        "the modality is no name": 1,
    }
    assert report.named == {"columns not read, since they are not declared": {"more": 1}}
    assert "SECRET" not in report.text()
    with pytest.raises(InputError, match=r"pictures/table.csv, line 4, column 'subject_id'"):
        import_meds(dataset, tmp_path / "again", images=table)
    groups, splits = dict(cohort.groups.iter_rows()), dict(cohort.splits.iter_rows())
    assert groups[1] == groups[6]  # the same picture twice
    assert splits[1] == splits[6]
    assert cohort.validate() == []


def test_images_are_added_to_a_cohort_that_had_some_added(dataset, tmp_path):
    for name, grey in (("a", 10), ("b", 200)):
        Image.new("L", (8, 8), grey).save(tmp_path / f"{name}.png")
    table = tmp_path / "table.csv"
    for name, source in (("a", dataset), ("b", tmp_path / "a")):
        table.write_text(f"subject_id,time,path,modality\n1,2020-01-01 06:00,{name}.png,CXR\n")
        import_meds(source, tmp_path / name, images=table)
    cohort = Cohort.open(tmp_path / "b")
    own = cohort.events.filter(pl.col("code") == "IMAGE//CXR")["text_value"]
    assert own.to_list() == ["images/added/1_2.png", "images/added-2/1_2.png"]
    bytes_of = [(tmp_path / "b" / path).read_bytes() for path in own]
    assert bytes_of == [(tmp_path / f"{name}.png").read_bytes() for name in "ab"]
    assert cohort.validate() == []


@pytest.mark.parametrize("path", ["metadata/codes.parquet", "x/../data/1.parquet", "ABSOLUTE"])
def test_no_event_names_a_table_as_its_signal(dataset, tmp_path, path):
    (dataset / "metadata").mkdir()
    (dataset / "x").mkdir()
    pl.DataFrame({"code": ["NOTE//X"], "description": ["a note"]}).write_parquet(dataset / meds.CODES_FILE)
    held = (dataset / meds.CODES_FILE).read_bytes()
    path = str(dataset.resolve() / "data/1.parquet") if path == "ABSOLUTE" else path
    file = dataset / "data/train/0.parquet"
    put(file, text_value=pl.when(pl.col("code") == "NOTE//X").then(pl.lit(path)),
        code=pl.col("code").replace("NOTE//X", "SIGNAL//ECG"))  # fmt: skip
    report = run(dataset, tmp_path, bad=3)
    assert (dataset / meds.CODES_FILE).read_bytes() == held
    assert report.refused.counts.total() == 3
    assert Cohort.open(tmp_path / "out").validate() == []


def test_a_subject_of_whom_only_an_image_is_left_is_kept(dataset, tmp_path):
    put(dataset / "data/1.parquet", code=pl.when(pl.col("subject_id") == 5).then(None).otherwise("code"))
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "table.csv").write_text("subject_id,time,path,modality\n5,2020-01-01 06:00,a.png,CXR\n")
    report = run(dataset, tmp_path, bad=4, images=tmp_path / "table.csv")
    cohort = Cohort.open(tmp_path / "out")
    assert cohort.events.filter(pl.col("subject_id") == 5)["code"].to_list() == ["IMAGE//CXR"]
    assert report.refused.counts == {"the event has no code": 4}
    assert cohort.validate() == []


def test_what_is_not_sorted_is_and_what_is_broken_is_refused(dataset, tmp_path):
    file = dataset / "data/1.parquet"
    frame = pl.read_parquet(file)
    bad = pl.DataFrame(
        [(None, DAY, "X", None, None), (4, DAY - timedelta(days=9999), "X", None, None), (4, DAY, None, None, None),
         (5, DAY, "IMAGE//CXR", None, "images/SECRET.png")],
        schema=meds.EVENTS, orient="row",
    )  # fmt: skip
    pl.concat([frame.reverse(), bad]).with_columns(extra=pl.lit(1)).write_parquet(file)
    report = run(dataset, tmp_path, bad=4)
    assert report.refused.places == {
        "the event has no subject": [("data/1.parquet", 13, "subject_id")],
        "the event is before the birth": [("data/1.parquet", 14, "time")],
        "the event has no code": [("data/1.parquet", 15, "code")],
        "the image is missing": [("data/1.parquet", 16, "text_value")],
    }
    assert report.changed.counts["file: its events were not sorted by subject and time"] == 1
    assert report.named == {"columns of data/ that nothing here reads": {"extra": 1}}
    own = pl.read_parquet(tmp_path / "out/data/0.parquet")
    assert own.sort("subject_id", "time", "code").equals(frame.sort("subject_id", "time", "code"))
    assert Cohort.open(tmp_path / "out").validate() == []


@pytest.mark.parametrize("file", ["data/1.parquet", "data/train/0.parquet"])
def test_a_column_of_one_file_alone_is_borne(dataset, tmp_path, file):
    put(dataset / file, hadm_id=pl.lit(7))
    report = run(dataset, tmp_path)
    cohort = Cohort.open(tmp_path / "out")
    assert report.named == {"columns of data/ that nothing here reads": {"hadm_id": 1}}
    assert report.written["NOTE events"] == len(cohort.events) / 4 == 6
    assert cohort.validate() == []


WRONG = {
    "there is no data/": lambda d: shutil.rmtree(d / "data"),
    "line 1, column 'code': the event has no code": lambda d: put(
        d / "data/1.parquet", code=pl.when(pl.int_range(pl.len()) < 99).then(None).otherwise("code")
    ),
    "column 'time': the column is": lambda d: put(d / "data/1.parquet", time=pl.col("time").cast(pl.String)),
    "column 'time': the column is Datetime": lambda d: put(
        d / "data/1.parquet", time=pl.col("time").dt.replace_time_zone("UTC")
    ),
    "no column of whole numbers": lambda d: put(d / "data/1.parquet", subject_id=pl.lit("SECRET")),
    "a subject is in this file and in 1.parquet": lambda d: put(
        d / "data/train/0.parquet", subject_id=pl.lit(5)
    ),
    "not readable": lambda d: (d / "data/1.parquet").write_bytes(b"SECRET"),
    "is not JSON": lambda d: (d / "metadata").mkdir() or (d / meds.MARKER).write_text("SECRET"),
    "a subject is in two splits": lambda d: (
        (d / "metadata").mkdir()
        or pl.DataFrame({"subject_id": [1, 1], "split": ["train", "test"]}).write_parquet(
            d / meds.SPLITS_FILE
        )
    ),
    "none of train, tuning, held_out": lambda d: (
        (d / "metadata").mkdir()
        or pl.DataFrame({"subject_id": [1], "split": ["rest"]}).write_parquet(d / meds.SPLITS_FILE)
    ),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_is_no_meds_is_named_and_nothing_is_written(dataset, tmp_path, message, capsys):
    WRONG[message](dataset)
    assert main(["cohort", "import", "meds", str(dataset), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert "SECRET" not in error
    assert [p.name for p in tmp_path.iterdir()] == ["dataset"]


@pytest.mark.slow  # the import itself stays; manifest goes the whole way in make test
def test_a_dataset_goes_the_whole_way(small_data, tmp_path, whole_way):
    source = tmp_path / "source"
    shutil.copytree(small_data / "cohort", source)
    shutil.rmtree(source / "metadata")
    assert main(["cohort", "import", "meds", str(source), "--out", str(tmp_path / "out")]) == 0
    old, new = Cohort.open(small_data / "cohort"), Cohort.open(tmp_path / "out")
    assert new.events.equals(old.events)
    metrics = whole_way(tmp_path / "out", "pneumonia", ["image", "note", "labs", "codes"])
    assert metrics["task"] == "pneumonia"
