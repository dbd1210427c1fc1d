"""What a label value counts as and which codes are never read is said by the task."""

from datetime import datetime, timedelta

import pytest

from mhdiff.cohort import Cohort, Task
from ontology.errors import InputError

DAY = datetime(2021, 3, 1)
TASK = {
    "name": "t",
    "labels": "finding",
    "classes": ["no", "yes"],
    "merge": {"negative": "no", "blank": "no", "positive": "yes"},
    "exclude": ["uncertain"],
    "modalities": {"codes": {"prefixes": ["ICD10/"]}},
    "blinded": {"codes": ["ICD10/G30"]},
}


@pytest.fixture
def cohort(write_cohort):
    events = [
        (1, DAY - timedelta(days=2), "ICD10/G30.9", None, None),
        (1, DAY - timedelta(days=1), "ICD10/I10", None, None),
    ]
    values = ["positive", "uncertain", "negative", "blank"]
    labels = [(1, DAY + timedelta(days=n), value) for n, value in enumerate(values)]
    return Cohort.open(write_cohort(events, {"finding": labels}, {1: "train"}))


def test_a_policy_decides_what_values_count_as(cohort):
    samples = Task.from_dict(TASK).samples(cohort)
    assert samples["label"].to_list() == [1, 0, 0]
    other = TASK | {"merge": {"negative": "no", "positive": "yes"}, "exclude": ["uncertain", "blank"]}
    assert Task.from_dict(other).samples(cohort)["label"].to_list() == [1, 0]
    with pytest.raises(InputError, match="labels are no class of task 't': uncertain"):
        Task.from_dict(TASK | {"exclude": []}).samples(cohort)


def test_blinded_codes_are_not_read_and_counted(cohort):
    window = Task.from_dict(TASK).window(cohort)
    assert set(window.events["code"]) == {"ICD10/I10"}
    assert window.report["left_out"]["its code is blinded"] == 3
    assert "ICD10/G30.9" in set(Task.from_dict(TASK | {"blinded": {}}).window(cohort).events["code"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"exclude": ["yes"]}, "'exclude' names 'yes', which is a class"),
        ({"exclude": "uncertain"}, "'exclude' must be a list"),
        ({"blinded": {"codes": 3}}, "'blinded.codes' must be a list"),
    ],
)
def test_wrong_policies_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        Task.from_dict(TASK | change)
