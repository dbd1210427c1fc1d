"""Laws of the adversarial loss: each side sees the other as a constant, and the penalty is Mescheder's."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.nn.functional import softplus

from mhdiff.losses import Adversarial, PriorLoss
from mhdiff.losses.discriminator import PairDiscriminator
from ontology.errors import InputError
from tests import loss_parts as parts
from tests import small_model as small

M, D = 3, 4


class Straight(PairDiscriminator):
    """D(z_i, z_j) = w [z_i | z_j], whose slope is w."""

    def __init__(self):
        super().__init__(M, D)
        self.w = torch.nn.Parameter(torch.arange(2.0 * D) / 10)

    def forward(self, pairs):
        return pairs @ self.w


def latents(seed, n=6):
    g = torch.Generator().manual_seed(seed)
    here = torch.rand(n, M, generator=g) < 0.7
    here[0], here[1] = True, torch.tensor([True, False, False])
    return torch.randn(n, M, D, generator=g), here


def loss(judge, **options):
    made = Adversarial(**options)
    made.discriminator = judge
    return made


def by_hand(judge, real, made, here, told):
    """The mean over patients of the mean over their pairs of a function of D on both sides."""
    values = []
    for row in range(len(here)):
        terms = []
        for number, (i, j) in enumerate([(0, 1), (0, 2), (1, 2)]):
            if here[row, i] and here[row, j]:
                sides = [judge(judge.pairs(z[row : row + 1]))[0, number] for z in (real, made)]
                terms.append(told(*sides))
        values.append(torch.stack(terms).mean() if terms else torch.zeros(()))
    return torch.stack(values).mean()


@pytest.mark.parametrize("judge", [Straight, lambda: PairDiscriminator(M, D, 8)])
def test_the_discriminator_learns_its_own_part_and_the_generator_the_other(judge):
    torch.manual_seed(0)
    judge = judge()
    real, here = latents(0)
    made = latents(1)[0].requires_grad_()
    loss(judge, r1=0.0).of(real, made, here).backward()
    own = {n: p.grad.clone() for n, p in judge.named_parameters() if p.grad is not None}
    answer = made.grad.clone()
    judge.zero_grad()
    by_hand(judge, real, made.detach(), here, lambda r, f: softplus(-r) + softplus(f)).backward()
    for name, p in judge.named_parameters():
        if p.grad is not None:
            torch.testing.assert_close(own[name], p.grad)
    made.grad = None
    by_hand(judge, real, made, here, lambda r, f: softplus(-f)).backward()
    torch.testing.assert_close(answer, made.grad)
    assert (made.grad[1] == 0).all()  # who has one modality has no pair


def test_r1_by_hand_and_every_so_many_steps():
    judge = Straight()
    real, here = latents(0)
    made = latents(1)[0]
    without, with_ = loss(judge, r1=0.0), loss(judge, r1=3.0, r1_every=4)
    share = (here.sum(1) > 1).double().mean()  # patients with a pair
    penalty = 4 * 3.0 / 2 * float(judge.w.detach().square().sum()) * float(share)
    for step, more in ((0, penalty), (1, 0.0), (3, 0.0), (4, penalty)):
        difference = with_.of(real, made, here, step) - without.of(real, made, here, step)
        assert float(difference.detach()) == pytest.approx(more, rel=1e-4, abs=1e-6)
    judge.w.grad = None
    (with_.of(real, made, here, 0) - without.of(real, made, here, 0)).backward()
    torch.testing.assert_close(judge.w.grad, 12 * judge.w.detach() * float(share), rtol=1e-4, atol=1e-5)


def test_spectral_norm_holds_every_layer_at_1():
    torch.manual_seed(0)
    judge = PairDiscriminator(M, D, 8, depth=3, spectral=True)
    for _ in range(200):
        judge(torch.randn(2, 3, 2 * D))
    for layer in [*judge.hidden, judge.last]:
        assert float(torch.linalg.matrix_norm(layer.weight.detach(), 2)) == pytest.approx(1.0, abs=1e-2)


def test_one_of_the_patient_s_modalities_is_given_and_none_is_drawn_for_who_has_none():
    module = parts.module([parts.CrossEntropy(), PriorLoss(), Adversarial()])
    adv, prior = module.objective.losses["adv"], module.net.prior
    present = torch.rand(200, 4, generator=torch.Generator().manual_seed(0)) < 0.6
    given = torch.zeros(4)
    blocks = torch.randn(200, 5, small.DIM)
    for seed in range(3):
        drawn = adv.draw(prior, blocks, present, torch.Generator().manual_seed(seed))
        same = (drawn == blocks[:, 1:]).all(-1)
        assert torch.equal(same.sum(1), present.any(1).long())
        assert not (same & ~present).any()
        given += same.sum(0)
    shares = given / (3 * present.any(1).sum())
    assert ((shares - 0.25).abs() < 0.06).all()  # each modality is as likely to be given


def test_a_prior_without_blocks_and_a_single_modality_are_refused():
    net = parts.module().net
    with pytest.raises(InputError, match="there is one"):
        Adversarial().build(dataclasses.replace(small.spec(), modalities=["note"]), net)
    net.prior.models_modalities = False
    with pytest.raises(InputError, match="hierarchy: full"):
        Adversarial().build(small.spec(), net)


def test_the_prior_learns_by_it_what_belongs_together():
    """All modalities of a patient are one and the same; a prior that draws them apart is told so."""
    torch.manual_seed(0)
    module = parts.module([parts.CrossEntropy(), PriorLoss(), Adversarial(width=32, steps=2)])
    adv, prior = module.objective.losses["adv"], module.net.prior
    g = torch.Generator().manual_seed(1)
    here = torch.ones(64, 4, dtype=torch.bool)
    optimiser = torch.optim.Adam([*prior.denoiser.parameters(), *adv.parameters()], lr=2e-3, betas=(0.5, 0.9))

    def patients():
        sign = torch.randint(0, 2, (64, 1, 1), generator=g) * 2.0 - 1.0
        return sign.expand(64, 5, small.DIM) + 0.1 * torch.randn(64, 5, small.DIM, generator=g)

    def agreement():
        with torch.no_grad():
            drawn = adv.draw(prior, patients(), here, g)
        side = drawn.mean(-1)
        return float((side[:, :, None] * side[:, None]).mean() / side.square().mean())

    before = agreement()
    for step in range(120):
        blocks = patients()
        optimiser.zero_grad()
        adv.of(blocks[:, 1:], adv.draw(prior, blocks, here, g), here, step).backward()
        optimiser.step()
    after = agreement()
    assert before < 0.6
    assert after > 0.9
