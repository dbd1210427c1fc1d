"""The prior's further steps through the real command line."""

from __future__ import annotations

import torch
from safetensors.torch import load_file

from mhdiff.cli import main


def test_it_is_asked_for_in_yaml_and_moves_nothing_but_the_prior(small_config, tmp_path, capsys):
    for name, steps in (("without", 0), ("with", 30)):
        options = [
            "fit",
            "-c",
            str(small_config),
            f"--model.prior_steps={steps}",
            "--model.learning_rate=3e-3",
        ]
        assert main([*options, "--trainer.max_epochs=1", "--out", str(tmp_path / name)]) == 0
    assert "the prior alone: tuning loss" in capsys.readouterr().err
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("without", "with"))
    moved = {n for n in one if not torch.equal(one[n], two[n])}
    assert moved
    assert all(n.startswith("net.prior.") and "scale" not in n for n in moved)


def test_wrong_steps_are_refused(small_config, tmp_path, capsys):
    assert main(["fit", "-c", str(small_config), "--model.prior_steps=-1", "--out", str(tmp_path / "x")]) == 2
    assert "prior_steps" in capsys.readouterr().err
