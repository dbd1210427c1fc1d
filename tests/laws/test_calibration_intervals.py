"""Calibration errors: what they are by chance alone, and intervals that are not wholly on the wrong side."""

import numpy as np
import pytest
from scipy.special import softmax

from mhdiff.evaluate.bca import bca
from mhdiff.evaluate.bootstrap import Resamples, bootstrap
from mhdiff.evaluate.calibration_error import CalibrationErrors, floor
from mhdiff.evaluate.every_metric import EveryMetric
from mhdiff.evaluate.metrics import CALIBRATION_ERRORS, WeightedMetrics
from mhdiff.evaluate.predictions import Scored


def drawn(rng, n, stretch):
    """Logits stretched after the labels were drawn from them: 1 is calibrated."""
    logits = 1.2 * rng.normal(size=(n, 3))
    labels = (rng.random((n, 1)) > softmax(logits, axis=1).cumsum(axis=1)[:, :-1]).sum(axis=1)
    p = softmax(stretch * logits, axis=1)
    return Scored(np.arange(n), np.arange(n), labels, p, np.full_like(p, np.nan))


def figures(scored):
    return EveryMetric(scored, fitted=False)


def test_the_floor_is_the_mean_error_of_labels_drawn_from_the_probabilities():
    rng = np.random.default_rng(0)
    p = drawn(rng, 200, 1.0).probabilities
    told = floor(p, draws=400)
    errors = {name: [] for name in CALIBRATION_ERRORS}
    for _ in range(150):
        labels = (rng.random((200, 1)) > p.cumsum(axis=1)[:, :-1]).sum(axis=1)
        one = Scored(np.arange(200), np.arange(200), labels, p, np.full_like(p, np.nan))
        found = (
            WeightedMetrics(one)(np.ones((1, 200))).overall
            | CalibrationErrors(one)(np.ones((1, 200))).overall
        )
        for name, values in errors.items():
            values.append(found[name][0])
    for name, values in errors.items():
        spread = np.std(values)
        assert told[name]["mean"] == pytest.approx(np.mean(values), abs=5 * spread / np.sqrt(150)), name
        assert told[name]["mean"] < told[name]["high"] < told[name]["mean"] + 4 * spread


def test_calibrated_predictions_pass_above_their_floor_at_its_rate_and_others_always():
    rng = np.random.default_rng(1)
    above = {1.0: 0, 2.5: 0}
    for stretch in above:
        for _ in range(100):
            scored = drawn(rng, 300, stretch)
            error = figures(scored)(np.ones((1, 300))).overall["ece"][0]
            above[stretch] += error > floor(scored.probabilities)["ece"]["high"]
    assert above[1.0] <= 13  # 5 expected
    assert above[2.5] >= 95


def test_the_basic_interval_covers_where_percentiles_and_bca_lie_on_the_wrong_side():
    rng = np.random.default_rng(2)
    truth = figures(drawn(rng, 200_000, 1.5))(np.ones((1, 200_000))).overall["ece_adaptive"][0]
    basic, percentile, accelerated = 0, 0, 0
    for i in range(120):
        scored = drawn(rng, 200, 1.5)
        result = bootstrap(
            {"a": [scored]}, Resamples.of(scored.subjects, 200, i), figures=figures, accelerated=True
        )["a"]
        draws, value = result.draws.overall["ece_adaptive"], result.point.overall["ece_adaptive"][0]
        told = result.overall("ece_adaptive")
        assert 0 <= told["low"] <= told["high"]
        assert told["high"] >= told["value"]
        basic += told["low"] <= truth <= told["high"]
        low, high = np.quantile(draws, [0.025, 0.975])
        percentile += low <= truth <= high
        low, high, _ = bca(value, draws, result.without.overall["ece_adaptive"])
        accelerated += low <= truth <= high
    assert basic >= 0.8 * 120
    assert percentile <= 0.4 * 120
    assert accelerated <= 0.7 * 120


def test_a_difference_of_errors_may_be_below_0():
    rng = np.random.default_rng(3)
    good, bad = drawn(rng, 300, 1.0), drawn(rng, 300, 3.0)
    results = bootstrap({"g": [good], "b": [bad]}, Resamples.of(good.subjects, 100, 0), figures=figures)
    told = (results["g"] - results["b"]).overall("ece")
    assert told["low"] < told["value"] < 0
