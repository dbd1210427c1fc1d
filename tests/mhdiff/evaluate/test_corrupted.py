"""What spoilt records cost, paired with clean ones, and how well a score flags them."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from mhdiff.cli import main
from mhdiff.evaluate.flagging import flagging


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
        assert row["flags"]["log_likelihood"]["n"] == row["changed"]
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
