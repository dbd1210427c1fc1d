"""Intervals and half-widths to expect hold over simulated studies, and no figure knows the order of the rows."""

import numpy as np
import polars as pl
import pytest
from scipy import stats
from scipy.special import softmax

from mhdiff.evaluate.bootstrap import Resamples, bootstrap
from mhdiff.evaluate.compare import paired_difference
from mhdiff.evaluate.decision import decision_curves
from mhdiff.evaluate.delong import delong
from mhdiff.evaluate.every_metric import EVERY_OVERALL, EVERY_PER_CLASS, EveryMetric
from mhdiff.evaluate.power import auroc_half_width, difference_half_width
from mhdiff.evaluate.predictions import Scored, check_predictions, to_scored
from mhdiff.evaluate.subgroups import subgroups

AUROC = float(stats.norm.cdf(1 / np.sqrt(2)))  # of N(1, 1) over N(0, 1)


def scored_of(p1, labels, subjects=None):
    rows = np.arange(len(labels))
    p = np.c_[1 - p1, p1]
    return Scored(rows, rows if subjects is None else subjects, labels, p, (p >= 0.5).astype(float))


def binormal(rng, patients, prevalence=0.5, shift=0.0):
    labels = (rng.random(patients) < prevalence).astype(int)
    return scored_of(1 / (1 + np.exp(-(labels + shift + rng.normal(size=patients)))), labels)


def intervals(studies, seed, make, name, replicates=300):
    rng = np.random.default_rng(seed)
    for i in range(studies):
        run = make(rng)
        result = bootstrap({"a": [run]}, Resamples.of(run.subjects, replicates, i), accelerated=True)["a"]
        yield result.overall(name)


@pytest.mark.slow
def test_a_nominal_95_percent_bca_interval_covers_an_auroc_in_93_to_97_percent_of_studies():
    found = list(intervals(1000, 5, lambda rng: binormal(rng, 120), "auroc"))
    assert 0.93 <= np.mean([f["low"] <= AUROC <= f["high"] for f in found]) <= 0.97
    assert not any("remark" in f for f in found)


@pytest.mark.slow
def test_bca_covers_a_clustered_proportion_from_both_sides():
    # Accuracy of .9 in 80 patients with one to three equal samples: skewed, and clustered.
    rng = np.random.default_rng(6)
    low, high = 0, 0
    for i in range(1000):
        times = rng.integers(1, 4, size=80)
        right = (rng.random(80) < 0.9).astype(int)
        subjects = np.repeat(np.arange(80), times)
        run = scored_of(np.full(subjects.size, 0.8), right[subjects], subjects)
        resamples = Resamples.of(subjects, 400, i)
        figure = bootstrap({"a": [run]}, resamples, accelerated=True)["a"].overall("accuracy")
        low += figure["low"] > 0.9
        high += figure["high"] < 0.9
    assert 0.93 <= 1 - (low + high) / 1000 <= 0.97
    assert max(low, high) <= 0.045 * 1000  # .025 on either side, were it exact


@pytest.mark.slow
def test_near_the_end_of_the_scale_bca_misses_less_and_more_evenly_than_percentiles():
    rng, truth = np.random.default_rng(7), stats.norm.cdf(2 / np.sqrt(2))
    labels = (np.arange(150) < 15).astype(int)
    misses = {False: np.zeros(2), True: np.zeros(2)}
    for i in range(400):
        run = scored_of(1 / (1 + np.exp(-(2 * labels + rng.normal(size=150)))), labels)
        for accelerated, sides in misses.items():
            resamples = Resamples.of(run.subjects, 300, i)
            figure = bootstrap({"a": [run]}, resamples, accelerated=accelerated)["a"].overall("auroc")
            sides += [figure["low"] > truth, figure["high"] < truth]
    assert misses[True].sum() < 0.9 * misses[False].sum()
    assert abs(np.diff(misses[True])) < 0.8 * abs(np.diff(misses[False]))


def test_left_out_patients_are_left_out_whole():
    rng = np.random.default_rng(7)
    subjects = np.repeat(np.arange(20), 3)
    run = scored_of(rng.random(60), rng.integers(2, size=60), subjects)
    result = bootstrap({"a": [run]}, Resamples.of(subjects, 20, 0), figures=EveryMetric, accelerated=True)[
        "a"
    ]
    for patient in (0, 7, 19):
        keep = subjects != patient
        rest = Scored(*(a[keep] for a in (run.samples, subjects, run.labels, run.probabilities, run.called)))
        alone = EveryMetric(rest)(np.ones((1, 57)))
        for name in EVERY_OVERALL:
            if "adaptive" not in name:  # edges come from all samples
                assert result.without.overall[name][patient] == pytest.approx(alone.overall[name][0]), name


