"""Laws of the denoising bound: with the exact denoiser it is the log-density, up to a constant."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from mhdiff.diffusion import (
    Condition,
    CosineSchedule,
    GaussianDenoiser,
    MixtureDenoiser,
    RectifiedFlow,
    VPSchedule,
)
from mhdiff.diffusion.bound import denoising_bound

F64 = torch.float64
SCHEDULES = [VPSchedule(), CosineSchedule(), RectifiedFlow()]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def agrees(bound, truth):
    both = torch.stack([bound - bound.mean(), truth - truth.mean()])
    slope = (both[0] * both[1]).sum() / both[1].square().sum()
    return float(torch.corrcoef(both)[0, 1]), float(slope)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: type(schedule).__name__)
def test_the_log_density_of_a_gaussian(schedule):
    dim = 16
    root = torch.randn(dim, dim, dtype=F64, generator=seeded()) / dim**0.5
    covariance = root @ root.T + 0.3 * torch.eye(dim, dtype=F64)
    std = covariance.diagonal().sqrt()
    model = GaussianDenoiser(torch.zeros(dim, dtype=F64), covariance / std / std[:, None], schedule)
    law = MultivariateNormal(model.mean, model.covariance)
    torch.manual_seed(0)
    z = law.sample((200,)) * torch.linspace(0.5, 1.5, 200, dtype=F64)[:, None]
    correlation, slope = agrees(denoising_bound(model, z, times=8, generator=seeded()), law.log_prob(z))
    assert correlation > 0.98
    assert 0.9 < slope < 1.1


def test_of_one_class_and_of_the_blocks_that_are_present():
    means = torch.tensor([[1.2, 0.3, 5.0], [-1.2, -0.3, -5.0]], dtype=F64)
    spreads = (0.2 * torch.eye(3, dtype=F64)).expand(2, 3, 3)
    model = MixtureDenoiser(torch.ones(2, dtype=F64), means, spreads)
    z = torch.randn(120, 3, 1, dtype=F64, generator=seeded(1))
    here = torch.tensor([True, True, False]).expand(120, 3)
    label = torch.arange(120) % 2
    each = MultivariateNormal(means[:, :2], spreads[:, :2, :2])
    told = each.log_prob(z[:, None, :2, 0])[torch.arange(120), label]
    untold = MixtureSameFamily(Categorical(torch.ones(2, dtype=F64)), each).log_prob(z[:, :2, 0])
    for condition, truth in ((Condition(label, here), told), (Condition(None, here), untold)):
        found = denoising_bound(model, z, condition, times=16, generator=seeded())
        correlation, slope = agrees(found, truth)
        assert correlation > 0.98
        assert 0.85 < slope < 1.1
        junk = torch.where(here[..., None], z, torch.nan)
        assert torch.equal(denoising_bound(model, junk.nan_to_num(7.0), condition, 16, seeded()), found)


def test_a_row_has_the_same_number_whoever_is_beside_it():
    model = GaussianDenoiser(torch.zeros(4, dtype=F64), torch.eye(4, dtype=F64) * 0.7)
    z = torch.randn(9, 4, dtype=F64, generator=seeded(2))
    together = denoising_bound(model, z, generator=seeded())
    alone = denoising_bound(model, z[5:6], generator=seeded())
    torch.testing.assert_close(together[5:6], alone, rtol=1e-12, atol=0)


def test_a_standard_normal_to_the_digit():
    """There v_hat is 0, and the antithetic pair leaves only what the noise itself has."""
    model = GaussianDenoiser(torch.zeros(5, dtype=F64), torch.eye(5, dtype=F64))
    z = torch.randn(50, 5, dtype=F64, generator=seeded(3))
    found = denoising_bound(model, z, times=64, generator=seeded())
    truth = -z.square().sum(dim=1) / 2
    torch.testing.assert_close(
        found - found.mean(), (1 - 0.1**2) * (truth - truth.mean()), rtol=1e-3, atol=1e-6
    )
