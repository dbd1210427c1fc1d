"""After training a prior alone goes on: it learns what it had no time for, and never ends worse on the tuning split."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from mhdiff.diffusion import DiffusionPrior, Latents, RegressionImputer, ResidualMLP, VAEPrior
from mhdiff.training.refit import Labelled, go_on

M, D, C = 2, 3, 2
PRIORS = {
    "diffusion": partial(DiffusionPrior, backbone=partial(ResidualMLP, width=32, depth=2), ema_decay=0.98),
    "vae": partial(VAEPrior, width=32),
    "regression": partial(RegressionImputer, width=32, ema_decay=0.98),
}


def patients(n, seed):
    g = torch.Generator().manual_seed(seed)
    one = torch.randn(n, D, generator=g)
    two = 0.8 * one + 0.6 * torch.randn(n, D, generator=g)
    present = torch.rand(n, M, generator=g) > 0.2
    present[:, 0] = True
    label = torch.randint(C, (n,), generator=g)
    return Labelled(Latents(one + two, torch.stack([one, two], 1), present), label)


def made(name):
    torch.manual_seed(0)
    prior = PRIORS[name](D, M, C, warmup=5).train()
    for seed in range(5):
        prior.observe(patients(200, seed).latents)
    return prior


@pytest.mark.parametrize("name", ["diffusion", "regression", pytest.param("vae", marks=pytest.mark.slow)])
def test_it_learns_and_says_from_when_its_state_is(name):
    prior = made(name)
    scale = {n: t.clone() for n, t in prior.state_dict().items() if "scale" in n}
    state = torch.get_rng_state()
    before, after, at = go_on(prior, patients(600, 10), patients(200, 11), 200, 3e-3)
    assert after < 0.9 * before
    assert 0 < at <= 200
    assert not prior.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(prior.state_dict()[n], t) for n, t in scale.items())
    again = made(name)
    assert go_on(again, patients(600, 10), patients(200, 11), 200, 3e-3) == (before, after, at)
    assert all(torch.equal(t, again.state_dict()[n]) for n, t in prior.state_dict().items())


def test_what_would_only_get_worse_is_left_as_it_was():
    prior = made("diffusion")
    start = {n: t.clone() for n, t in prior.state_dict().items()}
    before, after, at = go_on(prior, patients(600, 10), patients(200, 11), 20, 0.5)
    assert (after, at) == (before, 0)
    assert all(torch.equal(prior.state_dict()[n], t) for n, t in start.items())
