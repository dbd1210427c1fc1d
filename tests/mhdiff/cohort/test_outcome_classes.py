"""Outcomes with classes of their own: which events record one, which one counts, and what is refused."""

from datetime import datetime, timedelta

import pytest

from mhdiff.cohort import Cohort, Task
from mhdiff.cohort.outcome import END, START, label
from ontology import Ontology, load_omop
from ontology.errors import InputError

ZERO = datetime(2010, 1, 1)
CONCEPT = """concept_id,concept_name,vocabulary_id,concept_code,invalid_reason
1,Stage one,SNOMED,36971009,
2,Stage two,SNOMED,49727002,
3,Kind of stage two,SNOMED,444814009,
"""
CLASSES = {
    "one": {"concepts": [36971009], "answers": {"CIEL/1": ["Stage one", "First"]}},
    "two": {"concepts": [49727002, 737379001], "codes": ["LOCAL/2"]},
    "three": {"answers": {"CIEL/1": ["stage three"]}},
}


@pytest.fixture(scope="module")
def ontology(tmp_path_factory) -> Ontology:
    folder = tmp_path_factory.mktemp("vocabulary")
    (folder / "CONCEPT.csv").write_text(CONCEPT)
    (folder / "CONCEPT_RELATIONSHIP.csv").write_text(
        "concept_id_1,concept_id_2,relationship_id,invalid_reason\n3,2,Is a,\n"
    )
    return load_omop(folder)


def task(classes=CLASSES, names=None, **outcome):
    content = {
        "classes": classes,
        "index": {"event": ["ICU"], "after_days": 1},
        "horizon_days": 10,
        "washout_days": 0,
    }
    return Task.from_dict(
        {
            "name": "t", "labels": "t", "classes": names or list(classes),
            "modalities": {"codes": {"prefixes": ["SNOMED/"]}}, "outcome": content | outcome,
        }
    )  # fmt: skip


def cohort(write, **recorded):
    rows = []
    for subject, events in enumerate(recorded.values(), 1):
        rows += [(subject, ZERO - timedelta(days=50), START, None, None), (subject, ZERO, "ICU", None, None)]
        rows += [(subject, ZERO + timedelta(days=n), code, None, text) for n, code, text in events]
        rows.append((subject, ZERO + timedelta(days=100), END, None, None))
    rows.sort(key=lambda row: (row[0], row[1]))
    return Cohort.open(write(rows, {}, dict.fromkeys(range(1, len(recorded) + 1), "train")))


def test_the_worst_class_in_the_horizon_is_the_label(write_cohort, ontology):
    found = cohort(
        write_cohort,
        descendant=[(3, "SNOMED/444814009", None), (5, "SNOMED/36971009", None)],
        answer=[(3, "CIEL/1", " FIRST ")],
        unknown_to_the_ontology=[(2, "SNOMED/737379001", None)],
        own=[(4, "LOCAL/2", None), (5, "CIEL/1", "Stage three")],
        before=[(0.5, "CIEL/1", "stage three"), (11, "SNOMED/36971009", None)],
        too_late=[(11.5, "SNOMED/36971009", None)],
        another_answer=[(3, "CIEL/1", "unknown")],
    )
    made = label(found, task(), ontology)
    assert {row[1] for row in made.labels.rows()} == {ZERO + timedelta(days=1)}
    assert dict(made.labels.select("subject_id", "categorical_value").iter_rows()) == {
        1: "two", 2: "one", 3: "two", 4: "three", 5: "one"
    }  # fmt: skip
    assert made.report["excluded"] == {"no class recorded within the horizon": 2}
    assert set(made.report["codes"]) == {
        "SNOMED/36971009", "SNOMED/444814009", "SNOMED/737379001", "LOCAL/2", "CIEL/1"
    }  # fmt: skip


def test_all_that_records_a_class_is_blinded():
    blinded = task().blinded
    assert blinded.concepts == (36971009, 49727002, 737379001)
    assert blinded.codes == (
        "SNOMED/36971009", "CIEL/1", "SNOMED/49727002", "SNOMED/737379001", "LOCAL/2"
    )  # fmt: skip


def test_a_code_of_two_classes_is_refused(write_cohort, ontology):
    found = cohort(write_cohort, one=[(3, "SNOMED/444814009", None)])
    classes = {"one": {"concepts": [444814009]}, "two": {"concepts": [49727002]}}
    with pytest.raises(InputError, match="the code SNOMED/444814009 records the classes 'one' and 'two'"):
        label(found, task(classes), ontology)


def test_a_cohort_that_records_no_class_is_refused(write_cohort, ontology):
    found = cohort(write_cohort, one=[(3, "SNOMED/1", None)])
    with pytest.raises(InputError, match="no event of the cohort records a class"):
        label(found, task(), ontology)


