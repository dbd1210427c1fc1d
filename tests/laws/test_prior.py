"""Laws of the priors that go beyond the contract of the family."""

from functools import partial

import pytest
import torch
from torch import nn

from mhdiff.diffusion import DiffusionPrior, Latents, NoPrior, ResidualMLP
from ontology.errors import InputError


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def latents(shared, modalities=2):
    n, dim = shared.shape
    return Latents(shared, torch.zeros(n, modalities, dim), torch.ones(n, modalities, dtype=torch.bool))


def small(dim=3, modalities=2, classes=0, width=16, depth=1, **options):
    backbone = partial(ResidualMLP, width=width, depth=depth)
    return DiffusionPrior(dim, modalities, classes, backbone=backbone, **options)


def test_the_gradient_stops_before_the_encoder():
    encoder, prior = nn.Linear(4, 3), small()
    prior.loss(latents(encoder(torch.randn(8, 4)))).backward()
    assert all(p.grad is None for p in encoder.parameters())
    assert all(p.grad is not None for p in prior.denoiser.parameters())


def test_without_the_stop_it_would_reach_the_encoder():
    encoder, prior = nn.Linear(4, 3), small(stop_gradient=False)
    prior.loss(latents(encoder(torch.randn(8, 4)))).backward()
    assert encoder.weight.grad.abs().max() > 0


def test_zero_weight_on_the_loss_changes_nothing_bit_for_bit():
    def train(weight):
        torch.manual_seed(0)
        encoder, prior, noise = nn.Linear(4, 3), small(warmup=3), seeded()
        start = [p.detach().clone() for p in prior.denoiser.parameters()]
        optimiser = torch.optim.SGD([*encoder.parameters(), *prior.denoiser.parameters()], lr=0.1)
        for step in range(5):
            x = torch.randn(8, 4, generator=seeded(step))
            batch = latents(encoder(x))
            prior.observe(batch)
            loss = prior.denoise(batch).square().mean()
            if weight is not None:
                loss = loss + weight * prior.loss(batch, generator=noise)
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
    prior, batch = small(), latents(torch.randn(6, 3, generator=seeded()))

    def answers():
        return (
            prior.denoise(batch),
            prior.sample(4, 3, generator=seeded()),
            prior.sample_blocks(4, 3, generator=seeded()),
            prior.impute(batch, 2, 3, seeded(), redraw=True),
            prior.conditional_mean(batch, redraw=True),
            prior.log_likelihood(batch),
            prior.block_log_likelihood(batch),
            prior.eval().loss(batch, generator=seeded()),
        )

    with torch.no_grad():
        before = answers()
        for p in prior.denoiser.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=seeded(1)))
        assert all(torch.equal(a, b) for a, b in zip(before, answers(), strict=True))
        prior.update()
        assert not any(torch.equal(a, b) for a, b in zip(before, answers(), strict=True))


def test_denoising_trains_no_network_but_reaches_the_latents_twice():
    prior, z = small(depth=2), torch.randn(6, 3).requires_grad_()
    (first,) = torch.autograd.grad(prior.denoise(latents(z)).pow(3).sum(), z, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), z)
    assert first.abs().max() > 0
    assert second.abs().max() > 0
    assert all(p.grad is None for p in prior.parameters())


def test_a_shifted_and_scaled_latent_gives_the_same_answers():
    z = torch.randn(400, 3, generator=seeded()).double()
    torch.manual_seed(0)
    one, other = small().double(), small().double()
    other.load_state_dict(one.state_dict())
    plain, moved = latents(z), latents(5 * z - 3)
    one.observe(plain)
    other.observe(moved)
    torch.testing.assert_close(other.denoise(moved), one.denoise(plain))
    change = one.log_likelihood(latents(z[:5])) - other.log_likelihood(latents(5 * z[:5] - 3))
    torch.testing.assert_close(change, torch.full((5,), 3 * torch.log(torch.tensor(5.0)).item()).double())


def test_no_prior_is_the_normal_with_the_running_moments():
    z = torch.randn(300, 3, generator=seeded()).double() * 2 + 1
    prior = NoPrior(3, 2).double()
    prior.observe(latents(z))
    law = torch.distributions.Normal(z.mean(0), z.std(0, correction=0))
    torch.testing.assert_close(prior.log_likelihood(latents(z)), law.log_prob(z).sum(1))
    assert prior.loss(latents(z)) == 0


