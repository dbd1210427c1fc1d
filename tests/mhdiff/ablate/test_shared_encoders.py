"""Encoders that arms share are trained once for a fold and a seed, before what needs them; their failure is told."""

import json

import pytest
from fake_training import embed_cell, fit_cell

from mhdiff.ablate import run
from mhdiff.ablate.cells import plan
from ontology.errors import InputError

FOLDS, SEEDS = 3, 2


def trained(tmp_path, what):
    return [line for line in (tmp_path / "log.txt").read_text().splitlines() if line.split()[0] == what]


@pytest.mark.parametrize(("seeds", "times"), [("first", FOLDS), ("each", FOLDS * SEEDS)])
def test_they_are_trained_once_for_all_arms_and_come_first(make, tmp_path, seeds, times):
    ablation = make(encoders={"set": ["--model.guidance=none"], "seeds": seeds})
    document = run(ablation, tmp_path / "out", fit_cell, embed_cell=embed_cell)
    lines = (tmp_path / "log.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines[:times]] == ["encoders"] * times
    assert len(set(lines[:times])) == times == len(trained(tmp_path, "encoders"))
    assert len(lines) == times + 2 * FOLDS * SEEDS
    assert all(cell["status"] == "done" for cell in document["cells"])
    for cell in json.loads((tmp_path / "out" / "plan.json").read_text())["cells"]:
        of = tmp_path / "out" / "encoders" / cell["encoders"] / "embeddings" / "embeddings.json"
        wanted = cell["seed"] if seeds == "each" else 1
        assert json.loads(of.read_text())["seed"] == str(wanted)
    (tmp_path / "log.txt").unlink()
    run(ablation, tmp_path / "out", fit_cell, embed_cell=embed_cell)
    assert not (tmp_path / "log.txt").exists()  # nothing was trained again


def test_a_cell_is_known_by_its_encoders_too(make):
    alone, shared, other = (
        {cell.key for cell in plan(make(encoders=encoders)).cells}
        for encoders in (None, {"set": ["--model.dim=8"]}, {"set": ["--model.dim=16"]})
    )
    assert not alone & shared
    assert not shared & other


def test_cells_whose_encoders_failed_are_failed_and_the_others_go_on(make, tmp_path):
    broken = make(encoders={"set": ["--encoders=fold:1/3"]})
    document = run(broken, tmp_path / "out", fit_cell, embed_cell=embed_cell)
    failed = [cell for cell in document["cells"] if cell["status"] == "failed"]
    assert {cell["fold"] for cell in failed} == {1}
    assert len(failed) == 2 * SEEDS
    assert all("its encoders failed: RuntimeError: the encoders' loss is NaN" in c["message"] for c in failed)
    assert len(trained(tmp_path, "strong")) == (FOLDS - 1) * SEEDS


@pytest.mark.parametrize("encoders", ["yes", {"seeds": "last"}, {"sets": []}, {"set": ["model.dim=8"]}])
def test_a_wrong_entry_is_refused(make, encoders):
    with pytest.raises(InputError, match="encoders"):
        make(encoders=encoders)
