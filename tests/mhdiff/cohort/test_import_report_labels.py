"""Labels of an import are counted by class, and a class of few patients is neither told nor to be reckoned."""

import json
from datetime import datetime

import polars as pl
import pytest

from mhdiff.cohort.import_report import ImportReport
from mhdiff.cohort.imported import count_labels

DAY = datetime(2021, 3, 1)


@pytest.fixture
def report():
    """12 patients with a label each, one of them with a second sample; classes of 6, 4 and 2, and of 20 and 8."""
    made = ImportReport("test")
    rows = (
        [(s, "well") for s in range(6)]
        + [(s, "ill") for s in range(6, 10)]
        + [(s, "worse") for s in (10, 11, 11)]
    )
    more = [(s, s < 20) for s in range(28)]
    schema = {"subject_id": pl.Int64, "categorical_value": pl.String}
    count_labels(made, {
        "course": pl.DataFrame(rows, schema, orient="row"),
        "seen": pl.DataFrame(more, schema={"subject_id": pl.Int64, "boolean_value": pl.Boolean}, orient="row"),
        "alone": pl.DataFrame([(s, "a" if s < 30 else "b") for s in range(33)], schema, orient="row"),
    })  # fmt: skip
    return made


def test_classes_of_few_patients_are_hidden_in_json_and_text(report):
    told = json.loads(json.dumps(report.to_dict()))
    assert told["labels"]["seen"] == {
        "false": {"samples": 8, "patients": 8}, "true": {"samples": 20, "patients": 20}
    }  # fmt: skip
    course = told["labels"]["course"]
    assert {n for value in ("ill", "worse") for n in course[value].values()} <= {"hidden", "<5"}
    text = report.text()
    assert "false 8 samples of 8 patients; true 20 samples of 20 patients" in text
    assert "4 samples of 4" not in text
    assert "3 samples" not in text
    assert report.labels["course"]["worse"] == {"samples": 3, "patients": 2}  # whoever imports by hand has it


def test_what_is_left_of_the_whole_does_not_tell_the_one_small_class(report):
    alone = report.to_dict()["labels"]["alone"]
    assert {n for own in alone.values() for n in own.values()} == {"hidden"}


def test_small_and_hidden_classes_are_pointed_out(report):
    small = report.to_dict()["small_classes"]
    assert "seen: false (8)" in small
    assert "alone: b (hidden)" in small
    assert not any(entry.startswith("seen: true") for entry in small)
    assert "Classes with fewer than 10 patients, or not shown: " in report.text()


def test_a_class_that_is_the_source_s_own_word_is_named_from_five_patients_on(report):
    report.worded = {"course", "seen"}
    told = report.to_dict()["labels"]
    assert list(told["course"]) == ["well", "all others"]
    assert told["course"]["all others"] == {"samples": 7, "patients": 6}
    assert list(told["seen"]) == ["false", "true"]
    assert "worse" not in report.text()
