"""Modalities missing by a mechanism, and what stays when they are withheld."""

import numpy as np
import polars as pl
import pytest
from made_up import CLASSES, predictions
from scipy import stats

from mhdiff.evaluate import summarise
from mhdiff.evaluate.bootstrap import Resamples, bootstrap
from mhdiff.evaluate.patterns import all_patterns, pattern_name
from mhdiff.evaluate.predictions import check_predictions, to_scored
from mhdiff.evaluate.regimes import REGIMES, hide, regimes
from mhdiff.evaluate.robustness import area_weights, curve
from ontology.errors import InputError

MODALITIES = ["image", "note", "labs"]
NAMES = [pattern_name(p, MODALITIES) for p in all_patterns(MODALITIES)]


def made(n=600, **settings):
    frame = predictions(n, patterns=NAMES, **settings)
    lacks = pl.col("sample_id") // 2 % 4 == 0
    return frame.with_columns(
        present=pl.when(lacks).then(pl.lit("note+labs")).otherwise(pl.lit("image+note+labs")),
        age=20 + pl.col("sample_id") * 7 % 60,
        sex=pl.when(pl.col("subject_id") % 3 == 0).then(pl.lit("F")).otherwise(pl.lit("M")),
        site=pl.when(pl.col("subject_id") % 5 == 0).then(pl.lit("a")).otherwise(pl.lit("b")),
    )


def truth(frame):
    return frame.select("subject_id", "pattern", pl.col("^p_.*$"))


def chosen(frame, **settings):
    checked = check_predictions(frame, CLASSES)
    return {r.name: r for r in regimes(checked, MODALITIES, CLASSES, truth(checked), **settings)}


def hidden_of(regime):
    """By sample, how many of the modalities that it has are not offered."""
    rows = regime.rows.filter(pl.col("split") == "held_out").sort("sample_id")
    counts = [
        len(set(present.split("+")) - set(pattern.split("+")))
        for present, pattern in zip(rows["present"], rows["pattern"], strict=True)
    ]
    return rows, np.array(counts)


def test_each_sample_keeps_one_of_what_it_has_and_what_it_lacks_is_not_hidden():
    frame = made()
    for regime in chosen(frame).values():
        assert sorted(regime.rows["sample_id"]) == list(range(600))
        rows, counts = hidden_of(regime)
        for present, pattern in zip(rows["present"], rows["pattern"], strict=True):
            assert set(present.split("+")) & set(pattern.split("+"))
            assert set(MODALITIES) - set(pattern.split("+")) <= set(present.split("+"))
        has = np.array([len(p.split("+")) for p in rows["present"]])
        assert regime.hidden == pytest.approx(counts.sum() / has.sum())


def test_the_rows_are_those_that_were_stored():
    frame = made()
    stored = {(s, p): v for s, p, v in frame.select("sample_id", "pattern", "p_1").iter_rows()}
    for regime in chosen(frame).values():
        for sample, pattern, value in regime.rows.select("sample_id", "pattern", "p_1").iter_rows():
            assert value == pytest.approx(stored[sample, pattern])


@pytest.mark.parametrize("rate", [0.2, 0.7])
def test_the_rate_is_kept_on_average(rate):
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(20_000, 1)), 4, axis=1)
    hidden = hide(np.ones(x.shape, dtype=bool), x, rng.random(x.shape), rate)
    # All four would be hidden of some, who keep one: fewer than the rate, by at most that.
    assert rate - 0.12 < hidden.mean() <= rate + 0.01
    nothing = hide(np.zeros((3, 2), dtype=bool), np.zeros((3, 2)), np.zeros((3, 2)), rate)
    assert not nothing.any()


def test_who_is_kept_from_being_hidden_altogether_is_a_fair_choice():
    rng = np.random.default_rng(1)
    hidden = hide(np.ones((30_000, 3), dtype=bool), np.zeros((30_000, 3)), rng.random((30_000, 3)), 0.95)
    assert hidden.sum(axis=1).max() == 2
    kept = (~hidden[hidden.sum(axis=1) == 2]).mean(axis=0)
    np.testing.assert_allclose(kept, 1 / 3, atol=0.02)


def test_each_mechanism_is_driven_by_what_it_says_and_by_nothing_else():
    frame = made(3000)
    found = chosen(frame)
    assert [found[name].driver for name in REGIMES[:2]] == ["chance", "age"]
    assert "label" in found["mnar_label"].driver

    def slope(name, values):
        rows, counts = hidden_of(found[name])
        return stats.spearmanr(counts, values(rows)).pvalue, stats.spearmanr(counts, values(rows)).statistic

    age, label = (lambda rows: rows["age"].to_numpy()), (lambda rows: rows["label"].to_numpy() != common)
    tuning = frame.filter(pl.col("split") == "tuning").unique("sample_id")["label"].to_numpy()
    common = np.bincount(tuning).argmax()
    assert slope("mar", age)[1] > 0.3
    assert slope("mnar_label", label)[1] > 0.3
    for name, values in (("mcar", age), ("mcar", label), ("mar", label), ("mnar_label", age)):
        assert slope(name, values)[0] > 0.001, name


def test_where_age_is_unknown_sex_and_then_site_drive_and_where_nothing_is_the_regime_is_undefined():
    frame = made()
    assert chosen(frame.drop("age"))["mar"].driver == "sex"
    assert chosen(frame.with_columns(age=pl.lit(None, pl.Int64), sex=pl.lit("F")))["mar"].driver == "site"
    nothing = chosen(frame.drop("age", "sex", "site"))["mar"]
    assert nothing.rows is None
    assert "neither age" in nothing.reason
    assert nothing.name in summarise(frame.drop("age", "sex", "site"), CLASSES, replicates=0)["regimes"]


