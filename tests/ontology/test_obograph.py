"""The OBO graph reader and writer: against a plain walk of the JSON, against OBO, and round trips."""

import json

import pytest
from test_obo import SLIMS, TEXTS, awkward, load, said

from ontology import InputError, load_rf2
from ontology.builtin import write_rf2
from ontology.codes import canonical, key
from ontology.identifiers import IS_A
from ontology.readers import obo, obograph
from ontology.report import LoadReport
from ontology.writers import obograph as writer


def read(tmp_path, document):
    path = tmp_path / "x.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return load(obograph, path)


def graph(**content):
    return {"graphs": [{"id": "x", **content}]}


NODE = {"id": "A:1", "lbl": "one", "type": "CLASS"}


@pytest.mark.parametrize("name", SLIMS)
def test_a_slim_agrees_with_a_plain_walk(shared, name):
    path = shared / f"data/ontologies/{name}.json"
    (content,) = json.loads(path.read_text(encoding="utf-8"))["graphs"]
    classes = [node for node in content["nodes"] if node["type"] == "CLASS"]
    onto = load(obograph, path)
    assert {onto.identifier(s): onto.fsn(s) for s in onto.sctids.tolist()} == {
        canonical(node["id"]): node["lbl"] for node in classes
    }
    edges = {(canonical(edge["sub"]), canonical(edge["obj"])) for edge in content["edges"]}
    assert edges == {
        (onto.identifier(s), onto.identifier(p))
        for s in onto.sctids.tolist()
        for p in onto.parents(s).tolist()
    }
    assert onto.report.problems() == []


@pytest.mark.parametrize("name", SLIMS)
def test_both_spellings_of_a_slim_say_the_same(shared, name):
    folder = shared / "data/ontologies"
    assert said(load(obograph, folder / f"{name}.json")) == said(load(obo, folder / f"{name}.obo"))


def test_the_builtin_terminology_survives(tmp_path):
    onto = load_rf2(write_rf2(tmp_path / "builtin"))
    assert said(load(obograph, writer.write(onto, tmp_path / "x.json"))) == said(onto)


def test_the_disease_ontology_survives(shared, tmp_path):
    onto = load_rf2(shared / "data/rf2/disease-ontology")
    assert said(load(obograph, writer.write(onto, tmp_path / "x.json"))) == said(onto)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("code", ["MESH:D1", "IRI:http://a.b/c", ":plain", 'Q:a"{}!\\,[]', ":a:b"])
def test_awkward_texts_and_codes_survive(tmp_path, text, code):
    onto = awkward(text, code)
    assert said(load(obograph, writer.write(onto, tmp_path / "x.json"))) == said(onto)


def test_definitions_by_logic_and_properties(tmp_path):
    nodes = [{"id": f"A:{n}", "lbl": str(n), "type": "CLASS"} for n in (1, 2, 3)]
    part = "http://purl.obolibrary.org/obo/BFO_0000050"
    nodes += [
        {"id": part, "lbl": "part of", "type": "PROPERTY"},
        {"id": "I:1", "type": "INDIVIDUAL"},
        {"id": "B:1"},
    ]
    axiom = {
        "definedClassId": "A:1",
        "genusIds": ["A:2"],
        "restrictions": [{"propertyId": part, "fillerId": "A:3"}],
    }
    edges = [{"sub": "A:1", "pred": "is_a", "obj": "A:2"}, {"sub": "I:1", "pred": "type", "obj": "A:1"}]
    onto = read(
        tmp_path,
        graph(
            nodes=nodes, edges=edges, logicalDefinitionAxioms=[axiom], equivalentNodesSets=[{"nodeIds": []}]
        ),
    )
    one = key("A:1")
    assert said(onto)["relations"] == sorted(
        [(one, IS_A, key("A:2"), 0), (one, key("BFO:0000050"), key("A:3"), 0)]
    )
    assert (one, True) in said(onto)["concepts"]
    assert onto.relation_name(key("BFO:0000050")) == "part of"
    assert onto.report.dropped == {
        "instance": {"instances are no concepts": 1},
        "node": {"it is only spoken of": 1},
        "edge": {"it is not between two classes": 1},
        "axiom": {"equivalentNodesSets are not used": 1},
    }
    assert onto.report.rows["intersection"] == {"read": 2, "active": 2, "used": 1}


def test_equal_nodes_of_two_graphs_are_one(tmp_path):
    onto = read(tmp_path, {"graphs": [{"nodes": [NODE]}, {"nodes": [NODE]}]})
    assert len(onto) == 1
    assert onto.report.tolerated["node that occurs again, equal to the first"] == 1


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", r"at \$: there is no list 'graphs'"),
        ({"graphs": {}}, r"at \$\.graphs: this is an object and should be a list"),
        (graph(nodes=[1]), r"at \$\.graphs\[0\]\.nodes\[0\]: this is a number and should be an object"),
        (graph(nodes=[{}]), r"nodes\[0\]\.id: this is missing and should be text"),
        (graph(nodes=[NODE, {**NODE, "lbl": "two"}]), r"nodes\[1\]: 'A:1' is there already.*nodes\[0\]"),
        (graph(nodes=[{**NODE, "type": "THING"}]), r"nodes\[0\]\.type: 'THING' is no type"),
        (graph(nodes=[{**NODE, "meta": {"deprecated": 1}}]), r"meta\.deprecated: this is a number"),
        (
            graph(nodes=[{**NODE, "meta": {"synonyms": [{"pred": "x", "val": "y"}]}}]),
            r"synonyms\[0\]\.pred: 'x'",
        ),
        (graph(nodes=[NODE], edges=[{"sub": "A:1", "pred": "is_a"}]), r"edges\[0\]\.obj: this is missing"),
    ],
)
def test_an_error_names_the_place(tmp_path, document, problem):
    with pytest.raises(InputError, match=problem) as caught:
        read(tmp_path, document)
    assert caught.value.path == tmp_path / "x.json"


def test_a_wrong_role_group_names_its_edge(tmp_path):
    meta = {"basicPropertyValues": [{"pred": "group", "val": "x"}]}
    edge = {"sub": "A:1", "pred": "is_a", "obj": "A:1", "meta": meta}
    with pytest.raises(InputError, match=r"the group 'x' in '\$\.graphs\[0\]\.edges\[0\]'"):
        read(tmp_path, graph(nodes=[NODE], edges=[edge]))


def test_a_file_is_recognised(tmp_path):
    path = tmp_path / "x.json"
    for text, expected in (('\ufeff{ "graphs": []}', True), ('{"nodes": []}', False), ("graphs", False)):
        path.write_text(text, encoding="utf-8")
        assert obograph.recognises(path) == expected
    assert not obograph.recognises(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        obograph.read(tmp_path, LoadReport())
