"""Paths, ways to the roots and least common ancestors against networkx."""

import json
from itertools import islice, pairwise

import networkx as nx
import pytest
from dags import AGENT, SITE, build, cases
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_release import IDS

from mhdiff.cli import main
from ontology import InputError
from ontology.identifiers import IS_A
from tests.searches import examples


def walked(onto, path):
    """The concepts of a path, and its edges as (source, name, target)."""
    nodes = [path[0].source if path[0].forward else path[0].target]
    for step in path:
        assert nodes[-1] == (step.source if step.forward else step.target)
        nodes.append(step.target if step.forward else step.source)
    return nodes, [(step.source, step.relation_name, step.target) for step in path]


@given(cases(), st.sampled_from([None, [IS_A], ["is a", SITE], [AGENT]]))
@settings(max_examples=examples(200), deadline=None)
def test_all_shortest_paths_agree_with_networkx(case, relations):
    size, edges, values, members = case
    onto = build(size, edges, values, members)
    wanted = {IS_A if r == "is a" else r for r in relations or [IS_A, SITE, AGENT]}
    if not wanted <= set(onto.relation_types.tolist()):
        return
    graph, plain = nx.MultiGraph(), nx.Graph()
    for each in (graph, plain):
        each.add_nodes_from(range(1, size + 1))
    rows = sorted((s, t, k, g) for s, k, t, g in edges if k in wanted)
    plain.add_edges_from(row[:2] for row in rows)
    graph.add_edges_from(row[:2] for row in rows)
    for a in range(1, size + 1):
        for b in range(1, size + 1):
            found = onto.paths(a, b, relations, limit=1000)
            if a == b or not nx.has_path(plain, a, b):
                assert (found.shown, found.total) == ((), 0)
                assert onto.path(a, b, relations) == []
                continue
            routes = list(nx.all_shortest_paths(plain, a, b))
            expected = 0
            for route in routes:  # two relations between one pair make two paths
                ways = 1
                for one, other in pairwise(route):
                    ways *= graph.number_of_edges(one, other)
                expected += ways
            assert found.total == expected
            assert len(found.shown) == min(1000, expected)
            got = [walked(onto, path) for path in found.shown]
            assert {tuple(nodes) for nodes, _ in got} == {tuple(route) for route in routes}
            assert all((s, t) in {row[:2] for row in rows} for _, steps in got for s, _, t in steps)
            assert onto.path(a, b, relations) == found.shown[0]
            few = onto.paths(a, b, relations, limit=1)
            assert (few.shown, few.total) == (found.shown[:1], expected)


@given(cases(), st.integers(0, 5))
@settings(max_examples=examples(150), deadline=None)
def test_ways_to_the_roots_agree_with_networkx(case, limit):
    size, edges, *_ = case
    onto = build(size, edges)
    graph = nx.DiGraph((s, t) for s, k, t, _ in edges if k == IS_A)
    graph.add_nodes_from(range(1, size + 1))
    roots = [n for n in graph if graph.out_degree(n) == 0]
    for node in graph:
        ways = [w for root in roots if root != node for w in nx.all_simple_paths(graph, node, root)]
        expected = sorted(map(tuple, ways), key=lambda way: (len(way), way))
        found = onto.paths_to_roots(node, 1000)
        assert [tuple(walked(onto, path)[0]) for path in found.shown] == expected
        assert found.total == len(expected)
        few = onto.paths_to_roots(node, limit)
        assert (few.shown, few.total) == (found.shown[:limit], len(expected))


@given(cases())
@settings(max_examples=examples(150), deadline=None)
def test_common_ancestors_agree_with_networkx(case):
    size, edges, *_ = case
    onto = build(size, edges)
    graph = nx.DiGraph((s, t) for s, k, t, _ in edges if k == IS_A)
    graph.add_nodes_from(range(1, size + 1))
    above = {n: nx.descendants(graph, n) | {n} for n in graph}
    for a in graph:
        for b in graph:
            shared = above[a] & above[b]
            least = {n for n in shared if not any(n in above[m] and n != m for m in shared)}
            assert set(onto.common_ancestors(a, b).tolist()) == shared
            assert set(onto.least_common_ancestors(a, b)) == least
            assert onto.least_common_ancestors(a, b) == onto.least_common_ancestors(b, a)


def test_millions_of_ways_are_counted_and_not_made():
    # forty diamonds on top of one another: 2^40 ways
    edges = {(1 + 3 * i + d, IS_A, 3 * i - 2, 0) for i in range(1, 41) for d in (-2, -1)}
    edges |= {(3 * i + 1, IS_A, 3 * i + d, 0) for i in range(1, 41) for d in (-1, 0)}
    onto = build(121, edges)
    ways = onto.paths_to_roots(121, 3)
    assert ways.total == 2**40
    assert len(ways.shown) == 3
    paths = onto.paths(121, 1, limit=2)
    assert paths.total == 2**40
    assert [len(path) for path in paths.shown] == [80, 80]
    graph = nx.Graph((s, t) for s, _, t, _ in edges)
    assert nx.shortest_path_length(graph, 121, 1) == 80
    assert len(list(islice(nx.all_shortest_paths(graph, 121, 1), 5))) == 5


def test_a_chain_longer_than_the_stack():
    onto = build(3000, {(n + 1, IS_A, n, 0) for n in range(1, 3000)})
    assert onto.paths_to_roots(3000).total == 1
    assert len(onto.path(3000, 1)) == 2999


def test_the_same_path_every_time(tiny):
    first = tiny.path(IDS["bacterial"], IDS["viral"])
    assert [step.relation_name for step in first] == ["is a", "is a"]
    assert all(tiny.path(IDS["bacterial"], IDS["viral"]) == first for _ in range(3))
    with pytest.raises(InputError, match="finding site"):
        tiny.paths(IDS["cap"], IDS["wbc"], ["nonsense"])


def test_the_verb(tiny, tmp_path, capsys):
    folder = str(tiny.save(tmp_path / "o"))

    def ask(*arguments):
        assert main(["ontology", "path", folder, *map(str, arguments)]) == 0
        return capsys.readouterr()

    found = json.loads(ask("bacterial pneumonia", "viral pneumonia", "--json").out)
    assert (found["total"], len(found["paths"]), found["connected"]) == (2, 1, True)
    assert found["steps"] == found["paths"][0]
    said = ask("bacterial pneumonia", "viral pneumonia")
    assert said.out.splitlines() == [
        "Bacterial pneumonia --is a--> Pneumonia",
        "Pneumonia <--is a-- Viral pneumonia",
    ]
    assert "1 more" in said.err
    both = ask("bacterial pneumonia", "viral pneumonia", "--limit", 5)
    assert both.out.count("Infection") == 2
    assert "more" not in both.err
    up = ask("COVID-19", "--limit", 1)
    assert up.out.splitlines()[-1] == "Finding --is a--> Tiny terminology"
    assert "1 more" in up.err
    assert ask("Tiny terminology").out == "a root\n"
    assert ask("cap", "cap").out == "the same concept\n"
    assert ask("cap", "WBC", "--relation", "finding site").out == "no path\n"
    assert main(["ontology", "path", folder, "cap", "--relation", "is a"]) == 2
    assert main(["ontology", "path", folder, "cap", "WBC", "--limit", "0"]) == 2
