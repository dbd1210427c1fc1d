"""A trained model as a folder to share, and back: `save_pretrained` and `from_pretrained` give the same bits.

config.yaml                  how model and readers are built; no path of the machine that trained it
task.yaml                    what is predicted, from which events, and what is blinded
inference.json               how patients are diagnosed, as the tuning split decided: the card's figures are by this
model.safetensors            the weights
preprocess.json              what the readers learned from the training fold: vocabulary, means, columns
concept_graph.safetensors    the concepts and relations that the weights speak of
encoders/<modality>/         architecture of a pretrained encoder, whose weights are in model.safetensors
tokenizers/<modality>/       its tokenizer
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
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch_geometric.data import HeteroData

from graph_builders import ConceptGraph, PatientGraph
from mhdiff.cohort.task import task_file
from mhdiff.encoders.hub import write_architecture
from mhdiff.encoders.preprocess import restore
from mhdiff.encoders.preprocess_text import HubText
from mhdiff.evaluate.patterns import all_patterns
from mhdiff.inference import Inference
from mhdiff.model_card import model_card
from mhdiff.training.announce import warn
from mhdiff.training.cli import parse
from mhdiff.training.data import MultimodalData
from mhdiff.training.module import Diagnosis
from mhdiff.training.progress import quiet
from mhdiff.training.run import open_run
from mhdiff.training.settle import settled
from mhdiff.training.spec import DataSpec
from mhdiff.training.weights import load_weights
from ontology.errors import InputError
from ontology.files import atomic_directory, checked, sha256

MARKER = "pretrained.json"
FORMAT = 2
_FILES = (
    "config.yaml",
    "task.yaml",
    "model.safetensors",
    "inference.json",
    "preprocess.json",
    "concept_graph.safetensors",
)
_NEEDED = ("format", "files", "task", "classes", "modalities", "ontology", "concept_graph")
_PATHS = ("cohort", "graph", "ontology", "builtin", "embeddings", "image_cache", "image_cache_gib")
_REMEDY = "Export it again: mhdiff export RUN --out DIR"


@dataclass(frozen=True)
class Pretrained:
    """A model that was loaded.

    Attributes:
        path: Its folder.
        module: The model, in evaluation mode.
        facts: What pretrained.json says.
        graph: The concepts and relations that it knows.
        inference: How it diagnoses, see `mhdiff.inference`: for `mhdiff.training.run.predict`.
        strict_ontology: Whether a graph of another ontology is refused.
    """

    path: Path
    module: Diagnosis
    facts: dict[str, Any]
    graph: ConceptGraph
    inference: Inference
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

    def read(
        self, cohort: str | Path, graph: str | Path, split: str = "stored", ontology: str | Path | None = None
    ) -> MultimodalData:
        """Open a cohort for this model, read as the training fold was.

        Args:
            cohort: The cohort's folder.
            graph: The folder of the graph built from it.
            split: `stored`, `site:<name>`, `after:<date>` or `fold:<i>/<k>`.
            ontology: The ontology's folder, for models whose codes are rolled up.

        Returns:
            A data module that is set up. Evidence for concepts that the model does not know is dropped.

        Raises:
            InputError: If cohort, graph and model do not belong together.
        """
        self.check_graph(PatientGraph.open(graph))
        places = {"cohort": str(cohort), "graph": str(graph), "split": split, "null": "none"}
        if ontology is not None:
            places["ontology"] = str(ontology)
        data: MultimodalData = _parsed(self.path, **places).datamodule
        data.load_fitted(_read(self.path))
        data.setup()
        warn(data)
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
        "format": FORMAT,
        **{key: facts[key] for key in ("task", "classes", "modalities", "parameters", "null", "versions")},
        "ontology": data.graph.meta["ontology"],
        "cohort": {"fingerprint": data.cohort.fingerprint, "kind": data.cohort.kind},
        "concept_graph": _shape(graph),
        "counts": list(data.spec.counts),  # losses of rare classes are built from them
    }
    inference = settled(run, module, data, all_patterns(data.offered))
    with atomic_directory(out, marker=MARKER) as folder:
        config = _config(run)
        states = {m: p.state() for m, p in data.fitted.preprocessors.items()}
        _ship_pretrained(folder, module, data, config, states)
        (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        (folder / "task.yaml").write_text(_task(data.task_name), encoding="utf-8")
        (folder / "inference.json").write_text(json.dumps(inference.as_dict(), indent=1), encoding="utf-8")
        tables = None if data.analytes is None else data.analytes.state()
        readers = json.dumps({"preprocessors": states, "analytes": tables}, indent=1)
        (folder / "preprocess.json").write_text(readers, encoding="utf-8")
        save_file({k: v.contiguous() for k, v in module.state_dict().items()}, folder / "model.safetensors")
        save_file(_tensors(graph), folder / "concept_graph.safetensors")
        document["files"] = checked(folder)
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
    inference = _inference(folder)
    cli = _parsed(folder)
    module: Diagnosis = cli.model
    data: MultimodalData = cli.datamodule
    states = _read(folder)["preprocessors"]
    inputs = {m: restore(states[m], data.readers.get(m)).spec for m in facts["modalities"]}
    counts = tuple(facts.get("counts", ()))
    module.build(DataSpec(facts["modalities"], inputs, facts["classes"], concepts, counts))
    load_weights(module, folder / "model.safetensors")
    module.eval()
    loaded = Pretrained(folder, module, facts, concepts, inference, strict_ontology)
    if graph is not None:
        loaded.check_graph(graph if isinstance(graph, PatientGraph) else PatientGraph.open(graph))
    return loaded


def _facts(folder: Path) -> dict[str, Any]:
    """Read pretrained.json and compare the checksums."""
    if not (folder / MARKER).is_file():
        raise InputError("the folder holds no exported model", path=folder, remedy=_REMEDY)
    try:
        facts = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError("the file is not JSON", path=folder / MARKER, remedy=_REMEDY) from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT or any(k not in facts for k in _NEEDED):
        raise InputError(
            f"the file describes no exported model of format {FORMAT}", path=folder / MARKER, remedy=_REMEDY
        )
    for name in sorted({*_FILES, *facts["files"]}):
        file = folder / name
        if not file.is_file() or sha256(file) != facts["files"].get(name, {}).get("sha256"):
            raise InputError("the file is missing or was changed", path=file, remedy=_REMEDY)
    return facts


def _parsed(folder: Path, **data: str) -> Any:
    """Parse the stored configuration for this machine."""
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    config["data"] |= {"cohort": "", "graph": "", "task": str(folder / "task.yaml")} | data
    for part in _named(config):
        if (folder / part["name_or_path"]).is_dir():
            part["name_or_path"] = str(folder / part["name_or_path"])
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "config.yaml"
        path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        return parse(["--config", str(path)])


def _read(folder: Path) -> dict[str, Any]:
    """Read what the readers learned, with the places that files have on this machine."""
    held: dict[str, Any] = json.loads((folder / "preprocess.json").read_text(encoding="utf-8"))
    for state in _named(held["preprocessors"]):
        if (folder / state["name_or_path"]).is_dir():
            state["name_or_path"] = str(folder / state["name_or_path"])
    return held


def _task(name: str) -> str:
    """Give a task's file without the table of analytes that it names, which lies with the readers."""
    text = task_file(name).read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    if content.pop("analytes", None) is None:
        return text
    told: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    return told


