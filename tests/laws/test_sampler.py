"""Laws of the samplers, on Gaussians whose exact denoiser is known."""

from functools import partial

import pytest
import torch

from mhdiff.diffusion import DDIM, EulerMaruyama, GaussianDenoiser, Heun, VPSchedule, sampler_for
from ontology.errors import InputError

F64 = torch.float64
MEAN = torch.tensor([0.5, -1.0, 0.3], dtype=F64)
COVARIANCE = torch.tensor([[0.8, 0.3, 0.1], [0.3, 0.4, -0.1], [0.1, -0.1, 0.25]], dtype=F64)
EXACT = GaussianDenoiser(MEAN, COVARIANCE)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def law_of(sampler):
    """Mean and covariance of a deterministic sampler: it is affine in the noise, so no sampling is needed."""
    noise = torch.cat((torch.zeros(1, 3, dtype=F64), torch.eye(3, dtype=F64)))
    out = sampler(noise)
    matrix = out[1:] - out[0]
    return out[0], matrix.T @ matrix


def error(sampler):
    mean, covariance = law_of(sampler)
    return max((mean - MEAN).abs().max(), (covariance - COVARIANCE).abs().max()).item()


@pytest.mark.parametrize(("kind", "order"), [(Heun, 2), (DDIM, 1)])
def test_deterministic_samplers_converge_at_their_order(kind, order):
    # Started from N(0, I) instead of the marginal at t = 1, which a longer schedule makes the same.
    exact = GaussianDenoiser(MEAN, COVARIANCE, VPSchedule(0.1, 80.0))
    coarse, fine, finest = (error(kind(exact, n)) for n in (50, 100, 200))
    assert abs(torch.log2(torch.tensor(coarse / fine)) - order) < 0.2
    assert abs(torch.log2(torch.tensor(fine / finest)) - order) < 0.2


@pytest.mark.parametrize(
    ("sampler", "tolerance"), [(Heun(EXACT), 5e-3), (Heun(EXACT, 100), 4e-3), (DDIM(EXACT, 400), 2e-2)]
)
def test_mean_and_covariance_of_the_gaussian(sampler, tolerance):
    assert error(sampler) < tolerance


@pytest.mark.parametrize(
    ("sampler", "tolerance"),
    [(DDIM(EXACT, 250, eta=1.0), 0.03), (EulerMaruyama(EXACT, 250), 0.03)],
)
def test_stochastic_samplers_recover_mean_and_covariance(sampler, tolerance):
    draws = sampler.sample((20_000, 3), MEAN, seeded())
    torch.testing.assert_close(draws.mean(0), MEAN, atol=tolerance, rtol=0)
    torch.testing.assert_close(draws.T.cov(), COVARIANCE, atol=tolerance, rtol=0)


@pytest.mark.parametrize("kind", [Heun, DDIM, EulerMaruyama, partial(DDIM, eta=1.0)])
def test_an_observed_block_stays_and_conditions_the_rest(kind):
    c = torch.tensor(
        [[1.0, 0.6, 0.2, 0.1], [0.6, 0.8, 0.1, 0.3], [0.2, 0.1, 0.5, 0.0], [0.1, 0.3, 0.0, 0.6]]
    ).double()
    mean = torch.tensor([0.2, -0.3, 0.5, 0.0], dtype=F64)
    joint = GaussianDenoiser(mean, c)
    n, given = 5_000, torch.tensor([1.1, -0.4], dtype=F64)
    z = torch.randn(n, 2, 2, dtype=F64, generator=seeded())
    z[:, 0] = given
    observed = torch.tensor([[True, False]]).expand(n, 2)
    out = kind(joint, 50 if kind is Heun else 300)(z, observed, seeded(1))
    assert torch.equal(out[:, 0], z[:, 0])
    regression = torch.linalg.solve(c[:2, :2], c[:2, 2:])
    torch.testing.assert_close(
        out[:, 1].mean(0), mean[2:] + (given - mean[:2]) @ regression, atol=0.04, rtol=0
    )
    torch.testing.assert_close(out[:, 1].T.cov(), c[2:, 2:] - c[2:, :2] @ regression, atol=0.04, rtol=0)


def test_a_unit_gaussian_is_returned_as_it_is():
    unit = GaussianDenoiser(torch.zeros(3, dtype=F64), torch.eye(3, dtype=F64))
    z = torch.randn(50, 3, dtype=F64, generator=seeded())
    torch.testing.assert_close(Heun(unit, 3)(z), z)


def test_evaluations_are_counted():
    calls = []

    class Spy(GaussianDenoiser):
        def forward(self, z_t, t):
            calls.append(t)
            return super().forward(z_t, t)

    for sampler in (
        Heun(Spy(MEAN, COVARIANCE), 7),
        DDIM(Spy(MEAN, COVARIANCE), 7),
        EulerMaruyama(Spy(MEAN, COVARIANCE), 7),
    ):
        calls.clear()
        sampler.sample((2, 3), MEAN, seeded())
        assert len(calls) == sampler.evaluations


def test_choice_of_the_sampler_by_evaluations():
    assert isinstance(sampler_for(EXACT, 50), Heun)
    assert sampler_for(EXACT, 50).evaluations == 50
    assert isinstance(sampler_for(EXACT, 10), DDIM)
    assert sampler_for(EXACT, 10).evaluations == 10


def test_same_generator_same_draws_and_the_global_one_is_left_alone():
    sampler, state = EulerMaruyama(EXACT, 5), torch.get_rng_state()
    assert torch.equal(sampler.sample((4, 3), MEAN, seeded(2)), sampler.sample((4, 3), MEAN, seeded(2)))
    assert torch.equal(torch.get_rng_state(), state)


def test_no_steps_are_refused():
    with pytest.raises(InputError, match="1 or more"):
        Heun(EXACT, 0)
