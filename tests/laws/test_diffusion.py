"""Laws of the schedules, the denoisers, the loss, the average and the standardisation."""

import copy

import pytest
import torch
from torch import nn

from mhdiff.diffusion import (
    EMA,
    CosineSchedule,
    GaussianDenoiser,
    RectifiedFlow,
    ResidualMLP,
    Standardiser,
    VDenoiser,
    VPSchedule,
    denoising_loss,
)
from mhdiff.diffusion.loss import draw_times, weight
from ontology.errors import InputError

WEIGHTINGS = ("v", "eps", "likelihood", "soft-min-snr")
F64 = torch.float64


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def gaussian(dim=3, seed=0):
    root = torch.randn(dim, dim, dtype=F64, generator=seeded(seed)) / 2
    mean = torch.randn(dim, dtype=F64, generator=seeded(seed + 1))
    return GaussianDenoiser(mean, root @ root.T + 0.2 * torch.eye(dim, dtype=F64))


# -- schedule


def test_schedules_are_the_written_ones():
    t = torch.linspace(0, 1, 101, dtype=F64)
    torch.testing.assert_close(VPSchedule()(t)[0], torch.exp(-(t**2) * 19.9 / 4 - t * 0.1 / 2))
    theta = torch.pi / 2 * (t + 0.008) / 1.008
    torch.testing.assert_close(CosineSchedule()(t)[0], theta.cos() / theta[0].cos())
    alpha, sigma = RectifiedFlow()(t)
    torch.testing.assert_close(sigma / (alpha + sigma), t)


def test_impossible_schedules_are_refused():
    with pytest.raises(InputError, match="beta_min <= beta_max"):
        VPSchedule(2.0, 1.0)
    with pytest.raises(InputError, match="raise beta_max"):
        VPSchedule(0.1, 1.0)
    with pytest.raises(InputError, match=r"0\.008"):
        CosineSchedule(offset=0.0)


# -- denoisers


def test_network_at_time_zero_returns_its_input_and_is_finite():
    denoiser, z = VDenoiser(ResidualMLP(3, width=16, depth=1)), torch.randn(4, 3)
    estimate = denoiser(z, torch.zeros(4))
    assert torch.equal(estimate.z_0, z)
    assert estimate.v.isfinite().all()


def test_blocks_at_one_time_are_one_long_latent():
    denoiser, z = gaussian(6), torch.randn(5, 2, 3, dtype=F64, generator=seeded())
    t = torch.linspace(0.1, 1, 5, dtype=F64)
    flat = denoiser(z.flatten(1), t).z_0
    torch.testing.assert_close(denoiser(z, t).z_0.flatten(1), flat)
    torch.testing.assert_close(denoiser(z, t[:, None].expand(5, 2)).z_0.flatten(1), flat)


def test_a_block_at_time_zero_conditions_the_other():
    d, z = gaussian(4), torch.randn(7, 2, 2, dtype=F64, generator=seeded())
    t = torch.tensor([0.0, 1.0], dtype=F64).expand(7, 2)
    c, away = d.covariance, z[:, 0] - d.mean[:2]
    regression = d.mean[2:] + away @ torch.linalg.solve(c[:2, :2], c[:2, 2:])
    far = VPSchedule(0.1, 80.0)  # next to nothing of the second block is left at t = 1
    out = GaussianDenoiser(d.mean, d.covariance, far)(z, t).z_0
    torch.testing.assert_close(out[:, 0], z[:, 0])
    torch.testing.assert_close(out[:, 1], regression, atol=1e-6, rtol=0)


def test_backbone_takes_a_time_per_block():
    denoiser, z = VDenoiser(ResidualMLP(4, blocks=3, width=16, depth=2)), torch.randn(5, 3, 4)
    t = torch.rand(5, 3)
    changed = t.clone()
    changed[:, 2] = 0.9
    assert denoiser(z, t).v.shape == z.shape
    assert not torch.equal(denoiser(z, t).v, denoiser(z, changed).v)


def test_second_derivative_of_the_network():
    denoiser, z = VDenoiser(ResidualMLP(3, width=16, depth=2)), torch.randn(4, 3, requires_grad=True)
    (first,) = torch.autograd.grad(
        denoiser(z, torch.full((4,), 0.3)).z_0.square().sum(), z, create_graph=True
    )
    first.square().sum().backward()
    assert all(
        p.grad.abs().max() > 0 for n, p in denoiser.named_parameters() if not n.endswith("outward.bias")
    )


