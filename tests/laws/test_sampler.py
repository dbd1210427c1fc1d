"""Laws of the samplers, on a Gaussian and a mixture whose exact denoisers are known."""

from functools import partial

import pytest
import torch

from mhdiff.diffusion import (
    DDIM,
    Condition,
    CosineSchedule,
    DiffusionPrior,
    DPMSolver,
    EulerMaruyama,
    GaussianDenoiser,
    Heun,
    MixtureDenoiser,
    RectifiedFlow,
    RePaint,
    VPSchedule,
    sampler_for,
    timed,
)
from ontology.errors import InputError
from tests.affine_law import law_of

F64 = torch.float64
MEAN = torch.tensor([0.5, -1.0, 0.3], dtype=F64)
COVARIANCE = torch.tensor([[0.8, 0.3, 0.1], [0.3, 0.4, -0.1], [0.1, -0.1, 0.25]], dtype=F64)
EXACT = GaussianDenoiser(MEAN, COVARIANCE)
Ancestral = partial(DDIM, eta=1.0)
FLOWS = [Heun, DDIM, DPMSolver]
SAMPLERS = [*FLOWS, EulerMaruyama, Ancestral]
SCHEDULES = [VPSchedule(), CosineSchedule(), RectifiedFlow()]
NAMES = {Ancestral: "ancestral"}
#: The cosine schedule curves as VP's does; .ci/run tries it too.
SCHEDULES_OFTEN = [SCHEDULES[0], pytest.param(SCHEDULES[1], marks=pytest.mark.slow), SCHEDULES[2]]


def name(part):
    return NAMES.get(part) or getattr(part, "__name__", type(part).__name__)


def repaint(denoiser, steps, resamplings=5):
    return RePaint(Ancestral(denoiser, steps), 5, resamplings)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def away(found, truth):
    return max((a - b).abs().max() for a, b in zip(found, truth, strict=True)).item()


# -- a Gaussian, where nothing is left to chance


@pytest.mark.parametrize(
    ("kind", "order"), [(Heun, 2), (DPMSolver, 2), (DDIM, 1), (EulerMaruyama, 1), (Ancestral, 1)], ids=name
)
def test_samplers_converge_at_their_order(kind, order, monkeypatch):
    # Started from N(0, I) instead of the marginal at t = 1, which a longer schedule makes the same.
    exact = GaussianDenoiser(MEAN, COVARIANCE, VPSchedule(0.1, 80.0))
    steps = torch.tensor([100.0, 200.0, 400.0], dtype=F64)
    errors = [away(law_of(kind(exact, int(n)), MEAN[None], monkeypatch), (MEAN, COVARIANCE)) for n in steps]
    constant = torch.tensor(errors, dtype=F64) * steps**order
    if kind is DPMSolver:
        # Its k-th step from the end is 1 / k long in lambda and adds n^-2 / k to the error.
        constant /= steps.log()
    assert (constant.log2().diff().abs() < 0.2).all()


@pytest.mark.parametrize("schedule", SCHEDULES, ids=name)
@pytest.mark.parametrize(
    ("kind", "steps", "tolerance"),
    [
        (Heun, 25, 5e-3),
        (DPMSolver, 50, 5e-3),
        (DDIM, 200, 2e-2),
        (EulerMaruyama, 200, 2e-2),
        (Ancestral, 200, 3e-2),
    ],
    ids=name,
)
def test_mean_and_covariance_of_a_gaussian(kind, steps, tolerance, schedule, monkeypatch):
    exact = GaussianDenoiser(MEAN, COVARIANCE, schedule)
    assert away(law_of(kind(exact, steps), MEAN[None], monkeypatch), (MEAN, COVARIANCE)) < tolerance


JOINT = torch.tensor(
    [[1.0, 0.6, 0.2, 0.1], [0.6, 0.8, 0.1, 0.3], [0.2, 0.1, 0.5, 0.0], [0.1, 0.3, 0.0, 0.6]], dtype=F64
)
CENTRE = torch.tensor([0.2, -0.3, 0.5, 0.0], dtype=F64)
GIVEN = torch.tensor([1.1, -0.4], dtype=F64)
FIRST = torch.tensor([[True, False]])


