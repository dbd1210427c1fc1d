"""What every prior keeps. The tests walk all subclasses of `Prior`: a new one is held to it by existing."""

import copy
import importlib
import inspect
import pkgutil

import pytest
import torch

import mhdiff.diffusion
from mhdiff.diffusion import Latents, Prior

N, M, D = 6, 3, 5


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


@pytest.fixture(params=members(), ids=lambda kind: kind.__name__)
def prior(request):
    torch.manual_seed(0)
    return request.param(dim=D)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(n=N, seed=0):
    present = torch.rand(n, M, generator=seeded(seed + 1)) < 0.6
    present[0] = True
    return Latents(
        torch.randn(n, D, generator=seeded(seed)) * 2 + 1,
        torch.randn(n, M, D, generator=seeded(seed + 2)),
        present,
    )


def nothing_of(latents, rows):
    present = latents.present.clone()
    present[rows] = False
    return Latents(latents.shared, latents.modality, present)


def answers(prior, latents):
    return (
        prior.loss(latents, generator=seeded()),
        prior.denoise(latents),
        prior.sample(4, 3, seeded()),
        prior.log_likelihood(latents, seeded()),
    )


def test_there_are_members():
    assert {kind.__name__ for kind in members()} >= {"DiffusionPrior", "NoPrior"}


@pytest.mark.parametrize("n", [N, 1])
def test_shapes_also_for_one_patient(prior, n):
    prior.observe(batch(n))
    prior.update()
    loss, denoised, draws, density = answers(prior, batch(n))
    assert (loss.shape, denoised.shape, draws.shape, density.shape) == ((), (n, D), (4, D), (n,))
    assert all(x.isfinite().all() for x in (loss, denoised, draws, density))


def test_nothing_present_has_one_defined_answer_whatever_stands_there(prior):
    prior.observe(batch())
    latents = nothing_of(batch(), [1, 3])
    junk = latents.shared.clone()
    junk[1], junk[3] = torch.nan, 1e9
    junk.requires_grad_()
    other = Latents(junk, latents.modality, latents.present)
    out = prior.denoise(other)
    assert torch.equal(out[1], out[3])
    assert out.isfinite().all()
    assert all(torch.equal(a, b) for a, b in zip(answers(prior, latents), answers(prior, other), strict=True))
    out.square().sum().backward()
    assert (junk.grad[[1, 3]] == 0).all()
    assert (junk.grad[[0, 2]] != 0).any()


def test_a_batch_of_nothing_is_survived(prior):
    latents = nothing_of(batch(), slice(None))
    prior.observe(latents)
    assert prior.loss(latents) == 0
    assert all(x.isfinite().all() for x in answers(prior, latents))
    assert all(value.isfinite().all() for value in prior.state_dict().values())


def test_every_parameter_learns_from_the_prior_s_own_loss_and_the_latents_do_not(prior):
    latents = batch()
    latents.shared.requires_grad_()
    latents.modality.requires_grad_()
    loss = prior.loss(latents, generator=seeded())
    if loss.requires_grad:
        loss.backward()
    assert latents.shared.grad is None
    assert latents.modality.grad is None
    for name, p in prior.named_parameters():
        if p.requires_grad:
            assert p.grad is not None, name
            assert p.grad.abs().max() > 0, name


def test_patients_do_not_see_each_other(prior):
    prior.observe(batch())
    prior.eval()
    latents = batch()
    alone = Latents(latents.shared[2:3], latents.modality[2:3], latents.present[2:3])
    torch.testing.assert_close(prior.denoise(alone), prior.denoise(latents)[2:3], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        prior.log_likelihood(alone), prior.log_likelihood(latents)[2:3], atol=1e-3, rtol=1e-3
    )


def test_same_generator_same_answers_and_the_global_one_is_left_alone(prior):
    prior.observe(batch())
    state = torch.get_rng_state()
    first, second = answers(prior, batch()), answers(prior, batch())
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert torch.equal(torch.get_rng_state(), state)


def test_standardisation_moves_in_training_only_and_freezes(prior):
    prior.eval().observe(batch())
    assert prior.scale.batches == 0
    prior.train()
    prior.scale.warmup = 2
    for seed in range(2):
        prior.observe(batch(seed=seed))
    frozen = copy.deepcopy(prior.scale.state_dict())
    prior.observe(batch(seed=9))
    assert all(torch.equal(frozen[k], v) for k, v in prior.scale.state_dict().items())


def test_state_dict_round_trip(prior):
    for _ in range(2):
        prior.observe(batch())
        with torch.no_grad():
            for p in prior.parameters():
                if p.requires_grad:
                    p.add_(0.01)
        prior.update()
    torch.manual_seed(1)
    twin = type(prior)(dim=D)
    twin.load_state_dict(prior.state_dict())
    pairs = zip(answers(prior, batch()), answers(twin, batch()), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_bfloat16_autocast(prior):
    prior.observe(batch())
    full = prior.denoise(batch())
    latents = batch()
    low = Latents(latents.shared.bfloat16(), latents.modality.bfloat16(), latents.present)
    with torch.autocast("cpu", torch.bfloat16):
        results = answers(prior, low)
        prior.observe(low)
    assert all(x.isfinite().all() for x in results)
    torch.testing.assert_close(results[1].float(), full, atol=0.1, rtol=0.1)
    assert prior.scale.mean.dtype == torch.float32


def test_double_precision(prior):
    prior.double()
    latents = batch()
    wide = Latents(latents.shared.double(), latents.modality.double(), latents.present)
    prior.observe(wide)
    assert prior.denoise(wide).dtype == prior.sample(2).dtype == torch.float64


def test_no_gradient_mode_is_enough_for_every_answer(prior):
    with torch.inference_mode():
        assert all(x.isfinite().all() for x in answers(prior, batch()))
