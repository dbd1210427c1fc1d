"""A run imputes by the sampler that its prior is given, and trains as if it had been given another."""

from __future__ import annotations

import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from mhdiff.cli import main

SAMPLERS = ["heun", "ddim", "ancestral", "euler_maruyama"]


@pytest.fixture(scope="module")
def run(small_config, tmp_path_factory):
    def made(sampler):
        out = tmp_path_factory.mktemp(sampler) / "run"
        options = ["--data.modalities=[labs,codes]", "--trainer.max_epochs=1", "--model.inference.draws=1"]
        options += ["--model.inference.ways=[shared]", f"--model.prior.sampler={sampler}"]
        assert main(["fit", "-c", str(small_config), *options, "--out", str(out)]) == 0
        assert main(["predict", str(out)]) == 0
        return load_file(out / "model.safetensors"), pl.read_parquet(out / "predictions.parquet")

    return made


@pytest.fixture(scope="module")
def usual(run):
    return run("dpm_solver")


@pytest.mark.parametrize(
    "sampler", [SAMPLERS[-1], *(pytest.param(name, marks=pytest.mark.slow) for name in SAMPLERS[:-1])]
)
def test_a_run_imputes_by_its_sampler(sampler, run, usual, capfd):
    weights, frame = run(sampler)
    assert "4 evaluations" in capfd.readouterr().err  # 2 steps of Heun's
    assert all(torch.equal(weights[name], tensor) for name, tensor in usual[0].items())
    key = ["sample_id", "pattern"]
    both = frame.join(usual[1], on=key, suffix="_usual")
    whole = both["pattern"].str.contains("codes") & both["pattern"].str.contains("labs")
    moved = (both["p_0"] - both["p_0_usual"]).abs()
    assert float(moved.filter(whole).min()) == 0  # complete patients are not drawn
    assert float(moved.filter(~whole).min()) > 0
    assert frame["p_0"].is_finite().all()