@pytest.mark.parametrize(("patients", "prevalence"), [(200, 0.5), (600, 0.1)])
def test_the_expected_half_width_is_the_spread_over_studies(patients, prevalence):
    rng = np.random.default_rng(8)
    positives = round(patients * prevalence)
    labels = np.arange(patients) < positives
    auroc = []
    for _ in range(2000):
        # exponential scores, for which the formula is exact: positives are A / (1 - A) times as long
        times = np.where(labels, AUROC / (1 - AUROC), 1.0)
        pair = [-np.log(stats.norm.sf(s)) * times for s in correlated(rng, patients, 0.6)]
        auroc.append([mann_whitney(s, labels) for s in pair])
    spread = 1.959964 * np.std(auroc, axis=0)
    expected = auroc_half_width(AUROC, positives, patients - positives)
    assert expected == pytest.approx(spread.mean(), rel=0.05)
    rho = np.corrcoef(np.array(auroc).T)[0, 1]
    paired = difference_half_width(AUROC, AUROC, positives, patients - positives, correlation=rho)
    assert paired == pytest.approx(1.959964 * np.std(np.diff(auroc, axis=1)), rel=0.05)


def test_the_expected_half_width_is_rather_too_great_for_normal_scores():
    rng = np.random.default_rng(11)
    labels = np.arange(600) < 60
    auroc = [mann_whitney(labels + rng.normal(size=600), labels) for _ in range(1000)]
    spread = 1.959964 * np.std(auroc)
    assert spread < auroc_half_width(AUROC, 60, 540) < 1.25 * spread


def correlated(rng, n, r):
    shared = rng.normal(size=n)
    return [np.sqrt(r) * shared + np.sqrt(1 - r) * rng.normal(size=n) for _ in range(2)]


def mann_whitney(scores, labels):
    ranks = stats.rankdata(scores)
    m = int(labels.sum())
    return (ranks[labels].sum() - m * (m + 1) / 2) / (m * (len(labels) - m))


def test_permuting_the_rows_changes_no_figure():
    rng = np.random.default_rng(9)
    n = 240
    subjects, labels = np.repeat(np.arange(120), 2), rng.integers(3, size=n)
    p = np.round(softmax(rng.normal(size=(n, 3)) + np.eye(3)[labels], axis=1), 2)  # ties
    p[:, 2] = 1 - p[:, 0] - p[:, 1]
    sites = rng.choice(["a", "b"], size=n)
    classes = ["x", "y", "z"]

    frame = pl.DataFrame(
        {"sample_id": np.arange(n), "subject_id": subjects, "site": sites, "split": "held_out", "pattern": "labs",
         "label": labels} | {f"p_{c}": p[:, c] for c in range(3)}
    )  # fmt: skip

    def figures(given):
        checked = check_predictions(given)
        run = to_scored(checked, np.full(3, 0.3))
        resamples = Resamples.of(run.subjects, 40, 1)
        result = bootstrap({"a": [run]}, resamples, figures=EveryMetric, accelerated=True)["a"]
        told = [result.overall(name) for name in EVERY_OVERALL]
        told += [result.per_class(name, c) for name in EVERY_PER_CLASS for c in range(3)]
        return (
            told,
            subgroups(run, checked["site"].to_list(), classes, resamples),
            decision_curves(run, classes, resamples),
        )

    mixed = frame.sample(fraction=1, shuffle=True, seed=9)
    assert mixed["sample_id"].to_list() != frame["sample_id"].to_list()
    assert figures(mixed) == figures(frame)
    # and without sorting: a weighting that goes with its rows gives the same figures
    order = rng.permutation(n)
    run = Scored(np.arange(n), subjects, labels, p, (p > 0.3).astype(float))
    mixed = Scored(np.arange(n), subjects[order], labels[order], p[order], run.called[order])
    weights = rng.integers(0, 3, size=(5, n)).astype(float)
    one, two = EveryMetric(run)(weights), EveryMetric(mixed)(weights[:, order])
    for name, values in one.overall.items():
        np.testing.assert_allclose(values, two.overall[name], atol=1e-9, err_msg=name)
    for name, values in one.per_class.items():
        np.testing.assert_allclose(values, two.per_class[name], atol=1e-9, err_msg=name)
    first, second = delong(p[:120, 0], p[:120, 1], labels[:120] == 0, np.arange(120)), None
    order = rng.permutation(120)
    second = delong(p[:120, 0][order], p[:120, 1][order], labels[:120][order] == 0, order)
    assert all(second[key] == pytest.approx(value) for key, value in first.items())


def test_a_paired_difference_may_have_a_bca_interval():
    rng = np.random.default_rng(10)
    labels = rng.integers(2, size=200)

    def frame(strength, seed):
        noise = np.random.default_rng(seed).normal(size=200)
        p1 = 1 / (1 + np.exp(-(strength * (labels - 0.5) + noise)))
        rows = {"sample_id": np.arange(200), "subject_id": np.arange(200), "label": labels}
        split = np.where(np.arange(200) < 60, "tuning", "held_out")
        return pl.DataFrame(rows | {"split": split, "pattern": "labs", "p_0": 1 - p1, "p_1": p1})

    weak, strong = frame(0.5, 1), frame(3.0, 2)
    plain = paired_difference(strong, weak, ["no", "yes"], replicates=200)["auroc"]
    moved = paired_difference(strong, weak, ["no", "yes"], replicates=200, accelerated=True)["auroc"]
    assert plain["value"] == moved["value"]
    assert 0 < moved["low"] < moved["value"] < moved["high"]
    assert (plain["low"], plain["high"]) != (moved["low"], moved["high"])
