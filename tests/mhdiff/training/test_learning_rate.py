"""The learning rate by step: its law, and what a run makes of it, resumed too."""

from __future__ import annotations

import itertools
import json
import math
import shutil

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pytorch_lightning import Callback
from safetensors.torch import load_file
from torch import nn

from mhdiff.cli import main
from mhdiff.training import run as training
from mhdiff.training.learning_rate import ConstantRate, CosineRate, by_step
from ontology.errors import InputError

SCHEDULE = "--model.learning_rate_schedule=mhdiff.training.learning_rate.CosineRate"
WARMUP = "--model.learning_rate_schedule.init_args.warmup=2"


@given(warmup=st.integers(0, 50), decay=st.integers(1, 200), last=st.floats(0.0, 1.0))
def test_it_rises_in_a_straight_line_and_falls_as_a_cosine(warmup, decay, last):
    rate, steps = CosineRate(warmup, last), warmup + decay
    factors = [rate(step, steps) for step in range(steps + 1)]
    assert factors[:warmup] == pytest.approx([(step + 1) / warmup for step in range(warmup)])
    falling = factors[warmup:]
    assert falling[0] == pytest.approx(1.0)
    assert falling[-1] == pytest.approx(last)
    assert all(a >= b - 1e-12 for a, b in itertools.pairwise(falling))
    for early, late in zip(falling, reversed(falling), strict=True):  # a cosine is odd about its middle
        assert early + late == pytest.approx(1 + last)
    if decay % 3 == 0:
        at = last + (1 - last) * (1 + math.cos(math.pi / 3)) / 2
        assert falling[decay // 3] == pytest.approx(at)


def test_without_decay_the_rate_stays_after_the_warm_up():
    assert [ConstantRate(4)(step, 10) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_the_optimiser_takes_each_step_at_its_rate_and_each_group_keeps_its_own():
    one, two = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([{"params": [one], "lr": 0.5}, {"params": [two], "lr": 2.0}])
    rate = CosineRate(warmup=2, last=0.1)
    scheduler = by_step(optimiser, rate, 7)["lr_scheduler"]["scheduler"]
    for step in range(7):
        used = [group["lr"] for group in optimiser.param_groups]
        assert used == pytest.approx([0.5 * rate(step, 7), 2.0 * rate(step, 7)])
        optimiser.step()
        scheduler.step()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: CosineRate(warmup=-1), "warmup"),
        (lambda: ConstantRate(warmup=-1), "warmup"),
        (lambda: CosineRate(last=1.5), "last"),
        (lambda: CosineRate(last=float("nan")), "last"),
        (lambda: by_step(None, CosineRate(), math.inf), "trainer.max_epochs"),
        (lambda: by_step(None, CosineRate(warmup=10), 10), "warmup"),
    ],
)
def test_what_makes_no_schedule_is_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()


@pytest.fixture(scope="module")
def scheduled(small_config, tmp_path_factory):
    """A finished run of three epochs with a schedule."""
    out = tmp_path_factory.mktemp("scheduled") / "run"
    options = ["fit", "-c", str(small_config), SCHEDULE, WARMUP, "--trainer.max_epochs=3"]
    assert main([*options, "--out", str(out)]) == 0
    return options, out


def test_the_history_has_the_rate_of_each_epochs_last_step(scheduled):
    history = json.loads((scheduled[1] / "history.json").read_text())
    steps = torch.load(scheduled[1] / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    each, rate = steps // 3, CosineRate(warmup=2)
    expected = [1e-3 * rate(each * (epoch + 1) - 1, steps) for epoch in range(3)]
    assert [epoch["learning_rate"] for epoch in history] == pytest.approx(expected)
    assert expected[0] > expected[1] > expected[2]


def test_without_a_schedule_the_rate_is_that_of_the_settings(small_run):
    history = json.loads((small_run / "history.json").read_text())
    assert [epoch["learning_rate"] for epoch in history] == [1e-3] * 2
    checkpoint = torch.load(small_run / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["lr_schedulers"] == []


def _stop_after(epoch, monkeypatch):
    """Interrupt the run after the checkpoint of an epoch, where a kill would."""

    class Stop(Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            if trainer.current_epoch == epoch:
                raise KeyboardInterrupt

    monkeypatch.setattr(training, "EpochLines", Stop)


def test_resumed_it_is_the_uninterrupted_run_bit_for_bit(scheduled, tmp_path, monkeypatch):
    options, whole = scheduled
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        _stop_after(1, patch)
        assert main([*options, "--out", str(out)]) in (1, 130)
    assert not json.loads((out / "run.json").read_text())["finished"]
    assert main([*options, "--out", str(out)]) == 0
    one, two = (json.loads((folder / "history.json").read_text()) for folder in (whole, out))
    assert one == two
    expected, found = (load_file(folder / "model.safetensors") for folder in (whole, out))
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_resuming_over_another_number_of_steps_is_refused_in_words(scheduled, tmp_path, capsys, monkeypatch):
    options, _ = scheduled
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        _stop_after(1, patch)
        main([*options, "--out", str(out)])
    capsys.readouterr()
    assert main([*options, "--trainer.max_epochs=5", "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert "trainer.max_epochs" in said
    assert "model.learning_rate_schedule" in said
    # A checkpoint that was brought under other settings by hand, or a step that several devices share out anew.
    other = tmp_path / "other"
    shutil.copytree(out, other)
    config = (other / "config.yaml").read_text()
    (other / "config.yaml").write_text(config.replace("max_epochs: 3", "max_epochs: 5"))
    assert main([*options, "--trainer.max_epochs=5", "--out", str(other)]) == 2
    said = capsys.readouterr().err
    assert "model.learning_rate_schedule" in said
    assert "trainer.devices" in said
    assert "Traceback" not in said
