import pytest
import torch
from torch_geometric.utils import degree
from toy_terminology import MODALITIES, make_window

from graph_builders import PatientGraph, Permuted, build_ontology_graph, collect_evidence
from ontology.errors import InputError
from tests.null_graphs import with_features

EVIDENCES = ("concept", "evidences", "observation")


@pytest.fixture
def graph(toy, events, samples):
    return PatientGraph.build(toy, collect_evidence(make_window(events), toy), samples, MODALITIES)


@pytest.mark.parametrize("within", ["all", "depth", "modality"])
def test_what_permuting_keeps(graph, within):
    data, null = graph.data, Permuted(1, within)(graph.data)
    assert null is not data
    assert null.validate()
    for kind in data.edge_types:
        if EVIDENCES[0] == kind[0] == kind[2]:
            assert torch.equal(data[kind].edge_index, null[kind].edge_index)
            before, after = (degree(d[kind].edge_index[0], d["concept"].num_nodes) for d in (data, null))
            assert torch.equal(before, after)
    assert torch.equal(data["concept"].depth, null["concept"].depth)
    assert torch.equal(data["concept"].sctid.sort().values, null["concept"].sctid.sort().values)
    ours, theirs = data[EVIDENCES], null[EVIDENCES]
    assert torch.equal(ours.edge_index[1], theirs.edge_index[1])  # each observation keeps its evidence
    assert torch.equal(ours.weight, theirs.weight)
    assert torch.equal(ours.polarity, theirs.polarity)
    assert torch.equal(data["concept"].sctid[ours.edge_index[0]], null["concept"].sctid[theirs.edge_index[0]])


@pytest.mark.parametrize("within", ["all", "depth"])
def test_what_permuting_destroys(graph, within):
    nulls = [Permuted(seed, within)(graph.data)["concept"].sctid for seed in range(8)]
    assert len({tuple(n.tolist()) for n in nulls}) > 4  # different seeds differ
    assert not any(torch.equal(n, graph.data["concept"].sctid) for n in nulls[:1])
    assert torch.equal(nulls[2], Permuted(2, within)(graph.data)["concept"].sctid)  # the same seed does not
    if within == "depth":
        home = dict(
            zip(graph.data["concept"].sctid.tolist(), graph.data["concept"].depth.tolist(), strict=True)
        )
        for null in nulls:
            assert [home[s] for s in null.tolist()] == graph.data["concept"].depth.tolist()


def modalities_by_node(data):
    nodes, observations = data[EVIDENCES].edge_index
    modality = dict(data["observation", "in", "modality"].edge_index.t().tolist())
    found = [set() for _ in range(data["concept"].num_nodes)]
    for node, observation in zip(nodes.tolist(), observations.tolist(), strict=True):
        found[node].add(modality[observation])
    return found


def test_within_modality_a_node_keeps_the_kind_of_evidence_that_it_had(graph):
    before = modalities_by_node(graph.data)
    moved = 0
    for seed in range(8):
        null = Permuted(seed, "modality")(graph.data)
        assert modalities_by_node(null) == before
        same = null["concept"].sctid == graph.data["concept"].sctid
        assert all(same[node] for node, kinds in enumerate(before) if not kinds)  # no evidence, no move
        moved += int((~same).sum())
    assert moved > 0


def test_the_real_graph_is_not_edited(graph):
    before = {kind: graph.data[kind].edge_index.clone() for kind in graph.data.edge_types}
    sctid = graph.data["concept"].sctid.clone()
    graph.transform(Permuted(5))
    assert torch.equal(graph.data["concept"].sctid, sctid)
    assert all(torch.equal(graph.data[kind].edge_index, ends) for kind, ends in before.items())


def test_tokens_are_the_same_concepts_on_other_nodes(graph):
    null = graph.transform(Permuted(4))
    ours, theirs = (g.tokens([0, 1, 2], MODALITIES, 3) for g in (graph, null))
    assert torch.equal(ours.weight, theirs.weight)
    assert torch.equal(ours.polarity, theirs.polarity)
    assert not torch.equal(ours.concept, theirs.concept)
    held = ours.concept >= 0
    assert torch.equal(held, theirs.concept >= 0)
    assert torch.equal(
        graph.data["concept"].sctid[ours.concept[held]], null.data["concept"].sctid[theirs.concept[held]]
    )
    alone = Permuted(4)(graph.data)  # the transform alone places the evidence as `transform` does
    assert torch.equal(alone[EVIDENCES].edge_index, null.data[EVIDENCES].edge_index)


def test_an_unknown_choice_is_refused():
    with pytest.raises(InputError, match="Choose all, depth or modality"):
        Permuted(1, "family")


def test_features_of_the_concept_go_along_and_those_of_its_place_stay(graph):
    data = with_features(graph.data)
    null = Permuted(3)
    after, to = null(data)["concept"], null.destination(data)
    assert torch.equal(after.x_term[to], data["concept"].x_term)
    assert torch.equal(after.x_value[to], data["concept"].x_value)
    assert torch.equal(after.sctid[to], data["concept"].sctid)
    for name in ("x_laplacian", "x_depth", "depth"):
        assert torch.equal(after[name], data["concept"][name])
    assert null.report == {
        "concepts": len(to),
        "moved": int((to != torch.arange(len(to))).sum()),
        "attributes_moved": ["sctid", "x_term", "x_value"],
    }
    named = Permuted(3, moves=("sctid", "x_depth"))(data)["concept"]
    assert torch.equal(named.x_term, data["concept"].x_term)
    assert not torch.equal(named.x_depth, data["concept"].x_depth)


def test_a_graph_without_patients_is_permuted_by_depth_but_not_by_modality(toy):
    data = build_ontology_graph(toy)
    assert not torch.equal(Permuted(1, "depth")(data)["concept"].sctid, data["concept"].sctid)
    with pytest.raises(InputError, match="Choose all or depth"):
        Permuted(1, "modality")(data)
