"""What each edit keeps and what it moves, against networkx and by hand; each repr makes the edit again."""

import networkx as nx
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.transforms import Compose
from toy_terminology import IS_A, MODALITIES, SITE, make_ontology, make_window

from graph_builders import Evidence, PatientGraph, Permuted, View, collect_evidence, edits
from graph_builders.edits import CapDepth, DropRelation, KeepRelations, MergeRelations, PruneByFrequency
from graph_builders.features import Degree, Depth
from graph_builders.features_edges import EdgeWeight, RelationType
from ontology.errors import InputError
from ontology.recognise import POLARITIES
from tests.searches import examples

EVIDENCES = ("concept", "evidences", "observation")


@pytest.fixture
def graph(toy, events, samples):
    return PatientGraph.build(toy, collect_evidence(make_window(events), toy), samples, MODALITIES)


def concept_types(data):
    return {kind[1] for kind in data.edge_types if kind[0] == kind[2] == "concept"}


def relations_of(data):
    sctid = data["concept"].sctid
    return {
        (int(sctid[s]), name, int(sctid[t]))
        for name in concept_types(data)
        for s, t in data["concept", name, "concept"].edge_index.t()
    }


def evidence_of(data):
    """The evidence edges of a graph as (sample, modality, SCTID, polarity, weight)."""
    store = data[EVIDENCES]
    return sorted(
        (
            int(data["observation"].sample_id[o]),
            int(data["observation"].modality[o]),
            int(data["concept"].sctid[c]),
            POLARITIES[p],
            float(w),
        )
        for (c, o), p, w in zip(store.edge_index.t(), store.polarity, store.weight, strict=True)
    )


EDITS = [
    DropRelation("interprets"),
    DropRelation(["interprets", "finding_site"]),
    KeepRelations(("is_a",)),
    MergeRelations("all"),
    MergeRelations({"place": ["finding_site", "causative_agent"]}),
    CapDepth(2),
    PruneByFrequency(1, [2, 0, 1, 7]),
    PruneByFrequency(2, "0-1"),
    PruneByFrequency(1, range(3)),
]


@pytest.mark.parametrize("edit", EDITS, ids=repr)
def test_the_repr_makes_the_edit_again(graph, edit):
    again = eval(repr(edit), {name: getattr(edits, name) for name in dir(edits)})
    assert repr(again) == repr(edit)
    if "7" not in repr(edit):
        edited, once_more = graph.transform(edit), graph.transform(again)
        assert edited.fingerprint == once_more.fingerprint != graph.fingerprint
        assert edited.meta["transforms"] == [repr(edit)]


@pytest.mark.parametrize("edit", [e for e in EDITS if "7" not in repr(e)], ids=repr)
def test_an_edit_alone_places_the_evidence_as_the_graphs_transform_does(graph, edit):
    before = {name: value.clone() for name, value in graph.data["concept"].items() if torch.is_tensor(value)}
    alone, edited = edit(graph.data), graph.transform(edit)
    assert alone.validate()
    assert edited.data.validate()
    assert evidence_of(alone) == evidence_of(edited.data)
    for kind in (EVIDENCES, (EVIDENCES[2], "rev_evidences", EVIDENCES[0])):
        assert all(torch.equal(alone[kind][name], value) for name, value in edited.data[kind].items())
    assert alone.edits == edited.meta["edits"]
    assert "edits" not in edited.data
    for name, value in before.items():
        assert torch.equal(graph.data["concept"][name], value)  # the graph itself is not edited
    assert edited.tokens([0, 1, 2], MODALITIES, 3).concept.max() < edited.data["concept"].num_nodes


def test_dropped_and_kept_relations(graph):
    all_types = concept_types(graph.data)
    dropped = graph.transform(DropRelation("is_a"))
    assert concept_types(dropped.data) == all_types - {"is_a", "rev_is_a"}
    assert dropped.data["concept"].num_nodes == graph.data["concept"].num_nodes
    assert evidence_of(dropped.data) == evidence_of(graph.data)
    count = graph.data["concept", "is_a", "concept"].edge_index.shape[1]
    assert dropped.meta["edits"] == [{"edit": "DropRelation(names=('is_a',))", "relations_dropped": count}]
    kept = graph.transform(KeepRelations("is_a"))
    assert concept_types(kept.data) == {"is_a", "rev_is_a"}
    assert relations_of(kept.data) == {r for r in relations_of(graph.data) if r[1] in ("is_a", "rev_is_a")}
    for edit in (DropRelation("made_of"), KeepRelations("made_of"), MergeRelations({"x": ["made_of"]})):
        with pytest.raises(InputError, match="It has: is_a"):
            graph.transform(edit)
    with pytest.raises(InputError, match="has no is-a"):
        dropped.transform(CapDepth(1))


