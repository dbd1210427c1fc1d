import json
import re
from datetime import datetime

import meds
import polars as pl
import pyarrow.parquet as pq
import pytest

from mhdiff.cli import main
from mhdiff.cohort import Cohort, Task, covid_fields
from mhdiff.cohort.blind import Blinder
from mhdiff.cohort.covid_chestxray import import_covid_chestxray
from mhdiff.cohort.covid_rows import COLUMNS, METADATA
from mhdiff.cohort.refused import MaxBad
from ontology.errors import InputError


@pytest.fixture(scope="module")
def real(shared, tmp_path_factory):
    out = tmp_path_factory.mktemp("covid") / "cohort"
    report = import_covid_chestxray(shared / "data" / "covid-chestxray", out)
    return Cohort.open(out), report


def test_real_folder_satisfies_the_published_schema(real):
    folder = real[0].path
    files = {
        "data/0.parquet": meds.DataSchema,
        meds.code_metadata_filepath: meds.CodeMetadataSchema,
        meds.subject_splits_filepath: meds.SubjectSplitSchema,
        "labels/covid_pneumonia.parquet": meds.LabelSchema,
        "labels/covid_icu.parquet": meds.LabelSchema,
    }
    for name, schema in files.items():
        # Parquet has one string type and Arrow two; `align` chooses the one that the schema names.
        table = pq.read_table(folder / name)
        aligned = schema.align(table)
        schema.validate(aligned)
        assert aligned.num_rows == table.num_rows > 0
    meds.DatasetMetadataSchema.validate(json.loads((folder / meds.dataset_metadata_filepath).read_text()))
    events = real[0].events
    times = events.group_by("subject_id", maintain_order=True).agg(pl.col("time"))
    assert events["subject_id"].is_sorted()
    assert all(column.is_sorted(nulls_last=False) for column in times["time"])


def test_real_counts_agree_with_an_independent_count(real, shared):
    cohort, report = real
    raw = pl.read_csv(shared / "data/covid-chestxray" / METADATA, infer_schema=False)
    assert report.read == {"rows": len(raw), "patients": raw["patientid"].n_unique(), "distinct images": 228}
    assert report.written["IMAGE events"] == len(raw)
    bacterial = raw.filter(pl.col("finding").is_in(["Streptococcus", "Klebsiella", "E.Coli", "Legionella"]))
    other = raw.filter(pl.col("finding").is_in(["Pneumocystis", "ARDS"]))
    covid = raw.filter(pl.col("finding").str.starts_with("COVID-19"), pl.col("modality") == "X-ray")
    patients = {name: n["patients"] for name, n in report.labels["covid_pneumonia"].items()}
    assert patients == {
        "bacterial": bacterial["patientid"].n_unique(),
        "covid": covid["patientid"].n_unique(),
        "other": other["patientid"].n_unique(),
    }
    assert {k: v["patients"] for k, v in report.labels["covid_icu"].items()} == {"icu": 12, "no_icu": 12}
    assert report.dropped.counts["covid_pneumonia study: no radiograph"] == 1
    assert report.changed.counts["in_icu: '?' and its like read as not stated"] == 4
    assert sum(report.licences.values()) == len(raw)
    assert json.loads((cohort.path / "metadata/import_report.json").read_text()) == report.to_dict()
    assert cohort.validate() == []


def test_no_name_of_a_disease_is_left_in_paths_or_windows(real):
    cohort, _ = real
    assert all(re.fullmatch(r"images/\d+_\d+\.(jpg|jpeg|png)", path) for path in cohort.images["path"])
    for name in ("covid_pneumonia", "covid_icu"):
        task = Task.load(name)
        window = task.window(cohort)
        blinder = Blinder(task.blinded.words)
        notes = window.events.filter(pl.col("modality") == "note")["text_value"]
        assert len(notes) > 60
        assert all(blinder(note) == note for note in notes)
        assert sum(window.report["blinded"]["words"].values()) >= window.report["blinded"]["notes"] > 0
    text = " ".join(Task.load("covid_pneumonia").window(cohort).events["text_value"].drop_nulls()).lower()
    for stem in (
        "covid",
        "coronavirus",
        "sars",
        "pneumocyst",
        "strepto",
        "legionel",
        "klebsiel",
        "pneumonia",
    ):
        assert stem not in text


