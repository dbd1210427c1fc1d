"""Who is asked about: by age, sex, codes and modalities; and a graph of other samples is refused."""

from datetime import datetime, timedelta

import pytest
import yaml

from mhdiff.cli import main
from mhdiff.cohort import Cohort, Task, meds
from mhdiff.cohort.describe import describe, text
from mhdiff.cohort.inclusion import REASONS
from mhdiff.cohort.outcome import label
from ontology.errors import InputError

NOW = datetime(2020, 2, 29, 12)
KEYS = {"age": 0, "younger": 1, "older": 2, "sex": 3, "without": 4, "with": 5, "modality": 6}
PNEUMONIA, CANCER, LAB, IMAGE = "SNOMED/233604007", "ICD10CM/C34.9", "LOINC/718-7", "IMAGE//CXR//PA"


def content(**include):
    return {
        "name": "t", "labels": "t", "classes": ["no", "yes"], "window_days": 30,
        "modalities": {"image": {"prefixes": ["IMAGE//"]}, "labs": {"prefixes": ["LOINC/"]}},
        "include": include,
    }  # fmt: skip


@pytest.fixture
def cohort(write_cohort):
    """1: a child; 2: 18 today; 3: 18 tomorrow; 4: unborn by mistake or unknown; 5: old."""
    born = {
        1: datetime(2012, 5, 1),
        2: datetime(2002, 2, 28, 12),
        3: datetime(2002, 3, 1),
        5: datetime(1930, 1, 1),
    }
    rows = [(s, when, meds.BIRTH, None, None) for s, when in born.items()]
    rows += [(1, None, "GENDER//F", None, None), (2, None, "GENDER//M", None, None)]
    rows += [(3, None, "GENDER//F", None, None), (3, None, "GENDER//M", None, None)]
    rows += [(1, NOW - timedelta(days=400), PNEUMONIA, None, None), (2, NOW, PNEUMONIA, None, None)]
    rows += [(3, NOW + timedelta(days=1), PNEUMONIA, None, None), (4, None, "SNOMED/2336040079", None, None)]
    rows += [
        (1, NOW - timedelta(days=1), CANCER, None, None),
        (5, NOW + timedelta(hours=1), CANCER, None, None),
    ]
    rows += [(s, NOW - timedelta(days=d), LAB, 1.0, None) for s, d in ((1, 1), (2, 31), (3, 2), (5, 29))]
    rows += [(s, NOW, IMAGE, None, "images/a.png") for s in (1, 5)]
    rows.sort(key=lambda r: (r[0], r[1] or datetime(1900, 1, 1)))
    labels = [(s, NOW, "yes" if s % 2 else "no") for s in range(1, 6)]
    labels.append((1, NOW + timedelta(days=4000), "no"))  # as a grown-up, when all is too long ago
    splits = {s: "train" if s < 4 else "held_out" for s in range(1, 6)}
    return Cohort.open(write_cohort(rows, {"t": labels}, splits, {"images/a.png": b"x"}))


