"""The metrics beside the headline ones, against scikit-learn, plain likelihoods, fairlearn and cases worked by hand."""

from itertools import pairwise

import numpy as np
import pytest
from fairlearn.metrics import MetricFrame
from made_up import CLASSES, predictions
from scipy.optimize import minimize
from sklearn import metrics as sk

from mhdiff.evaluate import every_metric
from mhdiff.evaluate.bootstrap import Resamples, bootstrap
from mhdiff.evaluate.calibration import expected_calibration_error
from mhdiff.evaluate.calibration_error import CalibrationErrors, adaptive_bin_of
from mhdiff.evaluate.class_frequency import by_frequency
from mhdiff.evaluate.decision import NetBenefit, decision_curves
from mhdiff.evaluate.every_metric import EVERY_OVERALL, EVERY_PER_CLASS, EveryMetric
from mhdiff.evaluate.metrics import AT_SPECIFICITY, WeightedMetrics
from mhdiff.evaluate.predictions import Scored, to_scored
from mhdiff.evaluate.recalibration import GROUPS, Recalibration
from mhdiff.evaluate.subgroups import UNKNOWN, subgroups
from ontology.errors import InputError


def scored_of(p, labels, subjects=None):
    p, labels = np.asarray(p, float), np.asarray(labels)
    rows = np.arange(len(labels))
    return Scored(rows, rows if subjects is None else subjects, labels, p, np.full_like(p, np.nan))


def binary(p1, labels):
    p1 = np.asarray(p1, float)
    return scored_of(np.c_[1 - p1, p1], labels)


def once(figures, n):
    return figures(np.ones((1, n)))


@pytest.mark.parametrize("decimals", [1, 12])
def test_sensitivity_at_fixed_specificity_is_read_off_the_roc_curve(decimals):
    scored = to_scored(predictions(150, strength=1.0))
    p = np.round(scored.probabilities, decimals)
    weights = np.random.default_rng(0).integers(0, 4, size=(6, 150)).astype(float)
    found = WeightedMetrics(scored_of(p, scored.labels))(weights).per_class[AT_SPECIFICITY]
    for r, w in enumerate(weights):
        for c in range(3):
            false_rate, true_rate, _ = sk.roc_curve(
                scored.labels == c, p[:, c], sample_weight=w, drop_intermediate=False
            )
            assert found[r, c] == pytest.approx(true_rate[false_rate <= 0.1 + 1e-9].max(), abs=1e-12)


def test_a_specificity_of_exactly_90_percent_is_enough():
    # Ten negatives at .01 .02 ... .10; called at .095 they have a specificity of 9/10, called at .085 of 8/10.
    p1 = np.r_[np.arange(1, 11) / 100, 0.095, 0.085]
    found = once(WeightedMetrics(binary(p1, [0] * 10 + [1, 1])), 12)
    assert found.per_class[AT_SPECIFICITY][0, 1] == 1 / 2


def test_adaptive_bins_hold_equally_many_and_equal_scores_stay_together():
    score = np.random.default_rng(0).beta(8, 1, size=300)
    assert np.bincount(adaptive_bin_of(score, 15)).tolist() == [20] * 15
    assert len(set(adaptive_bin_of(np.array([0.2] * 40 + [0.9]), 15)[:40])) == 1