# -- loss


def exact_loss(denoiser, truth, t):
    """E ||v_hat - v||^2 / d of two Gaussian denoisers at each t, by the algebra of affine maps."""
    eye, out = torch.eye(3, dtype=F64), []
    for time in t:
        alpha, sigma = truth.schedule(time)
        zero = denoiser(torch.zeros(1, 3, dtype=F64), time[None]).v[0]
        matrix = (denoiser(eye, time.expand(3)).v - zero).T
        by_noise = sigma * matrix - alpha * eye
        by_latent = alpha * matrix + sigma * eye
        mean = by_latent @ truth.mean + zero
        second = torch.trace(by_noise @ by_noise.T + by_latent @ truth.covariance @ by_latent.T) + mean @ mean
        out.append(second / 3)
    return torch.stack(out)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_loss_is_the_integral_that_its_name_promises(weighting):
    truth, wrong = gaussian(), gaussian(seed=7)
    s = truth.schedule
    n = 1000
    t = s.start + (1 - s.start) * (torch.arange(n, dtype=F64) + 0.5) / n
    v_error = exact_loss(wrong, truth, t)
    alpha, sigma = s(t)
    eps_error, z_error, snr = alpha**2 * v_error, sigma**2 * v_error, (alpha / sigma) ** 2
    rate = s.beta(t) / sigma**2
    if weighting == "likelihood":  # on a grid of the density, which is uniform in log-SNR
        ends = s.log_snr(torch.tensor([s.start, 1.0], dtype=F64))
        t = s.time_of_log_snr(ends[0] + (ends[1] - ends[0]) * (torch.arange(n, dtype=F64) + 0.5) / n)
        expected = (s(t)[0] ** 2 * exact_loss(wrong, truth, t)).mean()
        fine = torch.logspace(-5, 0, 40_001, dtype=F64)
        density = s.beta(fine) / s(fine)[1] ** 2
        torch.testing.assert_close(torch.trapezoid(density, fine), ends[0] - ends[1], rtol=1e-4, atol=0)
    else:
        expected = {"v": v_error, "eps": eps_error, "soft-min-snr": 5 * snr / (snr + 5) * z_error}[
            weighting
        ].mean()
    assert rate.isfinite().all()
    g = seeded(3)
    root = torch.linalg.cholesky(truth.covariance)
    z = truth.mean + torch.randn(100_000, 3, dtype=F64, generator=g) @ root.T
    torch.testing.assert_close(denoising_loss(wrong, z, weighting, generator=g), expected, rtol=0.03, atol=0)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_exact_denoiser_has_the_lowest_loss(weighting):
    truth = gaussian()
    root = torch.linalg.cholesky(truth.covariance)
    z = truth.mean + torch.randn(4000, 3, dtype=F64, generator=seeded(3)) @ root.T
    best = denoising_loss(truth, z, weighting, generator=seeded(4))
    assert best < denoising_loss(gaussian(seed=7), z, weighting, generator=seeded(4))


def test_times_are_stratified_and_weights_bounded():
    s = VPSchedule()
    for weighting in WEIGHTINGS:
        t = draw_times(torch.zeros(1000, dtype=F64), s, weighting, seeded())
        assert s.start <= t.min()
        assert t.max() <= 1
        w = weight(t, s, weighting)
        assert w.min() > 0
        assert w.max() <= 1 + 1e-12
        place = s.log_snr(t) if weighting == "likelihood" else t
        place = (place - place.min()) / (place.max() - place.min())
        torch.testing.assert_close(
            place.sort().values, torch.linspace(0, 1, 1000, dtype=F64), atol=2e-3, rtol=0
        )


def test_rows_that_do_not_count_do_not_count():
    denoiser, z = gaussian(), torch.randn(6, 3, dtype=F64, generator=seeded())
    keep = torch.tensor([1, 1, 0, 1, 0, 1], dtype=torch.bool)
    other = z.masked_fill(~keep[:, None], 9.0)
    losses = [denoising_loss(denoiser, x, keep=keep, generator=seeded(1)) for x in (z, other)]
    assert torch.equal(*losses)
    assert denoising_loss(denoiser, z, keep=torch.zeros_like(keep)) == 0