def test_merged_relations_keep_their_edges_and_what_is_known_of_them(graph):
    names = graph.meta["slice"]["relation_names"]
    numbered = graph.transform(RelationType(names))
    merged = numbered.transform(MergeRelations("all"))
    assert concept_types(merged.data) == {"related", "rev_related"}
    sctid = merged.data["concept"].sctid
    for name, prefix in (("related", ""), ("rev_related", "rev_")):
        store = merged.data["concept", name, "concept"]
        told = {
            (int(sctid[s]), prefix + names[int(r)], int(sctid[t]))
            for (s, t), r in zip(store.edge_index.t(), store.relation, strict=True)
        }
        assert told == {r for r in relations_of(graph.data) if r[1].startswith("rev_") == bool(prefix)}
    assert evidence_of(merged.transform(CapDepth(3)).data) == evidence_of(graph.transform(CapDepth(3)).data)
    plain = graph.transform(MergeRelations({"is_a": ["is_a", "finding_site"]}))  # into a name that goes
    assert "finding_site" not in concept_types(plain.data)
    with pytest.raises(InputError, match="another relation"):
        graph.transform(MergeRelations({"is_a": ["finding_site"]}))
    uneven = graph.data.clone()
    uneven["concept", "is_a", "concept"].weight = torch.ones(uneven["concept", "is_a", "concept"].num_edges)
    with pytest.raises(InputError, match="weight"):
        MergeRelations("all")(uneven)


def test_without_inverse_edges_none_come_back(toy, graph, samples):
    single = PatientGraph.build(toy, graph.evidence, samples, MODALITIES, View(inverse=False))
    for edit in (MergeRelations("all"), CapDepth(2), PruneByFrequency(1, "0-1"), DropRelation("is_a")):
        assert not [name for name in concept_types(single.transform(edit).data) if name.startswith("rev_")]


def test_capped_depth_by_hand(graph):
    edited = graph.transform(CapDepth(3))
    assert {5, 6} == set(graph.data["concept"].sctid.tolist()) - set(edited.data["concept"].sctid.tolist())
    assert (0, 3, 4, "present", 0.5) in evidence_of(edited.data)  # J99 is both bacterial and viral pneumonia
    assert not [
        row for row in evidence_of(edited.data) if row[3] == "absent"
    ]  # no bacterial one is not: none
    assert edited.meta["edits"] == [
        {
            "edit": "CapDepth(max_depth=3)", "concepts_removed": 2, "concepts_with_evidence_removed": 2,
            "relations_dropped": 3, "evidence_edges_lifted": 2, "evidence_edges_dropped": 0,
            "denied_evidence_edges_dropped": 1, "evidence_edges_merged": 1,
        }
    ]  # fmt: skip
    lifted = edited.evidence.table.filter(pl.col("source") == "ICD10/J99")
    assert lifted["concept"].to_list() == [4, 4]
    assert lifted["depth"].to_list() == [3, 3]


@st.composite
def cohorts(draw):
    """A hierarchy with several parents, attributes, and evidence of several samples and polarities."""
    count = draw(st.integers(3, 12))
    relations = set()
    for child in range(2, count + 1):
        for parent in draw(st.sets(st.integers(1, child - 1), min_size=1, max_size=2)):
            relations.add((child, IS_A, parent))
    one = st.integers(1, count)
    relations |= {(a, SITE, b) for a, b in draw(st.sets(st.tuples(one, one), max_size=4)) if a != b}
    rows = draw(
        st.lists(
            st.tuples(st.integers(0, 4), st.sampled_from(["note", "codes"]), one,
                      st.sampled_from(POLARITIES), st.sampled_from([0.25, 0.5, 1.0])),
            min_size=1, max_size=12,
        )
    )  # fmt: skip
    ontology = make_ontology({n: f"Thing {n}" for n in range(1, count + 1)}, sorted(relations))
    names = ("sample_id", "modality", "concept", "polarity", "weight")
    evidence = Evidence(pl.DataFrame(rows, list(names), orient="row"))
    view = draw(st.sampled_from([View(), View("whole"), View("khop", hops=1)]))
    return PatientGraph.build(
        ontology, evidence, pl.DataFrame({"sample_id": range(5)}), ["note", "codes"], view
    )


