"""What each view keeps, held against walks that networkx does, and what it says of the rest."""

from dataclasses import replace

import networkx as nx
import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_terminology import IS_A, MODALITIES, NAMES, RELATIONS, SITE, make_ontology

from graph_builders import Evidence, PatientGraph, View, build_graph, build_ontology_graph
from graph_builders.edge_types import top_level
from graph_builders.slicing import slice_ontology
from ontology import load_rf2
from ontology.builtin import write_rf2
from ontology.errors import InputError
from ontology.model import Relations
from ontology.naming import tag_of
from ontology.tables import VALUES
from tests.searches import examples


@pytest.fixture(scope="module")
def builtin(tmp_path_factory):
    return load_rf2(write_rf2(tmp_path_factory.mktemp("rf2") / "rf2"))


def evidence_of(*concepts):
    return Evidence(pl.DataFrame({"sample_id": [0] * len(concepts), "modality": "note", "concept": concepts}))


def concept_types(data):
    return [kind[1] for kind in data.edge_types if kind[0] == kind[2] == "concept"]


def stated(ontology):
    """Every relation as (source SCTID, name, target SCTID)."""
    r = ontology.relations
    name = [ontology.relation_name(int(t)).replace(" ", "_") for t in ontology.relation_types]
    return {
        (int(ontology.sctids[s]), name[k], int(ontology.sctids[t]))
        for s, k, t in zip(r.source, r.type, r.target, strict=True)
    }


def edges_of(data):
    sctid = data["concept"].sctid
    return [
        (int(sctid[s]), name, int(sctid[t]))
        for name in concept_types(data)
        if not name.startswith("rev_")
        for s, t in data["concept", name, "concept"].edge_index.t()
    ]


@st.composite
def terminologies(draw):
    """A terminology of up to 12 concepts under one root, with attributes, some evidence and something blinded."""
    count = draw(st.integers(2, 12))
    parents = [draw(st.integers(1, child - 1)) for child in range(2, count + 1)]
    relations = {(child, IS_A, parent) for child, parent in enumerate(parents, start=2)}
    one = st.integers(1, count)
    relations |= {(a, SITE, b) for a, b in draw(st.sets(st.tuples(one, one), max_size=6)) if a != b}
    names = {number: f"Thing {number}" for number in range(1, count + 1)}
    seeds = draw(st.sets(one, min_size=1, max_size=3))
    hidden = draw(st.sets(one, max_size=2)) - seeds
    return make_ontology(names, sorted(relations)), seeds, hidden


@given(terminologies(), st.sampled_from([None, 1, 2, 3]), st.booleans())
@settings(max_examples=examples(60), deadline=None)
def test_reachable_is_what_messages_connect_with_the_evidence(made, layers, inverse):
    ontology, seeds, hidden = made
    part = slice_ontology(
        ontology,
        ontology.indices(sorted(seeds)),
        View("reachable", layers=layers, inverse=inverse),
        ontology.indices(sorted(hidden)),
    )
    messages = nx.DiGraph()
    messages.add_nodes_from(set(ontology.sctids.tolist()) - hidden)
    for source, _, target in stated(ontology):
        if not {source, target} & hidden:
            messages.add_edge(source, target)
            if inverse:
                messages.add_edge(target, source)
    expected = set()
    for seed in seeds:
        for graph in (messages, messages.reverse()):
            expected |= set(nx.single_source_shortest_path_length(graph, seed, cutoff=layers))
    assert set(ontology.sctids[part.nodes].tolist()) == expected
    concepts, relations = part.report["concepts"], part.report["relations"]
    assert concepts["kept"] + concepts["blinded"] + concepts["left_out"] == concepts["ontology"]
    assert sum(n for key, n in relations.items() if key != "ontology") == relations["ontology"]


