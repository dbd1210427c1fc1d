"""The OBO reader and writer: against plain line counting and obonet, and round trips."""

import re
import sys

import obonet
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ontology import InputError, load_rf2
from ontology.assemble import assemble
from ontology.builtin import write_rf2
from ontology.codes import FIRST, Keys, key
from ontology.disassemble import disassemble
from ontology.identifiers import IS_A, MOVED_TO, POSSIBLY_EQUIVALENT_TO, REPLACED_BY, SAME_AS
from ontology.parts import Parts
from ontology.readers import obo
from ontology.report import LoadReport
from ontology.writers import obo as writer
from tests.searches import examples

SLIMS = ["DO_RAD_slim", "DO_infectious_disease_slim"]
HEAD = "format-version: 1.4\n\n"
# What both formats say of an ontology.
SAID = {
    "concepts": ["sctid", "defined"],
    "inactive": ["sctid", "defined", "reason"],
    "terms": ["sctid", "term", "kind", "preferred"],
    "relations": ["source", "type", "target", "group"],
    "values": ["source", "type", "group", "value"],
    "maps": ["sctid", "system", "target", "group", "priority", "rule", "advice", "category"],
    "history": ["source", "refset", "target"],
}


def load(reader, path):
    report = LoadReport()
    return assemble("test", reader.read(path, report), report, path=path)


def said(ontology):
    parts = disassemble(ontology)
    return {name: sorted(getattr(parts, name).select(columns).rows()) for name, columns in SAID.items()}


def read_text(tmp_path, text, report=None):
    path = tmp_path / "x.obo"
    path.write_text(text, encoding="utf-8", newline="")
    return obo.read(path, LoadReport() if report is None else report)


def awkward(text="x", code="MESH:D1"):
    """An ontology with a text and a code wherever one may stand."""
    keys = Keys()
    heart, root, old, gone = 22298006, 138875005, keys("DOID:1"), 1755008
    other, part, slim = keys("http://example.org/a b#c"), keys("RO:0000052", "within"), keys("my slim")
    system, _, target = code.partition(":")
    terms = [
        (root, f"{text} (root)", "fsn", True),
        (root, text, "synonym", True),
        (root, f"{text} again", "synonym", True),
        (heart, text, "fsn", True),
        (heart, f" {text} ", "fsn", True),
        (heart, f"{text}!", "synonym", False),
        (heart, text, "definition", False),
        (heart, f"{text} more", "definition", False),
        (heart, text, "other", False),
        (old, f"\\{text}\\", "fsn", True),
        (gone, f'"{text}"', "fsn", True),
        (gone, f"{{{text}}}", "synonym", True),
    ]
    relations = [
        (heart, IS_A, root, 0),
        (other, IS_A, root, 0),
        (heart, 363698007, other, 1),
        (heart, 363698007, other, 2),
        (other, part, heart, 0),
        (other, old, heart, 3),
    ]
    parts = Parts(
        concepts=pl.DataFrame({"sctid": [root, heart, other, old], "defined": [False, True, False, False]}),
        inactive=pl.DataFrame({"sctid": [gone], "reason": [900000000000482003]}),
        terms=pl.DataFrame(terms, schema=["sctid", "term", "kind", "preferred"], orient="row"),
        relations=pl.DataFrame(relations, schema=["source", "type", "target", "group"], orient="row"),
        values=pl.DataFrame(
            {
                "source": [heart, heart, heart],
                "type": [1142135004, part, part],
                "group": [1, 0, 2],
                "value": ["#5", f'"{text}"', "#0.10"],
            }
        ),
        maps=pl.DataFrame(
            {
                "sctid": [heart, heart, root],
                "system": ["ICD-10-CM", system, "refset:446608001"],
                "target": ["", target, target],
                "rule": ["TRUE", f"IFA 1 | {text} |", "TRUE"],
                "predicate": ["skos:broadMatch", "", "oboInOwl:hasDbXref"],
                "confidence": [0.25, float("nan"), float("nan")],
                "group": [0, 2, 1],
            }
        ),
        history=pl.DataFrame(
            {
                "source": [gone] * 4,
                "refset": [REPLACED_BY, SAME_AS, POSSIBLY_EQUIVALENT_TO, MOVED_TO],
                "target": [heart, root, old, 370136006],
            }
        ),
        members={
            "subset": pl.DataFrame(
                {
                    "id": [""],
                    "effective_time": pl.Series([0], dtype=pl.Int32),
                    "module": [0],
                    "refset": [slim],
                    "component": [heart],
                }
            )
        },
        codes=keys.frame(),
    )
    return assemble("awk ward/ä", parts, LoadReport())


