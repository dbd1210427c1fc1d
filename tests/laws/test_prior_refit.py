"""What was counted while the encoders moved is counted anew by the trained model, and by nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mhdiff.diffusion import GaussianImputer, Latents, MeanImputer
from tests.contract.test_prior_contract import MAKERS, made

N, M, D = 4000, 2, 2


def patients(shift, seed, missing=0.0):
    """Blocks in which modality 2 is half of modality 1, plus noise; all moved by `shift`."""
    g = torch.Generator().manual_seed(seed)
    one = torch.randn(N, D, generator=g)
    two = 0.5 * one + 0.75**0.5 * torch.randn(N, D, generator=g)
    present = torch.rand(N, M, generator=g) >= missing
    present[:, 0] = True
    return Latents(one + two + shift, torch.stack([one + shift, two + shift], 1), present)


def batches(latents, size=100):
    for start in range(0, N, size):
        rows = slice(start, start + size)
        yield Latents(latents.shared[rows], latents.modality[rows], latents.present[rows])


def drifted(kind):
    """Latents wandered by three standard deviations while the moments were counted."""
    prior = kind(D, M, warmup=10).train()
    for step in range(40):
        prior.observe(patients(3 * step / 39, step))
    return prior.eval()


def asked(n):
    latents = patients(3.0, 99)
    present = torch.tensor([True, False]).expand(n, 2)
    return Latents(latents.shared[:n], latents.modality[:n], present), latents.modality[:n]


@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_the_moments_are_those_of_the_trained_model(missing):
    prior, last = drifted(GaussianImputer), patients(3.0, 98, missing)
    before = prior.covariance.clone()
    prior.refit(batches(last))
    whole = last.present.all(1)
    rows = torch.cat([last.shared, last.modality.flatten(1)], 1)[whole].numpy()
    expected = np.cov(rows.T, bias=True)
    assert np.abs(before.numpy() - expected).max() > 0.5  # drift had spoilt it
    apart = slice(D, 2 * D) if missing else slice(None)  # with gaps each pair has rows of its own
    if missing:
        expected = np.cov(last.modality[:, 0].T.numpy(), bias=True)
    np.testing.assert_allclose(prior.covariance.numpy()[apart, apart], expected, atol=1e-3)
    latents, truth = asked(500)
    mean = prior.destandardise(prior.conditional_mean(latents))[:, 2]
    ideal = 3.0 + 0.5 * (truth[:, 0] - 3.0)
    assert (mean - ideal).abs().mean() < 0.1


def test_the_mean_is_that_of_the_trained_model():
    prior = drifted(MeanImputer)
    latents, _ = asked(5)
    stale = prior.destandardise(prior.conditional_mean(latents))[:, 2]
    prior.refit(batches(patients(3.0, 98, 0.3)))
    fresh = prior.destandardise(prior.conditional_mean(latents))[:, 2]
    assert (stale - 3.0).abs().mean() > 1.0
    assert (fresh - 3.0).abs().max() < 0.1


@pytest.mark.parametrize("name", [n for n in MAKERS if made(n).refits])
def test_nothing_of_before_is_left_and_the_scale_stays(name):
    kind = MAKERS[name]
    one, two = kind(D, M), kind(D, M)
    one.train()
    one.observe(patients(5.0, 1))
    two.load_state_dict({n: t if "scale" in n else two.state_dict()[n] for n, t in one.state_dict().items()})
    scale = {n: t.clone() for n, t in one.state_dict().items() if "scale" in n}
    for prior in (one, two):
        prior.eval()
        prior.refit(batches(patients(0.0, 2)))
    for n, tensor in one.state_dict().items():
        assert torch.equal(tensor, two.state_dict()[n]), n
    assert all(torch.equal(one.state_dict()[n], t) for n, t in scale.items())
