"""Synthetic latents through the real command line: what is written, what is refused, and what is judged."""

from __future__ import annotations

import json
import math
import shutil

import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from mhdiff.cli import main
from mhdiff.commands.sample import privacy_line
from mhdiff.training.latents import strangers
from mhdiff.training.run import open_run
from mhdiff.training.synthesise import MARKER
from ontology.files import sha256

pytestmark = pytest.mark.usefixtures("coarse_density")

STATES = ["--steps", "3", "--seed", "7"]


def sample(run, out, *options):
    return main(["sample", str(run), "--out", str(out), *STATES, *options])


def test_what_is_written_is_what_the_prior_draws(small_run, tmp_path, capsys):
    out = tmp_path / "draws"
    assert sample(small_run, out, "--n", "6", "--label", "all", "--guidance-scale", "2", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((out / MARKER).read_text())
    module, data = open_run(small_run)
    classes = list(data.task.classes)
    assert told["run"]["fingerprints"] == json.loads((small_run / "run.json").read_text())["fingerprints"]
    assert told["run"]["weights"] == sha256(small_run / "model.safetensors")
    assert told["blocks"] == ["shared", *data.modalities]
    assert told["n"] == 6 * len(classes)
    assert told["evaluations"] == 6  # guidance runs the network twice, and the effort is held
    assert told["ms_per_case"] > 0
    for name, file in told["files"].items():
        assert file["sha256"] == sha256(out / name)
    tensors, frame = load_file(out / "blocks.safetensors"), pl.read_parquet(out / "draws.parquet")
    label = torch.arange(len(classes)).repeat_interleave(6)
    generator = torch.Generator().manual_seed(7)
    drawn = module.net.prior.sample_blocks(len(label), 3, label, 2.0, generator)
    assert torch.equal(tensors["blocks"], drawn)
    assert torch.equal(tensors["label"], label)
    own = tensors["blocks"] * tensors["std"] + tensors["mean"]
    torch.testing.assert_close(own, module.net.prior.destandardise(drawn))
    assert frame["class"].to_list() == [classes[i] for i in label]
    assert frame["log_likelihood_shared"].is_finite().all()
    assert frame["log_likelihood_modalities"].is_finite().all()
    # The densities are on the scale of the latents: those of the draws as they would come from patients.
    assert math.isclose(frame["log_likelihood_shared"][0], float(_density(module, own[:1])), rel_tol=1e-3)
    assert (
        sample(
            small_run,
            tmp_path / "again",
            "--n",
            "6",
            "--label",
            "all",
            "--guidance-scale",
            "2",
            "--no-likelihood",
        )
        == 0
    )
    assert (tmp_path / "again" / "blocks.safetensors").read_bytes() == (
        out / "blocks.safetensors"
    ).read_bytes()


def _density(module, own):
    from mhdiff.diffusion import Latents

    every = torch.ones(1, own.shape[1] - 1, dtype=torch.bool)
    return module.net.prior.log_likelihood(Latents(own[:, 0], own[:, 1:], every))


def test_without_a_label_none_is_told(small_run, tmp_path, capsys):
    assert sample(small_run, tmp_path / "draws", "--n", "5", "--no-likelihood") == 0
    assert "privacy" in capsys.readouterr().out
    frame = pl.read_parquet(tmp_path / "draws" / "draws.parquet")
    assert frame["label"].null_count() == frame["class"].null_count() == 5
    assert frame["log_likelihood_shared"].null_count() == 5
    assert (load_file(tmp_path / "draws" / "blocks.safetensors")["label"] == -1).all()


def test_what_cannot_be_drawn_is_refused_and_leaves_nothing(small_run, tmp_path, capsys):
    for options, words in (
        (["--label", "lupus"], "lupus"),
        (["--guidance-scale", "2"], "--label"),
        (["--n", "0"], "--n 0"),
        (["--label", "all", "--guidance-scale", "-1"], "guidance"),
        (["--label", "all", "--guidance-scale", "inf"], "guidance"),
        (["--label", "all", "--guidance-scale", "1e38"], "not finite"),
        (["--seed", "-1"], "--seed -1"),
    ):
        assert sample(small_run, tmp_path / "none", *options) == 2
        assert words in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years")
    assert sample(small_run, mine, "--n", "2") == 2
    assert MARKER in capsys.readouterr().err
    assert [p.name for p in mine.iterdir()] == ["thesis.txt"]


def test_a_data_set_has_its_copies_and_its_membership_whoever_is_held_out(small_run, tmp_path, capsys):
    """Of a rare class hardly anybody is held out, and it is the one that is drawn."""
    out = tmp_path / "draws"
    assert sample(small_run, out, "--n", "5", "--label", "fungal", "--no-likelihood") == 0
    for found in json.loads((out / MARKER).read_text())["privacy"].values():
        assert found["share_closer_than_q05"] is None
        assert found["copies"] == 0
        assert found["compared_with"] == "held_out"
        assert set(found["membership"]) == {"nearest_draw", "typicality"}
    assert "copies: 0" in capsys.readouterr().out


def test_a_ratio_that_is_undefined_is_told():
    figure = {"value": None, "low": None, "high": None, "reason": "all alike"}
    found = {"share_closer_than_q05": figure, "ratio": figure, "copies": 3, "compared_with": "tuning"}
    line = privacy_line("shared", found | {"membership": {"nearest_draw": figure}})
    assert "undefined (all alike)" in line
    assert "95% of tuning" in line


def test_patients_of_another_site_are_nobody_to_compare_with():
    assert strangers("site:Hannover") == "tuning"
    assert strangers("fold:0/5") == strangers("stored") == "held_out"


def test_latents_that_were_judged_otherwise_are_told_with_their_own_settings(small_run, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(small_run, run)
    (run / "latents.json").write_text(json.dumps({"prior": "P", "replicates": 50, "seed": 3, "spaces": {}}))
    assert main(["evaluate", str(run), "--replicates", "5"]) == 0
    said = capsys.readouterr()
    assert "50 replicates" in said.err + said.out
    assert json.loads((run / "metrics.json").read_text())["latents"]["replicates"] == 50
    for wrong in (["--seed", "-1"], ["--replicates", "-1"], ["--corrupt", "all:9"]):
        (run / "predictions.parquet").unlink(missing_ok=True)
        assert main(["evaluate", str(run), *wrong]) == 2
        assert not (run / "predictions.parquet").exists()


def test_a_prior_that_models_nothing_or_no_class_is_refused(small_config, tmp_path, capsys):
    for kind, options, words in (
        ("NoPrior", [], "no model"),
        ("GaussianImputer", ["--label", "all"], "told classes"),
    ):
        run = tmp_path / kind
        swap = json.dumps({"class_path": f"mhdiff.diffusion.{kind}"})
        fit = [
            "fit",
            "-c",
            str(small_config),
            f"--model.prior={swap}",
            "--trainer.max_epochs=1",
            "--out",
            str(run),
        ]
        assert main(fit) == 0
        capsys.readouterr()
        assert sample(run, tmp_path / "draws", *options) == 2
        assert words in capsys.readouterr().err
        assert not (tmp_path / "draws").exists()


def test_evaluate_judges_the_draws(small_run, tmp_path, capsys, monkeypatch):
    run = tmp_path / "run"
    shutil.copytree(small_run, run)
    monkeypatch.setattr("mhdiff.evaluate.latents.FEWEST", 5)
    monkeypatch.setattr("mhdiff.evaluate.privacy.FEWEST", 5)
    from mhdiff.training.judge import judge_run

    document = judge_run(run, steps=3, many=6, replicates=20)
    assert document == json.loads((run / "latents.json").read_text())
    assert list(document["spaces"]) == ["shared", "blocks"]
    for found in document["spaces"].values():
        assert found["effort"]["evaluations"] == 6
        assert found["effort"]["against"] == 12
        assert found["effort"]["mmd"]["value"] is not None
        for group in ("train", "held_out"):
            pooled, each = found[group]["pooled"], found[group]["per_class"]
            assert pooled["n"] == sum(figures["n"] for figures in each.values())
            assert pooled["frechet"]["floor"] > 0
            assert pooled["mmd"]["low"] <= pooled["mmd"]["high"]
        for figure in found["privacy"]["membership"].values():
            assert 0 <= figure["low"] <= figure["value"] <= figure["high"] <= 1
        assert found["privacy"]["proximity"]["copies"] == 0
    # With the draws judged, evaluate tells it, and tells it again where it is not asked to judge anew.
    assert main(["evaluate", str(run), "--replicates", "10"]) == 0
    text = capsys.readouterr().out
    assert "AUROC of membership by log-likelihood" in text
    assert "6 evaluations minus 12" in text
    assert "latents" in json.loads((run / "metrics.json").read_text())


def test_a_folder_that_is_no_run_is_refused(tmp_path, capsys):
    assert main(["sample", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "run" in capsys.readouterr().err