def test_patients_of_one_case_share_a_split(real):
    cohort, _ = real
    groups = dict(cohort.groups.iter_rows())
    assert groups[covid_fields.subject_id("359")] == groups[covid_fields.subject_id("360a")]
    splits = (
        cohort.groups.join(cohort.splits, on="subject_id").group_by("group").agg(pl.col("split").n_unique())
    )
    assert splits["split"].max() == 1


def test_dirty_rows_are_read_or_counted(write_source, tmp_path):
    note = "Presentation: fever. Imaging Notes: clear. Discussion: it was pneumonia X."
    source = write_source(
        [
            {"patientid": "1", "finding": "COVID-19", "date": "March 5, 2020", "offset": "2", "sex": "F",
             "age": "40", "temperature": "101.3", "pO2_saturation": "0.89", "leukocyte_count": "9000",
             "location": "Hospital A, Rome, Italy ", "clinical_notes": note, "went_icu": "Y"},
            {"patientid": "1", "finding": "COVID-19, ARDS", "offset": "5", "sex": "M", "in_icu": "Y",
             "view": "?", "clinical_notes": note, "other_notes": "Case courtesy of Dr N., rID: 12",
             "location": "Italy"},
            {"patientid": "2", "finding": "Pneumonia/Viral/Influenza", "date": "2014", "offset": "soon",
             "lymphocyte_count": "many", "went_icu": "Would have been stated", "grey": "0"},
            {"patientid": "3b", "finding": "todo", "other_notes": "credit: rID: 12"},
            {"patientid": "", "finding": "COVID-19"},
            {"patientid": "4", "finding": "COVID-19, Klebsiella", "modality": "CT", "view": "Axial"},
            {"patientid": "5", "finding": "Aspiration", "modality": "ultrasound"},
        ]
    )  # fmt: skip
    (source / "images/3.png").write_bytes((source / "images/3.png").read_bytes()[:40])
    report = import_covid_chestxray(source, tmp_path / "out", max_bad=MaxBad(2))
    cohort = Cohort.open(tmp_path / "out")
    own = cohort.events.filter(pl.col("subject_id") == 100)
    labs = dict(
        own.filter(pl.col("code").str.starts_with("LOINC/")).select("code", "numeric_value").iter_rows()
    )
    assert labs == pytest.approx(
        {"LOINC/8310-5//Cel": 38.5, "LOINC/59408-5//%": 89.0, "LOINC/6690-2//10*9/L": 9.0}
    )
    radiographs = own.filter(pl.col("code").str.starts_with("IMAGE//CXR"))
    assert radiographs["time"].to_list() == [datetime(2020, 3, 5), datetime(2020, 3, 8)]
    assert radiographs["code"].to_list() == ["IMAGE//CXR//PA", "IMAGE//CXR//UNKNOWN"]
    assert own.filter(pl.col("code").str.starts_with("NOTE//"))["text_value"].to_list() == [
        "Presentation: fever. Imaging Notes: clear.",
        "Discussion: it was pneumonia X.",
    ]
    assert "SITE//italy" in set(own["code"])
    assert not own["code"].str.starts_with("GENDER").any()
    assert cohort.labels("covid_pneumonia")["categorical_value"].to_list() == ["covid", "covid", "viral"]
    assert cohort.labels("covid_icu")["categorical_value"].to_list() == ["icu", "no_icu"]
    assert Task.load("covid_pneumonia").samples(cohort)["label"].to_list() == [1, 1, 2]
    assert dict(cohort.groups.iter_rows())[302] == 100
    dropped, changed = report.dropped.counts, report.changed.counts
    for reason in (
        "sex: rows of a patient disagree",
        "lab: lymphocyte_count is no number",
        "image: neither X-ray nor CT",
    ):
        assert dropped[reason] == 1, reason
    assert dropped["covid_icu study: the patient is or was in the ICU already"] == 1
    for reason in (
        "offset: no number of days, taken as not stated",
        "lab: temperature in Fahrenheit, converted",
        "lab: pO2_saturation as a fraction, converted",
        "lab: leukocyte_count in cells per microlitre, converted",
    ):
        assert changed[reason] == 1, reason
    assert report.refused.places == {
        "row: no patientid": [(METADATA, 6, "patientid")],
        "the image is truncated or not readable": [(METADATA, 5, "filename")],
    }


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        ("COVID-19, ARDS", "covid"),
        ("Pneumonia/Bacterial/E.Coli", "bacterial"),
        ("ARDS", "other"),
        ("Pneumonia/Viral", "viral"),
        ("COVID-19, Klebsiella", None),
        ("Pneumonia", None),
        ("?", None),
    ],
)
def test_cause_takes_the_most_specific_name(finding, expected):
    assert covid_fields.cause(finding)[0] == expected


