import networkx as nx
import numpy as np
import pytest
import torch
from toy_terminology import MODALITIES

from graph_builders import ConceptGraph, Evidence, build_graph, shortest_path
from graph_builders.paths import PathFinder


def test_a_path_tells_relation_and_direction(toy, samples):
    import polars as pl

    table = pl.DataFrame({"sample_id": [0, 0], "modality": "note", "concept": [5, 6]})
    data = build_graph(toy, Evidence(table), samples, MODALITIES)
    sctid = data["concept"].sctid.tolist()
    node = {s: i for i, s in enumerate(sctid)}
    found = shortest_path(data, node[10], node[7])
    assert [(sctid[s.node], s.relation, sctid[s.next_node], s.forward) for s in found] == [
        (10, "causative_agent", 5, False),
        (5, "is_a", 4, True),
        (4, "finding_site", 7, True),
    ]
    assert shortest_path(data, node[5], node[5]) == []


def test_paths_are_shortest_on_random_graphs():
    rng = np.random.default_rng(0)
    ends = {name: torch.from_numpy(rng.integers(0, 40, (2, 25))) for name in ("b", "a")}
    ends["rev_a"] = ends["a"].flip(0)
    finder, reference = PathFinder(ConceptGraph(40, ends)), nx.Graph()
    reference.add_nodes_from(range(40))
    reference.add_edges_from(edge for name in "ab" for edge in ends[name].T.tolist())
    stated = {(name, *edge) for name in "ab" for edge in ends[name].T.tolist()}
    for a, b in rng.integers(0, 40, (200, 2)):
        found = finder.path(int(a), int(b))
        if not nx.has_path(reference, int(a), int(b)):
            assert found is None
            continue
        assert len(found) == nx.shortest_path_length(reference, int(a), int(b))
        for step in found:
            pair = (step.node, step.next_node) if step.forward else (step.next_node, step.node)
            assert (step.relation, *pair) in stated
    with pytest.raises(IndexError):
        finder.path(0, 40)