#: What is asked for -> whose predictions stay (1 twice), and why others do not.
CASES = {
    "below 18": ({"age": [0, 18]}, [1, 3], {"age": 1, "older": 3}),
    "from 18 on": ({"age": [18, None]}, [1, 2, 5], {"age": 1, "younger": 2}),
    "parts of years": ({"age": [7.5, 7.9]}, [1], {"age": 1, "older": 4}),
    "women": ({"sex": ["F"]}, [1, 1], {"sex": 4}),
    "a code before": ({"codes": [PNEUMONIA]}, [1, 1, 2], {"without": 3}),
    "a code's beginning, and one without a time": ({"codes": ["SNOMED/2336*"]}, [1, 1, 2, 4], {"without": 2}),
    "not a code": ({"without_codes": ["ICD10CM/C*"]}, [2, 3, 4, 5], {"with": 2}),
    "a modality in the window": ({"modalities": ["labs"]}, [1, 3, 5], {"modality": 3}),
    "all of some modalities": ({"modalities": ["labs", "image"]}, [1, 5], {"modality": 4}),
    "the first that does not hold counts": (
        {"age": [0, 18], "codes": [PNEUMONIA], "modalities": ["image"]}, [1], {"age": 1, "older": 3, "without": 1},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_who_is_asked_about(cohort, case):
    include, stay, why = CASES[case]
    made = Task.from_dict(content(**include))
    samples = made.samples(cohort)
    assert samples["subject_id"].to_list() == stay
    assert samples["sample_id"].to_list() == list(range(len(stay)))
    assert made.not_included(cohort) == {REASONS[KEYS[key]]: n for key, n in why.items()}


def test_without_include_everybody_stays(cohort):
    made = Task.from_dict({key: value for key, value in content().items() if key != "include"})
    assert made.samples(cohort).height == 6
    assert made.not_included(cohort) == {}


def test_labels_of_an_outcome_are_made_of_the_included_only(cohort):
    outcome = {"codes": [PNEUMONIA], "index": {"event": [LAB]}, "horizon_days": 5, "washout_days": 100}
    asked = content(age=[0, 80]) | {"outcome": outcome | {"complete_at": ["IMAGE//"]}}
    made = label(cohort, Task.from_dict(asked), None)
    assert made.labels.select("subject_id", "categorical_value").rows() == [(1, "no"), (2, "no"), (3, "yes")]
    assert made.report["excluded"] == {REASONS[2]: 1}


def test_nobody_is_an_error_that_names_the_task(cohort, tmp_path):
    (tmp_path / "t.yaml").write_text(yaml.safe_dump(content(age=[120, None])))
    with pytest.raises(InputError, match="nobody of the cohort is included in task 't'") as caught:
        Task.load(tmp_path / "t.yaml").samples(cohort)
    assert caught.value.path == tmp_path / "t.yaml"


def test_info_and_graph_tell_who_is_left_out_without_small_numbers(cohort, tmp_path, small_data, capsys):
    (tmp_path / "t.yaml").write_text(yaml.safe_dump(content(age=[0, 18])))
    told = describe(cohort, Task.load(tmp_path / "t.yaml"))
    assert told["task"]["not_included"] == {REASONS[0]: "<5", REASONS[2]: "<5"}
    assert f"Predictions: {REASONS[0]} <5" in text(told)
    command = ["graph", "build", "--ontology", str(small_data / "ontology"), "--cohort", str(cohort.path)]
    assert main([*command, "--task", str(tmp_path / "t.yaml"), "--out", str(tmp_path / "G")]) == 0
    said = capsys.readouterr()
    assert f"<5 predictions {REASONS[0]}" in said.err + said.out
    from graph_builders import PatientGraph
    from mhdiff.training.graph_in_use import check_samples

    graph = PatientGraph.open(tmp_path / "G")
    check_samples(graph, Task.load(tmp_path / "t.yaml").samples(cohort), "G")
    other = Task.from_dict(content(age=[18, None]))
    with pytest.raises(InputError, match="2 samples of the task are not those of the graph"):
        check_samples(graph, other.samples(cohort).head(2), "G")


WRONG = {
    "unknown": ({"ages": [0, 18]}, "'include' has the unknown key 'ages'"),
    "nothing": ({}, "'include' must be a mapping"),
    "age": ({"age": 18}, "'include.age' must be two numbers"),
    "text": ({"age": ["0", 18]}, "'include.age' must be two numbers"),
    "nobody": ({"age": [18, 18]}, "'include.age' has nobody"),
    "sex": ({"sex": "F"}, "'include.sex' must list texts"),
    "no codes": ({"codes": []}, "'include.codes' lists nothing"),
    "modality": ({"modalities": ["note"]}, "names 'note', which the task does not have: image, labs"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_not_understood_is_refused(tmp_path, case):
    include, message = WRONG[case]
    (tmp_path / "t.yaml").write_text(yaml.safe_dump(content(**include)))
    with pytest.raises(InputError, match=message) as caught:
        Task.load(tmp_path / "t.yaml")
    assert caught.value.path == tmp_path / "t.yaml"
