"""Calibration, and the names of patterns."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torchmetrics.functional import calibration_error

from mhdiff.evaluate.calibration import (
    apply_temperature,
    bin_of,
    expected_calibration_error,
    fit_temperature,
    log_probabilities,
    reliability,
)
from mhdiff.evaluate.patterns import all_patterns, modalities_of, order_patterns, parse_pattern, pattern_name
from ontology.errors import InputError

MODALITIES = ["image", "note", "labs", "codes"]


def test_certain_predictions_belong_to_the_last_bin():
    # Two certain ones (one wrong), two at .95 (both right): one bin, mean confidence .975, accuracy .75.
    p = np.array([[1.0, 0.0], [1.0, 0.0], [0.95, 0.05], [0.95, 0.05]])
    assert expected_calibration_error(p, np.array([0, 1, 0, 0])) == pytest.approx(0.975 - 0.75)


def test_ece_agrees_with_torchmetrics_where_nothing_is_certain():
    rng = np.random.default_rng(0)
    p, y = softmax(rng.normal(size=(500, 4)), axis=1), rng.integers(4, size=500)
    theirs = calibration_error(
        torch.tensor(p), torch.tensor(y), task="multiclass", num_classes=4, n_bins=15, norm="l1"
    )
    assert expected_calibration_error(p, y) == pytest.approx(float(theirs), abs=1e-6)


def test_bins_are_closed_on_the_right():
    assert bin_of(np.array([0.0, 0.2, 0.2000001, 1.0]), 5).tolist() == [0, 0, 1, 4]


def test_reliability_counts_everyone_once():
    p = softmax(np.random.default_rng(0).normal(size=(100, 3)), axis=1)
    table = reliability(p, np.zeros(100, int))
    assert sum(row["n"] for row in table) == 100
    assert all((row["confidence"] is None) == (row["n"] == 0) for row in table)


def test_a_known_temperature_is_recovered_from_logits_and_from_probabilities():
    rng = np.random.default_rng(0)
    honest = 1.5 * rng.normal(size=(20000, 4))
    y = (softmax(honest, axis=1).cumsum(axis=1) > rng.random((20000, 1))).argmax(axis=1)
    loud = 2.5 * honest
    fitted = fit_temperature(loud, y)
    assert fitted.value == pytest.approx(2.5, rel=0.05)
    assert fitted.nll_after < fitted.nll_before
    assert not fitted.at_bound
    p = softmax(loud, axis=1)
    assert fit_temperature(log_probabilities(p), y).value == pytest.approx(fitted.value, rel=1e-3)
    cooled = apply_temperature(p, fitted.value)
    assert expected_calibration_error(cooled, y) < 0.02 < expected_calibration_error(p, y)
    assert (cooled.argmax(axis=1) == p.argmax(axis=1)).all()


def test_a_zero_probability_and_perfect_separation_stay_finite():
    fitted = fit_temperature(log_probabilities(np.array([[1.0, 0.0], [0.0, 1.0]])), np.array([0, 1]))
    assert np.isfinite([fitted.value, fitted.nll_after]).all()
    assert fit_temperature(np.array([[2.0, 0.0], [0.0, 2.0]]), np.array([0, 1])).at_bound


def test_patterns_are_all_there_in_order_and_named():
    patterns = all_patterns(MODALITIES)
    names = [pattern_name(subset, MODALITIES) for subset in patterns]
    assert len(set(names)) == 2**4 - 1
    assert names[0] == "image+note+labs+codes"
    assert names[1] == "image+note+labs"
    assert names[-1] == "codes"
    assert [parse_pattern(name, MODALITIES) for name in names] == patterns
    assert order_patterns([*names[::-1], "none"], MODALITIES) == [*names, "none"]
    assert modalities_of(names) == MODALITIES
    assert pattern_name([], MODALITIES) == "none"
    assert parse_pattern("codes+image", MODALITIES) == ("image", "codes")


def test_unknown_patterns_are_refused():
    for call in (
        lambda: parse_pattern("image+smell", MODALITIES),
        lambda: parse_pattern("image+image", MODALITIES),
        lambda: pattern_name(["smell"], MODALITIES),
        lambda: modalities_of(["image+note", "labs"]),
        lambda: modalities_of(["image+note+labs", "note+image"]),
        lambda: all_patterns(["image", "image"]),
        lambda: all_patterns(["a+b"]),
    ):
        with pytest.raises(InputError):
            call()
