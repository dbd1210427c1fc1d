"""A model given away and taken back: the same bits, no other ontology, nothing of this machine, nothing pickled."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import polars as pl
import pytest
import torch
import yaml

from graph_builders import PatientGraph
from mhdiff.cli import main
from mhdiff.config import find
from mhdiff.inference import Inference, Way
from mhdiff.pretrained import from_pretrained
from mhdiff.training.data import MultimodalData
from mhdiff.training.run import open_run, predict, predict_run
from ontology.errors import InputError


@pytest.fixture(scope="module")
def exported(small_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("exported") / "model"
    assert main(["export", str(small_run), "--out", str(out)]) == 0
    return out


def test_weights_graph_and_predictions_come_back_to_the_bit(small_run, small_data, exported):
    module, data = open_run(small_run)
    model = from_pretrained(exported, graph=small_data / "graph")
    for (name, mine), (other, given) in zip(
        model.module.state_dict().items(), module.state_dict().items(), strict=True
    ):
        assert name == other
        assert torch.equal(mine, given)
    known = data.spec.graph
    assert list(model.graph.edge_index) == list(known.edge_index)
    assert all(torch.equal(model.graph.edge_index[r], known.edge_index[r]) for r in known.edge_index)
    assert all(torch.equal(model.graph.node[n], known.node[n]) for n in known.node)
    read = model.read(small_data / "cohort", small_data / "graph")
    assert predict(model.module, read, ["held_out"]).equals(predict(module, data, ["held_out"]))


def test_an_export_of_what_was_loaded_is_the_same_file(small_run, exported, tmp_path):
    assert main(["export", str(small_run), "--out", str(tmp_path / "again")]) == 0
    for name in (
        "config.yaml",
        "task.yaml",
        "inference.json",
        "model.safetensors",
        "preprocess.json",
        "concept_graph.safetensors",
    ):
        assert (tmp_path / "again" / name).read_bytes() == (exported / name).read_bytes()


def test_a_graph_of_another_ontology_is_refused_unless_told(small_data, exported):
    graph = PatientGraph.open(small_data / "graph")
    other = replace(graph, meta={**graph.meta, "ontology": {"fingerprint": "f" * 64, "name": "another"}})
    with pytest.raises(InputError, match="'another'"):
        from_pretrained(exported, graph=other)
    model = from_pretrained(exported, graph=other, strict_ontology=False)
    model.check_graph(other)
    with pytest.raises(InputError, match="strict_ontology=False"):
        from_pretrained(exported).check_graph(other)


def test_evidence_is_laid_on_the_models_own_nodes(small_data, exported, monkeypatch, tmp_path):
    graph = PatientGraph.open(small_data / "graph")
    order = torch.arange(graph.data["concept"].num_nodes).flip(0)
    turned = graph.data.clone()
    turned["concept"].sctid = graph.data["concept"].sctid[order]
    model = from_pretrained(exported)
    plain = model.read(small_data / "cohort", small_data / "graph").dataset(["held_out"]).evidence.concept
    monkeypatch.setattr(PatientGraph, "open", classmethod(lambda cls, path, **k: replace(graph, data=turned)))
    moved = model.read(small_data / "cohort", small_data / "graph").dataset(["held_out"]).evidence.concept
    assert torch.equal(plain, moved)  # another numbering of the same concepts changes nothing


def test_the_folder_names_no_place_and_no_patient(exported, small_data):
    text = "".join(f.read_text() for f in exported.iterdir() if f.suffix in (".yaml", ".json", ".md"))
    assert str(small_data.parent) not in text
    assert "/home" not in text
    assert {f.suffix for f in exported.iterdir()} == {".yaml", ".json", ".md", ".safetensors"}
    card = (exported / "README.md").read_text()
    for needed in (
        "not a medical device",
        "medical advice",
        "ontology",
        "licence",
        "held_out",
        "from_pretrained",
    ):
        assert needed in card


def test_the_card_has_figures_with_n_and_intervals_where_there_are_some(small_run, tmp_path):
    run = shutil.copytree(small_run, tmp_path / "run")
    (run / "metrics.json").unlink(missing_ok=True)
    assert main(["export", str(run), "--out", str(tmp_path / "bare")]) == 0
    assert "nothing is known" in (tmp_path / "bare" / "README.md").read_text()
    assert main(["evaluate", str(run), "--replicates", "20"]) == 0
    assert main(["export", str(run), "--out", str(tmp_path / "bare")]) == 0
    card = (tmp_path / "bare" / "README.md").read_text()
    brier = json.loads((run / "metrics.json").read_text())["patterns"]["image+note"]["metrics"]["brier"]
    assert f"{brier['value']:.3f} ({brier['low']:.3f} to {brier['high']:.3f})" in card
    assert "On 18 held-out patients" in card


@pytest.mark.parametrize(
    "name",
    [
        "model.safetensors",
        "config.yaml",
        "task.yaml",
        "inference.json",
        "preprocess.json",
        "concept_graph.safetensors",
    ],
)
def test_a_changed_or_missing_file_is_refused(exported, tmp_path, name):
    spoilt = shutil.copytree(exported, tmp_path / "spoilt")
    (spoilt / name).write_bytes((spoilt / name).read_bytes() + b" ")
    with pytest.raises(InputError, match="changed"):
        from_pretrained(spoilt)
    (spoilt / name).unlink()
    with pytest.raises(InputError, match="missing"):
        from_pretrained(spoilt)
    with pytest.raises(InputError, match="no exported model"):
        from_pretrained(tmp_path)


def test_what_is_loaded_diagnoses_as_the_run_did(small_run, small_data, tmp_path):
    """The card's figures are of the way that was settled, and so is what the card's own lines give."""
    run = shutil.copytree(small_run, tmp_path / "run")
    (run / "predictions.parquet").unlink(missing_ok=True)
    chosen = Inference(Way(time=0.3, temperature=2.0), Way(draws=2, steps=2, temperature=1.5), seed=3)
    text = (run / "inference.json").read_text() if (run / "inference.json").is_file() else "{}"
    (run / "inference.json").write_text(json.dumps(json.loads(text) | {"chosen": chosen.as_dict()}))
    assert main(["export", str(run), "--out", str(tmp_path / "model")]) == 0
    model = from_pretrained(tmp_path / "model")
    assert model.inference == chosen
    read = model.read(small_data / "cohort", small_data / "graph")
    told = pl.read_parquet(predict_run(run))
    said = predict(model.module, read, inference=model.inference)
    assert said.equals(told.select(said.columns))  # what is stored has more beside it, such as sex and age
    assert not predict(model.module, read).equals(told.select(said.columns))
    assert "inference=model.inference" in (tmp_path / "model" / "README.md").read_text()


@pytest.mark.parametrize("content", ["[1]", "{}", '{"format": 1, "files": {}}', '{"format": 2}'])
def test_a_marker_that_says_something_else_is_refused(tmp_path, content):
    (tmp_path / "pretrained.json").write_text(content)
    with pytest.raises(InputError, match="format 2"):
        from_pretrained(tmp_path)


def test_a_cohort_of_held_out_patients_alone_can_be_read(small_data, exported, monkeypatch):
    from mhdiff.cohort.task import Task

    everyone = Task.samples
    monkeypatch.setattr(
        Task, "samples", lambda self, cohort: everyone(self, cohort).with_columns(split=pl.lit("held_out"))
    )
    model = from_pretrained(exported)
    read = model.read(small_data / "cohort", small_data / "graph")
    assert predict(model.module, read, ["held_out"]).height
    fresh = MultimodalData(str(small_data / "cohort"), str(small_data / "graph"), "pneumonia")
    with pytest.raises(InputError, match="no sample to train on"):
        fresh.setup()


def test_an_export_with_pretrained_parts_and_a_task_of_ones_own_works_on_another_machine(
    small_config, small_data, tmp_path
):
    from transformers import BertConfig, BertModel, BertTokenizerFast, ResNetConfig, ResNetModel

    mine = tmp_path / "mine"
    mine.mkdir()
    torch.manual_seed(0)
    sizes = {"embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 1], "layer_type": "basic"}
    ResNetModel(ResNetConfig(**sizes)).save_pretrained(mine / "resnet")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "fever", "cough", "a", "b", "c"]
    (mine / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(vocab=str(mine / "vocab.txt")).save_pretrained(mine / "bert")
    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    BertModel(BertConfig(vocab_size=len(words), **small)).save_pretrained(mine / "bert")
    shutil.copy(find("tasks/pneumonia.yaml"), mine / "task.yaml")
    config = yaml.safe_load(small_config.read_text())
    for name, kind, path in (
        ("image", "image.PretrainedImage", "resnet"),
        ("note", "text.PretrainedText", "bert"),
    ):
        config["model"]["encoders"][name] = {
            "class_path": f"mhdiff.encoders.{kind}",
            "init_args": {"name_or_path": str(mine / path)},
        }
    config["data"]["text"] = {
        "class_path": "mhdiff.encoders.preprocess_text.HubText",
        "init_args": {"name_or_path": str(mine / "bert"), "max_length": 64},
    }
    config["data"]["task"] = str(mine / "task.yaml")
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    fit = ["fit", "-c", str(tmp_path / "c.yaml"), "--trainer.max_epochs=1", "--out", str(tmp_path / "run")]
    assert main(fit) == 0
    told = pl.read_parquet(predict_run(tmp_path / "run"))
    assert main(["export", str(tmp_path / "run"), "--out", str(tmp_path / "model")]) == 0
    text = "".join(
        f.read_text()
        for f in (tmp_path / "model").rglob("*")
        if f.suffix in (".yaml", ".json", ".md", ".txt")
    )
    assert str(tmp_path) not in text
    shutil.rmtree(mine)
    shutil.rmtree(tmp_path / "run")
    elsewhere = shutil.move(tmp_path / "model", tmp_path / "elsewhere")
    model = from_pretrained(elsewhere)
    read = model.read(small_data / "cohort", small_data / "graph")
    said = predict(model.module, read, inference=model.inference)
    assert said.equals(told.select(said.columns))