TEXTS = [
    "end\\",
    "plain",
    "a\\b",
    'say "x"',
    "{y}",
    "50! %",
    " spaces ",
    "tab\there",
    "two\nlines",
    "\\n",
    "é\u2028",
    "a:b,c[d](e)",
]


def clauses(path, tag):
    return [
        line[len(tag) + 2 :]
        for line in path.read_text(encoding="utf-8").split("\n")
        if line.startswith(f"{tag}: ")
    ]


@pytest.mark.parametrize("name", SLIMS)
def test_a_slim_agrees_with_its_lines(shared, name):
    path = shared / f"data/ontologies/{name}.obo"
    onto = load(obo, path)
    assert len(onto) == len(clauses(path, "id"))
    assert len(onto.relations) == len(clauses(path, "is_a"))
    assert onto.inactive.height == len(set(clauses(path, "alt_id"))) == onto.history.height
    matches = [v for v in clauses(path, "property_value") if v.startswith("skos:")]
    assert onto.maps.height == len(clauses(path, "xref")) + len(matches)
    assert onto.values.height == len(clauses(path, "property_value")) - len(matches)
    assert onto.members["subset"].height == len(clauses(path, "subset"))
    scopes = [re.search(r'" (EXACT|RELATED|NARROW|BROAD) ', v)[1] for v in clauses(path, "synonym")]
    kinds = dict(onto.terms.group_by("kind").len().iter_rows())
    assert kinds["fsn"] == len(clauses(path, "name"))
    assert kinds["definition"] == len(clauses(path, "def"))
    assert kinds["synonym"] == scopes.count("EXACT") + kinds["fsn"]
    assert kinds.get("other", 0) == len(scopes) - scopes.count("EXACT")
    notes = onto.report.dropped["clause"]
    assert notes["comment is not used"] == len(clauses(path, "comment"))
    assert onto.report.problems() == []


@pytest.mark.parametrize("name", SLIMS)
def test_a_slim_agrees_with_obonet(shared, name):
    path = shared / f"data/ontologies/{name}.obo"
    graph, onto = obonet.read_obo(path), load(obo, path)
    assert {onto.identifier(s): onto.fsn(s) for s in onto.sctids.tolist()} == dict(graph.nodes(data="name"))
    parents = {
        (onto.identifier(s), onto.identifier(p))
        for s in onto.sctids.tolist()
        for p in onto.parents(s).tolist()
    }
    assert parents == {(child, parent) for child, parent, kind in graph.edges(keys=True) if kind == "is_a"}
    definitions = {
        onto.identifier(int(onto.sctids[c])): t
        for c, t in onto.terms.filter(kind="definition").select("concept", "term").iter_rows()
    }
    theirs = {node: text.rpartition('" [')[0][1:] for node, text in graph.nodes(data="def") if text}
    assert definitions == {node: text.replace('\\"', '"') for node, text in theirs.items()}


def test_the_builtin_terminology_survives(tmp_path):
    onto = load_rf2(write_rf2(tmp_path / "builtin"))
    assert said(load(obo, writer.write(onto, tmp_path / "x.obo"))) == said(onto)


def test_the_disease_ontology_survives(shared, tmp_path):
    onto = load_rf2(shared / "data/rf2/disease-ontology")
    assert said(load(obo, writer.write(onto, tmp_path / "x.obo"))) == said(onto)


