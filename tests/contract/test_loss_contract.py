"""What every loss keeps. A new one without an entry in `tests.loss_parts.MADE` fails."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from mhdiff.losses import (
    Adversarial,
    Classification,
    Contrastive,
    CrossEntropy,
    ExpectedGradients,
    HeadLoss,
    LinearWarmup,
    PriorLoss,
    SyntheticLatents,
    Unimodal,
)
from ontology.errors import InputError
from tests import loss_parts as parts
from tests import small_model as small

#: Whom each loss trains, of the parts of the model; the own parameters of a loss are `own`.
TRAINS = {
    Classification: {"encoders", "guidance", "fusion", "head", "absence", "kind"},
    PriorLoss: {"prior"},
    HeadLoss: {"encoders", "guidance", "fusion", "head", "absence", "kind"},
    Adversarial: {"prior", "own"},
    Contrastive: {"encoders", "own"},
    Unimodal: {"encoders", "own"},
    ExpectedGradients: {"encoders", "guidance", "fusion", "head", "kind", "absence"},
    SyntheticLatents: {"head"},
}
MODALITIES = len(small.MODALITIES)


def with_loss(kind, number, **options):
    """A module that trains by this loss beside what it cannot do without."""
    loss = parts.made(kind, number, **options)
    rest = [] if issubclass(kind, Classification) and not loss.idle else [CrossEntropy()]
    rest = [x for x in rest if x.name != loss.name]
    rest += [] if kind is PriorLoss else [PriorLoss()]
    return parts.module([*rest, loss]), loss


@pytest.fixture(params=parts.CASES, ids=lambda case: f"{case[0].__name__}{case[1]}")
def case(request):
    return request.param


def test_every_loss_is_in_the_table():
    assert parts.all_losses() == set(parts.MADE)


PRESENT = {
    "some": None,
    "nothing": torch.zeros(5, MODALITIES, dtype=torch.bool),
    "one modality": torch.eye(MODALITIES, dtype=torch.bool)[[2] * 5],
    "one patient": torch.ones(1, MODALITIES, dtype=torch.bool),
}


@pytest.mark.parametrize("what", PRESENT)
def test_a_number_with_whatever_is_there_and_a_gradient_for_all_that_it_owns(case, what):
    built, loss = with_loss(*case)
    present = PRESENT[what]
    batch = small.batch(5 if present is None else len(present), present=present)
    value = loss(parts.context(built, batch))
    assert value.shape == ()
    assert value.dtype == torch.float32
    assert value.isfinite()
    if what == "nothing" and not isinstance(loss, Classification):
        assert value == 0
    value.backward()
    for name, p in loss.named_parameters():
        assert p.grad is not None, name  # what waits for gradients in several processes is not kept waiting
    for name, p in built.named_parameters():
        assert p.grad is None or p.grad.isfinite().all(), name


def test_it_trains_whom_it_should_and_nobody_else(case):
    kind, _ = case
    built, loss = with_loss(*case)
    loss(parts.context(built, small.batch(8), step=1)).backward()
    moved = {n.split(".")[1] for n, p in built.named_parameters() if n.startswith("net.") and moves(p)}
    moved |= {"own"} if any(moves(p) for p in loss.parameters()) else set()
    expected = next(names for base, names in TRAINS.items() if issubclass(kind, base))
    assert moved == expected


def moves(parameter):
    return parameter.grad is not None and bool((parameter.grad != 0).any())


def test_same_generator_same_number_and_the_global_one_is_left_alone(case):
    built, loss = with_loss(*case)
    step = parts.context(built)
    state = torch.get_rng_state()
    buffers = {n: b.clone() for n, b in loss.named_buffers()}
    values = []
    for seed in (0, 0, 1):
        with torch.no_grad():
            for n, b in loss.named_buffers():  # a power iteration is carried on from call to call
                b.copy_(buffers[n])
        values.append(loss(dataclasses.replace(step, generator=torch.Generator().manual_seed(seed))))
    assert torch.equal(values[0], values[1])
    draws = not isinstance(loss, Classification | Contrastive | Unimodal)
    assert torch.equal(values[0], values[2]) != draws
    assert torch.equal(torch.get_rng_state(), state)


def test_what_is_absent_has_no_part_not_even_as_nan(case):
    built, loss = with_loss(*case)
    built.eval()  # or dropout would draw otherwise in the other batch
    batch = small.batch(6)
    batch.present[:, 0], batch.present[0, 1] = False, False
    batch.present[:, 3] = True
    step = parts.context(built, batch)
    value = loss(step)
    latents = step.output.latents
    junk = torch.where(latents.present[..., None], latents.modality, torch.nan)
    spoilt = dataclasses.replace(step.output, latents=dataclasses.replace(latents, modality=junk))
    pixels = torch.full_like(step.features["image"], torch.nan)
    other = dataclasses.replace(step, output=spoilt, features=step.features | {"image": pixels})
    again = dataclasses.replace(other, generator=torch.Generator().manual_seed(0))
    if isinstance(loss, PriorLoss):  # the stand-in for a prior in these tests makes its blocks itself
        again = dataclasses.replace(again, output=step.output)
    if isinstance(loss, Adversarial) and loss.spectral:
        loss = parts.module([CrossEntropy(), PriorLoss(), parts.made(*case)]).objective.losses["adv"].eval()
        value = loss(dataclasses.replace(step, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(loss(again), value)


def two_steps(losses, clip=1.0):
    """What a model is after two steps of its optimiser."""
    built = parts.module(losses)
    built.log_dict = lambda *args, **kwargs: None
    optimiser = built.configure_optimizers()
    torch.manual_seed(5)
    for seed in (1, 2):
        batch = small.batch(8, seed)
        batch.masks = parts.masks(8)
        optimiser.zero_grad()
        built.training_step(batch, 0).backward()
        torch.nn.utils.clip_grad_norm_(built.parameters(), clip)
        optimiser.step()
    return {n: t.clone() for n, t in built.state_dict().items()}, torch.get_rng_state()


def test_weight_0_changes_nothing_bit_for_bit(case):
    kind, _ = case
    base = [] if kind is PriorLoss else [PriorLoss()]
    base += [parts.made(parts.Focal) if kind is CrossEntropy else CrossEntropy()]
    alone, state = two_steps(base)
    more, after = two_steps([*base, parts.made(*case, weight=0.0)])
    assert alone.keys() == more.keys()
    assert all(torch.equal(alone[n], more[n]) for n in alone)
    assert torch.equal(state, after)


def test_only_logged_changes_nothing_bit_for_bit_and_is_logged(case):
    kind, _ = case
    if kind is Adversarial:
        with pytest.raises(InputError, match="never learn"):
            parts.made(*case, log_only=True)
        return
    base = [] if kind is PriorLoss else [PriorLoss()]
    base += [parts.made(parts.Focal) if kind is CrossEntropy else CrossEntropy()]
    alone, state = two_steps(base)
    more, after = two_steps([*base, parts.made(*case, log_only=True)])
    assert all(torch.equal(alone[n], more[n]) for n in alone)
    assert torch.equal(state, after)
    built = parts.module([*base, parts.made(*case, log_only=True)])
    total, told = built.objective(parts.context(built))
    name = next(n for n, x in built.objective.losses.items() if x.log_only)
    assert told[name] != 0
    assert f"{name}/weighted" not in told
    assert torch.equal(told["loss"], total.detach())


def test_before_its_time_a_loss_changes_nothing_else_and_keeps_nobody_waiting(case):
    kind, _ = case
    if kind is not PriorLoss:
        # Without clipping: more gradients of 0 can round the norm of all another way.
        base = [PriorLoss(), parts.made(parts.Focal) if kind is CrossEntropy else CrossEntropy()]
        alone, _ = two_steps(base, clip=1e9)
        more, _ = two_steps([*base, parts.made(*case, weight=LinearWarmup(1.0, 0, 2))], clip=1e9)
        assert all(torch.equal(alone[n], more[n]) for n in alone)
    losses = [parts.made(*case, weight=LinearWarmup(1.0, 0, 2))]
    losses += [] if kind is CrossEntropy else [CrossEntropy()]
    losses += [] if kind is PriorLoss else [PriorLoss()]
    built = parts.module(losses)
    total, _ = built.objective(parts.context(built, small.batch(8)))
    if total.requires_grad:
        total.backward()
    for name, p in built.objective.named_parameters():
        assert p.grad is not None, name
        assert (p.grad == 0).all(), name
    if kind is PriorLoss:
        assert all(p.grad is not None for p in built.net.prior.parameters() if p.requires_grad)


def test_bfloat16(case):
    built, loss = with_loss(*case)
    built.eval()
    full = loss(parts.context(built))
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(parts.context(built))
    assert value.dtype == torch.float32
    value.backward()
    torch.testing.assert_close(value, full, rtol=0.2, atol=0.05)
    for name, p in built.named_parameters():
        if (
            "image" not in name
        ):  # the CPU's bfloat16 convolution gives NaN on planes of one pixel, with any loss
            assert p.grad is None or p.grad.isfinite().all(), name


def test_state_dict_round_trip(case):
    built, loss = with_loss(*case)
    twin, other = with_loss(*case)
    with torch.no_grad():
        for tensor in [*loss.parameters(), *loss.buffers()]:
            if tensor.is_floating_point():
                tensor.mul_(1.01)
    twin.load_state_dict(built.state_dict(), strict=True)
    for x in (built, twin):
        x.eval()
    assert torch.equal(loss(parts.context(built)), other(parts.context(twin)))


def test_a_class_is_never_told_to_who_must_not_know_it(case):
    kind, _ = case
    if not issubclass(kind, Adversarial | Contrastive):
        return
    built, loss = with_loss(*case)
    step = parts.context(built.eval(), small.batch(8))
    value = loss(step)
    shuffled = dataclasses.replace(step.batch, label=(step.batch.label + 1) % small.CLASSES)
    again = dataclasses.replace(step, batch=shuffled, generator=torch.Generator().manual_seed(0))
    assert torch.equal(loss(again), value)
