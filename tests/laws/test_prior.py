"""Laws of the priors that go beyond the contract of the family."""

import pytest
import torch
from torch import nn

from mhdiff.diffusion import DiffusionPrior, Latents, NoPrior, denoising_loss
from ontology.errors import InputError


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def latents(shared, modalities=2):
    n, dim = shared.shape
    return Latents(shared, torch.zeros(n, modalities, dim), torch.ones(n, modalities, dtype=torch.bool))


def test_the_gradient_stops_before_the_encoder():
    encoder, prior = nn.Linear(4, 3), DiffusionPrior(3, 16, 1)
    prior.loss(latents(encoder(torch.randn(8, 4)))).backward()
    assert all(p.grad is None for p in encoder.parameters())
    assert all(p.grad is not None for p in prior.denoiser.parameters())


def test_without_the_stop_it_would_reach_the_encoder():
    encoder, prior = nn.Linear(4, 3), DiffusionPrior(3, 16, 1)
    denoising_loss(prior.denoiser, encoder(torch.randn(8, 4))).backward()
    assert encoder.weight.grad.abs().max() > 0


def test_zero_weight_on_the_loss_changes_nothing_bit_for_bit():
    def train(weight):
        torch.manual_seed(0)
        encoder, prior, noise = nn.Linear(4, 3), DiffusionPrior(3, 16, 1, warmup=3), seeded()
        start = [p.detach().clone() for p in prior.denoiser.parameters()]
        optimiser = torch.optim.SGD([*encoder.parameters(), *prior.denoiser.parameters()], lr=0.1)
        for step in range(5):
            x = torch.randn(8, 4, generator=seeded(step))
            batch = latents(encoder(x))
            prior.observe(batch)
            loss = prior.denoise(batch).square().mean()
            if weight is not None:
                loss = loss + weight * prior.loss(batch, noise)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            prior.update()
        return (
            [p.detach() for p in encoder.parameters()],
            [p.detach() for p in prior.denoiser.parameters()],
            start,
        )

    (plain, untouched, start), (weighted, still, _) = train(None), train(0.0)
    assert all(torch.equal(a, b) for a, b in zip(plain, weighted, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(untouched, still, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(untouched, start, strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(plain, train(1.0)[0], strict=True))


def test_the_average_is_what_denoises_samples_and_judges():
    prior, batch = DiffusionPrior(3, 16, 1), latents(torch.randn(6, 3, generator=seeded()))

    def answers():
        return prior.denoise(batch), prior.sample(4, 3, seeded()), prior.log_likelihood(batch)

    with torch.no_grad():
        before = answers()
        for p in prior.denoiser.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=seeded(1)))
        assert all(torch.equal(a, b) for a, b in zip(before, answers(), strict=True))
        prior.update()
        assert not any(torch.equal(a, b) for a, b in zip(before, answers(), strict=True))


def test_denoising_trains_no_network_but_reaches_the_latents_twice():
    prior, z = DiffusionPrior(3, 16, 2), torch.randn(6, 3).requires_grad_()
    (first,) = torch.autograd.grad(prior.denoise(latents(z)).pow(3).sum(), z, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), z)
    assert first.abs().max() > 0
    assert second.abs().max() > 0
    assert all(p.grad is None for p in prior.parameters())


def test_a_shifted_and_scaled_latent_gives_the_same_answers():
    z = torch.randn(400, 3, generator=seeded()).double()
    torch.manual_seed(0)
    one, other = DiffusionPrior(3, 16, 1).double(), DiffusionPrior(3, 16, 1).double()
    other.load_state_dict(one.state_dict())
    plain, moved = latents(z), latents(5 * z - 3)
    one.observe(plain)
    other.observe(moved)
    torch.testing.assert_close(other.denoise(moved), one.denoise(plain))
    change = one.log_likelihood(latents(z[:5])) - other.log_likelihood(latents(5 * z[:5] - 3))
    torch.testing.assert_close(change, torch.full((5,), 3 * torch.log(torch.tensor(5.0)).item()).double())


def test_no_prior_is_the_normal_with_the_running_moments():
    z = torch.randn(300, 3, generator=seeded()).double() * 2 + 1
    prior = NoPrior(3).double()
    prior.observe(latents(z))
    law = torch.distributions.Normal(z.mean(0), z.std(0, correction=0))
    torch.testing.assert_close(prior.log_likelihood(latents(z)), law.log_prob(z).sum(1))
    assert prior.loss(latents(z)) == 0


@pytest.mark.parametrize("weighting", ["v", "likelihood"])
def test_learns_a_two_humped_law(weighting):
    torch.manual_seed(0)
    prior, noise = DiffusionPrior(2, 48, 2, weighting=weighting, ema_decay=0.99, warmup=50), seeded()
    optimiser = torch.optim.Adam(prior.denoiser.parameters(), lr=4e-3)

    def data(n):
        sign = torch.randint(0, 2, (n, 1), generator=noise) * 2.0 - 1
        return sign * torch.tensor([2.0, 1.0]) + 0.4 * torch.randn(n, 2, generator=noise)

    for _ in range(700):
        batch = latents(data(256))
        prior.observe(batch)
        optimiser.zero_grad()
        prior.loss(batch, noise).backward()
        optimiser.step()
        prior.update()
    prior.eval()
    draws, fresh = prior.scale.inverse(prior.sample(2000, generator=noise)), data(2000)
    assert (draws.mean(0) - fresh.mean(0)).abs().max() < 0.3
    assert (draws.T.cov() - fresh.T.cov()).abs().max() < 0.5
    middle = draws[:, 0].abs() < 0.7  # between the humps there is next to nothing
    assert middle.float().mean() < 0.05
    humps = torch.distributions.Normal(torch.tensor([2.0, 1.0]), 0.4)
    truth = (
        torch.logsumexp(torch.stack([humps.log_prob(s * fresh[:200]).sum(1) for s in (1, -1)]), 0) - 0.6931
    )
    assert abs((prior.log_likelihood(latents(fresh[:200])) - truth).mean()) < 0.25
    with torch.no_grad():
        pulled = prior.scale.inverse(prior.denoise(latents(torch.tensor([[2.0, 0.0], [-2.0, 0.0]]))))
    assert pulled[0, 1] > 0.05
    assert pulled[1, 1] < -0.05


@pytest.mark.parametrize(
    "wrong",
    [{"weighting": "vv"}, {"denoise_time": 0.0}, {"ema_decay": 1.0}, {"beta_max": 0.01}, {"warmup": -1}],
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(InputError):
        DiffusionPrior(3, **wrong)
