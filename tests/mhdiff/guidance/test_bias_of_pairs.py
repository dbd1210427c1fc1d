"""The biases that are looked up, against networkx and against the terminology's own similarities."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch

from graph_builders import ConceptGraph, build_ontology_graph
from graph_builders.reach import way_up
from mhdiff.batch import EvidenceBatch
from mhdiff.guidance import Distance, Linked, Similarity
from ontology import load_rf2
from ontology.builtin import write_rf2
from ontology.errors import InputError
from ontology.information import ic
from ontology.similarity import similarity_matrix
from tests import small_model as small

SLOTS = small.SLOTS


def everything(size=4):
    return torch.ones(size, 4, dtype=torch.bool)


def scores(part, evidence):
    out = part(evidence, everything(len(evidence.concept)))
    return out.bias[:, :, 4:, 4:], out.bias[:, :, :4, :4]


@pytest.mark.parametrize("hops", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("relations", [None, ["is_a"]])
def test_linked_is_one_within_the_hops_and_zero_beyond(hops, relations):
    graph, e = small.concept_graph(), small.batch(4).evidence
    undirected = nx.Graph()
    undirected.add_nodes_from(range(graph.num_nodes))
    for name, edges in graph.relations.items():
        if relations is None or name in relations:
            undirected.add_edges_from(edges.t().tolist())
    near = dict(nx.all_pairs_shortest_path_length(undirected, cutoff=hops))
    pairs, between = scores(Linked(graph, small.DIM, 2, hops=hops, relations=relations), e)
    for b in range(4):
        flat = e.concept[b].flatten().tolist()
        for i, ci in enumerate(flat):
            for j, cj in enumerate(flat):
                assert pairs[b, 0, i, j].item() == float(ci >= 0 and cj >= 0 and cj in near[ci])
        for m in range(4):
            for n in range(4):
                block = pairs[b, 0, m * SLOTS : (m + 1) * SLOTS, n * SLOTS : (n + 1) * SLOTS]
                assert between[b, 0, m, n].item() == float(block.any())


@pytest.fixture(scope="module")
def terminology(tmp_path_factory):
    return load_rf2(write_rf2(tmp_path_factory.mktemp("rf2") / "builtin"))


@pytest.mark.parametrize("measure", ["lin", "wu_palmer", "path", "jaccard", "resnik"])
def test_similarity_is_that_of_the_terminology(measure, terminology):
    graph = ConceptGraph.from_data(build_ontology_graph(terminology), tuple(small.MODALITIES))
    g = torch.Generator().manual_seed(0)
    concept = torch.randint(0, graph.num_nodes, (20, 4, SLOTS), generator=g)
    evidence = EvidenceBatch(concept, torch.ones(concept.shape), torch.zeros_like(concept))
    pairs, between = scores(Similarity(graph, small.DIM, 2, measure=measure), evidence)
    for b in range(20):
        sctids = terminology.sctids[concept[b].flatten().numpy()]
        wanted = similarity_matrix(terminology, sctids, metric=measure)
        if measure == "resnik":
            wanted = wanted / ic(terminology).max()
        np.testing.assert_allclose(pairs[b, 0].numpy(), wanted, atol=1e-5)
        blocks = wanted.reshape(4, SLOTS, 4, SLOTS).mean((1, 3))
        np.testing.assert_allclose(between[b, 0].numpy(), blocks, atol=1e-5)


def test_distance_goes_by_the_nearest_concept_that_both_reach():
    graph, e = small.concept_graph(), small.batch(6, seed=2).evidence
    torch.manual_seed(1)
    part = Distance(graph, small.DIM, 2, max_hops=4, polarity_gain="ignore")
    with torch.no_grad():
        part.by_hops.normal_()
        part.by_relation.normal_()
    assert part.relations == ("is_a", "finding_site")
    directed = nx.DiGraph()
    directed.add_nodes_from(range(graph.num_nodes))
    for edges in graph.relations.values():
        directed.add_edges_from(edges.t().tolist())
    up = dict(nx.all_pairs_shortest_path_length(directed, cutoff=4))
    pairs, _ = scores(part, e)
    plain = Distance(graph, small.DIM, 2, max_hops=4, relations=["is_a"], polarity_gain="ignore")
    assert plain.by_relation.numel() == 0
    met = 0
    for b in range(6):
        flat = e.concept[b].flatten().tolist()
        for i, ci in enumerate(flat):
            for j, cj in enumerate(flat):
                if ci < 0 or cj < 0:
                    assert pairs[b, :, i, j].abs().max() == 0
                    continue
                hops = min((up[ci][x] + up[cj][x] for x in set(up[ci]) & set(up[cj])), default=99)
                if hops > 4:
                    assert pairs[b, :, i, j].abs().max() == 0
                    continue
                met += 1
                left = pairs[b, :, i, j] - part.by_hops[:, hops]
                relation = part.by_relation[:, 0]
                assert any(torch.allclose(left, n * relation, atol=1e-5) for n in (0, 1, 2))
    assert met > 50


@pytest.mark.parametrize("part", [Distance, Similarity, lambda g, d, h: Similarity(g, d, h, measure="path")])
def test_where_a_pair_meets_gives_its_score(part, terminology):
    """The way up to the meeting point has the length, and the point the worth, that the score was made of."""
    graph = ConceptGraph.from_data(build_ontology_graph(terminology), tuple(small.MODALITIES))
    made = part(graph, small.DIM, 2)
    g = torch.Generator().manual_seed(0)
    for a, b in torch.randint(0, graph.num_nodes, (40, 2), generator=g).tolist():
        x, score = made.meeting(a, b), made.look_up(*made.one_pair(a, b))[0].item()
        if x is None:
            assert score == 0
            continue
        hops = len(way_up(made.reach, graph, a, x)) + len(way_up(made.reach, graph, b, x))
        if isinstance(made, Distance) or made.measure == "path":
            assert score == pytest.approx(1 / (1 + hops))
        else:
            assert score == pytest.approx(
                float(2 * made.worth[x] / (made.worth[a] + made.worth[b])), abs=1e-5
            )


def test_a_denied_concept_can_turn_the_bias():
    graph, e = small.concept_graph(), small.batch(4).evidence
    part = Similarity(graph, small.DIM, 2, polarity_gain="learned")
    with torch.no_grad():
        part.gain[1] = -1.0  # the second head
    pairs, _ = scores(part, e)
    assert torch.equal(pairs[:, 1], -pairs[:, 0])
    assert part.learns_bias


def test_what_cannot_be_is_refused():
    graph = small.concept_graph()
    for make, words in (
        (lambda: Linked(graph, 16, 2, hops=-1), "hops"),
        (lambda: Linked(graph, 16, 2, relations=["site"]), "no relation 'site'"),
        (lambda: Similarity(graph, 16, 2, measure="cosine"), "cosine"),
        (lambda: Similarity(graph, 16, 2, ic="corpus"), "corpus"),
        (lambda: Distance(graph, 16, 2, max_hops=-1), "max_hops"),
        (lambda: Distance(graph, 16, 2, features=["x_term"]), "x_term"),
        (lambda: Distance(graph, 16, 2, learn_embedding=False), "neither"),
    ):
        with pytest.raises(InputError, match=words):
            make()
