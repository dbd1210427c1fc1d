"""Spoiled OMOP tables, plain tables, lists of ICD-10-CM and RDF give an `Ontology` or an `InputError`."""

import pytest
from hypothesis import given
from spoil import FEW, MANY, Disk, outcome, spoiled, through
from test_icd10cm import ORDER, TABULAR
from test_node_edge_tables import EDGES, MORE, NODES
from test_omop import CONCEPT, RELATIONSHIP

from ontology.readers import icd10cm, omop, rdf, tables

SYNONYMS = "concept_id\tconcept_synonym_name\tlanguage_concept_id\n2\tLung infection\t4180186\n"
ANCESTORS = (
    "ancestor_concept_id\tdescendant_concept_id\tmin_levels_of_separation\n1\t2\t1\n1\t1\t0\n"
)  # fmt: skip
REVERSES = "relationship_id\treverse_relationship_id\nHas finding site\tFinding site of\n"
OMOP = {
    f"{name}.csv": text.encode()
    for name, text in {
        "CONCEPT": CONCEPT, "CONCEPT_RELATIONSHIP": RELATIONSHIP, "CONCEPT_SYNONYM": SYNONYMS,
        "CONCEPT_ANCESTOR": ANCESTORS, "RELATIONSHIP": REVERSES,
    }.items()
}  # fmt: skip
TABLES = {name: text.encode() for name, text in {"nodes.csv": NODES, "edges.csv": EDGES, **MORE}.items()}
ICD = {
    "list.xml": TABULAR.encode(),
    "order.txt": ORDER.encode(),
    "codes.csv": b'code,title\nJ18,Pneumonia\nJ18.9,"Pneumonia, unspecified"\nJ18.0,\xc3\xa9\n',
}
TURTLE = """@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> .
@prefix sct: <http://snomed.info/id/> .
<urn:s> a skos:ConceptScheme ; skos:hasTopConcept sct:138875005 .
sct:138875005 a skos:Concept ; skos:prefLabel "Root"@en ; skos:notation "138875005" .
sct:22298006 a skos:Concept ; skos:broader sct:138875005 ; skos:altLabel "a", "b"@de ; skos:definition "d" ;
  sct:363698007 sct:74281007 ; sct:1142135004 5.10 ; skos:exactMatch <http://id.who.int/icd/I21> ;
  skos:mappingRelation [ <urn:mh-diff:map:system> "ICD-10" ; skos:notation "I21"^^<http://hl7.org/fhir/sid/icd-10> ;
  <urn:mh-diff:map:group> 1 ; <urn:mh-diff:map:confidence> 0.5 ] .
sct:74281007 a skos:Concept ; skos:narrower [] ; skos:related sct:22298006 .
sct:1755008 a skos:Concept ; owl:deprecated true ; <http://purl.org/dc/terms/isReplacedBy> sct:22298006 .
[] a rdf:Statement ; rdf:subject sct:22298006 ; rdf:predicate sct:363698007 ; rdf:object sct:74281007 ;
  sct:609096000 1 .
"""
XML = """<?xml version="1.0"?><!DOCTYPE rdf:RDF [<!ENTITY s "http://www.w3.org/2004/02/skos/core#">]>
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:skos="http://www.w3.org/2004/02/skos/core#">
<skos:Concept rdf:about="http://example.org/a"><skos:prefLabel xml:lang="en">a</skos:prefLabel>
<skos:broader rdf:resource="http://example.org/b"/></skos:Concept>
<rdf:Description rdf:about="http://example.org/b"><rdf:type rdf:resource="&s;Concept"/></rdf:Description></rdf:RDF>
"""
LINES = """<http://example.org/a> <http://www.w3.org/2004/02/skos/core#broader> <http://example.org/b> <urn:g> .
_:x <http://www.w3.org/2004/02/skos/core#prefLabel> "l\\u00e9"@en <urn:g> .
"""
JSON = """{"@context": {"skos": "http://www.w3.org/2004/02/skos/core#"}, "@graph": [
{"@id": "http://example.org/a", "@type": "skos:Concept", "skos:prefLabel": {"@value": "a", "@language": "en"},
"skos:broader": {"@id": "http://example.org/b", "@type": "skos:Concept"}}]}
"""
RDF = {"o.ttl": TURTLE.encode(), "o.rdf": XML.encode(), "o.nq": LINES.encode(), "o.jsonld": JSON.encode()}
RDF_PIECES = [
    b"skos:broader",
    b"sct:22298006",
    b"_:x",
    b"[]",
    b'"x"',
    b"<>",
    b"@prefix",
    b"<http://a b>",
    b"^^",
    b"@en",
]


@pytest.fixture(scope="module")
def disk():
    disk = Disk()
    yield disk
    disk.close()


def read_omop(disk, files, *, deep=True):
    folder = disk.write(files)
    outcome(folder, lambda: through(omop, folder), deep=deep)


def read_tables(disk, files, *, deep=True):
    folder = disk.write(files)
    outcome(folder, lambda: through(tables, folder), deep=deep)


def read_each(disk, files, reader, originals, *, deep=True):
    folder = disk.write(files)
    for name, data in files.items():
        if data != originals[name]:
            outcome(folder / name, lambda path=folder / name: through(reader, path), deep=deep)


def test_the_documents_are_good_before_they_are_spoilt(disk):
    folder = disk.write(OMOP)
    assert len(outcome(folder, lambda: through(omop, folder))) == 5
    folder = disk.write(TABLES)
    assert len(outcome(folder, lambda: through(tables, folder))) == 4
    for reader, files in ((icd10cm, ICD), (rdf, RDF)):
        folder = disk.write(files)
        for name in files:
            assert len(outcome(folder, lambda n=name, r=reader, f=folder: through(r, f / n))) >= 2


@FEW
@given(spoiled(OMOP, [b"Is a", b"Subsumes", b"Maps to", b"SNOMED"]))
def test_omop(disk, files):
    read_omop(disk, files)


@FEW
@given(spoiled(TABLES, [b"MYLAB:1", b"is a"]))
def test_tables(disk, files):
    read_tables(disk, files)


@FEW
@given(spoiled(ICD, [b"J18", b"<diag>", b"</diag>", b"<name>", b"<!DOCTYPE x>", b"00001 J18"]))
def test_icd10cm(disk, files):
    read_each(disk, files, icd10cm, ICD)


@FEW
@given(spoiled(RDF, RDF_PIECES))
def test_rdf(disk, files):
    read_each(disk, files, rdf, RDF)


@pytest.mark.slow
@MANY
@given(spoiled(OMOP, [b"Is a", b"Subsumes", b"Maps to", b"SNOMED"]))
def test_omop_at_length(disk, files):
    read_omop(disk, files, deep=False)


@pytest.mark.slow
@MANY
@given(spoiled(TABLES, [b"MYLAB:1", b"is a"]))
def test_tables_at_length(disk, files):
    read_tables(disk, files, deep=False)


@pytest.mark.slow
@MANY
@given(spoiled(ICD, [b"J18", b"<diag>", b"</diag>", b"<name>", b"<!DOCTYPE x>", b"00001 J18"]))
def test_icd10cm_at_length(disk, files):
    read_each(disk, files, icd10cm, ICD, deep=False)


@pytest.mark.slow
@MANY
@given(spoiled(RDF, RDF_PIECES))
def test_rdf_at_length(disk, files):
    read_each(disk, files, rdf, RDF, deep=False)