def _inference(folder: Path) -> Inference:
    return Inference.from_dict(json.loads((folder / "inference.json").read_text(encoding="utf-8")))


def _config(run: Path) -> dict[str, Any]:
    """Give the run's configuration without places and without what only this machine's training needs."""
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    kept = {key: config[key] for key in ("seed_everything", "model", "data") if key in config}
    kept["data"] = {key: value for key, value in kept["data"].items() if key not in _PATHS}
    kept["data"] |= {"cohort": "", "graph": "", "task": "task.yaml"}
    kept["trainer"] = {"accelerator": "cpu", "devices": 1}
    return kept


def _ship_pretrained(
    folder: Path, module: Diagnosis, data: MultimodalData, config: dict[str, Any], states: dict[str, Any]
) -> None:
    """Put architectures and tokenizers of pretrained parts into the folder, and name those instead of the originals."""
    from transformers import PreTrainedModel

    for name, encoder in module.net.encoders.items():
        networks = [part for part in encoder.modules() if isinstance(part, PreTrainedModel)]
        parts = _named(config["model"]["encoders"].get(name))
        if networks and parts:
            write_architecture(networks[0], folder / "encoders" / name)
            for part in parts:
                part["name_or_path"] = f"encoders/{name}"
    assert data.fitted is not None
    shipped: dict[str, str] = {}
    for name, reader in data.fitted.preprocessors.items():
        if isinstance(reader, HubText):
            reader.tokenizer.save_pretrained(folder / "tokenizers" / name)
            shipped[reader.name_or_path] = states[name]["name_or_path"] = f"tokenizers/{name}"
    for part in _named(config["data"]):
        part["name_or_path"] = shipped.get(part["name_or_path"], part["name_or_path"])


def _named(tree: Any) -> list[dict[str, Any]]:
    """Find the mappings in a configuration that name a pretrained model."""
    if isinstance(tree, list):
        return [found for value in tree for found in _named(value)]
    if not isinstance(tree, dict):
        return []
    here = [tree] if isinstance(tree.get("name_or_path"), str) else []
    return here + [found for value in tree.values() for found in _named(value)]


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
