"""What holds for the graph of any ontology and any evidence: random ones, with several parents."""

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graph_builders import Evidence, PatientGraph, Permuted, View, build_graph, collect_evidence
from graph_builders.build import EVIDENCES
from ontology.errors import InputError
from ontology.model import Ontology, Relations
from ontology.recognise import POLARITIES
from ontology.report import LoadReport
from ontology.tables import MAPS, TERMS
from tests.searches import examples

IS_A, SITE = 116680003, 363698007
MODALITIES = ("image", "note", "codes")
LAW = settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])


def ontology_of(sctids, edges):
    """Put an Ontology together from SCTIDs and (source, type index, target) over their positions."""
    order = np.argsort(sctids)
    place = np.empty(len(sctids), dtype=np.int64)
    place[order] = np.arange(len(sctids))
    rows = np.array(sorted((place[s], kind, place[t]) for s, kind, t in edges)).reshape(-1, 3)
    source, kind, target = rows.T.astype(np.int32)
    relations = Relations(source, target, kind.astype(np.int16), np.zeros(len(rows), np.int32))
    names = [(i, f"term {s}", "synonym", True, "ci", 0, "") for i, s in enumerate(sorted(sctids))]
    return Ontology(
        "random", np.sort(np.array(sctids, dtype=np.int64)), np.zeros(len(sctids), bool),
        np.array([IS_A, SITE]), relations, pl.DataFrame(names, TERMS, orient="row"),
        pl.DataFrame(schema=MAPS), LoadReport(),
    )  # fmt: skip


@st.composite
def cases(draw):
    """A random acyclic ontology and evidence over it: (number of concepts, edges, evidence rows)."""
    count = draw(st.integers(3, 14))
    edges = set()
    for node in range(1, count):
        edges |= {(node, 0, p) for p in draw(st.sets(st.integers(0, node - 1), max_size=2))}
    nodes = st.integers(0, count - 1)
    pairs = draw(st.sets(st.tuples(nodes, nodes), max_size=6))
    edges |= {(s, 1, t) for s, t in pairs if s != t}
    row = st.tuples(st.integers(0, 3), st.sampled_from(MODALITIES), nodes, st.sampled_from(POLARITIES))
    rows = draw(st.lists(row, min_size=1, max_size=12))
    return count, sorted(edges), rows


def evidence_of(rows, sctids, blinded=()):
    table = [(sample, modality, sctids[node], polarity) for sample, modality, node, polarity in rows]
    columns = {"sample_id": pl.Int64, "modality": pl.String, "concept": pl.Int64, "polarity": pl.String}
    return Evidence(pl.DataFrame(table, columns, orient="row"), {}, np.array(blinded, dtype=np.int64))


SAMPLES = pl.DataFrame({"sample_id": range(4), "subject_id": range(4)})


def stated(data):
    """All edges by what their ends are, not by how they are numbered."""
    sctid, edges = data["concept"].sctid, set()
    for kind in data.edge_types:
        for i, (s, t) in enumerate(data[kind].edge_index.T.tolist()):
            if kind[0] == kind[2] == "concept":
                edges.add((kind[1], int(sctid[s]), int(sctid[t])))
            elif kind == EVIDENCES:
                end = (int(data["observation"].sample_id[t]), int(data["observation"].modality[t]))
                edges.add(
                    (kind[1], int(sctid[s]), end, int(data[kind].polarity[i]), float(data[kind].weight[i]))
                )
    return edges


@LAW
@given(cases(), st.randoms(use_true_random=False), st.sampled_from([View(), View("khop", 1)]))
def test_relabelling_the_concepts_gives_an_isomorphic_graph(case, random, view):
    count, edges, rows = case
    ours = list(range(100, 100 + count))
    theirs = random.sample(range(1000, 9999), count)
    names = dict(zip(ours, theirs, strict=True))
    first, second = (
        stated(build_graph(ontology_of(s, edges), evidence_of(rows, s), SAMPLES, MODALITIES, view))
        for s in (ours, theirs)
    )
    assert {
        (e[0], names[e[1]], names.get(e[2], e[2]) if len(e) == 3 else e[2], *e[3:]) for e in first
    } == second


