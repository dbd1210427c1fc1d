"""A cell that is deleted is trained again to the last bit, whatever else is left and however many workers there are."""

import json
import shutil

import polars as pl
import pytest
import torch
import yaml

from mhdiff.ablate.threads import share
from mhdiff.cli import main


def timeless(out):
    document = json.loads((out / "ablation.json").read_text())
    for part in (*document["arms"].values(), *document["cells"]):
        part.pop("seconds", None)
        part.pop("peak_mib", None)
    return document


@pytest.mark.slow  # some ten real trainings in six processes: 60 s
def test_a_deleted_cell_is_trained_again_bit_for_bit(small_config, tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)  # a user sets none
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)  # nor how strings are hashed
    ablation = {
        "base": str(small_config),
        "arms": {
            "none": ["--model.guidance=mhdiff.guidance.NoGuidance"],
            "messages": [],
            "permuted": ["--data.null=permuted", "--data.null_seed=1"],
        },
        "reference": "none",
        "patterns": ["note"],
        "folds": 2,
        "seeds": [1],
        "replicates": 20,
    }
    (tmp_path / "ablation.yaml").write_text(yaml.safe_dump(ablation))
    out = tmp_path / "out"
    command = ["ablate", "-c", str(tmp_path / "ablation.yaml"), "--out", str(out)]
    before = torch.get_num_threads()
    torch.set_num_threads(2)  # as a process has that nobody limits
    try:
        assert main([*command, "--workers", "2"]) == 0
        cells = sorted(path for path in (out / "cells").iterdir() if path.is_dir())
        told = timeless(out)
        first = {cell.name: pl.read_parquet(cell / "predictions.parquet") for cell in cells}
        # The last of its worker to be trained, then the only one; and in this process, after others.
        for lost, workers in ((cells[:1], 2), (cells[1:3], 1)):
            for cell in lost:
                shutil.rmtree(cell)
            assert main([*command, "--workers", str(workers)]) == 0
            for cell in lost:
                assert pl.read_parquet(cell / "predictions.parquet").equals(first[cell.name])
                assert json.loads((cell / "run.json").read_text())["threads"] == share(2)
            assert timeless(out) == told
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
