"""A batch's part of a graph, against PyG's k-hop subgraph, and the states that messages over it give."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.nn import SAGEConv
from torch_geometric.utils import k_hop_subgraph

from graph_builders import ConceptGraph
from graph_builders.csr import ConceptCSR, without_reverse
from graph_builders.cutting import cut
from ontology.errors import InputError


def random_graph(count, edges, seed):
    g = torch.Generator().manual_seed(seed)
    index, edge = {}, {}
    for name in ("is_a", "site", "none"):
        ends = torch.randint(0, count, (2, 0 if name == "none" else edges), generator=g)
        index |= {name: ends, f"rev_{name}": ends.flip(0)}
        edge |= {n: {"weight": torch.rand(ends.shape[1], generator=g)} for n in (name, f"rev_{name}")}
    node = {"sctid": torch.arange(count) * 10, "x_term": torch.randn(count, 3, generator=g)}
    return ConceptGraph(count, index, ("note",), node, edge)


def pairs(ends, nodes):
    return sorted(map(tuple, nodes[ends].t().tolist()))


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(0, 40), st.integers(0, 3), st.data())
def test_the_part_is_what_messages_come_from(seed, count, edges, hops, data):
    graph = random_graph(count, edges, seed)
    seeds = data.draw(st.lists(st.integers(-1, count - 1), max_size=6))
    part = cut(ConceptCSR.of(graph), torch.tensor(seeds, dtype=torch.int64), hops)
    start = torch.tensor([s for s in seeds if s >= 0], dtype=torch.int64)
    together = torch.cat(list(graph.edge_index.values()), 1)
    wanted = k_hop_subgraph(start, hops, together, num_nodes=count)[0]
    assert part.nodes.tolist() == wanted.tolist()
    # Every edge that ends less than `hops` steps away, with what is known of it.
    inner = set(k_hop_subgraph(start, hops - 1, together, num_nodes=count)[0].tolist()) if hops else set()
    for name, ends in graph.edge_index.items():
        if not ends.shape[1]:
            continue
        within = torch.tensor([t in inner for t in ends[1].tolist()], dtype=torch.bool)
        assert pairs(part.graph.edge_index[name], part.nodes) == sorted(
            map(tuple, ends[:, within].t().tolist())
        )
        weight = part.graph.edge[name]["weight"]
        assert sorted(weight.tolist()) == sorted(graph.edge[name]["weight"][within].tolist())
    assert torch.equal(part.graph.node["sctid"], graph.node["sctid"][part.nodes])
    assert torch.equal(part.graph.node["x_term"], graph.node["x_term"][part.nodes])
    assert part.nodes[part.locate(start)].tolist() == start.tolist()
    assert part.locate(torch.tensor([[-1]])).tolist() == [[-1]]


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_messages_over_the_part_give_the_states_of_the_whole_graph(layers):
    graph = random_graph(60, 50, 1)
    torch.manual_seed(0)
    convolutions = {
        n: [SAGEConv(3, 3) for _ in range(layers)] for n in ("is_a", "rev_is_a", "site", "rev_site")
    }

    def states(some):
        x = some.node["x_term"]
        for layer in range(layers):
            x = x + sum(c[layer](x, some.edge_index[n]) for n, c in convolutions.items()).tanh()
        return x

    seeds = torch.tensor([3, 17, 40])
    part = cut(ConceptCSR.of(graph), seeds, layers)
    assert part.graph.num_nodes < graph.num_nodes or layers > 2
    torch.testing.assert_close(states(part.graph)[part.locate(seeds)], states(graph)[seeds])


def test_walking_some_relations_leads_up_only():
    edges = torch.tensor([[1, 2, 3, 4], [0, 1, 1, 2]])  # child, parent
    graph = ConceptGraph(5, {"is_a": edges, "rev_is_a": edges.flip(0)})
    csr = ConceptCSR.of(graph)
    assert without_reverse(csr) == ("rev_is_a",)
    assert cut(csr, np.array([4]), 2, without_reverse(csr)).nodes.tolist() == [1, 2, 4]
    assert cut(csr, np.array([4]), 9, without_reverse(csr)).nodes.tolist() == [0, 1, 2, 4]
    assert cut(csr, np.array([1]), 1, ["is_a"]).nodes.tolist() == [1, 2, 3]
    assert cut(csr, np.array([], dtype=np.int64), 2).graph.num_nodes == 0


def star(count=400):
    ends = torch.stack([torch.arange(1, count + 1), torch.zeros(count, dtype=torch.int64)])
    return ConceptGraph(count + 1, {"is_a": ends, "site": ends[:, :3]})


def test_a_crowd_is_drawn_from_in_proportion_to_importance():
    csr, count = ConceptCSR.of(star()), 400
    importance = np.ones(count + 1)
    importance[1:101] = 5.0
    drawn = np.zeros(count + 1)
    for seed in range(500):
        part = cut(csr, np.array([0]), 1, fan_out=8, importance=importance, seed=seed)
        ends = part.graph.edge_index["is_a"]
        assert ends.shape[1] == 8
        assert len(set(ends[0].tolist())) == 8
        assert part.graph.edge_index["site"].shape[1] == 3  # few enough: all of them
        drawn[part.nodes[ends[0]].numpy()] += 1
    # 100 of importance 5 and 300 of importance 1: without replacement a little under 5 to 1.
    assert 4.0 < drawn[1:101].mean() / drawn[101:].mean() < 5.3
    once = [cut(csr, np.array([0]), 1, fan_out=8, seed=7).nodes.tolist() for _ in range(2)]
    assert once[0] == once[1] != cut(csr, np.array([0]), 1, fan_out=8, seed=8).nodes.tolist()


def test_what_is_drawn_for_a_concept_does_not_depend_on_the_batch():
    csr = ConceptCSR.of(random_graph(30, 600, 2))
    alone, together = (cut(csr, np.array(c), 1, fan_out=3, seed=5) for c in ([4], [4, 9, 20]))
    for name in csr.relations:
        ends = together.nodes[together.graph.edge_index[name]]
        mine = sorted(map(tuple, ends[:, ends[1] == 4].t().tolist()))
        assert mine == pairs(alone.graph.edge_index[name], alone.nodes)
        assert len(mine) == 3


def test_rows_are_mapped_from_their_folder(tmp_path):
    graph = random_graph(50, 60, 3)
    csr = ConceptCSR.of(graph)
    csr.save(tmp_path / "rows")
    opened = ConceptCSR.open(tmp_path / "rows", graph)
    assert isinstance(opened.source, np.memmap)
    for seed in range(5):
        a, b = (cut(c, np.array([seed, 30]), 2, fan_out=2, seed=seed) for c in (csr, opened))
        assert torch.equal(a.nodes, b.nodes)
        assert all(torch.equal(a.graph.edge_index[n], b.graph.edge_index[n]) for n in csr.relations)
    with pytest.raises(InputError, match="another graph"):
        ConceptCSR.open(tmp_path / "rows", random_graph(51, 60, 3))
    with pytest.raises(InputError, match="no rows of edges"):
        ConceptCSR.open(tmp_path, graph)


def test_what_cannot_be_is_refused():
    csr = ConceptCSR.of(star())
    for options, words in (
        ({"hops": -1}, "hops=-1"),
        ({"hops": 1, "fan_out": 0}, "fan_out=0"),
        ({"hops": 1, "relations": ["part_of"]}, "no relation 'part_of'"),
        ({"hops": 1, "importance": np.zeros(401)}, "importance"),
    ):
        with pytest.raises(InputError, match=words):
            cut(csr, np.array([0]), **options)
    with pytest.raises(InputError, match="no concept 500"):
        cut(csr, np.array([500]), 1)
