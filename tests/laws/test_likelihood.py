"""Laws of the log-likelihood: against a Gaussian and a mixture, exact and estimated."""

import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal, Normal

from mhdiff.diffusion import (
    Condition,
    CosineSchedule,
    Denoiser,
    Estimate,
    GaussianDenoiser,
    MixtureDenoiser,
    RectifiedFlow,
    ResidualMLP,
    VDenoiser,
    VPSchedule,
    log_density,
    log_likelihood,
)

F64 = torch.float64
SCHEDULES = [VPSchedule(), CosineSchedule(), RectifiedFlow()]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def gaussian(dim=4, schedule=None):
    """Mean 0 and variance 1, as of standardised latents, with strong correlations."""
    root = torch.randn(dim, dim, dtype=F64, generator=seeded()) / dim**0.5
    covariance = root @ root.T + 0.05 * torch.eye(dim, dtype=F64)
    std = covariance.diagonal().sqrt()
    return GaussianDenoiser(torch.zeros(dim, dtype=F64), covariance / std / std[:, None], schedule)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: type(schedule).__name__)
def test_gaussian(schedule):
    model = gaussian(schedule=schedule)
    law = MultivariateNormal(model.mean, model.covariance)
    torch.manual_seed(0)
    z = torch.cat((law.sample((40,)), 2 * law.sample((10,))))
    away = (log_likelihood(model, z) - law.log_prob(z)).abs() / 4
    assert away.max() < 1e-3


def test_a_gaussian_whose_variances_are_far_apart(monkeypatch):
    variance = torch.logspace(1.2, -2.5, 32, dtype=F64)
    variance /= variance.mean()
    model = GaussianDenoiser(torch.zeros(32, dtype=F64), variance.diag())
    z = torch.randn(20, 32, dtype=F64, generator=seeded()) * variance.sqrt()
    truth = torch.distributions.Normal(0, variance.sqrt()).log_prob(z).sum(1)
    away = (log_likelihood(model, z) - truth).abs().max() / 32
    assert away < 1e-3
    single = GaussianDenoiser(torch.zeros(32), variance.float().diag())
    rounded = torch.distributions.Normal(0, variance.sqrt()).log_prob(z.float().double()).sum(1)
    assert (log_likelihood(single, z.float()) - rounded).abs().max() / 32 < 1e-3
    monkeypatch.setattr("mhdiff.diffusion.likelihood.eased", lambda shares: shares)
    assert (log_likelihood(model, z) - truth).abs().max() / 32 > 3 * away


MEANS = torch.tensor([[1.0, 0.7], [-1.0, 0.5], [0.0, -1.2]], dtype=F64)
SPREADS = torch.tensor([[0.09, 0.03], [0.03, 0.12]], dtype=F64).expand(3, 2, 2)


#: By the steps that priors take and in the numbers that runs have too: seen while writing are 9.1e-4 nats a dimension
#: in both, of which rounding is 4e-6.
TYPES = pytest.mark.parametrize("dtype", [F64, torch.float32], ids=str)


def mixture(schedule=None, dtype=F64):
    parts = (torch.ones(3, dtype=dtype), MEANS.to(dtype), SPREADS.to(dtype))
    return MixtureDenoiser(*parts, schedule=schedule)


@TYPES
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: type(schedule).__name__)
def test_mixture(schedule, dtype):
    law = MixtureSameFamily(Categorical(torch.ones(3, dtype=F64)), MultivariateNormal(MEANS, SPREADS))
    z = torch.randn(100, 2, dtype=F64, generator=seeded()).to(dtype)
    found = log_likelihood(mixture(schedule, dtype), z)
    assert ((found - law.log_prob(z.double())).abs() / 2).max() < 1e-3


@TYPES
@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: type(schedule).__name__)
def test_one_block_of_a_mixture_given_the_other(schedule, dtype):
    numbers = torch.randn(60, 2, 1, dtype=F64, generator=seeded()).to(dtype)
    z = numbers.double()
    first = MixtureSameFamily(
        Categorical(torch.ones(3, dtype=F64)), Normal(MEANS[:, 0], SPREADS[:, 0, 0].sqrt())
    ).log_prob(z[:, 0, 0])
    law = MixtureSameFamily(Categorical(torch.ones(3, dtype=F64)), MultivariateNormal(MEANS, SPREADS))
    observed = torch.tensor([[True, False]]).expand(60, 2)
    found = log_likelihood(mixture(schedule, dtype), numbers, observed=observed)
    assert (found - (law.log_prob(z.flatten(1)) - first)).abs().max() < 1e-3


def test_what_is_left_of_the_signal_at_the_noisy_end_is_accounted_for():
    short = VPSchedule(0.1, 12.0)  # alpha(1) = .049
    mean, variance = torch.tensor([3.0], dtype=F64), torch.tensor([[0.8]], dtype=F64)
    z = mean + torch.tensor([[-2.0], [0.0], [2.0], [4.0]], dtype=F64)
    found = log_likelihood(GaussianDenoiser(mean, variance, short), z)
    truth = MultivariateNormal(mean, variance).log_prob(z)
    torch.testing.assert_close(found, truth, atol=1e-3, rtol=0)


