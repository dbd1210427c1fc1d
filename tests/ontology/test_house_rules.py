"""House rules in SHACL: what breaks them is named, nothing is fetched, and a part says the same as the whole."""

import json
import re
import socket
from pathlib import Path

import polars as pl
import pytest

from mhdiff.cli import main
from ontology import ConceptNotFound, InputError, load, load_rf2
from ontology.assemble import assemble
from ontology.builtin import write_rf2
from ontology.disassemble import disassemble
from ontology.identifiers import IS_A
from ontology.report import LoadReport
from ontology.shapes import check_shapes, slice_around

RULES = Path(__file__).resolve().parents[2] / "configs/shapes/house_rules.ttl"
HEAD = """@prefix sh: <http://www.w3.org/ns/shacl#> .
@prefix sct: <http://snomed.info/id/> .
@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix x: <urn:x:> .
"""


@pytest.fixture(scope="module")
def builtin(tmp_path_factory):
    return load_rf2(write_rf2(tmp_path_factory.mktemp("b") / "rf2"))


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network was asked for")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def shapes(tmp_path):
    def write(text, name="s.ttl"):
        path = tmp_path / name
        path.write_text(HEAD + text)
        return path

    return write


def changed(ontology, **tables):
    """The ontology with some of its tables replaced."""
    parts = disassemble(ontology)
    for name, change in tables.items():
        setattr(parts, name, change(getattr(parts, name)))
    return assemble(ontology.name, parts, LoadReport())


def a_disorder(ontology, with_site=True):
    """The first disorder that has (no) finding site."""
    site = next(int(t) for t in ontology.relation_types if ontology.relation_name(int(t)) == "finding site")
    r = ontology.relations
    having = set(ontology.sctids[r.source[ontology.relation_types[r.type] == site]].tolist())
    return next(int(s) for s in ontology.sctids if ontology.semantic_tag(int(s)) == "disorder"
                and (int(s) in having) == with_site)  # fmt: skip


def test_the_builtin_terminology_keeps_the_house_rules(builtin):
    report = check_shapes(builtin, RULES)
    assert (report.concepts, report.graph, report.shapes) == (len(builtin), len(builtin), 6)
    assert report.count("Violation") == 0
    # an independent count: disorders without any finding site
    site = next(int(t) for t in builtin.relation_types if builtin.relation_name(int(t)) == "finding site")
    r = builtin.relations
    having = set(builtin.sctids[r.source[builtin.relation_types[r.type] == site]].tolist())
    lacking = {int(s) for s in builtin.sctids if builtin.semantic_tag(int(s)) == "disorder"} - having
    assert {v.sctid for v in report.violations} == lacking
    assert {(v.severity, v.constraint) for v in report.violations} == {("Warning", "QualifiedMinCount")}
    first = report.violations[0]
    assert first.fsn == builtin.fsn(first.sctid)
    assert first.path == "(sct:363698007|sct:39999001104)/skos:broader*"
    assert first.shape == "<urn:mh-diff:house-rules:FindingSite>"


def _unpreferred(sctid):
    return lambda terms: terms.with_columns(preferred=pl.col("preferred") & (pl.col("sctid") != sctid))


def _renamed(sctid, kind, term):
    own = (pl.col("sctid") == sctid) & (pl.col("kind") == kind)
    return lambda terms: terms.with_columns(term=pl.when(own).then(pl.lit(term)).otherwise("term"))


def _twice(sctid):
    own = (pl.col("sctid") == sctid) & pl.col("preferred") & (pl.col("kind") == "synonym")
    another = {"term": pl.lit("Another"), "id": pl.lit(0, dtype=pl.Int64)}
    return lambda terms: pl.concat([terms, terms.filter(own).with_columns(**another)])


