"""Gradients are clipped by groups, and one that is not finite is named before anything is written."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from mhdiff.training.gradients import GradientGuard, set_aside
from ontology.errors import InputError


def some(*sizes):
    torch.manual_seed(0)
    made = {f"p{i}": nn.Parameter(torch.randn(n)) for i, n in enumerate(sizes)}
    for p in made.values():
        p.grad = torch.randn_like(p)
    return made


def test_each_group_is_scaled_by_its_own_norm_and_a_small_one_is_left_alone():
    made = some(3, 4, 5, 6)
    for name, p in made.items():
        p.grad *= {"p0": 10, "p1": 10, "p2": 1e-3, "p3": 1e3}[name]
    before = {n: p.grad.clone() for n, p in made.items()}
    GradientGuard(made.items(), {"prior": [made["p3"]], "losses": [made["p2"]]}).clip(1.0)
    rest = torch.cat([before["p0"], before["p1"]]).norm()
    for name, norm in (("p0", rest), ("p1", rest), ("p3", before["p3"].norm())):
        torch.testing.assert_close(made[name].grad, before[name] / norm, rtol=1e-5, atol=1e-7)
    assert torch.equal(made["p2"].grad, before["p2"])


def test_one_group_is_what_torch_does():
    made, other = some(3, 4, 5), some(3, 4, 5)
    GradientGuard(made.items(), {}).clip(0.7)
    nn.utils.clip_grad_norm_(other.values(), 0.7)
    for name in made:
        torch.testing.assert_close(made[name].grad, other[name].grad, rtol=1e-6, atol=0)


@pytest.mark.parametrize("limit", [None, 0.0])
def test_without_a_limit_nothing_is_scaled(limit):
    made = some(3, 4)
    before = {n: p.grad.clone() for n, p in made.items()}
    GradientGuard(made.items(), {"prior": [made["p1"]]}).clip(limit)
    assert all(torch.equal(made[n].grad, g) for n, g in before.items())


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_the_first_gradient_that_is_not_finite_is_named_though_others_follow(bad):
    made = some(3, 4, 5)
    guard = GradientGuard(made.items(), {})
    guard.clip(1.0)
    guard.check()
    made["p1"].grad[2] = bad
    guard.clip(1.0)
    for p in made.values():  # as it goes on from there
        p.grad = torch.full_like(p, math.nan)
    guard.clip(1.0)
    with pytest.raises(InputError, match=r"the gradient of p1 is not finite"):
        guard.check()


def test_what_has_no_gradient_or_does_not_learn_is_passed_over():
    made = some(3, 4, 5)
    made["p0"].grad = None
    made["p1"].requires_grad_(False)
    guard = GradientGuard(made.items(), {"prior": [made["p0"]]})
    guard.clip(1e-3)
    assert float(made["p2"].grad.norm()) == pytest.approx(1e-3, rel=1e-2)
    for p in made.values():
        p.grad = None
    guard.clip(1.0)
    guard.check()


def test_what_is_set_aside_is_moved_by_neither_decay_nor_momentum():
    made = some(3, 4)
    optimiser = torch.optim.AdamW(made.values(), lr=0.1, weight_decay=0.5)
    optimiser.step()  # momentum is there
    before = made["p1"].detach().clone()
    made["p1"].grad = torch.zeros_like(before)
    set_aside([made["p1"]])
    optimiser.step()
    assert torch.equal(made["p1"], before)
