"""`model.compile` changes nothing but the speed: names, losses, probabilities."""

from __future__ import annotations

import shutil

import polars as pl
import pytest
import torch
import yaml
from safetensors.torch import load_file

from mhdiff import compiled
from mhdiff.cli import main
from mhdiff.losses import CrossEntropy, ExpectedGradients, PriorLoss
from mhdiff.training.run import open_run
from tests import small_model as small
from tests.needs import missing


def calls(monkeypatch):
    """Count the translated calls, which are made by the graphs that were captured."""
    seen = []

    def backend(graph, example):
        def run(*given):
            seen.append(1)
            return graph.forward(*given)

        return run

    monkeypatch.setattr(compiled, "BACKEND", backend)
    return seen


@pytest.mark.slow
def test_a_translated_model_has_the_same_names_and_losses_for_every_size_of_batch(monkeypatch):
    seen = calls(monkeypatch)
    losses = [CrossEntropy(), PriorLoss(), ExpectedGradients(every=1)]
    as_is, fast = (small.module(losses=list(losses), compile=on) for on in (False, True))
    for module in (as_is, fast):
        module.speed_up()
        module.train()
    assert fast.state_dict().keys() == as_is.state_dict().keys()
    for size in (5, 3, 7):
        found = []
        for module in (as_is, fast):
            torch.manual_seed(1)
            module.zero_grad()
            loss = module.training_step(small.batch(size), 0)
            loss.backward()
            slopes = torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None])
            found.append((loss.detach(), slopes))
        torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-6)
    assert seen
    fast.eval()
    count, output = len(seen), as_is.eval()(small.batch(4))
    with torch.inference_mode():
        torch.testing.assert_close(fast(small.batch(4)).logits, output.logits, rtol=1e-4, atol=1e-5)
    assert len(seen) > count
    count = len(seen)
    densities = [m.net.prior.log_likelihood(output.latents) for m in (as_is, fast)]  # many gradients at once
    torch.testing.assert_close(*densities)
    assert len(seen) == count


def test_without_a_compiler_it_is_said_and_nothing_is_translated(monkeypatch, capsys):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    module = small.module(compile=True)
    module.speed_up()
    assert "C++ compiler" in capsys.readouterr().err
    assert module.net.head._compiled_call_impl is None


@pytest.mark.slow
def test_a_compiled_run_is_the_run_as_written(small_config, tmp_path, monkeypatch):
    """Two to three batches an epoch, the last one smaller, in float32 and in bfloat16; opened without translating."""
    if not any(shutil.which(name) for name in ("c++", "g++", "clang++")):
        missing("no C++ compiler on this machine, which torch.compile needs")
    runs, nets, own = {}, [], compiled.compile_core

    def noted(net):
        own(net)
        nets.append(net)

    monkeypatch.setattr("mhdiff.training.module.compile_core", noted)
    for name, options in {
        "written": [],
        "compiled": ["--model.compile=true"],
        "half": ["--model.compile=true", "--trainer.precision=bf16-mixed"],
    }.items():
        out = tmp_path / name
        given = ["-c", str(small_config), "--data.modalities=[labs,codes]", "--trainer.max_epochs=1"]
        assert main(["fit", *given, *options, "--out", str(out)]) == 0
        assert main(["predict", str(out)]) == 0
        runs[name] = pl.read_parquet(out / "predictions.parquet")
    assert len(nets) == 4  # trained and predicted, twice
    assert all(
        part._compiled_call_impl for net in nets for part in (net.fusion, net.head, *net.prior.networks)
    )
    weights = {name: load_file(tmp_path / name / "model.safetensors") for name in runs}
    assert weights["written"].keys() == weights["compiled"].keys() == weights["half"].keys()
    columns = [c for c in runs["written"].columns if c.startswith("p_")]
    written, fast, half = (runs[n].select(columns).to_numpy() for n in ("written", "compiled", "half"))
    assert abs(fast - written).max() < 1e-4
    assert abs(half - written).max() < 0.03

    saved = tmp_path / "compiled" / "config.yaml"
    config = yaml.safe_load(saved.read_text())
    assert config["model"]["compile"]
    config["model"]["compile"] = False
    saved.write_text(yaml.safe_dump(config))
    (tmp_path / "compiled" / "predictions.parquet").unlink()
    assert main(["predict", str(tmp_path / "compiled")]) == 0
    again = pl.read_parquet(tmp_path / "compiled" / "predictions.parquet").select(columns).to_numpy()
    assert abs(again - fast).max() < 1e-5
    module, _ = open_run(tmp_path / "compiled")
    checkpoint = torch.load(tmp_path / "compiled/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    module.load_state_dict(checkpoint)
