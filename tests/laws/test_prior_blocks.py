"""Laws of the priors over blocks, on a Gaussian whose conditional laws are known."""

import copy
from functools import partial

import pytest
import torch

from mhdiff.diffusion import (
    Condition,
    DiffusionPrior,
    GaussianDenoiser,
    GaussianImputer,
    Guided,
    Latents,
    RegressionImputer,
    ResidualMLP,
    VAEPrior,
    VPSchedule,
    log_likelihood,
)

D, M = 2, 2
K = (1 + M) * D
SETS = {"labs alone": [True, False], "image alone": [False, True], "nothing": [False, False]}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class Truth:
    """N(mean, covariance) over the blocks [shared | 1 | 2]."""

    def __init__(self):
        root = 0.6 * torch.randn(K, K, generator=seeded(3))
        self.covariance = root @ root.T + 0.15 * torch.eye(K)
        self.mean = torch.randn(K, generator=seeded(4))

    def draw(self, n, generator, lacking=0.0):
        z = self.mean + torch.randn(n, K, generator=generator) @ torch.linalg.cholesky(self.covariance).T
        z = z.reshape(n, 1 + M, D)
        present = torch.rand(n, M, generator=generator) >= lacking
        return Latents(z[:, 0], z[:, 1:], present)

    def given(self, prior, latents):
        """Mean and covariance of the blocks that are not known, on the prior's scale, and where they are."""
        s = prior.std.flatten()
        m = torch.cat((prior.scale.mean[None], prior.modality_scale.mean)).flatten()
        mean, c = (self.mean - m) / s, self.covariance / s[:, None] / s
        known = prior.known_blocks(latents)[0].repeat_interleave(D)
        z = prior.blocks(latents).flatten(1)
        gain = torch.linalg.solve(c[known][:, known], c[known][:, ~known])
        center = mean[~known] + (z[:, known] - mean[known]) @ gain
        return center, c[~known][:, ~known] - c[~known][:, known] @ gain, ~known


TRUTH = Truth()


def of(kind, name, n=800):
    """Patients who all have what `kind` says."""
    drawn = TRUTH.draw(n, seeded(9))
    return Latents(drawn.shared, drawn.modality, torch.tensor(SETS[name]).expand(n, M))


def train(prior, steps, lacking=0.2, lr=4e-3, draw=None):
    noise = seeded(1)
    optimiser = torch.optim.Adam([p for p in prior.parameters() if p.requires_grad], lr=lr)
    falling = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, steps)
    for _ in range(steps):
        batch, label = draw(512, noise) if draw else (TRUTH.draw(512, noise, lacking), None)
        prior.observe(batch)
        optimiser.zero_grad()
        prior.loss(batch, label, noise).backward()
        optimiser.step()
        falling.step()
        prior.update()
    return prior.eval()


@pytest.fixture(scope="module")
def diffusion():
    torch.manual_seed(0)
    backbone = partial(ResidualMLP, width=64, depth=2)
    return train(DiffusionPrior(D, M, backbone=backbone, ema_decay=0.99, warmup=50), 800)


@pytest.fixture(scope="module")
def gaussian():
    prior = GaussianImputer(D, M, warmup=50)
    for seed in range(60):
        prior.observe(TRUTH.draw(512, seeded(seed), 0.2))
    return prior.eval()


def moments(prior, latents, draws=12):
    center, covariance, asked = TRUTH.given(prior, latents)
    drawn = prior.impute(latents, draws, 12, seeded(5)).flatten(2)[:, :, asked]
    away = (drawn - center).reshape(-1, int(asked.sum()))
    return away.mean(0), away.T.cov(), covariance


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("kind", ["diffusion", "gaussian"])
def test_blocks_given_others_follow_the_conditional_law(kind, name, request):
    """Seen while writing: the diffusion prior's means err by .02, its covariances by .04 to .11; the other's by .02."""
    prior, latents = request.getfixturevalue(kind), of(kind, name)
    bias, covariance, truth = moments(prior, latents)
    assert bias.abs().max() < 0.1
    assert (covariance - truth).abs().max() < 0.2
    center, _, asked = TRUTH.given(prior, latents)
    with torch.no_grad():
        mean = prior.conditional_mean(latents).flatten(1)[:, asked]
    assert (mean - center).square().mean().sqrt() < 0.2
    # A model that knew only the marginal law would fail both.
    if name != "nothing":
        assert center.std(0).max() > 0.5
        assert (truth.diagonal() < 0.8).any()


