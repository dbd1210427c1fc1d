"""What text files do to a reader, format by format: line ends, marks, blank and comment lines, quotes, and panics."""

import importlib
import json

import pytest
import tiny_release
from test_icd10cm import ORDER, TABULAR
from test_node_edge_tables import EDGES, NODES
from test_omop import CONCEPT, RELATIONSHIP
from test_reader_fuzz import JSON, TURTLE, XML
from test_sssom import HEAD, ROWS

from mhdiff.cli import main
from ontology import InputError, load, load_rf2
from ontology.assemble import assemble
from ontology.errors import panics
from ontology.parts import Parts
from ontology.readers import obo, rdf, sssom
from ontology.report import LoadReport

OBO = """format-version: 1.4
ontology: x

[Term]
id: X:1
name: one "quoted

[Term]
id: X:2
name: two
def: "d" [A:1, A:2]
is_a: X:1 ! one
"""
OBOGRAPH = json.dumps(
    {"graphs": [{"id": "x", "nodes": [{"id": "X:1", "lbl": "one", "type": "CLASS"}], "edges": []}]}
)
TEXTS = {
    "o.obo": {"o.obo": OBO},
    "o.json": {"o.json": OBOGRAPH},
    "o.ttl": {"o.ttl": TURTLE},
    "o.jsonld": {"o.jsonld": JSON},
    "o.rdf": {"o.rdf": XML},
    "omop": {"omop/CONCEPT.csv": CONCEPT, "omop/CONCEPT_RELATIONSHIP.csv": RELATIONSHIP},
    "own": {"own/nodes.csv": NODES, "own/edges.csv": EDGES},
    "codes.txt": {"codes.txt": ORDER + "\n"},
    "rf2": {
        f"rf2/{name}": tiny_release.content(rows).decode() for name, rows in tiny_release.tables().items()
    },
}


def written(folder, files, change=lambda text: text):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(change(text))
    return folder / next(iter(files)).split("/")[0]


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_line_ends_and_byte_order_marks_change_nothing(tmp_path, name, mark, ending):
    expected = load(written(tmp_path / "a", TEXTS[name], lambda t: t.replace("\r\n", "\n").encode()))

    def change(text):
        return mark + text.replace("\r\n", "\n").encode().replace(b"\n", ending)

    found = load(written(tmp_path / "b", TEXTS[name], change))
    assert found.fingerprint == expected.fingerprint
    if mark and name not in ("omop", "own"):
        assert any("byte order mark" in what for what in found.report.tolerated)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_a_table_of_mappings_may_have_any_line_ends_too(tmp_path, mark, ending):
    path = tmp_path / "m.sssom.tsv"
    path.write_bytes(mark + (HEAD + ROWS + "\n").replace("\n", ending.decode()).encode())
    report = LoadReport()
    parts = sssom.read(path, report)
    assert parts.maps.select("system", "target").rows() == [("SNOMED", "64572001"), ("X", "7")]
    assert report.tolerated["blank line at the end of the file"] == 1
    assert ("byte order mark at the start of the file" in report.tolerated) == bool(mark)
    assert report.tolerated["SSSOM metadata 'license' is not used"] == 1


BLANK = {  # a blank or a comment line in the midst of a table that has no such thing
    "own": ("own/nodes.csv", NODES, "line 3, column '(id|name)'"),
    "omop": ("omop/CONCEPT.csv", CONCEPT, "line 3, column 'concept_id'"),
    "m.sssom.tsv": ("m.sssom.tsv", HEAD + ROWS, "line 8"),
}


@pytest.mark.parametrize("name", BLANK)
@pytest.mark.parametrize("line", ["", "# a remark"])
def test_blank_and_comment_lines_of_tables_are_refused_with_their_place(tmp_path, name, line):
    file, text, place = BLANK[name]
    lines = text.split("\n")
    at = int("".join(c for c in place.split(",")[0] if c.isdigit())) - 1
    lines.insert(at, line)
    files = {**TEXTS.get(name, {}), file: "\n".join(lines)}
    source = written(tmp_path, files, str.encode)
    with pytest.raises(InputError, match=place):
        load(source)


def test_blank_and_comment_lines_of_obo_are_passed_over(tmp_path):
    plain = load(written(tmp_path / "a", {"o.obo": OBO}, str.encode))
    text = OBO.replace("id: X:2", "! a remark\nid: X:2").replace("[Term]", "\n[Term]")
    found = load(written(tmp_path / "b", {"o.obo": text}, str.encode))
    assert found.fingerprint == plain.fingerprint
    assert found.report.tolerated["comment line"] == 1
    assert found.report.dropped["definition"] == {"its xrefs are not used": 2}


