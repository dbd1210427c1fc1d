"""What is reached from what, against networkx and against the whole terminology's own figures."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graph_builders import ConceptGraph, build_ontology_graph
from graph_builders.hierarchy import information, longest_way_up
from graph_builders.reach import least, meet, meets, most, reach_around, reach_upward, way_up
from ontology import load_rf2
from ontology.ancestry import longest_depth
from ontology.builtin import write_rf2
from ontology.errors import InputError
from ontology.information import ic

COUNT = 14


@st.composite
def graphs(draw):
    """Any edges for two attribute relations, circles too, and an acyclic hierarchy."""
    node = st.integers(0, COUNT - 1)
    above = draw(st.lists(st.tuples(node, node).filter(lambda e: e[0] > e[1]), max_size=25, unique=True))
    other = st.lists(st.tuples(node, node).filter(lambda e: e[0] != e[1]), max_size=12, unique=True)
    edges = {}
    for name, ends in (("is_a", above), ("site", draw(other)), ("agent", draw(other))):
        index = torch.tensor(ends, dtype=torch.int64).reshape(-1, 2).t().contiguous()
        edges |= {name: index, f"rev_{name}": index.flip(0)}
    return ConceptGraph(COUNT, edges)


def directed(graph, relations=("is_a", "site", "agent")):
    found = nx.MultiDiGraph()
    found.add_nodes_from(range(graph.num_nodes))
    for name in relations:
        found.add_edges_from((s, t, name) for s, t in graph.edge_index[name].t().tolist())
    return found


def entries(reach):
    row = torch.repeat_interleave(torch.arange(reach.num_nodes), reach.above).tolist()
    return {(r, x): h for r, x, h in zip(row, reach.node.tolist(), reach.hops.tolist(), strict=True)}


@settings(deadline=None)
@given(graphs(), st.sampled_from([None, 0, 1, 2, 3]))
def test_upward_reach_is_that_of_networkx(graph, limit):
    wanted = {
        (a, x): hops
        for a, found in nx.all_pairs_shortest_path_length(directed(graph), cutoff=limit)
        for x, hops in found.items()
    }
    reach = reach_upward(graph, max_hops=limit)
    assert entries(reach) == wanted
    assert (reach.keys.diff() > 0).all()


@settings(deadline=None)
@given(graphs(), st.integers(0, 3))
def test_reach_around_is_a_ball(graph, hops):
    around = nx.all_pairs_shortest_path_length(directed(graph).to_undirected(), cutoff=hops)
    assert entries(reach_around(graph, hops)) == {(a, x): h for a, ball in around for x, h in ball.items()}


@settings(deadline=None)
@given(graphs())
def test_kind_is_the_first_relation_beside_the_hierarchy_on_the_way_that_is_kept(graph):
    reach, ways = reach_upward(graph), directed(graph)
    order = {name: i for i, name in enumerate(reach.relations)}
    assert reach.relations == ("is_a", "agent", "site")
    hops = entries(reach)
    row = torch.repeat_interleave(torch.arange(COUNT), reach.above).tolist()
    kind = dict(zip(hops, reach.kind.tolist(), strict=True))
    for a, x in zip(row, reach.node.tolist(), strict=True):
        told = {
            kind[a, y] or order[name]
            for y, _, name in ways.in_edges(x, keys=True)
            if hops.get((a, y), -9) == hops[a, x] - 1
        }
        assert kind[a, x] == min(told, default=0)
        steps = way_up(reach, graph, a, x)
        assert len(steps) == hops[a, x]
        assert [s for s, _, _ in steps] + [x] == [a] + [t for _, _, t in steps]
        assert all(ways.has_edge(s, t, key=r) for s, r, t in steps)
        assert next((order[r] for _, r, _ in steps if r != "is_a"), 0) == kind[a, x]


@settings(deadline=None)
@given(graphs(), st.integers(0, 4))
def test_pairs_meet_where_their_balls_do(graph, hops):
    a, b = (m.flatten() for m in torch.meshgrid(torch.arange(COUNT), torch.arange(COUNT), indexing="ij"))
    far, near = reach_around(graph, hops - hops // 2), reach_around(graph, hops // 2)
    found = meets(meet(far.start, far.node, near.keys, a, b), len(a))
    close = dict(nx.all_pairs_shortest_path_length(directed(graph).to_undirected(), cutoff=hops))
    assert found.tolist() == [y in close[x] for x, y in zip(a.tolist(), b.tolist(), strict=True)]


@settings(deadline=None)
@given(graphs())
def test_least_and_most_are_over_what_both_reach(graph):
    reach, ups = reach_upward(graph), dict(nx.all_pairs_shortest_path_length(directed(graph)))
    a, b = (m.flatten() for m in torch.meshgrid(torch.arange(COUNT), torch.arange(COUNT), indexing="ij"))
    shared = meet(reach.start, reach.node, reach.keys, a, b)
    steps = least(shared, reach.hops[shared.left] + reach.hops[shared.right], len(a), 99).tolist()
    worth = torch.arange(COUNT).float()
    highest = most(shared, worth[reach.node[shared.left]], len(a), -1.0).tolist()
    for x, y, one, other in zip(a.tolist(), b.tolist(), steps, highest, strict=True):
        both = set(ups[x]) & set(ups[y])
        assert one == min((ups[x][n] + ups[y][n] for n in both), default=99)
        assert other == max(both, default=-1)


def test_figures_of_a_whole_terminology_are_its_own(tmp_path):
    ontology = load_rf2(write_rf2(tmp_path / "builtin"))
    graph = ConceptGraph.from_data(build_ontology_graph(ontology))
    reach = reach_upward(graph, ["is_a"])
    for method in ("sanchez", "seco"):
        np.testing.assert_allclose(information(reach, method).numpy(), ic(ontology, method), atol=1e-5)
    assert longest_way_up(reach).tolist() == longest_depth(ontology).tolist()


def test_what_the_graph_lacks_is_said():
    graph = ConceptGraph(3, {"is_a": torch.tensor([[1], [0]]), "rev_is_a": torch.tensor([[0], [1]])})
    with pytest.raises(InputError, match="no relation 'site'"):
        reach_upward(graph, ["site"])
    with pytest.raises(InputError, match="hops"):
        reach_around(graph, -1)
    with pytest.raises(InputError, match="sanchez"):
        information(reach_upward(graph), "corpus")
    with pytest.raises(InputError, match="does not reach"):
        way_up(reach_upward(graph), graph, 0, 1)