BROKEN = {
    "no preferred term": ("terms", lambda o, s: _unpreferred(s), "PreferredTerm", "MinCount", "skos:prefLabel"),
    "two preferred terms": (
        "terms", lambda o, s: _twice(s), "PreferredTerm", "UniqueLang", "skos:prefLabel",
    ),
    "no semantic tag": (
        "terms", lambda o, s: _renamed(s, "fsn", "Something"), "FullySpecifiedName", "Pattern", "rdfs:label",
    ),
    "no fully specified name": (
        "terms", lambda o, s: lambda terms: terms.filter((pl.col("sctid") != s) | (pl.col("kind") != "fsn")),
        "FullySpecifiedName", "MinCount", "rdfs:label",
    ),
    "two blanks": (
        "terms", lambda o, s: _renamed(s, "synonym", "two  blanks"), "Blanks", "Pattern",
        "(rdfs:label|skos:prefLabel|skos:altLabel)",
    ),
    "the name of another": (
        "terms", lambda o, s: _renamed(s, "fsn", o.fsn(int(o.sctids[-1]))), "UniqueName", "MaxCount", "rdfs:label",
    ),
}  # fmt: skip


@pytest.mark.parametrize("why", BROKEN)
def test_each_rule_finds_what_breaks_it(builtin, why):
    table, change, shape, constraint, path = BROKEN[why]
    sctid = a_disorder(builtin)
    report = check_shapes(changed(builtin, **{table: change(builtin, sctid)}), RULES)
    found = [v for v in report.violations if v.severity == "Violation"]
    # two concepts share a name; a concept may have several synonyms with two blanks
    assert {v.sctid for v in found} == {sctid} | (
        {int(builtin.sctids[-1])} if shape == "UniqueName" else set()
    )
    assert {(v.shape, v.constraint, v.path) for v in found} == {
        (f"<urn:mh-diff:house-rules:{shape}>", constraint, path)
    }
    assert all(v.message for v in found)


def test_a_finding_site_has_to_lie_below_body_structure(builtin):
    """The site of one disorder becomes an organism."""
    sctid = a_disorder(builtin)
    organism = next(int(s) for s in builtin.sctids if builtin.semantic_tag(int(s)) == "organism")
    moved = changed(
        builtin,
        relations=lambda r: r.with_columns(
            target=pl.when((pl.col("source") == sctid) & (pl.col("type") != IS_A))
            .then(organism)
            .otherwise("target")
        ),
    )
    before = {v.sctid for v in check_shapes(builtin, RULES).violations}
    assert {v.sctid for v in check_shapes(moved, RULES).violations} == before | {sctid}


def test_a_second_root_is_a_warning_about_the_scheme(builtin):
    sctid = int(builtin.children(int(builtin.roots[0]))[0])
    report = check_shapes(changed(builtin, relations=lambda r: r.filter(pl.col("source") != sctid)), RULES)
    found = [v for v in report.violations if v.shape.endswith("OneRoot>")]
    assert [(v.sctid, v.fsn, v.severity) for v in found] == [(None, "", "Warning")]


def test_the_preferred_term_is_never_made_up(tmp_path, release):
    """A concept whose language reference set prefers nothing has no prefLabel, though `term` gives one."""
    files, load_release = release
    from tiny_release import IDS, LANGUAGE, PREFERRED

    rows = files[LANGUAGE]
    asthma = [d[0] for d in files[next(n for n in files if "Description" in n)] if d[4] == IDS["asthma"]]
    files[LANGUAGE] = [row for row in rows if row[5] not in asthma or row[-1] != PREFERRED]
    onto = load_release()
    assert onto.term(IDS["asthma"]) == "Asthma"
    found = check_shapes(onto, RULES).violations
    assert [v.sctid for v in found if v.constraint == "MinCount"] == [IDS["asthma"]]


def test_a_part_says_the_same_as_the_whole(builtin, shapes):
    """Forward paths of any length, for a third of the concepts."""
    path = shapes("""
        x:S a sh:NodeShape ; sh:targetClass skos:Concept ;
          sh:property [ sh:minCount 4 ;
            sh:path ( [ sh:zeroOrMorePath skos:broader ] sct:39999001104 [ sh:oneOrMorePath skos:broader ] ) ] ;
          sh:property [ sh:path skos:altLabel ; sh:maxCount 1 ] .""")
    focus = builtin.sctids[::3].tolist()
    whole = [v for v in check_shapes(builtin, path).violations if v.sctid in set(focus)]
    part = check_shapes(builtin, path, focus=focus)
    assert part.violations == whole
    assert len(whole) > 50
    assert (part.concepts, part.graph < len(builtin)) == (len(focus), True)