def test_observed_blocks_are_seen_clean_and_do_not_count():
    seen = []

    class Spy(GaussianDenoiser):
        def forward(self, z_t, t, condition=None):
            seen.append((z_t, t))
            return super().forward(z_t, t, condition)

    base, z = gaussian(4), torch.randn(6, 2, 2, dtype=F64, generator=seeded())
    observed = torch.tensor([[True, False]]).expand(6, 2)
    denoising_loss(Spy(base.mean, base.covariance), z, observed=observed, generator=seeded(1))
    ((z_t, t),) = seen
    assert torch.equal(z_t[:, 0], z[:, 0])
    assert (t[:, 0] == 0).all()
    assert (t[:, 1] > 0).all()


# -- average


def test_average_equals_its_closed_form():
    module, decay = nn.Linear(2, 2).double(), 0.6
    ema, history = EMA(module, decay), [module.weight.detach().clone()]
    rates = []
    for k in range(1, 21):
        with torch.no_grad():
            module.weight.add_(torch.randn(2, 2, dtype=F64, generator=seeded(k)))
        ema.update(module)
        history.append(module.weight.detach().clone())
        rates.append(min(decay, (1 + k) / (10 + k)))
    assert rates[0] < decay == rates[-1]
    closed, product = torch.zeros(2, 2, dtype=F64), 1.0
    for k in range(20, 0, -1):
        closed += product * (1 - rates[k - 1]) * history[k]
        product *= rates[k - 1]
    torch.testing.assert_close(ema.averaged.weight, closed + product * history[0], atol=1e-6, rtol=0)
    assert not any(p.requires_grad for p in ema.parameters())
    assert not ema.train().averaged.training


# -- standardisation


def test_statistics_are_those_of_all_counted_rows_then_frozen():
    z = torch.randn(10, 50, 3, dtype=F64, generator=seeded()) * 3 + 7
    counted = torch.rand(10, 50, generator=seeded(1)) < 0.8
    scale = Standardiser(3, warmup=10).double()
    for batch, mask in zip(z.masked_fill(~counted[..., None], torch.nan), counted, strict=True):
        scale.observe(batch, mask)
    rows = z[counted]
    torch.testing.assert_close(scale.mean, rows.mean(0))
    torch.testing.assert_close(scale.std, rows.std(0, correction=0))
    torch.testing.assert_close(scale.inverse(scale(rows)), rows)
    before = copy.deepcopy(scale.state_dict())
    scale.observe(z[0] + 100, counted[0])
    assert all(torch.equal(before[k], v) for k, v in scale.state_dict().items())


def test_statistics_stand_still_in_evaluation_and_forget_an_old_encoder():
    scale = Standardiser(2, warmup=1000, memory=256)
    everyone = torch.ones(64, dtype=torch.bool)
    scale.eval().observe(torch.randn(64, 2) + 5, everyone)
    assert (scale.mean == 0).all()
    assert scale.batches == 0
    scale.train()
    for shift in (50.0,) * 10 + (0.0,) * 60:
        scale.observe(torch.randn(64, 2, generator=seeded(int(shift))) + shift, everyone)
    assert scale.mean.abs().max() < 0.5
    assert scale.std.max() < 1.5
    scale.observe(torch.randn(64, 2), ~everyone)
    assert scale.mean.isfinite().all()
    assert scale.std.isfinite().all()


def test_processes_pool_their_rows(monkeypatch):
    here, there = (
        torch.randn(20, 3, dtype=F64, generator=seeded()),
        4 + torch.randn(30, 3, dtype=F64, generator=seeded(1)),
    )
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)

    def all_reduce(sums):
        sums += torch.cat((sums.new_tensor([len(there)]), there.sum(0), there.square().sum(0)))

    monkeypatch.setattr(torch.distributed, "all_reduce", all_reduce)
    scale = Standardiser(3).double()
    scale.observe(here, torch.ones(20, dtype=torch.bool))
    both = torch.cat((here, there))
    torch.testing.assert_close(scale.mean, both.mean(0))
    torch.testing.assert_close(scale.std, both.std(0, correction=0))