@pytest.mark.parametrize("name", SLIMS)
def test_a_slim_survives(shared, tmp_path, name):
    onto = load(obo, shared / f"data/ontologies/{name}.obo")
    again = load(obo, writer.write(onto, tmp_path / f"{name}.obo"))
    assert said(again) == said(onto)
    assert again.maps.rows() == onto.maps.rows() or again.maps.drop("confidence").equals(
        onto.maps.drop("confidence")
    )
    assert (
        again.members["subset"]
        .sort("component", "refset")
        .equals(onto.members["subset"].sort("component", "refset"))
    )


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(
    "code", ["MESH:D1", "A B:x y", "IRI:http://a.b/c", ":plain", 'Q:a"{}!\\,[]', ":a:b", ":"]
)
def test_awkward_texts_and_codes_survive(tmp_path, text, code):
    onto = awkward(text, code)
    again = load(obo, writer.write(onto, tmp_path / "x.obo"))
    assert said(again) == said(onto)
    said_of = again.maps.filter(system="ICD-10-CM", target="").select("predicate", "confidence")
    assert said_of.rows() == [("skos:broadMatch", 0.25)]
    assert again.codes["code"].to_list() == onto.codes["code"].to_list()
    assert again.relation_name(key("RO:0000052")) == "within"


@settings(
    max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.text(max_size=12))
def test_any_text_survives(tmp_path, text):
    onto = awkward(text)
    assert said(load(obo, writer.write(onto, tmp_path / "x.obo"))) == said(onto)


def test_every_clause_becomes_what_the_table_says(tmp_path):
    report = LoadReport()
    text = HEAD + (
        '[Term]\nid: A:1\nname: one\nsynonym: "eins" EXACT []\nsynonym: "wide" BROAD []\nis_a: A:2 ! two\n'
        'relationship: part_of A:2 {group="2"}\nis_a: A:3 {gci_relation="part_of", gci_filler="A:2"}\n'
        "intersection_of: A:2\nintersection_of: part_of A:3\nintersection_of: part_of A:2\n"
        "disjoint_from: A:3\nxref: SNOMEDCT_US_2025_09_01:22298006\nalt_id: A:9\n"
        'property_value: note "5" xsd:integer\n\n'
        "[Term]\nid: A:2\nname: two\n\n[Term]\nid: A:3\n\n"
        "[Term]\nid: A:4\nname: four\nis_obsolete: true\nreplaced_by: A:1\nconsider: A:2\n\n"
        "[Typedef]\nid: part_of\nname: part of\nxref: BFO:0000050\n\n[Instance]\nid: I:1\ninstance_of: A:1\n"
    )
    onto = assemble("x", read_text(tmp_path, text, report), report)
    one, two, three, part = key("A:1"), key("A:2"), key("A:3"), key("BFO:0000050")
    rows = said(onto)
    assert rows["relations"] == sorted([(one, IS_A, two, 0), (one, part, two, 2), (one, part, three, 0)])
    assert onto.relation_name(part) == "part of"
    assert (one, True) in rows["concepts"]
    assert (two, False) in rows["concepts"]
    assert report.rows["intersection"] == {"read": 3, "active": 3, "used": 1}
    assert onto.synonyms(one) == ["one", "eins"]
    assert onto.maps.select("system", "target", "predicate", "origin").row(0) == (
        "SNOMED", "22298006", "oboInOwl:hasDbXref", "x.obo",
    )  # fmt: skip
    assert rows["values"] == [(one, key("note"), 0, "#5")]
    history = [
        (key("A:9"), REPLACED_BY, one),
        (key("A:4"), REPLACED_BY, one),
        (key("A:4"), POSSIBLY_EQUIVALENT_TO, two),
    ]
    assert rows["history"] == sorted(history)
    assert onto.inactive_terms["term"].to_list() == ["four", "four"]
    assert report.dropped["instance"] == {"instances are no concepts": 1}
    assert report.dropped["relationship"] == {"it holds under a condition only": 1}
    assert report.dropped["clause"] == {"disjoint_from is not used": 1}