def test_a_shape_asks_only_its_own_targets_of_a_part(builtin):
    """Concepts that are no disorders need no finding site, though they are in focus."""
    lacking, organism = (
        a_disorder(builtin, with_site=False),
        next(int(s) for s in builtin.sctids if builtin.semantic_tag(int(s)) == "organism"),
    )
    found = check_shapes(builtin, RULES, focus=[lacking, organism]).violations
    assert [v.sctid for v in found] == [lacking]


def test_the_part_is_what_relations_lead_to(builtin):
    import networkx as nx

    r = builtin.relations
    graph = nx.DiGraph(zip(builtin.sctids[r.source].tolist(), builtin.sctids[r.target].tolist(), strict=True))
    for start in (builtin.sctids[::200].tolist(), [int(builtin.roots[0])]):
        expected = set(start).union(*(nx.descendants(graph, s) if s in graph else set() for s in start))
        part = slice_around(builtin, start)
        assert set(part.sctids.tolist()) == expected
        assert all(part.term(s) == builtin.term(s) for s in expected)
    assert len(slice_around(builtin, [int(builtin.roots[0])])) == 1


def test_codes_that_are_no_sctids_are_named(tmp_path, shapes):
    (tmp_path / "o.obo").write_text("format-version: 1.4\n\n[Term]\nid: DOID:7\nname: Infarct\n")
    onto = load(tmp_path / "o.obo")
    found = check_shapes(onto, shapes("x:S a sh:NodeShape ; sh:targetClass skos:Concept ; sh:property "
                                      "[ sh:path [ sh:inversePath skos:broader ] ; sh:minCount 1 ] ."),
                         focus=[int(onto.sctids[0])]).violations  # fmt: skip
    assert [(v.sctid, v.focus, v.fsn, v.path) for v in found] == [
        (int(onto.sctids[0]), "DOID:7", "Infarct", "^skos:broader")
    ]


def test_imports_of_the_shapes_are_counted_and_not_read(builtin, shapes):
    text = "<urn:o> a owl:Ontology ; owl:imports <http://example.org/more.ttl> .\n"
    report = check_shapes(
        builtin, shapes(text + "x:S a sh:NodeShape ; sh:targetNode sct:1 ; sh:nodeKind sh:IRI .")
    )
    assert report.imports == ["http://example.org/more.ttl"]
    assert report.violations == []


QUERY = (
    'x:S a sh:NodeShape ; sh:targetClass skos:Concept ; sh:sparql [ sh:message "m" ; sh:select """{}""" ] .'
)


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("SELECT $this WHERE { SERVICE <http://example.org/sparql> { $this ?p ?o } }", "SERVICE"),
        ("SELECT $this\nFROM <http://example.org/data.ttl>\nWHERE { $this ?p ?o }", "FROM"),
        ("SELECT $this FROM NAMED <http://example.org/data.ttl> WHERE { GRAPH ?g { $this ?p ?o } }", "FROM"),
        ("SELECT $this WHERE { { SELECT $this WHERE { service silent ?s { $this ?p ?o } } } }", "SERVICE"),
    ],
)
def test_queries_that_ask_for_something_outside_are_refused(builtin, shapes, query, word):
    path = shapes("\n" + QUERY.format(query))
    with pytest.raises(InputError, match=f"has {word}: it asks for what is never fetched") as caught:
        check_shapes(builtin, path)
    assert caught.value.row == 8


def test_the_words_themselves_may_occur(builtin, shapes):
    query = ("# from the service\nSELECT $this WHERE { $this <http://www.w3.org/2000/01/rdf-schema#label> ?from . "
             "FILTER(STR(?from) = 'load from service') }")  # fmt: skip
    few = builtin.sctids[:5].tolist()  # the query is read once, but asked of every concept in focus
    assert check_shapes(builtin, shapes(QUERY.format(query)), focus=few).violations == []


