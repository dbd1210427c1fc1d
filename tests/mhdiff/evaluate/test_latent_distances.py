"""Distances between sets of latents against closed forms, other implementations, and what must be true of a floor."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

from mhdiff.evaluate.discrepancy import Discrepancy, median_distance
from mhdiff.evaluate.frechet import frechet_distance, frechet_of_moments
from mhdiff.evaluate.latents import FEWEST, Counterparts, compare_draws, judge
from ontology.errors import InputError


def spd(dim, seed):
    a = np.random.default_rng(seed).normal(size=(dim, dim))
    return a @ a.T / dim + 0.1 * np.eye(dim)


def pairs(n, dim=6, shift=0.0, seed=0, classes=2, copies=1):
    chance = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    centre = 1.5 * labels[:, None]
    real, made = chance.normal(size=(2, n, dim)) + centre
    return Counterparts(real, made + shift, np.arange(n) // copies, labels)


def test_frechet_is_the_closed_form_of_gaussians():
    m_x, m_y = np.zeros(3), np.array([1.0, -2.0, 0.5])
    a, b = np.array([1.0, 4.0, 0.25]), np.array([9.0, 1.0, 0.25])
    expected = (m_y**2).sum() + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum()
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    found = frechet_of_moments(turn @ m_x, turn @ np.diag(a) @ turn.T, turn @ m_y, turn @ np.diag(b) @ turn.T)
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dim", [1, 5, 40])
def test_frechet_agrees_with_scipys_root_of_a_general_matrix(dim):
    m_x, m_y = np.random.default_rng(dim).normal(size=(2, dim))
    s_x, s_y = spd(dim, 1), spd(dim, 2)
    root = scipy.linalg.sqrtm(s_x @ s_y).real
    expected = ((m_x - m_y) ** 2).sum() + np.trace(s_x + s_y - 2 * root)
    assert frechet_of_moments(m_x, s_x, m_y, s_y) == pytest.approx(expected, rel=1e-9)
    assert frechet_of_moments(m_y, s_y, m_x, s_x) == pytest.approx(expected, rel=1e-9)
    assert frechet_of_moments(m_x, s_x, m_x, s_x) == pytest.approx(0.0, abs=1e-9)


def test_frechet_with_fewer_rows_than_dimensions_is_finite_and_one_row_is_refused():
    x = np.random.default_rng(0).normal(size=(5, 30))
    assert frechet_distance(x, x) == pytest.approx(0.0, abs=1e-5)
    with pytest.raises(InputError, match="two or more"):
        frechet_distance(x[:1], x)


def brute(x, y, xs, ys, w, u, s):
    """MMD^2 by loops over pairs."""

    def k(a, b):
        return np.exp(-((a - b) ** 2).sum() / (2 * s**2))

    def mean(a, b, wa, wb, apart):
        top = bottom = 0.0
        for i in range(len(a)):
            for j in range(len(b)):
                if apart(i, j):
                    top += wa[i] * wb[j] * k(a[i], b[j])
                    bottom += wa[i] * wb[j]
        return top / bottom

    return (
        mean(x, x, w, w, lambda i, j: xs[i] != xs[j])
        + mean(y, y, u, u, lambda i, j: ys[i] != ys[j])
        - 2 * mean(x, y, w, u, lambda i, j: True)
    )


def test_mmd_agrees_with_loops_over_pairs_under_weights_and_with_patients_of_several_rows():
    chance = np.random.default_rng(3)
    x, y = chance.normal(size=(7, 3)), chance.normal(size=(9, 3)) + 0.5
    xs, ys = np.array([0, 0, 1, 2, 2, 3, 4]), np.arange(9)
    found = Discrepancy(x, y, xs, ys, 1.3)
    for w, u in ((np.ones(7), np.ones(9)), (np.arange(7.0), np.arange(9.0)[::-1])):
        expected = brute(x, y, xs, ys, w, u, 1.3)
        assert found(w[None], u[None])[0] == pytest.approx(expected, rel=1e-9)
    assert found.value == pytest.approx(brute(x, y, xs, ys, np.ones(7), np.ones(9), 1.3), rel=1e-9)


def test_mmd_is_the_closed_form_of_gaussians_and_unbiased():
    dim, s, shift, n = 3, 1.5, 0.7, 40

    def expected_kernel(gap):
        return (s**2 / (s**2 + 2)) ** (dim / 2) * np.exp(-dim * gap**2 / (2 * (s**2 + 2)))

    for gap in (0.0, shift):
        truth = 2 * expected_kernel(0.0) - 2 * expected_kernel(gap)
        found = []
        for seed in range(300):
            x, y = np.random.default_rng(seed).normal(size=(2, n, dim))
            found.append(Discrepancy(x, y + gap, np.arange(n), np.arange(n), s).value)
        error = np.std(found) / np.sqrt(len(found))
        assert abs(np.mean(found) - truth) < 3.5 * error
        assert error < 0.01


def test_mmd_of_perfect_draws_of_separated_classes_is_0_on_average_under_weights_too():
    """A counterpart has its patient's class: were that pair counted, every prior would look better than perfect."""
    n, classes, found = 40, 5, []
    for seed in range(200):
        one = pairs(n, seed=seed, classes=classes)
        far = Counterparts(
            one.real + 5 * one.labels[:, None], one.made + 5 * one.labels[:, None], *_rest(one)
        )
        kernel = Discrepancy(far.made, far.real, far.subjects, far.subjects, 3.0, matched=True)
        weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n)).astype(float)[None]
        told = judge(far, list("abcde"), splits=1, replicates=0)["pooled"]["mmd"]["value"]
        found.append([told, float(kernel(weights, weights)[0])])
    mean, error = np.mean(found, axis=0), np.std(found, axis=0) / np.sqrt(len(found))
    assert (np.abs(mean) < 3.5 * error).all(), (mean, error)
    assert (error < 0.002).all()  # with the own pairs the mean is about -.013


