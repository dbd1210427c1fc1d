"""Laws of diagnosing: probabilities are averaged, what is missing has no influence, nobody depends on the others."""

import math

import pytest
import torch

from mhdiff.batch import Batch, EvidenceBatch
from mhdiff.diffusion import (
    DiffusionPrior,
    GaussianImputer,
    MeanImputer,
    NoPrior,
    RegressionImputer,
    VAEPrior,
)
from mhdiff.inference import Inference, Way, diagnose
from mhdiff.training.settle import best_temperature, log_loss
from ontology.errors import InputError
from tests import small_model as small

WAYS = {
    "denoise": Way(),
    "denoise at": Way(time=0.4),
    "shared": Way(draws=3, steps=2),
    "fusion": Way(draws=3, steps=2, via="fusion"),
    "warm": Way(draws=3, steps=2, temperature=2.5),
}
PRIORS = [DiffusionPrior, GaussianImputer, MeanImputer, NoPrior, RegressionImputer, VAEPrior]


@pytest.fixture(params=PRIORS, ids=lambda kind: kind.__name__)
def net(request):
    net = small.module(prior=request.param).net
    net.train()
    batch = small.batch(8)
    for _ in range(3):
        net.prior.observe(net(batch).latents)
    return net.eval()


def told(net, batch, way):
    return diagnose(net, net.features(batch), batch, Inference(way, way))


def part(batch, rows):
    evidence = EvidenceBatch(
        *(x[rows] for x in (batch.evidence.concept, batch.evidence.weight, batch.evidence.polarity))
    )
    inputs = {m: {k: v[rows] for k, v in tensors.items()} for m, tensors in batch.inputs.items()}
    return Batch(batch.sample_id[rows], batch.present[rows], inputs, evidence, batch.label[rows])


def mixed(size=6):
    present = torch.ones(size, 4, dtype=torch.bool)
    present[1, 0] = present[2, 1:] = present[3, 3] = False
    present[4] = False
    return small.batch(size, present=present)


def test_by_default_it_is_the_softmax_of_the_logits(net):
    batch = mixed()
    found = diagnose(net, net.features(batch), batch)
    torch.testing.assert_close(
        found.probabilities, net(batch).logits.double().softmax(-1), atol=1e-6, rtol=1e-5
    )
    assert (found.spread == 0).all()


@pytest.mark.parametrize("way", WAYS)
def test_probabilities_whoever_is_missing(net, way):
    found = told(net, mixed(), WAYS[way])
    torch.testing.assert_close(found.probabilities.sum(-1), torch.ones(6, dtype=torch.float64))
    assert (found.probabilities > 0).all()
    # who has everything has nothing that is drawn
    assert (found.spread[[0, 5]] < 1e-6).all()
    draws = WAYS[way].draws and isinstance(net.prior, DiffusionPrior | GaussianImputer | VAEPrior)
    assert (found.spread[1:5] > 0).any(-1).tolist() == [bool(draws)] * 4


@pytest.mark.parametrize("way", WAYS)
def test_nobody_depends_on_who_else_is_asked_about(net, way):
    batch = mixed()
    together = told(net, batch, WAYS[way])
    for rows in ([3], [1, 4], [5, 2]):
        alone = told(net, part(batch, torch.tensor(rows)), WAYS[way])
        torch.testing.assert_close(alone.probabilities, together.probabilities[rows], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(alone.spread, together.spread[rows], atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("way", WAYS)
def test_what_is_missing_has_no_influence(net, way):
    batch = mixed()
    before = told(net, batch, WAYS[way])
    absent = ~batch.present
    other = torch.randint(0, small.CONCEPTS, batch.evidence.concept.shape)
    batch.evidence.concept = torch.where(absent[..., None], other, batch.evidence.concept)
    for column, tensors in enumerate(batch.inputs.values()):
        for name, value in tensors.items():
            if value.is_floating_point():
                tensors[name] = torch.where(absent[:, column].view(-1, *[1] * (value.ndim - 1)), 7.0, value)
    after = told(net, batch, WAYS[way])
    torch.testing.assert_close(before.probabilities, after.probabilities, atol=1e-6, rtol=1e-5)


def test_probabilities_are_averaged_and_not_logits():
    net = small.module(prior=GaussianImputer).net.eval()
    for parameter in net.head.parameters():
        parameter.data *= 8
    batch, seed = mixed(), 3
    way = Way(draws=16, steps=1)
    found = diagnose(net, net.features(batch), batch, Inference(way, way, seed))
    rows = ~batch.present.all(1)
    latents = type(found.output.latents)(*(x[rows] for x in vars(found.output.latents).values()))
    blocks = net.prior.impute(latents, 16, 1, torch.Generator().manual_seed(seed), common=True)
    each = net.head(blocks[:, :, 0]).double().softmax(-1)
    torch.testing.assert_close(found.probabilities[rows], each.mean(0))
    torch.testing.assert_close(found.spread[rows], each.std(0))
    assert not torch.allclose(net.head(blocks[:, :, 0]).double().mean(0).softmax(-1), each.mean(0), atol=1e-3)


def test_temperature_is_found_again():
    generator = torch.Generator().manual_seed(0)
    true = 2 * torch.randn(20_000, 4, generator=generator, dtype=torch.float64)
    label = torch.multinomial(true.softmax(-1), 1, generator=generator)[:, 0]
    temperature, loss = best_temperature(3.0 * true[None], label)
    assert temperature == pytest.approx(3.0, rel=0.05)
    assert loss == pytest.approx(log_loss(true[None], label, 1.0), abs=1e-3)
    by_hand = -true.log_softmax(-1)[torch.arange(len(label)), label].mean()
    assert log_loss(true[None], label, 1.0) == pytest.approx(float(by_hand))
    two = torch.stack([true, true.flip(0)])
    mean = two.softmax(-1).mean(0)[torch.arange(len(label)), label]
    assert log_loss(two, label, 1.0) == pytest.approx(float(-mean.log().mean()))
    assert math.isfinite(best_temperature(true[None, :1], label[:1])[0])


def test_an_inference_survives_json():
    import json

    inference = Inference(Way(0.2, temperature=1.5), Way(draws=8, via="fusion"), 4)
    assert Inference.from_dict(json.loads(json.dumps(inference.as_dict()))) == inference


@pytest.mark.parametrize("wrong", [{"draws": -1}, {"steps": 0}, {"temperature": 0.0}, {"via": "guess"}])
def test_what_is_no_way_is_refused(wrong):
    with pytest.raises(InputError, match="no way to diagnose"):
        Way(**wrong)
