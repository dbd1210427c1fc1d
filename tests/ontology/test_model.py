import networkx as nx
import numpy as np
import polars as pl
import pytest
from tiny_release import IDS, IS_A, SITE

import ontology as package
from ontology import ConceptNotFound, InputError, Ontology
from ontology.assemble import assemble
from ontology.parts import CONCEPTS, Parts
from ontology.report import LoadReport
from ontology.tables import fill


def keys(sctids):
    names = {sctid: key for key, sctid in IDS.items()}
    return {names[int(s)] for s in sctids}


def test_the_package_is_ours_and_light():
    assert package.__file__.replace("\\", "/").endswith("ontology/__init__.py")
    assert package.Ontology is Ontology
    with pytest.raises(AttributeError, match="nothing"):
        _ = package.nothing


def test_indices_and_sctids_are_inverse(tiny):
    assert tiny.indices(tiny.sctids).tolist() == list(range(len(tiny)))
    assert tiny.indices([IDS["covid"], 1, IDS["root"]]).tolist() == [
        tiny.index(IDS["covid"]), -1, tiny.index(IDS["root"]),
    ]  # fmt: skip
    assert IDS["covid"] in tiny
    assert 1 not in tiny
    assert "covid" not in tiny
    with pytest.raises(ConceptNotFound, match="12345"):
        tiny.index(12345)


def test_columns_cannot_be_changed(tiny):
    with pytest.raises(ValueError, match="read-only"):
        tiny.sctids[0] = 1
    with pytest.raises(AttributeError):
        tiny.name = "other"


def test_terms(tiny):
    assert tiny.fsn(IDS["pneumonia"]) == "Pneumonia (disorder)"
    assert tiny.term(IDS["pneumonia"]) == "Pneumonia"
    assert tiny.synonyms(IDS["pneumonia"]) == ["Pneumonia", "Lung infection"]
    assert tiny.semantic_tag(IDS["wbc"]) == "observable entity"
    assert '"Walking pneumonia' in tiny.synonyms(IDS["viral"])


def test_hierarchy(tiny):
    assert keys(tiny.parents(IDS["bacterial"])) == {"pneumonia", "infection"}
    assert keys(tiny.children(IDS["viral"])) == {"covid"}
    assert keys(tiny.ancestors(IDS["covid"])) == {
        "viral",
        "pneumonia",
        "infection",
        "disease",
        "finding",
        "root",
    }
    assert keys(tiny.descendants(IDS["pneumonia"], include_self=True)) == {
        "pneumonia", "bacterial", "viral", "cap", "covid",
    }  # fmt: skip
    assert keys(tiny.roots) == {"root"}
    assert tiny.depth[tiny.index(IDS["covid"])] == 5


def test_relation_names_come_from_the_release_or_from_the_table(tiny):
    names = [tiny.relation_name(t) for t in tiny.relation_types]
    assert names[0] == "is a"
    assert tiny.relation_types[0] == IS_A
    assert set(names) == {"is a", "finding site", "causative agent", "interprets", "has interpretation"}
    with pytest.raises(ConceptNotFound, match="finding site"):
        tiny.relation_name(1)


def test_maps(tiny):
    assert keys(tiny.concepts_of("j18.9", "icd10")) == {"pneumonia"}
    assert keys(tiny.concepts_of("J99", "ICD-10")) == {"viral", "bacterial"}
    assert tiny.concepts_of("J18.9", "ICD-10-CM") == [] == tiny.map("J18", "ICD-10")
    assert keys(tiny.concepts_of("6690-2", "LOINC")) == {"wbc"}
    assert keys(tiny.concepts_of(str(IDS["covid"]), "SNOMED")) == {"covid"}
    assert tiny.concepts_of("7", "SNOMED") == []


def test_interpretations(tiny):
    assert tiny.find_interpretations() == {(IDS["wbc"], "above"): IDS["leukocytosis"]}