def _rest(one):
    return one.subjects, one.labels


def test_replicates_in_which_patients_come_twice_are_not_biased_upwards():
    one = pairs(200, seed=5)
    figures = judge(one, ["a", "b"], splits=4, replicates=300)["pooled"]["mmd"]
    middle = (figures["low"] + figures["high"]) / 2
    assert abs(middle - figures["value"]) < (figures["high"] - figures["low"]) / 4


def test_the_floor_is_above_0_and_shrinks_with_n():
    floors = [
        judge(pairs(n), ["a", "b"], replicates=0)["pooled"]["frechet"]["floor"] for n in (100, 400, 1600)
    ]
    assert floors[0] > 2 * floors[1] > 4 * floors[2] > 0


def test_draws_from_the_truth_are_at_the_floor_and_others_above_it_in_every_class():
    good = judge(pairs(600), ["a", "b"], replicates=200)
    bad = judge(pairs(600, shift=0.4), ["a", "b"], replicates=200)
    for name in (None, "a", "b"):
        fine, off = (x["pooled"] if name is None else x["per_class"][name] for x in (good, bad))
        assert abs(fine["frechet"]["excess"]) < 3 * fine["frechet"]["floor_sd"]
        assert off["frechet"]["excess"] > 3 * off["frechet"]["floor_sd"]
        assert fine["mmd"]["low"] <= 0 <= fine["mmd"]["high"]
        assert off["mmd"]["low"] > 0
        assert abs(off["mmd"]["halves"]["floor"]) < off["mmd"]["halves"]["value"] / 3
        assert fine["n"] == (600 if name is None else 300)


def test_less_effort_is_told_from_more_only_where_it_is_worse():
    many = pairs(400)
    same = compare_draws(pairs(400, shift=1e-4), many, replicates=200)
    assert same["mmd"]["low"] <= 0.0 + 1e-4
    assert abs(same["mmd"]["value"]) < 1e-3
    worse = compare_draws(pairs(400, shift=0.3), many, replicates=200)
    assert worse["mmd"]["low"] > 0
    assert worse["frechet"]["value"] > worse["frechet"]["sd"]


def test_too_few_patients_are_told_and_not_guessed():
    few = judge(pairs(3 * (FEWEST - 1), copies=3, classes=1), ["a", "nobody"], replicates=10)
    for figures in (few["pooled"], few["per_class"]["nobody"]):
        assert figures["mmd"] is None
        assert str(FEWEST) in figures["reason"]
    assert few["pooled"]["n_subjects"] == FEWEST - 1


def test_rows_of_one_patient_stay_in_one_half():
    """Copies of a row in both halves would make the floor look better than any two patients are."""
    alone = pairs(200, classes=1)
    real, made = (np.repeat(x, 2, axis=0) for x in (alone.real, alone.made))
    twice = Counterparts(real, made, np.arange(400) // 2, np.zeros(400, int))
    floors = [judge(x, ["a"], replicates=0)["pooled"]["frechet"]["floor"] for x in (alone, twice)]
    assert floors[1] > 0.9 * floors[0]
    assert judge(twice, ["a"], replicates=0)["pooled"]["mmd"]["value"] < 0.02


def test_the_bandwidth_is_the_median_distance_between_different_rows():
    x = np.array([[0.0], [1.0], [5.0]])
    assert median_distance(x) == 4.0
    assert median_distance(x[:1]) == 1.0
