"""The document metrics.json, the ceiling, and paired differences."""

import json
import time

import numpy as np
import polars as pl
import pytest
from made_up import CLASSES, predictions

from mhdiff.evaluate import paired_difference, summarise
from mhdiff.evaluate.bootstrap import Resamples, bootstrap
from mhdiff.evaluate.metrics import OVERALL
from mhdiff.evaluate.predictions import to_scored
from ontology.errors import InputError

PATTERNS = ("image+note", "image", "note")


def truth_of(frame):
    return frame.select("subject_id", "pattern", pl.col("^p_.*$"))


def test_the_document_has_every_pattern_interval_ceiling_and_n():
    frame = predictions(200, patterns=PATTERNS, strength=1.0)
    ceiling = truth_of(predictions(200, patterns=PATTERNS, strength=3.0))
    document = summarise(frame, CLASSES, ceiling=ceiling, replicates=100, seed=1)
    json.dumps(document, allow_nan=False)
    assert list(document["patterns"]) == list(PATTERNS)
    assert (document["n_samples"], document["n_subjects"], document["split"]) == (100, 100, "held_out")
    assert sum(document["prevalence"].values()) == pytest.approx(1)
    for name, pattern in document["patterns"].items():
        assert pattern["n"] == 100
        assert pattern["tuned_on"] == name
        for metric in OVERALL:
            figure = pattern["metrics"][metric]
            assert figure["low"] <= figure["high"]
        auroc = pattern["metrics"]["auroc"]
        assert auroc["low"] < auroc["value"] < auroc["high"]
        gap = pattern["gap"]["auroc"]["value"]
        assert gap == pytest.approx(pattern["ceiling"]["auroc"]["value"] - auroc["value"])
        assert gap > 0
        assert sum(row["n_positive"] for row in pattern["per_class"].values()) == 100
        assert pattern["calibration"]["temperature"]["value"] > 0
    full, image = document["patterns"]["image+note"], document["patterns"]["image"]
    assert full["drop"] is None
    lost = full["metrics"]["auroc"]["value"] - image["metrics"]["auroc"]["value"]
    assert image["drop"]["auroc"]["value"] == pytest.approx(lost)
    least = full["ceiling"]["auroc"]["value"] - image["ceiling"]["auroc"]["value"]
    assert image["irreducible_drop"]["auroc"]["value"] == pytest.approx(least)
    excess = image["excess_drop"]["auroc"]
    assert excess["value"] == pytest.approx(lost - least)
    assert excess["low"] < excess["value"] < excess["high"]
    # Paired: the model's loss and the ceiling's are of the same patients, or the interval would be that of a sum.
    width = {
        name: image[name]["auroc"]["high"] - image[name]["auroc"]["low"]
        for name in ("drop", "irreducible_drop")
    }
    assert excess["high"] - excess["low"] < sum(width.values())
    assert "excess_drop" not in full


def test_the_order_of_rows_changes_nothing():
    frame = predictions(120, patterns=PATTERNS, per_subject=2, splits=("train", "tuning", "held_out"))
    ceiling = truth_of(predictions(120, patterns=PATTERNS))
    shuffled = frame.sample(fraction=1, shuffle=True, seed=3)
    settings = {"replicates": 50, "seed": 2}
    first = summarise(frame, CLASSES, ceiling=ceiling, **settings)
    again = summarise(shuffled, CLASSES, ceiling=ceiling.reverse(), **settings)
    assert first == again
    assert first != summarise(frame, CLASSES, ceiling=ceiling, replicates=50, seed=3)


def test_an_absent_class_shows_as_undefined_with_its_reason():
    frame = predictions(100, prevalence=[0.5, 0.5, 0.0])
    pattern = summarise(frame, CLASSES, replicates=20)["patterns"]["image+note"]
    auroc = pattern["metrics"]["auroc"]
    assert auroc["value"] is None
    assert auroc["low"] is None
    assert "viral" in auroc["reason"]
    assert pattern["per_class"]["bacterial"]["auroc"]["value"] is not None
    assert pattern["metrics"]["accuracy"]["value"] is not None


def test_replicates_without_a_rare_class_are_counted():
    frame = predictions(100, prevalence=[0.5, 0.5, 0.0])
    held_out = frame.filter(pl.col("split") == "held_out")["sample_id"][:2].to_list()
    frame = frame.with_columns(label=pl.when(pl.col("sample_id").is_in(held_out)).then(2).otherwise("label"))
    pattern = summarise(frame, CLASSES, replicates=400)["patterns"]["image+note"]
    undefined = pattern["per_class"]["viral"]["auroc"]["undefined"]
    assert 0.05 < undefined / 400 < 0.25  # (1 - 2/50)^50 = .13
    assert pattern["metrics"]["auroc"]["undefined"] == undefined
    assert pattern["metrics"]["auroc"]["low"] is not None
    assert pattern["metrics"]["sensitivity"]["value"] is None  # no tuning sample of the class: no threshold
    assert "tuning" in pattern["metrics"]["sensitivity"]["reason"]