def nearest(data, keep):
    """What stands for each concept, by breadth-first search upward."""
    sctid, depth = data["concept"].sctid.tolist(), data["concept"].depth.tolist()
    up = nx.DiGraph()
    up.add_nodes_from(range(len(sctid)))
    if "is_a" in concept_types(data):
        up.add_edges_from(data["concept", "is_a", "concept"].edge_index.t().tolist())
    found = {}
    for node in up:
        reached = nx.single_source_shortest_path_length(up, node)
        fitting = [(far, -depth[n], sctid[n]) for n, far in reached.items() if keep[n]]
        found[sctid[node]] = min(fitting)[2] if fitting else None
    return found, up


def expected_evidence(graph, kept, instead):
    """The evidence edges after lifting, from the table of evidence."""
    merged = {}
    for sample, modality, concept, polarity, weight in graph.evidence.merged.select(
        "sample_id", "modality", "concept", "polarity", "weight"
    ).iter_rows():
        to = concept if concept in kept else None if polarity == "absent" else instead[concept]
        if to is not None:
            key = (sample, graph.modalities.index(modality), to, polarity)
            merged[key] = max(merged.get(key, 0), weight)
    return sorted((*key, weight) for key, weight in merged.items())


@given(cohorts(), st.integers(0, 4))
@settings(max_examples=examples(80), deadline=None)
def test_capping_lifts_to_the_nearest_above_at_that_depth(graph, most):
    data = graph.data
    if "is_a" not in concept_types(data) and concept_types(data):
        return
    keep = (data["concept"].depth <= most).tolist()
    instead, _ = nearest(data, keep)
    edited = graph.transform(CapDepth(most))
    kept = {s for s, k in zip(data["concept"].sctid.tolist(), keep, strict=True) if k}
    assert set(edited.data["concept"].sctid.tolist()) == kept
    assert relations_of(edited.data) == {r for r in relations_of(data) if {r[0], r[2]} <= kept}
    assert evidence_of(edited.data) == expected_evidence(graph, kept, instead)
    depth = dict(zip(data["concept"].sctid.tolist(), data["concept"].depth.tolist(), strict=True))
    assert all(depth[to] == most for concept, to in instead.items() if to not in (None, concept))
    told = edited.meta["edits"][0]
    rows = len(graph.evidence.merged)
    gone = (
        told["evidence_edges_dropped"] + told["denied_evidence_edges_dropped"] + told["evidence_edges_merged"]
    )
    assert rows - gone == len(evidence_of(edited.data))


@given(cohorts(), st.integers(1, 4), st.sets(st.integers(0, 4)))
@settings(max_examples=examples(80), deadline=None)
def test_pruning_counts_training_samples_alone(graph, least, training):
    data = graph.data
    if "is_a" not in concept_types(data) and concept_types(data):
        return
    sctid = data["concept"].sctid.tolist()
    _, up = nearest(data, [True] * len(sctid))
    seen = {s: set() for s in sctid}
    for sample, concept, polarity in graph.evidence.table.select(
        "sample_id", "concept", "polarity"
    ).iter_rows():
        above = nx.descendants(up, sctid.index(concept)) if polarity != "absent" else set()
        for node in {sctid.index(concept), *above}:
            seen[sctid[node]].add(sample)
    stays = {s for s in sctid if len(seen[s] & training) >= least}
    stays |= {sctid[above] for s in stays for above in nx.descendants(up, sctid.index(s))}
    gone = {s for s in sctid if seen[s] and s not in stays}
    while True:  # and what has only such above it
        more = {
            s
            for n, s in enumerate(sctid)
            if not seen[s]
            and s not in gone | stays
            and up.out_degree(n)
            and all(sctid[p] in gone for p in up.successors(n))
        }
        if not more:
            break
        gone |= more
    kept = set(sctid) - gone
    instead, _ = nearest(data, [s in kept for s in sctid])
    edited = graph.transform(PruneByFrequency(least, training))
    assert set(edited.data["concept"].sctid.tolist()) == kept
    assert evidence_of(edited.data) == expected_evidence(graph, kept, instead)
    assert relations_of(edited.data) == {r for r in relations_of(data) if {r[0], r[2]} <= kept}
    # What the other samples have decides nothing of what is kept among the concepts that training samples have.
    trained = {s for s in sctid if seen[s] & training}
    assert kept & trained == stays & trained
    for s in kept & {s for s in sctid if seen[s]}:  # what is above stays with what is below
        assert {sctid[above] for above in nx.descendants(up, sctid.index(s))} <= kept


