"""Information content, similarity and common ancestors against nxontology and networkx, and their laws."""

import itertools

import networkx as nx
import numpy as np
import pytest
from dags import IS_A, build, cases
from hypothesis import HealthCheck, given, settings
from nxontology import NXOntology

from ontology import InputError, load_rf2
from ontology.ancestry import ancestors_of_many, least_common_ancestors, longest_depth
from ontology.builtin import write_rf2
from ontology.information import ic
from ontology.similarity import METRICS, similarities, similarity, similarity_matrix
from tests.searches import examples

LAW = settings(max_examples=examples(80), deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def builtin(tmp_path_factory):
    return load_rf2(write_rf2(tmp_path_factory.mktemp("b") / "rf2"))


def peer(ontology):
    graph = nx.DiGraph()
    graph.add_nodes_from(ontology.sctids.tolist())
    up = ontology.relations.type == 0
    sctids = ontology.sctids
    parents, children = sctids[ontology.relations.target[up]], sctids[ontology.relations.source[up]]
    graph.add_edges_from(zip(parents.tolist(), children.tolist(), strict=True))
    found = NXOntology(graph)
    found.freeze()
    return found


def test_information_and_similarity_agree_with_nxontology(builtin):
    other = peer(builtin)
    content = ic(builtin, "sanchez")
    for node in range(0, len(builtin), 7):
        assert content[node] == pytest.approx(
            other.node_info(int(builtin.sctids[node])).intrinsic_ic_sanchez, abs=1e-9
        )
    rng = np.random.default_rng(5)
    a, b = (rng.choice(builtin.sctids, 300) for _ in range(2))
    ours = similarities(builtin, a, b, METRICS)
    for i, (x, y) in enumerate(zip(a.tolist(), b.tolist(), strict=True)):
        theirs = other.similarity(x, y, ic_metric="intrinsic_ic_sanchez")
        assert ours["resnik"][i] == pytest.approx(theirs.resnik, abs=1e-9)
        assert ours["lin"][i] == pytest.approx(theirs.lin, abs=1e-9)
        assert ours["jiang"][i] == pytest.approx(theirs.jiang, abs=1e-9)
        assert ours["jaccard"][i] == pytest.approx(theirs.batet, abs=1e-9)


@LAW
@given(cases())
def test_the_laws_of_similarity(case):
    ontology = build(*case)
    every = ontology.sctids
    for metric in METRICS:
        matrix = similarity_matrix(ontology, every, metric=metric)
        assert np.array_equal(matrix, matrix.T)
        assert np.allclose(matrix, similarity_matrix(ontology, every, every, metric=metric))
        if metric not in ("resnik", "jiang_distance"):
            assert ((matrix >= 0) & (matrix <= 1 + 1e-12)).all()
            assert np.allclose(np.diag(matrix), 1)
    content = ic(ontology)
    assert np.allclose(np.diag(similarity_matrix(ontology, every, metric="resnik")), content)
    for method in ("sanchez", "seco"):
        content = ic(ontology, method)
        rows, columns = ontology.closure.nonzero()
        assert (content[columns] <= content[rows] + 1e-12).all()  # an ancestor never says more


@LAW
@given(cases())
def test_common_ancestors_and_depths_agree_with_networkx(case):
    size, edges, _, _ = case
    ontology = build(*case)
    graph = nx.DiGraph()
    graph.add_nodes_from(range(1, size + 1))
    graph.add_edges_from((s, t) for s, kind, t, _ in edges if kind == IS_A)
    up = {c: nx.descendants(graph, c) | {c} for c in graph}
    for a, b in itertools.product(range(1, size + 1), repeat=2):
        shared = up[a] & up[b]
        least = {c for c in shared if not any(c in up[d] - {d} for d in shared)}
        assert set(least_common_ancestors(ontology, a, b)) == least
    longest = longest_depth(ontology)
    roots = [c for c in graph if graph.out_degree(c) == 0]
    for c in graph:
        ways = (
            [len(p) - 1 for r in roots for p in nx.all_simple_paths(graph, c, r)] if c not in roots else [0]
        )
        assert longest[c - 1] == max(ways)
    found = ancestors_of_many(ontology, ontology.sctids)
    for i, c in enumerate(range(1, size + 1)):
        row = found.indices[found.indptr[i] : found.indptr[i + 1]]
        assert {int(ontology.sctids[n]) for n in row} == up[c] - {c}


def test_a_corpus_counts_what_is_below(builtin):
    counts = np.zeros(len(builtin))
    leaf = int(np.flatnonzero(np.diff(builtin.child_links.indptr) == 0)[0])
    counts[leaf] = 100
    content = ic(builtin, "corpus", counts, smoothing=1.0)
    (above,) = builtin.closure[[leaf]].nonzero()[1:]
    total = 100 + len(builtin)
    below = np.bincount(builtin.closure.indices, minlength=len(builtin))
    for node in above:
        assert content[node] == pytest.approx(-np.log((100 + below[node]) / total), abs=1e-9)


def test_bad_questions_are_refused(builtin):
    one = builtin.sctids[:2]
    with pytest.raises(InputError, match=r"equally many"):
        similarities(builtin, one, builtin.sctids[:3])
    with pytest.raises(InputError, match=r"'cosine'"):
        similarity(builtin, one, one, "cosine")
    with pytest.raises(InputError, match=r"Choose one of"):
        ic(builtin, "entropy")
    with pytest.raises(InputError, match=r"needs counts"):
        ic(builtin, "corpus")
    with pytest.raises(InputError):
        similarity(builtin, [12345678], one[:1])
