"""Laws of single baselines: each is the formula on top of its file."""

from __future__ import annotations

from functools import partial

import torch

from mhdiff.baselines import Concatenation, GatedFusion, LateFusion
from mhdiff.diffusion import NoPrior
from mhdiff.guidance import NoGuidance
from mhdiff.head import Linear, Perceptron
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
