"""A paediatric ICU registry: stages of HIV as the target, from tables to an evaluated model, and none given away."""

import json
from datetime import timedelta

import polars as pl
import pytest
from registry_source import SECRET, STAGES, Registry

from mhdiff.cli import main
from mhdiff.cohort import Cohort, Task, meds
from mhdiff.cohort.blind import MASK
from mhdiff.cohort.omop import import_omop
from mhdiff.cohort.outcome import label
from ontology import Ontology


@pytest.fixture(scope="module")
def registry():
    return Registry()


@pytest.fixture
def cohort(registry, small_data, tmp_path):
    out = tmp_path / "cohort"
    import_omop(registry.write(tmp_path / "cdm"), out)
    onto = str(small_data / "ontology")
    assert main(["cohort", "label", str(out), "--task", "hiv_severity", "--ontology", onto]) == 0
    return out


def test_the_labels_are_the_stages_that_were_recorded(registry, cohort):
    labels = Cohort.open(cohort).labels("hiv_severity")
    found = dict(labels.select("subject_id", "categorical_value").iter_rows())
    assert found == {child: f"stage_{stage}" for child, stage in registry.stages.items()}
    assert set(found.values()) == {f"stage_{n}" for n in (1, 2, 3, 4)}
    ward = {row["person_id"]: row["visit_detail_start_datetime"] for row in registry.rows["visit_detail"]}
    when = labels.select("subject_id", pl.col("prediction_time") - timedelta(days=1)).iter_rows()
    assert {child: f"{t:%Y-%m-%d %H:%M:%S}" for child, t in when} == {child: ward[child] for child in found}
    told = json.loads((cohort / meds.MARKER).read_text())["mhdiff"]["labels"]["hiv_severity"]
    assert told["excluded"] == {
        "died before the horizon's end, without the outcome": 2,
        "no class recorded within the horizon": 2,
    }


def test_adults_are_not_asked_about_and_counted(small_data, tmp_path):
    registry = Registry()
    for row in registry.rows["person"]:
        row["year_of_birth"] -= 30 * (row["person_id"] <= 6)
    import_omop(registry.write(tmp_path / "cdm"), tmp_path / "cohort")
    made = label(
        Cohort.open(tmp_path / "cohort"),
        Task.load("hiv_severity"),
        Ontology.open(small_data / "ontology"),
    )
    assert set(made.labels["subject_id"]) == set(registry.stages) - set(range(1, 7))
    assert made.report["excluded"]["not included: as old as is not asked for, or older"] == 6


def test_no_input_tells_the_stage(registry, cohort):
    task = Task.load("hiv_severity")
    window = task.window(Cohort.open(cohort)).events
    assert {
        f"SNOMED/{c['concept_code']}" for c in registry.rows["concept"] if c["concept_id"] in STAGES
    } <= set(task.blinded.codes)
    assert set(window["modality"].unique()) == {"note", "labs", "codes"}
    assert not window["code"].str.contains("73738|73737|CIEL").any()
    notes = window.filter(pl.col("modality") == "note")["text_value"]
    assert notes.str.contains(MASK, literal=True).all()
    assert not notes.str.contains("(?i)stage").any()
    assert (
        window.filter(pl.col("code").str.starts_with("LOINC/"))
        .group_by("sample_id", "code")
        .len()["len"]
        .max()
        == 2
    )


def test_from_tables_to_an_evaluated_model(cohort, whole_way, capsys):
    metrics = whole_way(cohort, "hiv_severity", ["note", "labs", "codes"])
    assert metrics["task"] == "hiv_severity"
    assert metrics["classes"] == ["stage_1", "stage_2", "stage_3", "stage_4"]
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err
    assert any(SECRET in (text or "") for text in Cohort.open(cohort).events["text_value"])
    assert SECRET not in json.dumps(metrics)
