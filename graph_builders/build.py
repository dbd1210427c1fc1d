"""Ontology + evidence -> a PyG HeteroData.

    concept -relation-> concept            the slice of the ontology, by default one edge type a relation
    concept -evidences-> observation       weight w, polarity p (index into ontology.recognise.POLARITIES)
    observation -of-> patient              one observation is one sample's one modality
    observation -in-> modality

Each edge type has its reverse, named rev_*, so that messages can pass both ways; between concepts a view can switch
that off. A "patient" node is one sample: one subject at one prediction time. Labels are no part of the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from jaxtyping import Int64
from torch import Tensor
from torch_geometric.data import HeteroData

from graph_builders.edge_types import edge_types
from graph_builders.evidence import Evidence
from graph_builders.slicing import slice_ontology
from graph_builders.values import edge_values, node_values
from graph_builders.view import View
from ontology.errors import InputError
from ontology.recognise import POLARITIES

if TYPE_CHECKING:
    from ontology import Ontology

EVIDENCES = ("concept", "evidences", "observation")
OF = ("observation", "of", "patient")
IN = ("observation", "in", "modality")


def build_graph(
    ontology: Ontology,
    evidence: Evidence,
    samples: pl.DataFrame,
    modalities: Sequence[str],
    view: View | None = None,
) -> HeteroData:
    """Build the graph of a cohort.

    Args:
        ontology: The ontology.
        evidence: What speaks for which concept. Its blinded concepts do not appear in the graph.
        samples: sample_id, and subject_id where there is one; each sample once.
        modalities: Names, in the order that gives the modality nodes their numbers.
        view: Which part of the ontology to keep; by default the closure over all relations.

    Returns:
        A graph that passes PyG's `validate()`: data["concept"].sctid and .depth [N],
        data["observation"].sample_id and .modality, data["patient"].sample_id and .subject_id. What the view left
        out is in `data.slice`.

    Raises:
        InputError: If the evidence names a concept, sample or modality that is not there, or the view a relation.
    """
    view = view or View()
    samples = samples.sort("sample_id")
    _check(ontology, evidence, samples, modalities)
    data = HeteroData()
    add_concepts(
        data, ontology, view, ontology.indices(evidence.concepts), ontology.indices(evidence.blinded)
    )
    number = pl.DataFrame({"modality": list(modalities), "m": np.arange(len(modalities))})
    assert evidence.observed is not None
    observed = evidence.observed.join(number, on="modality").sort("sample_id", "m")
    data["observation"].num_nodes = observed.height
    data["observation"].sample_id = tensor(observed["sample_id"].to_numpy())
    data["observation"].modality = tensor(observed["m"].to_numpy())
    data["patient"].num_nodes = samples.height
    for name in ("sample_id", "subject_id"):
        if name in samples.columns:
            data["patient"][name] = tensor(samples[name].to_numpy())
    data["modality"].num_nodes = len(modalities)
    link_evidence(data, evidence, modalities)
    rows = np.arange(observed.height)
    patient = np.searchsorted(samples["sample_id"].to_numpy(), observed["sample_id"].to_numpy())
    connect(data, OF, np.stack([rows, patient]))
    connect(data, IN, np.stack([rows, observed["m"].to_numpy()]))
    data.validate(raise_on_error=True)
    return data


def add_concepts(
    data: HeteroData,
    ontology: Ontology,
    view: View,
    seeds: np.ndarray[Any, np.dtype[np.int64]],
    blinded: np.ndarray[Any, np.dtype[np.int64]],
) -> None:
    """Add the slice of the ontology that a view keeps: the concept nodes and the edges between them.

    Args:
        data: The graph, changed in place.
        ontology: The ontology.
        view: Which part to keep, and as which edge types.
        seeds: Indices of the evidence's concepts.
        blinded: Indices of concepts that must not appear, -1 for those that are not in the ontology.

    Raises:
        InputError: If the view names a relation that the ontology lacks, or names that exclude each other.
    """
    view.check(ontology)
    part = slice_ontology(ontology, seeds, view, blinded[blinded >= 0])
    types = edge_types(ontology, view, part)
    report = {**part.report, **types.report}
    concepts = data["concept"]
    concepts.num_nodes = len(part.nodes)
    concepts.sctid, concepts.depth = tensor(ontology.sctids[part.nodes]), tensor(ontology.depth[part.nodes])
    columns = {"group": tensor(part.group)} if view.groups else {}
    if view.merge is not None:
        columns["relation"] = tensor(part.type)
    if view.values == "nodes":
        values = node_values(ontology, part)
        concepts.x_value, report["values"] = torch.from_numpy(values.table), values.report
    elif view.values == "edges":
        values = edge_values(ontology, part)
        columns["value"], report["values"] = torch.from_numpy(values.table), values.report
    for name, rows in types.rows.items():
        chosen = {column: value[torch.from_numpy(rows)] for column, value in columns.items()}
        ends = np.stack([part.source[rows], part.target[rows]])
        connect(data, ("concept", name, "concept"), ends, inverse=view.inverse, **chosen)
    data.slice = report


def link_evidence(data: HeteroData, evidence: Evidence, modalities: Sequence[str]) -> None:
    """Set the edges concept-evidences-observation from where each SCTID sits in the graph now.

    Evidence whose concept sits nowhere (a transform took the node out) gets no edge. Edges are in the order
    of the evidence, so they do not depend on how the concepts are numbered.

    Args:
        data: The graph, changed in place.
        evidence: The evidence.
        modalities: Names in the order of their numbers.
    """
    nodes = pl.DataFrame(
        {"concept": data["concept"].sctid.numpy(), "node": np.arange(data["concept"].num_nodes)}
    )
    seen = pl.DataFrame(
        {
            "sample_id": data["observation"].sample_id.numpy(),
            "m": data["observation"].modality.numpy(),
            "observation": np.arange(data["observation"].num_nodes),
        }
    )
    number = pl.DataFrame({"modality": list(modalities), "m": np.arange(len(modalities))})
    order = pl.DataFrame({"polarity": list(POLARITIES), "p": np.arange(len(POLARITIES))})
    parts = [
        merged.join(number, on="modality")
        .join(seen, on=["sample_id", "m"])
        .join(nodes, on="concept")
        .join(order, on="polarity")
        .sort("observation", "concept", "p")
        .select("node", "observation", "weight", "p")
        for merged in evidence.merged_parts()
    ]
    edges = pl.concat(parts)
    if not edges["observation"].is_sorted():  # the observations are not in the order of their samples
        edges = edges.sort("observation", maintain_order=True)
    ends = np.stack([edges["node"].to_numpy(), edges["observation"].to_numpy()])
    weight = torch.from_numpy(edges["weight"].to_numpy().copy())
    connect(data, EVIDENCES, ends, weight=weight, polarity=tensor(edges["p"].to_numpy()))


def _check(ontology: Ontology, evidence: Evidence, samples: pl.DataFrame, modalities: Sequence[str]) -> None:
    if len(set(modalities)) != len(modalities):
        raise InputError(f"a modality is named twice: {', '.join(modalities)}")
    if samples["sample_id"].n_unique() != samples.height:
        raise InputError("a sample occurs twice", column="sample_id", remedy="Give each sample_id once")
    unknown = evidence.concepts[ontology.indices(evidence.concepts) < 0]
    if len(unknown):
        raise InputError(
            f"the evidence names {len(unknown)} concepts that '{ontology.name}' lacks, such as {unknown[0]}",
            remedy="Collect the evidence with this ontology",
        )
    assert evidence.observed is not None
    strange = sorted(set(evidence.observed["modality"].unique()) - set(modalities))
    if strange:
        raise InputError(
            f"the evidence has the modality '{strange[0]}'",
            remedy=f"The graph's are: {', '.join(modalities)}",
        )
    lost = set(evidence.observed["sample_id"].unique()) - set(samples["sample_id"])
    if lost:
        raise InputError(
            f"{len(lost)} samples of the evidence are not among the samples, such as {min(lost)}"
        )


def connect(
    data: HeteroData,
    kind: tuple[str, str, str],
    ends: np.ndarray[Any, Any],
    *,
    inverse: bool = True,
    **attributes: Tensor,
) -> None:
    """Set the edges of a kind and, in the same order, of its reverse.

    Args:
        data: The graph.
        kind: Source type, relation, target type.
        ends: Sources and targets [2, E].
        inverse: Whether there is a reverse.
        attributes: Edge attributes [E, ...], for both directions.
    """
    source, relation, target = kind
    forward = data[kind]
    forward.edge_index = tensor(ends)
    for name, value in attributes.items():
        forward[name] = value
    if inverse:
        backward = data[(target, f"rev_{relation}", source)]
        backward.edge_index = forward.edge_index.flip(0).contiguous()
        for name, value in attributes.items():
            backward[name] = value.clone()


def tensor(array: np.ndarray[Any, Any]) -> Int64[Tensor, "*shape"]:
    """Give a tensor of int64 with its own memory.

    Args:
        array: Whole numbers.
    """
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.int64).copy())
