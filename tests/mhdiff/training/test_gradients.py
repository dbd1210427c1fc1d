"""What moves in a step, and what does not: with clipping, accumulated gradients, losses that rest, and NaN."""

from __future__ import annotations

import json

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from torch.utils.data import DataLoader

from mhdiff.cli import main
from mhdiff.losses import Adversarial, CrossEntropy, LinearWarmup, LogitAdjusted, PriorLoss, SyntheticLatents
from mhdiff.training.module import Diagnosis
from tests import loss_parts as parts
from tests import small_model as small


def train(built, epochs=1, batches=4, callbacks=(), **options):
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=list(callbacks),
        **options,
    )
    batches = [small.batch(6, seed) for seed in range(batches)]
    trainer.fit(built, DataLoader(batches, batch_size=None))
    return built


def weights(built):
    return {n: p.detach().clone() for n, p in built.named_parameters()}


def test_the_priors_loss_moves_nothing_else_however_large_it_is():
    small_, large = (
        weights(train(parts.module([CrossEntropy(), PriorLoss(weight)]), gradient_clip_val=0.05))
        for weight in (1e-6, 1e6)
    )
    apart = {n for n in small_ if not torch.equal(small_[n], large[n])}
    assert apart
    assert all(name.startswith("net.prior") for name in apart)


def test_a_discriminator_moves_nothing_else_by_being_clipped():
    def trained(scale):
        built = parts.module([CrossEntropy(), PriorLoss(), Adversarial()])
        own = built.objective.losses["adv"]
        for p in own.parameters():
            p.register_hook(lambda g: g * scale)
        return weights(train(built, gradient_clip_val=0.05, batches=1))

    before, after = trained(1.0), trained(1e12)
    assert all(torch.equal(before[n], after[n]) for n in before if not n.startswith("objective"))
    assert any(not torch.equal(before[n], after[n]) for n in before if n.startswith("objective"))


@pytest.mark.parametrize("accumulate", [1, 4])
def test_the_average_follows_steps_and_not_batches(accumulate, monkeypatch):
    built = small.module(losses=[CrossEntropy(), PriorLoss()])
    followed, seen = [], []
    update, loss = type(built.net.prior).update, type(built.net.prior).loss

    def noting(prior, latents, label=None, generator=None):
        seen.append(torch.rand(3, generator=torch.Generator().manual_seed(generator.initial_seed())))
        return loss(prior, latents, label=label, generator=generator)

    monkeypatch.setattr(type(built.net.prior), "loss", noting)
    monkeypatch.setattr(
        type(built.net.prior), "update", lambda p: (followed.append(built.global_step), update(p))
    )
    train(built, batches=8, accumulate_grad_batches=accumulate)
    assert followed == list(range(8 // accumulate))
    assert len({tuple(draw.tolist()) for draw in seen}) == 8  # each batch draws its own


def test_before_its_time_the_prior_stands_still_average_and_scale_too():
    class Look(Callback):
        told: dict

        def on_train_epoch_start(self, trainer, pl_module):
            state = {n: t.clone() for n, t in pl_module.net.prior.state_dict().items()}
            if trainer.current_epoch == 0:
                self.told = state
            if trainer.current_epoch == 1:
                assert all(torch.equal(state[n], self.told[n]) for n in state)

    later = PriorLoss(weight=LinearWarmup(1.0, 0, 2))
    built = small.module(losses=[CrossEntropy(), later], weight_decay=0.5)
    look = Look()
    train(built, epochs=2, callbacks=[look], gradient_clip_val=1.0)
    after = built.net.prior.state_dict()
    assert any(not torch.equal(after[n], look.told[n]) for n in after)  # its time has come


def test_a_prior_that_another_loss_trains_does_not_stand_still():
    built = parts.module([CrossEntropy(), PriorLoss(weight=LinearWarmup(1.0, 0, 5)), Adversarial()])
    before = weights(built)
    train(built)
    after = weights(built)
    assert any(not torch.equal(before[n], after[n]) for n in before if n.startswith("net.prior"))


def test_draws_are_scored_as_the_diagnosis_is():
    """Beside logit adjustment a draw's loss is that of the adjusted scores, which is what the head is trained on."""
    draws = SyntheticLatents(start=0, rare=0.25, ratio=1.0, keep_above=0.0, oversample=20.0)
    built = parts.module([LogitAdjusted(), PriorLoss(), draws])
    built.train()
    step = parts.context(built, small.batch(8))
    offset = built.objective.losses["logit_adjusted"].offset
    _, told = built.objective(step)
    with torch.no_grad():
        built.net.head[-1].bias.add_(offset)
        built.objective.losses["logit_adjusted"].offset.zero_()
    _, same = built.objective(step)
    torch.testing.assert_close(told["synthetic"], same["synthetic"])
    assert told["synthetic"] > 0


def test_a_gradient_that_is_not_finite_ends_the_run_by_name_and_no_checkpoint_holds_it(
    small_config, tmp_path, monkeypatch, capsys
):
    step = Diagnosis.training_step

    def spoilt(self, batch, batch_idx):
        total = step(self, batch, batch_idx)
        return total * (float("nan") if self.current_epoch == 1 and batch_idx == 0 else 1.0)

    monkeypatch.setattr(Diagnosis, "training_step", spoilt)
    out = tmp_path / "run"
    assert main(["fit", "-c", str(small_config), "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert "is not finite" in said
    assert "the gradient of net." in said
    assert "Traceback" not in said
    assert not json.loads((out / "run.json").read_text())["finished"]
    for path in (out / "checkpoints").glob("*.ckpt"):
        saved = torch.load(path, weights_only=True)
        assert saved["epoch"] == 0
        assert all(t.isfinite().all() for t in saved["state_dict"].values() if t.is_floating_point())