@pytest.mark.parametrize("sampler", ["heun", "ddim", "ancestral", "euler_maruyama"])
def test_blocks_follow_the_conditional_law_by_whichever_sampler(sampler, diffusion):
    """By as many evaluations as the usual one, within the same bounds."""
    prior, latents = copy.deepcopy(diffusion), of("diffusion", "labs alone")
    usual = prior.impute(latents, 1, 12, seeded(5))
    prior.sampler = sampler
    assert not torch.equal(prior.impute(latents, 1, 12, seeded(5)), usual)
    bias, covariance, truth = moments(prior, latents)
    assert bias.abs().max() < 0.1
    assert (covariance - truth).abs().max() < 0.2
    assert prior.evaluations_to_impute(12) == prior.evaluations(12) == 24


@pytest.mark.slow
@pytest.mark.parametrize("name", ["labs alone", "image alone"])
def test_repaint_comes_near_the_conditional_law_by_more_rounds(name, diffusion):
    """Seen while writing: the covariances err by .23 to .32 without rounds, and by .12 to .14 with eight."""
    latents = of("diffusion", name)
    errors = []
    for rounds in (1, 8):
        prior = copy.deepcopy(diffusion)
        prior.imputing, prior.repaint_rounds = "repaint", rounds
        bias, covariance, truth = moments(prior, latents)
        errors.append((float(bias.abs().max()), float((covariance - truth).abs().max())))
    assert errors[1][0] < 0.15
    assert errors[1][1] < 0.2
    assert sum(errors[1]) < sum(errors[0])
    assert diffusion.evaluations_to_impute(12) * 8 == prior.evaluations_to_impute(12)


def test_a_regression_comes_near_the_conditional_mean_and_knows_no_spread():
    torch.manual_seed(0)
    prior = train(RegressionImputer(D, M, width=64, ema_decay=0.99, warmup=50), 400)
    latents = of("regression", "labs alone")
    center, _, asked = TRUTH.given(prior, latents)
    with torch.no_grad():
        assert (prior.conditional_mean(latents).flatten(1)[:, asked] - center).square().mean().sqrt() < 0.2
        first, second = prior.impute(latents, 2, 3, seeded())
    assert torch.equal(first, second)


def test_the_autoencoder_imputes_better_than_the_mean_and_bounds_the_density():
    torch.manual_seed(0)
    prior = train(VAEPrior(D, M, width=64, code=6, ema_decay=0.99, warmup=50), 400)
    latents = of("vae", "labs alone")
    center, _, asked = TRUTH.given(prior, latents)
    bias, covariance, truth = moments(prior, latents)
    assert bias.abs().max() < 0.15
    assert covariance.diagonal().min() > 0.3 * truth.diagonal().min()
    with torch.no_grad():
        error = (prior.conditional_mean(latents).flatten(1)[:, asked] - center).square().mean().sqrt()
    assert error < 0.7 * center.square().mean().sqrt()
    fresh = TRUTH.draw(800, seeded(11))
    z = fresh.modality.flatten(1)
    law = torch.distributions.MultivariateNormal(TRUTH.mean[D:], TRUTH.covariance[D:, D:])
    gap = (law.log_prob(z) - prior.block_log_likelihood(fresh, generator=seeded())).mean()
    assert 0 < gap < 0.8


@pytest.mark.parametrize("time", [0.0, 0.3, 1.0])
def test_the_autoencoder_denoises_by_the_law_of_the_latent_given_its_code(time):
    torch.manual_seed(0)
    prior = train(VAEPrior(D, M, width=64, code=6, ema_decay=0.99, warmup=50), 20)
    latents = TRUTH.draw(5, seeded(1))
    z = prior.blocks(latents)
    network = prior.averaged
    only = torch.tensor([[True, False, False]]).expand(5, -1)
    with torch.no_grad():
        f = network.decode(network.encode(z, only)[0])[:, 0]
        s = network.block_std()[0]
        alpha, sigma = VPSchedule()(torch.tensor(time))
        # of N(f, s^2) and an observation alpha z with noise sigma: precisions add up
        precision, seen = s**-2, (alpha / sigma) ** 2
        expected = (precision * f + seen * z[:, 0]) / (precision + seen) if sigma > 0 else z[:, 0]
        torch.testing.assert_close(prior.denoise(latents, time), expected, rtol=1e-4, atol=1e-4)
        if time == 0.0:
            torch.testing.assert_close(prior.denoise(latents, time), z[:, 0], rtol=1e-3, atol=1e-3)


