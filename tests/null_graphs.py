"""Graphs to make null graphs of, and what has to hold of them, by scipy alone."""

from __future__ import annotations

import numpy as np
import polars as pl
import torch
from scipy import sparse
from scipy.sparse.csgraph import connected_components, dijkstra

from graph_builders import Evidence, PatientGraph, build_ontology_graph
from graph_builders.build import connect, link_evidence

EVIDENCES = ("concept", "evidences", "observation")
MODALITIES = ("note", "labs", "codes")
POLARITIES = ["present", "absent", "uncertain"]


def evidence_table(concepts, samples, seed=0, most=8, spread=4):
    """Draw evidence of 0 to `most` concepts for each sample and modality; some modalities are not observed."""
    rng = np.random.default_rng(seed)
    rows, observed = [], []
    popular = rng.permutation(concepts)
    for sample in range(samples):
        for modality in MODALITIES:
            if rng.random() < 0.2:
                continue
            observed.append((sample, modality))
            # Long-tailed, as codes are: the first concepts turn up again and again.
            place = np.minimum(rng.pareto(0.7, rng.integers(0, most + 1)) * spread, len(popular) - 1).astype(
                int
            )
            for concept in np.unique(popular[place]).tolist():
                polarity = POLARITIES[rng.choice(3, p=[0.7, 0.2, 0.1])]
                weight = float(rng.choice([0.5, 1.0]))
                rows.append((sample, modality, concept, polarity, weight, "CODE", f"patient {sample}"))
    columns = ["sample_id", "modality", "concept", "polarity", "weight", "source", "text"]
    seen = pl.DataFrame(observed, ["sample_id", "modality"], orient="row")
    return Evidence(pl.DataFrame(rows, columns, orient="row"), observed=seen)


def patient_graph(ontology, samples=60, seed=0):
    """The graph of made-up evidence of an ontology's leaves."""
    leaves = ontology.sctids[np.diff(ontology.child_links.indptr) == 0]
    people = pl.DataFrame({"sample_id": range(samples), "subject_id": range(samples)})
    return PatientGraph.build(ontology, evidence_table(leaves, samples, seed), people, MODALITIES)


def split_of(samples):
    """Three of five to train, one to tune, one held out, by sample id."""
    names = np.array(["train", "train", "train", "tuning", "held_out"])[np.arange(samples) % 5]
    return {name: np.flatnonzero(names == name).tolist() for name in np.unique(names).tolist()}


def with_features(data):
    """Give the graph node features of the concept and of its place, each row telling its node."""
    count = data["concept"].num_nodes
    number = torch.arange(count, dtype=torch.float32)[:, None]
    data["concept"].x_term = number.clone()
    data["concept"].x_value = -number
    data["concept"].x_laplacian = number.repeat(1, 2)
    data["concept"].x_depth = data["concept"].depth.float()[:, None]
    return data


def stated(data):
    return [
        kind for kind in data.edge_types if kind[0] == kind[2] == "concept" and not kind[1].startswith("rev_")
    ]


def keys(data, kind):
    source, target = data[kind].edge_index.numpy()
    return source * data["concept"].num_nodes + target


def is_a_links(data):
    count = data["concept"].num_nodes
    child, parent = data["concept", "is_a", "concept"].edge_index.numpy()
    return sparse.csr_array((np.ones(len(child)), (child, parent)), shape=(count, count))


def is_acyclic(links):
    loops = links.diagonal().any()
    return not loops and connected_components(links, directed=True, connection="strong")[0] == links.shape[0]


def depth_below_roots(links):
    """Shortest distance of each node from a node without parents, inf where none is above."""
    count = links.shape[0]
    roots = np.flatnonzero(np.diff(links.indptr) == 0)
    down = links.T.tocoo()
    rows = np.r_[down.coords[0], np.full(len(roots), count)]
    columns = np.r_[down.coords[1], roots]
    whole = sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(count + 1, count + 1))
    return dijkstra(whole, indices=count, unweighted=True)[:count] - 1