def test_a_code_list_counts_its_blank_lines(tmp_path):
    path = tmp_path / "codes.csv"
    path.write_text('code,title\n\nJ18,"Pneumonia"\n\n')
    report = load(path, "icd10cm").report
    assert report.tolerated["blank line"] == 2
    assert report.tolerated["header line"] == 1


@pytest.mark.parametrize(
    "context",
    ['"http://example.org/c"', '{"@import": "http://example.org/c"}', '[{}, "file:///etc/hostname"]'],
)
def test_a_remote_context_is_refused_wherever_it_stands(tmp_path, monkeypatch, context):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("the network was asked for"))
    path = tmp_path / "o.jsonld"
    path.write_text(f'{{"@graph": [{{"@context": {context}, "@id": "http://example.org/a"}}]}}')
    with pytest.raises(InputError, match="never fetched"):
        load(path)


def test_an_import_of_obo_is_counted_and_never_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("the network was asked for"))
    source = written(
        tmp_path, {"o.obo": OBO.replace("ontology:", "import: http://a.b/c.obo\nontology:")}, str.encode
    )
    assert load(source).report.tolerated["import that is not fetched"] == 1


def test_an_expression_that_does_not_parse_shows_the_place(tmp_path, capsys):
    assert main(["ontology", "build", "builtin", "--out", str(tmp_path / "o")]) == 0
    capsys.readouterr()
    for text, place in (
        ("<< 404684003 : = 5", "character 16"),
        ("< ", "character"),
        ("404684003 AND", "character"),
    ):
        assert main(["ontology", "select", str(tmp_path / "o"), text]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert place in printed.err
        assert "Traceback" not in printed.err


def test_rf2_counts_a_column_that_it_does_not_know(tmp_path):
    files = tiny_release.tables()
    rows = files[tiny_release.SIMPLE_MAP]
    files[tiny_release.SIMPLE_MAP] = [[*rows[0], "colour"], *([*row, "red"] for row in rows[1:])]
    report = load_rf2(tiny_release.write(tmp_path / "r", files)).report
    assert report.tolerated["column 'colour' of simple map files is not used"] == 1


def test_rows_that_are_there_twice_are_counted():
    one = Parts(
        concepts={"sctid": [1, 2]}, inactive={"sctid": [3, 3, 1]},
        values={"source": [1, 1], "type": [5, 5], "value": ["#1", "#1"]},
        history={"source": [3, 3], "refset": [900000000000526001] * 2, "target": [1, 1]},
    )  # fmt: skip
    report = LoadReport()
    assemble("x", one, report)
    assert report.dropped["inactive concept"] == {"it is active, too": 1, "the same occurs again": 1}
    assert report.dropped["concrete values"] == {"the same source, type, group and value occur again": 1}
    assert report.dropped["association"] == {"the same occurs again": 1}


def test_everything_else_in_obo_is_counted(tmp_path):
    text = """format-version: 1.4
data-version: 1
subsetdef: slim "a slim"
synonymtypedef: ABBR "abbreviation" EXACT

[Term]
id: X:1 ! a remark
name: one {a="b"}
synonym: "uno" EXACT ABBR [A:1, A:2] {a="b"}
synonym: "ein" BROAD []
xref: Y:1 "described" {a="b"}
subset: slim {a="b"}
is_a: X:2 {source="Z:1", group="1"}

[Term]
id: X:2

[Typedef]
id: part_of
is_transitive: true
inverse_of: has_part
"""
    ontology = load(written(tmp_path, {"o.obo": text}, str.encode))
    assert ontology.report.dropped == {
        "header": {"data-version is not used": 1, "synonymtypedef is not used": 1},
        "qualifier": {
            "'a' of name is not used": 1, "'a' of synonym is not used": 1, "'a' of a map is not used": 1,
            "'a' of subset is not used": 1, "'source' of a relation is not used": 1,
        },
        "synonym": {"its xrefs are not used": 2, "its type is not kept": 1, "its scope BROAD is kept as 'other'": 1},
        "xref": {"its description is not used": 1},
        "typedef": {"is_transitive is not used": 1, "inverse_of is not used": 1},
    }  # fmt: skip
    assert dict(ontology.codes.select("code", "label").iter_rows())["slim"] == "a slim"


def test_an_empty_label_of_rdf_is_counted_and_no_term(tmp_path):
    text = """@prefix skos: <http://www.w3.org/2004/02/skos/core#> . @prefix x: <http://example.org/> .
x:a a skos:Concept ; skos:prefLabel "" , "a"@en ; skos:altLabel "  " .
"""
    ontology = load(written(tmp_path, {"o.ttl": text}, str.encode))
    assert ontology.report.dropped["description"] == {"the term is empty": 2}
    assert ontology.term(int(ontology.sctids[0])) == "a"


def test_everything_else_in_rdf_is_counted(tmp_path):
    text = """@prefix skos: <http://www.w3.org/2004/02/skos/core#> . @prefix x: <http://example.org/> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> . @prefix owl: <http://www.w3.org/2002/07/owl#> .
x:a a skos:Concept ; skos:prefLabel "a", x:label ; skos:note "n", "m" ; rdfs:subClassOf owl:Thing, x:a ; x:odd "1" .
x:b a x:Thing ; skos:note "n" ; owl:deprecated true .
"""
    dropped = load(written(tmp_path, {"o.ttl": text}, str.encode)).report.dropped
    assert dropped["description"] == {"it is no text": 1}
    assert dropped["triple"] == {
        "skos:note is not used": 2, "skos:note of what is no concept is not used": 1,
        "rdf:type http://example.org/Thing is not used": 1, "its property is declared nowhere": 1,
        "owl:deprecated of what is no concept is not used": 1,
    }  # fmt: skip
    assert dropped["relationship"] == {"it says that a class is one of owl:Thing, or of itself": 2}


@pytest.mark.parametrize("encoding", ["uutf-8", "utf-7", "euc-jp", "utf-16", "x" * 100])
def test_an_encoding_that_xml_parsers_do_not_know_is_refused(tmp_path, encoding):
    for name, text in (("list.xml", TABULAR), ("o.rdf", XML)):
        head, rest = text.split("?>", 1)
        path = tmp_path / name
        path.write_text(f'<?xml version="1.0" encoding="{encoding}"?>{rest}')
        with pytest.raises(InputError) as caught:
            load(path, "icd10cm" if name == "list.xml" else "rdf")
        assert caught.value.path == path
        assert head


@pytest.mark.parametrize(
    "value",
    ['{"@reverse": {"a": "b"}}', '{"@graph": [{"@id": "x", "@reverse": {"x": 1}}]}', '{"@id": 5}',
     '{"@context": {"a": 5}, "a": 1}', "[[[]]]", "5"],
)  # fmt: skip
def test_json_ld_that_the_parser_stumbles_over_is_refused(tmp_path, value):
    path = tmp_path / "o.jsonld"
    path.write_text(value)
    with pytest.raises(InputError) as caught:
        load(path, "rdf")
    assert caught.value.path == path


def test_names_of_graphs_are_left_out_and_counted_by_both_parsers(tmp_path):
    line = (
        "<http://example.org/a> <http://www.w3.org/2004/02/skos/core#broader> <http://example.org/{}> {}.\n"
    )
    path = tmp_path / "o.nq"
    path.write_text(line.format("b", "<urn:g> ") + line.format("c", "") + line.format("b", "<urn:g> "))
    for parser in ("pyoxigraph", "rdflib"):
        report = LoadReport()
        assert rdf.read(path, report, parser=parser).relations.height == 2
        assert report.tolerated["triple of a named graph: the graph's name is left out"] >= 1


class Fake:
    """What stands for fastobo, and fails as it is told to."""

    def __init__(self, error):
        self._error = error

    def iter(self, *_, **__):
        raise self._error


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError])
def test_only_a_panic_of_rust_is_caught_as_one(tmp_path, monkeypatch, error):
    path = written(tmp_path, {"o.obo": OBO}, str.encode)
    monkeypatch.setattr(obo, "_library", lambda: Fake(error()))
    with pytest.raises(error):
        obo.read(path, LoadReport())
    look_alike = type("PanicException", (BaseException,), {"__module__": "elsewhere"})
    monkeypatch.setattr(obo, "_library", lambda: Fake(look_alike()))
    with pytest.raises(look_alike):
        obo.read(path, LoadReport())


def test_a_panic_of_rust_is_an_error_of_the_input(tmp_path, monkeypatch):
    panic = type("PanicException", (BaseException,), {"__module__": "pyo3_runtime"})
    assert panic in panics()
    assert not {KeyboardInterrupt, SystemExit, Exception} & set(panics())
    path = written(tmp_path, {"o.obo": OBO}, str.encode)
    monkeypatch.setattr(obo, "_library", lambda: Fake(panic("index out of bounds")))
    with pytest.raises(InputError, match=r"fastobo fails on this file: index out of bounds") as caught:
        obo.read(path, LoadReport())
    assert caught.value.path == path


def test_importlib_is_what_finds_fastobo():
    assert obo._library() is importlib.import_module("fastobo")
