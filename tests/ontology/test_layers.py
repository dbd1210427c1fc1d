"""Layers over a base: what they add, replace and take back, and that two ways to the same content agree."""

import json
import shutil
import subprocess
import sys

import polars as pl
import pytest
import tiny_release
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_release import AGENT, IDS, LANGUAGE, RELATIONSHIP, SITE

from mhdiff.cli import main
from ontology import InputError, Layer, LoadReport, Ontology, Parts, codes, extend, load, load_rf2
from ontology.assemble import assemble
from ontology.disassemble import disassemble
from ontology.layers import lay
from tests.needs import missing
from tests.searches import examples

NODES = f"""id,name,synonyms,parents
MYLAB:1,Post-viral pneumonia,PVP|pneumonia after virus,{IDS["viral"]}
MYLAB:2,Silent hypoxia,,{IDS["finding"]}|MYLAB:404
{IDS["cough"]},Coughing,tussis,
"""
EDGES = f"""source,target,type,group,active
MYLAB:1,{IDS["lung"]},finding site,1,
{IDS["bacterial"]},{IDS["above"]},MYLAB:grade,1,
{IDS["pneumonia"]},{IDS["lung"]},finding site,9,
MYLAB:1,{IDS["pneumonia"]},,,
{IDS["cap"]},{IDS["pneumonia"]},is a,,no
{IDS["cap"]},{IDS["bacterial"]},is a,,
"""