def check_reverse(data):
    for kind in stated(data):
        back = data[kind[2], f"rev_{kind[1]}", kind[0]]
        assert torch.equal(back.edge_index, data[kind].edge_index.flip(0)), kind


def check_untouched(data, before):
    """Nothing of a graph changed since `snapshot`."""
    assert snapshot(data).keys() == before.keys()
    for name, value in snapshot(data).items():
        assert torch.equal(value, before[name]), name


def snapshot(data):
    return {
        f"{kind}/{name}": value.clone()
        for kind in (*data.node_types, *data.edge_types)
        for name, value in data[kind].items()
        if isinstance(value, torch.Tensor)
    }


def check_rewired(data, null):
    """Everything that rewiring keeps."""
    count = data["concept"].num_nodes
    for kind in stated(data):
        (s0, t0), (s1, t1) = data[kind].edge_index.numpy(), null[kind].edge_index.numpy()
        assert np.array_equal(s0, s1)
        assert np.array_equal(np.bincount(t0, minlength=count), np.bincount(t1, minlength=count))
        assert (s1 == t1).sum() <= (s0 == t0).sum()
        assert len(np.unique(keys(null, kind))) >= len(np.unique(keys(data, kind)))
        assert {n for n in data[kind]} == {n for n in null[kind]}
        assert all(torch.equal(v, null[kind][n]) for n, v in data[kind].items() if n != "edge_index")
    check_reverse(null)
    before, after = is_a_links(data), is_a_links(null)
    assert is_acyclic(before)
    assert is_acyclic(after)
    depth = depth_below_roots(before)
    assert np.array_equal(depth, depth_below_roots(after))
    for one in (0, 1):  # how many parents, and how many children, each concept has at each depth
        found = []
        for graph in (data, null):
            ends = graph["concept", "is_a", "concept"].edge_index.numpy()
            code = ends[one] * (count + 1) + np.nan_to_num(depth[ends[1 - one]], posinf=count).astype(int)
            found.append(np.sort(code))
        assert np.array_equal(*found)
    evidence_kept(data, null)


def evidence_kept(data, null):
    assert torch.equal(data["concept"].sctid, null["concept"].sctid)
    assert torch.equal(data["concept"].depth, null["concept"].depth)
    for kind in data.edge_types:
        if not kind[0] == kind[2] == "concept":
            assert all(torch.equal(value, null[kind][name]) for name, value in data[kind].items()), kind


def changed(data, null):
    """Share of edges that are not in the real graph, by relation."""
    return {kind[1]: float((~np.isin(keys(null, kind), keys(data, kind))).mean()) for kind in stated(data)}


def whole_graph(ontology, samples, most=50):
    """Every concept of an ontology, with made-up evidence of `samples` patients."""
    data = build_ontology_graph(ontology)
    leaves = ontology.sctids[np.diff(ontology.child_links.indptr) == 0]
    evidence = evidence_table(leaves, samples, most=most, spread=300)
    number = {modality: place for place, modality in enumerate(MODALITIES)}
    observed = evidence.observed
    data["observation"].num_nodes = observed.height
    data["observation"].sample_id = torch.tensor(observed["sample_id"].to_list())
    modality = torch.tensor([number[name] for name in observed["modality"]])
    data["observation"].modality = modality
    data["patient"].num_nodes, data["modality"].num_nodes = samples, len(MODALITIES)
    rows = np.arange(observed.height)
    connect(data, ("observation", "of", "patient"), np.stack([rows, observed["sample_id"].to_numpy()]))
    connect(data, ("observation", "in", "modality"), np.stack([rows, modality.numpy()]))
    link_evidence(data, evidence, MODALITIES)
    people = pl.DataFrame({"sample_id": range(samples), "subject_id": range(samples)})
    meta = {"modalities": list(MODALITIES), "transforms": []}
    return PatientGraph(data, evidence, people, meta)
