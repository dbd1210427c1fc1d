"""Layers of PyTorch Geometric swapped in YAML and trained through the real command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from mhdiff.cli import main
from mhdiff.training.cli import parse, saved_config

PYG = "torch_geometric.nn."
#: What stands under `conv:` -> whether its round is by relation, by number of relations or by metadata.
LAYERS = {
    "SAGEConv": {},
    "GATConv": {"heads": 2, "concat": False},
    "GATv2Conv": {"heads": 2, "concat": False},
    "GraphConv": {},
    "GCNConv": {"add_self_loops": False},
    "TransformerConv": {"heads": 2, "concat": False},
    "ResGatedGraphConv": {},
    "TAGConv": {"K": 2},
    "LEConv": {},
    "mhdiff.guidance.GIN": {"train_eps": True},
    "RGCNConv": {"num_bases": 2},
    "FastRGCNConv": {},
    "RGATConv": {"heads": 1},
    "FiLMConv": {},
    "HGTConv": {"heads": 2},
    "HANConv": {"heads": 2},
}


def written(config: Path, guidance: dict, tmp_path: Path) -> Path:
    settings = yaml.safe_load(config.read_text())
    settings["data"]["modalities"] = ["labs", "codes"]
    settings["trainer"] |= {"max_epochs": 1, "limit_train_batches": 2, "limit_val_batches": 1}
    settings["model"]["guidance"] = {"class_path": "mhdiff.guidance.MessagePassing", "init_args": guidance}
    path = tmp_path / "layer.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


#: One of each form; .ci/run tries all, and test_fit.py one with attention.
FEW = ("SAGEConv", "RGCNConv", "HGTConv")


@pytest.mark.parametrize(
    "layer", [layer if layer in FEW else pytest.param(layer, marks=pytest.mark.slow) for layer in LAYERS]
)
def test_a_layer_trains_from_yaml(layer, small_config, tmp_path):
    name = layer if "." in layer else PYG + layer
    guidance = {"layers": 2, "conv": {"class_path": name, "init_args": LAYERS[layer]}}
    out = tmp_path / "run"
    assert main(["fit", "-c", str(written(small_config, guidance, tmp_path)), "--out", str(out)]) == 0
    assert json.loads((out / "run.json").read_text())["finished"]
    again = parse(saved_config(out))  # what was saved is read again, whatever the layer's defaults are
    assert again.config["model"]["guidance"]["init_args"]["conv"]["class_path"] == name
    told = json.loads((out / "history.json").read_text())[-1]
    assert told["bias/magnitude"] > 0
    assert 0 <= told["bias/moved"] <= 1


@pytest.mark.parametrize(
    ("conv", "words"),
    [
        ({"class_path": PYG + "GINConv"}, "mhdiff.guidance.GIN"),
        ({"class_path": PYG + "GATConv", "init_args": {"heads": 4}}, "concat: false"),
        ({"class_path": PYG + "HGTConv", "init_args": {"heads": 3}}, "heads"),
        ({"class_path": "torch.nn.Linear"}, "MessagePassing"),
        ({"class_path": PYG + "RGCNConv", "init_args": {"num_base": 2}}, "num_base"),
    ],
)
def test_a_layer_that_does_not_fit_is_refused_with_what_would(conv, words, small_config, tmp_path, capsys):
    out = tmp_path / "run"
    try:
        code = main(["fit", "-c", str(written(small_config, {"conv": conv}, tmp_path)), "--out", str(out)])
    except SystemExit as error:
        code = error.code
    assert code == 2
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said


@pytest.mark.parametrize("guidance", ["Free", "Linked", "Similarity", "Distance", "NoGuidance"])
def test_every_guidance_trains_from_yaml(guidance, small_config, tmp_path):
    settings = yaml.safe_load(written(small_config, {}, tmp_path).read_text())
    settings["model"]["guidance"] = {"class_path": f"mhdiff.guidance.{guidance}"}
    settings["model"]["fusion"]["init_args"] |= {
        "lambda_per_head": False,
        "learn_lambda": guidance != "Linked",
    }
    path, out = tmp_path / "guidance.yaml", tmp_path / "run"
    path.write_text(yaml.safe_dump(settings))
    assert main(["fit", "-c", str(path), "--out", str(out)]) == 0
    told = json.loads((out / "history.json").read_text())[-1]
    assert ("bias/moved" in told) == (guidance != "NoGuidance")
    if guidance == "Linked":
        assert told["lambda"] == 1.0
