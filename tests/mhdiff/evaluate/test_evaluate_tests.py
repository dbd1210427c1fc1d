"""BCa's ends, corrected t, DeLong, Holm and expected half-widths: against formulas, scipy and cases worked by hand."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from mhdiff.evaluate.bca import GROUPS, acceleration, bca, left_out
from mhdiff.evaluate.bootstrap import Resamples, bootstrap, estimate
from mhdiff.evaluate.delong import delong, placements
from mhdiff.evaluate.folds import corrected_t
from mhdiff.evaluate.holm import holm
from mhdiff.evaluate.power import auroc_half_width, difference_half_width, expectation
from mhdiff.evaluate.predictions import Scored
from ontology.errors import InputError


def test_bca_is_scipys_for_a_mean():
    data = np.random.default_rng(0).exponential(size=40)
    rng = np.random.default_rng(1)
    draws = data[rng.integers(40, size=(4000, 40))].mean(axis=1)
    without = (data.sum() - data) / 39
    low, high, why = bca(float(data.mean()), draws, without)
    peer = stats.bootstrap((data,), np.mean, n_resamples=4000, method="BCa", rng=np.random.default_rng(1))
    assert not why
    spread = draws.std()
    assert abs(low - peer.confidence_interval.low) < 0.1 * spread
    assert abs(high - peer.confidence_interval.high) < 0.1 * spread
    plain = np.quantile(draws, [0.025, 0.975])
    assert low > plain[0]  # a right-skewed figure moves both ends up
    assert high > plain[1]


def test_acceleration_of_a_mean_is_a_sixth_of_its_skewness_and_groups_change_it_little():
    data = np.random.default_rng(2).exponential(size=20_000)
    exact = acceleration((data.sum() - data) / (len(data) - 1))
    assert exact == pytest.approx(stats.skew(data) / (6 * math.sqrt(len(data))), rel=1e-3)
    weights = np.concatenate(list(left_out(len(data), 0)))
    assert weights.shape == (GROUPS, len(data))
    assert (weights.sum(axis=0) == GROUPS - 1).all()  # each patient is left out once
    grouped = acceleration(weights @ data / weights.sum(axis=1))
    assert abs(grouped - exact) < 4 * 0.41 / GROUPS
    few = np.concatenate(list(left_out(70, 0)))
    assert np.array_equal(few, 1 - np.eye(70))


@pytest.mark.parametrize(
    ("value", "without", "why"),
    [
        (9.0, np.arange(5.0), "outside"),
        (0.0, np.ones(5), "changes nothing"),
        (0.0, np.array([1.0, np.nan, 2.0]), "undefined"),
        (0.0, np.r_[np.zeros(200), -1.0], "too great"),  # |a| < 1/6, so z_0 must exceed 4
    ],
)
def test_where_bca_does_not_exist_percentiles_stand_and_say_so(value, without, why):
    draws = np.random.default_rng(0).normal(size=500)
    if "great" in why:
        draws = np.r_[-np.linspace(1, 2, 99_999), 1.0]
    figure = estimate(value, draws, "", without)
    assert why in figure["remark"]
    assert [figure["low"], figure["high"]] == np.quantile(draws, [0.025, 0.975]).tolist()
    fine = np.random.default_rng(1).normal(size=50)
    assert "remark" not in estimate(float(np.median(draws)), draws, "", fine)


def test_corrected_t_worked_by_hand():
    found = corrected_t([1.0, 2.0, 3.0, 4.0, 5.0], n_train=80, n_test=20)
    error = math.sqrt((1 / 5 + 1 / 4) * 2.5)  # .45 in place of .2
    assert found["value"] == 3
    assert found["df"] == 4
    assert found["high"] == pytest.approx(3 + 2.7764451 * error)
    assert found["p"] == pytest.approx(2 * stats.t.sf(3 / error, 4))
    assert found["p"] > stats.ttest_1samp([1, 2, 3, 4, 5], 0).pvalue


def test_corrected_t_says_what_it_cannot_do():
    lost = corrected_t([1.0, float("nan"), 2.0], 80, 20)
    assert lost["value"] is None
    assert "number 2" in lost["reason"]
    assert corrected_t([1.0], 80, 20)["p"] is None
    same = corrected_t([0.1, 0.1, 0.1], 80, 20)
    assert (same["value"], same["p"]) == (pytest.approx(0.1), None)
    for bad in ([], 0, 20), ([1.0], 0, 20):
        with pytest.raises(InputError, match="nothing to test"):
            corrected_t(*bad)


def naive(first, second, positive):
    """Placements by all pairs, and the covariance of DeLong et al. written out."""
    v10, v01 = [], []
    for scores in (first, second):
        x, y = scores[positive][:, None], scores[~positive][None]
        psi = (x > y) + 0.5 * (x == y)
        v10.append(psi.mean(axis=1))
        v01.append(psi.mean(axis=0))
    m, n = len(v10[0]), len(v01[0])
    d10, d01 = v10[0] - v10[1], v01[0] - v01[1]
    return d10.mean(), math.sqrt(d10.var(ddof=1) / m + d01.var(ddof=1) / n), v10, v01


@pytest.mark.parametrize("decimals", [1, 12])
def test_delong_is_the_one_over_all_pairs(decimals):
    rng = np.random.default_rng(3)
    positive = rng.random(150) < 0.3
    shared = rng.normal(size=150)
    scores = [np.round(positive + shared + rng.normal(size=150), decimals) for _ in range(2)]
    value, error, v10, v01 = naive(*scores, positive)
    found = delong(*scores, positive, np.arange(150))
    assert found["value"] == pytest.approx(value)
    assert found["first"] == pytest.approx(roc_auc_score(positive, scores[0]))
    assert found["p"] == pytest.approx(2 * stats.norm.sf(abs(value) / error))
    assert found["high"] == pytest.approx(value + 1.959964 * error)
    np.testing.assert_allclose(placements(scores[0], positive)[0], v10[0])
    np.testing.assert_allclose(placements(scores[0], positive)[1], v01[0])


def test_delong_agrees_with_the_mann_whitney_statistic_and_with_the_bootstrap():
    rng = np.random.default_rng(4)
    positive = rng.random(600) < 0.4
    p = [1 / (1 + np.exp(-(positive + rng.normal(size=600)))) for _ in range(2)]
    found = delong(*p, positive, np.arange(600))
    u = stats.mannwhitneyu(p[0][positive], p[0][~positive]).statistic
    assert found["first"] == pytest.approx(u / (positive.sum() * (~positive).sum()))
    runs = {
        str(i): [Scored(np.arange(600), np.arange(600), positive.astype(int), np.c_[1 - q, q], np.c_[q, q])]
        for i, q in enumerate(p)
    }
    results = bootstrap(runs, Resamples.of(np.arange(600), 3000, 0))
    spread = (results["0"] - results["1"]).draws.per_class["auroc"][:, 1].std()
    assert (found["high"] - found["low"]) / (2 * 1.959964) == pytest.approx(spread, rel=0.08)


def test_delong_refuses_what_it_is_not_for_and_says_what_is_undefined():
    positive, scores = np.array([True, True, False, False]), np.array([0.9, 0.4, 0.5, 0.1])
    with pytest.raises(InputError, match="not independent"):
        delong(scores, scores, positive, np.array([1, 1, 2, 3]))
    with pytest.raises(InputError, match="NaN"):
        delong(scores, np.full(4, np.nan), positive, np.arange(4))
    with pytest.raises(InputError, match="length"):
        delong(scores, scores[:3], positive, np.arange(4))
    assert delong(scores, scores, np.zeros(4, bool), np.arange(4))["reason"].startswith("0 positives")
    same = delong(scores, scores, positive, np.arange(4))
    assert (same["value"], same["p"]) == (0, None)
    assert "no variance" in same["reason"]


def test_holm_worked_by_hand_and_against_scipys_neighbours():
    # sorted .005 .01 .03 .04: times 4, 3, 2, 1 = .02 .03 .06 .04, made ascending
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert list(found) == ["a", "b", "c", "d"]
    assert list(found.values()) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm({"a": 0.6, "b": 0.9}) == {"a": 1.0, "b": 1.0}
    # a test that could not be made counts in the family
    assert holm({"a": 0.02, "failed": None, "nan": float("nan")}) == {
        "a": pytest.approx(0.06),
        "failed": None,
        "nan": None,
    }
    assert holm({}) == {}
    with pytest.raises(InputError, match="no p-value"):
        holm({"a": 1.5})


def test_expected_half_widths_are_the_published_ones():
    # AUROC .85 with 5,000 samples, as computed apart: 10 / 25 / 50 / 100 / 250 positives
    for positives, half in ((10, 0.150), (25, 0.095), (50, 0.067), (100, 0.048), (250, 0.030)):
        assert auroc_half_width(0.85, positives, 5000 - positives) == pytest.approx(half, abs=6e-4)
    alone = auroc_half_width(0.8, 50, 400)
    width = [difference_half_width(0.8, 0.8, 50, 400, correlation=r) for r in (0, 0.5, 1)]
    assert width == pytest.approx([math.sqrt(2) * alone, alone, 0], abs=1e-9)
    assert math.isnan(auroc_half_width(0.8, 0, 400))
    assert math.isnan(difference_half_width(0.8, 0.8, 0, 400, correlation=0.5))
    assert "n+ 100" in expectation(100, 4900)
    assert "+-4.8 points" in expectation(100, 4900)
    assert "no AUROC" in expectation(0, 10)
    for bad in ((1.2, 5, 5), (0.8, -1, 5)):
        with pytest.raises(InputError, match="cannot be"):
            auroc_half_width(*bad)
    with pytest.raises(InputError, match="correlation"):
        difference_half_width(0.8, 0.8, 5, 5, correlation=2)
