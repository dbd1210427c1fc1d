from datetime import datetime, timedelta

import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mhdiff.cohort import Cohort, Task
from mhdiff.cohort.blind import Blinder, BlindingReport
from ontology import load_rf2
from ontology.builtin import write_rf2
from ontology.errors import InputError

DAY = datetime(2021, 3, 1)
TASK = {
    "name": "t",
    "labels": "t",
    "classes": ["no", "yes"],
    "modalities": {
        "image": {"prefixes": ["IMAGE//CXR"]},
        "note": {"prefixes": ["NOTE//"]},
        "labs": {"prefixes": ["LOINC/"]},
    },
    "blinded": {"concepts": [33811999999104], "words": ["COVID-19", "pneumococc*", "E. coli", "abscess"]},
}


@pytest.fixture
def cohort(write_cohort):
    after = DAY + timedelta(microseconds=1)
    events = [
        (1, None, "SITE//a", None, None),
        (1, DAY - timedelta(days=9), "LOINC/1", 1.0, None),
        (1, DAY, "NOTE//X", None, "Covid19 and pneumococcal disease."),
        (1, DAY, "IMAGE//CXR//PA", None, "images/covid-19.png"),
        (1, DAY, "IMAGE//CT//AXIAL", None, "images/covid-19.png"),
        (1, after, "LOINC/1", 99.0, None),
        (1, after, "NOTE//X", None, "planted later"),
        (2, DAY, "LOINC/1", 2.0, None),
    ]
    labels = [(2, DAY, "no"), (1, DAY + timedelta(days=5), "yes"), (1, DAY, "yes")]
    return Cohort.open(write_cohort(events, {"t": labels}, {1: "train", 2: "held_out"}))


def test_samples_are_in_order_with_label_site_and_split(cohort):
    samples = Task.from_dict(TASK).samples(cohort)
    assert samples.select("sample_id", "subject_id", "label", "site", "split").rows() == [
        (0, 1, 1, "a", "train"),
        (1, 1, 1, "a", "train"),
        (2, 2, 0, "unknown", "held_out"),
    ]


def test_nothing_after_prediction_time_passes(cohort):
    task = Task.from_dict(TASK)
    window = task.window(cohort)
    joined = window.events.join(task.samples(cohort), on=["sample_id", "subject_id"])
    assert (joined["time"] <= joined["prediction_time"]).all()
    first = window.events.filter(pl.col("sample_id") == 0)
    assert first["code"].to_list() == ["IMAGE//CXR//PA", "NOTE//X", "LOINC/1"]
    assert 99.0 not in first["numeric_value"].to_list()
    assert 99.0 in window.events.filter(pl.col("sample_id") == 1)["numeric_value"].to_list()
    assert window.report["left_out"] == {
        "after prediction_time": 2,
        "no modality of the task takes its code": 4,
    }


def test_window_days_bounds_the_look_back(cohort):
    window = Task.from_dict({**TASK, "window_days": 7}).window(cohort)
    assert window.report["left_out"]["before the window"] == 2
    assert window.events.filter(pl.col("sample_id") == 0)["modality"].to_list() == ["image", "note"]


def test_blinding_counts_words_and_spares_paths(cohort):
    window = Task.from_dict(TASK).window(cohort)
    texts = window.events.filter(pl.col("sample_id") == 0)["text_value"].drop_nulls().to_list()
    assert texts == ["images/covid-19.png", "[blinded] and [blinded] disease."]
    assert window.report["blinded"] == {"notes": 2, "words": {"COVID-19": 2, "pneumococc*": 2}}


@pytest.mark.parametrize("text", ["covid19", "COVID 19", "Covid–19", "COVID-19's", "pneumococcus", "E.coli",
                                  "e. COLI", "abscesses", "(covid-19)", "x/COVID_19/y"])  # fmt: skip
def test_inflections_and_spellings_are_blinded(text):
    report = BlindingReport()
    clean = Blinder(TASK["blinded"]["words"])(text, report)
    assert clean.replace("[blinded]", "").strip("()xy/ ") == ""
    assert report.notes == 1
    assert report.words.total() == 1


@pytest.mark.parametrize("text", ["covid", "e coliform", "antipneumococcal", "scabscess"])
def test_other_words_stay(text):
    assert Blinder(TASK["blinded"]["words"])(text) == text


@given(st.lists(st.sampled_from(["COVID-19", "covid", "-", "19", " ", "e.", "coli", "abscess", "s", "x", "(", "pneumococci"]), max_size=30))  # fmt: skip  # noqa: E501
def test_blinding_leaves_nothing_to_blind(parts):
    blinder = Blinder(TASK["blinded"]["words"])
    once = blinder("".join(parts))
    assert blinder(once) == once


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labells": "x"}, "unknown key 'labells'"),
        ({"classes": ["a"]}, "two or more"),
        ({"modalities": {"image": {"prefix": ["x"]}}}, "unknown key 'prefix'"),
        ({"modalities": {}}, "'modalities' must map"),
        ({"blinded": {"concepts": ["DOID:1"]}}, "whole numbers"),
        ({"window_days": -1}, "'window_days'"),
        ({"merge": {"x": "other"}}, "'merge'"),
        ({"blinded": {"words": "covid"}}, "list of texts"),
    ],
)
def test_wrong_task_is_refused_by_name(tmp_path, change, message):
    file = tmp_path / "t.yaml"
    file.write_text(yaml.safe_dump({**TASK, **change}))
    with pytest.raises(InputError, match=message) as caught:
        Task.load(file)
    assert str(file) in str(caught.value)


def test_missing_key_unknown_task_and_broken_yaml(tmp_path):
    with pytest.raises(InputError, match="no key 'labels'"):
        Task.from_dict({k: v for k, v in TASK.items() if k != "labels"})
    with pytest.raises(InputError, match=r"no such configuration file.*covid_icu"):
        Task.load("nonsense")
    (tmp_path / "t.yaml").write_text("a: [\n")
    with pytest.raises(InputError, match="not YAML"):
        Task.load(tmp_path / "t.yaml")


def test_labels_must_be_classes_of_the_task(cohort):
    with pytest.raises(InputError, match="2 labels are no class of task 't': yes"):
        Task.from_dict({**TASK, "classes": ["no", "maybe"]}).samples(cohort)
    merged = Task.from_dict({**TASK, "classes": ["no", "maybe"], "merge": {"yes": "maybe"}})
    assert merged.samples(cohort)["label"].to_list() == [1, 1, 0]
    with pytest.raises(InputError, match=r"no labels 'u'.*It has: t"):
        Task.from_dict({**TASK, "labels": "u"}).samples(cohort)


def test_shipped_tasks_blind_ontology_concepts_that_exist(shared, tmp_path):
    concepts = pl.read_csv(shared / "data/rf2/disease-ontology/concepts.tsv", separator="\t")
    wanted = set(Task.load("covid_pneumonia").blinded.concepts)
    builtin = load_rf2(write_rf2(tmp_path / "rf2"))
    ours = wanted - set(concepts["sctid"])
    assert {builtin.term(sctid) for sctid in ours} == {
        "Pneumonia", "COVID-19", "Contact with COVID-19", "Contact with influenza"
    }  # fmt: skip
    crosswalk = pl.read_csv(shared / "data/mappings/covid_finding_crosswalk.csv", infer_schema=False)
    named = crosswalk.filter(pl.col("doid").is_not_null(), pl.col("finding") != "Pneumonia")
    assert set(concepts.filter(pl.col("doid").is_in(named["doid"].to_list()))["sctid"]) <= wanted
