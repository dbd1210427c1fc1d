"""What every prior keeps. The tests walk all subclasses of `Prior`: a new one is held to it by existing."""

import copy
import importlib
import inspect
import pkgutil
from functools import partial

import pytest
import torch

import mhdiff.diffusion
from mhdiff.baselines import CrossGuided, Prompted
from mhdiff.diffusion import (
    BlockTransformer,
    DiffusionPrior,
    Latents,
    Prior,
    ResidualMLP,
    log_likelihood,
)
from ontology.errors import InputError

N, M, D, C = 6, 3, 5, 3

#: Other forms of a member that must keep the same.
FORMS = {
    "DiffusionPrior-flat": partial(DiffusionPrior, hierarchy="flat"),
    "DiffusionPrior-no_shared": partial(DiffusionPrior, hierarchy="no_shared"),
    "DiffusionPrior-repaint": partial(DiffusionPrior, imputing="repaint", repaint_rounds=2),
    "DiffusionPrior-euler_maruyama": partial(DiffusionPrior, sampler="euler_maruyama"),
    "DiffusionPrior-transformer": partial(
        DiffusionPrior, backbone=partial(BlockTransformer, width=16, depth=1)
    ),
    "DiffusionPrior-cross_guided": partial(
        DiffusionPrior, hierarchy="no_shared", backbone=partial(CrossGuided, width=16, depth=1)
    ),
    "DiffusionPrior-prompted": partial(
        DiffusionPrior, hierarchy="no_shared", backbone=partial(Prompted, width=16, depth=1)
    ),
}
#: Near relatives, which .ci/run tries too: of no_shared, of cross_guided, and of the plain one by another sampler.
RARE = {"DiffusionPrior-flat", "DiffusionPrior-prompted", "DiffusionPrior-repaint"}


def members(base=Prior):
    """All concrete priors of the package."""
    for module in pkgutil.iter_modules(mhdiff.diffusion.__path__):
        importlib.import_module(f"mhdiff.diffusion.{module.name}")
    found, queue = [], [base]
    while queue:
        for child in queue.pop().__subclasses__():
            queue.append(child)
            if not inspect.isabstract(child) and child.__module__.startswith("mhdiff."):
                found.append(child)
    return sorted(set(found), key=lambda kind: kind.__name__)


MAKERS = {kind.__name__: kind for kind in members()} | FORMS


def made(name):
    small = {"backbone": partial(ResidualMLP, width=16, depth=1)} if name == "DiffusionPrior" else {}
    return MAKERS[name](D, M, C, **small)


@pytest.fixture(
    params=[pytest.param(name, marks=pytest.mark.slow) if name in RARE else name for name in MAKERS]
)
def prior(request, monkeypatch):
    # What holds here holds however coarsely a flow is integrated; how finely it must be is a law of the likelihood.
    monkeypatch.setattr("mhdiff.diffusion.prior.log_likelihood", partial(log_likelihood, steps=2))
    torch.manual_seed(0)
    prior = made(request.param)
    prior.name = request.param
    return prior


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(n=N, seed=0):
    present = torch.rand(n, M, generator=seeded(seed + 1)) < 0.6
    present[0] = True
    if n > 2:
        present[1] = torch.tensor([True, False, False])
        present[2] = torch.tensor([False, True, True])
    return Latents(
        torch.randn(n, D, generator=seeded(seed)) * 2 + 1,
        torch.randn(n, M, D, generator=seeded(seed + 2)) * 3 - 1,
        present,
    )


def labels(n=N):
    return torch.arange(n) % C


def nothing_of(latents, rows):
    present = latents.present.clone()
    present[rows] = False
    return Latents(latents.shared, latents.modality, present)


def row(latents, i):
    return Latents(*(x[i : i + 1] for x in (latents.shared, latents.modality, latents.present)))


