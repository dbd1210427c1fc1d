"""What every null graph must do. A new one joins by being named in `graph_builders.NULLS`."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

import graph_builders.nulls
from graph_builders import NULLS, EvidenceNull, Null, make_null
from mhdiff.guidance import MessagePassing
from ontology import load_rf2
from ontology.builtin import write_rf2
from ontology.errors import InputError
from tests.null_graphs import (
    check_untouched,
    is_a_links,
    is_acyclic,
    patient_graph,
    snapshot,
    split_of,
    stated,
    with_features,
)

SAMPLES = 60
#: Nulls whose graph may have fewer edges than the real one, and says so in its report.
FEWER = {"cooccurrence"}


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return patient_graph(load_rf2(write_rf2(tmp_path_factory.mktemp("rf2") / "builtin")), SAMPLES)


@pytest.fixture(params=NULLS)
def name(request):
    return request.param


def make(name, seed=1):
    return make_null(name, seed, split=split_of(SAMPLES))


def same(one, other):
    one, other = snapshot(one), snapshot(other)
    return one.keys() == other.keys() and all(torch.equal(value, other[key]) for key, value in one.items())


def test_every_subclass_is_named():
    def below(base):
        return {base} | {c for one in base.__subclasses__() for c in below(one)}

    assert set(NULLS.values()) == below(Null) - {Null, EvidenceNull}
    assert all(name == null.name for name, null in NULLS.items())


def test_the_same_seed_gives_the_same_graph_and_another_one_another(name, graph):
    first = make(name)(graph.data)
    assert same(first, make(name)(graph.data))
    assert same(first, make(name, seed=2)(graph.data)) != NULLS[name].drawn
    assert not same(first, graph.data)


def test_the_seed_alone_decides_not_what_was_drawn_before(name, graph):
    null = make(name)
    first = null(graph.data)
    np.random.seed(7)  # noqa: NPY002
    torch.manual_seed(7)
    assert same(first, null(graph.data))


def test_the_real_graph_is_not_edited(name, graph):
    before, rows = snapshot(graph.data), graph.evidence.table.clone()
    graph.transform(make(name))
    check_untouched(graph.data, before)
    assert graph.evidence.table.equals(rows)


def test_concepts_nodes_and_types_are_kept(name, graph):
    null = graph.transform(make(name)).data
    assert null.validate()
    assert null.node_types == graph.data.node_types
    assert null.edge_types == graph.data.edge_types
    assert torch.equal(null["concept"].sctid.sort().values, graph.data["concept"].sctid.sort().values)
    assert {kind: null[kind].num_nodes for kind in null.node_types} == {
        kind: graph.data[kind].num_nodes for kind in null.node_types
    }


def test_every_relation_keeps_its_number_of_edges_or_the_report_says_how_many_it_has(name, graph):
    null = make(name)
    data = null(graph.data)
    assert null.report
    for kind in stated(graph.data):
        now, was = data[kind].edge_index.shape[1], graph.data[kind].edge_index.shape[1]
        assert now == was or (name in FEWER and now == null.report["relations"][kind[1]]["edges"])
        assert now > 0


def test_is_a_runs_in_no_circle_but_from_a_concept_to_itself(name, graph):
    links = is_a_links(make(name)(graph.data)).tolil()
    if name == "severed":
        links.setdiag(0)
    assert is_acyclic(links.tocsr())


def test_attributes_of_edges_fit_the_edges(name, graph):
    data = copy.copy(graph.data)
    for kind in stated(data):
        for one in (kind, (kind[2], f"rev_{kind[1]}", kind[0])):
            data[one].weight = torch.arange(data[one].edge_index.shape[1], dtype=torch.float32)
    null = make(name)(data)
    null.validate()
    for kind in stated(null):
        for one in (kind, (kind[2], f"rev_{kind[1]}", kind[0])):
            assert len(null[one].weight) == null[one].edge_index.shape[1]


def test_as_much_evidence_in_every_observation(name, graph):
    null = graph.transform(make(name))
    kind = ("concept", "evidences", "observation")
    counts = [
        torch.bincount(g.data[kind].edge_index[1], minlength=g.data["observation"].num_nodes)
        for g in (graph, null)
    ]
    assert torch.equal(*counts)
    assert null.evidence.merged.height == graph.evidence.merged.height


def test_the_transform_alone_does_what_the_patient_graph_does(name, graph):
    assert same(make(name)(graph.data), graph.transform(make(name)).data)


def test_the_repr_makes_it_again_and_stands_in_the_graphs_record(name, graph):
    null = make(name)
    again = eval(repr(null), vars(graph_builders.nulls))
    assert repr(again) == repr(null)
    assert same(again(graph.data), null(graph.data))
    done = graph.transform(null)
    assert done.meta["transforms"] == [repr(null)]
    assert done.fingerprint != graph.fingerprint
    assert len(str(null)) < 120


def test_message_passing_has_as_many_parameters(name, graph):
    sizes = [
        sum(p.numel() for p in MessagePassing(g.concept_graph(), 8, 2, layers=2).parameters())
        for g in (graph, graph.transform(make(name)))
    ]
    assert sizes[0] == sizes[1]


def test_features_keep_their_shapes(name, graph):
    data = with_features(copy.copy(graph.data))
    null = make(name)(data)["concept"]
    assert all(null[key].shape == value.shape for key, value in data["concept"].items() if key != "num_nodes")


def test_an_unknown_null_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="none, permuted, rewired, random, cooccurrence, shuffled, severed"):
        make_null("reversed", 1)