def test_each_row_counts_its_own_blocks_and_none_is_nothing():
    model = gaussian(6)
    z = torch.randn(5, 3, 2, dtype=F64, generator=seeded())
    observed = torch.tensor([[0, 0, 0], [1, 0, 0], [0, 0, 0], [1, 0, 0], [1, 1, 1]], dtype=torch.bool)
    present = torch.tensor([[1, 1, 1], [1, 1, 1], [1, 0, 1], [1, 0, 1], [1, 1, 1]], dtype=torch.bool)

    def law(*coordinates):
        keep = torch.tensor(coordinates)
        return MultivariateNormal(model.mean[keep], model.covariance[keep][:, keep]).log_prob

    flat = z.flatten(1)
    every, first = range(6), (0, 1)
    expected = torch.stack(
        (
            law(*every)(flat[0]),
            law(*every)(flat[1]) - law(*first)(flat[1, :2]),
            law(0, 1, 4, 5)(flat[2, [0, 1, 4, 5]]),
            law(0, 1, 4, 5)(flat[3, [0, 1, 4, 5]]) - law(*first)(flat[3, :2]),
            z.new_zeros(()),
        )
    )
    spoilt = z.masked_fill(~present[..., None], torch.nan)
    found = log_density(model, spoilt, condition=Condition(present=present, observed=observed))
    torch.testing.assert_close(found.value, expected, atol=2e-3, rtol=0)
    assert found.value[4] == 0
    assert (found.error == 0).all()


def test_a_joint_density_is_a_marginal_times_a_conditional_for_a_network_of_one_block():
    """The flow of generated blocks alone, whatever the network answers for the others."""
    torch.manual_seed(0)
    network, z = (
        VDenoiser(ResidualMLP(2, blocks=2, width=16, depth=2)).double(),
        torch.randn(4, 2, 2, dtype=F64),
    )
    observed = torch.tensor([[True, False]]).expand(4, 2)

    class Alone(Denoiser):
        def forward(self, z_t, t, condition=None):
            both = torch.stack((z[:, 0], z_t), dim=1)
            e = network(both, torch.stack((torch.zeros_like(t), t), dim=1), Condition(observed=observed))
            return Estimate(z_t, e.v[:, 1], e.alpha[:, 1], e.sigma[:, 1])

    torch.testing.assert_close(
        log_likelihood(network, z, 10, observed=observed), log_likelihood(Alone(), z[:, 1], 10)
    )


def test_density_integrates_to_one():
    torch.manual_seed(0)
    model = VDenoiser(ResidualMLP(1, width=16, depth=2)).double()
    grid = torch.linspace(-9, 9, 600, dtype=F64)
    assert abs(torch.trapezoid(log_likelihood(model, grid[:, None]).exp(), grid) - 1) < 1e-3


def test_hutchinson_is_unbiased():
    model = gaussian(6)
    torch.manual_seed(0)
    z = MultivariateNormal(model.mean, model.covariance).sample((8,))
    exact = log_likelihood(model, z, steps=4, exact=True)  # the divergence is estimated at each step alike
    found = [log_density(model, z, steps=4, exact=False, probes=16, generator=seeded(k)) for k in range(24)]
    estimates = torch.stack([one.value for one in found])
    assert estimates.std() > 0
    error = estimates.std(0) / 24**0.5
    assert ((estimates.mean(0) - exact).abs() < 4 * error + 1e-2).all()
    # the error that a single estimate tells of itself is that of repeated estimates
    told = torch.stack([one.error for one in found]).square().mean(0).sqrt()
    torch.testing.assert_close(told, estimates.std(0), rtol=0.8, atol=0)  # 24 draws
    alone = log_density(model, z, steps=2, exact=False, probes=1, generator=seeded())
    assert alone.error.isinf().all()
    assert alone.value.isfinite().all()


def test_blocks_are_one_long_latent_and_chunks_do_not_matter():
    model = gaussian()
    z = torch.randn(9, 4, dtype=F64, generator=seeded())
    whole = log_likelihood(model, z, steps=10)
    torch.testing.assert_close(log_likelihood(model, z.reshape(9, 2, 2), steps=10), whole)
    torch.testing.assert_close(log_likelihood(model, z, steps=10, chunk=4), whole)


def test_a_patient_is_told_the_same_whoever_else_is_asked_about():
    model, z = gaussian(6), torch.randn(7, 6, dtype=F64, generator=seeded(1))

    def told(rows, chunk=256):
        return log_density(model, rows, steps=4, exact=False, probes=3, chunk=chunk, generator=seeded())

    everybody = told(z)
    assert everybody.error.min() > 0
    for one in (told(z[5:6]), told(z[[2, 5]])):
        torch.testing.assert_close(one.value[-1], everybody.value[5])
    torch.testing.assert_close(told(z, chunk=2).value, everybody.value)


@pytest.mark.parametrize("guard", [torch.inference_mode, torch.no_grad])
def test_works_where_gradients_are_off(guard):
    model = VDenoiser(ResidualMLP(3, width=16, depth=1)).requires_grad_(False)
    with guard():
        z = torch.randn(5, 3)
        assert log_likelihood(model, z, steps=4).isfinite().all()


def test_no_rows_give_no_values():
    assert log_likelihood(gaussian(), torch.zeros(0, 4, dtype=F64), steps=2).shape == (0,)