def answers(prior, latents):
    """Everything that a prior answers about a batch."""
    n = len(latents.shared)
    return {
        "loss": prior.loss(latents, labels(n), seeded()),
        "untold": prior.loss(latents, generator=seeded()),
        "denoise": prior.denoise(latents),
        "denoise at": prior.denoise(latents, 0.3),
        "impute": prior.impute(latents, draws=2, steps=3, generator=seeded()),
        "redraw": prior.impute(latents, draws=2, steps=3, generator=seeded(), redraw=True),
        "mean": prior.conditional_mean(latents),
        "density": prior.log_likelihood(latents, seeded()),
        "densities": prior.block_log_likelihood(latents, generator=seeded()),
        "one": prior.block_log_likelihood(latents, 1, seeded()),
        "plausible": prior.plausibility(
            prior.standardise(latents), labels(n) if prior.models_label else None, seeded()
        ),
        "plausible untold": prior.plausibility(prior.standardise(latents), generator=seeded()),
        "fused": prior.block_log_likelihood(latents, 0, seeded()),
    }


def draws(prior):
    return prior.sample(4, 3, generator=seeded()), prior.sample_blocks(4, 3, generator=seeded())


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.values(), other.values(), strict=True))


def finite(prior, latents):
    return all(x.isfinite().all() for x in (*answers(prior, latents).values(), *draws(prior)))


def trained(prior, steps=3):
    """Moved by the running statistics and by some steps of its own loss, whatever they lead to."""
    parameters = [p for p in prior.parameters() if p.requires_grad]
    for step in range(steps):
        latents = batch(16, step)
        prior.observe(latents)
        loss = prior.loss(latents, labels(16), seeded(step))
        if parameters:
            for p, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                p.data.sub_(0.05 * gradient)
        prior.update()
    return prior


def test_there_are_members():
    names = {"DiffusionPrior", "NoPrior", "VAEPrior", "MeanImputer", "RegressionImputer", "GaussianImputer"}
    assert set(MAKERS) >= names


@pytest.mark.parametrize("n", [N, 1])
def test_shapes_also_for_one_patient(prior, n):
    prior.observe(batch(n))
    prior.update()
    shapes = {name: tuple(x.shape) for name, x in answers(prior, batch(n)).items()}
    assert shapes["loss"] == shapes["untold"] == ()
    assert shapes["denoise"] == shapes["denoise at"] == (n, D)
    assert shapes["impute"] == shapes["redraw"] == (2, n, 1 + M, D)
    assert shapes["mean"] == (n, 1 + M, D)
    assert {shapes[x] for x in ("density", "densities", "one", "fused", "plausible")} == {(n,)}
    assert [x.shape for x in draws(prior)] == [(4, D), (4, 1 + M, D)]
    assert finite(prior, batch(n))


def test_a_member_that_has_learnt_makes_nothing_of_a_step(prior):
    prior.train()
    prior.scale.warmup = prior.modality_scale.warmup = 3
    for _ in range(3):
        assert prior.learning
        prior.observe(batch())
    if prior.learning:
        return  # it has weights or statistics, and says so
    state = copy.deepcopy(prior.state_dict())
    prior.observe(batch())
    assert all(torch.equal(x, state[name]) for name, x in prior.state_dict().items())
    assert not prior.loss(batch()).requires_grad
    assert prior.loss(batch()) == 0


def test_the_members_without_weights_or_statistics_stop_learning():
    for name in ("NoPrior", "MeanImputer"):
        prior = MAKERS[name](D, M, warmup=1).train()
        prior.observe(batch())
        assert not prior.learning


def test_nothing_present_has_one_defined_answer_whatever_stands_there(prior):
    trained(prior)
    latents = nothing_of(batch(), [1, 3])
    shared = latents.shared.clone()
    modality = latents.modality.masked_fill(~latents.present[..., None], torch.nan)
    shared[1], shared[3] = torch.nan, 1e9
    shared.requires_grad_()
    modality.requires_grad_()
    other = Latents(shared, modality, latents.present)
    out = prior.denoise(other)
    torch.testing.assert_close(out[1], out[3])
    assert out.isfinite().all()
    assert same(answers(prior, latents), answers(prior, other))
    (out.square().sum() + prior.conditional_mean(other).square().sum()).backward()
    assert (shared.grad[[1, 3]] == 0).all()
    assert (shared.grad[[0, 2]] != 0).any()
    assert (modality.grad[~latents.present] == 0).all()
    assert (modality.grad[latents.present] != 0).any()