def test_an_autoencoder_whose_code_says_nothing_leaves_the_latent_as_a_standard_normal_does():
    prior = VAEPrior(D, M, width=8, code=2)
    with torch.no_grad():
        for part in (
            prior.averaged.decoder[-1].weight,
            prior.averaged.decoder[-1].bias,
            prior.averaged.log_std,
        ):
            part.zero_()
    latents = TRUTH.draw(5, seeded(1))
    plain = GaussianImputer(D, M)
    torch.testing.assert_close(prior.denoise(latents, 0.4), plain.denoise(latents, 0.4))


@pytest.mark.parametrize("block", [None, 0, 1, 2])
def test_densities_of_blocks_are_those_of_the_law(block, diffusion, gaussian):
    latents = TRUTH.draw(60, seeded(12))
    z = torch.cat((latents.shared[:, None], latents.modality), 1).flatten(1)
    normal = torch.distributions.MultivariateNormal

    def joint(blocks):
        at = [b * D + i for b in blocks for i in range(D)]
        return normal(TRUTH.mean[at], TRUTH.covariance[at][:, at]).log_prob(z[:, at])

    others = [b for b in (1, 2) if b != block]
    truth = joint(others) if block is None else joint([block, *others]) - joint(others)
    for prior in (gaussian, diffusion):
        told = prior.block_log_likelihood(latents, block, seeded())
        error = told - truth
        assert error.abs().mean() < (0.1 if prior is gaussian else 0.3)
        assert abs(error.mean()) < (0.05 if prior is gaussian else 0.15)


def test_probes_estimate_the_density_of_a_block(diffusion, gaussian):
    latents = TRUTH.draw(40, seeded(12))
    exact = diffusion.block_log_likelihood(latents, 1, seeded())
    one, many = (diffusion.block_log_likelihood(latents, 1, seeded(), count) for count in (1, 64))
    assert not torch.equal(one, exact)
    assert (many - exact).abs().mean() < 0.5 * (one - exact).abs().mean()
    assert (many - exact).abs().mean() < 0.1
    told = (gaussian.block_log_likelihood(latents, 1, probes=count) for count in (None, 1))
    assert torch.equal(*told)  # in closed form there is nothing to estimate


def test_a_block_of_another_patient_is_flagged(diffusion):
    latents = TRUTH.draw(300, seeded(13))
    swapped = Latents(
        latents.shared,
        torch.stack((latents.modality[:, 0].roll(1, 0), latents.modality[:, 1]), 1),
        latents.present,
    )
    own, others = (diffusion.block_log_likelihood(x, 1, seeded()) for x in (latents, swapped))
    assert (own > others).float().mean() > 0.6


# -- the linear-Gaussian control


def test_moments_are_those_of_all_rows_when_nothing_is_missing():
    prior = GaussianImputer(D, M).double()
    batches = [TRUTH.draw(100, seeded(k)) for k in range(5)]
    rows = []
    for b in batches:
        wide = Latents(b.shared.double(), b.modality.double(), b.present)
        prior.observe(wide)
        rows.append(torch.cat((wide.shared[:, None], wide.modality), 1).flatten(1))
    rows = torch.cat(rows)
    torch.testing.assert_close(prior.center, rows.mean(0))
    torch.testing.assert_close(prior.covariance, rows.T.cov(correction=0))
    prior.eval().observe(wide)
    torch.testing.assert_close(prior.center, rows.mean(0))


def test_moments_of_pairs_are_made_positive_definite():
    """Three blocks of which no two pairs agree: a correlates with b, b with c, and a against c."""
    prior, noise = GaussianImputer(1, 3, warmup=1), seeded()
    for pair, sign in (((0, 1), 1.0), ((1, 2), 1.0), ((0, 2), -1.0)):
        z, present = torch.zeros(400, 3, 1), torch.zeros(400, 3, dtype=torch.bool)
        z[:, pair[0]] = torch.randn(400, 1, generator=noise)
        z[:, pair[1]] = sign * z[:, pair[0]]
        present[:, pair] = True
        prior.observe(Latents(torch.zeros(400, 1), z, present))
    assert torch.linalg.eigvalsh(prior.covariance[1:, 1:]).min() < -0.5
    _, covariance = prior.law()
    assert torch.linalg.eigvalsh(covariance).min() > 0
    batch = Latents(torch.zeros(4, 1), torch.randn(4, 3, 1), torch.tensor([[True, False, True]] * 4))
    assert prior.impute(batch, 3, generator=seeded()).isfinite().all()
    assert (
        prior.pairs[0, 0] == 0
    )  # nobody was complete, so of the shared block nothing is known but its moments
    assert (prior.conditional_mean(batch)[:, 0] == 0).all()


