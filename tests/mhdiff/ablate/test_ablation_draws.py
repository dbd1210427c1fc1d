"""The interval of a difference from a drawn null arm: as wide as the luck of the draw asks for."""

import numpy as np
import pytest

from graph_builders import NULLS
from mhdiff.ablate.draws import ONE_DRAW, is_drawn, rank, widen


def figure(value, half):
    return {"value": value, "low": value - half, "high": value + half, "undefined": 0}


@pytest.mark.parametrize("k", [2, 5, 19])
def test_one_more_draw_of_the_null_is_covered_as_often_as_promised(k):
    # Without any error over patients the interval is a prediction interval, exact for normal draws.
    rng = np.random.default_rng(k)
    covered = 0
    for _ in range(4000):
        real, *null = rng.normal(0.7, 0.01, size=k + 1).tolist()
        told = widen(figure(real - float(np.mean(null)), 0.0), null)
        covered += told["low"] <= 0 <= told["high"]
    assert covered / 4000 == pytest.approx(0.95, abs=0.014)  # four standard errors of a share of 4,000


def test_the_interval_over_patients_stays_beside_and_is_never_the_wider_one():
    told = widen({"value": 0.02, "low": 0.01, "high": 0.04, "undefined": 0}, [0.70, 0.71, 0.72])
    assert (told["patients_low"], told["patients_high"], told["draws"]) == (0.01, 0.04, 3)
    assert told["low"] < 0.01 < 0.04 < told["high"]
    same = widen({"value": 0.02, "low": 0.01, "high": 0.04, "undefined": 0}, [0.7, 0.7, 0.7])
    assert (same["low"], same["high"]) == pytest.approx((0.01, 0.04))


def test_what_cannot_be_known_is_said():
    assert widen(figure(0.02, 0.01), [0.7]) == figure(0.02, 0.01) | {"draws": 1, "remark": ONE_DRAW}
    lost = widen(figure(0.02, 0.01), [0.7, float("nan")])
    assert lost["low"] is None
    assert "undefined" in lost["reason"]
    nothing = {"value": None, "low": None, "high": None, "undefined": 3, "reason": "why"}
    assert widen(nothing, [0.7, 0.8]) == nothing | {"draws": 2}


def test_only_arms_that_draw_for_every_seed_are_drawn():
    assert is_drawn(["--data.null=permuted", "--data.null_seed={seed}"])
    assert not is_drawn(["--data.null=permuted", "--data.null_seed=7"])
    assert not is_drawn([])


@pytest.mark.parametrize("name", NULLS)
def test_every_null_that_a_seed_decides_is_drawn(name):
    assert is_drawn([f"--data.null={name}", "--data.null_seed={seed}"]) == NULLS[name].drawn
    assert not is_drawn([f"--data.null={name}", "--data.null_seed={seed}", "--data.null=none"])


def test_the_rank_counts_the_draws_that_did_at_least_as_well():
    draws = [0.70, 0.71, 0.72, 0.73]
    assert rank(0.74, draws) == {"rank_p": 1 / 5}
    assert rank(0.72, draws) == {"rank_p": 3 / 5}  # a tie is no win
    assert rank(0.60, draws) == {"rank_p": 1.0}
    assert rank(0.60, draws, lower_is_better=True) == {"rank_p": 1 / 5}
    assert rank(0.9, [0.5] * 19) == {"rank_p": 0.05}
    assert rank(0.9, [0.5]) == rank(0.9, [0.5, float("nan")]) == rank(float("nan"), draws) == {"rank_p": None}


def test_without_an_effect_a_rank_p_of_five_in_a_hundred_turns_up_that_often():
    rng = np.random.default_rng(1)
    figures = rng.normal(size=(4000, 20))
    small = np.mean([rank(real, null)["rank_p"] <= 0.05 for real, *null in figures.tolist()])
    assert small == pytest.approx(0.05, abs=0.014)  # four standard errors of a share of 4,000