def test_a_batch_of_nothing_is_survived(prior):
    latents = nothing_of(batch(), slice(None))
    prior.observe(latents)
    assert prior.loss(latents) == 0
    assert finite(prior, latents)
    assert all(value.isfinite().all() for value in prior.state_dict().values())
    asked = answers(prior, latents)
    assert all((asked[name] == 0).all() for name in ("densities", "one", "fused"))


def test_every_parameter_learns_from_the_prior_s_own_loss_and_the_latents_do_not(prior):
    latents = batch(40)
    latents.shared.requires_grad_()
    latents.modality.requires_grad_()
    loss = prior.loss(latents, labels(40), seeded())
    if loss.requires_grad:
        loss.backward()
    assert latents.shared.grad is None
    assert latents.modality.grad is None
    for name, p in prior.named_parameters():
        if p.requires_grad:
            assert p.grad is not None, name
            assert p.grad.abs().max() > 0, name


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("present", [[True] * M, [False, True, False], [False] * M])
def test_every_parameter_has_a_gradient_in_every_step(prior, told, present):
    """DDP waits for each of them, whoever is in the batch."""
    latents = batch(2)
    latents = Latents(latents.shared, latents.modality, torch.tensor([present, present]))
    loss = prior.loss(latents, labels(2) if told else None, seeded())
    parameters = {name: p for name, p in prior.named_parameters() if p.requires_grad}
    if parameters:
        loss.backward()
    assert [name for name, p in parameters.items() if p.grad is None] == []
    assert all(p.grad.isfinite().all() for p in parameters.values())


def test_patients_do_not_see_each_other(prior):
    trained(prior).eval()
    latents = batch()
    tolerances = {"denoise": 1e-5, "mean": 1e-5, "density": 1e-3, "densities": 1e-3, "plausible untold": 1e-4}
    for name, tolerance in tolerances.items():
        everybody, alone = answers(prior, latents)[name], answers(prior, row(latents, 2))[name]
        torch.testing.assert_close(alone, everybody[2:3], atol=tolerance, rtol=tolerance)


def test_same_generator_same_answers_and_the_global_one_is_left_alone(prior):
    trained(prior)
    state = torch.get_rng_state()
    assert same(answers(prior, batch()), answers(prior, batch()))
    assert all(torch.equal(a, b) for a, b in zip(draws(prior), draws(prior), strict=True))
    assert torch.equal(torch.get_rng_state(), state)


def test_known_blocks_stay_and_an_imputed_block_is_never_looked_at(prior):
    trained(prior)
    latents = batch()
    away = ~latents.present[..., None]
    modality = torch.where(away, 100 + 10 * torch.randn(N, M, D, generator=seeded(5)), latents.modality)
    lacking = ~latents.complete[:, None]
    shared = torch.where(lacking & torch.tensor(prior.draws_shared), latents.shared + 50, latents.shared)
    changed = Latents(shared, modality, latents.present)
    for redraw in (False, True):
        first, second = (prior.impute(x, 2, 3, seeded(), redraw=redraw) for x in (latents, changed))
        assert torch.equal(first, second)
        assert torch.equal(prior.conditional_mean(latents, redraw), prior.conditional_mean(changed, redraw))
        known = prior.known_blocks(latents)
        known[:, 0] &= not (redraw and prior.draws_shared)
        kept = prior.blocks(latents)[known]
        assert all(torch.equal(x[known], kept) for x in first)
    if prior.draws_shared:  # given the modalities alone, a complete patient's is not read either
        moved = Latents(latents.shared + 50, latents.modality, latents.present)
        assert torch.equal(
            prior.impute(moved, 2, 3, seeded(), redraw=True),
            prior.impute(latents, 2, 3, seeded(), redraw=True),
        )


