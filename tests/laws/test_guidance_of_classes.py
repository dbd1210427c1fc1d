"""Laws of class guidance, on a mixture whose components are the classes."""

import pytest
import torch
from torch.distributions import MultivariateNormal

from mhdiff.diffusion import (
    UNTOLD,
    Condition,
    Guided,
    Heun,
    MixtureDenoiser,
    ResidualMLP,
    VDenoiser,
    log_likelihood,
    sampler_for,
)
from ontology.errors import InputError

F64 = torch.float64
SHARES = torch.tensor([0.7, 0.2, 0.1], dtype=F64)
MEANS = torch.tensor([[-0.7, 0.4], [1.0, 0.5], [0.8, -1.1]], dtype=F64)
SPREADS = torch.tensor([[[0.3, 0.1], [0.1, 0.2]]], dtype=F64) * torch.tensor([1.0, 0.5, 2.0])[:, None, None]
CLASSES = torch.tensor([0, 1, 1])
MIXTURE = MixtureDenoiser(SHARES, MEANS, SPREADS, CLASSES)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def batch():
    return torch.randn(6, 2, dtype=F64, generator=seeded()), torch.linspace(0.01, 1, 6, dtype=F64)


def told(label, n=6):
    return Condition(label=torch.full((n,), label))


def test_scale_0_is_unconditional_and_1_conditional_bit_for_bit(batch):
    assert torch.equal(Guided(MIXTURE, 1, 0.0)(*batch).v, MIXTURE(*batch).v)
    assert torch.equal(Guided(MIXTURE, 1, 0.0)(*batch, told(0)).v, MIXTURE(*batch).v)
    assert torch.equal(Guided(MIXTURE, 1, 1.0)(*batch).v, MIXTURE(*batch, told(1)).v)
    assert not torch.equal(MIXTURE(*batch, told(1)).v, MIXTURE(*batch).v)
    network, z = VDenoiser(ResidualMLP(2, width=16, depth=1)).double(), batch[0]
    assert torch.equal(Heun(Guided(network, 1, 0.0), 3)(z), Heun(network, 3)(z))


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_the_guided_score_is_that_of_the_density_times_the_power_of_the_classifier(scale, batch):
    z, t = batch
    z = z.clone().requires_grad_()
    alpha, sigma = MIXTURE.schedule(t)
    covariance = alpha[:, None, None, None] ** 2 * SPREADS + (sigma**2)[:, None, None, None] * torch.eye(
        2, dtype=F64
    )
    each = SHARES.log() + MultivariateNormal(alpha[:, None, None] * MEANS, covariance).log_prob(z[:, None])
    free, joint = each.logsumexp(1), each[:, CLASSES == 1].logsumexp(1)
    (truth,) = torch.autograd.grad((free + scale * (joint - free)).sum(), z)
    torch.testing.assert_close(Guided(MIXTURE, 1, scale)(z, t).score, truth)


def test_rows_take_their_own_labels_and_those_untold_stay_unguided(batch):
    label = torch.tensor([0, 1, UNTOLD, 1, 0, UNTOLD])
    v = Guided(MIXTURE, None, 2.5)(*batch, Condition(label=label)).v
    for k, of in enumerate(label.tolist()):
        alone = (batch[0][k : k + 1], batch[1][k : k + 1])
        expected = MIXTURE(*alone).v if of == UNTOLD else Guided(MIXTURE, of, 2.5)(*alone).v
        torch.testing.assert_close(v[k : k + 1], expected)
    assert torch.equal(Guided(MIXTURE, None, 2.5)(*batch).v, MIXTURE(*batch).v)


def test_draws_of_a_class_have_its_law_and_guidance_makes_them_more_typical():
    n = 4000
    z = torch.randn(n, 2, dtype=F64, generator=seeded())
    share = torch.tensor([0.0, 2 / 3, 1 / 3], dtype=F64)
    mean = share @ MEANS
    covariance = torch.einsum(
        "k,kij->ij", share, SPREADS + (MEANS - mean)[:, :, None] * (MEANS - mean)[:, None]
    )
    out = Heun(Guided(MIXTURE, 1, 1.0))(z)
    torch.testing.assert_close(out.mean(0), mean, atol=0.06, rtol=0)
    torch.testing.assert_close(out.T.cov(), covariance, atol=0.06, rtol=0)

    def evidence(draws):
        density = MultivariateNormal(MEANS, SPREADS).log_prob(draws[:, None]) + SHARES.log()
        return (density[:, CLASSES == 1].logsumexp(1) - density.logsumexp(1)).mean()

    assert evidence(Heun(MIXTURE)(z)) < evidence(out) < evidence(Heun(Guided(MIXTURE, 1, 3.0))(z))


def test_the_likelihood_is_that_of_the_class(batch):
    z = batch[0]
    density = MultivariateNormal(MEANS[:1], SPREADS[:1]).log_prob(z)
    torch.testing.assert_close(log_likelihood(Guided(MIXTURE, 0), z), density, atol=2e-3, rtol=0)
    torch.testing.assert_close(log_likelihood(MIXTURE, z, condition=told(0)), density, atol=2e-3, rtol=0)


def test_both_runs_of_the_network_are_counted():
    assert [Guided(MIXTURE, 1, scale).passes for scale in (0.0, 1.0, 2.0)] == [1, 1, 2]
    assert Heun(Guided(MIXTURE, 1, 2.0), 5).evaluations == 20
    assert sampler_for(Guided(MIXTURE, 1, 2.0), 50).evaluations == 50


def test_impossible_guidance_is_refused():
    with pytest.raises(InputError, match="no guidance"):
        Guided(MIXTURE, 1, -1.0)
    with pytest.raises(InputError, match="class's number"):
        Guided(MIXTURE, -1)
    with pytest.raises(InputError, match="0 to 1"):
        MIXTURE(torch.zeros(1, 2, dtype=F64), torch.ones(1, dtype=F64), told(5, 1))


def test_impossible_mixtures_are_refused():
    with pytest.raises(InputError, match="Leave that component out"):
        MixtureDenoiser(torch.tensor([1.0, 0.0]), torch.zeros(2, 1), torch.ones(2, 1, 1))
    with pytest.raises(InputError, match="small variance"):
        MixtureDenoiser(torch.ones(1), torch.zeros(1, 2), torch.ones(1, 2, 2))