def test_what_is_out_of_reach_has_no_part_in_what_the_layers_compute(builtin):
    """Message passing of two rounds gives the evidence's concepts the same states on both graphs."""
    seeds = builtin.sctids[builtin.depth == builtin.depth.max()][:3].tolist()
    samples = pl.DataFrame({"sample_id": [0]})

    def states(view):
        data = build_graph(builtin, evidence_of(*seeds), samples, MODALITIES, view)
        sctid = data["concept"].sctid
        state = torch.sin(sctid.double() % 1009)
        for _ in range(2):
            new = state.clone()
            for name in concept_types(data):
                source, target = data["concept", name, "concept"].edge_index
                # What leaves a concept is divided by nothing that lies further off.
                new = new.index_add(0, target, torch.tanh(state[source]))
            state = new
        return {
            int(sctid[i]): float(state[i]) for i in torch.isin(sctid, torch.tensor(seeds)).nonzero()
        }, len(sctid)

    whole, size = states(View("whole"))
    near, fewer = states(View("reachable", layers=2))
    assert fewer < size == len(builtin)
    assert near == pytest.approx(whole, abs=1e-12)
    nearest, _ = states(View("reachable", layers=1))
    assert nearest != pytest.approx(whole, abs=1e-12)  # two rounds do look further than one step


def test_whole_keeps_everything_but_the_blinded(toy, samples):
    hidden = Evidence(evidence_of(5).table, {}, [10, 9])
    data = build_graph(toy, hidden, samples, MODALITIES, View("whole"))
    assert set(data["concept"].sctid.tolist()) == set(NAMES) - {9, 10}
    assert set(edges_of(data)) == {e for e in stated(toy) if not {e[0], e[2]} & {9, 10}}
    assert data.slice["concepts"] == {"ontology": 15, "kept": 13, "blinded": 2, "left_out": 0}


def test_merged_edges_know_what_they_were(builtin, samples):
    seeds = builtin.sctids[-40:].tolist()
    plain = build_graph(builtin, evidence_of(*seeds), samples, MODALITIES)
    names = list(plain.slice["relation_names"])
    for merge, expected in (
        ("all", {"related"}),
        ({"place": ["finding site", "procedure_site"], "up": ["is a"]}, None),
    ):
        if expected is None and "procedure_site" not in names:
            merge = {"place": ["finding site"], "up": ["is a"]}
        view = View(merge=merge)
        data = build_graph(builtin, evidence_of(*seeds), samples, MODALITIES, view)
        types = {name for name in concept_types(data) if not name.startswith("rev_")}
        if expected:
            assert types == expected
        else:
            assert {"place", "up"} <= types
            assert not {"is_a", "finding_site"} & types
        sctid = data["concept"].sctid
        told = sorted(
            (int(sctid[s]), names[int(r)], int(sctid[t]))
            for name in types
            for (s, t), r in zip(
                data["concept", name, "concept"].edge_index.t(),
                data["concept", name, "concept"].relation,
                strict=True,
            )
        )
        assert told == sorted(edges_of(plain))
        assert torch.equal(sctid, plain["concept"].sctid)


@pytest.mark.parametrize("how", ["tag", "hierarchy"])
def test_split_relations_say_what_their_targets_are(builtin, samples, how):
    seeds = builtin.sctids[builtin.depth > 3].tolist()
    plain = build_graph(builtin, evidence_of(*seeds), samples, MODALITIES)
    data = build_graph(builtin, evidence_of(*seeds), samples, MODALITIES, View(split=how))
    assert "is_a" in concept_types(data)  # "all" are all others
    split = [name for name in concept_types(data) if not name.startswith("rev_") and name != "is_a"]
    assert len({name.rpartition("_to_")[0] for name in split}) < len(split)
    back = sorted((s, name.rpartition("_to_")[0] or name, t) for s, name, t in edges_of(data))
    assert back == sorted(edges_of(plain))
    (root,) = builtin.roots
    for _, name, target in edges_of(data):
        if name == "is_a":
            continue
        if how == "tag":
            expected = {tag_of(builtin.fsn(target))}
        else:
            tops = set(builtin.children(int(root)).tolist())
            expected = {
                builtin.term(top)
                for top in builtin.ancestors(target, include_self=True).tolist()
                if top in tops
            }
        assert name.rpartition("_to_")[2].replace("_", " ") in {
            one.lower().replace("/", " ") for one in expected
        }


