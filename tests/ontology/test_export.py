import json
import random
import subprocess
import sys

import networkx as nx
import owlready2
import pytest
import rdflib
from rdflib import RDF, RDFS, SKOS

from mhdiff.cli import main
from ontology import InputError, export, load_rf2
from ontology.builtin import write_rf2
from ontology.identifiers import IS_A


def rows(folder, start):
    """The data rows of one RF2 file, split by hand: the count that does not go through the Ontology."""
    (file,) = folder.rglob(f"{start}*.txt")
    return [line.split("\t") for line in file.read_text("utf-8").splitlines()[1:]]


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    return write_rf2(tmp_path_factory.mktemp("rf2") / "builtin")


@pytest.fixture(scope="module")
def onto(release):
    return load_rf2(release, name="builtin")


@pytest.fixture(scope="module")
def facts(release):
    """Active relations of the files: {(source, type, target, group)}."""
    return {
        (int(r[4]), int(r[7]), int(r[5]), int(r[6]))
        for r in rows(release, "sct2_Relationship_")
        if r[2] == "1"
    }


@pytest.fixture(scope="module")
def is_a(facts):
    return {(source, target) for source, kind, target, _ in facts if kind == IS_A}


def number(iri):
    return int(str(iri).removeprefix(export.BASE))


def test_networkx_holds_every_concept_and_relation(onto, release, facts):
    graph = export.to_networkx(onto)
    assert set(graph.nodes) == {int(r[0]) for r in rows(release, "sct2_Concept_") if r[2] == "1"}
    assert {(s, d["relation"], t, d["group"]) for s, t, d in graph.edges(data=True)} == facts
    assert graph.number_of_edges() == len(facts)
    fsns = {int(r[4]): r[7] for r in rows(release, "sct2_Description_") if r[6] == "900000000000003001"}
    assert nx.get_node_attributes(graph, "fsn") == fsns
    assert {d["term"] for _, d in graph.nodes(data=True)} == {onto.term(s) for s in onto.sctids}
    assert all(d["name"] == onto.relation_name(d["relation"]) for *_, d in graph.edges(data=True))


def test_networkx_keeps_parallel_attributes(onto, facts):
    graph = export.to_networkx(onto)
    pairs = [(s, t) for s, _, t, _ in facts]
    several = {pair: n for pair in pairs if (n := pairs.count(pair)) > 1}
    assert several
    assert {pair: graph.number_of_edges(*pair) for pair in several} == several


def test_networkx_agrees_with_ancestors(onto):
    graph = export.to_networkx(onto)
    up = nx.DiGraph((s, t) for s, t, d in graph.edges(data=True) if d["name"] == "is a")
    for sctid in random.Random(0).sample(onto.sctids.tolist(), 100):
        assert nx.descendants(up, sctid) == set(onto.ancestors(sctid).tolist())


def test_graphml_is_read_back(onto, facts, tmp_path):
    path = export.write_graphml(onto, tmp_path / "o.graphml")
    back = nx.read_graphml(path, node_type=int, force_multigraph=True)
    assert {(s, d["relation"], t, d["group"]) for s, t, d in back.edges(data=True)} == facts
    assert back.number_of_edges() == len(facts)
    sctid = int(onto.sctids[-1])
    assert back.nodes[sctid] == {"fsn": onto.fsn(sctid), "term": onto.term(sctid)}


def test_turtle_is_read_back(onto, release, facts, is_a, tmp_path):
    path = export.write_turtle(onto, tmp_path / "o.ttl")
    back = rdflib.Graph().parse(path)
    assert {(number(s), number(t)) for s, t in back.subject_objects(SKOS.broader)} == is_a
    roles = {number(role) for role in back.subjects(RDF.type, RDF.Property)}
    assert roles == {kind for _, kind, _, _ in facts} - {IS_A}
    said = {(number(s), k, number(t)) for k in roles for s, t in back[: rdflib.URIRef(f"{export.BASE}{k}")]}
    assert said == {(s, k, t) for s, k, t, _ in facts if k != IS_A}
    synonyms = {(int(r[4]), r[7]) for r in rows(release, "sct2_Description_") if r[6] == "900000000000013009"}
    labels = [{(number(s), str(o)) for s, o in back[:p]} for p in (SKOS.prefLabel, SKOS.altLabel)]
    assert labels[0] | labels[1] == synonyms
    assert not labels[0] & labels[1]
    assert len(labels[0]) == len(onto) == len(set(back.subjects(RDFS.label)))


