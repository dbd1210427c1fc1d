"""Swaps and trades: what one call keeps, and that everything it can reach is equally likely."""

from collections import Counter
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from graph_builders.nulls.levels import depths, heights, top_levels
from graph_builders.nulls.swaps import swap_targets
from graph_builders.nulls.trades import trade
from tests.searches import examples

edges = st.lists(
    st.tuples(st.integers(0, 7), st.integers(0, 7), st.integers(0, 2)), min_size=1, max_size=40, unique=True
)


@settings(max_examples=examples(200), deadline=None)
@given(edges, st.integers(0, 10))
def test_degrees_in_each_group_and_simplicity_are_kept(listed, seed):
    source, target, group = np.array(listed, dtype=np.int64).T
    done = swap_targets(source, target, group, np.random.default_rng(seed))
    new = target[done.origin]
    assert np.array_equal(np.sort(done.origin), np.arange(len(source)))
    assert np.array_equal(group, group[done.origin])
    assert len({*zip(source, new, group, strict=True)}) == len(source)
    assert (source == new).sum() <= (source == target).sum()
    for number in np.unique(group):
        mine = group == number
        assert np.array_equal(np.sort(target[mine]), np.sort(new[mine]))
        if done.accepted[number] == 0:
            assert np.array_equal(target[mine], new[mine])


@settings(max_examples=examples(100), deadline=None)
@given(edges, st.integers(0, 10))
def test_every_edge_still_leads_down(listed, seed):
    listed = [(s, t, g) for s, t, g in listed if s > t]
    if not listed:
        return
    source, target, group = np.array(listed, dtype=np.int64).T
    done = swap_targets(source, target, group, np.random.default_rng(seed), drop=(source, target))
    assert (source > target[done.origin]).all()


@pytest.mark.parametrize("draws", [500, pytest.param(2000, marks=pytest.mark.slow)])
def test_all_graphs_of_the_same_degrees_are_equally_likely(draws):
    # Four sources and four targets with one edge each and one more edge: every simple bipartite graph with these
    # degrees, counted by trying all of them.
    source, target = np.array([0, 0, 1, 2, 3]), np.array([10, 11, 10, 12, 13])
    possible = {
        tuple(sorted(zip(source.tolist(), order, strict=True)))
        for order in permutations(target.tolist())
        if len({*zip(source.tolist(), order, strict=True)}) == len(source)
    }
    rng = np.random.default_rng(0)
    group = np.zeros(5, dtype=np.int64)
    seen = Counter(
        tuple(
            sorted(
                zip(
                    source.tolist(),
                    target[swap_targets(source, target, group, rng).origin].tolist(),
                    strict=True,
                )
            )
        )
        for _ in range(draws)
    )
    assert set(seen) == possible
    assert stats.chisquare(list(seen.values())).pvalue > 1e-3


def test_two_edges_do_not_only_go_to_and_fro():
    source, target, group = np.array([0, 1]), np.array([2, 3]), np.zeros(2, dtype=np.int64)
    swapped = [
        swap_targets(source, target, group, np.random.default_rng(seed)).origin[0] for seed in range(400)
    ]
    assert stats.binomtest(int(sum(swapped)), 400).pvalue > 1e-3


def test_as_many_swaps_as_wanted_or_the_group_is_given_up():
    rng = np.random.default_rng(0)
    source, target = rng.integers(0, 300, 2000), rng.integers(300, 600, 2000)
    pairs = np.unique(np.stack([source, target]), axis=1)
    star = np.stack([np.full(9, 700), np.arange(800, 809)])
    both = np.concatenate([pairs, star], axis=1)
    group = np.repeat([0, 1], [pairs.shape[1], 9])
    done = swap_targets(both[0], both[1], group, rng)
    assert done.accepted[0] >= done.wanted[0] == 10 * pairs.shape[1]
    assert done.accepted[1] == 0  # one source: whatever is swapped stays the same
    assert done.rounds < 60


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=25, unique=True))
def test_levels_are_those_of_networkx(listed):
    import networkx as nx

    graph = nx.DiGraph()
    graph.add_nodes_from(range(10))
    graph.add_edges_from(listed)
    child, parent = np.array(listed, dtype=np.int64).reshape(-1, 2).T
    height = heights(child, parent, 10)
    assert (height is None) == (not nx.is_directed_acyclic_graph(graph))
    if height is not None:
        for node in range(10):
            ways = nx.descendants(graph, node) | {node}
            assert height[node] == nx.dag_longest_path_length(graph.subgraph(ways))
    roots = [node for node in graph if graph.out_degree(node) == 0]
    distance = nx.multi_source_dijkstra_path_length(graph.reverse(), set(roots)) if roots else {}
    assert depths(child, parent, 10).tolist() == [distance.get(node, 10) for node in range(10)]


def test_the_top_level_is_below_the_only_root_or_a_root():
    child, parent = np.array([1, 2, 3, 4, 4, 5]), np.array([0, 0, 1, 1, 2, 4])
    assert top_levels(child, parent, 7).tolist() == [0, 1, 2, 1, 1, 1, 6]
    assert top_levels(child[2:], parent[2:], 7).tolist() == [0, 1, 2, 1, 1, 1, 6]


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_swap(count):
    none = np.zeros(count, dtype=np.int64)
    done = swap_targets(none, none + 1, none, np.random.default_rng(0))
    assert done.origin.tolist() == list(range(count))
    assert done.accepted.sum() == 0


@settings(max_examples=examples(200), deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 8)), max_size=40, unique=True),
    st.lists(st.integers(0, 2), min_size=9, max_size=9),
    st.integers(0, 10),
)
def test_trades_keep_what_each_has_and_how_often_each_piece_is_there(listed, group, seed):
    piece, observation = np.array(listed, dtype=np.int64).reshape(-1, 2).T
    group = np.unique(group, return_inverse=True)[1]
    now = trade(piece, observation, group, np.random.default_rng(seed), rounds=3)
    assert len({*zip(piece, now, strict=True)}) == len(piece)
    assert np.array_equal(np.bincount(now, minlength=9), np.bincount(observation, minlength=9))
    assert np.array_equal(group[now], group[observation])


@pytest.mark.slow
def test_all_tables_of_the_same_margins_are_equally_likely():
    table = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]])
    possible = [
        cells
        for cells in product([0, 1], repeat=12)
        if np.array_equal(np.reshape(cells, (3, 4)).sum(0), table.sum(0))
        and np.array_equal(np.reshape(cells, (3, 4)).sum(1), table.sum(1))
    ]
    observation, piece = np.nonzero(table)
    rng, seen = np.random.default_rng(0), Counter()
    for _ in range(4000):
        now = trade(piece, observation, np.zeros(3, dtype=np.int64), rng, rounds=20)
        drawn = np.zeros((3, 4), dtype=int)
        drawn[now, piece] = 1
        seen[tuple(drawn.flatten().tolist())] += 1
    assert set(seen) == set(possible)
    assert stats.chisquare(list(seen.values())).pvalue > 1e-3
