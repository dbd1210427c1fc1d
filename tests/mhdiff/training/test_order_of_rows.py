"""The order of a cohort's rows decides nothing: graph, training and predictions are the same to the last bit."""

from __future__ import annotations

import json
import shutil

import numpy as np
import polars as pl
import pytest
import yaml

from mhdiff.builtin import build_cohort_graph
from mhdiff.cli import main
from mhdiff.cohort import Cohort, Task
from mhdiff.cohort.splits import assign


def permuted(cohort, place):
    """The cohort with the rows of every table in another order: events, labels, splits, codes."""
    shutil.copytree(cohort, place)
    tables = sorted(path for path in place.rglob("*.parquet") if "truth" not in path.parts)
    moved = []
    for seed, path in enumerate(tables):
        frame = pl.read_parquet(path)
        mixed = frame.sample(fraction=1, shuffle=True, seed=seed)
        if not mixed.equals(frame):
            moved.append(path.relative_to(place).parts[0])
        mixed.write_parquet(path)
    assert {"data", "labels", "metadata"} <= set(moved)
    return place


@pytest.fixture(scope="module")
def mixed_cohort(small_data, tmp_path_factory):
    return permuted(small_data / "cohort", tmp_path_factory.mktemp("mixed") / "cohort")


@pytest.mark.parametrize(
    "how",
    ["stored", "site:{site}", "after:{date}", "fold:1/3", "nested:0/2:fold:1/3", "nested:1/2:site:{site}"],
)
def test_permuting_the_cohorts_rows_deals_the_same_splits(mixed_cohort, small_data, how):
    task, found = Task.load("pneumonia"), []
    for folder in (small_data / "cohort", mixed_cohort):
        cohort = Cohort.open(folder)
        samples = task.samples(cohort)
        given = how.format(site=min(samples["site"]), date=samples["prediction_time"].median().date())
        found.append(assign(samples, given, 4, groups=cohort.groups).sort("sample_id"))
    assert found[0]["split"].n_unique() > 1
    assert found[0].equals(found[1])


@pytest.mark.slow  # a graph and a training beside those that other tests share: 25 s
def test_permuting_the_cohorts_rows_before_training_changes_no_bit(
    small_run, small_data, mixed_cohort, tmp_path
):
    build_cohort_graph(small_data / "ontology", mixed_cohort, "pneumonia", tmp_path / "graph")
    config = yaml.safe_load((small_run / "config.yaml").read_text())
    config["data"] |= {"cohort": str(mixed_cohort), "graph": str(tmp_path / "graph")}
    config.pop("out", None)
    (tmp_path / "mixed.yaml").write_text(yaml.safe_dump(config))
    mixed = tmp_path / "run"
    assert main(["fit", "-c", str(tmp_path / "mixed.yaml"), "--out", str(mixed)]) == 0
    found = []
    for run in (small_run, mixed):
        assert main(["predict", str(run)]) == 0
        frame = pl.read_parquet(run / "predictions.parquet").sort("sample_id", "pattern")
        found.append((frame, json.loads((run / "preprocess.json").read_text())))
    (first, fitted), (second, again) = found
    assert fitted == again
    columns = [name for name in first.columns if name.startswith("p_")]
    np.testing.assert_array_equal(first.select(columns).to_numpy(), second.select(columns).to_numpy())
    assert first.equals(second)