def test_a_draw_is_differentiable_in_what_it_is_given_and_in_nothing_else(prior):
    trained(prior).double().eval()
    latents = batch()
    here = Latents(latents.shared.double(), latents.modality.double(), latents.present)
    away = [torch.randn(x.shape, generator=seeded(8), dtype=x.dtype) for x in (here.shared, here.modality)]

    def drawn(shared, modality):
        moved = Latents(shared, modality, latents.present)
        return prior.impute(moved, 2, 3, seeded(), common=True)

    shared, modality = here.shared.clone().requires_grad_(), here.modality.clone().requires_grad_()
    drawn(shared, modality).square().sum().backward()
    slope = float(sum((x.grad * by).sum() for x, by in zip((shared, modality), away, strict=True)))
    h = 1e-5
    ends = [
        drawn(here.shared + s * h * away[0], here.modality + s * h * away[1]).square().sum() for s in (1, -1)
    ]
    assert slope == pytest.approx(float(ends[0] - ends[1]) / (2 * h), rel=1e-5)
    assert slope != 0
    unknown = ~prior.known_blocks(latents)
    assert (modality.grad[unknown[:, 1:]] == 0).all()
    if prior.draws_shared:
        assert (shared.grad[unknown[:, 0]] == 0).all()
    assert all(p.grad is None for p in prior.parameters()), "a diagnosis does not teach the prior"
    assert not any(x.requires_grad for x in draws(prior)), "draws of complete patients are data"


def test_one_block_s_density_does_not_read_what_is_absent_or_fused(prior):
    trained(prior)
    latents = batch()
    moved = Latents(
        latents.shared + 50,
        torch.where(latents.present[..., None], latents.modality, 100.0),
        latents.present,
    )
    for block in (None, 1):
        first, second = (prior.block_log_likelihood(x, block, seeded()) for x in (latents, moved))
        assert torch.equal(first, second)
    assert (prior.block_log_likelihood(latents, 1, seeded())[~latents.present[:, 0]] == 0).all()
    with pytest.raises(InputError, match="no block 4"):
        prior.block_log_likelihood(latents, M + 1)


def test_labels_are_told_or_refused(prior):
    trained(prior)
    if not prior.models_label:
        with pytest.raises(InputError, match="told classes"):
            prior.sample_blocks(2, 3, label=0)
        with pytest.raises(InputError, match="told classes"):
            prior.plausibility(torch.zeros(2, D), labels(2))
        return
    if prior.models_shared:
        z = torch.randn(4, D, generator=seeded())
        of_a_class = prior.plausibility(z, torch.ones(4, dtype=torch.int64), seeded())
        assert not torch.equal(of_a_class, prior.plausibility(z, None, seeded()))
    told, untold, none = (
        prior.sample_blocks(4, 3, label, guidance, seeded())
        for label, guidance in ((1, 1.0), (1, 0.0), (None, 1.0))
    )
    assert torch.equal(untold, none)
    assert not torch.equal(told, none)
    each = prior.sample_blocks(4, 3, torch.ones(4, dtype=torch.int64), 1.0, seeded())
    assert torch.equal(told, each)
    for wrong in (C, -2, torch.zeros(3, dtype=torch.int64)):
        with pytest.raises(InputError, match="Classes are 0 to 2"):
            prior.sample(4, 3, label=wrong)
    with pytest.raises(InputError):
        made(prior.name).__class__(D, M, 0).sample(2, 3, label=0)


def test_wrong_requests_are_refused(prior):
    for wrong in ({"draws": 0}, {"steps": 0}):
        with pytest.raises(InputError):
            prior.impute(batch(), **wrong)
    for sizes in ((0, M), (D, 0), (D, M, -1)):
        with pytest.raises(InputError):
            type(prior)(*sizes)


def test_standardisation_moves_in_training_only_and_freezes(prior):
    prior.eval().observe(batch())
    assert prior.scale.batches == prior.modality_scale.batches == 0
    prior.train()
    prior.scale.warmup = prior.modality_scale.warmup = 2
    for seed in range(2):
        prior.observe(batch(seed=seed))
    for scale in (prior.scale, prior.modality_scale):
        frozen = copy.deepcopy(scale.state_dict())
        prior.observe(batch(seed=9))
        assert all(torch.equal(frozen[k], v) for k, v in scale.state_dict().items())