def test_thresholds_and_temperature_never_see_the_held_out():
    frame = predictions(200)
    flipped = frame.with_columns(
        label=pl.when(pl.col("split") == "held_out").then(2 - pl.col("label")).otherwise("label")
    )
    one, two = (summarise(f, CLASSES, replicates=0)["patterns"]["image+note"] for f in (frame, flipped))
    assert one["calibration"]["temperature"] == two["calibration"]["temperature"]
    for name in CLASSES:
        assert one["per_class"][name]["threshold"] == two["per_class"][name]["threshold"]


def test_what_is_missing_is_said():
    no_tuning = predictions(60, splits=("train", "held_out"))
    pattern = summarise(no_tuning, CLASSES, replicates=10)["patterns"]["image+note"]
    assert pattern["metrics"]["sensitivity"]["value"] is None
    assert "tuning" in pattern["metrics"]["sensitivity"]["reason"]
    assert pattern["calibration"]["temperature"] is None
    assert pattern["ceiling"] is None
    assert pattern["ceiling_reason"]
    one = predictions(2)
    figure = summarise(one, CLASSES, replicates=10)["patterns"]["image+note"]["metrics"]["accuracy"]
    assert figure["value"] is not None
    assert figure["low"] is None
    assert "no interval" in figure["reason"]


@pytest.mark.parametrize(
    ("frame", "ceiling", "says"),
    [
        (predictions(40, splits=("train", "tuning")), None, "nobody is held out"),
        (predictions(40, patterns=("image+note", "smell")), None, "unknown pattern 'smell'"),
        (predictions(40), truth_of(predictions(40)).head(5), "no exact posterior"),
        (predictions(40), pl.concat([truth_of(predictions(40))] * 2), "two exact posteriors"),
        (predictions(40), truth_of(predictions(40)).drop("subject_id"), "subject_id"),
        (predictions(40), truth_of(predictions(40, classes=2)), "2 probabilities"),
    ],
)
def test_what_cannot_be_summarised_is_refused(frame, ceiling, says):
    with pytest.raises(InputError, match=says):
        summarise(frame, CLASSES, ceiling=ceiling, replicates=5)


def test_a_ceiling_names_its_patterns_in_any_order_and_may_know_more_modalities():
    frame = predictions(60)
    ceiling = truth_of(frame).with_columns(pattern=pl.lit("note+image"))
    wider = pl.concat([ceiling, ceiling.with_columns(pattern=pl.lit("note+image+labs"))])
    pattern = summarise(frame, CLASSES, ceiling=wider, replicates=5)["patterns"]["image+note"]
    assert pattern["ceiling"] == {name: pattern["metrics"][name] for name in pattern["ceiling"]}
    assert set(OVERALL) < set(pattern["ceiling"])


def test_a_paired_difference_is_narrower_than_an_unpaired_one_and_exact_in_the_middle():
    better = predictions(200, strength=1.5, seed=5)
    rng = np.random.default_rng(0)
    mix = 0.6 + 0.2 * rng.random(200)
    worse = better.with_columns(**{f"p_{c}": pl.col(f"p_{c}") * mix + (1 - mix) / 3 for c in range(3)})
    found = paired_difference(better, worse, CLASSES, replicates=300, seed=1)
    scores = [to_scored(f.filter(pl.col("split") == "held_out")) for f in (better, worse)]
    single = bootstrap({str(i): [s] for i, s in enumerate(scores)}, Resamples.of(scores[0].subjects, 300, 1))
    values = [single[str(i)].overall("auroc") for i in range(2)]
    assert found["auroc"]["value"] == pytest.approx(values[0]["value"] - values[1]["value"])
    width = found["auroc"]["high"] - found["auroc"]["low"]
    assert width < 0.5 * (values[0]["high"] - values[0]["low"])
    assert found["auroc"]["n"] == 100
    same = paired_difference(better, better, CLASSES, replicates=50)
    assert all(figure["value"] == figure["low"] == figure["high"] == 0 for figure in same.values())


def test_different_patients_are_never_compared():
    frame = predictions(60)
    with pytest.raises(InputError, match="different patients"):
        paired_difference(frame, frame.filter(pl.col("sample_id") != 1), CLASSES)
    with pytest.raises(InputError, match="different labels"):
        paired_difference(frame, frame.with_columns(label=2 - pl.col("label")), CLASSES)
    with pytest.raises(InputError, match="different patients"):
        paired_difference(frame, frame.with_columns(subject_id=pl.col("subject_id") + 1), CLASSES)


def test_a_thousand_replicates_of_a_thousand_patients_take_seconds():
    frame = predictions(2000, classes=5)
    begun = time.process_time()  # the processor's, which other work on the machine does not lengthen
    summarise(frame, list("abcde"), replicates=1000)
    assert time.process_time() - begun < 15
