"""The layout: nothing overlaps, relations point to the right, and places are as near as they can be."""

import itertools

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mhdiff.picture.layout import HIGH, ROW, WIDE, layers, place, spread
from tests.searches import examples


@st.composite
def graphs(draw):
    count = draw(st.integers(1, 40))
    edges = draw(st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=80))
    seeds = sorted(draw(st.sets(st.integers(0, count - 1), min_size=1, max_size=12)))
    reached = set(seeds).union(
        *(nx.descendants(nx.DiGraph(edges), s) for s in seeds if s in dict(edges)), set()
    )
    edges = [(a, b) for a, b in edges if a in reached and b in reached]
    return seeds, sorted(reached - set(seeds)), edges


@settings(max_examples=examples(80), deadline=None)
@given(graphs(), st.integers(1, 4))
def test_boxes_never_overlap_and_relations_point_right(graph, modalities):
    seeds, others, edges = graph
    layer = layers(seeds, others, edges)
    assert all(layer[s] == 0 for s in seeds)
    bands = [seeds[i::modalities] for i in range(modalities)]
    where, spans = place(bands, {n: layer[n] for n in others}, edges)
    assert set(where) == {*seeds, *others}
    for a, b in itertools.combinations(where.values(), 2):
        assert abs(a.x - b.x) >= WIDE or abs(a.y - b.y) >= HIGH
    circles = {n: c for c in nx.strongly_connected_components(
        nx.DiGraph([(a, b) for a, b in edges if b not in seeds] or [(0, 0)])) for n in c}  # fmt: skip
    for a, b in edges:
        if b not in seeds and a != b and circles[a] is not circles[b]:
            assert where[a].right < where[b].left
    for band, (top, bottom) in zip(bands, spans, strict=True):
        assert all(top <= where[n].y <= bottom for n in band)
    assert place(bands, {n: layer[n] for n in others}, edges) == (where, spans)


def test_a_layer_is_one_after_the_last_that_leads_to_it():
    edges = [("e", "a"), ("a", "b"), ("e", "b"), ("b", "c"), ("c", "b"), ("c", "e"), ("c", "top")]
    assert layers(["e"], ["a", "b", "c", "top"], edges) == {"e": 0, "a": 1, "b": 2, "c": 2, "top": 3}


@given(st.lists(st.floats(-500, 500), min_size=1, max_size=5))
def test_spread_is_the_nearest_that_keeps_the_distance(wanted):
    found = np.array(spread(wanted, ROW))
    assert all(np.diff(found) >= ROW - 1e-6)
    cost = ((found - wanted) ** 2).sum()
    rng = np.random.default_rng(0)
    for _ in range(50):  # no other feasible placement is nearer
        other = found + rng.normal(0, 20, len(wanted))
        for i in range(1, len(other)):
            other[i] = max(other[i], other[i - 1] + ROW)
        assert ((other - wanted) ** 2).sum() >= cost - 1e-6


def test_a_long_column_is_broken_so_that_the_whole_is_a_rectangle():
    where, _ = place([list(range(1500))], {}, [])
    wide = max(s.x for s in where.values()) + WIDE
    high = max(s.y for s in where.values()) + HIGH
    assert wide / high == pytest.approx(1.5, abs=0.3)
