"""Metrics against scikit-learn, with and without weights, and against cases worked by hand."""

import numpy as np
import polars as pl
import pytest
from made_up import CLASSES, predictions
from sklearn import metrics as sk

from mhdiff.evaluate.metrics import WeightedMetrics
from mhdiff.evaluate.predictions import Scored, check_predictions, to_scored
from mhdiff.evaluate.thresholds import youden
from ontology.errors import InputError

THRESHOLDS = np.array([0.3, 0.25, 0.4])


def scored_of(p, y, thresholds=None):
    p, y = np.asarray(p, float), np.asarray(y)
    limits = np.full(p.shape[1], np.nan) if thresholds is None else thresholds
    called = np.where(np.isnan(limits), np.nan, p >= limits)
    return Scored(np.arange(len(y)), np.arange(len(y)), y, p, called)


@pytest.mark.parametrize("decimals", [1, 12])  # 1: many ties
def test_every_metric_agrees_with_scikit_learn_under_weights(decimals):
    scored = to_scored(predictions(120, strength=1.0), THRESHOLDS)
    rounded = np.round(scored.probabilities, decimals)
    scored = scored_of(rounded, scored.labels, THRESHOLDS)
    weights = np.random.default_rng(1).integers(0, 4, size=(5, 120)).astype(float)
    weights[0] = 1
    found = WeightedMetrics(scored)(weights)
    guess = rounded.argmax(axis=1)
    for r, w in enumerate(weights):
        one = [scored.labels == c for c in range(3)]
        expected = {
            "auroc": [sk.roc_auc_score(one[c], rounded[:, c], sample_weight=w) for c in range(3)],
            "auprc": [sk.average_precision_score(one[c], rounded[:, c], sample_weight=w) for c in range(3)],
            "f1": sk.f1_score(scored.labels, guess, average=None, sample_weight=w),
            "sensitivity": [
                sk.recall_score(one[c], rounded[:, c] >= THRESHOLDS[c], sample_weight=w) for c in range(3)
            ],
            "specificity": [
                sk.recall_score(one[c], rounded[:, c] >= THRESHOLDS[c], sample_weight=w, pos_label=0)
                for c in range(3)
            ],
        }
        for name, values in expected.items():
            np.testing.assert_allclose(found.per_class[name][r], values, atol=1e-12, err_msg=name)
            np.testing.assert_allclose(found.overall[name][r], np.mean(values), atol=1e-12)
        accuracy = sk.accuracy_score(scored.labels, guess, sample_weight=w)
        np.testing.assert_allclose(found.overall["accuracy"][r], accuracy, atol=1e-12)
        brier = np.average(((rounded - np.eye(3)[scored.labels]) ** 2).sum(axis=1), weights=w)
        np.testing.assert_allclose(found.overall["brier"][r], brier, atol=1e-12)


def test_weights_are_the_same_as_copies_of_the_rows():
    scored = to_scored(predictions(60, strength=1.0), THRESHOLDS)
    weights = np.random.default_rng(2).integers(0, 3, size=60)
    copies = np.repeat(np.arange(60), weights)
    again = scored_of(scored.probabilities[copies], scored.labels[copies], THRESHOLDS)
    weighted = WeightedMetrics(scored)(weights[None].astype(float))
    repeated = WeightedMetrics(again)(np.ones((1, len(copies))))
    for name, value in weighted.overall.items():
        np.testing.assert_allclose(value, repeated.overall[name], atol=1e-12, err_msg=name)


def test_a_case_worked_by_hand():
    # Four samples, two classes. Scores of class 1: .9 (is 1), .8 (is 0), .6 (is 1), .2 (is 0).
    p1 = np.array([0.9, 0.8, 0.6, 0.2])
    found = WeightedMetrics(scored_of(np.c_[1 - p1, p1], [1, 0, 1, 0], np.array([0.5, 0.5])))(np.ones((1, 4)))
    assert found.per_class["auroc"][0, 1] == 3 / 4  # of the four pairs, only (.6, .8) is the wrong way round
    assert found.per_class["auprc"][0, 1] == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert found.overall["accuracy"][0] == 3 / 4
    assert found.per_class["sensitivity"][0, 1] == 1
    assert found.per_class["specificity"][0, 1] == 1 / 2
    assert found.per_class["f1"][0, 1] == pytest.approx(2 * 2 / (2 * 2 + 1))
    assert found.overall["brier"][0] == pytest.approx(2 * (0.01 + 0.64 + 0.16 + 0.04) / 4)
    # Confidences .9 right, .8 wrong, .6 right, .8 right; .8 and .8 share a bin: |.8 - 1 + .8 - 0| = .6
    assert found.overall["ece"][0] == pytest.approx((0.1 + 0.6 + 0.4) / 4)


def test_an_absent_class_is_undefined_and_so_is_the_macro_figure():
    found = WeightedMetrics(scored_of([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]], [0, 1], THRESHOLDS))(
        np.ones((1, 2))
    )
    for name in ("auroc", "auprc", "f1", "sensitivity"):
        assert np.isnan(found.per_class[name][0, 2])
        assert np.isnan(found.overall[name][0])
        assert not np.isnan(found.per_class[name][0, :2]).any()
    assert found.overall["accuracy"][0] == 1


def test_a_class_without_threshold_has_no_sensitivity():
    limits = np.array([0.3, np.nan, 0.4])
    found = WeightedMetrics(to_scored(predictions(60), limits))(np.ones((1, 60)))
    assert np.isnan(found.per_class["sensitivity"][0]).tolist() == [False, True, False]
    assert np.isnan(found.overall["specificity"][0])


def test_thresholds_maximise_youden_and_say_what_they_cannot_do():
    p1 = np.array([0.1, 0.2, 0.6, 0.7, 0.9])
    chosen = youden(np.c_[1 - p1, p1, np.zeros(5)], np.array([0, 0, 1, 0, 1]), CLASSES)
    # at .6: 1 + 2/3 - 1; at .9: 1/2 + 1 - 1
    assert chosen.values[1] == 0.6
    assert np.isnan(chosen.values[2])
    assert "viral" in chosen.reasons["viral"]
    assert (np.c_[1 - p1, p1] >= 0).all()


def bad(**columns):
    return predictions(20).with_columns(**columns)


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (predictions(20).drop("pattern"), "pattern"),
        (predictions(20).drop("p_1"), "p_1"),
        (predictions(20).clear(), "no predictions"),
        (bad(p_0=pl.when(pl.col("sample_id") == 7).then(float("nan")).otherwise("p_0")), "1 of 20"),
        (bad(p_0=pl.when(pl.col("sample_id") == 7).then(None).otherwise("p_0")), "1 of 20"),
        (bad(p_0=pl.col("p_0") / 2), "do not sum to 1"),
        (bad(p_0=pl.col("p_0") - 2), "no numbers in [0, 1]"),
        (bad(label=pl.lit(3)), "label 3"),
        (bad(split=pl.lit("test")), "unknown split 'test'"),
        (bad(label=pl.lit(None, dtype=pl.Int64)), "20 of 20"),
        (pl.concat([predictions(20), predictions(20)]), "twice"),
        (bad(subject_id=pl.lit(5)), "two splits is a leak"),
        (predictions(20, classes=4), "4 probabilities a row, but 3 classes"),
    ],
)
def test_unusable_predictions_are_refused(frame, says):
    with pytest.raises(InputError, match=says.replace("[", r"\[")):
        check_predictions(frame, CLASSES)