def test_each_block_is_standardised_by_its_own_rows(prior):
    latents = batch(400)
    prior.observe(latents)
    z = prior.blocks(latents)
    for block in range(1 + M):
        rows = z[latents.known, 0] if block == 0 else z[latents.present[:, block - 1], block]
        torch.testing.assert_close(rows.mean(0), torch.zeros(D), atol=1e-4, rtol=0)
        torch.testing.assert_close(rows.std(0, correction=0), torch.ones(D), atol=1e-4, rtol=0)
    back = prior.destandardise(z)
    torch.testing.assert_close(back[:, 1:][latents.present], latents.modality[latents.present])
    torch.testing.assert_close(back[latents.known, 0], latents.shared[latents.known])


def test_a_moved_and_scaled_latent_has_the_density_that_it_must(prior):
    prior = trained(prior).double().eval()
    latents = batch()
    wide = Latents(latents.shared.double(), latents.modality.double(), latents.present)
    before = {k: v for k, v in answers(prior, wide).items() if k in ("density", "densities", "one", "fused")}
    factor = 4.0
    for scale in (prior.scale, prior.modality_scale):
        scale.mean.mul_(factor)
        scale.variance.mul_(factor**2)
    if hasattr(prior, "covariance"):
        prior.center.mul_(factor)
        prior.covariance.mul_(factor**2)
    after = answers(prior, Latents(factor * wide.shared, factor * wide.modality, wide.present))
    volume = D * torch.tensor(factor).double().log()
    count = {
        "density": torch.ones(N),
        "densities": wide.present.sum(1),
        "one": wide.present[:, 0].double(),
        "fused": wide.known.double(),
    }
    for name, density in before.items():
        torch.testing.assert_close(after[name], density - count[name] * volume, msg=name)


def test_the_average_answers_and_the_parameters_learn(prior):
    """What has not been taken into the average answers nothing; the training loss alone sees it."""
    trained(prior)
    before, drawn = answers(prior, batch()), draws(prior)
    moved = [p for p in prior.parameters() if p.requires_grad]
    for p in moved:
        p.data.add_(0.1 * torch.randn(p.shape, generator=seeded()))
    after = answers(prior, batch())
    for name in before.keys() - {"loss", "untold"}:
        assert torch.equal(before[name], after[name]), name
    assert all(torch.equal(a, b) for a, b in zip(drawn, draws(prior), strict=True))
    if moved:
        assert not torch.equal(before["loss"], after["loss"])
        judged = prior.eval().loss(batch(), generator=seeded())
        prior.train().update()
        assert not torch.equal(judged, prior.eval().loss(batch(), generator=seeded()))


def test_state_dict_round_trip(prior):
    trained(prior)
    torch.manual_seed(1)
    twin = made(prior.name)
    twin.load_state_dict(prior.state_dict())
    assert same(answers(prior, batch()), answers(twin, batch()))
    assert all(torch.equal(a, b) for a, b in zip(draws(prior), draws(twin), strict=True))


def test_bfloat16_autocast(prior):
    trained(prior)
    full = answers(prior, batch())
    latents = batch()
    low = Latents(latents.shared.bfloat16(), latents.modality.bfloat16(), latents.present)
    with torch.autocast("cpu", torch.bfloat16):
        results = answers(prior, low)
        assert finite(prior, low)
        prior.observe(low)
    for name in ("denoise", "mean"):
        torch.testing.assert_close(results[name].float(), full[name], atol=0.1, rtol=0.1)
    assert prior.scale.mean.dtype == prior.modality_scale.mean.dtype == torch.float32


def test_double_precision(prior):
    prior.double()
    latents = batch()
    wide = Latents(latents.shared.double(), latents.modality.double(), latents.present)
    prior.observe(wide)
    assert {x.dtype for x in (*answers(prior, wide).values(), *draws(prior))} == {torch.float64}


def test_no_gradient_mode_is_enough_for_every_answer(prior):
    with torch.inference_mode():
        assert finite(prior, batch())


def test_who_draws_nobody_says_so(prior):
    """A prior generates if its draws of complete patients follow the blocks of those it learnt from."""
    trained(prior)
    drawn = prior.sample_blocks(400, 4, generator=seeded())
    assert drawn.shape == (400, 1 + M, D)
    plain = Prior.sample_blocks(prior, 400, 4, generator=seeded())
    if not prior.generates:
        assert torch.equal(drawn, plain)
    else:
        assert not torch.equal(drawn, plain)
