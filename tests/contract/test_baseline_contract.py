"""What every baseline must keep, as its YAML on top of the demo's builds it. A new YAML joins by being there."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path

import pytest
import torch
import yaml

import mhdiff.baselines
from mhdiff.ablate.fragments import expanded
from mhdiff.batch import EvidenceBatch
from mhdiff.inference import diagnose
from mhdiff.losses import LossContext
from mhdiff.training.cli import parse
from tests import small_model as small

CONFIGS = Path(__file__).parents[2] / "configs"
YAMLS = {path.stem: path for path in sorted((CONFIGS / "baselines").glob("*.yaml"))}
NETWORKS = [name for name, path in YAMLS.items() if "model" in yaml.safe_load(path.read_text())]
SMALL = ["--model.dim=16", "--model.heads=2", "--model.encoders.image.init_args.width=4"]


def columns(name):
    chosen = yaml.safe_load(YAMLS[name].read_text()).get("data", {}).get("modalities")
    return [i for i, m in enumerate(small.MODALITIES) if chosen is None or m in chosen]


def spec_of(name):
    spec, used = small.spec(), [small.MODALITIES[i] for i in columns(name)]
    return dataclasses.replace(spec, modalities=used, inputs={m: spec.inputs[m] for m in used})


def batch_of(name, size=6, seed=0, present=None):
    whole, keep = small.batch(size, seed, present), columns(name)
    e = whole.evidence
    evidence = EvidenceBatch(e.concept[:, keep], e.weight[:, keep], e.polarity[:, keep])
    inputs = {small.MODALITIES[i]: whole.inputs[small.MODALITIES[i]] for i in keep}
    return dataclasses.replace(whole, present=whole.present[:, keep], inputs=inputs, evidence=evidence)


@pytest.fixture(scope="module", params=NETWORKS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def parsed(name):
    return parse(["-c", str(CONFIGS / "demo.yaml"), "-c", str(YAMLS[name]), *SMALL])


@pytest.fixture(scope="module")
def demo():
    return parse(["-c", str(CONFIGS / "demo.yaml"), *SMALL])


@pytest.fixture
def module(name, parsed):
    torch.manual_seed(0)
    built = parsed.model
    built.build(spec_of(name))
    return built.eval()


def step(module, batch, present, number=0):
    """The loss of a training step, with nothing else hidden than the batch already hides.

    Losses draw their random numbers by the step's number.
    """
    module.train()
    features = module.net.features(batch)
    output = module.net.run(features, batch, batch.evidence.weight, complete=present)
    context = LossContext(module.net, batch, output, features, present, step=number)
    module.net.prior.observe(context.latents)
    return module.objective(context)[0]


def test_every_class_of_the_family_is_in_some_yaml():
    said = " ".join(path.read_text() for path in YAMLS.values())
    public = [c for c in vars(mhdiff.baselines).values() if inspect.isclass(c)]
    assert public
    assert not [c.__name__ for c in public if f"mhdiff.baselines.{c.__name__}" not in said]


def test_as_an_arm_it_is_what_it_is_as_a_file(name, parsed):
    options = expanded(f"--config={YAMLS[name]}", None)
    arm = parse(["-c", str(CONFIGS / "demo.yaml"), *options, *SMALL])
    assert arm.parser.dump(arm.config) == parsed.parser.dump(parsed.config)


def test_it_shares_what_all_arms_share(parsed, demo):
    for key in (
        "encoders",
        "masking",
        "learning_rate",
        "weight_decay",
        "dim",
        "heads",
        "learning_rate_schedule",
    ):
        assert parsed.config["model"][key] == demo.config["model"][key], key
    assert parsed.config["trainer"] == demo.config["trainer"]
    assert {k: v for k, v in parsed.config["data"].items() if k not in ("modalities", "among")} == {
        k: v for k, v in demo.config["data"].items() if k not in ("modalities", "among")
    }


def test_an_absent_modality_has_no_influence_and_no_gradient(name, module):
    batch = batch_of(name)
    batch.present[:, 0] = False
    if batch.present.shape[1] > 1:
        batch.present[:, -1] = True
    other, first = batch_of(name, seed=1), small.MODALITIES[columns(name)[0]]
    changed = dataclasses.replace(batch, inputs=batch.inputs | {first: other.inputs[first]})
    concept = batch.evidence.concept.clone()
    concept[:, 0] = other.evidence.concept[:, 0]
    changed.evidence = dataclasses.replace(batch.evidence, concept=concept)
    assert torch.equal(module(batch).logits, module(changed).logits)
    features = {m: x.detach().requires_grad_() for m, x in module.net.features(batch).items()}
    module.net.score(features, batch, batch.evidence.weight).square().sum().backward()
    assert features[first].grad is None or torch.count_nonzero(features[first].grad) == 0
    last = small.MODALITIES[columns(name)[-1]]
    assert last == first or torch.count_nonzero(features[last].grad) > 0


def test_with_nothing_there_the_diagnosis_is_defined_and_the_same_for_all(name, module):
    batch = batch_of(name, present=torch.zeros(6, 4, dtype=torch.bool))
    found = diagnose(module.net, module.net.features(batch), batch).probabilities
    assert found.isfinite().all()
    torch.testing.assert_close(found, found[:1].expand_as(found))


def test_diagnoses_are_probabilities_and_deterministic(name, module):
    batch = batch_of(name)
    features = module.net.features(batch)
    first, again = (diagnose(module.net, features, batch).probabilities for _ in range(2))
    assert first.shape == (6, small.CLASSES)
    assert torch.equal(first, again)
    torch.testing.assert_close(first.sum(1), torch.ones(6, dtype=torch.float64))


def test_a_patient_does_not_depend_on_the_others(name, module):
    batch = batch_of(name)
    whole = diagnose(module.net, module.net.features(batch), batch).probabilities
    one = batch_of(name)
    part = dataclasses.replace(
        one, sample_id=one.sample_id[:1], present=one.present[:1], label=one.label[:1],
        inputs={m: {k: v[:1] for k, v in x.items()} for m, x in one.inputs.items()},
        evidence=EvidenceBatch(*(x[:1] for x in (one.evidence.concept, one.evidence.weight, one.evidence.polarity))),
    )  # fmt: skip
    alone = diagnose(module.net, module.net.features(part), part).probabilities
    torch.testing.assert_close(whole[:1], alone, atol=1e-5, rtol=1e-4)


def test_every_trained_parameter_gets_a_gradient(name, module):
    batch = batch_of(name, size=24)
    batch.present[0] = True
    batch.present[1] = False
    batch.present[1, -1] = True
    batch.present[2] = False
    step(module, batch, batch.present.clone()).backward()
    trained = {n: p for n, p in module.named_parameters() if p.requires_grad}
    assert not [n for n, p in trained.items() if p.grad is None]
    idle = [n for n, p in trained.items() if not p.grad.any()]
    # Of a patient without anything nothing is read, so with one modality its absence says nothing.
    excused = {"net.absence"} if len(columns(name)) == 1 else set()
    assert set(idle) == excused


def test_no_gradient_of_the_prior_reaches_the_encoders(name, module):
    batch = batch_of(name, size=24)
    latents = module.train().net(batch).latents
    loss = module.net.prior.loss(latents, batch.label, torch.Generator().manual_seed(0))
    encoders = list(module.net.encoders.parameters())
    if loss.requires_grad:
        assert all(g is None for g in torch.autograd.grad(loss, encoders, allow_unused=True))
    assert loss.isfinite()


@pytest.mark.slow
def test_it_learns_by_heart_a_batch_of_a_few_patients(name, module):
    """A model that cannot is wired wrongly."""
    batch = batch_of(name, size=9, present=torch.ones(9, 4, dtype=torch.bool))
    optimiser = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], lr=4e-3)
    torch.manual_seed(0)
    reached = -torch.inf
    for round_ in range(8):
        for number in range(60):
            optimiser.zero_grad()
            step(module, batch, batch.present.clone(), 60 * round_ + number).backward()
            optimiser.step()
            module.net.prior.update()
            module.net.head.update()
        found = diagnose(module.eval().net, module.net.features(batch), batch).probabilities
        reached = float(found.gather(1, batch.label[:, None]).log().mean())
        if reached > -0.7:
            break
    assert reached > -0.7