# -- one condition for each row


def test_guidance_goes_from_no_label_to_the_label_and_beyond():
    torch.manual_seed(0)
    network = DiffusionPrior(D, M, 3, backbone=partial(ResidualMLP, width=16, depth=1)).denoiser
    z, t, label = torch.randn(5, 1 + M, D), torch.rand(5), torch.tensor([0, 1, 2, 0, 1])
    untold = network(z, t, Condition()).v
    told = network(z, t, Condition(label)).v
    for guidance in (0.0, 1.0, 2.5):
        led = Guided(network, scale=guidance)
        torch.testing.assert_close(led(z, t, Condition(label)).v, untold + guidance * (told - untold))
    assert torch.equal(Guided(network, scale=0.0)(z, t, Condition(label)).v, untold)


def test_density_of_some_blocks_given_others_is_exact_for_the_exact_denoiser():
    c, mean = TRUTH.covariance.double(), torch.zeros(K, dtype=torch.float64)
    exact = GaussianDenoiser(mean, c)
    drawn = TRUTH.draw(5, seeded(21))
    z = torch.cat((drawn.shared[:, None], drawn.modality), 1).double() - TRUTH.mean.reshape(3, D)
    there = torch.tensor(
        [[True, True, True], [True, True, False], [False, True, True], [True] * 3, [False] * 3]
    )
    given = torch.tensor(
        [[True, False, False], [False, True, False], [False, False, False], [True, False, True], [False] * 3]
    )
    told = log_likelihood(exact, z, condition=Condition(None, there, given))

    def log(row, blocks):
        at = [b * D + i for b in blocks for i in range(D)]
        if not at:
            return 0.0
        return torch.distributions.MultivariateNormal(mean[at], c[at][:, at]).log_prob(z[row].flatten()[at])

    truth = [log(0, [0, 1, 2]) - log(0, [0]), log(1, [0, 1]) - log(1, [1]), log(2, [1, 2])]
    truth += [log(3, [0, 1, 2]) - log(3, [0, 2]), 0.0]
    torch.testing.assert_close(told, torch.tensor(truth, dtype=torch.float64), atol=1e-3, rtol=0)
    alone = log_likelihood(exact, z[3:4], exact=True, condition=Condition(None, there[3:4], given[3:4]))
    torch.testing.assert_close(alone, told[3:4], atol=1e-6, rtol=0)


def test_rare_classes_are_drawn_from_their_own_law():
    """Class 1 is one patient in twelve; guidance beyond 1 moves away from what is common."""
    centers = torch.tensor([[1.0, 1.0], [-2.0, 1.5]])

    def draw(n, generator):
        label = (torch.rand(n, generator=generator) < 1 / 12).long()
        z = centers[label][:, None] + 0.5 * torch.randn(n, 1 + M, D, generator=generator)
        return Latents(z[:, 0], z[:, 1:], torch.ones(n, M, dtype=torch.bool)), label

    torch.manual_seed(0)
    backbone = partial(ResidualMLP, width=48, depth=2)
    options = {"label_dropout": 0.2, "ema_decay": 0.99, "warmup": 50}  # trained for drawing classes
    prior = train(DiffusionPrior(D, M, 2, backbone=backbone, **options), 350, draw=draw)
    rare, common, free = (
        prior.destandardise(prior.sample_blocks(1500, 12, label, guidance, seeded()))
        for label, guidance in ((1, 1.0), (0, 1.0), (1, 0.0))
    )
    for block in range(1 + M):
        assert (rare[:, block].mean(0) - centers[1]).abs().max() < 0.25
        assert (common[:, block].mean(0) - centers[0]).abs().max() < 0.15
    assert (rare.std(0) - 0.5).abs().max() < 0.2
    assert 0.03 < (free[:, 0, 0] < -0.5).float().mean() < 0.16
    shared = prior.scale.inverse(prior.sample(1500, 12, label=1, generator=seeded()))
    assert (shared.mean(0) - centers[1]).abs().max() < 0.3
    assert (
        prior.sample_blocks(500, 12, 1, 3.0, seeded())[..., 0].mean()
        < prior.sample_blocks(500, 12, 1, 1.0, seeded())[..., 0].mean()
    )
