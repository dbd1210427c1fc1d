"""Searches through the real command line and real trainings, and the shipped ones."""

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from mhdiff.cli import main
from mhdiff.training.cli import parse
from mhdiff.tune import Search
from mhdiff.tune.space import grid_of, options_of

ROOT = Path(__file__).parents[3]
SHIPPED = sorted((ROOT / "configs" / "searches").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_ends_of_every_range_are_taken_by_fit(path):
    search = Search.load(str(path))
    for end in (0, -1):
        chosen = {}
        for name, entry in search.space.items():
            values = [entry.low, entry.high] if hasattr(entry, "low") else list(entry.choices)
            chosen[name] = values[end]
        assert parse(["-c", str(search.base), *search.common, *options_of(chosen)]).model is not None
    if search.method == "grid":
        assert search.trials == len(grid_of(search.space, path)["model.dim"]) * 12


def test_a_search_ends_in_a_configuration_that_fit_takes(small_config, tmp_path, capsys):
    search = {
        "base": str(small_config),
        "set": ["--trainer.max_epochs=1", "--data.modalities=[labs,codes]"],
        "method": "grid",
        "space": {
            "model.guidance": ["mhdiff.guidance.NoGuidance", "mhdiff.guidance.Linked"],
            "model.learning_rate": [0.01],
        },
        "inner": 2,
    }
    (tmp_path / "search.yaml").write_text(yaml.safe_dump(search))
    out = tmp_path / "out"
    arguments = ["tune", "-c", str(tmp_path / "search.yaml"), "--out", str(out), "--split", "fold:0/3"]
    assert main([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["split"] == "fold:0/3"
    assert [row["state"] for row in document["trials"]] == ["complete"] * 2
    best = yaml.safe_load((out / "best.yaml").read_text())
    assert best["data"]["split"] == "fold:0/3"
    assert best["model"]["learning_rate"] == 0.01
    assert best["trainer"]["max_epochs"] == 1
    assert main(["fit", "-c", str(out / "best.yaml"), "--out", str(tmp_path / "best")]) == 0
    assert main([*arguments, "--trials", "0"]) == 2


def commands_of_the_page(folds):
    """The lines of docs/tune.md's nested cross-validation, with fewer outer folds than there."""
    page = (ROOT / "docs" / "tune.md").read_text()
    block = re.search(r"```bash\nfor fold in ([\d ]+); do\n(.*?)done\n(.*?)```", page, re.DOTALL)
    assert block
    every = block[1].split()
    loop = [
        line.replace("$fold", str(fold)).replace(f"/{len(every)}", f"/{folds}")
        for fold in range(folds)
        for line in block[2].splitlines()
    ]
    told = block[3].strip()
    for fold in every[folds:]:
        told = told.replace(f" runs/best{fold}", "")
    return [shlex.split(line)[1:] for line in [*loop, told]]


@pytest.mark.slow  # six trainings
def test_the_nested_cross_validation_of_the_page_runs(small_config, tmp_path, monkeypatch):
    search = {
        "base": str(small_config),
        "set": ["--trainer.max_epochs=1", "--data.modalities=[labs,codes]"],
        "method": "grid",
        "space": {"model.learning_rate": [0.01]},
        "inner": 2,
    }
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(yaml.safe_dump(search))
    for command in commands_of_the_page(2):
        assert main([*command, *(["--replicates", "0"] if command[0] == "evaluate" else [])]) == 0, command
    found = json.loads(Path("runs/nested/metrics.json").read_text())
    assert found["models"] == 2
    assert found["n_subjects"] == 90
    assert found["held_out"] == "fold:0/2, fold:1/2"
    assert found["subgroups"]["site"]["groups"]
