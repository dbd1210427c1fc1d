"""Laws of single baselines: each is the formula on top of its file."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from graph_builders import ConceptGraph
from mhdiff.baselines import Concatenation, CrossGuided, GatedFusion, LabelDiffusion, LateFusion, Prompted
from mhdiff.baselines.diffmic import mmd
from mhdiff.diffusion import Latents, NoPrior
from mhdiff.diffusion.condition import Condition
from mhdiff.guidance import NoGuidance, OntologyAttention
from mhdiff.head import Linear, Perceptron
from ontology.errors import InputError
from tests import small_model as small

PLAIN = {"guidance": NoGuidance, "granularity": "modality", "prior": NoPrior}


def draw(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_late_fusion_is_the_mean_of_the_modalities_own_logits():
    net = small.module(fusion=LateFusion, head=Linear, **PLAIN).double().eval().net
    net.prior.scale.recount(draw(50, small.DIM) * 2 + 1, torch.ones(50, dtype=torch.bool))
    tokens, mask = draw(5, 4, small.DIM), torch.rand(5, 4) > 0.4
    mask[:, 1] = True

    def logits(which):
        z = net.prior.scale(net.fusion(tokens, None, which).latent)
        return net.head(z)

    alone = torch.stack([logits(torch.eye(4, dtype=torch.bool)[m].expand(5, 4)) for m in range(4)], 1)
    mean = (alone * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    torch.testing.assert_close(logits(mask), mean)
    # Under the model's own head it would not be.
    perceptron = Perceptron(small.DIM, 4, 3).double().eval()
    fused = net.fusion(tokens, None, mask).latent
    parts = net.fusion(tokens, None, mask).tokens
    mixed = torch.stack([perceptron(parts[:, m]) for m in range(4)], 1)
    assert not torch.allclose(perceptron(fused), (mixed * mask[..., None]).sum(1) / mask.sum(1, keepdim=True))


def test_a_gate_weighs_a_modality_by_what_all_say():
    unit, z, mask = GatedFusion(3), draw(2, 2, 3), torch.tensor([[True, True], [False, True]])
    unit.build(2)
    unit.double()
    x = torch.cat([z[0, 0], z[0, 1], torch.ones(2)])
    said = [
        torch.sigmoid(g.weight @ x) * torch.tanh(w.weight @ z[0, m])
        for m, (g, w) in enumerate(zip(unit.gates, unit.inward, strict=True))
    ]
    out = unit(z, None, mask)
    torch.testing.assert_close(out.latent[0], unit.norm(said[0] + said[1]))
    assert not out.tokens[1, 0].any()


def test_concatenation_tells_an_absent_latent_from_one_of_zeros():
    fusion = Concatenation(3, width=5)
    fusion.build(2)
    fusion.double().eval()
    z = draw(1, 2, 3)
    z[:, 0] = 0
    there, gone = torch.tensor([[True, True]]), torch.tensor([[False, True]])
    assert not torch.allclose(fusion(z, None, there).latent, fusion(z, None, gone).latent)


def test_a_head_gives_the_same_answers_after_its_input_was_rescaled():
    for kind in (Linear, partial(Perceptron, dropout=0.0)):
        head = kind(4, 2, 3).double().eval()
        z, shift, ratio = draw(6, 4), draw(4, seed=1), draw(4, seed=2).exp()
        before = head(ratio * z + shift)
        head.moved(shift, ratio)
        torch.testing.assert_close(head(z), before)


def test_ontology_attention_is_a_mean_over_a_concept_and_its_ancestors():
    graph = ConceptGraph(
        5, {"is_a": torch.tensor([[1, 2, 2, 3], [0, 0, 1, 2]]), "site": torch.tensor([[3], [4]])}, ("codes",)
    )
    torch.manual_seed(0)
    part = OntologyAttention(graph, 6, 2, width=7, embedding_std=1.0).double().eval()
    e, above = part.embedding.weight, {0: [0], 1: [0, 1], 2: [0, 1, 2], 3: [0, 1, 2, 3], 4: [4]}
    weight = torch.cat([part.own.weight, part.other.weight], 1)
    for c, reached in above.items():
        scores = [
            part.score.weight[0] @ torch.tanh(weight @ torch.cat([e[c], e[a]]) + part.own.bias)
            for a in reached
        ]
        alpha = torch.stack(scores).softmax(0)
        torch.testing.assert_close(part.states()[c], alpha @ e[reached])


class ExactLabel(torch.nn.Module):
    """F of the residual y - y^ where y is of class k with probability pi_k, whatever the patient."""

    def __init__(self, pi: torch.Tensor, middle: torch.Tensor) -> None:
        super().__init__()
        self.pi, self.centres = pi, torch.eye(len(pi)) - middle

    def forward(self, x, level, told):
        sigma = torch.sigmoid(2 * level).sqrt()[:, None]  # level = log(sigma / alpha)
        alpha = (1 - sigma**2).clamp(min=0).sqrt()
        away = (x[:, None] - alpha[..., None] * self.centres).square().sum(-1)
        weight = (self.pi.log() - away / (2 * sigma**2)).softmax(-1)
        return (weight @ self.centres - alpha * x) / sigma


def test_a_diffused_label_has_the_law_of_the_label_where_the_network_is_exact(monkeypatch):
    pi = torch.tensor([0.6, 0.3, 0.1])
    torch.manual_seed(0)
    head = LabelDiffusion(4, 2, 3, draws=600, steps=50, tau=0.05).eval()
    z = torch.randn(2, 4)
    latents = Latents(z, torch.randn(2, 2, 4), torch.tensor([[True, True], [False, True]]))
    whole, parts = head.guidance(z, latents)
    middle = ((whole + parts) / 2)[:1]
    monkeypatch.setattr(LabelDiffusion, "_averaged", ExactLabel(pi, middle))
    found = head(z[:1], Latents(z[:1], latents.modality[:1], latents.present[:1])).softmax(-1)[0]
    torch.testing.assert_close(found, pi, atol=0.06, rtol=0)


def test_guidance_is_by_the_whole_and_by_the_parts_that_are_there():
    torch.manual_seed(0)
    head = LabelDiffusion(4, 2, 3).eval()
    z, own = torch.randn(3, 4), torch.randn(3, 2, 4)
    present = torch.tensor([[True, True], [False, True], [False, False]])
    whole, parts = head.guidance(z, Latents(z, own, present))
    said = [part(own[:, m]).softmax(-1) for m, part in enumerate(head.parts)]
    torch.testing.assert_close(parts[0], (said[0][0] + said[1][0]) / 2)
    torch.testing.assert_close(parts[1], said[1][1])
    torch.testing.assert_close(parts[2], whole[2])
    torch.testing.assert_close(head.train()(z, Latents(z, own, present)).exp(), (whole + parts) / 2)


def test_mmd_is_0_between_a_sample_and_itself_and_grows_with_the_distance():
    a = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    every = torch.ones(40, dtype=torch.bool)
    assert mmd(a, a, every).abs() < 1e-6
    assert 0 < mmd(a, a + 0.5, every) < mmd(a, a + 2.0, every)
    half = torch.arange(40) < 20
    torch.testing.assert_close(mmd(a, a.flip(1), half), mmd(a[:20], a[:20].flip(1), every[:20]))
    assert mmd(a, a + 2.0, ~every) == 0


def test_of_patients_without_anything_a_diffused_label_learns_nothing():
    torch.manual_seed(0)
    head = LabelDiffusion(4, 2, 3)
    z, nothing = torch.randn(3, 4), torch.zeros(3, 2, dtype=torch.bool)
    loss = head.loss(
        z, Latents(z, torch.randn(3, 2, 4), nothing), torch.arange(3), torch.Generator().manual_seed(0)
    )
    assert loss == 0


def test_a_head_that_learns_by_itself_wants_its_loss():
    with pytest.raises(InputError, match="HeadLoss"):
        small.module(fusion=Concatenation, head=LabelDiffusion, **PLAIN)


def noisy(seed=0):
    return torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(seed))


def test_a_flow_is_guided_by_whom_it_listens_to():
    torch.manual_seed(0)
    net = CrossGuided(4, 3, width=8, depth=1)
    with torch.no_grad():
        net.affinity.copy_(torch.tensor([[0.0, 0.0, -1e4], [0, 0, 0], [0, 0, 0]]))
    x, level = noisy(), torch.zeros(5, 3)
    before = net(x, level)
    for block, heard in ((1, True), (2, False)):
        other = x.clone()
        other[:, block] = noisy(1)[:, block]
        assert torch.allclose(net(other, level)[:, 0], before[:, 0]) != heard
    alone = CrossGuided(4, 1, width=8, depth=1)
    assert alone(x[:, :1], level[:, :1]).isfinite().all()


def test_a_flow_sees_of_the_others_only_the_prompt_of_what_is_known():
    torch.manual_seed(0)
    net = Prompted(4, 3, width=8, depth=1)
    given = torch.tensor([[False, True, False]]).expand(5, 3)
    x, level = noisy(), torch.zeros(5, 3)
    before = net(x, level, Condition(observed=given))
    for block, seen in ((1, True), (2, False)):
        other = x.clone()
        other[:, block] = noisy(1)[:, block]
        assert torch.allclose(net(other, level, Condition(observed=given))[:, 0], before[:, 0]) != seen
    with torch.no_grad():  # the mean of two prompts, each of length 1, whatever their scale
        for prompt in net.prompts:
            prompt.bias.zero_()
    both = torch.tensor([[False, True, True]]).expand(5, 3)
    scaled = torch.cat([x[:, :1], 7 * x[:, 1:2], x[:, 2:]], 1)
    torch.testing.assert_close(net._prompt(x, both), net._prompt(scaled, both))