FAULTS = {
    "no Turtle": ("x:S a sh:NodeShape ;\n sh:targetClass ] .", "does not parse", 8),
    "a pattern that is none": (
        'x:S a sh:NodeShape ; sh:targetClass skos:Concept ; sh:property [ sh:path skos:prefLabel ; sh:pattern "(" ] .',
        "cannot use these shapes", None,
    ),
    "a query that is none": (QUERY.format("SELECT WHERE nothing"), "cannot use these shapes", None),
    "a count that is none": (
        'x:S a sh:NodeShape ; sh:targetClass skos:Concept ; sh:property [ sh:path skos:prefLabel ; sh:minCount "x" ] .',
        "cannot use these shapes", None,
    ),
    "no path": ("x:S a sh:NodeShape ; sh:targetClass skos:Concept ; sh:property [ sh:minCount 1 ] .",
                "cannot use these shapes", None),
    "a query with MINUS": (QUERY.format("SELECT $this WHERE { $this ?p ?o MINUS { $this ?p ?o } }"), "MINUS", None),
}  # fmt: skip


@pytest.mark.parametrize("why", FAULTS)
def test_what_are_no_shapes_is_refused(builtin, shapes, why):
    text, said, row = FAULTS[why]
    path = shapes(text)
    with pytest.raises(InputError, match=said) as caught:
        check_shapes(builtin, path)
    assert (caught.value.path, caught.value.row) == (path, row)


def test_files_that_cannot_be_read_are_refused(builtin, tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        check_shapes(builtin, tmp_path / "none.ttl")
    with pytest.raises(InputError, match="says no RDF format"):
        check_shapes(builtin, tmp_path / "shapes.docx")
    with pytest.raises(ConceptNotFound):
        check_shapes(builtin, RULES, focus=[22298006])


def test_without_pyshacl_the_remedy_is_said(builtin, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyshacl", None)
    with pytest.raises(InputError, match=r"pip install 'mh-diff\[formats\]'"):
        check_shapes(builtin, RULES)


def test_the_command_line(builtin, tmp_path, capsys, shapes):
    folder = str(builtin.save(tmp_path / "o"))
    assert main(["ontology", "shapes", folder, str(RULES), "--limit", "2"]) == 0
    said = capsys.readouterr()
    assert re.search(r"^\.\.\. and \d+ more\n1,075 concepts, 6 shapes: \d+ warnings$", said.out, re.M)
    assert said.out.count("Warning ") == 2
    assert "checking 1,075 concepts" in said.err

    assert main(["ontology", "shapes", folder, str(RULES), "--json", "--strict"]) == 2
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert (document["conforms"], document["concepts"]) == (False, 1075)
    assert document["counts"] == {"warning": len(document["results"])}
    assert set(document["results"][0]) == {"sctid", "focus", "fsn", "path", "value", "message", "severity", "shape",
                                           "constraint"}  # fmt: skip
    assert "does not conform" in said.err

    bad = shapes("x:S a sh:NodeShape ; sh:targetClass skos:Concept ; sh:property [ sh:path skos:altLabel ; "
                 'sh:maxCount 0 ; sh:message "no synonyms here" ] .')  # fmt: skip
    sctid = a_disorder(builtin)
    assert main(["ontology", "shapes", folder, str(bad), "--select", f"{sctid}"]) == 2
    said = capsys.readouterr()
    assert "no synonyms here" in said.out
    assert said.out.endswith("1 concept, 1 shape: 1 violation\n")
    assert main(["ontology", "shapes", folder, str(shapes("")), "--select", f"< {sctid} MINUS *"]) == 0
    assert "not one shape has a target" in capsys.readouterr().err
    assert main(["ontology", "shapes", folder, str(RULES), "--limit", "-1"]) == 2
    assert "0 prints all" in capsys.readouterr().err
    assert main(["ontology", "shapes", folder, "shapes/mine.ttl"]) == 2
    assert "shapes/house_rules.ttl" in capsys.readouterr().err


def test_the_shipped_rules_are_found_from_anywhere(builtin, tmp_path, capsys, monkeypatch):
    folder = str(builtin.save(tmp_path / "o"))
    monkeypatch.chdir(tmp_path)
    for name in ("configs/shapes/house_rules.ttl", "shapes/house_rules"):
        assert main(["ontology", "shapes", folder, name, "--select", f"{builtin.roots[0]}"]) == 0
    assert "1 concept, 6 shapes: no violation" in capsys.readouterr().out
