"""Intervals cover what they say, equals are rarely called different, and patients are resampled whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from mhdiff.evaluate.bootstrap import Resamples, bootstrap
from mhdiff.evaluate.metrics import WeightedMetrics
from mhdiff.evaluate.predictions import Scored
from tests.searches import examples

AUROC = 0.7602  # P(a > b) for a ~ N(1, 1), b ~ N(0, 1)


def study(rng, subjects=120, per_subject=1, models=1):
    """Draw a study of binormal scores, one set a model; a patient's samples are copies of each other."""
    labels = rng.integers(2, size=subjects)
    runs = []
    for _ in range(models):
        score = 1 / (1 + np.exp(-(labels + rng.normal(size=subjects))))
        rows = np.repeat(np.arange(subjects), per_subject)
        p = np.c_[1 - score, score][rows]
        runs.append(Scored(np.arange(rows.size), rows, labels[rows], p, np.full_like(p, np.nan)))
    return runs


def coverage(studies, seed, per_subject=1):
    rng = np.random.default_rng(seed)
    inside = 0
    for i in range(studies):
        (run,) = study(rng, per_subject=per_subject)
        figure = bootstrap({"a": [run]}, Resamples.of(run.subjects, 300, i))["a"].overall("auroc")
        inside += figure["low"] <= AUROC <= figure["high"]
    return inside / studies


@pytest.mark.slow
def test_a_nominal_95_percent_interval_covers_in_93_to_97_percent_of_studies():
    assert 0.93 <= coverage(2000, seed=2) <= 0.97


def test_copies_of_a_patient_make_no_interval_narrower():
    assert 0.92 <= coverage(400, seed=1, per_subject=3) <= 0.98


@pytest.mark.slow  # as the coverage of one figure above, of which copies_of_a_patient stays
def test_a_difference_of_equals_is_called_one_at_its_nominal_rate():
    rng = np.random.default_rng(3)
    called = 0
    for i in range(300):
        first, second = study(rng, models=2)
        results = bootstrap({"a": [first], "b": [second]}, Resamples.of(first.subjects, 200, i))
        figure = (results["a"] - results["b"]).overall("auroc")
        called += not figure["low"] <= 0 <= figure["high"]
    assert 0.01 <= called / 300 <= 0.10


def test_resamples_weigh_whole_patients_and_repeat_themselves():
    subjects = np.array([5, 5, 9, 2, 2, 2])
    resamples = Resamples.of(subjects, 200, 4)
    blocks = list(resamples.blocks())
    counts = np.concatenate(blocks)
    assert counts.shape == (200, 3)
    assert (counts.sum(axis=1) == 3).all()
    assert abs(counts.mean() - 1) < 1e-12
    assert abs(counts[:, 0].var() - 2 / 3) < 0.15  # binomial(3, 1/3)
    assert all(np.array_equal(a, b) for a, b in zip(blocks, resamples.blocks(), strict=True))
    assert resamples.place(subjects).tolist() == [1, 1, 2, 0, 0, 0]
    shorter = np.concatenate(list(Resamples.of(subjects, 64, 4).blocks()))
    assert np.array_equal(shorter, counts[:64])


def test_the_bootstrap_is_the_naive_one_done_fast():
    rng = np.random.default_rng(6)
    (run,) = study(rng, subjects=50, per_subject=2)
    resamples = Resamples.of(run.subjects, 40, 1)
    fast = bootstrap({"a": [run]}, resamples)["a"].draws.overall["auroc"]
    slow = []
    for count in np.concatenate(list(resamples.blocks())):
        rows = np.concatenate(
            [np.flatnonzero(run.subjects == s) for s in np.repeat(np.arange(50), count.astype(int))]
        )
        slow.append(roc_auc_score(run.labels[rows], run.probabilities[rows, 1]))
    np.testing.assert_allclose(fast, slow, atol=1e-12)


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=30))
def test_figures_do_not_depend_on_order_or_on_monotone_rescaling(rows):
    labels = np.array([row[0] for row in rows])
    raw = np.array([(1 + a, 1 + b, 1.0) for _, a, b in rows])
    p = raw / raw.sum(axis=1, keepdims=True)
    n = len(rows)

    def figures(order, q):
        scored = Scored(np.arange(n), np.arange(n), labels[order], q[order], np.full((n, 3), np.nan))
        return WeightedMetrics(scored)(np.ones((1, n)))

    order = np.random.default_rng(0).permutation(n)
    first, second = figures(np.arange(n), p), figures(order, p)
    for name, value in first.overall.items():
        np.testing.assert_allclose(value, second.overall[name], atol=1e-9, err_msg=name)
    # p -> p^2 (exact in order, ties stay ties) changes no ranking metric
    squared = figures(np.arange(n), p**2)
    for name in ("auroc", "auprc"):
        np.testing.assert_allclose(first.per_class[name], squared.per_class[name], atol=1e-12)
        assert ((first.per_class[name] >= 0) | np.isnan(first.per_class[name])).all()
        assert ((first.per_class[name] <= 1 + 1e-12) | np.isnan(first.per_class[name])).all()