def test_paths(tiny):
    steps = tiny.path(IDS["cap"], IDS["bacterium"])
    assert [(s.relation_name, s.forward) for s in steps] == [
        ("is a", True), ("is a", False), ("causative agent", True),
    ]  # fmt: skip
    assert steps[0].source == IDS["cap"]
    assert steps[-1].target == IDS["bacterium"]
    assert len(tiny.path(IDS["cap"], IDS["bacterium"], ["is a"])) == 5
    assert tiny.path(IDS["cap"], IDS["wbc"], [SITE]) == [] == tiny.path(IDS["cap"], IDS["cap"])
    with pytest.raises(InputError, match="finding site"):
        tiny.path(IDS["cap"], IDS["wbc"], ["nonsense"])


def test_search(tiny):
    assert keys(tiny.search("pneum")) == {"pneumonia", "bacterial", "viral", "cap"}
    assert keys(tiny.search("pneumonia", limit=1)) == {"pneumonia"}
    assert keys(tiny.search("PNEUM bact")) == {"bacterial"}
    assert keys(tiny.search(str(IDS["covid"]))) == {"covid"}
    assert tiny.search("neumonia") == [] == tiny.search("  ")


def random_ontology(seed, size=300):
    """A random acyclic is-a with several parents, some roots, and attribute relations."""
    rng = np.random.default_rng(seed)
    pairs = {(c, int(rng.integers(c))) for c in range(3, size) for _ in range(rng.integers(0, 4))}
    other = {(int(a), int(b)) for a, b in rng.integers(size, size=(size // 2, 2))}
    rows = [(s + 1, t + 1, IS_A, 0) for s, t in pairs] + [(s + 1, t + 1, SITE, 1) for s, t in other]
    names = pl.DataFrame(
        {"sctid": np.arange(1, size + 1), "term": [f"c{i}" for i in range(size)]}
    ).with_columns(kind=pl.lit("synonym"), preferred=True, case_significance=pl.lit("ci"))
    relations = pl.DataFrame(rows, ["source", "target", "type", "group"], orient="row")
    concepts = fill(CONCEPTS, {"sctid": np.arange(1, size + 1)})
    parts = Parts(concepts=concepts, terms=names, relations=relations)
    result = assemble("random", parts, LoadReport())
    return result, pairs, other


@pytest.mark.parametrize("seed", range(4))
def test_closure_depth_and_paths_agree_with_networkx(seed):
    ontology, pairs, other = random_ontology(seed)
    graph = nx.DiGraph(pairs)
    graph.add_nodes_from(range(len(ontology)))
    closure = ontology.closure
    assert closure.dtype == bool
    assert closure.shape == (len(ontology), len(ontology))
    for node in range(len(ontology)):
        row = closure.indices[closure.indptr[node] : closure.indptr[node + 1]].tolist()
        assert row == sorted(nx.descendants(graph, node) | {node})
        assert (ontology.ancestors(node + 1, include_self=True) - 1).tolist() == row
        assert (ontology.descendants(node + 1) - 1).tolist() == sorted(nx.ancestors(graph, node))
    roots = [node for node in graph if graph.out_degree(node) == 0]
    assert (ontology.roots - 1).tolist() == sorted(roots)
    distance = nx.multi_source_dijkstra_path_length(graph.reverse(), set(roots))
    assert ontology.depth.tolist() == [distance[i] for i in range(len(ontology))]
    both = nx.Graph([*pairs, *other])
    both.add_nodes_from(graph)
    for a, b in np.random.default_rng(seed).integers(len(ontology), size=(40, 2)).tolist():
        steps = ontology.path(a + 1, b + 1)
        if a != b and nx.has_path(both, a, b):
            assert len(steps) == nx.shortest_path_length(both, a, b)
            walk = [a + 1, *(s.target if s.forward else s.source for s in steps)]
            assert walk[-1] == b + 1
            assert all(
                {s.source, s.target} == {p, q} or p == q
                for s, p, q in zip(steps, walk, walk[1:], strict=False)
            )
        else:
            assert steps == []
