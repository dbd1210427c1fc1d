"""Laws of the losses of the diagnosis, of their weights, and of contrastive alignment: worked by hand and by peers."""

from __future__ import annotations

import dataclasses
import math
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight
from torch.nn.functional import cross_entropy

from mhdiff.diffusion import DiffusionPrior, ResidualMLP
from mhdiff.losses import (
    ClassBalanced,
    Contrastive,
    Cosine,
    CrossEntropy,
    ExpectedGradients,
    Focal,
    LinearWarmup,
    LogitAdjusted,
    Objective,
    PriorLoss,
    Unimodal,
)
from mhdiff.losses.schedule import Constant
from ontology.errors import InputError
from tests import loss_parts as parts
from tests import small_model as small


def scores(n=50, classes=3, seed=0):
    g = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(n, classes, generator=g).double(), torch.randint(0, classes, (n,), generator=g)


def built(loss, counts=small.COUNTS):
    spec = dataclasses.replace(
        small.spec(), counts=tuple(counts), classes=[str(i) for i in range(len(counts))]
    )
    loss.build(spec, None)
    return loss.double()


def test_cross_entropy_is_that_of_scikit_learn():
    logits, label = scores()
    expected = log_loss(label.numpy(), logits.softmax(-1).numpy())
    assert float(CrossEntropy().of(logits, label)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_label_smoothing_is_that_of_torch_in_every_form(smoothing):
    logits, label = scores()
    plain = cross_entropy(logits, label, label_smoothing=smoothing)
    forms = [
        CrossEntropy(label_smoothing=smoothing),
        built(ClassBalanced(label_smoothing=smoothing, beta=0.0)),
        Focal(label_smoothing=smoothing, gamma=0.0),
        Focal(label_smoothing=smoothing, gamma=1e-9),
        built(LogitAdjusted(label_smoothing=smoothing, tau=0.0)),
        built(LogitAdjusted(label_smoothing=smoothing, tau=3.0), (7, 7, 7)),
    ]
    for form in forms:
        torch.testing.assert_close(form.of(logits, label), plain)


def test_class_balanced_by_hand():
    # beta = 1/2 and 1, 2, 3 patients: (1 - b) / (1 - b^n) = 1, 2/3, 4/7; their sum is 47/21.
    loss = built(ClassBalanced(beta=0.5), (1, 2, 3))
    expected = torch.tensor([63 / 47, 42 / 47, 36 / 47]).double()
    torch.testing.assert_close(loss.factor, expected, rtol=1e-6, atol=0)
    logits = torch.zeros(2, 3).double()
    value = loss.of(logits, torch.tensor([0, 2]))
    torch.testing.assert_close(value, (expected[0] + expected[2]) / 2 * math.log(3), rtol=1e-6, atol=0)


def test_class_balanced_near_1_is_scikit_learn_s_balanced_weight():
    counts = (40, 8, 2)
    label = np.repeat(np.arange(3), counts)
    weight = compute_class_weight("balanced", classes=np.arange(3), y=label)
    factor = built(ClassBalanced(beta=1 - 1e-9), counts).factor
    torch.testing.assert_close(factor, torch.tensor(3 * weight / weight.sum()), rtol=1e-5, atol=0)
    logits, label = scores()
    expected = log_loss(label, logits.softmax(-1), sample_weight=factor[label], normalize=False) / len(label)
    value = built(ClassBalanced(beta=1 - 1e-9), counts).of(logits, label)
    assert float(value) == pytest.approx(expected, rel=1e-9)


def test_focal_by_hand():
    # p = (3/4, 1/4), gamma = 2: (1/4)^2 log(4/3) for the first class and (3/4)^2 log 4 for the second.
    logits = torch.tensor([[math.log(3), 0.0]] * 2).double()
    value = Focal(gamma=2.0).of(logits, torch.tensor([0, 1]))
    assert float(value) == pytest.approx((math.log(4 / 3) / 16 + 9 * math.log(4) / 16) / 2, rel=1e-6)


def test_focal_s_slope_is_finite_where_the_model_is_sure():
    logits = torch.tensor([[60.0, 0.0, 0.0]], requires_grad=True)
    Focal(gamma=0.5, label_smoothing=0.1).of(logits, torch.tensor([0])).backward()
    assert logits.grad.isfinite().all()


def test_logit_adjusted_by_hand():
    # All scores alike: what is left is the training split's frequencies, 4/5, 4/25 and 1/25.
    loss = built(LogitAdjusted(), small.COUNTS)
    value = loss.of(torch.zeros(3, 3).double(), torch.tensor([0, 1, 2]))
    assert float(value) == pytest.approx(-sum(map(math.log, (4 / 5, 4 / 25, 1 / 25))) / 3, rel=1e-6)


def test_logit_adjusted_scores_at_their_optimum_are_of_balanced_classes_and_natural_brings_them_back():
    # One input without information: the best scores give the frequencies by `natural`, and all alike by themselves.
    counts = torch.tensor(small.COUNTS)
    label = torch.repeat_interleave(torch.arange(3), counts)
    loss, logits = built(LogitAdjusted()), torch.zeros(3).double().requires_grad_()
    optimiser = torch.optim.LBFGS([logits], max_iter=50)

    def step():
        optimiser.zero_grad()
        value = loss.of(logits.expand(len(label), 3), label)
        value.backward()
        return value

    optimiser.step(step)
    third = torch.full((3,), 1 / 3).double()
    torch.testing.assert_close(logits.detach().softmax(-1), third, atol=1e-4, rtol=0)
    natural = loss.natural(logits.detach()[None])[0].softmax(-1)
    torch.testing.assert_close(natural, counts / counts.sum().double(), atol=1e-4, rtol=0)


def test_a_class_without_patients_counts_as_one_and_nothing_is_infinite():
    logits, label = scores()
    for kind in (ClassBalanced, LogitAdjusted):
        assert built(kind(label_smoothing=0.1), (40, 8, 0)).of(logits, label).isfinite()
        with pytest.raises(InputError, match="training patients of each class"):
            kind().build(dataclasses.replace(small.spec(), counts=()), None)


def test_what_was_counted_is_in_the_checkpoint():
    state = parts.module([LogitAdjusted(), PriorLoss()]).state_dict()
    expected = torch.tensor(small.COUNTS).div(50).log()
    torch.testing.assert_close(state["objective.losses.logit_adjusted.offset"], expected)


def test_the_checkpoint_is_chosen_by_natural_scores():
    module = parts.module([LogitAdjusted(), PriorLoss()]).eval()
    told = {}
    module.log_dict = lambda figures, **kwargs: told.update(figures)
    batch = small.batch()
    module.validation_step(batch, 0)
    module.on_validation_epoch_end()
    expected = cross_entropy(module(batch).logits + module.objective.classification.offset, batch.label)
    torch.testing.assert_close(told["tuning/loss"], expected)


def test_schedules():
    line, wave = LinearWarmup(2.0, 2, 6), Cosine(1.0, 0.0, 0, 4)
    assert [line(e) for e in (0, 2, 3, 4, 6, 9)] == [0, 0, 0.5, 1, 2, 2]
    assert [wave(e) for e in (0, 2, 4, 9)] == pytest.approx([1, 0.5, 0, 0])
    assert wave(1) == pytest.approx((1 + math.cos(math.pi / 4)) / 2)
    assert Constant(0.3)(7) == 0.3
    assert (Constant(0.0).never, line.never, wave.never, Cosine(0.0, 0.0).never) == (True, False, False, True)
    for wrong in (lambda: Constant(-1.0), lambda: Constant(math.nan), lambda: LinearWarmup(1.0, 3, 3)):
        with pytest.raises(InputError):
            wrong()


def test_the_sum_is_weighted_by_epoch_and_told():
    module = parts.module([CrossEntropy(weight=0.5), PriorLoss(weight=LinearWarmup(2.0, 0, 4))])
    for epoch, weight in ((0, 0.0), (1, 0.5), (4, 2.0)):
        total, told = module.objective(parts.context(module, epoch=epoch))
        prior = told.get("prior", torch.zeros(()))
        assert ("prior" in told) == (weight > 0)
        torch.testing.assert_close(total, 0.5 * told["cross_entropy"] + weight * prior)
        torch.testing.assert_close(told["prior/weighted"], weight * prior)
        assert torch.equal(told["classification"], told["cross_entropy"])
        assert torch.equal(told["loss"], total)


def test_the_default_is_cross_entropy_and_the_prior_s_loss():
    module = small.module()
    step = parts.context(module)
    total, told = module.objective(step)
    classification = cross_entropy(step.output.logits, step.batch.label)
    torch.testing.assert_close(told["classification"], classification)
    torch.testing.assert_close(total, classification + told["prior"])
    assert set(told) == {
        "cross_entropy", "cross_entropy/weighted", "prior", "prior/weighted", "classification", "loss",
    }  # fmt: skip
    assert not [name for name in module.state_dict() if name.startswith("objective")]


def test_taking_a_loss_away_changes_no_other_s_random_numbers():
    more = parts.module([CrossEntropy(), ExpectedGradients(), PriorLoss()])
    less = parts.module([CrossEntropy(), PriorLoss()])
    for step in (0, 1):
        values = [m.objective(parts.context(m, step=step))[1]["prior"] for m in (more, less)]
        assert torch.equal(*values)
    other = [
        more.objective(parts.context(more, step=step), rank)[1]["prior"] for step, rank in ((0, 0), (0, 1))
    ]
    assert not torch.equal(*other)
    seeds = {
        more.objective._generator(
            name, parts.context(more, batch_index=place), 0, torch.device("cpu")
        ).initial_seed()
        for name, place in (("a", 0), ("b", 0), ("a", 1))
    }
    assert len(seeds) == 3  # no two losses of a step draw alike, nor do two batches of it


def test_the_prior_learns_from_the_complete_patients_where_masking_hid_some():
    module = parts.module()
    step = parts.context(module)
    latents = step.output.latents
    complete = dataclasses.replace(latents, shared=latents.shared.detach() + 1.0)
    told = dataclasses.replace(step, output=dataclasses.replace(step.output, fuse_complete=lambda: complete))
    assert told.latents is complete
    assert step.latents is latents


@pytest.mark.parametrize("stop", [True, False])
def test_a_step_s_prior_loss_reaches_the_encoders_only_where_its_gradient_is_let_through(stop):
    module = small.module(
        prior=partial(DiffusionPrior, backbone=partial(ResidualMLP, width=32, depth=2), stop_gradient=stop),
        losses=[CrossEntropy(LinearWarmup(1.0, begin=5, end=10)), PriorLoss()],  # the prior's loss alone
    ).train()
    module.training_step(small.batch(), 0).backward()

    def taught(part):
        return any(p.grad is not None and bool((p.grad != 0).any()) for p in part.parameters())

    assert taught(module.net.prior.denoiser)
    assert {name: taught(encoder) for name, encoder in module.net.encoders.items()} == dict.fromkeys(
        small.MODALITIES, not stop
    )


def test_what_cannot_be_is_refused():
    with pytest.raises(InputError, match="more than once"):
        Objective([CrossEntropy(), CrossEntropy()])
    for losses in ([], [PriorLoss()], [CrossEntropy(weight=0.0)], [CrossEntropy(log_only=True)]):
        with pytest.raises(InputError, match="nothing that trains the diagnosis"):
            Objective(losses)
    with pytest.raises(InputError, match="nothing that teaches the prior"):
        parts.module([CrossEntropy(), parts.Adversarial()])
    with pytest.raises(InputError, match=r"\(NoPrior\) is none"):
        small.module(prior=parts.NoPrior, losses=[CrossEntropy(), PriorLoss(), parts.Adversarial()])
    with pytest.raises(InputError, match="label_smoothing"):
        CrossEntropy(label_smoothing=1.0)


def test_an_untaught_prior_is_not_trained():
    module = parts.module([CrossEntropy()])
    assert not any(p.requires_grad for p in module.net.prior.parameters())
    assert any(p.requires_grad for p in parts.module().net.prior.parameters())


def test_contrastive_by_hand():
    # Three patients with both modalities; the third's second modality is another's. Temperature 1.
    z = torch.tensor([[[1.0, 0], [1, 0]], [[0, 1], [0, 1]], [[1, 0], [0, 1]], [[1, 0], [9, 9]]])
    here = torch.tensor([[True, True], [True, True], [True, True], [True, False]])
    value = Contrastive(temperature=1.0).of(z, here)
    s = (z[:3, 0] @ z[:3, 1].T).double()
    own = torch.arange(3)
    expected = (cross_entropy(s, own) + cross_entropy(s.T, own)) / 2
    torch.testing.assert_close(value.double(), expected, rtol=1e-6, atol=1e-6)


def test_who_has_one_modality_has_no_part_in_contrastive():
    g = torch.Generator().manual_seed(0)
    z = torch.nn.functional.normalize(torch.randn(6, 3, 4, generator=g), dim=-1).requires_grad_()
    here = torch.ones(6, 3, dtype=torch.bool)
    here[1], here[4] = torch.tensor([True, False, False]), False
    loss = Contrastive()
    value = loss.of(z, here)
    keep = torch.tensor([0, 2, 3, 5])
    torch.testing.assert_close(value, loss.of(z[keep], here[keep]))
    value.backward()
    assert (z.grad[[1, 4]] == 0).all()
    assert (z.grad[keep] != 0).any()


def test_contrastive_is_small_where_modalities_find_each_other():
    z = torch.eye(6)[:, None].expand(-1, 3, -1)
    here = torch.ones(6, 3, dtype=torch.bool)
    assert Contrastive().of(z, here) < 1e-3
    assert Contrastive().of(z.roll(1, 0) * 0.5 + z * 0.5, here) < Contrastive().of(
        torch.stack([z[:, 0], z[:, 1].roll(1, 0), z[:, 2]], 1), here
    )


def test_around_a_centre_only_pairs_with_it_are_aligned():
    loss, spec = Contrastive(center="note"), small.spec()
    loss.build(spec, None)
    here = torch.ones(6, 4, dtype=torch.bool)
    z = torch.nn.functional.normalize(
        torch.randn(6, 4, 5, generator=torch.Generator().manual_seed(0)), dim=-1
    )
    pairs = [loss.of(z[:, [1, other]], here[:, :2]) for other in (0, 2, 3)]
    torch.testing.assert_close(loss.of(z, here), sum(pairs) / 3)
    assert not torch.allclose(loss.of(z, here), Contrastive().of(z, here))
    with pytest.raises(InputError, match="no modality of these data"):
        Contrastive(center="heart").build(spec, None)


def test_unimodal_by_hand():
    # Two modalities, two patients, of whom the second has only the first: (log 2 + log 4) / 2 + log 3 / 2.
    scores = torch.tensor([[[0, 0], [math.log(2), 0]], [[0, math.log(3)], [9, 9]]], dtype=torch.double)
    here = torch.tensor([[True, True], [True, False]])
    value = Unimodal().of(scores, torch.tensor([0, 0]), here)
    assert float(value) == pytest.approx((math.log(2) + math.log(4)) / 2 + math.log(3 / 2) / 2, rel=1e-12)


def test_unimodal_is_the_cross_entropy_of_each_modality_s_own_map():
    loss = Unimodal(modalities=["labs", "image"])
    built = parts.module([CrossEntropy(), PriorLoss(), loss])
    step = parts.context(built, small.batch(8))
    z, here, label = step.output.latents.modality, step.batch.present, step.batch.label
    expected = 0.0
    for name, place in (("image", 0), ("labs", 2)):
        own = here[:, place]
        each = cross_entropy(loss.maps[name](z[own, place]), label[own], reduction="sum")
        expected = expected + each / len(label)
    torch.testing.assert_close(loss(step), expected)
    assert list(loss.maps) == ["image", "labs"]


def test_unimodal_reaches_the_encoders_of_what_is_shown_and_no_other():
    loss = Unimodal()
    built = parts.module([CrossEntropy(), PriorLoss(), loss])
    batch = small.batch(6)
    batch.present[:] = torch.tensor([True, False, True, False])
    loss(parts.context(built, batch)).backward()
    for name, encoder in built.net.encoders.items():
        moved = any(p.grad is not None and bool((p.grad != 0).any()) for p in encoder.parameters())
        assert moved == (name in ("image", "labs")), name


def test_unimodal_speaks_in_the_scores_that_the_diagnosis_is_trained_on():
    loss = Unimodal()
    built = parts.module([LogitAdjusted(), PriorLoss(), loss])
    step = parts.context(built, small.batch(8))
    adjusted = dataclasses.replace(step, natural=built.objective.classification.natural)
    with torch.no_grad():
        for each in loss.maps.values():
            each.weight.zero_()
            each.bias.zero_()
        values = [float(loss(x)) for x in (step, adjusted)]
    here = step.batch.present.sum(1)
    frequency = torch.tensor(small.COUNTS).double() / sum(small.COUNTS)
    expected = (-frequency.log()[step.batch.label] * here).mean()
    assert values[0] == pytest.approx(math.log(3) * float(here.double().mean()), rel=1e-6)
    assert values[1] == pytest.approx(float(expected), rel=1e-5)


def test_unimodal_passes_over_what_a_run_leaves_out_and_refuses_nonsense():
    built = parts.module([CrossEntropy(), PriorLoss()])
    loss, nothing = Unimodal(modalities=["image", "ecg"]), Unimodal(modalities=["ecg"])
    for one in (loss, nothing):  # by itself: the model refuses a name that no encoder has
        one.build(small.spec(), built.net)
    assert list(loss.maps) == ["image"]
    assert nothing(parts.context(built)) == 0
    for names in ([], ["image", "image"]):
        with pytest.raises(InputError, match="modalities"):
            Unimodal(modalities=names)
