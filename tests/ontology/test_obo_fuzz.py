"""Whatever stands in a file, the OBO readers give `Parts` or an `InputError`."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ontology import InputError
from ontology.parts import Parts
from ontology.readers import obo, obograph
from ontology.report import LoadReport
from tests.searches import LENGTH

DOCUMENT = """format-version: 1.4
synonymtypedef: PREFERRED "preferred term" EXACT
import: other.obo
ontology: test

[Term]
id: SCTID:22298006
name: Myocardial infarction (disorder)
def: "A \\"dead\\" muscle." [PMID:1 "x"] {a="b"}
synonym: "Heart attack" EXACT PREFERRED [] ! said
synonym: "Infarct" BROAD [A:1]
xref: ICD10CM:I21.9 "x" {group="1", rule="IFA 1"}
subset: slim
alt_id: SCTID:1755008
is_a: SCTID:64572001 {group="0"} ! disease
relationship: SCTREL:363698007 SCTID:74281007 {group="1"}
intersection_of: SCTID:64572001
intersection_of: part_of SCTID:74281007
property_value: SCTREL:1142135004 "#5" xsd:string {group="2"}
property_value: skos:exactMatch "MESH:D009203" xsd:string {confidence="0.5"}
property_value: seen A:1

[Term]
id: SCTID:64572001
name: Disease

[Term]
id: DOID:7 {a="b"}
is_obsolete: true
replaced_by: SCTID:64572001 {association="900000000000527005"}
consider: http://example.org/a

[Typedef]
id: part_of
xref: BFO:0000050
is_transitive: true

[Instance]
id: A:9
"""
GRAPH = {
    "graphs": [
        {
            "id": "x",
            "nodes": [
                {"id": "http://snomed.info/id/64572001", "lbl": "Disease", "type": "CLASS"},
                {
                    "id": "DOID:7",
                    "lbl": "Infarct",
                    "meta": {
                        "deprecated": False,
                        "definition": {"val": "x", "xrefs": []},
                        "synonyms": [{"pred": "hasExactSynonym", "val": "y", "synonymType": "z"}],
                        "xrefs": [{"val": "ICD10CM:I21", "meta": {"basicPropertyValues": []}}],
                        "subsets": ["a"],
                        "comments": ["b"],
                        "basicPropertyValues": [{"pred": "skos:exactMatch", "val": "MESH:D1"}],
                    },
                },
                {"id": "part", "type": "PROPERTY", "lbl": "part of"},
            ],
            "edges": [{"sub": "DOID:7", "pred": "is_a", "obj": "http://snomed.info/id/64572001"}],
            "logicalDefinitionAxioms": [
                {
                    "definedClassId": "DOID:7",
                    "genusIds": ["A:1"],
                    "restrictions": [{"propertyId": "part", "fillerId": "A:2"}],
                }
            ],
        }
    ]
}
QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
PIECES = [line.encode() + b"\n" for line in DOCUMENT.splitlines()] + [
    b"\n", b"\r\n", b"\r", b"!", b"\\", b'"', b"{", b"}", b"[", b":", b"\xff", b"\x00", b"\xef\xbb\xbf", b" ", b"\t",
    b"\\n", b"[Term]\n", b"id: ", b"name: ", b'{group="99999999999999"}', b'{group="x"}', b"http://",
    "é\u2028".encode(),
    b'{confidence="x"}', b"is_obsolete: true\n", b"date: 99:99:9999 99:99\n", b"creation_date: 2020-13-45T99:00:00Z\n",
]  # fmt: skip


@st.composite
def mutated(draw):
    data = bytearray(DOCUMENT.encode())
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 30))
        data[place : place + length] = draw(st.sampled_from(PIECES) | st.binary(max_size=8))
    return bytes(data)


DOCUMENTS = (
    mutated()
    | st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join)
    | st.binary(max_size=200)
    | st.text(max_size=200).map(str.encode)
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def graphs(draw):
    """The graph with a few of its values replaced by others or taken out."""
    document = json.loads(json.dumps(GRAPH))
    for _ in range(draw(st.integers(1, 3))):
        here = document
        while True:
            keys = list(here) if isinstance(here, dict) else list(range(len(here)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(here[key], dict | list) and here[key] and draw(st.integers(0, 4)):
                here = here[key]
                continue
            if draw(st.booleans()):
                here[key] = draw(VALUES | st.just({}) | st.just([]) | st.text(max_size=3))
            elif isinstance(here, dict):
                del here[key]
            else:
                here.append(draw(VALUES))
            break
    return json.dumps(document).encode()


def check(reader, path, data):
    path.write_bytes(data)
    try:
        parts = reader.read(path, LoadReport())
    except InputError as error:
        if error.path != path:
            raise AssertionError("the error does not name the file") from error
    else:
        assert isinstance(parts, Parts)
        assert parts.concepts["sctid"].is_unique().all()


def test_the_documents_are_good_before_they_are_spoilt(tmp_path):
    (tmp_path / "x.obo").write_text(DOCUMENT, encoding="utf-8")
    assert obo.read(tmp_path / "x.obo", LoadReport()).concepts.height == 2
    (tmp_path / "x.json").write_text(json.dumps(GRAPH), encoding="utf-8")
    assert obograph.read(tmp_path / "x.json", LoadReport()).concepts.height == 2


@settings(max_examples=50, deadline=None, suppress_health_check=QUIET)
@given(DOCUMENTS)
def test_obo_gives_parts_or_a_named_error(tmp_path, data):
    check(obo, tmp_path / "x.obo", data)


@settings(max_examples=50, deadline=None, suppress_health_check=QUIET)
@given(graphs() | st.binary(max_size=100) | VALUES.map(json.dumps).map(str.encode))
def test_a_graph_gives_parts_or_a_named_error(tmp_path, data):
    check(obograph, tmp_path / "x.json", data)


@pytest.mark.slow
@settings(max_examples=LENGTH, deadline=None, suppress_health_check=QUIET)
@given(DOCUMENTS)
def test_obo_gives_parts_or_a_named_error_at_length(tmp_path, data):
    check(obo, tmp_path / "x.obo", data)


@pytest.mark.slow
@settings(max_examples=LENGTH, deadline=None, suppress_health_check=QUIET)
@given(graphs())
def test_a_graph_gives_parts_or_a_named_error_at_length(tmp_path, data):
    check(obograph, tmp_path / "x.json", data)
