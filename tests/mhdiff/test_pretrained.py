"""A model given away and taken back: the same bits, no other ontology, nothing of this machine, nothing pickled."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
import torch

from graph_builders import PatientGraph
from mhdiff.cli import main
from mhdiff.pretrained import from_pretrained
from mhdiff.training.run import open_run, predict
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
    for name in ("config.yaml", "model.safetensors", "preprocess.json", "concept_graph.safetensors"):
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
    "name", ["model.safetensors", "config.yaml", "preprocess.json", "concept_graph.safetensors"]
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