def test_top_level_without_one_root_is_the_root():
    forest = make_ontology(
        {1: "A", 2: "B", 3: "Below both", 4: "Below B"}, [(3, IS_A, 1), (3, IS_A, 2), (4, IS_A, 2)]
    )
    assert forest.sctids[top_level(forest)].tolist() == [1, 2, 1, 2]


def test_without_inverse_edges_only_evidence_has_reverse_ones(toy, samples):
    data = build_graph(toy, evidence_of(5), samples, MODALITIES, View(inverse=False))
    assert data.validate()
    assert not [name for name in concept_types(data) if name.startswith("rev_")]
    assert ("observation", "rev_evidences", "concept") in data.edge_types
    assert set(edges_of(data)) == set(edges_of(build_graph(toy, evidence_of(5), samples, MODALITIES)))


def grouped():
    """Bacterial pneumonia with two role groups that both have the lung for their site, and values of several kinds."""
    toy = make_ontology(NAMES, RELATIONS)
    r, node = toy.relations, {int(s): i for i, s in enumerate(toy.sctids)}
    rows = [
        (s, k, t, 0) for s, k, t in zip(r.source.tolist(), r.type.tolist(), r.target.tolist(), strict=True)
    ]
    site = toy.relation_types.tolist().index(SITE)
    rows = sorted(
        [*rows, (node[5], site, node[7], 1), (node[5], site, node[7], 2), (node[5], site, node[8], 2)]
    )
    source, kind, target, group = np.array(rows).T
    values = pl.DataFrame(
        [
            (node[5], 77, 1, "#500", 0), (node[5], 77, 2, "#-2.5", 0), (node[5], 78, 0, '"Daily"', 0),
            (node[4], 77, 0, "#1", 0), (node[4], 77, 0, "#3", 0), (node[4], 77, 7, "#4", 0),
        ],
        VALUES, orient="row",
    )  # fmt: skip
    columns = Relations(
        source.astype(np.int32), target.astype(np.int32), kind.astype(np.int16), group.astype(np.int32)
    )
    return replace(toy, relations=columns, values=values)


def test_groups_are_kept_and_values_stand_in_theirs(samples):
    ontology = grouped()
    plain = build_graph(ontology, evidence_of(5), samples, MODALITIES)
    assert plain["concept", "finding_site", "concept"].edge_index.shape[1] == 3
    assert plain.slice["relations"]["repeated"] == 1
    data = build_graph(ontology, evidence_of(5), samples, MODALITIES, View(groups=True, values="edges"))
    sctid = data["concept"].sctid
    site, back = data["concept", "finding_site", "concept"], data["concept", "rev_finding_site", "concept"]
    told = {
        (int(sctid[s]), int(sctid[t]), int(g)): v.tolist()
        for (s, t), g, v in zip(site.edge_index.t(), site.group, site.value, strict=True)
    }
    high, low = [pytest.approx(np.log1p(500)), 1.0], [pytest.approx(-np.log1p(2.5)), 1.0]
    assert told == {(4, 7, 0): [0.0, 0.0], (5, 7, 1): high, (5, 7, 2): low, (5, 8, 2): low}
    assert torch.equal(site.value, back.value)
    assert torch.equal(site.group, back.group)
    assert data.slice["values"] == {
        "stated": 6, "of_concepts_in_the_graph": 6, "used": 2, "in_no_group": 3, "without_an_edge_in_their_group": 1,
        "columns": ["77", "77: known"], "texts_left_out": {},
    }  # fmt: skip


def test_values_of_concepts(samples):
    ontology = grouped()
    data = build_graph(ontology, evidence_of(5), samples, MODALITIES, View(values="nodes"))
    table = dict(zip(data["concept"].sctid.tolist(), data["concept"].x_value.tolist(), strict=True))
    assert data.slice["values"]["columns"] == ["77", "77: known", "78 = Daily"]
    assert table[5] == pytest.approx([(np.log1p(500) - np.log1p(2.5)) / 2, 1, 1], abs=1e-6)
    assert table[4] == pytest.approx([(np.log1p(1) + np.log1p(3) + np.log1p(4)) / 3, 1, 0], abs=1e-6)
    assert not any(any(row) for sctid, row in table.items() if sctid not in (4, 5))