def test_the_tagged_name_of_a_snomed_concept_is_no_preferred_term(tmp_path):
    parts = read_text(tmp_path, HEAD + "[Term]\nid: SCTID:22298006\nname: Infarction (disorder)\n")
    assert parts.terms.select("sctid", "kind").rows() == [(22298006, "fsn")]
    assert parts.codes.is_empty()


def test_oddities_are_tolerated_and_counted(tmp_path):
    report = LoadReport()
    text = "\ufeffformat-version: 1.4\nimport: other.obo\n\n! note\n[Term]\nid: A:1\n! note\nname: one ! 1"
    text = text.replace("\n", "\r\n")
    parts = read_text(tmp_path, text, report)
    assert parts.terms["term"].unique().to_list() == ["one"]
    assert report.tolerated == {
        "import that is not fetched": 1,
        "byte order mark at the start of the file": 1,
        "line that ends in CR LF": 7,
        "comment line": 2,
    }


def test_frames_of_one_id_are_put_together(tmp_path):
    report = LoadReport()
    text = (
        HEAD
        + "[Term]\nid: A:1\nname: one\n\n[Term]\nid: A:1\nname: uno\nxref: B:1\n\n[Term]\nid: A:1\nname: one\n"
    )
    parts = read_text(tmp_path, text, report)
    assert parts.concepts.height == parts.maps.height == 1
    assert sorted(parts.terms.select("term", "kind").rows()) == [
        ("one", "fsn"),
        ("one", "synonym"),
        ("uno", "synonym"),
    ]
    assert report.tolerated["frame of an id that was there before: put together"] == 2


@pytest.mark.parametrize(
    ("text", "row", "problem"),
    [
        ("[Term]\nid: A:1\nfoo: bar\n", 5, "no valid OBO"),
        ("[Term]\nid: A:1\nsynonym: 'x' EXACT []\n", 5, "no valid OBO"),
        ("[Term]\nname: x\n", 4, "no valid OBO"),
        ("! c\n[Foo]\nid: A:1\n", 4, "no valid OBO"),
        ("[Term]\nid: A:1\n\n[Term]\nid: A:2\nis_a: A:1 {group=\"x\"}\n", 7, "the group 'x' in 'A:2'"),
        ("[Term]\nid: A:1\n\n[Term]\nid: A:1\nis_obsolete: true\n", 7, "once obsolete and once not"),
        ("[Term]\nid: A:1\nxref: B:1 {confidence=\"x\"}\n", 4, "the confidence 'x'"),
    ],
)  # fmt: skip
def test_an_error_names_the_line(tmp_path, text, row, problem):
    with pytest.raises(InputError, match=problem) as caught:
        read_text(tmp_path, HEAD + text)
    assert (caught.value.row, caught.value.path) == (row, tmp_path / "x.obo")


def test_bytes_that_are_no_utf8_are_refused_with_their_line(tmp_path):
    path = tmp_path / "x.obo"
    path.write_bytes(HEAD.encode() + b"[Term]\nid: A:1\nname: caf\xe9\n")
    with pytest.raises(InputError, match="0xe9 is no UTF-8") as caught:
        obo.read(path, LoadReport())
    assert caught.value.row == 5


def test_what_is_no_file_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "none.obo"):
        with pytest.raises(InputError, match="cannot be read"):
            obo.read(path, LoadReport())
        assert not obo.recognises(path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot be written"):
        writer.write(awkward(), tmp_path / "file" / "x.obo")


def test_without_fastobo_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastobo", None)
    with pytest.raises(InputError, match=r"mh-diff\[formats\]"):
        read_text(tmp_path, HEAD)


def test_a_file_is_recognised(tmp_path):
    for name, text, expected in (("a.OBO", "", True), ("b.txt", HEAD, True), ("c.txt", "x", False)):
        (tmp_path / name).write_text(text)
        assert obo.recognises(tmp_path / name) == expected


def test_keys_of_other_codes_are_no_sctids():
    assert key("SCTID:22298006") == 22298006 < FIRST <= key("DOID:1816")
