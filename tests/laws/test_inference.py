"""Laws of diagnosing: probabilities are averaged, what is missing has no influence, nobody depends on the others."""

import math

import pytest
import torch

from mhdiff.batch import Batch, EvidenceBatch
from mhdiff.diffusion import (
    DiffusionPrior,
    GaussianImputer,
    Latents,
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
    "shared at": Way(time=0.3, draws=3, steps=2),
    "mean": Way(mean=True),
    "mean through the fusion": Way(time=0.0, mean=True, via="fusion"),
    "warm": Way(draws=3, steps=2, temperature=2.5),
}
PRIORS = [DiffusionPrior, GaussianImputer, MeanImputer, NoPrior, RegressionImputer, VAEPrior]


class RepaintPrior(DiffusionPrior):
    def __init__(self, dim, modalities, classes):
        super().__init__(dim, modalities, classes, imputing="repaint", repaint_rounds=2)


# RepaintPrior is a DiffusionPrior that only draws otherwise.
@pytest.fixture(
    scope="module",
    params=[*PRIORS, pytest.param(RepaintPrior, marks=pytest.mark.slow)],
    ids=lambda kind: kind.__name__,
)
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
    latents = of(found, rows)
    blocks = net.prior.impute(latents, 16, 1, torch.Generator().manual_seed(seed), common=True)
    logits = torch.stack([net.head(net.prior.denoise(complete(net, one))) for one in blocks]).double()
    each = logits.softmax(-1)
    torch.testing.assert_close(found.probabilities[rows], each.mean(0))
    torch.testing.assert_close(found.spread[rows], each.std(0))
    assert not torch.allclose(logits.mean(0).softmax(-1), each.mean(0), atol=1e-3)


def of(found, rows):
    return Latents(*(x[rows] for x in vars(found.output.latents).values()))


def complete(net, blocks):
    """Patients who have these standardised blocks, all of them."""
    wide = net.prior.destandardise(blocks)
    return Latents(wide[:, 0], wide[:, 1:], torch.ones((*wide.shape[:1], 4), dtype=torch.bool))


@pytest.mark.parametrize("time", [0.0, 0.1, 0.4])
@pytest.mark.parametrize("kind", [DiffusionPrior, GaussianImputer])
def test_a_draw_is_denoised_before_the_head_sees_it(kind, time):
    """The head was trained on E[z | z_t]; at t = 0 that is z itself."""
    net = small.module(prior=kind).net.eval()
    batch, way = mixed(), Way(time=time, draws=3, steps=2)
    found = told(net, batch, way)
    rows = ~batch.present.all(1)
    blocks = net.prior.impute(of(found, rows), 3, 2, torch.Generator().manual_seed(0), common=True)
    raw = net.head(blocks[:, :, 0]).double().softmax(-1).mean(0)
    denoised = [net.head(net.prior.denoise(complete(net, one), time)).double().softmax(-1) for one in blocks]
    torch.testing.assert_close(found.probabilities[rows], torch.stack(denoised).mean(0), atol=1e-6, rtol=1e-5)
    assert torch.allclose(found.probabilities[rows], raw, atol=1e-5) == (time == 0.0)


@pytest.mark.parametrize("via", ["shared", "fusion"])
def test_the_conditional_mean_is_a_way_without_chance(net, via):
    batch, way = mixed(), Way(time=0.2, mean=True, via=via)
    rows = ~batch.present.all(1)
    by_seed = [diagnose(net, net.features(batch), batch, Inference(way, way, seed)) for seed in (0, 1)]
    assert torch.equal(by_seed[0].probabilities, by_seed[1].probabilities)
    assert (by_seed[0].spread == 0).all()
    latents = of(by_seed[0], rows)
    if not net.prior.imputes:
        wanted = net.prior.denoise(latents, 0.2)
    elif via == "shared" and net.prior.draws_shared:
        wanted = net.prior.denoise(complete(net, net.prior.conditional_mean(latents)), 0.2)
    else:
        filled = net.prior.destandardise(net.prior.conditional_mean(latents))[:, 1:]
        modality = torch.where(latents.present[..., None], latents.modality, filled)
        kept = batch.evidence.concept.masked_fill(~batch.present[..., None], -1)
        evidence = EvidenceBatch(kept[rows], batch.evidence.weight[rows], batch.evidence.polarity[rows])
        every = torch.ones_like(latents.present)
        fused = net.fuse(modality, evidence, net.guidance.local(evidence), every, False)
        wanted = net.prior.denoise(fused.latents, 0.2)
    torch.testing.assert_close(
        by_seed[0].probabilities[rows], net.head(wanted).double().softmax(-1), atol=1e-6, rtol=1e-5
    )


def test_many_draws_of_a_gaussian_come_to_its_mean_where_the_head_is_flat():
    net = small.module(prior=GaussianImputer).net.train()
    for seed in range(5):
        net.prior.observe(net(small.batch(64, seed, torch.ones(64, 4, dtype=torch.bool))).latents)
    net.eval()
    for parameter in net.head.parameters():
        parameter.data *= 0.1
    batch = mixed()
    mean, drawn = told(net, batch, Way(mean=True)), told(net, batch, Way(draws=512, steps=1))
    torch.testing.assert_close(mean.probabilities, drawn.probabilities, atol=2e-3, rtol=0)


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


@pytest.mark.parametrize(
    "wrong",
    [
        {"draws": -1},
        {"steps": 0},
        {"temperature": 0.0},
        {"via": "guess"},
        {"time": 1.5},
        {"mean": True, "draws": 2},
    ],
)
def test_what_is_no_way_is_refused(wrong):
    with pytest.raises(InputError, match="no way to diagnose"):
        Way(**wrong)
