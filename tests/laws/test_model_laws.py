"""Laws of the whole model, whatever its parts."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from graph_builders import ConceptGraph
from mhdiff.guidance import Distance, Free, Linked, MessagePassing, NoGuidance, Similarity
from tests import small_model as small

GUIDANCE = [NoGuidance, Linked, MessagePassing]


@pytest.mark.parametrize("guidance", GUIDANCE)
@pytest.mark.parametrize("granularity", ["modality", "concept"])
def test_an_absent_modality_has_no_influence_and_no_gradient(guidance, granularity):
    module = small.module(guidance=guidance, granularity=granularity).eval()
    batch = small.batch()
    batch.present[:, 0] = False
    batch.present[:, 1] = False
    other = small.batch(seed=1)
    changed = dataclasses.replace(
        batch, inputs=batch.inputs | {m: other.inputs[m] for m in ("image", "note")}
    )
    changed.evidence = dataclasses.replace(batch.evidence, concept=batch.evidence.concept.clone())
    changed.evidence.concept[:, :2] = other.evidence.concept[:, :2]
    assert torch.equal(module(batch).logits, module(changed).logits)
    features = {m: x.detach().requires_grad_() for m, x in module.net.features(batch).items()}
    weight = batch.evidence.weight.clone().requires_grad_()
    module.net.score(features, batch, weight).square().sum().backward()
    for name in ("image", "note"):
        assert torch.count_nonzero(features[name].grad) == 0
    assert weight.grad is None or torch.count_nonzero(weight.grad[:, :2]) == 0
    assert torch.count_nonzero(features["labs"].grad) > 0


def test_with_nothing_present_the_output_is_that_of_the_priors_mean():
    module = small.module().eval()
    batch = small.batch(present=torch.zeros(5, 4, dtype=torch.bool))
    logits = module(batch).logits
    assert torch.isfinite(logits).all()
    torch.testing.assert_close(
        logits, logits[:1].expand_as(logits), rtol=0, atol=1e-6
    )  # a GEMM may round by row


@pytest.mark.parametrize("guidance", GUIDANCE)
def test_relabelling_the_nodes_of_the_graph_changes_nothing(guidance):
    graph = small.concept_graph()
    permutation = torch.randperm(small.CONCEPTS, generator=torch.Generator().manual_seed(3))
    relabelled = ConceptGraph(
        graph.num_nodes, {r: permutation[e] for r, e in graph.edge_index.items()}, graph.modalities
    )
    one = small.module(graph, guidance=guidance).double().eval()
    two = small.module(relabelled, guidance=guidance).double().eval()
    two.load_state_dict(one.state_dict())
    with torch.no_grad():
        two.net.guidance.embedding.weight[permutation] = one.net.guidance.embedding.weight
    batch = small.batch()
    for m in batch.inputs:
        batch.inputs[m] = {k: v.double() if v.is_floating_point() else v for k, v in batch.inputs[m].items()}
    batch.evidence.weight = batch.evidence.weight.double()
    moved = dataclasses.replace(batch, evidence=dataclasses.replace(batch.evidence))
    concept = batch.evidence.concept
    moved.evidence.concept = torch.where(concept >= 0, permutation[concept.clamp(min=0)], concept)
    torch.testing.assert_close(one(batch).logits, two(moved).logits, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("guidance", GUIDANCE)
@pytest.mark.parametrize("granularity", ["modality", "concept"])
def test_every_parameter_gets_a_gradient(guidance, granularity):
    module = small.module(guidance=guidance, granularity=granularity).train()
    batch = small.batch(size=24)
    batch.present[0, :] = True
    batch.present[1, :] = torch.tensor([False, False, True, False])
    output = module.net(batch)
    loss = torch.nn.functional.cross_entropy(output.logits, batch.label) + module.net.prior.loss(
        output.latents
    )
    loss.backward()
    without = [name for name, p in module.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []
    if guidance is MessagePassing or granularity == "concept":
        assert all(p.requires_grad for p in module.net.guidance.parameters())


def test_a_batch_does_not_mix_its_patients():
    module = small.module().eval()
    batch = small.batch(size=6)
    alone = [module(small_row(batch, i)).logits for i in range(6)]
    torch.testing.assert_close(module(batch).logits, torch.cat(alone), rtol=1e-4, atol=1e-5)


def small_row(batch, i):
    inputs = {m: {k: v[i : i + 1] for k, v in t.items()} for m, t in batch.inputs.items()}
    evidence = dataclasses.replace(
        batch.evidence,
        concept=batch.evidence.concept[i : i + 1],
        weight=batch.evidence.weight[i : i + 1],
        polarity=batch.evidence.polarity[i : i + 1],
    )
    return dataclasses.replace(
        batch,
        sample_id=batch.sample_id[i : i + 1],
        present=batch.present[i : i + 1],
        inputs=inputs,
        evidence=evidence,
        label=batch.label[i : i + 1],
    )


@pytest.mark.parametrize("rate", [0.999, 1.0])
def test_hidden_latents_have_no_influence_in_training_and_afterwards_unless_they_always_were(rate):
    module = small.module(hide_latents={"labs": rate})
    batch = small.batch()  # every patient has labs, with evidence among them
    other = dataclasses.replace(batch, inputs=batch.inputs | {"labs": small.batch(seed=1).inputs["labs"]})

    def logits(given):
        torch.manual_seed(0)
        return module(given).logits

    module.train()
    assert torch.equal(logits(batch), logits(other))
    module.eval()
    assert torch.equal(logits(batch), logits(other)) == (rate == 1)


@pytest.mark.parametrize("granularity", ["modality", "concept"])
@pytest.mark.parametrize(
    "guidance",
    [
        NoGuidance,
        Free,
        Linked,
        Similarity,
        Distance,
        MessagePassing,
        lambda g, d, h: MessagePassing(g, d, h, channels="bias", anchors=4),
    ],
)
def test_what_is_trained_gets_a_gradient(guidance, granularity):
    """DDP waits for the gradient of every parameter that is not frozen."""
    net = small.module(guidance=guidance, granularity=granularity, masking=None, hide_latents=0.0).net
    net.train()
    with torch.no_grad():
        net.absence.add_(0.1)
    logits = net(small.batch(8)).logits
    (logits * torch.randn_like(logits)).sum().backward()
    idle = {n for n, p in net.named_parameters() if p.requires_grad and p.grad is None}
    assert not {n for n in idle if n.startswith(("guidance", "fusion"))}
