"""data.null from the command line: the control stands where the real graph stood, made from the training split."""

import json

import polars as pl
import pytest
import torch

from graph_builders import NULLS, PatientGraph
from mhdiff.cli import main
from mhdiff.training.cli import parse
from mhdiff.training.run import open_run


def module(config, *options):
    data = parse(["--config", str(config), *options]).datamodule
    data.setup()
    return data


@pytest.fixture(scope="module")
def real(small_config):
    return module(small_config)


@pytest.mark.parametrize("name", NULLS)
def test_every_null_is_chosen_by_its_name(name, small_config, real):
    data = module(small_config, f"--data.null={name}", "--data.null_seed=3")
    (done,) = data.graph.meta["transforms"]
    assert done == repr(data.control)
    assert data.null_facts["transform"] == str(data.control)
    assert json.loads(json.dumps(data.null_facts)) == data.null_facts
    assert data.spec.graph.num_nodes == real.spec.graph.num_nodes
    assert data.spec.graph.edge_index.keys() == real.spec.graph.edge_index.keys()
    tokens = [d.graph.tokens(d.samples["sample_id"].to_list(), d.modalities, 8) for d in (real, data)]
    assert torch.equal(tokens[0].concept >= 0, tokens[1].concept >= 0)
    moved = name in ("permuted", "shuffled")
    assert torch.equal(tokens[0].concept, tokens[1].concept) != moved


@pytest.mark.parametrize("name", ["cooccurrence", "shuffled"])
def test_what_is_learned_from_samples_comes_from_the_split_in_use(name, small_config):
    folds = [module(small_config, f"--data.null={name}", f"--data.split=fold:{i}/3") for i in range(2)]
    for data in folds:
        ids = {
            split: data.samples.filter(pl.col("split") == split)["sample_id"].to_list()
            for split in ("train", "tuning", "held_out")
        }
        if name == "cooccurrence":
            assert data.control.train.tolist() == ids["train"]
        else:
            assert {split: found.tolist() for split, found in data.control.split.items()} == ids
    assert folds[0].graph.fingerprint != folds[1].graph.fingerprint


def test_the_real_graph_has_no_transform(real, small_data):
    assert real.null_facts is None
    assert real.graph.fingerprint == PatientGraph.open(small_data / "graph").fingerprint


def test_a_run_on_a_null_graph_says_so_and_opens_on_the_same_one(small_config, tmp_path):
    options = ["--data.null=rewired", "--data.null_seed=4", "--data.modalities=[note,labs,codes]"]
    arguments = [*options, "--trainer.max_epochs=1", "--out", str(tmp_path / "run")]
    assert main(["fit", "-c", str(small_config), *arguments]) == 0
    told = json.loads((tmp_path / "run" / "run.json").read_text())["null"]
    assert told["transform"] == "Rewired(seed=4)"
    assert told["relations"]["is_a"]["changed"] > 0.3
    _, data = open_run(tmp_path / "run")
    again = module(small_config, *options)
    assert data.graph.fingerprint == again.graph.fingerprint


def test_an_unknown_null_is_refused_before_any_data_are_read(small_config, capsys):
    assert main(["fit", "-c", str(small_config), "--data.null=reversed", "--data.cohort=nowhere"]) == 2
    told = capsys.readouterr().err
    assert "there is no null graph 'reversed'" in told
    assert "none, permuted, rewired, random, cooccurrence, shuffled, severed" in told