def test_edits_one_after_another_are_those_of_one_transform(graph):
    both = graph.transform(Compose([CapDepth(3), PruneByFrequency(2, "0-2")]))
    each = graph.transform(CapDepth(3)).transform(PruneByFrequency(2, "0-2"))
    assert evidence_of(both.data) == evidence_of(each.data)
    assert both.evidence.table.equals(each.evidence.table)
    assert both.meta["edits"] == each.meta["edits"]
    assert len(both.meta["edits"]) == 2


def test_features_and_attributes_go_with_their_nodes_and_edges(toy, graph, samples):
    wide = PatientGraph.build(toy, graph.evidence, samples, MODALITIES, View(groups=True))
    before = wide.transform(Depth()).transform(EdgeWeight("mean"))
    after = before.transform(CapDepth(3))
    old = dict(
        zip(before.data["concept"].sctid.tolist(), before.data["concept"].x_depth.tolist(), strict=True)
    )
    assert after.data["concept"].x_depth.tolist() == [old[s] for s in after.data["concept"].sctid.tolist()]
    for name in concept_types(after.data):
        store = after.data["concept", name, "concept"]
        assert len(store.group) == len(store.weight) == store.edge_index.shape[1]


def test_an_edited_graph_is_saved_and_moved_like_any_other(graph, tmp_path):
    edited = graph.transform(CapDepth(3)).transform(Degree())
    edited.save(tmp_path / "g")
    again = PatientGraph.open(tmp_path / "g")
    assert again.meta == edited.meta
    assert evidence_of(again.data) == evidence_of(edited.data)
    null = again.transform(Permuted(1))
    assert sorted(row[:2] + row[3:] for row in evidence_of(null.data)) == sorted(
        row[:2] + row[3:] for row in evidence_of(edited.data)
    )


def test_nothing_left_is_a_graph_too(toy, samples):
    table = pl.DataFrame({"sample_id": [0], "modality": "note", "concept": [5]})
    graph = PatientGraph.build(toy, Evidence(table), samples, MODALITIES)
    edited = graph.transform(PruneByFrequency(1, []))
    assert not evidence_of(edited.data)
    assert edited.data["concept"].num_nodes == 0  # the lung had no evidence to be judged by; its root had
    assert edited.structure["hops"] == {"exact": True, "starts": 0, "pairs": 0}
    assert edited.transform(Depth()).data["concept"].x_depth.shape == (0, 1)
    assert edited.meta["edits"][0]["evidence_edges_dropped"] == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CapDepth(-1), "from 0 on"),
        (lambda: CapDepth("deep"), "from 0 on"),
        (lambda: PruneByFrequency(0, []), "from 1 on"),
        (lambda: PruneByFrequency(2, "3-1"), "0-79,95"),
        (lambda: PruneByFrequency(2, "all"), "0-79,95"),
        (lambda: DropRelation([]), "at least one"),
        (lambda: MergeRelations({}), "new name"),
        (lambda: MergeRelations({"Bad": ["is_a"]}), "small letters"),
    ],
)
def test_edits_that_cannot_be_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_unknown_training_samples_are_refused(graph):
    with pytest.raises(InputError, match="such as 99"):
        graph.transform(PruneByFrequency(1, [0, 99]))