def tables(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


def counts(ontology):
    return {what: change["count"] for what, change in ontology.layers[-1]["changes"].items()}


def key(ontology, code):
    return int(ontology.sctids[ontology.index(code)])


def same_groups(ontology, sctid):
    relations = ontology.relations
    rows = (relations.source == ontology.index(sctid)).nonzero()[0]
    types, targets = ontology.relation_types[relations.type[rows]], ontology.sctids[relations.target[rows]]
    return set(zip(types.tolist(), targets.tolist(), relations.group[rows].tolist(), strict=True))


def test_nothing_laid_over_changes_nothing(tiny):
    extended = extend(tiny, Parts())
    assert extended.fingerprint == tiny.fingerprint
    assert counts(extended) == {}
    assert [layer["name"] for layer in extended.layers] == ["tiny", "layer made in Python"]


def test_tables_add_replace_and_take_back(tiny, tmp_path):
    before = tiny.fingerprint
    extended = extend(tiny, tables(tmp_path / "own", nodes=NODES, edges=EDGES))
    own = key(extended, "MYLAB:1")
    assert tiny.fingerprint == before
    assert len(extended) == len(tiny) + 2
    assert IDS["viral"] in extended.ancestors(own)
    assert extended.search("pneumonia after")[0] == own
    assert extended.term(IDS["cough"]) == "Coughing"
    assert extended.fsn(IDS["cough"]) == "Cough (finding)"
    assert extended.synonyms(IDS["cough"]) == ["Coughing", "tussis", "Cough"]
    # group 1 is taken in the base, so the layer's group 1 becomes a number that is free
    grade = codes.key("MYLAB:grade")
    assert same_groups(extended, IDS["bacterial"]) == same_groups(tiny, IDS["bacterial"]) | {
        (grade, IDS["above"], 3)
    }
    # and a group that says what a group of the base says is that group
    assert same_groups(extended, IDS["pneumonia"]) == same_groups(tiny, IDS["pneumonia"])
    assert extended.parents(IDS["cap"]).tolist() == [IDS["bacterial"]]
    assert counts(extended) == {
        "new concepts": 2, "relations taken back": 1, "dangling relations": 1, "new relations": 6,
        "names without a semantic tag, left to the base's": 1, "new terms": 8, "preferred terms replaced": 1,
        "redundant is-a of the layer": 1,
    }  # fmt: skip
    layer = extended.layers[1]
    assert (layer["name"], layer["format"], layer["concepts"]) == ("own", "tables", 2)
    assert extended.details.filter(pl.col("layer") == 1).height == 2
    assert "MYLAB:404" in layer["changes"]["dangling relations"]["examples"][0]
    assert "'Cough', now 'Coughing'" in layer["changes"]["preferred terms replaced"]["examples"][0]
    again = Ontology.open(extended.save(tmp_path / "saved"))
    assert again.layers == extended.layers
    assert again.fingerprint == extended.fingerprint


def test_a_layer_twice_is_a_layer_once(tiny, tmp_path):
    own = tables(tmp_path / "own", nodes=NODES, edges=EDGES)
    once = extend(tiny, own)
    twice = extend(once, own)
    assert twice.fingerprint == once.fingerprint
    assert set(counts(twice)) <= {
        "dangling relations", "relations taken back that were not there",
        "names without a semantic tag, left to the base's",
    }  # fmt: skip


def test_layers_one_by_one_or_together(tiny, tmp_path):
    first = tables(tmp_path / "a", nodes=NODES)
    second = tables(tmp_path / "b", edges=EDGES)
    together = extend(tiny, first, second)
    assert extend(extend(tiny, first), second).fingerprint == together.fingerprint
    assert [layer["name"] for layer in together.layers] == ["tiny", "a", "b"]
    assert together.name == "tiny + a + b"
    assert extend(tiny, tables(tmp_path / "a", edges=EDGES)).fingerprint == together.fingerprint


def upward_closed(ontology, chosen):
    """The chosen concepts with everything that they point to, on and on."""
    relations, inside = ontology.relations, set(chosen)
    while True:
        more = {
            t
            for s, t in zip(relations.source.tolist(), relations.target.tolist(), strict=True)
            if s in inside
        } - inside
        if not more:
            return {int(ontology.sctids[node]) for node in inside}
        inside |= more


def restricted(parts, chosen, *, to):
    """The parts of some concepts (`to`), or of all others."""
    ids = pl.Series(sorted(chosen), dtype=pl.Int64).implode()

    def kept(frame, column):
        inside = pl.col(column).is_in(ids)
        return frame.filter(inside if to else ~inside)

    terms = kept(parts.terms, "sctid")
    return Parts(
        concepts=kept(parts.concepts, "sctid"), terms=terms, relations=kept(parts.relations, "source"),
        maps=kept(parts.maps, "sctid"), dialects=parts.dialects.join(terms, on="id", how="semi"),
    )  # fmt: skip


@settings(
    max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(chosen=st.sets(st.integers(0, 23), min_size=1))
def test_a_terminology_cut_in_two_comes_together_again(tiny, chosen):
    whole = disassemble(tiny)
    below = upward_closed(tiny, chosen)
    base = assemble("base", restricted(whole, below, to=True), LoadReport())
    rest = restricted(whole, below, to=False)
    assert extend(base, rest).fingerprint == tiny.fingerprint


@pytest.fixture(scope="module")
def edition(shared, tmp_path_factory):
    out = tmp_path_factory.mktemp("s") / "s"
    subprocess.run(
        [sys.executable, str(shared / "tools/make_rf2.py"), "--out", str(out), "--scale", "0.01", "--extension", "40",
         "--stray-quotes", "4"], check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return sorted(out.iterdir(), key=lambda p: "International" not in p.name)


def test_an_rf2_extension_laid_over_is_that_read_with_its_edition(edition, tmp_path):
    together = load_rf2(edition)
    base = load_rf2(edition[0])
    extended = extend(base, edition[1])
    assert extended.fingerprint == together.fingerprint
    over_opened = extend(Ontology.open(base.save(tmp_path / "base")), edition[1])
    assert over_opened.fingerprint == together.fingerprint
    assert counts(extended)["deactivated concepts"] == 5  # planted
    assert counts(extended)["terms taken back"] == 50
    assert extended.layers[1]["version"] == "20250901"


def test_a_delta_alone_takes_back_and_replaces(release, tmp_path, tiny):
    files, _ = release
    rows = {
        row[7]: row
        for row in files["Snapshot/Terminology/sct2_Description_Snapshot-en_TINY_20260101.txt"][1:]
    }
    edge = next(row for row in files[RELATIONSHIP][1:] if row[4] == IDS["cap"])
    site = next(row for row in files[RELATIONSHIP][1:] if (row[4], row[7]) == (IDS["bacterial"], SITE))
    spoken = next(row for row in files[LANGUAGE][1:] if row[5] == rows["Lung infection"][0])
    was = next(row for row in files[LANGUAGE][1:] if row[5] == rows["Pneumonia"][0])
    later = "20260701"
    delta = {
        "Delta/Terminology/sct2_Description_Delta-en_TINY_20260701.txt": [
            files["Snapshot/Terminology/sct2_Description_Snapshot-en_TINY_20260101.txt"][0],
            [*rows["Pyrexia"][:1], later, 0, *rows["Pyrexia"][3:]],
            [*rows["Fever"][:1], later, 1, *rows["Fever"][3:7], "Raised temperature", rows["Fever"][8]],
        ],
        "Delta/Terminology/sct2_Relationship_Delta_TINY_20260701.txt": [
            files[RELATIONSHIP][0],
            [edge[0], later, 0, *edge[3:]],
            [edge[0] + 10**6, later, 1, *edge[3:5], IDS["bacterial"], *edge[6:]],
            [site[0], later, 1, *site[3:6], 2, *site[7:]],
        ],
        "Delta/Refset/Language/der2_cRefset_LanguageDelta-en_TINY_20260701.txt": [
            files[LANGUAGE][0],
            [spoken[0], later, 1, *spoken[3:6], tiny_release.PREFERRED],
            [was[0], later, 1, *was[3:6], tiny_release.ACCEPTABLE],
        ],
    }
    folder = tiny_release.write(tmp_path / "delta", delta)
    edition = tiny_release.write(tmp_path / "edition", files)
    extended, changes = lay(tiny, Layer.read(folder, tiny))
    assert extended.fingerprint == load_rf2([edition, folder]).fingerprint
    assert extended.parents(IDS["cap"]).tolist() == [IDS["bacterial"]]
    assert extended.synonyms(IDS["fever"]) == ["Raised temperature"]
    assert extended.term(IDS["pneumonia"]) == "Lung infection"
    assert (AGENT, IDS["bacterium"], 2) in same_groups(extended, IDS["bacterial"])
    assert (SITE, IDS["lung"], 2) in same_groups(extended, IDS["bacterial"])
    assert changes.counts() == {
        "relations taken back": 1, "relations replaced": 1, "new relations": 1, "terms taken back": 1,
        "terms replaced": 1, "new terms": 1,
    }  # fmt: skip


def test_concepts_are_deactivated_and_mentions_wake_nobody(tiny, tmp_path):
    nodes = f"id,name,active\n{IDS['asthma']},,no\n{IDS['viral']},,no\n"
    history = f"id,target,association\n{IDS['asthma']},{IDS['disease']},replaced by\n"
    extended = extend(tiny, tables(tmp_path / "own", nodes=nodes, history=history))
    assert IDS["asthma"] not in extended
    assert extended.normalise(IDS["asthma"]).targets[0].sctid == IDS["disease"]
    assert "Asthma" in extended.inactive_terms["term"].to_list()
    assert counts(extended) == {
        "deactivated concepts": 2, "relations lost with a deactivated concept": 4,
        "maps lost with a deactivated concept": 2, "new historical associations": 1,
        "concepts without a parent": 1,
    }  # fmt: skip
    assert extended.roots.tolist() == sorted([IDS["root"], IDS["covid"]])
    mention = tables(tmp_path / "more", nodes=f"id,name\n{IDS['asthma']},Asthma\n")
    again = extend(extended, mention)
    assert IDS["asthma"] not in again
    assert counts(again) == {"mentions of inactive concepts": 1}
    woken = Parts(concepts=pl.DataFrame({"sctid": [IDS["asthma"]], "module": [tiny_release.MODULE]}))
    assert IDS["asthma"] in extend(extended, woken)
    older = Parts(
        inactive=pl.DataFrame({"sctid": [IDS["fever"]], "module": [1], "effective_time": [20200101]})
    )
    late = extend(tiny, older)
    assert IDS["fever"] in late
    assert counts(late) == {"states older than the base's": 1}


def test_maps_are_added_replaced_and_taken_back(tiny, tmp_path):
    mappings = (
        f"id,system,code,confidence,active\n{IDS['fever']},ICD-10,R50.9,0.9,\n{IDS['viral']},icd10,J129,,no\n"
        f"{IDS['cough']},ICD-10,R05,,no\n424242424242,ICD-10,R99,,\n"
    )
    extended = extend(tiny, tables(tmp_path / "own", mappings=mappings))
    assert extended.concepts_of("R50.9", "ICD-10") == [IDS["fever"]]
    assert extended.concepts_of("J12.9", "ICD-10") == []
    assert counts(extended) == {
        "maps taken back": 1, "maps taken back that were not there": 1, "dangling maps": 1, "new maps": 1,
    }  # fmt: skip
    surer = extend(
        extended, tables(tmp_path / "own", mappings=mappings.replace(",0.9,", ",0.5,").split("\n424")[0])
    )
    assert surer.map("R50.9", "ICD-10")[0].confidence == 0.5
    assert counts(surer)["maps replaced"] == 1


LAYERS = {
    "own.obo": "format-version: 1.4\n\n[Term]\nid: MYLAB:1\nname: own disease\nis_a: {parent}\n",
    "own.ttl": "@prefix skos: <http://www.w3.org/2004/02/skos/core#> .\n"
    "<http://purl.obolibrary.org/obo/MYLAB_1> a skos:Concept ; skos:prefLabel 'own disease' ; "
    "skos:broader <{iri}> .\n",
    "own.ofn": "Prefix(rdfs:=<http://www.w3.org/2000/01/rdf-schema#>)\nOntology(<http://example.org/own>\n"
    "Declaration(Class(<http://purl.obolibrary.org/obo/MYLAB_1>))\n"
    'AnnotationAssertion(rdfs:label <http://purl.obolibrary.org/obo/MYLAB_1> "own disease")\n'
    "SubClassOf(<http://purl.obolibrary.org/obo/MYLAB_1> <{iri}>)\n)\n",
    "own.json": '{{"graphs": [{{"id": "http://example.org/own", "nodes": [{{"id": '
    '"http://purl.obolibrary.org/obo/MYLAB_1", "lbl": "own disease", "type": "CLASS"}}], "edges": [{{"sub": '
    '"http://purl.obolibrary.org/obo/MYLAB_1", "pred": "is_a", "obj": "{iri}"}}]}}]}}',
    "nodes.csv": "id,name,parents\nMYLAB:1,own disease,{parent}\n",
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_may_have_any_format(shared, tmp_path, name):
    base = load(shared / "data/ontologies/DO_RAD_slim.obo")
    parent = next(code for code in map(base.identifier, base.sctids.tolist()) if code.startswith("DOID:"))
    iri = "http://purl.obolibrary.org/obo/" + parent.replace(":", "_")
    path = tmp_path / name
    path.write_text(LAYERS[name].format(parent=parent, iri=iri))
    extended = extend(base, path)
    assert len(extended) == len(base) + 1
    own = key(extended, "MYLAB:1")
    assert extended.term(own) == "own disease"
    assert [extended.identifier(p) for p in extended.parents(own).tolist()] == [parent]
    assert extended.term(key(base, parent)) == base.term(key(base, parent))
    assert set(counts(extended)) - {"new axioms"} == {"new concepts", "new relations", "new terms"}


def test_sssom_is_a_layer_of_maps(shared):
    base = load(shared / "data/ontologies/DO_infectious_disease_slim.obo")
    path = shared / "data/mappings/mondo_exactmatch_doid.sssom.tsv"
    extended = extend(base, path)
    ours = {base.identifier(sctid) for sctid in base.sctids.tolist()}
    rows = [line.split("\t") for line in path.read_text().splitlines() if line.startswith("MONDO:")]
    expected = {(row[0], row[3]) for row in rows if row[3] in ours}
    assert counts(extended)["new maps"] == len(expected)
    dropped = extended.layers[1]["report"]["dropped"]["map"]
    of_inactive = counts(extended)["dangling maps"]
    asleep = {base.identifier(sctid) for sctid in base.inactive["sctid"].to_list()}
    assert of_inactive == sum(row[3] in asleep for row in rows)
    assert sum(dropped.values()) == len(rows) - len(expected) - of_inactive
    mondo, doid = sorted(expected)[0]
    (mapped,) = extended.map(mondo, "MONDO")
    assert extended.identifier(mapped.sctid) == doid
    assert mapped.predicate == "skos:exactMatch"


def test_a_circle_is_refused_and_names_the_layer(tiny, tmp_path, capsys):
    folder = tables(tmp_path / "own", edges=f"source,target\n{IDS['disease']},{IDS['covid']}\n")
    with pytest.raises(InputError, match=r"own: is-a goes in circles: .*COVID-19") as caught:
        extend(tiny, folder)
    assert caught.value.path == folder
    source = tiny_release.write(tmp_path / "tiny")
    out = tmp_path / "out"
    assert main(["ontology", "build", str(source), "--extend", str(folder), "--out", str(out)]) == 2
    assert "goes in circles" in capsys.readouterr().err
    assert not out.exists()


def test_strict_refuses_what_an_author_may_not_have_meant(tiny, tmp_path):
    own = tables(tmp_path / "own", nodes=NODES)
    with pytest.raises(InputError, match=r"own: strict, and layer 'own' has problems: 1 dangling relations"):
        extend(tiny, own, strict=True)
    fine = tables(tmp_path / "fine", nodes=NODES.replace("|MYLAB:404", ""))
    assert len(extend(tiny, fine, strict=True)) == len(tiny) + 2


def test_is_a_that_a_layer_makes_redundant(tiny, tmp_path):
    edges = f"source,target\n{IDS['cough']},{IDS['disease']}\n"
    extended, changes = lay(tiny, Layer.read(tables(tmp_path / "own", edges=edges), tiny))
    assert changes.tables["is-a made redundant"].rows() == [(IDS["cough"], IDS["finding"])]
    assert IDS["finding"] in extended.parents(IDS["cough"])  # noted, not removed


def test_the_command_line_extends(tmp_path, capsys):
    source = tiny_release.write(tmp_path / "tiny")
    a, b = tables(tmp_path / "a", nodes=NODES), tables(tmp_path / "b", edges=EDGES)
    out = tmp_path / "o"
    arguments = ["--extend", str(a), "--extend", str(b), "--out", str(out), "--json"]
    assert main(["ontology", "build", str(source), *arguments]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [layer["name"] for layer in document["layers"]] == ["tiny", "a", "b"]
    assert document["layers"][1]["changes"]["new concepts"]["count"] == 2
    assert main(["ontology", "info", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "layer            a (tables)" in shown
    assert "1 dangling relations" in shown
    more = tables(tmp_path / "c", nodes="id,name,parents\nMYLAB:7,Seventh,MYLAB:1\n")
    assert (
        main(["ontology", "build", str(out), "--extend", str(more), "--out", str(out), "--name", "mine"]) == 0
    )
    assert main(["ontology", "ancestors", str(out), "MYLAB:7"]) == 0
    assert "Post-viral pneumonia" in capsys.readouterr().out
    assert Ontology.open(out).name == "mine"
    assert (
        main(["ontology", "build", str(source), "--extend", str(tmp_path / "none"), "--out", str(out)]) == 2
    )
    assert "no such file" in capsys.readouterr().err
    assert Ontology.open(out).name == "mine"


OWL_LAYER = """Prefix(:=<http://snomed.info/id/>)
Prefix(rdfs:=<http://www.w3.org/2000/01/rdf-schema#>)
Ontology(<http://example.org/own>
{axioms}
{labels})
"""
LABEL = 'Declaration(Class({0}))\nAnnotationAssertion(rdfs:label {0} "{1}")\n'
LUNG_DISEASE = "<http://purl.obolibrary.org/obo/MYLAB_1>"
CAVITY = "<http://purl.obolibrary.org/obo/MYLAB_2>"


def owl_layer(path, *axioms):
    labels = LABEL.format(LUNG_DISEASE, "disease of the lung") + LABEL.format(CAVITY, "cavity")
    path.write_text(OWL_LAYER.format(axioms="\n".join(axioms), labels=labels))
    return path


@pytest.fixture
def java():
    if shutil.which("java") is None:
        missing("HermiT needs Java, which is not installed")


SOME_LUNG = f"ObjectSomeValuesFrom(:609096000 ObjectSomeValuesFrom(:{SITE} :{IDS['lung']}))"


def test_a_definition_in_a_layer_finds_its_place_in_the_base(tiny, tmp_path, java):
    definition = f"EquivalentClasses({LUNG_DISEASE} ObjectIntersectionOf(:{IDS['disease']} {SOME_LUNG}))"
    below = f"SubClassOf({CAVITY} ObjectIntersectionOf(:{IDS['infection']} {SOME_LUNG}))"
    layer = owl_layer(tmp_path / "own.ofn", definition, below)
    stated = extend(tiny, layer)
    inferred = extend(tiny, layer, reasoner="hermit")
    lung_disease, cavity = (key(stated, f"MYLAB:{n}") for n in (1, 2))
    assert IDS["pneumonia"] not in stated.descendants(lung_disease)
    # pneumonia has the lung as its site, so it falls under the definition; and so does the layer's own concept
    assert lung_disease in inferred.parents(IDS["pneumonia"])
    assert sorted(inferred.parents(cavity).tolist()) == sorted([IDS["infection"], lung_disease])
    assert inferred.parents(lung_disease).tolist() == [IDS["disease"]]
    # a concept that no axiom is about keeps its parents, and what became redundant is told
    assert IDS["disease"] in inferred.parents(IDS["pneumonia"])
    assert "|Pneumonia| -- is a -> " in str(inferred.layers[1]["changes"]["is-a made redundant"]["examples"])
    assert counts(inferred)["inferred is-a"] >= 2
    assert "MYLAB:1 |disease of the lung|" in str(inferred.layers[1]["changes"]["inferred is-a"]["examples"])
    assert inferred.term(IDS["pneumonia"]) == "Pneumonia"
    assert inferred.maps.height == tiny.maps.height


def test_what_only_describes_is_classified_with_what_it_needs(tiny, tmp_path, java):
    layer = owl_layer(
        tmp_path / "own.ofn",
        f"SubClassOf({CAVITY} ObjectIntersectionOf(:{IDS['bacterial']} :{IDS['infection']} {SOME_LUNG}))",
        f"SubClassOf({LUNG_DISEASE} :{IDS['disease']})",
    )
    inferred = extend(tiny, layer, reasoner="hermit")
    assert inferred.parents(key(inferred, "MYLAB:2")).tolist() == [IDS["bacterial"]]  # infection is above it
    assert counts(inferred)["is-a replaced by inferred ones"] == 1
    assert "redundant is-a of the layer" not in counts(inferred)
    same = [
        sctid
        for sctid in tiny.sctids.tolist()
        if tiny.parents(sctid).tolist() != inferred.parents(sctid).tolist()
    ]
    assert same == []


def test_the_command_line_classifies(tiny, tmp_path, capsys, java):
    source = tiny_release.write(tmp_path / "tiny")
    impossible = f"SubClassOf({CAVITY} ObjectIntersectionOf(:{IDS['cough']} :{IDS['fever']}))"
    apart = f"DisjointClasses(:{IDS['cough']} :{IDS['fever']})"
    layer = owl_layer(tmp_path / "own.ofn", impossible, apart)
    out = tmp_path / "o"
    arguments = [
        "ontology",
        "build",
        str(source),
        "--extend",
        str(layer),
        "--out",
        str(out),
        "--classify",
        "hermit",
    ]
    assert main(arguments) == 0
    assert "1 unsatisfiable concepts" in capsys.readouterr().out
    with pytest.raises(InputError, match="1 unsatisfiable concepts"):
        extend(tiny, layer, strict=True, reasoner="hermit")
    fine = owl_layer(tmp_path / "own.ofn", f"SubClassOf({CAVITY} :{IDS['cough']})")
    assert main(["ontology", "build", str(source), "--extend", str(fine), "--out", str(out)]) == 0
    capsys.readouterr()
    assert main(["ontology", "build", str(out), "--classify", "hermit", "--out", str(out)]) == 0
    assert "classified       own.ofn by hermit: 0 inferred is-a" in capsys.readouterr().out
    assert main(["ontology", "build", str(out), "--classify", "guess", "--out", str(out)]) == 2
    assert "there is no reasoner 'guess'" in capsys.readouterr().err
