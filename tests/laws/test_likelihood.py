"""Laws of the log-likelihood: against a Gaussian and a mixture, exact and estimated."""

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal

from mhdiff.diffusion import Denoiser, Estimate, GaussianDenoiser, ResidualMLP, VDenoiser, log_likelihood
from mhdiff.diffusion.denoiser import per_block

F64 = torch.float64


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def gaussian(dim=4):
    """Mean 0 and variance 1, as of standardised latents, with strong correlations."""
    root = torch.randn(dim, dim, dtype=F64, generator=seeded()) / dim**0.5
    covariance = root @ root.T + 0.05 * torch.eye(dim, dtype=F64)
    std = covariance.diagonal().sqrt()
    return GaussianDenoiser(torch.zeros(dim, dtype=F64), covariance / std / std[:, None])


class MixtureDenoiser(Denoiser):
    """The exact denoiser of an even mixture of N(mu_k, s^2 I)."""

    def __init__(self, means, std):
        super().__init__()
        self.means, self.std = means, std

    def forward(self, z_t, t):
        alpha, sigma = self.schedule(per_block(t, z_t)[..., None])
        variance = (alpha * self.std) ** 2 + sigma**2
        away = z_t[:, None] - alpha[:, None] * self.means
        share = (-away.square().sum(-1) / (2 * variance)).softmax(-1)[..., None]
        eps = (share * away).sum(1) * sigma / variance
        z_0 = (share * (self.means + alpha[:, None] * self.std**2 * away / variance[:, None])).sum(1)
        return Estimate(z_t, alpha * eps - sigma * z_0, alpha, sigma)


def test_gaussian():
    model = gaussian()
    law = MultivariateNormal(model.mean, model.covariance)
    torch.manual_seed(0)
    z = torch.cat((law.sample((40,)), 2 * law.sample((10,))))
    away = (log_likelihood(model, z) - law.log_prob(z)).abs() / 4
    assert away.max() < 1e-3


def test_mixture():
    means = torch.tensor([[1.0, 0.7], [-1.0, 0.5], [0.0, -1.2]], dtype=F64)
    model = MixtureDenoiser(means, 0.3)
    law = MixtureSameFamily(
        Categorical(torch.ones(3, dtype=F64)), Independent(Normal(means, torch.full_like(means, 0.3)), 1)
    )
    z = torch.randn(100, 2, dtype=F64, generator=seeded())
    assert ((log_likelihood(model, z, steps=32) - law.log_prob(z)).abs() / 2).max() < 1e-3


def test_density_integrates_to_one():
    torch.manual_seed(0)
    model = VDenoiser(ResidualMLP(1, width=16, depth=2)).double()
    grid = torch.linspace(-9, 9, 600, dtype=F64)
    assert abs(torch.trapezoid(log_likelihood(model, grid[:, None]).exp(), grid) - 1) < 1e-3


def test_hutchinson_is_unbiased():
    model = gaussian(6)
    torch.manual_seed(0)
    z = MultivariateNormal(model.mean, model.covariance).sample((8,))
    exact = log_likelihood(model, z, exact=True)
    estimates = torch.stack(
        [log_likelihood(model, z, steps=20, exact=False, probes=16, generator=seeded(k)) for k in range(12)]
    )
    assert estimates.std() > 0
    error = estimates.std(0) / 12**0.5
    assert ((estimates.mean(0) - exact).abs() < 4 * error + 1e-2).all()


def test_blocks_are_one_long_latent_and_chunks_do_not_matter():
    model = gaussian()
    z = torch.randn(9, 4, dtype=F64, generator=seeded())
    whole = log_likelihood(model, z, steps=10)
    torch.testing.assert_close(log_likelihood(model, z.reshape(9, 2, 2), steps=10), whole)
    torch.testing.assert_close(log_likelihood(model, z, steps=10, chunk=4), whole)


@pytest.mark.parametrize("guard", [torch.inference_mode, torch.no_grad])
def test_works_where_gradients_are_off(guard):
    model = VDenoiser(ResidualMLP(3, width=16, depth=1)).requires_grad_(False)
    with guard():
        z = torch.randn(5, 3)
        assert log_likelihood(model, z, steps=4).isfinite().all()


def test_no_rows_give_no_values():
    assert log_likelihood(gaussian(), torch.zeros(0, 4, dtype=F64), steps=2).shape == (0,)