def test_values_of_a_real_release(shared, samples):
    ontology = load_rf2(shared / "data" / "rf2" / "snowstorm")
    data = build_ontology_graph(ontology, View("whole", values="nodes"))
    told = data.slice["values"]
    assert told["stated"] == told["used"] == ontology.values.height == 5
    assert told["columns"] == [
        "finding site = Before bed",
        "finding site = Daily",
        "count of active ingredient concrete",
        "count of active ingredient concrete: known",
    ]
    vaccine = int(ontology.indices([871866001])[0])
    mean = np.mean(np.log1p([1, 2.2, 3]))
    assert data["concept"].x_value[vaccine].tolist() == pytest.approx([0, 0, mean, 1])
    assert int(data["concept"].x_value.any(1).sum()) == 2


VIEWS = [
    View(),
    View("khop", hops=3, relations=("is a", SITE)),
    View("whole", merge="all", groups=True, values="edges"),
    View(
        "reachable",
        layers=2,
        merge={"place": ["finding_site"]},
        split={"causative agent": "tag"},
        inverse=False,
    ),
    View("reachable", split="hierarchy", values="nodes"),
]


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.kind)
def test_a_view_is_in_the_graph_as_it_can_be_made_again(toy, samples, tmp_path, view):
    assert View.from_dict(view.as_dict()) == view
    assert hash(View.from_dict(view.as_dict())) == hash(view)
    graph = PatientGraph.build(toy, evidence_of(5, 13), samples, MODALITIES, view)
    graph.save(tmp_path / "g")
    again = PatientGraph.open(tmp_path / "g")
    assert View.from_dict(again.meta["view"]) == view
    assert again.meta == graph.meta
    rebuilt = PatientGraph.build(toy, graph.evidence, samples, MODALITIES, View.from_dict(again.meta["view"]))
    assert rebuilt.fingerprint == graph.fingerprint


def test_each_view_has_its_fingerprint(toy, samples):
    prints = {
        PatientGraph.build(toy, evidence_of(5), samples, MODALITIES, view).fingerprint for view in VIEWS
    }
    assert len(prints) == len(VIEWS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "cloud"}, "closure, khop, whole, reachable"),
        ({"kind": "reachable", "layers": 0}, "layers >= 1"),
        ({"kind": "reachable", "layers": "many"}, "layers >= 1"),
        ({"kind": "closure", "layers": 2}, "Use reachable"),
        ({"kind": "khop", "hops": 1.5}, "hops >= 0"),
        ({"values": "everywhere"}, "none, nodes, edges"),
        ({"values": "edges"}, "groups: true"),
        ({"inverse": "maybe"}, "true or false"),
        ({"relations": "is a"}, "list of names"),
        ({"relations": [["is a"]]}, "list of names"),
        ({"merge": {"Upper": ["is a"]}}, "small letters"),
        ({"merge": {"rev_up": ["is a"]}}, "not with rev_"),
        ({"merge": {"a": ["is a"], "b": ["is_a"]}}, "twice"),
        ({"merge": ["is a"]}, "new name"),
        ({"split": "colour"}, "tag, hierarchy"),
        ({"split": {"finding site": "colour"}}, "tag, hierarchy"),
        ({"split": []}, "tag, hierarchy"),
        ({"depth": 3}, "no 'depth'"),
    ],
)
def test_views_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        View.from_dict(arguments)


@pytest.mark.parametrize(
    ("view", "message"),
    [
        (View(merge={"place": ["made of"]}), "no relation type 'made of'"),
        (View(split={"made of": "tag"}), "no relation type 'made of'"),
        (View(merge={"is_a": ["finding site"]}), "another relation"),
        (View(merge={"x": ["finding site"]}, split={"finding site": "tag"}), "and to be split"),
    ],
)
def test_views_that_do_not_fit_the_ontology_are_refused(toy, samples, view, message):
    with pytest.raises(InputError, match=message):
        build_graph(toy, evidence_of(5), samples, MODALITIES, view)


def test_the_ontology_alone_has_no_view_around_patients(toy):
    with pytest.raises(InputError, match="view whole"):
        build_ontology_graph(toy, View("khop"))
