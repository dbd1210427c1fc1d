"""Laws of training the head on draws of rare classes: which, how many, how likely, and who learns."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.nn.functional import cross_entropy

from mhdiff.diffusion import Latents, NoPrior, VAEPrior
from mhdiff.losses import CrossEntropy, PriorLoss, SyntheticLatents
from ontology.errors import InputError
from tests import loss_parts as parts
from tests import small_model as small

RARE = [i for i, n in enumerate(small.COUNTS) if n < 0.2 * sum(small.COUNTS)]


def step(loss, size=16, epoch=9, seed=0, **options):
    """A module with a diffusion prior that has seen some batches, and a step of it."""
    built = small.module(losses=[CrossEntropy(), PriorLoss(), loss], **options).eval()
    built.net.prior.train()
    for number in range(4):
        with torch.no_grad():
            built.net.prior.observe(built(small.batch(size, number)).latents)
    built.net.prior.eval()
    return parts.context(built, small.batch(size), seed=seed, epoch=epoch)


def watched(loss, context, monkeypatch):
    """The value of the loss, and what the prior was asked to draw and the head was shown."""
    seen = {}
    prior, head = context.net.prior, context.net.head
    sample, score = prior.sample, prior.plausibility

    def sampled(n, steps, label, guidance, generator):
        seen.update(n=n, label=label.clone(), z=sample(n, steps, label, guidance, generator))
        return seen["z"]

    def scored(z, label, generator):
        seen["score"] = score(z, label, generator)
        return seen["score"]

    monkeypatch.setattr(prior, "sample", sampled)
    monkeypatch.setattr(prior, "plausibility", scored)
    handle = head.register_forward_pre_hook(lambda _, given: seen.update(shown=given[0]))
    value = loss(context)
    handle.remove()
    return value, seen


def test_the_value_is_that_of_the_first_likely_draws_and_each_counts_like_a_patient(monkeypatch):
    loss = SyntheticLatents(start=0, rare=0.2, ratio=0.5, keep_above=0.3, oversample=3.0)
    context = step(loss)
    value, seen = watched(loss, context, monkeypatch)
    patients, wanted = 16, 8
    assert seen["n"] == 3 * wanted
    assert set(seen["label"].tolist()) <= set(RARE)
    real, drawn = seen["score"][:patients], seen["score"][patients:]
    least = torch.quantile(real, 0.3)  # everybody has labs: all are known
    kept = [j for j in range(seen["n"]) if drawn[j] >= least][:wanted]
    assert 0 < len(kept) < seen["n"]
    prior = context.net.prior
    own = Latents(
        prior.scale.inverse(seen["z"]), torch.zeros(seen["n"], 4, small.DIM), torch.ones(seen["n"], 4).bool()
    )
    logits = context.net.head(prior.denoise(own))
    expected = sum(cross_entropy(logits[j], seen["label"][j]) for j in kept) / patients
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(seen["shown"], prior.denoise(own))


def test_an_unlikely_draw_is_left_out_and_no_more_than_the_ratio_are_used(monkeypatch):
    for ratio, keep, most in ((0.25, 0.0, 4), (1.0, 0.0, 16), (0.25, 0.99, 4)):
        loss = SyntheticLatents(start=0, rare=0.2, ratio=ratio, keep_above=keep, oversample=4.0)
        context = step(loss)
        kept = []
        original = loss._kept
        monkeypatch.setattr(loss, "_kept", lambda *given: kept.append(original(*given)) or kept[-1])  # noqa: B023
        loss(context)
        assert int(kept[0].sum()) <= most
        assert loss.wanted(16) == most
        if keep == 0.0:
            assert kept[0].any()
    far = SyntheticLatents(start=0, rare=0.2, keep_above=0.0)
    context = step(far)
    monkeypatch.setattr(
        context.net.prior, "sample", lambda n, *rest: torch.full((n, small.DIM), 40.0, requires_grad=False)
    )
    assert far(context) == 0


def test_nothing_before_its_start_and_no_random_number_drawn():
    loss = SyntheticLatents(start=3, rare=0.2)
    context = step(loss)
    before = context.generator.get_state()
    for epoch in range(3):
        value = loss(dataclasses.replace(context, epoch=epoch))
        assert value == 0
        assert torch.equal(context.generator.get_state(), before)
    assert loss(dataclasses.replace(context, epoch=3)) > 0


def test_rare_is_below_a_share_of_the_training_patients():
    built = small.module()  # 40, 8 and 2 of 50
    for share, rare in ((0.05, [2]), (0.16, [2]), (0.17, [1, 2]), (0.9, [0, 1, 2])):
        loss = SyntheticLatents(rare=share)
        loss.build(small.spec(), built.net)
        assert loss.rare_classes.tolist() == rare
    nobody = dataclasses.replace(small.spec(), counts=(40, 8, 0))
    loss = SyntheticLatents(rare=0.2)
    loss.build(nobody, built.net)
    assert loss.rare_classes.tolist() == [1]  # of a class without patients nothing was learned


def test_the_head_alone_learns_and_the_prior_is_left_as_it_is():
    loss = SyntheticLatents(start=0, rare=0.2, ratio=1.0, keep_above=0.0)
    context = step(loss)
    state = {n: t.clone() for n, t in context.net.state_dict().items()}
    loss(context).backward()
    moved = {n.split(".")[0] for n, p in context.net.named_parameters() if p.grad is not None}
    assert moved == {"head"}
    assert all(torch.equal(t, state[n]) for n, t in context.net.state_dict().items())


def test_deterministic_given_the_generator_with_dropout_too():
    loss = SyntheticLatents(start=0, rare=0.2, ratio=1.0, keep_above=0.0)
    context = step(loss)
    context.net.head.train()
    values = []
    for seed in (4, 4, 5):
        torch.manual_seed(seed + 100 * len(values))
        values.append(
            loss(dataclasses.replace(context, generator=torch.Generator().manual_seed(seed))).item()
        )
    assert values[0] == values[1] != values[2]


def test_any_prior_that_models_classes_will_do():
    loss = SyntheticLatents(start=0, rare=0.2, ratio=1.0, keep_above=0.0, oversample=4.0)
    context = step(loss, prior=lambda d, m, c: VAEPrior(d, m, c, width=32, code=8))
    assert loss(context) > 0


def test_what_has_no_meaning_is_refused():
    losses = [CrossEntropy(), PriorLoss(), SyntheticLatents(rare=0.2)]
    with pytest.raises(InputError, match="models none"):
        small.module(losses=losses, prior=NoPrior)
    with pytest.raises(InputError, match="no class is rarer"):
        small.module(losses=[*losses[:2], SyntheticLatents(rare=0.01)])
    with pytest.raises(InputError, match="number of training patients"):
        SyntheticLatents().build(dataclasses.replace(small.spec(), counts=()), small.module().net)
    with pytest.raises(InputError, match="teaches the prior"):
        small.module(losses=[CrossEntropy(), SyntheticLatents(rare=0.2)])
    for wrong in ({"ratio": 0.0}, {"rare": 0.0}, {"keep_above": 1.0}, {"start": -1}, {"oversample": 0.5}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            SyntheticLatents(**wrong)
