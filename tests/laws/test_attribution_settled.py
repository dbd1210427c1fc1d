"""Laws of explaining a diagnosis as it is made: denoised or imputed, it is what is said, and adds up."""

from dataclasses import replace

import pytest
import torch

from mhdiff.batch import EvidenceBatch
from mhdiff.diffusion import (
    DiffusionPrior,
    GaussianImputer,
    MeanImputer,
    NoPrior,
    RegressionImputer,
    VAEPrior,
)
from mhdiff.explain import attribute
from mhdiff.explain.model import take_rows
from mhdiff.explain.settled import Settled
from mhdiff.inference import Inference, Way, diagnose
from tests import small_model as small

WAYS = {
    "denoise": Way(time=0.2, temperature=1.7),
    "shared": Way(draws=4, steps=3, temperature=0.6),
    "mean": Way(mean=True, temperature=1.3),
    "fusion": Way(draws=4, steps=3, via="fusion", temperature=2.5),
}
PRIORS = [DiffusionPrior, GaussianImputer, MeanImputer, NoPrior, RegressionImputer, VAEPrior]
DRAWING = {DiffusionPrior, GaussianImputer, VAEPrior}


@pytest.fixture(scope="module", params=PRIORS, ids=lambda kind: kind.__name__)
def net(request):
    net = small.module(prior=request.param).net.train()
    with torch.no_grad():
        latents = net(small.batch(32, present=torch.ones(32, 4, dtype=torch.bool))).latents
    net.prior.observe(latents)
    parameters = [p for p in net.prior.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(parameters, 1e-2) if parameters else None
    for step in range(30 if optimiser else 0):
        optimiser.zero_grad(set_to_none=True)
        net.prior.loss(latents, generator=torch.Generator().manual_seed(step)).backward()
        optimiser.step()
        net.prior.update()
    net.zero_grad(set_to_none=True)
    for parameter in net.head.parameters():
        parameter.data *= 4  # so that a mean of probabilities is not one of logits
    return net.eval()


@pytest.fixture(scope="module")
def batch():
    present = torch.ones(5, 4, dtype=torch.bool)
    present[1, 0] = present[2, :2] = present[4] = False
    present[3] = torch.tensor([False, True, False, False])
    return small.batch(5, present=present)  # who lacks something lacks the image, whose ReLUs cost precision


def settled(net, way):
    return Settled(net, Inference(WAYS["denoise"], WAYS[way], seed=3))


@pytest.mark.parametrize("way", WAYS)
def test_what_is_attributed_is_what_is_said(net, batch, way):
    model = settled(net, way)
    features = net.features(batch)
    said = diagnose(net, features, batch, model.inference)
    score = model.score(features, batch, batch.evidence.weight)
    assert score.requires_grad
    torch.testing.assert_close(score.exp(), said.probabilities, atol=1e-9, rtol=0)
    assert torch.equal(model.diagnose(features, batch).probabilities, said.probabilities)
    assert not said.probabilities.requires_grad
    weight = batch.evidence.weight * 0.3
    moved = replace(batch, evidence=EvidenceBatch(batch.evidence.concept, weight, batch.evidence.polarity))
    other = diagnose(net, features, moved, model.inference).probabilities
    torch.testing.assert_close(model.score(features, batch, weight).exp(), other, atol=1e-9, rtol=0)
    assert not torch.allclose(other[:4], said.probabilities[:4], atol=1e-5), "the weights have no influence"


@pytest.mark.parametrize("way", WAYS)
def test_attributions_add_up_to_the_change_of_what_is_said(net, batch, way):
    adds_up(net, batch, way, "log_odds")


@pytest.mark.parametrize("net", [DiffusionPrior], indirect=True)
@pytest.mark.parametrize("output", ["probability", "logit"])
def test_whatever_is_made_of_the_averaged_probabilities_adds_up(net, batch, output):
    adds_up(net, batch, "shared", output)


def adds_up(net, batch, way, output):
    model = settled(net, way)
    p = diagnose(net, net.features(batch), batch, model.inference).probabilities
    target = p.argmax(1)
    found = attribute(model, batch, target, output=output, steps=32, most_steps=128)
    baseline = {n: e.baseline(batch.inputs[n]) for n, e in net.encoders.items()}
    told = {"log_odds": p.logit(), "probability": p, "logit": p.log()}[output]
    nobody = replace(batch.evidence, weight=torch.zeros_like(batch.evidence.weight))
    q = diagnose(net, baseline, replace(batch, evidence=nobody), model.inference).probabilities
    from_ = {"log_odds": q.logit(), "probability": q, "logit": q.log()}[output]
    rows = torch.arange(5)
    torch.testing.assert_close(
        found.difference, (told - from_)[rows, target], atol=1e-5, rtol=1e-4, check_dtype=False
    )
    assert (found.difference[:4].abs() > 1e-4).all()
    assert found.gap.max() < 0.01
    torch.testing.assert_close(
        found.by_modality.sum(1), found.difference, atol=1e-4, rtol=0.01, check_dtype=False
    )
    absent = ~batch.present
    assert (found.by_modality[absent] == 0).all()
    assert (found.by_modality[batch.present] != 0).all()
    assert found.difference[4] == 0, "of whom nothing is there"
    assert not net.training
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize("way", ["shared", "fusion"])
def test_a_patient_is_explained_alike_alone_and_in_company(net, batch, way):
    model = settled(net, way)
    whole = attribute(model, batch, 1, steps=4, most_steps=4)
    one = torch.tensor([2])
    for points in (None, 1):
        alone = attribute(model, take_rows(batch, one), 1, steps=4, most_steps=4, points_at_once=points)
        torch.testing.assert_close(whole.by_modality[one], alone.by_modality, atol=1e-4, rtol=1e-3)


def test_the_way_told_is_the_way_taken(net, batch):
    prior = net.prior
    features = net.features(batch)
    imputed = Settled(net, Inference(Way(), Way(draws=4, steps=3, temperature=0.5), seed=3))
    for row in (0, 1):
        alone = take_rows(batch, torch.tensor([row]))
        found = imputed.diagnose({n: x[[row]] for n, x in features.items()}, alone)
        way = imputed.way_of(found, alone)
        draws = row == 1 and prior.imputes
        assert way.by == ("imputation" if draws else "denoising")
        assert way.temperature == (0.5 if row else 1.0)
        assert way.draws == (4 if draws else 0)
        assert way.via == (("shared" if prior.draws_shared else "fusion") if draws else None)
        knows_time = type(prior) in (DiffusionPrior, GaussianImputer, VAEPrior)
        assert way.time == (prior.denoise_time if knows_time else None)
        assert (way.spread is None) == (not draws)
        assert not draws or (way.spread > 0) == (type(prior) in DRAWING)
