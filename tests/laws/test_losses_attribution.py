"""Laws of the penalty on attributions: it adds up, it reaches the encoders by second derivatives, the absent is 0."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mhdiff.encoders import LabEncoder, LabSpec
from mhdiff.explain.pixels import relevance
from mhdiff.losses import CrossEntropy, ExpectedGradients, PriorLoss
from mhdiff.losses.attribution_targets import outside, smoothness, sparsity
from ontology.errors import InputError
from tests import loss_parts as parts
from tests import small_model as small
from tests.contract.test_encoder_contract import ALL, BATCH, DIM, build, checkpoints  # noqa: F401

TARGETS = ("sparsity", "smoothness", "agreement")


class Net(nn.Module):
    """Encoders whose latents are multiplied: no modality does anything alone."""

    def __init__(self, encoders):
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        dim = next(iter(encoders.values())).dim
        self.head = nn.Sequential(nn.Linear(dim, 8), nn.SiLU(), nn.Linear(8, 3))

    def run(self, features, batch, weight):
        z = 1.0
        for column, (name, encoder) in enumerate(self.encoders.items()):
            here = batch.present[:, column, None]
            encoded = encoder.encode(features[name], batch.inputs[name])
            z = z * torch.where(here, 1 + encoded, 1.0)
        return SimpleNamespace(logits=self.head(z))


def context(net, inputs, present=None, masks=None, seed=0):
    size = len(next(iter(next(iter(inputs.values())).values())))
    present = torch.ones(size, len(inputs), dtype=torch.bool) if present is None else present
    batch = small.batch(size, present=present)
    batch.inputs, batch.masks = inputs, masks or {}
    features = {name: encoder.differentiable(inputs[name]) for name, encoder in net.encoders.items()}
    generator = torch.Generator().manual_seed(seed)
    return parts.LossContext(net, batch, None, features, present, generator)


def labs(rows, seed=0):
    g = torch.Generator().manual_seed(seed)
    return {"value": torch.randn(rows, 3, generator=g), "measured": torch.ones(rows, 3)}


def two_labs():
    torch.manual_seed(1)
    return Net({n: LabEncoder(LabSpec(("a", "b", "c")), 6, width=8, dropout=0.0) for n in ("one", "two")})


def odds(net, inputs, batch):
    logits = net.run({n: x["value"] for n, x in inputs.items()}, batch, None).logits
    own = nn.functional.one_hot(batch.label, 3).bool()
    return logits[own] - logits.masked_fill(own, -torch.inf).logsumexp(1)


def test_in_expectation_it_adds_up_over_all_modalities_together():
    net = two_labs()
    inputs = {"one": labs(2), "two": labs(2, 1)}  # each of two patients is the other's reference
    step = context(net, inputs)
    loss = ExpectedGradients()
    draws = []
    with torch.no_grad():
        for seed in range(200):
            found = loss.attribute(context(net, inputs, seed=seed))
            draws.append(sum(a.sum(1) for a in found.values()))
    draws = torch.stack(draws)
    swapped = {n: {k: v.flip(0) for k, v in x.items()} for n, x in inputs.items()}
    expected = (odds(net, inputs, step.batch) - odds(net, swapped, step.batch)).detach()
    error = draws.std(0) / len(draws) ** 0.5
    assert ((draws.mean(0) - expected).abs() < 4 * error).all()
    assert (error < 0.3 * expected.abs()).all()  # or the test could not fail


def test_a_patient_alone_is_held_against_the_baseline():
    net = two_labs()
    inputs = {"one": labs(1), "two": labs(1, 1)}
    draws = [
        sum(a.sum() for a in ExpectedGradients().attribute(context(net, inputs, seed=s)).values()).detach()
        for s in range(150)
    ]
    draws = torch.stack(draws)
    nothing = {n: x | {"value": torch.zeros(1, 3)} for n, x in inputs.items()}
    batch = context(net, inputs).batch
    expected = (odds(net, inputs, batch) - odds(net, nothing, batch)).detach()
    assert abs(draws.mean() - expected) < 4 * draws.std() / len(draws) ** 0.5


def test_the_gradient_is_that_of_the_penalty_itself():
    """Against finite differences, in double precision: first derivatives alone would not give it."""
    net = two_labs().double()
    inputs = {n: {k: v.double() for k, v in labs(4, i).items()} for i, n in enumerate(("one", "two"))}
    loss, weight = ExpectedGradients(target="sparsity"), net.encoders["one"].stem.weight
    loss(context(net, inputs)).backward()
    got, step = weight.grad[0, 0].clone(), 1e-6
    values = []
    with torch.no_grad():
        for sign in (1, -1):
            weight[0, 0] += sign * step
            values.append(loss(context(net, inputs)))
            weight[0, 0] -= sign * step
    assert got != 0
    torch.testing.assert_close(got, (values[0] - values[1]) / (2 * step), rtol=1e-5, atol=1e-9)


def test_what_is_absent_has_exactly_no_part():
    net = two_labs()
    present = torch.tensor([[True, True], [False, True], [True, False], [False, False]])
    inputs = {"one": labs(4), "two": labs(4, 1)}
    found = ExpectedGradients().attribute(context(net, inputs, present))
    for column, a in enumerate(found.values()):
        assert (a[~present[:, column]] == 0).all()
        assert (a[present[:, column]] != 0).any()
    whole = parts.module()
    batch = small.batch(6)
    for a, here in zip(
        ExpectedGradients().attribute(parts.context(whole, batch)).values(), batch.present.T, strict=True
    ):
        assert (a[~here] == 0).all()
        assert (a[here] != 0).any()


NEVER = ("key.bias", "k_proj.bias")  # shifts all logits of a row alike: attention does not see it


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize(("cls", "i"), ALL)
def test_the_second_derivative_reaches_every_encoder(build, cls, i, training):  # noqa: F811
    encoder, given = build(cls, i)
    size = BATCH
    other = LabEncoder(LabSpec(("a", "b", "c")), DIM, width=8)
    net = Net({"it": encoder, "labs": other}).train(training)
    inputs = {"it": given, "labs": labs(size)}
    present = torch.ones(size, 2, dtype=torch.bool)
    masks = {}
    if encoder.unit_axis is not None:
        shape = encoder.differentiable(given).sum(encoder.unit_axis).shape
        masks = {"it": torch.arange(shape[-1]).expand(shape) < 2}
    targets = TARGETS if encoder.unit_axis is not None else ("sparsity",)
    for target in targets:
        net.zero_grad()
        ExpectedGradients(target=target)(context(net, inputs, present, masks)).backward()
        for name, p in encoder.named_parameters():
            if p.requires_grad and not name.endswith(NEVER):
                assert p.grad is not None, (target, name)
                assert p.grad.isfinite().all(), (target, name)
                assert (p.grad != 0).any(), (target, name)


def test_sparsity_by_hand():
    a = torch.tensor([[1.0, 1, 1, 1], [4, 0, 0, 0], [0, -3, 1, 0], [0, 0, 0, 0]]) * 1e6
    # Gini of (0, 0, 1/4, 3/4): (1/4 + 3 * 3/4) / 4 = 5/8.
    torch.testing.assert_close(sparsity(a), torch.tensor([1, 1 / 4, 3 / 8, 0]), rtol=1e-5, atol=1e-6)
    assert sparsity(torch.full((1, 4), 1e-9)) < 1e-6  # what changes nothing is not shaped


def test_smoothness_by_hand():
    a = torch.tensor([[[0.0, 0, 0], [0, 5, 0], [0, 0, 0]], [[1, 1, 1], [1, 1, 1], [1, 1, 1]]]) * 1e6
    torch.testing.assert_close(smoothness(a), torch.tensor([1.0, 0]), rtol=1e-5, atol=1e-6)
    line = torch.tensor([[0.0, 2, 1]]) * 1e6  # one step of 2 and one of 1, over 2 * 3
    torch.testing.assert_close(smoothness(line), torch.tensor([0.5]), rtol=1e-5, atol=1e-6)


def test_agreement_is_what_the_relevance_mass_leaves():
    g = torch.Generator().manual_seed(0)
    a, mask = torch.randn(3, 8, 8, generator=g) * 100, torch.rand(3, 8, 8, generator=g) < 0.3
    expected = [1 - relevance(a[i], mask[i]).mass for i in range(3)]
    assert outside(a, mask).tolist() == pytest.approx(expected, abs=1e-4)


def test_patients_and_modalities_without_a_mask_have_no_part_in_agreement():
    module = parts.module([CrossEntropy(), PriorLoss(), ExpectedGradients(target="agreement")]).eval()
    loss = module.objective.losses["ig_reg_agreement"]
    batch = small.batch(4)
    batch.present[:, 0] = True
    step = parts.context(module, batch)
    step.batch.masks["image"] = torch.zeros(4, 16, 16, dtype=torch.bool)
    assert loss(step) == 0
    step.batch.masks["image"][0] = True  # all of it is inside
    assert loss(dataclasses.replace(step, generator=torch.Generator().manual_seed(0))) == 0
    step.batch.masks.clear()
    with pytest.raises(InputError, match=r"data\.masks"):
        loss(step)


@pytest.mark.parametrize("target", TARGETS)
def test_training_by_it_gets_what_it_asks_for(target):
    module = parts.module([CrossEntropy(), PriorLoss(), ExpectedGradients(target=target)]).eval()
    loss = module.objective.losses[f"ig_reg_{target}"]
    optimiser = torch.optim.Adam(module.net.encoders.parameters(), lr=3e-3)
    batch = small.batch(4, present=torch.ones(4, 4, dtype=torch.bool))
    values = []
    for step in range(12):
        optimiser.zero_grad()
        value = loss(parts.context(module, batch, seed=step % 4))
        value.backward()
        optimiser.step()
        values.append(float(value.detach()))
    assert sum(values[-4:]) < 0.9 * sum(values[:4])
