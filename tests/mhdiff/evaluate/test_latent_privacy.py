"""A prior that copies its patients is caught, and one that draws from the truth is not accused."""

from __future__ import annotations

import numpy as np
import pytest

from mhdiff.evaluate.privacy import FEWEST, membership, nearest, proximity

DIM = 8


def people(n, seed):
    return np.random.default_rng(seed).normal(size=(n, DIM)) * np.linspace(0.5, 2, DIM)


TRAIN, HELD_OUT = people(300, 1), people(200, 2)
WHO = np.arange(200)


def attacked(made):
    near = proximity(made, TRAIN, HELD_OUT, WHO, replicates=300)
    scores = [-nearest(x, made) for x in (TRAIN, HELD_OUT)]
    return near, membership(*scores, np.arange(300), 1000 + WHO, replicates=300)


def test_the_truth_is_not_accused():
    near, told = attacked(people(500, 3))
    assert near["share_closer_than_q05"]["low"] <= 0.05 <= near["share_closer_than_q05"]["high"]
    assert near["ratio"]["low"] <= 1 <= near["ratio"]["high"]
    assert near["copies"] == 0
    assert told["low"] <= 0.5 <= told["high"]
    assert told["high"] - told["low"] < 0.15


def test_copies_are_caught():
    near, told = attacked(TRAIN[np.random.default_rng(0).integers(300, size=500)])
    assert near["share_closer_than_q05"]["low"] > 0.5
    assert near["ratio"]["high"] < 0.1
    assert near["copies"] == 500
    assert told["low"] > 0.8


def test_near_copies_among_honest_draws_are_caught():
    noise = np.random.default_rng(4).normal(size=(100, DIM))
    near, told = attacked(np.concatenate([people(300, 5), TRAIN[:100] + 0.05 * noise]))
    assert near["copies"] == 0
    assert near["share_closer_than_q05"]["low"] > 0.1
    assert told["low"] > 0.5


def mixture(sizes, seed):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return np.random.default_rng(seed).normal(size=(len(labels), DIM)) + 6 * np.eye(DIM)[labels], labels


def test_a_perfect_prior_that_draws_all_classes_alike_is_not_accused_and_near_copies_are():
    """Of rare classes fewer train: whoever is of one is farther from everybody, drawn or not."""
    (train, labels), (held_out, of_held), (made, of_made) = (
        mixture(sizes, seed) for seed, sizes in ((1, (900, 60, 40)), (2, (450, 30, 20)), (3, (300, 300, 300)))
    )
    whose, classes = np.arange(len(held_out)), (of_made, of_held)
    plain = proximity(made, train, held_out, whose, replicates=200)
    assert plain["ratio"]["low"] > 1  # which is what is corrected
    near = proximity(made, train, held_out, whose, replicates=200, classes=classes)
    assert near["ratio"]["low"] <= 1 <= near["ratio"]["high"]
    assert near["share_closer_than_q05"]["low"] <= 0.05 <= near["share_closer_than_q05"]["high"]
    noise = np.random.default_rng(4).normal(size=(90, DIM))
    copied = np.arange(0, 900, 10)
    made[copied] = train[[np.flatnonzero(labels == c)[0] for c in of_made[copied]]] + 0.05 * noise
    assert (
        proximity(made, train, held_out, whose, replicates=200, classes=classes)["share_closer_than_q05"][
            "low"
        ]
        > 0.05
    )


def test_draws_of_a_class_without_held_out_patients_are_counted_as_copies_and_compared_with_nobody():
    classes = (np.repeat([0, 1], 150), np.zeros(200, int))
    near = proximity(TRAIN, TRAIN, HELD_OUT, WHO, replicates=20, classes=classes)
    assert near["n_compared"] == 150
    assert near["copies"] == 300


def test_nearest_is_the_smallest_of_all_distances_and_exactly_0_for_a_copy():
    x, y = people(30, 6), people(50, 7)
    every = np.sqrt(((x[:, None] - y) ** 2).sum(axis=2))
    np.testing.assert_allclose(nearest(x, y), every.min(axis=1), rtol=1e-9)
    assert (nearest(1e4 + y, 1e4 + y) == 0).all()


def test_membership_is_the_share_of_pairs_in_the_right_order():
    a, b = np.array([3.0, 1.0, 2.0]), np.array([2.0, 0.0])
    truth = np.mean([(x > y) + 0.5 * (x == y) for x in a for y in b])
    assert membership(a, b, np.arange(3), np.arange(3, 5), replicates=20)["value"] == pytest.approx(truth)


def test_patients_are_resampled_and_not_their_rows():
    score = np.random.default_rng(8).normal(size=100)
    rows = [np.repeat(x, 8) for x in (score[:50], score[50:], np.arange(50), np.arange(50))]
    wide = membership(*rows)
    alone = membership(score[:50], score[50:], np.arange(50), np.arange(50))
    assert wide["high"] - wide["low"] == pytest.approx(alone["high"] - alone["low"], rel=1e-9)


def test_too_few_are_told():
    few = proximity(TRAIN, TRAIN, HELD_OUT[: FEWEST - 1], WHO[: FEWEST - 1])
    assert few["share_closer_than_q05"] is None
    assert few["copies"] == len(TRAIN)  # which are copies whoever else is there
    assert "too few" in few["reason"]
    nobody = proximity(TRAIN, TRAIN, HELD_OUT[:0], WHO[:0])
    assert nobody["n_held_out"] == 0
    assert nobody["ratio"] is None
    assert membership(np.zeros(0), np.zeros(3), np.zeros(0, int), np.arange(3))["value"] is None