def test_calibration_errors_worked_by_hand():
    # Class 1: scores .2 .4 .6 .8, truths 0 1 1 0; class 0 is its mirror image. Two bins.
    scored = binary([0.2, 0.4, 0.6, 0.8], [0, 1, 1, 0])
    found = once(CalibrationErrors(scored, bins=2), 4)
    # (0, .5]: .2 - 0 + .4 - 1 = -.4; (.5, 1]: .6 - 1 + .8 - 0 = .4; both over 4
    assert found.per_class["ece_classwise"][0].tolist() == pytest.approx([0.2, 0.2])
    # top label: .8 right, .6 wrong, .6 right, .8 wrong; adaptive edge at .6: |.6 + .6 - 1| and |.8 + .8 - 1|
    assert found.overall["ece_adaptive"][0] == pytest.approx((0.2 + 0.6) / 4)
    # three of class 1 near 0 and one at .9: equal width puts three in one bin, adaptive two and two
    skewed = once(CalibrationErrors(binary([0.01, 0.02, 0.03, 0.9], [0, 0, 1, 1]), bins=2), 4)
    assert skewed.per_class["ece_classwise"][0, 1] == pytest.approx((0.94 + 0.1) / 4)
    assert skewed.per_class["ece_classwise_adaptive"][0, 1] == pytest.approx((0.03 + abs(0.93 - 2)) / 4)


def test_calibration_errors_are_plain_loops_over_bins():
    scored = to_scored(predictions(400, strength=1.0, seed=3))
    p, labels = scored.probabilities, scored.labels
    found = once(CalibrationErrors(scored), 400)
    for c in range(3):
        # the top-label function on "confidence" p_c of a class that is always the one called
        edges = np.linspace(0, 1, 16)
        total = sum(
            abs((p[inside, c] - (labels[inside] == c)).sum())
            for low, high in pairwise(edges)
            if (inside := (p[:, c] > low) & (p[:, c] <= high)).any()
        )
        assert found.per_class["ece_classwise"][0, c] == pytest.approx(total / 400)
    assert once(WeightedMetrics(scored), 400).overall["ece"][0] == pytest.approx(
        expected_calibration_error(p, labels)
    )
    # top-label and class-wise, equal and adaptive, are four different figures
    four = [once(WeightedMetrics(scored), 400).overall["ece"][0], *(v[0] for v in found.overall.values())]
    assert len(set(np.round(four, 6))) == 4


def likelihood_fit(x, y, w):
    def cost(free):
        eta = free[0] + free[1] * x
        return -(w * (y * eta - np.logaddexp(0, eta))).sum()

    slope = minimize(cost, [0.0, 1.0], tol=1e-12).x[1]
    intercept = minimize(lambda a: cost([a[0], 1.0]), [0.0], tol=1e-12).x[0]
    return slope, intercept


def test_slope_and_intercept_maximise_the_likelihood_under_weights():
    scored = to_scored(predictions(200, strength=1.5, seed=2))
    weights = np.random.default_rng(5).integers(0, 4, size=(4, 200)).astype(float)
    found = Recalibration(scored)(weights)
    for r, w in enumerate(weights):
        for c in range(3):
            p = scored.probabilities[:, c]
            slope, intercept = likelihood_fit(np.log(p / (1 - p)), (scored.labels == c).astype(float), w)
            assert found.per_class["calibration_slope"][r, c] == pytest.approx(slope, abs=1e-4)
            assert found.per_class["calibration_intercept"][r, c] == pytest.approx(intercept, abs=1e-4)


def test_slope_and_intercept_know_what_was_done_to_the_logits():
    rng = np.random.default_rng(1)
    x = rng.normal(scale=1.5, size=20_000)
    labels = (rng.random(20_000) < 1 / (1 + np.exp(-x))).astype(int)
    assert len(x) > GROUPS
    for stretch, shift in ((1.0, 0.0), (2.0, 0.0), (1.0, 0.7)):
        found = once(Recalibration(binary(1 / (1 + np.exp(-(stretch * x + shift))), labels)), 20_000)
        assert found.per_class["calibration_slope"][0, 1] == pytest.approx(1 / stretch, abs=0.05)
        if stretch == 1:
            assert found.per_class["calibration_intercept"][0, 1] == pytest.approx(-shift, abs=0.05)
    grouped = once(Recalibration(binary(1 / (1 + np.exp(-x)), labels)), 20_000)
    slope, intercept = likelihood_fit(x, labels.astype(float), np.ones(20_000))
    assert grouped.per_class["calibration_slope"][0, 1] == pytest.approx(slope, abs=0.002)
    assert grouped.per_class["calibration_intercept"][0, 1] == pytest.approx(intercept, abs=0.002)


