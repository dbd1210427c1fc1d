"""Two processes, bfloat16, accumulated gradients, the average and all losses: killed and resumed, bit for bit.

`Watch` writes what each process holds at the end of training, and kills both where the environment says so.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mhdiff.pretrained import from_pretrained, save_pretrained
from tests.mhdiff.training.test_fit_losses import LOSSES

WATCH = """
import os, signal
from pathlib import Path
import torch
from pytorch_lightning import Callback


class Watch(Callback):
    def on_train_epoch_start(self, trainer, pl_module):
        trainer.strategy.barrier()
        if os.environ.get("STOP_BEFORE") == str(trainer.current_epoch):
            os.kill(os.getpid(), signal.SIGKILL)

    def on_train_end(self, trainer, pl_module):
        held = {"model": pl_module.state_dict(), "optimiser": trainer.optimizers[0].state_dict(),
                "step": trainer.global_step}
        torch.save(held, Path(os.environ["WATCHED"]) / f"rank{trainer.global_rank}.pt")
"""
PRIORS = {
    "diffusion": ["--model.prior=mhdiff.diffusion.DiffusionPrior"],
    "gaussian": ["--model.prior=mhdiff.diffusion.GaussianImputer"],
}


def losses(prior):
    """All of them; a prior without blocks or classes to draw cannot serve the last two."""
    unfit = ("SyntheticLatents", "Adversarial") if prior == "gaussian" else ()
    return [loss for loss in LOSSES if not loss["class_path"].endswith(unfit)]


def run(small_config, out, watched, prior, stop=None):
    watched.mkdir(exist_ok=True)
    (watched.parent / "watching.py").write_text(WATCH)
    path = os.pathsep.join([str(watched.parent), *sys.path])
    more = {"OMP_NUM_THREADS": "1", "WATCHED": str(watched), "PYTHONPATH": path}
    if stop is not None:
        more["STOP_BEFORE"] = str(stop)
    command = [
        sys.executable, "-m", "mhdiff", "fit", "-c", str(small_config), "--out", str(out), *PRIORS[prior],
        f"--model.losses={json.dumps(losses(prior))}", "--data.masks=truth/masks",
        "--trainer.devices=2", "--trainer.strategy=ddp", "--trainer.precision=bf16-mixed",
        "--trainer.accumulate_grad_batches=2", "--trainer.gradient_clip_val=1.0", "--trainer.max_epochs=3",
        "--trainer.callbacks+=watching.Watch",
    ]  # fmt: skip
    return subprocess.run(
        command, env=os.environ | more, capture_output=True, text=True, timeout=500, check=False
    )


def same(one, two, where=""):
    """Whether two nests of tensors and numbers are the same bit for bit."""
    if isinstance(one, dict):
        assert one.keys() == two.keys(), where
        for key in one:
            same(one[key], two[key], f"{where}/{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(two), where
        for place, (a, b) in enumerate(zip(one, two, strict=True)):
            same(a, b, f"{where}/{place}")
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, two), where
    else:
        assert one == two, where


@pytest.mark.slow
@pytest.mark.parametrize("prior", PRIORS)
def test_killed_and_resumed_it_ends_as_if_never_killed(prior, small_config, tmp_path, monkeypatch):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    done = run(small_config, whole, tmp_path / "seen_whole", prior)
    assert done.returncode == 0, done.stderr[-3000:]
    killed = run(small_config, cut, tmp_path / "seen_cut", prior, stop=1)
    assert killed.returncode != 0
    assert not list((tmp_path / "seen_cut").iterdir())
    saved = torch.load(cut / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["epoch"] == 0
    resumed = run(small_config, cut, tmp_path / "seen_cut", prior)
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    assert "going on from the last finished epoch" in resumed.stderr

    held = [
        torch.load(Path(tmp_path) / seen / f"rank{rank}.pt", weights_only=True)
        for seen in ("seen_whole", "seen_cut")
        for rank in (0, 1)
    ]
    for other in held[1:]:
        same(held[0], other)
    assert held[0]["step"] > 0
    average = [n for n in held[0]["model"] if ".ema." in n]
    assert bool(average) == (prior == "diffusion")
    assert any(
        not torch.equal(held[0]["model"][n], held[0]["model"][n.replace(".ema.averaged.", ".denoiser.")])
        for n in average
        if n.replace(".ema.averaged.", ".denoiser.") in held[0]["model"]
    ) == bool(average)
    one, two = (json.loads((run_ / "history.json").read_text()) for run_ in (whole, cut))
    assert one == two
    weights, again = (load_file(run_ / "model.safetensors") for run_ in (whole, cut))
    same(weights, again)
    monkeypatch.syspath_prepend(str(tmp_path))
    shared = from_pretrained(save_pretrained(cut, tmp_path / "shared")).module.state_dict()
    same(weights, {name: shared[name] for name in weights})
