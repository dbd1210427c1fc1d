"""Ontology + evidence -> a PyG HeteroData.

    concept -relation-> concept            the slice of the ontology, one edge type a relation
    concept -evidences-> observation       weight w, polarity p (index into ontology.recognise.POLARITIES)
    observation -of-> patient              one observation is one sample's one modality
    observation -in-> modality

Each edge type has its reverse, named rev_*, so that messages can pass both ways. A "patient" node is one
sample: one subject at one prediction time. Labels are no part of the graph.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from jaxtyping import Int64
from torch import Tensor
from torch_geometric.data import HeteroData

from graph_builders.evidence import Evidence
from graph_builders.view import View, slice_ontology
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
        data["observation"].sample_id and .modality, data["patient"].sample_id and .subject_id.

    Raises:
        InputError: If the evidence names a concept, sample or modality that is not there.
    """
    view = view or View()
    samples = samples.sort("sample_id")
    _check(ontology, evidence, samples, modalities)
    seeds = ontology.indices(evidence.concepts)
    hidden = ontology.indices(evidence.blinded)
    part = slice_ontology(ontology, seeds, view, hidden[hidden >= 0])

    data = HeteroData()
    data["concept"].num_nodes = len(part.nodes)
    data["concept"].sctid = tensor(ontology.sctids[part.nodes])
    data["concept"].depth = tensor(ontology.depth[part.nodes])
    for kind, name in relation_slugs(ontology).items():
        chosen = part.type == kind
        if chosen.any():
            connect(data, ("concept", name, "concept"), np.stack([part.source[chosen], part.target[chosen]]))

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
    edges = (
        evidence.merged.join(number, on="modality")
        .join(seen, on=["sample_id", "m"])
        .join(nodes, on="concept")
        .join(order, on="polarity")
        .sort("observation", "concept", "p")
    )
    ends = np.stack([edges["node"].to_numpy(), edges["observation"].to_numpy()])
    weight = torch.from_numpy(edges["weight"].to_numpy().copy())
    connect(data, EVIDENCES, ends, weight=weight, polarity=tensor(edges["p"].to_numpy()))


def relation_slugs(ontology: Ontology) -> dict[int, str]:
    """Give each relation type a name fit for an edge type ("finding site" -> finding_site), each another one.

    Args:
        ontology: The ontology.
    """
    names: dict[int, str] = {}
    for kind, sctid in enumerate(ontology.relation_types):
        name = re.sub(r"[^a-z0-9]+", "_", ontology.relation_name(int(sctid)).lower()).strip("_")
        if not name or name in names.values() or name.startswith("rev_"):
            name = f"{name or 'relation'}_{int(sctid)}".removeprefix("rev_")
        names[kind] = name
    return names


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
    data: HeteroData, kind: tuple[str, str, str], ends: np.ndarray[Any, Any], **attributes: Tensor
) -> None:
    """Set the edges of a kind and, in the same order, of its reverse.

    Args:
        data: The graph.
        kind: Source type, relation, target type.
        ends: Sources and targets [2, E].
        attributes: Edge attributes [E], for both directions.
    """
    source, relation, target = kind
    forward, backward = data[kind], data[(target, f"rev_{relation}", source)]
    forward.edge_index = tensor(ends)
    backward.edge_index = forward.edge_index.flip(0).contiguous()
    for name, value in attributes.items():
        forward[name], backward[name] = value, value.clone()


def tensor(array: np.ndarray[Any, Any]) -> Int64[Tensor, "*shape"]:
    """Give a tensor of int64 with its own memory.

    Args:
        array: Whole numbers.
    """
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.int64).copy())
