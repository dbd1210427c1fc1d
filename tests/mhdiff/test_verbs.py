"""The verbs end to end: on the built-in data, and on the real cohort with a real ontology."""

from __future__ import annotations

import json

import polars as pl
import pytest

from mhdiff.cli import main


def one_document(capsys):
    return json.loads(capsys.readouterr().out)


def test_evaluate_explain_and_report_a_run(small_run, small_data, capsys):
    assert main(["evaluate", str(small_run), "--replicates", "50", "--json"]) == 0
    metrics = one_document(capsys)
    predictions = pl.read_parquet(small_run / "predictions.parquet")
    splits = pl.read_parquet(small_data / "cohort" / "metadata" / "subject_splits.parquet")
    held = set(splits.filter(pl.col("split") == "held_out")["subject_id"])
    assert metrics["n_subjects"] == len(held)
    assert set(predictions.filter(pl.col("split") == "held_out")["subject_id"]) == held
    assert "train" not in predictions["split"].unique().to_list()
    assert len(metrics["patterns"]) == 15
    full = metrics["patterns"]["image+note+labs+codes"]
    assert full["ceiling"]["brier"]["value"] < full["metrics"]["brier"]["value"]

    assert main(["explain", str(small_run), "--json"]) == 0
    explanation = one_document(capsys)
    assert explanation["completeness_gap"] < 0.01
    assert abs(sum(explanation["probabilities"].values()) - 1) < 1e-5
    absent = [m for m in explanation["modalities"] if not m["present"]]
    assert all(m["attribution"] == 0 and m["shapley"] == 0 for m in absent)
    assert explanation["concepts"]
    assert explanation["paths"]

    assert main(["report", str(small_run)]) == 0
    assert (small_run / "report.html").read_text().lower().startswith("<!doctype html>")


def test_an_absent_modality_has_exactly_no_attribution(small_run, capsys):
    from mhdiff.training.run import open_run

    _, data = open_run(small_run)
    dataset = data.dataset(["held_out", "tuning", "train"])
    without = next(int(s) for s, p in zip(dataset.sample_ids, dataset.present, strict=True) if not p.all())
    capsys.readouterr()
    assert main(["explain", str(small_run), "--sample", str(without), "--json"]) == 0
    absent = [m for m in one_document(capsys)["modalities"] if not m["present"]]
    assert absent
    assert all(m["attribution"] == 0 and m["by_evidence"] == 0 for m in absent)


def test_a_folder_that_is_no_run_is_refused(tmp_path, capsys):
    for verb in ("evaluate", "explain", "report", "predict"):
        assert main([verb, str(tmp_path)]) == 2
        assert "mhdiff" in capsys.readouterr().err


def test_doctor_finds_nothing_wrong_here(capsys):
    assert main(["doctor", "--json"]) == 0
    found = one_document(capsys)
    assert found["problems"] == []
    assert found["versions"]["torch"]


@pytest.mark.slow
def test_the_demo_at_toy_size(tmp_path, capsys):
    out = tmp_path / "demo"
    assert main(["demo", "--out", str(out), "--patients", "120", "--epochs", "1"]) == 0
    for name in ("report.html", "metrics.json", "ablation.json", "stages.json"):
        assert (out / name).is_file()
    ablation = json.loads((out / "ablation.json").read_text())
    assert set(ablation["arms"]) == {"none", "linked", "message_passing", "permuted"}
    assert all(arm["status"] == "done" for arm in ablation["arms"].values())
    stages = json.loads((out / "stages.json").read_text())
    assert len(stages) == 8
    assert all(stage["peak_mib"] > 0 for stage in stages)
    again = json.loads((out / "metrics.json").read_text())
    assert main(["demo", "--out", str(out), "--patients", "120", "--epochs", "1"]) == 0  # cheap, and the same
    assert json.loads((out / "metrics.json").read_text()) == again


def test_the_image_is_held_against_the_outline_of_its_finding(small_run, small_data):
    from PIL import Image

    from mhdiff.explain.patient import explain_sample
    from mhdiff.training.run import open_run

    module, data = open_run(small_run)
    outlined = [
        int(path.stem)
        for path in sorted((small_data / "cohort" / "truth" / "masks").iterdir())
        if Image.open(path).getbbox()
    ]
    rows = data.samples.filter(pl.col("subject_id").is_in(outlined))
    found = explain_sample(module, data, int(rows["sample_id"][0]), steps=2).image
    assert found is not None
    assert found.mask_area is not None
    assert 0 < found.mask_area < 0.5
