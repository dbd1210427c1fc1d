"""In training the evidence takes as few places as the fullest patient needs, and nothing that is computed changes."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from mhdiff.guidance import Distance, Linked, MessagePassing, NoGuidance, Similarity
from tests import small_model as small


def anchored(graph, dim, heads):
    return MessagePassing(graph, dim, heads, layers=1, inherit="none", anchors=3, dropout=0.0)


def sparse(size: int = 6):
    """A batch in which few places are filled, in no order, and one patient has nothing."""
    batch = small.batch(size=size)
    keep = torch.rand(batch.evidence.concept.shape, generator=torch.Generator().manual_seed(5)) < 0.35
    keep[0] = False
    concept = torch.where(keep, batch.evidence.concept, -1)
    most = int((concept >= 0).flatten(1).sum(1).max())
    assert 0 < most < keep[0].numel()
    return dataclasses.replace(batch, evidence=dataclasses.replace(batch.evidence, concept=concept)), most


def learned(module, batch):
    """Logits, complete latents, gradients of parameters and of weights, with only dropout left of what is drawn."""
    module.zero_grad()
    torch.manual_seed(1)
    module.train()
    hidden = dataclasses.replace(batch, present=batch.present & torch.tensor([True, False, True, True]))
    weight = batch.evidence.weight.clone().requires_grad_()
    output = module.net.run(module.net.features(hidden), hidden, weight, complete=batch.present)
    loss = output.logits.square().sum() + output.latents.shared.sin().sum()
    loss.backward()
    found = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
    return {"logits": output.logits, "shared": output.complete.shared, "weight": weight.grad} | found


def spy(monkeypatch, module):
    """Numbers of patients that are fused together, one entry a time."""
    seen, fused = [], module.net._fused

    def counting(encoded, *rest):
        seen.append(len(encoded))
        return fused(encoded, *rest)

    monkeypatch.setattr(module.net, "_fused", counting)
    return seen


@pytest.mark.parametrize("group", [128, 3])
@pytest.mark.parametrize("granularity", ["modality", "concept"])
@pytest.mark.parametrize("guidance", [NoGuidance, Linked, Similarity, Distance, MessagePassing, anchored])
def test_logits_and_gradients_are_those_of_all_places(guidance, granularity, group, monkeypatch):
    batch, most = sparse()

    def plain(graph, dim, heads):
        made = guidance(graph, dim, heads)
        made.embedding_dropout = 0.0
        return made

    module = small.module(guidance=plain, granularity=granularity, hide_latents=0.5).double()
    batch = dataclasses.replace(
        batch,
        inputs={
            m: {k: v.double() if v.is_floating_point() else v for k, v in x.items()}
            for m, x in batch.inputs.items()
        },
        evidence=dataclasses.replace(batch.evidence, weight=batch.evidence.weight.double()),
    )
    before = learned(module, batch)
    counted = dataclasses.replace(batch, evidence=dataclasses.replace(batch.evidence, most=most))
    monkeypatch.setattr("mhdiff.model.GROUP", group)
    grouped = spy(monkeypatch, module)
    after = learned(module, counted)
    assert (len(grouped) == 4) == (group == 3 and granularity == "concept")  # two groups, fused twice
    assert before.keys() == after.keys()
    for name, value in before.items():
        if value is not None:
            torch.testing.assert_close(after[name], value, rtol=1e-5, atol=1e-7, msg=name)


def test_compact_evidence_is_the_same_evidence_in_the_same_order():
    batch, most = sparse()
    whole = dataclasses.replace(batch.evidence, most=most)
    compact = whole.compact()
    assert compact.concept.shape == (6, 1, most)
    for sample in range(6):
        told = [
            (int(m), int(c), float(w), int(p))
            for m in range(4)
            for c, w, p in zip(
                whole.concept[sample, m], whole.weight[sample, m], whole.polarity[sample, m], strict=True
            )
            if c >= 0
        ]
        kept = compact.mask[sample, 0]
        owner = compact.owner[sample].byte().argmax(0)
        assert told == [
            (int(owner[k]), int(compact.concept[sample, 0, k]), float(compact.weight[sample, 0, k]),
             int(compact.polarity[sample, 0, k]))
            for k in range(most)
            if kept[k]
        ]  # fmt: skip
    present = torch.tensor([True, False, True, False]).expand(6, 4)
    assert torch.equal(whole.available(present).sum(1), compact.available(present).sum(1))


@pytest.mark.parametrize("guidance", [NoGuidance, Linked, anchored])
def test_the_attention_of_groups_is_put_together_as_if_there_were_none(guidance, monkeypatch):
    batch, most = sparse()
    module = small.module(guidance=guidance, granularity="concept", hide_latents=0.0).train()
    module.net.guidance.embedding_dropout = 0.0
    counted = dataclasses.replace(batch, evidence=dataclasses.replace(batch.evidence, most=most))
    torch.manual_seed(0)
    whole = module(counted)
    monkeypatch.setattr("mhdiff.model.GROUP", 2)
    torch.manual_seed(0)
    groups = module(counted)
    assert len(groups.attended.parts) == 3
    assert len({part.mask.shape[1] for part in groups.attended.parts}) > 1
    assert torch.equal(groups.mask, whole.mask)
    there = whole.mask[:, None, :, None]
    torch.testing.assert_close(groups.attention * there, whole.attention * there)
    keys = torch.cat(
        [
            whole.mask,
            whole.mask.any(1, keepdim=True).expand(-1, groups.attention.shape[-1] - whole.mask.shape[1]),
        ],
        1,
    )
    pairs = there & keys[:, None, None]
    assert (groups.bias is None) == (whole.bias is None)
    if whole.bias is not None:
        assert whole.bias.abs().sum() > 0
        torch.testing.assert_close(groups.bias * pairs, whole.bias * pairs)


def test_evaluation_keeps_every_place_where_it_was():
    batch, most = sparse()
    module = small.module(guidance=anchored, granularity="concept").eval()
    counted = dataclasses.replace(batch, evidence=dataclasses.replace(batch.evidence, most=most))
    one, two = module(batch), module(counted)
    assert torch.equal(one.attention, two.attention)
    assert one.attention.shape[2] == 4 + 4 * small.SLOTS
