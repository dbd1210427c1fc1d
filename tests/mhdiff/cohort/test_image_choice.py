"""Which image of a window is taken, against a choice that is written again as plain loops."""

from datetime import datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mhdiff.cohort import Cohort, Task
from mhdiff.cohort.image_choice import NOT_CHOSEN, OTHER_VIEW, TOO_FAR, Choice, choose
from mhdiff.cohort.window import joined_reports, look_back
from mhdiff.encoders.events import latest_text
from ontology.errors import InputError
from tests.searches import examples

NOW = datetime(2021, 3, 1)


def content(**image):
    return {
        "name": "t", "labels": "t", "classes": ["no", "yes"],
        "modalities": {"image": {"prefixes": ["IMAGE//CXR"], **image}, "labs": {"prefixes": ["LOINC/"]}},
    }  # fmt: skip


def when(days):
    return None if days is None else NOW - timedelta(days=days)


@pytest.fixture
def cohort(write_cohort):
    def image(subject, days, view, name):
        return (
            subject,
            when(days),
            f"IMAGE//CXR//{view}",
            None,
            name,
        )

    rows = [
        image(1, None, "PA", "undated"), image(1, 40, "AP", "old"), image(1, 9, "PA", "pa"), image(1, 9, "PA", "pa2"),
        image(1, 2, "AP", "ap"), image(1, 1, "LATERAL", "side"), image(1, -1, "PA", "z"),
        (1, NOW, "LOINC/1", 1.0, None),
        image(2, 50, "LATERAL", "side2"), (2, NOW, "LOINC/1", 1.0, None), (3, NOW, "LOINC/1", 1.0, None),
    ]  # fmt: skip
    labels = [(s, NOW, "yes" if s == 1 else "no") for s in (1, 2, 3)]
    return Cohort.open(write_cohort(rows, {"t": labels}, dict.fromkeys((1, 2, 3), "train")))


CASES = {
    "nearest": ({"choose": "nearest"}, {0: "side", 1: "side2"}, 0),
    "last is nearest": ({"choose": "last"}, {0: "side", 1: "side2"}, 0),
    "first": ({"choose": "first"}, {0: "old", 1: "side2"}, 0),
    "a view before the time": ({"view": ["pa", "AP"]}, {0: "pa2"}, 1),
    "the other order": ({"view": ["AP", "PA"]}, {0: "ap"}, 1),
    "the first of a view": ({"view": ["PA"], "choose": "first"}, {0: "pa"}, 1),
    "not too long before": ({"view": ["PA", "AP"], "within_days": 9}, {0: "ap"}, 1),
    "none": ({"view": ["PA"], "within_days": 5}, {}, 2),
    "near, of any view": ({"within_days": 10, "choose": "first"}, {0: "pa"}, 1),
}


@pytest.mark.parametrize("case", CASES)
def test_one_image_is_taken(cohort, case):
    image, taken, none = CASES[case]
    window = Task.from_dict(content(**image)).window(cohort)
    images = window.events.filter(pl.col("modality") == "image")
    assert dict(images.select("sample_id", "text_value").iter_rows()) == taken
    assert images.height == len(taken)
    assert window.events.filter(pl.col("modality") == "labs").height == 3
    assert window.report["no_image_fits"] == {"image": none}
    assert window.report["samples_with"]["image"] == len(taken)
    lost = sum(window.report["left_out"].get(reason, 0) for reason in (OTHER_VIEW, TOO_FAR, NOT_CHOSEN))
    assert lost == 7 - len(taken)
    assert window.report["left_out"]["after prediction_time"] == 1


def test_without_a_choice_all_stay_and_the_reader_takes_the_same_as_nearest(cohort):
    plain = Task.from_dict(content()).window(cohort)
    assert plain.events.filter(pl.col("modality") == "image").height == 7
    assert "no_image_fits" not in plain.report
    near = Task.from_dict(content(choose="nearest")).window(cohort)
    taken = [
        latest_text(window.events.filter(pl.col("modality") == "image"), [0, 1, 2])
        for window in (plain, near)
    ]
    assert taken[0] == taken[1] == ["side", "side2", None]


def test_reports_of_parts_add_up(cohort):
    task = Task.from_dict(content(view=["PA"], within_days=5))
    samples = task.samples(cohort)
    parts = [look_back(task, cohort, samples.filter(pl.col("subject_id") == s)).report for s in (1, 2, 3)]
    whole = task.window(cohort).report
    assert joined_reports(parts)["no_image_fits"] == whole["no_image_fits"] == {"image": 2}
    assert joined_reports(parts)["left_out"] == whole["left_out"]


def test_a_modality_that_must_be_there_is_one_with_an_image_that_fits(cohort):
    asked = content(view=["AP", "PA"]) | {"include": {"modalities": ["image"]}}
    assert Task.from_dict(asked).samples(cohort)["subject_id"].to_list() == [1]


ROWS = st.lists(
    st.tuples(
        st.integers(0, 2), st.integers(0, 9) | st.none(), st.sampled_from(["PA", "AP", "LL"]), st.booleans()
    ),
    max_size=12,
)


@settings(max_examples=examples(100), deadline=None)
@given(
    ROWS, st.lists(st.sampled_from(["PA", "AP"]), unique=True), st.booleans(), st.sampled_from([None, 3, 7])
)
def test_choices_agree_with_plain_loops(rows, view, first, within):
    table = pl.DataFrame(
        [
            (s, NOW, when(d), f"IMAGE//X//{v}", "image", "before" if out else None)
            for s, d, v, out in rows
        ],
        schema={
            "sample_id": pl.Int64, "prediction_time": pl.Datetime("us"), "time": pl.Datetime("us"), "code": pl.String,
            "modality": pl.String, "reason": pl.String,
        },
        orient="row",
    )  # fmt: skip
    wanted, none = [], 0
    for sample in range(3):
        own = [(n, d, v) for n, (s, d, v, out) in enumerate(rows) if s == sample and not out]
        fits = [
            (n, d, v)
            for n, d, v in own
            if (not view or v in view) and (within is None or (d is not None and d < within))
        ]
        best = [
            one for one in fits if not view or one[2] == next(v for v in view if any(v == f[2] for f in fits))
        ]
        dated = [one for one in best if one[1] is not None] or best
        dated.sort(key=lambda one: (-(one[1] or 0), one[0]))
        wanted += [dated[0 if first else -1][0]] if dated else []
        none += bool(own) and not fits
    made, without = choose(table, {"image": Choice(tuple(view), first, within)})
    assert made.columns == table.columns
    assert made.drop("reason").equals(table.drop("reason"))
    assert [n for n, reason in enumerate(made["reason"]) if reason is None] == sorted(wanted)
    assert without == {"image": none}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"view": "PA"}, r"'modalities.image.view' must list views"),
        ({"choose": "best"}, r"'modalities.image.choose' must be one of nearest, last, first"),
        ({"within_days": 0}, r"'modalities.image.within_days' must be a number above 0"),
        ({"prefixes": ["LOINC/"], "choose": "first"}, "only for images and signals"),
    ],
)
def test_a_choice_that_is_not_understood_is_refused(entry, message):
    with pytest.raises(InputError, match=message):
        Task.from_dict(content(**entry))