@pytest.mark.parametrize(
    ("p1", "labels", "slope", "intercept"),
    [
        ([0.1, 0.2, 0.7, 0.8], [0, 0, 1, 1], False, True),  # parted without overlap
        ([0.3, 0.3, 0.3, 0.3], [0, 0, 1, 1], False, True),  # one score for all
        ([0.1, 0.2, 0.7, 0.8], [0, 0, 0, 0], False, False),  # nobody has the class
        ([0.1, 0.7, 0.2, 0.8], [0, 0, 1, 1], True, True),
        ([0.0, 1.0, 0.2, 0.8], [0, 0, 1, 1], True, True),  # certain, and wrong
    ],
)
def test_slope_and_intercept_are_undefined_where_the_likelihood_has_no_maximum(p1, labels, slope, intercept):
    found = once(Recalibration(binary(p1, labels)), 4).per_class
    assert np.isfinite(found["calibration_slope"][0, 1]) == slope
    assert np.isfinite(found["calibration_intercept"][0, 1]) == intercept


def test_net_benefit_worked_by_hand():
    # At t = .2: called .2 (is 0), .5 (is 1), .9 (is 1): TP 2, FP 1, of 5: 2/5 - 1/5 * .2/.8 = .35
    scored = binary([0.2, 0.5, 0.9, 0.1, 0.15], [0, 1, 1, 0, 1])
    found = once(NetBenefit(scored, [0.2]), 5).per_class
    assert found["net_benefit_at_0.2"][0, 1] == pytest.approx(0.35)
    assert found["call_all_at_0.2"][0, 1] == pytest.approx(3 / 5 - 2 / 5 * 0.25)
    row = decision_curves(scored, ["no", "yes"], Resamples.of(scored.subjects, 50, 0), [0.2])["yes"][0]
    assert row["gain"]["value"] == pytest.approx(0.35 - 0.5)  # worse than calling everybody
    assert row["nobody"] == 0
    with pytest.raises(InputError, match="threshold"):
        NetBenefit(scored, [1.0])


def test_every_metric_has_all_figures_and_undefined_ones_are_nan():
    scored = to_scored(predictions(80), np.full(3, 0.3))
    found = once(EveryMetric(scored), 80)
    assert set(EVERY_OVERALL) <= set(found.overall)
    assert set(EVERY_PER_CLASS) <= set(found.per_class)
    assert all(np.isfinite(v).all() for v in found.overall.values())
    assert len(set(every_metric.EVERY_OVERALL)) == len(EVERY_OVERALL)
    weights = np.zeros((1, 80))  # nobody
    assert all(np.isnan(v).all() for v in EveryMetric(scored)(weights).overall.values())
    weights[0, scored.labels == 1] = 1  # one class only
    alone = EveryMetric(scored)(weights)
    for name in ("auroc", AT_SPECIFICITY, "calibration_slope", "calibration_intercept"):
        assert np.isnan(alone.per_class[name]).all(), name
        assert np.isnan(alone.overall[name]).all(), name
    assert np.isfinite(alone.overall["ece_classwise"]).all()


def test_every_metric_weighs_as_if_rows_were_copied():
    scored = to_scored(predictions(60, strength=1.0), np.full(3, 0.3))
    weights = np.random.default_rng(2).integers(1, 3, size=60)
    copies = np.repeat(np.arange(60), weights)
    again = Scored(
        np.arange(len(copies)),
        scored.subjects[copies],
        scored.labels[copies],
        scored.probabilities[copies],
        scored.called[copies],
    )
    weighted, repeated = (
        EveryMetric(scored)(weights[None].astype(float)),
        once(EveryMetric(again), len(copies)),
    )
    for name, value in weighted.overall.items():
        if "adaptive" not in name:  # edges come from the samples as they are
            np.testing.assert_allclose(value, repeated.overall[name], atol=1e-9, err_msg=name)


