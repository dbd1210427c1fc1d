"""The cohort on disk: complete, reproducible, without a leak before prediction_time, read as any other."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from PIL import Image

from mhdiff.cohort import Cohort, Task
from mhdiff.cohort.synthetic import Settings, synthesize
from mhdiff.cohort.synthetic.settings import CLASSES, MODALITIES
from mhdiff.cohort.synthetic.vocabulary import DIAGNOSES, vocabulary
from mhdiff.cohort.synthetic.write import assign_splits
from ontology import Recogniser, load_rf2
from ontology.builtin import write_rf2
from ontology.errors import InputError

PATIENTS = 120


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return Cohort.open(synthesize(tmp_path_factory.mktemp("known") / "cohort", Settings(patients=PATIENTS)))


@pytest.fixture(scope="module")
def terminology(tmp_path_factory):
    return load_rf2(write_rf2(tmp_path_factory.mktemp("terminology") / "rf2"))


def truth(cohort, name):
    return pl.read_parquet(cohort.path / "truth" / f"{name}.parquet")


def content(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def test_same_seed_gives_the_same_bytes_and_patients_do_not_depend_on_their_number(cohort, tmp_path):
    again = content(synthesize(tmp_path / "again", Settings(patients=PATIENTS)))
    assert content(cohort.path) == again
    fewer = content(synthesize(tmp_path / "fewer", Settings(patients=20)))
    images = [name for name in fewer if name.endswith(".png")]
    assert len(images) > 20
    assert all(fewer[name] == again[name] for name in images)
    events = Cohort.open(tmp_path / "fewer").events
    assert events.equals(cohort.events.filter(pl.col("subject_id") <= 20))
    other = content(synthesize(tmp_path / "other", Settings(patients=20, seed=2)))
    assert other["data/0.parquet"] != fewer["data/0.parquet"]


def test_posterior_table(cohort):
    table = truth(cohort, "posterior")
    assert table["pattern"].n_unique() == 16
    assert {"none", "image", "labs", "note+codes", "image+note+labs+codes"} <= set(table["pattern"])
    assert len(table) == 16 * PATIENTS
    rows = table.select(f"p_{k}" for k in range(len(CLASSES))).to_numpy()
    np.testing.assert_allclose(rows.sum(1), 1.0)
    assert (rows >= 0).all()


def test_task_reads_the_cohort_and_hides_what_comes_after(cohort):
    task = Task.load("pneumonia")
    assert task.classes == CLASSES
    assert tuple(task.modalities) == MODALITIES
    samples = task.samples(cohort)
    assert samples["label"].to_list() == truth(cohort, "patients")["label"].to_list()
    assert samples["split"].value_counts().sort("split")["count"].to_list() == [24, 84, 12]
    window = task.window(cohort)
    assert window.report["left_out"]["after prediction_time"] >= 2 * PATIENTS - samples["label"].eq(0).sum()
    assert set(window.events["modality"]) == set(MODALITIES)
    notes = "\n".join(window.events.filter(pl.col("modality") == "note")["text_value"])
    assert "[blinded]" in notes
    assert "pneumonia" not in notes.lower()
    later = cohort.events.filter(pl.col("text_value").str.contains("Final diagnosis"))
    assert len(later) == PATIENTS


def test_present_modalities_are_those_with_events(cohort):
    window = Task.load("pneumonia").window(cohort).events
    patients = truth(cohort, "patients")
    for modality in MODALITIES:
        having = set(window.filter(pl.col("modality") == modality)["subject_id"])
        assert having == set(patients.filter(pl.col(f"present_{modality}"))["subject_id"])


def test_notes_say_what_was_drawn_and_nothing_else(cohort, terminology):
    """The recogniser reads just the drawn findings, each with its polarity."""
    window = Task.load("pneumonia").window(cohort).events
    drawn = truth(cohort, "findings").filter(pl.col("modality") == "note")
    assert set(drawn["polarity"]) == {"present", "absent", "family", "historical"}
    recogniser = Recogniser(terminology)
    notes = window.filter(pl.col("modality") == "note").select("subject_id", "text_value")
    for subject, text in notes.iter_rows():
        told = set(drawn.filter(pl.col("subject_id") == subject).select("sctid", "polarity").iter_rows())
        assert {(mention.sctid, mention.polarity) for mention in recogniser(text)} == told, text


def test_codes_lead_back_to_the_drawn_concepts(cohort, terminology):
    window = Task.load("pneumonia").window(cohort).events.filter(pl.col("modality") == "codes")
    diagnoses = {vocabulary().sctid(key) for key in DIAGNOSES.values()}
    drawn = truth(cohort, "findings").filter(pl.col("modality") == "codes")
    assert {code.split("/")[0] for code in window["code"]} == {"ICD10", "SNOMED"}
    for subject in window["subject_id"].unique():
        found = set()
        for code in window.filter(pl.col("subject_id") == subject)["code"]:
            system, value = code.split("/", 1)
            mapped = terminology.concepts_of(value, system)
            assert len(mapped) == 1, code
            found |= set(mapped)
        assert found - diagnoses == set(drawn.filter(pl.col("subject_id") == subject)["sctid"]) - diagnoses


def test_lab_values_are_in_their_state_and_interpreted(cohort, terminology):
    window = Task.load("pneumonia").window(cohort).events.filter(pl.col("modality") == "labs")
    assert window["unit"].null_count() == 0
    interpretations = terminology.find_interpretations()
    drawn = truth(cohort, "findings").filter(pl.col("modality") == "labs")
    found = []
    for row in window.iter_rows(named=True):
        value = row["numeric_value"]
        above = row["ref_high"] is not None and value > row["ref_high"]
        below = row["ref_low"] is not None and value < row["ref_low"]
        if above or below:
            [observable] = terminology.concepts_of(row["parent_codes"][0].split("/", 1)[1], "LOINC")
            state = "above" if above else "below"
            found.append((row["subject_id"], interpretations.get((observable, state), observable)))
    assert sorted(found) == sorted(drawn.select("subject_id", "sctid").iter_rows())


def test_radiographs_and_masks(cohort):
    shown = cohort.events.filter(pl.col("code").str.starts_with("IMAGE//"))
    assert len(shown) == truth(cohort, "patients")["present_image"].sum()
    clear = vocabulary().sctid("no_acute_abnormality")
    drawn = truth(cohort, "findings").filter(pl.col("modality") == "image", pl.col("sctid") != clear)
    for subject, name in shown.select("subject_id", "text_value").iter_rows():
        image = np.asarray(Image.open(cohort.image_path(name)))
        mask = np.asarray(Image.open(cohort.path / "truth" / "masks" / name.split("/")[1]))
        assert image.shape == mask.shape == (96, 96)
        assert (mask == 255).any() == (subject in drawn["subject_id"])


def test_a_folder_of_somebody_else_is_not_replaced(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(InputError):
        synthesize(tmp_path / "mine", Settings(patients=1))
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


def test_settings_are_kept(cohort):
    kept = json.loads((cohort.path / "truth" / "settings.json").read_text())
    assert Settings.from_dict(kept) == Settings(patients=PATIENTS)
    assert cohort.kind == "synthetic"


def test_splits_are_the_same_whatever_the_number_of_patients():
    long = assign_splits(1, 200)
    assert assign_splits(1, 57) == long[:57]
    assert (long.count("train"), long.count("tuning"), long.count("held_out")) == (140, 20, 40)
