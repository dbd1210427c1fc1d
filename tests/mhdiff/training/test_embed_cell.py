"""An ablation whose arms share encoders, through the real command line: trained once a fold, and used by every cell."""

import json

import polars as pl
import pytest
import yaml

from mhdiff.cli import main


@pytest.mark.slow
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


@pytest.mark.slow
def test_crossed_arms_are_trained_on_folds_that_each_repetition_deals_anew(small_config, tmp_path):
    ablation = {
        "base": str(small_config),
        "set": ["--trainer.max_epochs=1", "--data.modalities=[labs,codes]"],
        "encoders": {"set": ["--model.guidance=mhdiff.guidance.NoGuidance"]},
        "factors": {
            "guidance": {"none": ["--model.guidance=mhdiff.guidance.NoGuidance"], "real": []},
            "lambda": {
                "small": ["--model.fusion.lambda_init=0.5"],
                "large": ["--model.fusion.lambda_init=4"],
            },
        },
        "without": [["none", "large"], ["real", "large"]],
        "reference": "none/small",
        "folds": 2,
        "repeats": 2,
        "replicates": 20,
    }
    (tmp_path / "ablation.yaml").write_text(yaml.safe_dump(ablation))
    out = tmp_path / "out"
    assert main(["ablate", "-c", str(tmp_path / "ablation.yaml"), "--out", str(out)]) == 0
    facts = [json.loads(file.read_text()) for file in (out / "encoders").glob("*/embeddings/embeddings.json")]
    assert {fact["split_name"] for fact in facts} == {
        f"fold:{i}/2, seed {s}" for i in (0, 1) for s in (0, 1000)
    }
    document = json.loads((out / "ablation.json").read_text())
    assert list(document["arms"]) == ["none/small", "real/small"]
    held: dict[tuple[str, int], list[frozenset[int]]] = {}
    for cell in document["cells"]:
        frame = pl.read_parquet(out / "cells" / cell["key"] / "predictions.parquet")
        of = frozenset(frame.filter(pl.col("split") == "held_out")["subject_id"])
        held.setdefault((cell["arm"], cell["repeat"]), []).append(of)
    assert len(held) == 4
    for first, second in held.values():
        assert not first & second
    assert len({first | second for first, second in held.values()}) == 1, "everybody, in each repetition"
    first, second = (set(held["real/small", repeat]) for repeat in (0, 1))
    assert not first & second
    assert {row["folds"]["folds"] for row in document["differences"]} == {4}
    assert (
        main(
            ["report", str(out), "--out", str(tmp_path / "report.html"), "--tables", str(tmp_path / "tables")]
        )
        == 0
    )
    told = (tmp_path / "report.html").read_text()
    assert "2 patient-grouped folds, dealt 2 times" in told
    assert "real/small" in told