def test_subgroups_are_those_of_fairlearn():
    scored = to_scored(predictions(200, strength=1.0), np.full(3, 0.3))
    sex = np.where(np.arange(200) % 3 == 0, "f", "m")
    found = subgroups(scored, sex.tolist(), CLASSES, Resamples.of(scored.subjects, 50, 0))

    def macro_auroc(y, rows):
        rows = rows.astype(int)
        return np.mean([sk.roc_auc_score(y == c, scored.probabilities[rows, c]) for c in range(3)])

    frame = MetricFrame(
        metrics=macro_auroc, y_true=scored.labels, y_pred=np.arange(200), sensitive_features=sex
    )
    for name in ("f", "m"):
        assert found[name]["metrics"]["auroc"]["value"] == pytest.approx(frame.by_group[name])
    gap = found["f"]["gap"]["auroc"]
    assert gap["value"] == pytest.approx(frame.by_group["f"] - frame.by_group["m"])
    assert abs(gap["value"]) == pytest.approx(frame.difference())
    assert gap["low"] < gap["value"] < gap["high"]
    assert found["m"]["gap"]["auroc"]["value"] == pytest.approx(-gap["value"])


def test_a_subgroup_without_a_class_is_undefined_and_the_unknown_are_a_group():
    scored = to_scored(predictions(90, strength=1.0), np.full(3, 0.3))
    groups = ["seen" if label != 2 else "odd" for label in scored.labels]
    groups[0] = None
    found = subgroups(scored, groups, CLASSES, Resamples.of(scored.subjects, 30, 0))
    assert set(found) == {"seen", "odd", UNKNOWN}
    assert sum(row["n"] for row in found.values()) == 90
    assert found["seen"]["metrics"]["auroc"]["value"] is None
    assert "viral" in found["seen"]["metrics"]["auroc"]["reason"]
    assert found["odd"]["gap"]["auroc"]["value"] is None
    assert found["seen"]["metrics"]["accuracy"]["value"] is not None
    alone = subgroups(scored, ["x"] * 90, CLASSES, Resamples.of(scored.subjects, 10, 0))["x"]
    assert alone["gap"] is None
    assert "everybody" in alone["gap_reason"]
    with pytest.raises(InputError, match="groups"):
        subgroups(scored, ["x"], CLASSES, Resamples.of(scored.subjects, 10, 0))


def test_bands_of_frequency_average_their_classes_and_lose_none():
    scored = to_scored(predictions(300, strength=1.0, prevalence=[0.8, 0.1, 0.1]))
    result = bootstrap({"a": [scored]}, Resamples.of(scored.subjects, 100, 0))["a"]
    rows = by_frequency(result, scored, CLASSES, np.array([80, 10, 10]), metrics=("auroc",))
    assert [list(row["n_positive"]) for row in rows] == [["bacterial", "viral"], ["none"]]
    each = [result.per_class("auroc", i)["value"] for i in range(3)]
    assert rows[0]["auroc"]["value"] == pytest.approx((each[1] + each[2]) / 2)
    assert rows[0]["auroc"]["low"] < rows[0]["auroc"]["value"] < rows[0]["auroc"]["high"]
    gone = scored_of(scored.probabilities[scored.labels < 2], scored.labels[scored.labels < 2])
    result = bootstrap({"a": [gone]}, Resamples.of(gone.subjects, 100, 0))["a"]
    band = by_frequency(result, gone, CLASSES, np.array([80, 10, 10]), metrics=("auroc",))[0]["auroc"]
    assert band["value"] is None
    assert "viral" in band["reason"]
    with pytest.raises(InputError, match="ends of bands"):
        by_frequency(result, gone, CLASSES, np.array([80, 10, 10]), edges=(0.5, 0.1))