@LAW
@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_the_evidence_plays_no_role(case, random):
    count, edges, rows = case
    sctids = list(range(100, 100 + count))
    shuffled = random.sample(rows, len(rows))
    ontology = ontology_of(sctids, edges)
    one, two = (
        PatientGraph.build(ontology, evidence_of(r, sctids), samples, MODALITIES)
        for r, samples in ((rows, SAMPLES), (shuffled, SAMPLES.reverse()))
    )
    assert one.fingerprint == two.fingerprint
    ours, theirs = (g.tokens([3, 1, 0], MODALITIES, 2) for g in (one, two))
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@LAW
@given(cases())
def test_the_closure_is_whole_and_every_edge_has_its_reverse(case):
    count, edges, rows = case
    sctids = list(range(100, 100 + count))
    ontology, evidence = ontology_of(sctids, edges), evidence_of(rows, sctids)
    data = build_graph(ontology, evidence, SAMPLES, MODALITIES)
    held = set(data["concept"].sctid.tolist())
    for concept in evidence.concepts.tolist():
        above = set(ontology.ancestors(concept, include_self=True).tolist())
        assert above <= held
        for s, kind, t in edges:
            if kind == 1 and sctids[s] in above:
                assert set(ontology.ancestors(sctids[t], include_self=True).tolist()) <= held
    for s, kind, t in edges:
        if sctids[s] in held and sctids[t] in held:
            assert (("is_a", "finding_site")[kind], sctids[s], sctids[t]) in stated(data)
    for source, relation, target in data.edge_types:
        if not relation.startswith("rev_"):
            back = data[target, f"rev_{relation}", source].edge_index
            assert torch.equal(back, data[source, relation, target].edge_index.flip(0))


@LAW
@given(cases(), st.booleans())
def test_polarity_survives_and_the_permuted_null_keeps_the_evidence(case, by_depth):
    count, edges, rows = case
    sctids = list(range(100, 100 + count))
    graph = PatientGraph.build(ontology_of(sctids, edges), evidence_of(rows, sctids), SAMPLES, MODALITIES)
    expected = {
        ("evidences", sctids[node], (sample, MODALITIES.index(m)), POLARITIES.index(p), 1.0)
        for sample, m, node, p in rows
    }
    null = graph.transform(Permuted(7, "depth" if by_depth else "all"))
    for data in (graph.data, null.data):
        assert {e for e in stated(data) if e[0] == "evidences"} == expected


@LAW
@given(cases(), st.data(), st.sampled_from([View(), View("khop", 3)]))
def test_a_blinded_concept_and_its_descendants_never_appear(case, data, view):
    count, edges, rows = case
    sctids = list(range(100, 100 + count))
    ontology = ontology_of(sctids, edges)
    blinded = data.draw(st.sets(st.sampled_from(sctids), min_size=1, max_size=3))
    window = pl.DataFrame(
        [(s, None, m, f"SNOMED/{sctids[node]}", None, None, None) for s, m, node, _ in rows],
        {"sample_id": pl.Int64, "time": pl.Datetime("us"), "modality": pl.String, "code": pl.String,
         "numeric_value": pl.Float32, "text_value": pl.String, "parent_codes": pl.List(pl.String)},
        orient="row",
    )  # fmt: skip
    evidence = collect_evidence(window, ontology, blinded=blinded)
    graph = build_graph(ontology, evidence, SAMPLES, MODALITIES, view)
    hidden = set().union(*(ontology.descendants(b, include_self=True).tolist() for b in blinded))
    assert hidden.isdisjoint(evidence.concepts.tolist())
    assert hidden.isdisjoint(graph["concept"].sctid.tolist())
    kept = {sctids[node] for _, _, node, _ in rows} - hidden
    assert kept == set(evidence.concepts.tolist())
    shuffled = collect_evidence(window.reverse(), ontology, blinded=blinded)
    assert shuffled.table.equals(evidence.table)
    assert shuffled.report == evidence.report


def test_a_graph_of_another_ontology_is_refused():
    first, second = (ontology_of(sctids, [(1, 0, 0)]) for sctids in ([100, 101], [100, 102]))
    graph = PatientGraph.build(
        first, evidence_of([(0, "note", 1, "present")], [100, 101]), SAMPLES, MODALITIES
    )
    graph.check_ontology(first)
    with pytest.raises(InputError, match=f"{first.fingerprint[:12]}.*{second.fingerprint[:12]}"):
        graph.check_ontology(second)