def test_turtle_maps_claim_no_equivalence(onto, release, tmp_path):
    back = rdflib.Graph().parse(export.write_turtle(onto, tmp_path / "o.ttl"))
    got = {
        (number(s), str(code), str(code.datatype))
        for s, node in back[: SKOS.mappingRelation]
        for code in back[node : SKOS.notation]
    }
    icd = {(int(r[5]), r[10]) for r in rows(release, "der2_iisssccRefset_ExtendedMap")}
    loinc = {(int(r[5]), r[6]) for r in rows(release, "der2_sRefset_SimpleMap")}
    wanted = {(*pair, "http://hl7.org/fhir/sid/icd-10") for pair in icd}
    assert got == wanted | {(*pair, "http://loinc.org") for pair in loinc}
    assert not list(back[: SKOS.exactMatch])


def flat(said):
    """Give the attribute restrictions of an axiom's right side, those inside a role group too."""
    if isinstance(said, owlready2.And):
        return [r for part in said.Classes for r in flat(part)]
    if not isinstance(said, owlready2.Restriction):
        return []
    return flat(said.value) if "609096000" in said.property.iri else [said]


def test_owl_is_read_back(onto, facts, is_a, tmp_path):
    known = len(owlready2.default_world.graph), set(owlready2.default_world.ontologies)
    path = export.write_owl(onto, tmp_path / "o.owl")
    assert (len(owlready2.default_world.graph), set(owlready2.default_world.ontologies)) == known
    world = owlready2.World()
    back = world.get_ontology(path.as_uri()).load()
    classes = list(back.classes())
    assert len(classes) == len(onto)
    pairs = [
        (number(c.iri), number(p.iri))
        for c in classes
        for p in c.is_a
        if isinstance(p, owlready2.ThingClass) and p is not owlready2.Thing
    ]
    assert len(pairs) == len(is_a)
    assert set(pairs) == is_a
    some = [(c, r) for c in classes for said in (*c.is_a, *c.equivalent_to) for r in flat(said)]
    got = {
        (number(c.iri), int(r.property.iri.removeprefix(export.BASE).split("#")[0]), number(r.value.iri))
        for c, r in some
        if r.type == owlready2.SOME
    }
    assert got == {(s, k, t) for s, k, t, _ in facts if k != IS_A}
    assert len(some) == len([f for f in facts if f[1] != IS_A])  # one in each role group
    assert {number(c.iri): [str(text) for text in c.label] for c in classes} == {
        s: [onto.fsn(s)] for s in onto.sctids.tolist()
    }
    terms = [back.world[f"{SKOS}{name}"] for name in ("prefLabel", "altLabel")]
    for c in classes:
        assert [str(text) for text in terms[0][c]] == [onto.term(number(c.iri))]
        assert {str(text) for text in (*terms[0][c], *terms[1][c])} == set(onto.synonyms(number(c.iri)))
    names = {
        int(p.iri.removeprefix(export.BASE).split("#")[0]): [str(text) for text in p.label]
        for p in back.object_properties()
    }
    names.pop(609096000, None)  # the role group itself
    assert names == {kind: [onto.relation_name(kind)] for kind in onto.relation_types.tolist()[1:]}
    world.close()


@pytest.mark.parametrize("form", sorted(export.FORMATS))
def test_the_same_ontology_gives_the_same_bytes(tiny, form, tmp_path):
    def written(name):
        path = export.FORMATS[form](tiny, tmp_path / name)
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        return [(p.relative_to(path).as_posix(), p.read_bytes()) for p in files]

    first, again = written("a"), written("b")
    assert first
    assert first == again
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]  # nothing temporary stays


def test_a_folder_in_the_way_is_refused_and_kept(tiny, tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        export.write_turtle(tiny, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_importing_the_module_imports_no_library():
    code = "import sys, ontology.export; print({'networkx', 'rdflib', 'owlready2'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


@pytest.mark.parametrize(
    ("form", "sign"), [("turtle", "skos:"), ("owl", "owl:Class"), ("graphml", "<graphml")]
)
def test_command(form, sign, tmp_path, capsys):
    out = tmp_path / "sub" / "o"
    assert main(["ontology", "export", "builtin", "--format", form, "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["file"] == str(out)
    assert sign in out.read_text("utf-8")


def test_command_ends_with_2(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    ask = ["ontology", "export", "builtin", "--out"]
    assert main([*ask, str(tmp_path / "file" / "o"), "--format", "graphml"]) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert main([*ask, str(tmp_path / "o"), "--format", "msword"]) == 2
    assert "msword" in capsys.readouterr().err
    assert main(["ontology", "export", "nowhere", "--out", str(tmp_path / "o"), "--format", "owl"]) == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]