@pytest.mark.parametrize("weighting", ["v", pytest.param("likelihood", marks=pytest.mark.slow)])
def test_learns_a_two_humped_law(weighting):
    torch.manual_seed(0)
    prior, noise = (
        small(2, 2, 0, 48, 2, hierarchy="flat", weighting=weighting, ema_decay=0.99, warmup=50),
        seeded(),
    )
    optimiser = torch.optim.Adam(prior.denoiser.parameters(), lr=4e-3)

    def data(n):
        sign = torch.randint(0, 2, (n, 1), generator=noise) * 2.0 - 1
        return sign * torch.tensor([2.0, 1.0]) + 0.4 * torch.randn(n, 2, generator=noise)

    for _ in range(700):
        batch = latents(data(256))
        prior.observe(batch)
        optimiser.zero_grad()
        prior.loss(batch, generator=noise).backward()
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
    [
        {"weighting": "vv"},
        {"hierarchy": "deep"},
        {"denoise_time": 1.0},
        {"label_dropout": 0.0},
        {"ema_decay": 1.0},
        {"warmup": -1},
    ],
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(InputError):
        DiffusionPrior(3, 2, **wrong)
    with pytest.raises(InputError, match=r"\[0, 1\]"):
        small().denoise(latents(torch.zeros(2, 3)), 1.5)


def trained_together(stop_gradient):
    """An encoder of two latents, trained for a noisy label and, unless stopped, for an easy prior."""
    torch.manual_seed(0)
    encoder, head = nn.Sequential(nn.Linear(6, 16), nn.SiLU(), nn.Linear(16, 6)), nn.Linear(3, 2)
    prior = small(3, 1, 0, 32, weighting="eps", ema_decay=0.9, warmup=10, stop_gradient=stop_gradient)
    parameters = [*encoder.parameters(), *head.parameters(), *prior.denoiser.parameters()]
    optimiser, noise, told = torch.optim.Adam(parameters, lr=0.01), seeded(), []
    for _ in range(250):
        x, flipped = torch.randn(128, 6, generator=noise), torch.rand(128, generator=noise) < 0.3
        label = ((x[:, 0] - x[:, 1] > 0) ^ flipped).long()
        z = encoder(x).unflatten(1, (2, 3))
        batch = Latents(z[:, 0], z[:, 1:], torch.ones(128, 1, dtype=torch.bool))
        prior.observe(batch)
        loss = prior.loss(batch, generator=noise)
        diagnosis = nn.functional.cross_entropy(head(z[:, 0]), label)
        optimiser.zero_grad()
        (diagnosis + loss).backward()
        optimiser.step()
        told.append((loss.item(), diagnosis.item()))
    loss, diagnosis = torch.tensor(told[-50:]).mean(0).tolist()
    return prior.blocks(batch).std(0).mean().item(), loss, diagnosis


def test_latents_that_are_trained_for_the_prior_collapse_and_its_loss_looks_better():
    """Why the gradient stops: a low loss of the prior is no evidence for it."""
    (width, loss, diagnosis), (fallen, better, worse) = trained_together(True), trained_together(False)
    assert width > 0.9
    assert fallen < 0.3
    assert better < loss / 2
    assert worse > diagnosis


def test_denoising_is_the_posterior_mean_at_the_latent_scaled_by_alpha():
    flat, z = small(hierarchy="flat"), torch.randn(5, 3, generator=seeded())
    for time in (0.1, 0.5):
        t = torch.full((5, 1), time)
        alpha, _ = flat.averaged.schedule(t)
        expected = flat.averaged((alpha * z)[:, None], t).z_0[:, 0]
        assert torch.equal(flat.denoise(latents(z), time), expected)


def test_at_time_zero_nothing_is_noise_and_at_one_everything():
    prior = small()
    z = torch.randn(5, 3, generator=seeded())
    torch.testing.assert_close(prior.denoise(latents(z), 0.0), z)
    far = prior.denoise(latents(z), 1.0)
    assert far.std(0).max() < 0.1
    assert torch.equal(prior.denoise(latents(z)), prior.denoise(latents(z), prior.denoise_time))


def test_parts_of_the_hierarchy_leave_what_they_do_not_model():
    z = torch.randn(6, 3, generator=seeded())
    modality = torch.randn(6, 2, 3, generator=seeded(1))
    present = torch.tensor([[True, False]]).expand(6, 2)
    batch = Latents(z, modality, present)
    flat, loose = small(hierarchy="flat"), small(hierarchy="no_shared")
    assert (flat.denoiser.backbone.blocks, loose.denoiser.backbone.blocks) == (1, 2)
    assert not flat.imputes
    for filled in flat.impute(batch, 2, 3, seeded()):
        assert torch.equal(filled[:, 0], z)
        assert torch.equal(filled[:, 1], modality[:, 0])
        assert (filled[:, 2] == 0).all()
    for filled in loose.impute(batch, 2, 3, seeded()):
        assert torch.equal(filled[:, 0], z)
        assert torch.equal(filled[:, 1], modality[:, 0])
        assert filled[:, 2].std() > 0.5
    assert torch.equal(loose.denoise(batch), z)
    normal = NoPrior(3, 2)
    assert torch.equal(loose.log_likelihood(batch), normal.log_likelihood(batch))
    assert torch.equal(flat.block_log_likelihood(batch), normal.block_log_likelihood(batch))
