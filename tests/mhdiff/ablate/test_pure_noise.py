"""Where labels are dealt out at random there is nothing to find: no arm has skill, and none beats another."""

from __future__ import annotations

import shutil

import polars as pl
import pytest
import yaml
from scipy.stats import binom

from mhdiff.ablate import Ablation, run
from mhdiff.builtin import Builtin
from mhdiff.training.run import fit_cell

COHORTS, PATIENTS = 5, 200
MANY = 1e-3  # how rarely chance alone may fail this


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("noise")
    builtin = Builtin(patients=PATIENTS, seed=5, image_size=32)
    builtin.prepare(*(str(root / part) for part in ("ontology", "cohort", "graph")), "pneumonia")
    return root


def dealt_out(data, place, seed):
    """The cohort with its labels in another order: everything else keeps its structure, sites and dates too."""
    shutil.copytree(data / "cohort", place, ignore=shutil.ignore_patterns("truth"))
    (labels,) = (place / "labels").rglob("*.parquet")
    frame = pl.read_parquet(labels)
    value = pl.col("categorical_value").shuffle(seed=seed)
    frame.with_columns(value).write_parquet(labels)
    return place


def most(trials, rate):
    """The most hits that chance has but once in a thousand times."""
    return int(binom.isf(MANY, trials, rate))


@pytest.mark.slow
def test_the_whole_pipeline_finds_nothing_in_noise(data, small_config, tmp_path):
    settings = yaml.safe_load(small_config.read_text())
    skilled, found = 0, 0  # cohorts: what is found in one hangs together
    for seed in range(COHORTS):
        settings["data"] |= {
            "ontology": str(data / "ontology"),
            "cohort": str(dealt_out(data, tmp_path / f"cohort{seed}", seed)),
            "graph": str(tmp_path / f"graph{seed}"),
            "builtin": {},  # builds the graph of this cohort
        }
        (tmp_path / f"base{seed}.yaml").write_text(yaml.safe_dump(settings))
        (tmp_path / f"noise{seed}.yaml").write_text(
            yaml.safe_dump(
                {
                    "name": "noise",
                    "base": str(tmp_path / f"base{seed}.yaml"),
                    "set": ["--trainer.max_epochs=2", "--data.modalities=[note,labs,codes]"],
                    "arms": {
                        "none": ["--model.guidance=mhdiff.guidance.NoGuidance"],
                        "messages": [],
                        "permuted": ["--data.null=permuted", "--data.null_seed=1"],
                    },
                    "reference": "none",
                    "contrasts": [["messages", "permuted"]],
                    "folds": 2,
                    "seeds": [1],
                    "replicates": 300,
                }
            )
        )
        document = run(Ablation.load(tmp_path / f"noise{seed}.yaml"), tmp_path / f"out{seed}", fit_cell)
        assert all(cell["status"] == "done" for cell in document["cells"])
        skilled += any(arm["metrics"]["auroc"]["low"] > 0.5 for arm in document["arms"].values())
        rows = [row for row in document["differences"] if row["metric"] == "auroc"]
        assert len(rows) == 3
        found += any(not row["low"] <= 0 <= row["high"] for row in rows)
    assert skilled <= most(COHORTS, 3 * 0.025)
    assert found <= most(COHORTS, 3 * 0.05)
