"""Every shipped ablation: its base is found, and the command line takes every arm."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from mhdiff.ablate import Ablation, run
from mhdiff.ablate.cells import plan
from mhdiff.ablate.fragments import expanded
from mhdiff.training.cli import parse
from mhdiff.training.run import fit_cell
from ontology.errors import InputError

SHIPPED = sorted((Path(__file__).parents[3] / "configs" / "ablations").glob("*.yaml"))


@pytest.mark.slow
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_arm_is_taken(path):
    ablation = Ablation.load(str(path))
    assert ablation.reference in ablation.arms
    for name, arm in ablation.arms.items():
        filled = [option.replace("{seed}", "1").replace("{draw}", "1") for option in (*ablation.common, *arm)]
        assert parse(["-c", str(ablation.base), *filled]).model is not None, name


def test_every_baseline_is_an_arm_beside_the_demo():
    ablation = Ablation.load("ablations/baselines.yaml")
    shipped = sorted((SHIPPED[0].parents[1] / "baselines").glob("*.yaml"))
    options = {expanded(f"--config={path}", None) for path in shipped}
    assert options == {arm for arm in ablation.arms.values() if arm}
    assert ablation.arms[ablation.reference] == ()
    cells = plan(ablation).cells
    assert len({cell.key for cell in cells}) == (1 + len(shipped)) * ablation.folds


def test_two_baselines_run_to_a_table(small_config, tmp_path):
    shipped = Ablation.load("ablations/baselines.yaml")
    arms = {
        "gated": shipped.arms["gated"],
        "structured": shipped.arms["structured"],
        "logistic_regression": (
            *shipped.arms["logistic_regression"],
            "--estimator.init_args.looks=2",
            "--estimator.init_args.copies=2",
        ),
    }
    tiny = replace(
        shipped, base=small_config, arms=arms, common=("--trainer.max_epochs=1",), folds=None, replicates=20,
        reference="gated", contrasts=(("structured", "logistic_regression"),),
    )  # fmt: skip
    document = run(tiny, tmp_path / "out", fit_cell)
    assert {name: arm["status"] for name, arm in document["arms"].items()} == dict.fromkeys(arms, "done")
    assert document["pattern"] == "image+note+labs+codes"
    assert len(document["patterns"]) == 15
    for found in document["patterns"].values():
        assert all(arm["metrics"]["brier"]["value"] is not None for arm in found["arms"].values())
    assert all(arm["parameters"] > 0 for arm in document["arms"].values())
    assert {(row["arm"], row["reference"]) for row in document["differences"]} == {
        ("structured", "gated"), ("logistic_regression", "gated"), ("structured", "logistic_regression"),
    }  # fmt: skip


FORCED = {f"{name}_imputed" for name in ("mean", "regression", "gaussian", "vae", "diffusion")}


def test_arms_of_priors_that_must_impute_try_nothing_else(small_config):
    ablation = Ablation.load("ablations/priors.yaml")
    assert {name for name in ablation.arms if name.endswith("_imputed")} == FORCED
    assert {name for pair in ablation.contrasts for name in pair} >= FORCED
    for name in FORCED:
        module = parse(["-c", str(small_config), *ablation.arms[name]]).model
        ways = module.inference.of(module.prior_factory(8, 3, 3), incomplete=True)
        assert ways
        assert all(way.imputes for way in ways), name


def test_a_cell_that_must_put_the_mean_differs_from_none_where_something_is_missing(small_config, tmp_path):
    ablation = Ablation.load("ablations/priors.yaml")
    shorter, frames = ["--trainer.max_epochs=1", "--data.modalities=[labs,codes]"], {}
    for arm in ("none", "mean_imputed"):
        fit_cell(small_config, [*ablation.arms[arm], *shorter], tmp_path / arm, ("labs",))
        frames[arm] = pl.read_parquet(tmp_path / arm / "predictions.parquet")
    both = frames["none"].join(frames["mean_imputed"], on=["sample_id", "pattern"])
    moved = (both["p_0"] - both["p_0_right"]).abs()
    assert float(moved.filter(both["pattern"] == "labs").min()) > 0
    assert float(moved.filter(both["pattern"] == "labs+codes").min()) == 0  # those who have both


def test_a_file_that_is_no_part_of_a_configuration_is_named(tmp_path):
    (tmp_path / "list.yaml").write_text("- a\n")
    (tmp_path / "torn.yaml").write_text("a: [1\n")
    for name, said in (
        ("list.yaml", "sets no keys"),
        ("torn.yaml", "no readable YAML"),
        ("gone.yaml", "no such"),
    ):
        with pytest.raises(InputError, match=said):
            expanded(f"--config={name}", tmp_path / "ablation.yaml")
