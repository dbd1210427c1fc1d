"""An ablation whose arms share encoders, through the real command line: trained once a fold, and used by every cell."""

import json

import polars as pl
import yaml

from mhdiff.cli import main


def test_cells_are_trained_from_the_encoders_of_their_fold(small_config, tmp_path):
    ablation = {
        "base": str(small_config),
        "set": ["--trainer.max_epochs=1", "--data.modalities=[labs,codes]"],
        "encoders": {"set": ["--model.guidance=mhdiff.guidance.NoGuidance"]},
        "arms": {name: [f"--model.guidance=mhdiff.guidance.{name}"] for name in ("NoGuidance", "Linked")},
        "reference": "NoGuidance",
        "folds": 2,
        "replicates": 20,
        "patterns": "all",
    }
    (tmp_path / "ablation.yaml").write_text(yaml.safe_dump(ablation))
    out = tmp_path / "out"
    assert main(["ablate", "-c", str(tmp_path / "ablation.yaml"), "--out", str(out)]) == 0
    encoders = sorted((out / "encoders").iterdir())
    assert len(encoders) == 2
    facts = [json.loads((folder / "embeddings" / "embeddings.json").read_text()) for folder in encoders]
    assert {fact["split_name"] for fact in facts} == {"fold:0/2, seed 0", "fold:1/2, seed 0"}
    for cell in (out / "cells").iterdir():
        told = json.loads((cell / "cell.json").read_text())
        config = yaml.safe_load((cell / "config.yaml").read_text())
        assert config["data"]["embeddings"] == str(out / "encoders" / told["encoders"] / "embeddings")
        assert set(pl.read_parquet(cell / "predictions.parquet")["pattern"]) == {
            "labs",
            "codes",
            "labs+codes",
        }
