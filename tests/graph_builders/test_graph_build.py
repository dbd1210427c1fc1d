import polars as pl
import pytest
import torch
from toy_terminology import MODALITIES, make_window

from graph_builders import Evidence, View, build_graph, collect_evidence
from ontology.errors import InputError
from ontology.recognise import POLARITIES


def edges(data, relation):
    """The stated edges of a relation, by SCTID."""
    sctid = data["concept"].sctid
    return {(int(sctid[s]), int(sctid[t])) for s, t in data["concept", relation, "concept"].edge_index.T}


def evidence_of(*concepts):
    return Evidence(pl.DataFrame({"sample_id": [0] * len(concepts), "modality": "note", "concept": concepts}))


def test_closure_holds_ancestors_and_what_they_point_to(toy, samples):
    data = build_graph(toy, evidence_of(5), samples, MODALITIES)
    assert data["concept"].sctid.tolist() == [1, 2, 3, 4, 5, 7, 8, 9, 10]
    assert data["concept"].depth.tolist() == [0, 1, 2, 3, 4, 2, 1, 1, 2]
    assert edges(data, "finding_site") == {(4, 7)}
    assert edges(data, "causative_agent") == {(5, 10)}
    assert (5, 4) in edges(data, "is_a")
    assert data["patient"].sample_id.tolist() == [0, 1, 2, 3]


def test_khop_and_chosen_relations(toy, samples):
    def concepts(view):
        return set(build_graph(toy, evidence_of(5), samples, MODALITIES, view)["concept"].sctid.tolist())

    assert concepts(View("khop", hops=0)) == {5}
    assert concepts(View("khop", hops=1)) == {4, 5, 10}
    assert concepts(View("khop", hops=2, relations=("is a",))) == {3, 4, 5, 6}
    assert concepts(View(relations=("finding site",))) == {1, 2, 3, 4, 5, 7, 8}
    with pytest.raises(InputError, match="causative agent, finding site"):
        concepts(View(relations=("made of",)))
    with pytest.raises(InputError, match="closure, khop"):
        View("cloud")


def test_observations_patients_and_modalities(toy, events, samples):
    evidence = collect_evidence(make_window(events), toy)
    data = build_graph(toy, evidence, samples, MODALITIES)
    assert data.validate()
    assert data["observation"].num_nodes == 9
    assert data["patient"].num_nodes == 4
    link = data["concept", "evidences", "observation"]
    concept, observation = link.edge_index
    seen = {
        (
            int(data["observation"].sample_id[o]),
            MODALITIES[int(data["observation"].modality[o])],
            int(data["concept"].sctid[c]),
            POLARITIES[int(p)],
            float(w),
        )
        for c, o, p, w in zip(concept, observation, link.polarity, link.weight, strict=True)
    }
    assert seen == set(
        evidence.merged.select("sample_id", "modality", "concept", "polarity", "weight").iter_rows()
    )
    of, inside = (
        data["observation", "of", "patient"].edge_index,
        data["observation", "in", "modality"].edge_index,
    )
    assert torch.equal(data["patient"].sample_id[of[1]], data["observation"].sample_id)
    assert torch.equal(inside[1], data["observation"].modality)


def test_blinded_concepts_are_not_reached_through_others(toy, samples):
    plain = evidence_of(5)
    hidden = Evidence(plain.table, {}, [10, 9])
    sctids = build_graph(toy, hidden, samples, MODALITIES)["concept"].sctid.tolist()
    assert 10 not in sctids
    assert 9 not in sctids
    assert 7 in sctids


def test_evidence_that_does_not_fit_is_refused(toy, samples):
    with pytest.raises(InputError, match="lacks, such as 77"):
        build_graph(toy, evidence_of(77), samples, MODALITIES)
    with pytest.raises(InputError, match="'note'"):
        build_graph(toy, evidence_of(5), samples, ("image",))
    with pytest.raises(InputError, match="such as 0"):
        build_graph(toy, evidence_of(5), samples.filter(pl.col("sample_id") > 0), MODALITIES)
    with pytest.raises(InputError, match="twice"):
        build_graph(toy, evidence_of(5), pl.concat([samples, samples]), MODALITIES)


def test_no_evidence_at_all_is_a_graph_too(toy, samples):
    data = build_graph(toy, Evidence(evidence_of(5).table.clear()), samples, MODALITIES)
    assert data["concept"].num_nodes == 0
    assert data["concept", "evidences", "observation"].edge_index.shape == (2, 0)
