"""Weights and checkpoints of another version are refused by name, before anything is changed."""

from __future__ import annotations

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from mhdiff.cli import main


def renamed(tensors):
    return {("net.old" + name[3:] if name.startswith("net.head") else name): x for name, x in tensors.items()}


def longer(tensors):
    name = next(n for n in tensors if n.startswith("net.head") and tensors[n].dim() == 2)
    return tensors | {name: torch.cat([tensors[name]] * 2)}


def fewer(tensors):
    return {name: x for name, x in tensors.items() if not name.startswith("net.kind")}


@pytest.fixture
def run(small_run, tmp_path):
    """A finished run that nobody has predicted with yet, so that its weights are read."""
    without = shutil.ignore_patterns("predictions*", "evaluation*", "evaluate*")
    return shutil.copytree(small_run, tmp_path / "run", ignore=without)


@pytest.mark.parametrize(
    ("change", "said"),
    [(renamed, "none of the model's, such as net.old"), (longer, "have another shape, such as net.head"),
     (fewer, "are not in it, such as net.kind")],
)  # fmt: skip
def test_weights_of_another_version_are_refused(run, capsys, change, said):
    weights = run / "model.safetensors"
    save_file(change(load_file(weights)), weights)
    assert main(["evaluate", str(run)]) == 2
    told = capsys.readouterr().err
    assert "model.safetensors" in told
    assert said in told
    assert "train again" in told


def test_weights_that_are_cut_short_are_refused(run, capsys):
    weights = run / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert main(["evaluate", str(run)]) == 2
    assert "the weights cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["weights", "optimiser"])
def test_a_checkpoint_of_another_version_is_not_gone_on_from(small_config, tmp_path, capsys, part):
    run = tmp_path / "run"
    given = ["fit", "-c", str(small_config), "--trainer.max_epochs=1", f"--out={run}"]
    assert main(given) == 0
    (run / "model.safetensors").unlink()  # as if killed after its last epoch
    facts = (run / "run.json").read_text()
    (run / "run.json").write_text(facts.replace('"finished": true', '"finished": false'))
    last = run / "checkpoints" / "last.ckpt"
    saved = torch.load(last, weights_only=True)
    if part == "weights":
        saved["state_dict"] = renamed(saved["state_dict"])
    else:
        saved["optimizer_states"][0]["param_groups"][0]["params"].append(10_000)
    torch.save(saved, last)
    before = last.read_bytes()
    capsys.readouterr()
    assert main(given) == 2
    told = capsys.readouterr().err
    assert "last.ckpt" in told
    assert "another version" in told
    assert last.read_bytes() == before