def second_given_first():
    regression = torch.linalg.solve(JOINT[:2, :2], JOINT[:2, 2:])
    return CENTRE[2:] + (GIVEN - CENTRE[:2]) @ regression, JOINT[2:, 2:] - JOINT[2:, :2] @ regression


@pytest.mark.parametrize("schedule", SCHEDULES_OFTEN, ids=name)
@pytest.mark.parametrize(
    ("kind", "steps", "tolerance"),
    [
        (Heun, 25, 6e-3),
        (DPMSolver, 50, 6e-3),
        (DDIM, 200, 2e-2),
        (EulerMaruyama, 200, 2e-2),
        (Ancestral, 200, 3e-2),
    ],
    ids=name,
)
def test_an_observed_block_stays_and_conditions_the_rest(kind, steps, tolerance, schedule, monkeypatch):
    z = torch.stack((GIVEN, torch.full_like(GIVEN, torch.nan)))[None]
    mean, covariance = law_of(
        kind(GaussianDenoiser(CENTRE, JOINT, schedule), steps), z, monkeypatch, observed=FIRST
    )
    torch.testing.assert_close(mean[:2], GIVEN, atol=1e-12, rtol=0)
    assert covariance[:2].abs().max() < 1e-12
    assert away((mean[2:], covariance[2:, 2:]), second_given_first()) < tolerance


def test_repaint_comes_nearer_by_resampling_and_by_shorter_steps(monkeypatch):
    exact, z = GaussianDenoiser(CENTRE, JOINT), torch.stack((GIVEN, GIVEN))[None]
    found = []
    for steps, resamplings in ((20, 1), (20, 8), (40, 8)):
        mean, covariance = law_of(repaint(exact, steps, resamplings), z, monkeypatch, observed=FIRST)
        torch.testing.assert_close(mean[:2], GIVEN)
        truth = second_given_first()
        found.append((away((mean[2:],), truth[:1]), away((covariance[2:, 2:],), truth[1:])))
    once, more, finer = found
    assert more[0] < once[0] / 2
    assert finer[1] < 0.75 * more[1]
    assert max(finer) < 0.1


