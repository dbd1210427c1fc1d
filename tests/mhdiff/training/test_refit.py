"""The prior's further steps through the real command line."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from mhdiff.cli import main


def trained(small_config, out, *options):
    given = ["fit", "-c", str(small_config), "--model.learning_rate=3e-3", "--trainer.max_epochs=1", *options]
    assert main([*given, "--out", str(out)]) == 0
    return load_file(out / "model.safetensors")


@pytest.mark.slow  # what it moves is a law, tests/laws/test_restandardise.py
def test_it_is_asked_for_in_yaml_and_moves_the_prior_and_what_takes_up_its_scale(
    small_config, tmp_path, capsys
):
    one, two = (trained(small_config, tmp_path / str(n), f"--model.prior_steps={n}") for n in (0, 30))
    assert "the prior alone: tuning loss" in capsys.readouterr().err
    moved = {n for n in one if not torch.equal(one[n], two[n])}
    assert {"net.prior.scale.mean", "net.prior.modality_scale.variance", "net.head.0.bias"} <= moved
    assert any(n.startswith("net.prior.denoiser") for n in moved)
    assert all(n.startswith(("net.prior.", "net.head.0.")) for n in moved)


def test_a_prior_that_learns_nothing_gets_the_same_scale_and_says_the_same(small_config, tmp_path):
    none = "--model.prior=mhdiff.diffusion.imputers.NoPrior"
    one, two = (trained(small_config, tmp_path / str(n), f"--model.prior_steps={n}", none) for n in (0, 30))
    assert not torch.equal(one["net.prior.scale.mean"], two["net.prior.scale.mean"])
    z = torch.randn(5, len(one["net.prior.scale.mean"]), generator=torch.Generator().manual_seed(0))
    said = []
    for w in (one, two):
        std = w["net.prior.scale.variance"].clamp(min=1e-6).sqrt()
        said.append(((z - w["net.prior.scale.mean"]) / std) @ w["net.head.0.weight"].T + w["net.head.0.bias"])
    torch.testing.assert_close(*said, atol=1e-4, rtol=1e-4)


def test_wrong_steps_are_refused(small_config, tmp_path, capsys):
    assert main(["fit", "-c", str(small_config), "--model.prior_steps=-1", "--out", str(tmp_path / "x")]) == 2
    assert "prior_steps" in capsys.readouterr().err