def _no_column(source):
    file = source / METADATA
    file.write_text(file.read_text().replace("finding", "diagnosis", 1))


def _short_row(source):
    with open(source / METADATA, "a") as stream:
        stream.write("9,1\n")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_no_column, r"line 1, column 'finding': the column is missing"),
        (_short_row, rf"line 3: the row has 2 fields, the header {len(COLUMNS)}"),
        (lambda s: (s / "images/0.png").unlink(), r"line 2, column 'filename': the image is missing"),
        (lambda s: (s / METADATA).unlink(), "there is no metadata.csv"),
        (lambda s: (s / METADATA).write_text(",".join(COLUMNS) + "\n"), "no usable row"),
        (lambda s: (s / METADATA).write_bytes(b"\xff\xd8\xff\xe0\x00JFIF\xff"), "not UTF-8"),
        (lambda s: (s / METADATA).write_text("{}"), "column is missing"),
    ],
)
def test_wrong_source_is_named_and_nothing_is_written(write_source, tmp_path, spoil, message):
    source = write_source([{"patientid": "1", "finding": "COVID-19", "clinical_notes": "SECRET-TEXT"}])
    spoil(source)
    with pytest.raises(InputError, match=message) as caught:
        import_covid_chestxray(source, tmp_path / "out")
    assert "SECRET-TEXT" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["source"]


def test_path_that_leaves_the_source_is_refused(write_source, tmp_path):
    (tmp_path / "secret.png").write_bytes(b"x")
    source = write_source([{"patientid": "1", "filename": "../../secret.png"}])
    with pytest.raises(InputError, match=r"line 2.*leaves the folder"):
        import_covid_chestxray(source, tmp_path / "out")


def test_import_is_deterministic(write_source, tmp_path):
    source = write_source([{"patientid": str(i), "finding": "COVID-19"} for i in range(8)])
    for name in ("a", "b"):
        import_covid_chestxray(source, tmp_path / name)
    assert Cohort.open(tmp_path / "a").fingerprint == Cohort.open(tmp_path / "b").fingerprint


@pytest.mark.slow  # the import itself stays; manifest goes the whole way in make test
def test_the_real_cohort_goes_the_whole_way(shared, real, tmp_path, whole_way, capsys):
    ontology, run = str(tmp_path / "ontology"), str(tmp_path / "run")
    assert main(["ontology", "build", str(shared / "data/rf2/disease-ontology"), "--out", ontology]) == 0
    small = (
        "--trainer.max_epochs=2",
        "--trainer.accelerator=cpu",
        "--data.image.size=48",
        "--model.encoders.image.width=4",
    )
    metrics = whole_way(
        real[0].path, "covid_pneumonia", ["image", "note"], *small, ontology=ontology, split="fold:0/5",
        config="configs/covid_chestxray.yaml", leaks={"shortcut_calendar"},  # COVID-19 is of 2020 and nothing else is
    )  # fmt: skip
    assert metrics["held_out"] == "fold:0/5"
    assert metrics["n_subjects"] >= 12
    auroc = metrics["patterns"]["image+note"]["metrics"]["auroc"]
    assert auroc["low"] <= auroc["value"] <= auroc["high"]
    assert main(["report", run]) == 0
    assert main(["explain", run, "--json"]) == 0