def test_repaint_s_stretches_are_a_quarter_of_a_prior_s_steps_since_shorter_and_longer_ones_err_more(
    monkeypatch,
):
    asked = DiffusionPrior(2, 1)._repaint(8)
    exact, z, truth = GaussianDenoiser(CENTRE, JOINT), torch.stack((GIVEN, GIVEN))[None], second_given_first()

    def worst(jump):
        walk = RePaint(Ancestral(exact, asked.steps), jump, asked.resamplings)
        mean, covariance = law_of(walk, z, monkeypatch, observed=FIRST)
        return away((mean[2:], covariance[2:, 2:]), truth)

    assert (asked.jump, asked.steps) == (4, 16)
    assert worst(asked.jump) < 0.95 * min(worst(1), worst(asked.steps // 2))


def test_repaint_shows_given_blocks_as_noised_as_the_others_and_does_not_say_that_they_are_given():
    asked = []

    class Spy(GaussianDenoiser):
        def forward(self, z_t, t, condition=None):
            asked.append((z_t[:, 0], t, condition))
            return super().forward(z_t, t, condition)

    spy, n = Spy(CENTRE, JOINT), 1000
    z = GIVEN.expand(n, 2, 2).clone()
    present = torch.ones(n, 2, dtype=torch.bool)
    repaint(spy, 6, 2)(z, FIRST.expand(n, 2), seeded(), Condition(present=present))
    for shown, t, condition in asked:
        assert (t == t[0, 0]).all()
        assert condition.observed is None
        alpha, sigma = spy.schedule(t[0, 0])
        xi = (shown - alpha * GIVEN) / sigma
        assert xi.mean(0).abs().max() < 0.15
        assert (xi.std(0) - 1).abs().max() < 0.12


@pytest.mark.parametrize("kind", SAMPLERS, ids=name)
def test_the_condition_may_say_what_is_observed(kind, monkeypatch):
    z, sampler = torch.stack((GIVEN, GIVEN))[None], kind(GaussianDenoiser(CENTRE, JOINT), 5)
    by_argument = law_of(sampler, z, monkeypatch, observed=FIRST)
    by_condition = sampler(z, generator=seeded(), condition=Condition(observed=FIRST))
    torch.testing.assert_close(by_condition, sampler(z, FIRST, seeded()), atol=0, rtol=0)
    assert by_argument[1][2:, 2:].diagonal().min() > 0


# -- a mixture

SHARES = torch.tensor([0.6, 0.4], dtype=F64)
CENTRES = torch.tensor([[-0.8, 0.6, -0.5], [1.0, -0.9, 0.7]], dtype=F64)
SPREADS = torch.stack((COVARIANCE, COVARIANCE.flip(0, 1))) / 2


def moments(shares, means, covariances):
    mean = shares @ means
    apart = means - mean
    return mean, torch.einsum("k,kij->ij", shares, covariances) + (shares[:, None] * apart).T @ apart


def rest_given_first(value):
    """Moments of the second and third coordinate of the mixture, given the first."""
    regression = SPREADS[:, :1, 1:] / SPREADS[:, :1, :1]
    means = CENTRES[:, 1:] + (value - CENTRES[:, :1]) * regression[:, 0]
    covariances = SPREADS[:, 1:, 1:] - SPREADS[:, 1:, :1] @ regression
    density = torch.distributions.Normal(CENTRES[:, 0], SPREADS[:, 0, 0].sqrt()).log_prob(value)
    return moments((SHARES.log() + density).softmax(0), means, covariances)


@pytest.mark.parametrize(("kind", "steps"), [(Heun, 25), (DPMSolver, 50), (DDIM, 100), (EulerMaruyama, 100)])
@pytest.mark.parametrize("schedule", SCHEDULES_OFTEN, ids=name)
def test_mixture_and_its_rest_given_a_block(kind, steps, schedule):
    sampler, n = kind(MixtureDenoiser(SHARES, CENTRES, SPREADS, schedule=schedule), steps), 4000
    out = sampler.sample((n, 3), MEAN, seeded())
    truth = moments(SHARES, CENTRES, SPREADS)
    # 4 standard errors of a mean of variance .9 and a variance; and the sampler's own error
    assert away((out.mean(0), out.T.cov()), truth) < 0.08
    values = torch.full((n, 3, 1), torch.nan, dtype=F64)
    values[:, 0] = -0.1
    observed = torch.tensor([[True, False, False]]).expand(n, 3)
    out = sampler.impute(values, observed, seeded(1)).flatten(1)
    assert (out[:, 0] == -0.1).all()
    assert away((out[:, 1:].mean(0), out[:, 1:].T.cov()), rest_given_first(torch.tensor(-0.1))) < 0.08


# -- what a draw may depend on


@pytest.mark.parametrize("kind", [*SAMPLERS, repaint], ids=name)
def test_an_imputation_never_looks_at_what_stands_in_the_block(kind):
    sampler, z = kind(GaussianDenoiser(CENTRE, JOINT), 6), torch.randn(4, 2, 2, dtype=F64, generator=seeded())
    observed = torch.tensor([[True, False], [False, True], [True, True], [False, False]])
    other = z.masked_fill(~observed[..., None], torch.nan)
    one, two = (sampler.impute(values, observed, seeded(1)) for values in (z, other))
    assert torch.equal(one, two)
    torch.testing.assert_close(one[observed], z[observed], atol=0, rtol=0)
    assert one.isfinite().all()


@pytest.mark.parametrize("kind", [*SAMPLERS, repaint], ids=name)
def test_an_absent_block_has_no_influence_and_comes_back_as_zero(kind):
    joint = GaussianDenoiser(torch.cat((CENTRE, CENTRE)), torch.block_diag(JOINT, JOINT) + 0.1)
    keep = torch.tensor([0, 1, 2, 3, 6, 7])
    rest = GaussianDenoiser(joint.mean[keep], joint.covariance[keep][:, keep])
    z = torch.randn(5, 4, 2, dtype=F64, generator=seeded())
    z[:, 2] = torch.nan
    present = torch.tensor([[True, True, False, True]]).expand(5, 4)
    observed = torch.tensor([[True, False, False, False]]).expand(5, 4)
    there = [0, 1, 3]

    class Same:
        """Noise for the blocks that are there, the same with and without the absent one."""

        def __init__(self):
            self.generator = seeded(3)

        def __call__(self, like, generator):
            drawn = torch.randn(5, 3, 2, dtype=F64, generator=self.generator)
            if like.shape[1] == 3:
                return drawn
            whole = torch.full_like(like, 7.0)
            whole[:, there] = drawn
            return whole

    outs = []
    for denoiser, latent, given, condition in (
        (joint, z, observed, Condition(present=present)),
        (rest, z[:, there], observed[:, there], None),
    ):
        with pytest.MonkeyPatch.context() as patch:
            same = Same()
            patch.setattr("mhdiff.diffusion.sampler.noise", same)
            patch.setattr("mhdiff.diffusion.repaint.noise", same)
            outs.append(kind(denoiser, 6)(latent, given, condition=condition))
    torch.testing.assert_close(outs[0][:, there], outs[1])
    assert (outs[0][:, 2] == 0).all()


@pytest.mark.parametrize("kind", [*SAMPLERS, repaint], ids=name)
def test_a_row_does_not_depend_on_the_others(kind):
    sampler, z = kind(GaussianDenoiser(CENTRE, JOINT), 4), torch.randn(3, 2, 2, dtype=F64, generator=seeded())
    with pytest.MonkeyPatch.context() as patch:
        for module in ("sampler", "repaint"):
            patch.setattr(f"mhdiff.diffusion.{module}.noise", lambda like, generator: torch.ones_like(like))
        whole = sampler(z, FIRST.expand(3, 2))
        torch.testing.assert_close(sampler(z[1:2], FIRST), whole[1:2])


def test_rows_are_walked_in_parts_with_what_is_known_of_each():
    sampler, z = Heun(GaussianDenoiser(CENTRE, JOINT), 4), torch.randn(7, 2, 2, dtype=F64, generator=seeded())
    observed = torch.rand(7, 2, generator=seeded(1)) < 0.5
    present = observed | (torch.rand(7, 2, generator=seeded(2)) < 0.5)
    whole = sampler(z, observed, condition=Condition(present=present))
    sampler.at_once = 3
    torch.testing.assert_close(sampler(z, observed, condition=Condition(present=present)), whole)


def test_a_step_of_rectified_flow_is_straight():
    exact, t, s = GaussianDenoiser(MEAN, COVARIANCE, RectifiedFlow()), 0.7, 0.4
    y = torch.randn(5, 3, dtype=F64, generator=seeded())
    length = [((1 - time) ** 2 + time**2) ** 0.5 for time in (t, s)]
    times = [torch.full((5,), time, dtype=F64) for time in (t, s)]
    estimate = exact(y / length[0], times[0])
    straight = y + (s - t) * (estimate.eps - estimate.z_0)
    torch.testing.assert_close(length[1] * DDIM(exact).step(y / length[0], *times), straight)


def test_a_unit_gaussian_is_returned_as_it_is():
    unit = GaussianDenoiser(torch.zeros(3, dtype=F64), torch.eye(3, dtype=F64))
    z = torch.randn(50, 3, dtype=F64, generator=seeded())
    torch.testing.assert_close(Heun(unit, 3)(z), z)


@pytest.mark.parametrize("kind", [*SAMPLERS, repaint], ids=name)
def test_same_generator_same_draws_and_the_global_one_is_left_alone(kind):
    sampler, state = kind(EXACT, 5), torch.get_rng_state()
    assert torch.equal(sampler.sample((4, 3), MEAN, seeded(2)), sampler.sample((4, 3), MEAN, seeded(2)))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("kind", [*SAMPLERS, repaint], ids=name)
def test_no_rows_give_no_draws(kind):
    assert kind(EXACT, 2).sample((0, 3), MEAN).shape == (0, 3)


# -- what it costs


@pytest.mark.parametrize("kind", [*SAMPLERS, repaint], ids=name)
def test_evaluations_are_counted_and_timed(kind):
    calls = []

    class Spy(GaussianDenoiser):
        def forward(self, z_t, t, condition=None):
            calls.append(t)
            return super().forward(z_t, t, condition)

    sampler = kind(Spy(CENTRE, JOINT), 7)
    z, effort = timed(sampler, torch.randn(3, 2, 2, dtype=F64), FIRST.expand(3, 2), seeded())
    assert len(calls) == sampler.evaluations == effort.evaluations
    assert z.shape == (3, 2, 2)
    assert effort.cases == 3
    assert 0 < effort.seconds == pytest.approx(effort.ms_per_case * 3 / 1000)
    assert str(effort).startswith(f"{len(calls)} evaluations, ")


def test_choice_of_the_sampler_by_evaluations():
    for evaluations in (50, 24, 10, 1):
        sampler = sampler_for(EXACT, evaluations)
        assert type(sampler) is DPMSolver
        assert sampler.evaluations == evaluations


@pytest.mark.parametrize(
    ("named", "kind"), [("dpm_solver", DPMSolver), ("heun", Heun), ("ddim", DDIM), ("ancestral", DDIM)]
)
def test_a_sampler_by_its_name(named, kind):
    sampler = sampler_for(EXACT, 12, named)
    assert type(sampler) is kind
    assert sampler.evaluations == 12
    assert getattr(sampler, "eta", None) == {"ddim": 0.0, "ancestral": 1.0}.get(named)
    with pytest.raises(InputError, match="no sampler 'best'") as error:
        sampler_for(EXACT, 12, "best")
    assert "euler_maruyama" in error.value.remedy


@pytest.mark.parametrize("kind", SAMPLERS, ids=name)
def test_a_gradient_comes_through_a_walk_whatever_stands_still(kind):
    sampler, z = kind(GaussianDenoiser(CENTRE, JOINT), 4), torch.randn(2, 2, 2, dtype=F64, generator=seeded())
    z.requires_grad_()
    drawn = sampler(z, torch.tensor([[True, False], [False, False]]), seeded(1))
    (gradient,) = torch.autograd.grad(drawn[:, 1].sum(), z)
    assert gradient.isfinite().all()
    assert (gradient[0, 0] != 0).any()


def test_the_table_behind_that_choice():
    """The order of the samplers on a mixture in 32 dimensions, most of whose variance lies in a few."""
    spectrum = torch.logspace(1.2, -3, 32, dtype=F64)
    spectrum /= spectrum.mean()
    means = torch.randn(4, 32, dtype=F64, generator=seeded())
    means = (means - means.mean(0)) / means.std(0, correction=0) * (0.6 * spectrum).sqrt()
    exact = MixtureDenoiser(torch.ones(4, dtype=F64), means, (0.4 * spectrum).diag().expand(4, 32, 32))
    z = torch.randn(60, 32, dtype=F64, generator=seeded(1))
    end = Heun(exact, 150)(z)

    def error(sampler):
        return (sampler(z) - end).square().mean().sqrt()

    for n in (10, 50):
        assert error(DPMSolver(exact, n)) < 0.7 * error(Heun(exact, n // 2)) < 0.7 * error(DDIM(exact, n))


def test_a_grid_that_is_finer_at_both_ends_suits_directions_of_little_and_of_much_variance(monkeypatch):
    spectrum = torch.logspace(1.2, -3, 32, dtype=F64)
    exact = GaussianDenoiser(torch.zeros(32, dtype=F64), spectrum.diag() / spectrum.mean())
    z = torch.randn(60, 32, dtype=F64, generator=seeded(1))
    end = Heun(exact, 400)(z)
    for kind, steps in ((Heun, 25), (DPMSolver, 50)):
        finer = (kind(exact, steps)(z) - end).square().mean().sqrt()
        with monkeypatch.context() as patch:
            for module in ("sampler", "multistep"):
                patch.setattr(f"mhdiff.diffusion.{module}.eased", lambda shares: shares)
            uniform = (kind(exact, steps)(z) - end).square().mean().sqrt()
        assert finer < 0.6 * uniform


def test_impossible_numbers_are_refused():
    with pytest.raises(InputError, match="1 or more"):
        Heun(EXACT, 0)
    for jump, resamplings in ((0, 1), (1, 0)):
        with pytest.raises(InputError, match="jump >= 1"):
            RePaint(Heun(EXACT), jump, resamplings)
