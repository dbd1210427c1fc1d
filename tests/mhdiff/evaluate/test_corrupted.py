"""What spoilt records cost, paired with clean ones, and how well a score flags them."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.metrics import roc_auc_score

from mhdiff.cli import main
from mhdiff.diffusion import GaussianImputer, Latents
from mhdiff.evaluate.flagging import flagging
from mhdiff.training.corrupted import odd_one_out, unlikely_together


def test_flagging_is_the_area_under_the_curve_of_spoilt_against_clean():
    rng = np.random.default_rng(0)
    clean, spoilt = rng.normal(size=60), rng.normal(0.8, size=60).round(1)
    found = flagging(clean, spoilt, np.arange(60) // 2, replicates=200)
    truth = roc_auc_score([0] * 60 + [1] * 60, np.concatenate([clean, spoilt]))
    assert found["value"] == pytest.approx(truth)
    assert found["low"] < truth < found["high"]
    assert (found["n"], found["n_subjects"]) == (60, 30)
    assert flagging(clean, clean, np.arange(60), 0)["value"] == 0.5
    assert flagging(clean, clean + 99, np.arange(60), 20)["low"] == 1.0
    assert "changed" in flagging(clean[:0], clean[:0], np.arange(0))["reason"]


@pytest.mark.usefixtures("coarse_density")
def test_evaluate_stores_spoilt_predictions_once_and_tells_the_difference(
    small_run, tmp_path, capsys, monkeypatch
):
    import shutil

    from mhdiff.training import corrupted

    run = shutil.copytree(small_run, tmp_path / "run")
    options = ["evaluate", str(run), "--replicates", "20", "--json"]
    assert main([*options, "--corrupt", "wrong_note:5", "noise"]) == 0
    first = json.loads(capsys.readouterr().out)["corruptions"]
    assert list(first) == ["wrong_note:5", "noise:3"]
    assert first["wrong_note:5"]["modalities"] == ["note"]
    assert first["noise:3"]["modalities"] == ["image"]
    clean = json.loads((run / "metrics.json").read_text())["patterns"]["image+note+labs+codes"]["metrics"]
    for row in first.values():
        assert row["metrics"]["brier"]["value"] - clean["brier"]["value"] == pytest.approx(
            row["difference"]["brier"]["value"], abs=1e-5
        )
        assert 0 < row["changed"] < row["n"] == 18
        assert set(row["flags"]) == {"log_likelihood", "joint", "odd_one_out"}
        assert all(flag["n"] == row["changed"] for flag in row["flags"].values())
    frame = pl.read_parquet(run / corrupted.FILE)
    assert set(frame["split"]) == {"held_out"}
    same = frame.filter(pl.col("corruption") == "noise:3", ~pl.col("changed")).sort("sample_id")
    plain = frame.filter(
        pl.col("corruption") == "none", pl.col("sample_id").is_in(same["sample_id"].implode())
    )
    np.testing.assert_allclose(same["p_0"], plain.sort("sample_id")["p_0"], atol=1e-6)

    monkeypatch.setattr(corrupted, "open_run", lambda run: pytest.fail("predicted again"))
    assert main([*options, "--corrupt", "noise"]) == 0
    assert json.loads(capsys.readouterr().out)["corruptions"] == first


def gaussian_prior(z, scale=1.0):
    """A prior that has seen latents of two modalities [n, 2, dim], the second `scale` times as large."""
    stretched = z * torch.tensor([1.0, scale])[:, None]
    present = torch.ones(len(z), 2, dtype=torch.bool)
    prior = GaussianImputer(z.shape[2], 2, warmup=1, floor=1e-6).double().train()
    prior.observe(Latents(stretched.mean(1), stretched, present))
    return SimpleNamespace(prior=prior.eval()), stretched


def scored(score, net, modality, present):
    latents = Latents(modality.mean(1), modality, present)
    return score(net, SimpleNamespace(latents=latents, logits=modality))


def twins(n=4000, dim=2):
    generator = torch.Generator().manual_seed(3)
    first = torch.randn(n, dim, generator=generator, dtype=torch.float64)
    noise = torch.randn(n, dim, generator=generator, dtype=torch.float64)
    return torch.stack((first, 0.8 * first + 0.6 * noise), dim=1)


def test_the_modality_that_does_not_go_with_the_others_is_the_odd_one_out():
    z = twins()
    net, _ = gaussian_prior(z)
    both = torch.ones(len(z), 2, dtype=torch.bool)
    swapped = torch.stack(
        (z[:, 0], z.roll(1, 0)[:, 1]), dim=1
    )  # another patient's second modality: as likely alone
    for score in (odd_one_out, unlikely_together):
        clean, spoilt = (scored(score, net, x, both) for x in (z, swapped))
        assert flagging(clean.numpy(), spoilt.numpy(), np.arange(len(z)), 0)["value"] > 0.7
    # On these latents both conditionals are normal around .8 of the other with variance .36.
    joined = z - 0.8 * z.flip(1)
    truth = (joined.square() / 0.36 + np.log(2 * np.pi * 0.36)).sum(2).amax(1) / 2
    assert (scored(odd_one_out, net, z, both) - truth).abs().median() < 0.1
    alone = both.clone()
    alone[:, 1] = False
    first = (z[:, 0].square() + np.log(2 * np.pi)).sum(1) / 2
    for score in (odd_one_out, unlikely_together):
        assert (
            scored(score, net, z, alone) - first
        ).abs().median() < 0.1  # one by itself: nothing to go with
        assert torch.equal(
            scored(score, net, z, alone), scored(score, net, z * torch.tensor([1, 9])[:, None], alone)
        )
        assert (scored(score, net, z, ~both) == 0).all()


@pytest.mark.parametrize("scale", [50.0, 0.01])
def test_no_modality_is_the_odd_one_because_its_latents_are_large_or_small(scale):
    z = twins()
    (net, _), (other, stretched) = gaussian_prior(z), gaussian_prior(z, scale)
    for present in ([True, True], [True, False]):
        offered = torch.tensor(present).expand(len(z), 2)
        same = (scored(odd_one_out, net, z, offered), scored(odd_one_out, other, stretched, offered))
        torch.testing.assert_close(*same, rtol=1e-3, atol=1e-3)


@pytest.mark.usefixtures("coarse_density")
def test_a_file_that_lacks_a_score_is_begun_anew(small_run, tmp_path, monkeypatch, capsys):
    import shutil

    from mhdiff.corruption import corruptions
    from mhdiff.training import corrupted

    run = shutil.copytree(small_run, tmp_path / "run")
    path = corrupted.predict_run_corrupted(run, corruptions(["noise:1"]))
    pl.read_parquet(path).drop("score_joint").write_parquet(path)
    corrupted.predict_run_corrupted(run, corruptions(["blur:1"]))
    frame = pl.read_parquet(path)
    assert set(frame["corruption"]) == {"none", "blur:1"}
    assert frame["score_joint"].null_count() == 0
    assert "lacks the scores joint" in capsys.readouterr().err