BAD = {
    "unknown key": (
        {"a": {"concept": [1]}, "b": {"codes": ["X/1"]}},
        "must be a mapping with one or more of",
    ),
    "nothing": ({"a": {"codes": []}, "b": {"codes": ["X/1"]}}, "'outcome.classes.a' says nothing"),
    "no number": ({"a": {"concepts": ["1"]}, "b": {"codes": ["X/1"]}}, "'concepts' as whole numbers"),
    "no text": ({"a": {"codes": [1]}, "b": {"codes": ["X/1"]}}, "'codes' as texts"),
    "answers": ({"a": {"answers": {"X/1": "yes"}}, "b": {"codes": ["X/1"]}}, "from codes to lists of texts"),
    "one class": ({"a": {"codes": ["X/1"]}}, "must map two or more classes"),
}


@pytest.mark.parametrize("case", BAD)
def test_classes_that_are_not_understood_are_refused(case):
    classes, message = BAD[case]
    with pytest.raises(InputError, match=message):
        task(classes, ["a", "b"])


def test_classes_are_those_of_the_task_in_their_order():
    with pytest.raises(
        InputError, match=r"'outcome.classes' must name the classes of the task, in their order"
    ):
        task(names=["one", "three", "two"])
    with pytest.raises(InputError, match="'concepts' or 'classes', not both"):
        task(concepts=[36971009])
    with pytest.raises(InputError, match=r"index.after_days"):
        task(index={"event": ["ICU"], "after_days": -1})


OTHERS = {"one": {"codes": ["LOCAL/1"]}, "none": {"otherwise": True}, "two": {"codes": ["LOCAL/2"]}}


def test_otherwise_takes_whom_no_class_takes(write_cohort, ontology):
    found = cohort(
        write_cohort,
        one=[(3, "LOCAL/1", None)],
        both=[(3, "LOCAL/1", None), (4, "LOCAL/2", None)],
        neither=[(3, "LOCAL/3", None)],
        before=[(0.5, "LOCAL/2", None)],
        too_late=[(12, "LOCAL/2", None)],
    )
    made = label(found, task(OTHERS), ontology)
    assert made.labels["categorical_value"].to_list() == ["one", "two", "none", "none", "none"]
    assert made.report["excluded"] == {}


def test_otherwise_is_only_said_of_those_observed_to_the_end(write_cohort, ontology):
    rows = [(subject, ZERO, "ICU", None, None) for subject in range(1, 6)]
    rows += [(1, ZERO + timedelta(days=2), "LOCAL/1", None, None)]
    rows += [(1, ZERO + timedelta(days=3), "LOCAL/2", None, None)]
    rows += [(2, ZERO + timedelta(days=5), "SEEN", None, None)]
    rows += [(3, ZERO + timedelta(days=20), "SEEN", None, None)]
    rows += [(4, ZERO + timedelta(days=2), "OUT//HOME", None, None)]
    rows += [(5, ZERO + timedelta(days=2), "OUT//HOME", None, None), (5, ZERO + timedelta(days=3), "MEDS_DEATH", None, None)]  # fmt: skip  # noqa: E501
    folder = write_cohort(sorted(rows, key=lambda r: r[:2]), {}, dict.fromkeys(range(1, 6), "train"))
    classes = {"none": {"otherwise": True}, "some": {"codes": ["LOCAL/*"]}}
    made = label(Cohort.open(folder), task(classes), ontology)
    assert dict(made.labels.select("subject_id", "categorical_value").iter_rows()) == {1: "some", 3: "none"}
    assert made.report["excluded"] == {
        "died before the horizon's end, without the outcome": 1,
        "observation ends before the horizon's end, without the outcome": 2,
    }
    made = label(Cohort.open(folder), task(classes, complete_at=["OUT//"]), ontology)
    assert dict(made.labels.select("subject_id", "categorical_value").iter_rows()) == {
        1: "some", 3: "none", 4: "none"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ({"a": {"otherwise": True}, "b": {"otherwise": True}}, "several classes 'otherwise': a, b"),
        ({"a": {"otherwise": False}, "b": {"codes": ["X"]}}, "'outcome.classes.a.otherwise' must be true"),
        ({"a": {"otherwise": True, "codes": ["X"]}, "b": {"codes": ["Y"]}}, "with nothing beside it"),
    ],
)
def test_otherwise_that_is_not_understood_is_refused(classes, message):
    with pytest.raises(InputError, match=message):
        task(classes)
    with pytest.raises(InputError, match=r"'outcome.complete_at' must list prefixes"):
        task(OTHERS, complete_at="HOME")