def test_draws_are_seeded_and_know_neither_rows_order_nor_the_model():
    frame = made()
    first = {n: r.rows.select("sample_id", "pattern") for n, r in chosen(frame).items()}
    mixed = {n: r.rows.select("sample_id", "pattern") for n, r in chosen(frame.reverse()).items()}
    assert all(first[n].equals(mixed[n]) for n in REGIMES)
    other = frame.with_columns(p_0=pl.col("p_1"), p_1=pl.col("p_0"))
    same = {n: r.rows.select("sample_id", "pattern") for n, r in chosen(other).items()}
    assert all(first[n].equals(same[n]) for n in REGIMES[:3])
    assert not first["mcar"].equals(chosen(frame, seed=1)["mcar"].rows.select("sample_id", "pattern"))


def test_what_is_missing_is_said_and_a_wrong_rate_is_refused():
    frame = made(60)
    for given, says in (
        (frame.drop("present"), "which modalities each sample has"),
        (frame.filter(~pl.col("pattern").is_in(["note", "labs", "note+labs"])), "was not predicted"),
    ):
        regime = chosen(given)["mcar"]
        assert regime.rows is None
        assert says in regime.reason
    assert (
        "known-answer"
        in {r.name: r for r in regimes(check_predictions(frame, CLASSES), MODALITIES, CLASSES)}[
            "mnar_value"
        ].reason
    )
    for rate in (0.0, 1.0, 2.0):
        with pytest.raises(InputError, match="share of the modalities"):
            chosen(frame, rate=rate)


def test_regimes_stand_in_the_document_beside_their_ceiling():
    frame = made()
    document = summarise(frame, CLASSES, ceiling=truth(made(strength=4.0)), replicates=20)
    for name in REGIMES:
        row = document["regimes"][name]
        assert row["n"] == 300
        assert row["tuned_on"] == name
        assert row["drop"]["auroc"]["value"] > 0
        assert row["ceiling"]["auroc"]["value"] > row["metrics"]["auroc"]["value"]
        assert row["excess_drop"]["auroc"]["value"] == pytest.approx(
            row["drop"]["auroc"]["value"] - row["irreducible_drop"]["auroc"]["value"]
        )


def results_of(frame, resamples=40):
    held = check_predictions(frame, CLASSES).filter(pl.col("split") == "held_out")
    scored = {name: to_scored(held.filter(pl.col("pattern") == name)) for name in NAMES}
    return bootstrap(
        {name: [one] for name, one in scored.items()}, Resamples.of(scored[NAMES[0]].subjects, resamples, 0)
    )


def test_relative_robustness_is_the_area_under_the_curve():
    results = results_of(made())
    found = curve(results, MODALITIES)
    heights = [row["auroc"]["value"] for row in found["levels"]]
    assert [row["patterns"] for row in found["levels"]] == [1, 3, 3]
    singles = [results[m].overall("auroc")["value"] for m in MODALITIES]
    assert heights[2] == pytest.approx(np.mean(singles))
    assert found["relative"]["auroc"]["value"] == pytest.approx(np.trapezoid(heights, dx=0.5))
    assert found["relative"]["auroc"]["low"] < found["relative"]["auroc"]["high"]
    assert sum(area_weights(MODALITIES).values()) == pytest.approx(1)
    assert found["effective"] is None
    assert found["effective_reason"]


def test_effective_robustness_is_0_for_whoever_falls_as_the_reference_does():
    results, weaker = results_of(made()), results_of(made(strength=1.0))
    assert curve(results, MODALITIES, results)["effective"]["auroc"]["value"] == 0
    one = curve(results, MODALITIES, weaker)["effective"]["auroc"]
    other = curve(weaker, MODALITIES, results)["effective"]["auroc"]
    assert one["value"] == pytest.approx(-other["value"])
    falls = [
        curve(of, MODALITIES)["relative"]["auroc"]["value"] - of[NAMES[0]].overall("auroc")["value"]
        for of in (results, weaker)
    ]
    assert one["value"] == pytest.approx(falls[0] - falls[1])


def test_robustness_needs_every_pattern_and_two_modalities():
    results = results_of(made(60))
    lost = curve({n: r for n, r in results.items() if n != "labs"}, MODALITIES)
    assert lost["relative"] is None
    assert "labs" in lost["reason"]
    assert "one modality" in curve(results, ["image"])["reason"]


def test_the_presence_of_modalities_alone_is_as_good_as_its_shares():
    frame = made()
    told = summarise(frame, CLASSES, replicates=20)["presence_only"]
    auroc = told["metrics"]["auroc"]
    assert auroc["low"] < 0.5 < auroc["high"]  # who lacks the image is chance here
    assert auroc["value"] == pytest.approx(0.5, abs=0.06)
    assert (told["n_tuning"], told["sets"]) == (300, 2)
    ill = frame.with_columns(
        present=pl.when(pl.col("label") == 2).then(pl.lit("note")).otherwise(pl.lit("image+note+labs"))
    )
    told = summarise(ill, CLASSES, replicates=0)["presence_only"]["metrics"]
    # Class 2 is told apart without error, and the other two not at all among themselves.
    held = frame.filter(pl.col("split") == "held_out", pl.col("pattern") == "note")["label"].to_numpy()
    n = np.bincount(held)
    expected = [(0.5 * n[1 - c] + n[2]) / (n[1 - c] + n[2]) for c in (0, 1)] + [1.0]
    assert told["auroc"]["value"] == pytest.approx(np.mean(expected))
    assert (
        "which modalities"
        in summarise(frame.drop("present"), CLASSES, replicates=0)["presence_only"]["reason"]
    )
