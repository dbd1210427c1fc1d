"""What every noise schedule keeps. The tests walk all subclasses of `Schedule`: a new one is held to it by existing."""

import importlib
import inspect
import pkgutil

import pytest
import torch
from jsonargparse import ArgumentParser

import mhdiff.diffusion
from mhdiff.diffusion import GaussianDenoiser, ResidualMLP, Schedule, VDenoiser, denoising_loss
from ontology.errors import InputError

F64 = torch.float64


def members():
    for module in pkgutil.iter_modules(mhdiff.diffusion.__path__):
        importlib.import_module(f"mhdiff.diffusion.{module.name}")
    found, queue = [], [Schedule]
    while queue:
        for child in queue.pop().__subclasses__():
            queue.append(child)
            if not inspect.isabstract(child):
                found.append(child)
    return sorted(set(found), key=lambda kind: kind.__name__)


@pytest.fixture(params=members(), ids=lambda kind: kind.__name__)
def schedule(request):
    return request.param()


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def between(schedule, n=60, dtype=F64):
    ends = torch.tensor([schedule.start, schedule.end], dtype=F64).log10()
    t = torch.logspace(*ends.tolist(), n, dtype=F64)
    t[0], t[-1] = schedule.start, schedule.end
    return t.to(dtype)


@pytest.mark.parametrize("dtype", [F64, torch.float32])
def test_variance_is_preserved_from_pure_data_to_nearly_pure_noise(schedule, dtype):
    t = torch.linspace(0, 1, 101, dtype=dtype)
    alpha, sigma = schedule(t)
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(t))
    assert alpha[0] == 1
    assert sigma[0] == 0
    assert 0 < schedule(t.new_tensor(schedule.end))[0] < 0.1
    assert (alpha.diff() < 0).all()
    assert (sigma.diff() >= 0).all()


def test_rates_are_the_derivatives(schedule):
    t = torch.linspace(0.01, 0.99, 50, dtype=F64, requires_grad=True)
    alpha, sigma = schedule(t)
    beta = schedule.beta(t)

    def slope(of):
        return torch.autograd.grad(of.sum(), t, retain_graph=True)[0]

    torch.testing.assert_close(slope(alpha.log()), -beta / 2)
    torch.testing.assert_close(slope(schedule.clock(t)), beta)
    torch.testing.assert_close(slope(schedule.log_snr(t)), -beta / sigma**2)
    torch.testing.assert_close(slope(schedule.angle(t)), beta * alpha / sigma / 2)


@pytest.mark.parametrize(("dtype", "tolerance"), [(F64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("quantity", ["log_snr", "angle", "clock"])
def test_inverses(schedule, quantity, dtype, tolerance):
    t = between(schedule, dtype=dtype)
    there = getattr(schedule, quantity)(t)
    back = getattr(schedule, f"time_of_{quantity}")(there)
    torch.testing.assert_close(back, t, rtol=tolerance, atol=0)


def test_log_snr_stays_finite_outside_the_times_that_a_network_is_asked_about(schedule):
    t = torch.tensor([0.0, schedule.start, schedule.end, 1.0], dtype=F64)
    level = schedule.log_snr(t)
    assert level.isfinite().all()
    assert level[0] == level[1]
    assert level[2] == level[3]


@pytest.mark.parametrize("dtype", [F64, torch.float32])
def test_grids_are_uniform_in_what_they_say_and_their_ends_are_exact(schedule, dtype):
    shares = torch.linspace(1, 0, 21, dtype=dtype)
    by_angle, by_noise = schedule.times_by_angle(shares), schedule.times_by_noise(shares)
    for grid in (by_angle, by_noise):
        assert grid[0] == torch.tensor(schedule.end, dtype=dtype)
        assert grid[-1] == 0
        assert (grid.diff() < 0).all()
    angle = schedule.angle(by_angle)
    torch.testing.assert_close(angle, shares * angle[0], atol=1e-5, rtol=1e-5)
    alpha, sigma = schedule(by_noise)
    noise = sigma / (alpha + sigma)
    torch.testing.assert_close(noise, shares * noise[0], atol=1e-5, rtol=1e-5)


def exact(schedule):
    root = torch.randn(3, 3, dtype=F64, generator=seeded()) / 2
    mean = torch.randn(3, dtype=F64, generator=seeded(1))
    return GaussianDenoiser(mean, root @ root.T + 0.2 * torch.eye(3, dtype=F64), schedule)


@pytest.mark.parametrize("kind", ["exact", "network"])
def test_views_of_an_estimate_agree(schedule, kind):
    denoiser = (
        exact(schedule)
        if kind == "exact"
        else VDenoiser(ResidualMLP(3, width=16, depth=2), schedule).double()
    )
    z, t = torch.randn(20, 3, dtype=F64, generator=seeded()), between(schedule, 20).clamp(min=0.01)
    with torch.no_grad():
        e = denoiser(z, t)
    torch.testing.assert_close(e.alpha * e.z_0 + e.sigma * e.eps, z)
    torch.testing.assert_close(e.alpha * e.eps - e.sigma * e.z_0, e.v)
    torch.testing.assert_close(-(z - e.alpha * e.z_0) / e.sigma**2, e.score, atol=1e-9, rtol=1e-9)
    assert all(view.isfinite().all() for view in (e.v, e.z_0, e.eps, e.score))


def test_score_is_the_gradient_of_the_log_density_of_a_gaussian(schedule):
    denoiser, t = exact(schedule), torch.tensor([0.003, 0.1, 0.5, 1.0], dtype=F64)
    z = torch.randn(4, 3, dtype=F64, generator=seeded(5)).requires_grad_()
    alpha, sigma = (scale[:, None] for scale in schedule(t))
    covariance = alpha[..., None] ** 2 * denoiser.covariance + sigma[..., None] ** 2 * torch.eye(3, dtype=F64)
    density = torch.distributions.MultivariateNormal(alpha * denoiser.mean, covariance).log_prob(z)
    torch.testing.assert_close(denoiser(z, t).score, torch.autograd.grad(density.sum(), z)[0])


@pytest.mark.parametrize("weighting", ["v", "eps", "likelihood", "soft-min-snr"])
def test_every_loss_trains_with_it(schedule, weighting):
    torch.manual_seed(0)
    denoiser = VDenoiser(ResidualMLP(3, width=16, depth=2), schedule)
    denoising_loss(denoiser, torch.randn(64, 3, generator=seeded()), weighting, generator=seeded()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in denoiser.parameters())


def test_yaml_names_it_by_class_path(schedule):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--schedule", type=Schedule)
    name = f"{type(schedule).__module__}.{type(schedule).__name__}"
    told = parser.parse_object({"schedule": {"class_path": name, "init_args": {"start": 2e-3}}})
    made = parser.instantiate_classes(told).schedule
    assert type(made) is type(schedule)
    assert made.start == 2e-3


def test_impossible_ends_are_refused(schedule):
    with pytest.raises(InputError, match="start < end"):
        type(schedule)(start=0.9, end=0.5)
    with pytest.raises(InputError, match="pure noise"):
        type(schedule)(end=0.3)
