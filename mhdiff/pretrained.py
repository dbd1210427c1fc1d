"""A trained model as a folder to share, and back: `save_pretrained` and `from_pretrained` give the same bits.

config.yaml                  how model and readers are built; no path of the machine that trained it
model.safetensors            the weights
preprocess.json              what the readers learned from the training fold: vocabulary, means, columns
concept_graph.safetensors    the concepts and relations that the weights speak of
pretrained.json              task, classes, fingerprints of ontology, cohort and files
README.md                    the model card

The concept side is stored whole rather than as a recipe: weights belong to its nodes by number, and a recipe would need
the ontology's release and the code of that day to number them the same. It takes 16 bytes an edge and direction, 8 a
concept, and its features. What it holds of an ontology is under the ontology's licence, which the model card says.

Nothing is unpickled: only safetensors, YAML and JSON are read, and their checksums are compared. config.yaml names
classes, which are imported: load only folders of people whose code you would run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch_geometric.data import HeteroData

from graph_builders import ConceptGraph, PatientGraph
from mhdiff.encoders.preprocess import restore
from mhdiff.model_card import model_card
from mhdiff.training.cli import parse
from mhdiff.training.data import MultimodalData
from mhdiff.training.module import Diagnosis
from mhdiff.training.progress import quiet
from mhdiff.training.run import open_run
from mhdiff.training.spec import DataSpec
from ontology.errors import InputError
from ontology.files import atomic_directory, sha256

MARKER = "pretrained.json"
_FILES = ("config.yaml", "model.safetensors", "preprocess.json", "concept_graph.safetensors")
_PATHS = ("cohort", "graph", "ontology", "builtin", "embeddings")
_REMEDY = "Export it again: mhdiff export RUN --out DIR"


@dataclass(frozen=True)
class Pretrained:
    """A model that was loaded.

    Attributes:
        path: Its folder.
        module: The model, in evaluation mode.
        facts: What pretrained.json says.
        graph: The concepts and relations that it knows.
        strict_ontology: Whether a graph of another ontology is refused.
    """

    path: Path
    module: Diagnosis
    facts: dict[str, Any]
    graph: ConceptGraph
    strict_ontology: bool = True

    def check_graph(self, graph: PatientGraph) -> None:
        """Refuse a graph that was built from another ontology than the model was trained with.

        Args:
            graph: The graph of patients to diagnose.

        Raises:
            InputError: If it was, and `strict_ontology` does not say that it may.
        """
        mine, other = self.facts["ontology"], graph.meta["ontology"]
        if self.strict_ontology and mine["fingerprint"] != other["fingerprint"]:
            raise InputError(
                f"the model was trained with the ontology '{mine['name']}' ({mine['fingerprint'][:12]}), the graph "
                f"was built from '{other['name']}' ({other['fingerprint'][:12]})",
                path=self.path,
                remedy="Build the graph with that ontology, or load the model with strict_ontology=False: evidence "
                "is then taken for the concepts of the same identifier, and the rest is dropped",
            )

    def read(self, cohort: str | Path, graph: str | Path, split: str = "stored") -> MultimodalData:
        """Open a cohort for this model, read as the training fold was.

        Args:
            cohort: The cohort's folder.
            graph: The folder of the graph built from it.
            split: `stored`, `site:<name>` or `fold:<i>/<k>`.

        Returns:
            A data module that is set up. Evidence for concepts that the model does not know is dropped.

        Raises:
            InputError: If cohort, graph and model do not belong together.
        """
        self.check_graph(PatientGraph.open(graph))
        places = {"cohort": str(cohort), "graph": str(graph), "split": split, "null": "none"}
        data: MultimodalData = _parsed(self.path, **places).datamodule
        data.load_fitted(json.loads((self.path / "preprocess.json").read_text(encoding="utf-8")))
        data.setup()
        nodes = HeteroData()
        nodes["concept"].sctid = self.graph.node["sctid"]
        data.graph = replace(data.graph, data=nodes)  # evidence is laid on the model's nodes, by identifier
        data.spec = DataSpec(data.modalities, data.spec.inputs, data.spec.classes, self.graph)
        return data


def save_pretrained(run: str | Path, out: str | Path) -> Path:
    """Write a finished run as a folder to share.

    Args:
        run: The run's folder; its metrics.json, where there is one, goes into the model card.
        out: The folder to write; one that holds an older export is replaced.

    Returns:
        The folder.

    Raises:
        InputError: If the run cannot be opened or was trained from embeddings, or `out` holds something else.
    """
    run = Path(run)
    module, data = open_run(run)
    if data.stored is not None:
        raise InputError(
            "the run was trained from embeddings: without the encoders that wrote them it reads nothing",
            path=run,
            remedy="Train without data.embeddings, and export that run",
        )
    assert data.fitted is not None
    facts = json.loads((run / "run.json").read_text(encoding="utf-8"))
    measured = run / "metrics.json"
    metrics = json.loads(measured.read_text(encoding="utf-8")) if measured.is_file() else None
    graph = data.spec.graph
    document: dict[str, Any] = {
        "format": 1,
        **{key: facts[key] for key in ("task", "classes", "modalities", "parameters", "null", "versions")},
        "ontology": data.graph.meta["ontology"],
        "cohort": {"fingerprint": data.cohort.fingerprint, "kind": data.cohort.kind},
        "concept_graph": _shape(graph),
        "counts": list(data.spec.counts),  # losses of rare classes are built from them
    }
    with atomic_directory(out, marker=MARKER) as folder:
        (folder / "config.yaml").write_text(_config(run), encoding="utf-8")
        state = {"preprocessors": {m: p.state() for m, p in data.fitted.preprocessors.items()}}
        (folder / "preprocess.json").write_text(json.dumps(state, indent=1), encoding="utf-8")
        save_file({k: v.contiguous() for k, v in module.state_dict().items()}, folder / "model.safetensors")
        save_file(_tensors(graph), folder / "concept_graph.safetensors")
        for name in _FILES:
            (folder / name).chmod(0o644)  # safetensors writes files for their owner alone
        document["files"] = {
            name: {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)}
            for name in _FILES
        }
        card = model_card(document, facts, data.task.description, data.state()["splits"], metrics)
        (folder / "README.md").write_text(card, encoding="utf-8")
        (folder / MARKER).write_text(json.dumps(document, indent=1), encoding="utf-8")
    return Path(out)


def from_pretrained(
    path: str | Path, graph: PatientGraph | str | Path | None = None, strict_ontology: bool = True
) -> Pretrained:
    """Load a model that `save_pretrained` wrote.

    Args:
        path: Its folder, on this machine.
        graph: A graph of patients that it is going to be used on; it is checked and not kept.
        strict_ontology: Whether a graph of another ontology is refused, here and later.

    Raises:
        InputError: If the folder holds no model or one that was changed, or the graph is of another ontology.
    """
    quiet()
    folder = Path(path)
    facts = _facts(folder)
    concepts = _graph(folder, facts["concept_graph"])
    cli = _parsed(folder)
    module: Diagnosis = cli.model
    data: MultimodalData = cli.datamodule
    states = json.loads((folder / "preprocess.json").read_text(encoding="utf-8"))["preprocessors"]
    inputs = {m: restore(states[m], data.readers.get(m)).spec for m in facts["modalities"]}
    counts = tuple(facts.get("counts", ()))
    module.build(DataSpec(facts["modalities"], inputs, facts["classes"], concepts, counts))
    module.load_state_dict(load_file(folder / "model.safetensors"))
    module.eval()
    loaded = Pretrained(folder, module, facts, concepts, strict_ontology)
    if graph is not None:
        loaded.check_graph(graph if isinstance(graph, PatientGraph) else PatientGraph.open(graph))
    return loaded


def _facts(folder: Path) -> dict[str, Any]:
    """Read pretrained.json and compare the checksums."""
    if not (folder / MARKER).is_file():
        raise InputError("the folder holds no exported model", path=folder, remedy=_REMEDY)
    try:
        facts = dict(json.loads((folder / MARKER).read_text(encoding="utf-8")))
    except ValueError as error:
        raise InputError("the file is not JSON", path=folder / MARKER, remedy=_REMEDY) from error
    for name in _FILES:
        file = folder / name
        if not file.is_file() or sha256(file) != facts["files"][name]["sha256"]:
            raise InputError("the file is missing or was changed", path=file, remedy=_REMEDY)
    return facts


def _parsed(folder: Path, **data: str) -> Any:
    """Parse the stored configuration for this machine."""
    places = {"cohort": "", "graph": ""} | data
    options = [f"--data.{key}={value}" for key, value in places.items()]
    return parse(["--config", str(folder / "config.yaml"), *options])


def _config(run: Path) -> str:
    """Give the run's configuration without places and without what only this machine's training needs."""
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    kept = {key: config[key] for key in ("seed_everything", "model", "data") if key in config}
    kept["data"] = {key: value for key, value in kept["data"].items() if key not in _PATHS}
    kept["data"] |= {"cohort": "", "graph": ""}
    kept["trainer"] = {"accelerator": "cpu", "devices": 1}
    return yaml.safe_dump(kept, sort_keys=False)


def _shape(graph: ConceptGraph) -> dict[str, Any]:
    """Give the names in a concept graph, in the order in which networks are built from them."""
    return {
        "num_nodes": graph.num_nodes,
        "relations": list(graph.edge_index),
        "modalities": list(graph.modalities),
        "node": list(graph.node),
        "edge": {relation: list(known) for relation, known in graph.edge.items()},
    }


def _tensors(graph: ConceptGraph) -> dict[str, torch.Tensor]:
    tensors = {f"edge_index/{relation}": ends for relation, ends in graph.edge_index.items()}
    tensors |= {f"node/{name}": value for name, value in graph.node.items()}
    tensors |= {
        f"edge/{relation}/{name}": value
        for relation, known in graph.edge.items()
        for name, value in known.items()
    }
    return {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}


def _graph(folder: Path, shape: dict[str, Any]) -> ConceptGraph:
    try:
        tensors = load_file(folder / "concept_graph.safetensors")
    except SafetensorError as error:
        raise InputError(
            "the concept graph cannot be read", path=folder / "concept_graph.safetensors", remedy=_REMEDY
        ) from error
    return ConceptGraph(
        shape["num_nodes"],
        {relation: tensors[f"edge_index/{relation}"] for relation in shape["relations"]},
        tuple(shape["modalities"]),
        {name: tensors[f"node/{name}"] for name in shape["node"]},
        {
            relation: {name: tensors[f"edge/{relation}/{name}"] for name in names}
            for relation, names in shape["edge"].items()
        },
    )
