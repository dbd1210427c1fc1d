"""Tests keep their level under the null: rank p, Holm over a family, DeLong, the corrected t over folds."""

import numpy as np
import pytest
from scipy import stats

from mhdiff.ablate.draws import rank
from mhdiff.evaluate.delong import delong
from mhdiff.evaluate.folds import corrected_t
from mhdiff.evaluate.holm import holm


def test_the_rank_p_is_uniform_under_the_null():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(20_000, 20))
    p = np.array([rank(float(v[0]), v[1:].tolist())["rank_p"] for v in values])
    counts = np.bincount(np.rint(p * 20).astype(int), minlength=21)[1:]
    assert counts.sum() == 20_000
    assert stats.chisquare(counts).pvalue > 0.001
    low = np.array([rank(float(v[0]), v[1:].tolist(), lower_is_better=True)["rank_p"] for v in values[:500]])
    np.testing.assert_allclose(low, 21 / 20 - p[:500])  # the other tail, without ties


def test_ties_with_the_null_make_the_rank_p_no_smaller():
    rng = np.random.default_rng(1)
    values = rng.integers(0, 4, size=(4000, 20)).astype(float)
    p = np.array([rank(float(v[0]), v[1:].tolist())["rank_p"] for v in values])
    for alpha in (0.05, 0.1, 0.2):
        assert (p <= alpha + 1e-12).mean() <= alpha + 0.01


def test_holm_controls_the_family_wise_rate_under_independence_and_dependence():
    rng = np.random.default_rng(2)
    for r in (0.0, 0.8):
        shared = rng.normal(size=(4000, 1))
        z = np.sqrt(r) * shared + np.sqrt(1 - r) * rng.normal(size=(4000, 8))
        z[:, :3] += 4.0  # three true effects; five nulls
        p = stats.norm.sf(z)
        adjusted = np.array([list(holm(dict(enumerate(row))).values()) for row in p.tolist()])
        false = (adjusted[:, 3:] <= 0.05).any(axis=1).mean()
        assert false <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 4000)
        if r == 0:
            assert (
                false >= 0.03
            )  # the five nulls at .05 / 5 each once the effects are out: not merely Bonferroni's /8
            assert (p[:, 3:] <= 0.05).any(axis=1).mean() > 0.2  # what it is for
        assert (adjusted[:, :3] <= 0.05).mean() > 0.8


@pytest.mark.slow
def test_delong_covers_and_keeps_its_level():
    rng = np.random.default_rng(3)
    patients, truth = 150, stats.norm.cdf(1.2 / np.sqrt(2)) - stats.norm.cdf(0.7 / np.sqrt(2))
    inside, called = 0, 0
    for _ in range(2000):
        positive = rng.random(patients) < 0.4
        shared = rng.normal(size=patients)
        one, two, three = (
            strength * positive + np.sqrt(0.5) * shared + np.sqrt(0.5) * rng.normal(size=patients)
            for strength in (1.2, 0.7, 0.7)
        )
        better = delong(one, two, positive, np.arange(patients))
        inside += better["low"] <= truth <= better["high"]
        called += delong(two, three, positive, np.arange(patients))["p"] <= 0.05
    assert 0.93 <= inside / 2000 <= 0.97
    assert 0.03 <= called / 2000 <= 0.07


def test_the_corrected_t_keeps_its_level_over_folds_where_the_plain_one_does_not():
    # Two learners of one quality: nearest-mean classifiers on different noise features; 10 repetitions of 5 folds.
    rng = np.random.default_rng(4)
    n, corrected, plain = 100, 0, 0
    studies = 300
    for _ in range(studies):
        y = rng.integers(2, size=n)
        x = rng.normal(size=(2, n, 5)) + 0.3 * y[None, :, None]
        d = []
        for _ in range(10):
            fold = rng.permutation(n) % 5
            for f in range(5):
                train, test = fold != f, fold == f
                means = np.stack([x[:, train & (y == c)].mean(axis=1) for c in (0, 1)])
                far = ((x[None, :, test] - means[:, :, None]) ** 2).sum(axis=-1)
                right = (far[1] < far[0]) == (y[test] == 1)
                d.append(float(right[0].mean() - right[1].mean()))
        found = corrected_t(d, 80, 20)
        corrected += found["p"] is not None and found["p"] <= 0.05
        plain += stats.ttest_1samp(d, 0).pvalue <= 0.05
    assert corrected / studies <= 0.10
    assert plain / studies >= 0.25
