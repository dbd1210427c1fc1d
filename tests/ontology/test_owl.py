"""OWL in RDF/XML, OWL/XML and N-Triples: each parser says the same, and what is broken is refused with its line."""

import pytest

from ontology import InputError, load, load_rf2
from ontology.axioms import property_axioms, stated_relations
from ontology.builtin import write_rf2
from ontology.codes import key
from ontology.export import FORMATS
from ontology.identifiers import IS_A, ROLE_GROUP
from ontology.readers import owl
from ontology.report import LoadReport
from ontology.writers import rf2

XML = """<?xml version="1.0"?>
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:owl="http://www.w3.org/2002/07/owl#"
 xmlns:rdfs="http://www.w3.org/2000/01/rdf-schema#" xml:base="http://snomed.info/id/">
"""
XSD = "http://www.w3.org/2001/XMLSchema#"


def some(role, filler):
    return (f'<owl:Restriction><owl:onProperty rdf:resource="{role}"/><owl:someValuesFrom>{filler}</owl:someValuesFrom>'
            "</owl:Restriction>")  # fmt: skip


def all_of(*parts, kind="intersectionOf"):
    return f'<owl:Class><owl:{kind} rdf:parseType="Collection">{"".join(parts)}</owl:{kind}></owl:Class>'


def named(n):
    return f'<owl:Class rdf:about="{n}"/>'


GROUPED = some(ROLE_GROUP, all_of(some(21, named(31)), some(22, named(32))))
VALUE = (f'<owl:Restriction><owl:onProperty rdf:resource="24"/><owl:hasValue rdf:datatype="{XSD}decimal">5.10'
         "</owl:hasValue></owl:Restriction>")  # fmt: skip
NOTE = (f'<owl:Restriction><owl:onProperty rdf:resource="24"/><owl:hasValue rdf:datatype="{XSD}string">see http://a/b'
        "</owl:hasValue></owl:Restriction>")  # fmt: skip
DOCUMENT = XML + f"""
<owl:Ontology rdf:about="http://example.org/o"><owl:imports rdf:resource="http://example.org/p"/></owl:Ontology>
<owl:ObjectProperty rdf:about="21"><rdfs:label>Finding site</rdfs:label>
  <owl:propertyChainAxiom rdf:parseType="Collection"><rdf:Description rdf:about="21"/><rdf:Description rdf:about="26"/>
  </owl:propertyChainAxiom><rdfs:domain rdf:resource="10"/></owl:ObjectProperty>
<owl:ObjectProperty rdf:about="22"><rdfs:subPropertyOf rdf:resource="25"/></owl:ObjectProperty>
<owl:ObjectProperty rdf:about="25"/><owl:ObjectProperty rdf:about="{ROLE_GROUP}"/>
<owl:TransitiveProperty rdf:about="26"/><owl:ReflexiveProperty rdf:about="26"/><owl:ObjectProperty rdf:about="26"/>
<owl:DatatypeProperty rdf:about="24"><rdfs:subPropertyOf rdf:resource="27"/></owl:DatatypeProperty>
<owl:DatatypeProperty rdf:about="27"/>
<owl:Class rdf:about="10"><rdfs:label xml:lang="en">Disease</rdfs:label>
  <owl:disjointWith rdf:resource="30"/></owl:Class>
<owl:Class rdf:about="11"><rdfs:subClassOf rdf:resource="10"/>
  <rdfs:subClassOf>{all_of(named(13), named(31), kind="unionOf")}</rdfs:subClassOf></owl:Class>
<owl:Class rdf:about="12"><owl:equivalentClass>{all_of(named(11), GROUPED, some(23, named(32)))}</owl:equivalentClass>
  <rdfs:subClassOf>{VALUE}</rdfs:subClassOf><rdfs:subClassOf>{NOTE}</rdfs:subClassOf></owl:Class>
<owl:Class rdf:about="13"><rdfs:subClassOf rdf:resource="10"/></owl:Class>
<owl:Class rdf:about="30"/><owl:Class rdf:about="31"><rdfs:subClassOf rdf:resource="30"/></owl:Class>
<owl:Class rdf:about="32"><owl:deprecated rdf:datatype="{XSD}boolean">true</owl:deprecated></owl:Class>
<owl:Class rdf:about="http://example.org/mine#role"><rdfs:subClassOf rdf:resource="10"/></owl:Class>
<owl:Class><owl:intersectionOf rdf:parseType="Collection">{named(10)}{some(22, named(31))}</owl:intersectionOf>
  <rdfs:subClassOf rdf:resource="13"/></owl:Class>
</rdf:RDF>
"""  # fmt: skip


def _edges(parts):
    return {(s, k, t) for s, k, t in parts.relations.select("source", "type", "target").rows()}


@pytest.fixture
def document(tmp_path):
    path = tmp_path / "o.owl"
    path.write_text(DOCUMENT)
    return path


@pytest.mark.parametrize("parser", ["pyoxigraph", "rdflib", "owlready2"])
def test_every_parser_reads_every_construct(document, parser):
    report = LoadReport()
    parts = owl.read(document, report, parser=parser)
    own = key("http://example.org/mine#role")
    assert set(parts.concepts["sctid"].to_list()) == {10, 11, 12, 13, 30, 31, own}
    assert parts.inactive["sctid"].to_list() == [32]
    assert _edges(parts) == {
        (11, IS_A, 10), (13, IS_A, 10), (own, IS_A, 10), (31, IS_A, 30), (12, IS_A, 11), (12, 21, 31), (12, 22, 32),
        (12, 23, 32),
    }  # fmt: skip
    assert dict(parts.relations.filter(parts.relations["source"] == 12).select("type", "group").rows()) == {
        IS_A: 0, 21: 1, 22: 1, 23: 0,
    }  # fmt: skip
    number = "#5.10" if parser != "owlready2" else "#5.1"  # owlready2 makes floats of decimals
    assert sorted(parts.values["value"].to_list()) == ['"see http://a/b"', number]
    texts = set(parts.axioms["axiom"].to_list())
    assert {
        "SubObjectPropertyOf(ObjectPropertyChain(:21 :26) :21)", "SubObjectPropertyOf(:22 :25)",
        "SubDataPropertyOf(:24 :27)", "TransitiveObjectProperty(:26)", "ReflexiveObjectProperty(:26)",
        "DisjointClasses(:10 :30)", "SubClassOf(:11 ObjectUnionOf(:13 :31))",
        "SubClassOf(ObjectIntersectionOf(:10 ObjectSomeValuesFrom(:22 :31)) :13)",
        "SubClassOf(<http://example.org/mine#role> :10)",
    } < texts  # fmt: skip
    assert property_axioms(parts).height == 5
    assert stated_relations(parts).filter(stated_relations(parts)["gci"] == 1)["source"].to_list() == [13, 13]
    dropped = report.dropped["axiom"]
    assert dropped["rows of general class axioms, which are no relations"] == 2
    assert dropped["ObjectUnionOf is no relation"] == dropped["DisjointClasses is no relation"] == 1
    assert dropped["domain of a property is not used"] == 1
    assert report.dropped["import"] == {"it is never fetched": 1}


def restricted(role, inside):
    return f'<owl:Restriction><owl:onProperty rdf:resource="{role}"/>{inside}</owl:Restriction>'


def number(kind, n):
    return f'<owl:{kind} rdf:datatype="{XSD}nonNegativeInteger">{n}</owl:{kind}>'


EXPRESSIONS = {
    "ObjectComplementOf(:13)": f"<owl:Class><owl:complementOf>{named(13)}</owl:complementOf></owl:Class>",
    "ObjectAllValuesFrom(:21 :31)": some(21, named(31)).replace("someValuesFrom", "allValuesFrom"),
    "ObjectMinCardinality(2 :21 :31)": restricted(
        21, '<owl:onClass rdf:resource="31"/>' + number("minQualifiedCardinality", 2)
    ),
    "ObjectExactCardinality(1 :21)": restricted(21, number("cardinality", 1)),
    "ObjectHasSelf(:21)": restricted(21, f'<owl:hasSelf rdf:datatype="{XSD}boolean">true</owl:hasSelf>'),
    "ObjectSomeValuesFrom(:21 ObjectUnionOf(:10 ObjectSomeValuesFrom(:22 :31)))": some(
        21, all_of(named(10), some(22, named(31)), kind="unionOf")
    ),
}
UNSAID = {
    "ObjectOneOf": all_of('<rdf:Description rdf:about="http://a/i"/>', kind="oneOf"),
    "ObjectHasValue": restricted(21, '<owl:hasValue rdf:resource="urn:i"/>'),
    "DataSomeValuesFrom": restricted(24, f'<owl:someValuesFrom rdf:resource="{XSD}string"/>'),
    "ObjectInverseOf": "<owl:Restriction><owl:onProperty><rdf:Description><owl:inverseOf rdf:resource='21'/>"
    f"</rdf:Description></owl:onProperty><owl:someValuesFrom>{named(31)}</owl:someValuesFrom></owl:Restriction>",
}


@pytest.mark.parametrize("expression", [*EXPRESSIONS, *UNSAID])
def test_what_is_no_relation_is_kept_as_an_axiom_or_counted(tmp_path, expression):
    path = tmp_path / "o.owl"
    xml = EXPRESSIONS.get(expression) or UNSAID[expression]
    path.write_text(
        f'{XML}<owl:Class rdf:about="11"><rdfs:subClassOf>{xml}</rdfs:subClassOf></owl:Class></rdf:RDF>'
    )
    report = LoadReport()
    parts = owl.read(path, report)
    assert parts.relations.is_empty()
    assert parts.values.is_empty()
    if expression in EXPRESSIONS:
        assert parts.axioms["axiom"].to_list() == [f"SubClassOf(:11 {expression})"]
    else:
        assert parts.axioms.is_empty()
        assert report.dropped["axiom"][f"{expression} is no relation"] == 1
        assert report.dropped["axiom"]["it holds what cannot be written, and is not kept for a reasoner"] == 1


def test_one_document_in_three_forms(document, tmp_path):
    """RDF/XML, and what owlready2 and rdflib make of it in the two other forms."""
    import rdflib

    first = owl.read(document, LoadReport())
    graph = rdflib.Graph().parse(document, format="xml")
    graph.serialize(tmp_path / "o.nt", format="nt", encoding="utf-8")
    second = owl.read(tmp_path / "o.nt", LoadReport())
    for name in ("concepts", "inactive", "relations", "values", "terms", "axioms"):
        assert sorted(getattr(second, name).rows(), key=repr) == sorted(
            getattr(first, name).rows(), key=repr
        ), name


OWX = """<?xml version="1.0"?>
<Ontology xmlns="http://www.w3.org/2002/07/owl#" ontologyIRI="http://example.org/o">
<Prefix name="" IRI="http://snomed.info/id/"/>
<Prefix name="rdfs" IRI="http://www.w3.org/2000/01/rdf-schema#"/>
<Declaration><Class IRI="http://snomed.info/id/11"/></Declaration>
<Declaration><Class IRI="http://snomed.info/id/10"/></Declaration>
<Declaration><ObjectProperty IRI="http://snomed.info/id/21"/></Declaration>
<SubClassOf><Class IRI="http://snomed.info/id/11"/><ObjectIntersectionOf><Class abbreviatedIRI=":10"/>
  <ObjectSomeValuesFrom><ObjectProperty abbreviatedIRI=":21"/><Class abbreviatedIRI=":10"/></ObjectSomeValuesFrom>
</ObjectIntersectionOf></SubClassOf>
<AnnotationAssertion><AnnotationProperty abbreviatedIRI="rdfs:label"/><IRI>http://snomed.info/id/11</IRI>
  <Literal xml:lang="en">Pneumonia</Literal></AnnotationAssertion>
</Ontology>
"""


def test_owl_xml_is_read(tmp_path):
    path = tmp_path / "o.owx"
    path.write_text(OWX)
    onto = load(path)
    assert onto.sctids.tolist() == [10, 11]
    assert (onto.fsn(11), len(onto.relations)) == ("Pneumonia", 2)
    assert onto.axioms["axiom"].to_list() == [
        "SubClassOf(:11 ObjectIntersectionOf(:10 ObjectSomeValuesFrom(:21 :10)))"
    ]


FAULTS = {
    "a tag is not closed": ('<owl:Class rdf:about="5">\n</rdf:RDF>', 5),
    "it ends in the middle": ('\n<owl:Class rdf:about="htt', 5),
    "a prefix that nobody declares": ('\n<foo:Class rdf:about="5"/>\n</rdf:RDF>', 5),
    "an entity that nobody declares": ('\n<owl:Class rdf:about="&x;5"/>\n</rdf:RDF>', 5),
    "an IRI with a blank": ('\n\n<owl:Class rdf:about="http://a b/5"/>\n</rdf:RDF>', 6),
    "no name": ('\n<owl:Class rdf:ID="5 5"/>\n</rdf:RDF>', 5),
    "two names": ('\n<owl:Class rdf:about="5" rdf:ID="x"/>\n</rdf:RDF>', 5),
    "text between the elements": ('\nstray text\n<owl:Class rdf:about="5"/>\n</rdf:RDF>', 5),
    "a list item that is a node": ("\n<rdf:li/>\n</rdf:RDF>", 5),
    "no language": (
        '\n<owl:Class rdf:about="5"><rdfs:label xml:lang="no tag">x</rdfs:label></owl:Class></rdf:RDF>', 5),
}  # fmt: skip


@pytest.mark.parametrize("why", FAULTS)
def test_broken_rdf_xml_is_refused_with_its_line(tmp_path, why, capsys):
    text, row = FAULTS[why]
    path = tmp_path / "o.owl"
    path.write_text(XML + text)
    with pytest.raises(InputError, match="does not parse") as caught:
        load(path)
    assert (caught.value.path, caught.value.row) == (path, row)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("parser", ["rdflib", "owlready2"])
@pytest.mark.parametrize("why", list(FAULTS)[:4])
def test_the_other_parsers_say_the_line_too(tmp_path, why, parser, capsys):
    text, row = FAULTS[why]
    path = tmp_path / "o.owl"
    path.write_text(XML + text)
    with pytest.raises(InputError, match="does not parse") as caught:
        owl.read(path, LoadReport(), parser=parser)
    assert caught.value.row == row
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("old", "new", "row"),
    [("</Ontology>", "", 14), ("<SubClassOf>", "<SubClassOf/><Bogus>", 10), ('name="" ', 'name="x" ', 8),
     ('IRI="http://snomed.info/id/11"', 'Nothing="1"', 5)],
)  # fmt: skip
def test_broken_owl_xml_is_refused_with_its_line(tmp_path, old, new, row, capsys):
    path = tmp_path / "o.owx"
    path.write_text(OWX.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        load(path)
    assert (caught.value.path, caught.value.row) == (path, row)
    assert capsys.readouterr().err == "", "owlready2 shows tracebacks of its own"


@pytest.mark.parametrize("name", ["o.owl", "o.nt", "o.owx"])
def test_a_document_without_a_class_is_refused(tmp_path, name):
    texts = {
        "o.owl": XML + "</rdf:RDF>",
        "o.nt": "<urn:a> <urn:b> <urn:c> .\n",
        "o.owx": '<?xml version="1.0"?>\n<Ontology xmlns="http://www.w3.org/2002/07/owl#" ontologyIRI="http://o/"/>',
    }
    path = tmp_path / name
    path.write_text(texts[name])
    with pytest.raises(InputError, match="no named owl:Class"):
        owl.read(path, LoadReport())


def test_an_extension_in_owl_becomes_a_release_with_axioms_of_its_own(tmp_path):
    """The names in the axioms are those SCTIDs that the release gives."""
    path = tmp_path / "o.owl"
    path.write_text(DOCUMENT)
    onto = load(path)
    again = load_rf2(rf2.write(onto, tmp_path / "rf2", effective_time=20260101, namespace=9999002))
    own = next(int(s) for s in again.sctids if s not in onto)
    texts = again.axioms.filter(again.axioms["sctid"] == own)["axiom"].to_list()
    assert texts == [f"SubClassOf(:{own} :10)"]
    assert again.axioms.height == onto.axioms.height


def test_the_release_written_as_owl_has_the_axioms_of_its_relations(tmp_path):
    onto = load_rf2(write_rf2(tmp_path / "rf2"))
    again = load(FORMATS["owl"](onto, tmp_path / "o.owl"))
    rows = stated_relations(again)
    relations = onto.relations
    assert rows.filter(rows["type"] == IS_A).height == int((relations.type == 0).sum())
    assert set(rows["source"].to_list()) <= set(onto.sctids.tolist())


def test_axioms_and_reasons_come_back_from_owl(tmp_path, release):
    """General class axioms, chains, traits, properties above others, and why a concept was retired."""
    from tiny_release import CONCEPT, HEADERS, IDS, MODULE, SIMPLE_MAP

    files, load_release = release
    lung, viral, fever = IDS["lung"], IDS["viral"], IDS["fever"]
    site = 363698007
    axioms = [
        f"SubClassOf(ObjectIntersectionOf(:{lung} ObjectSomeValuesFrom(:{ROLE_GROUP} ObjectIntersectionOf("
        f'ObjectSomeValuesFrom(:{site} :{lung}) DataHasValue(:31 "5.10"^^xsd:decimal)))) :{viral})',
        f"SubClassOf(ObjectSomeValuesFrom(:246075003 ObjectSomeValuesFrom(:{site} :{lung})) :{viral})",
        f"SubObjectPropertyOf(ObjectPropertyChain(:{site} :123005000) :{site})",
        f"SubObjectPropertyOf(:{site} :762705008)", "SubDataPropertyOf(:31 :32)",
        "TransitiveObjectProperty(:123005000)", "ReflexiveObjectProperty(:123005000)",
    ]  # fmt: skip
    unsaid = [f"SubClassOf(ObjectUnionOf(:{lung} :{fever}) :{viral})", f"DisjointClasses(:{lung} :{viral})"]
    header = HEADERS[SIMPLE_MAP].replace("mapTarget", "owlExpression").split()
    files["Snapshot/Terminology/sct2_sRefset_OWLExpressionSnapshot_TINY_20260101.txt"] = [
        header, *([f"o{i}", 20260101, 1, MODULE, 733073007, viral, text] for i, text in enumerate(axioms + unsaid)),
    ]  # fmt: skip
    retired = IDS["cough"]
    files[CONCEPT] = [[*row[:2], 0, *row[3:]] if row[0] == retired else row for row in files[CONCEPT]]
    header = HEADERS[SIMPLE_MAP].replace("mapTarget", "valueId").split()
    files["Snapshot/Refset/Content/der2_cRefset_AttributeValueSnapshot_TINY_20260101.txt"] = [
        header, ["v1", 20260101, 1, MODULE, 900000000000489007, retired, 900000000000483008],
    ]  # fmt: skip
    onto = load_release()
    assert onto.inactive.select("sctid", "reason").rows() == [(retired, 900000000000483008)]
    again = load(FORMATS["owl"](onto, tmp_path / "o.owl"))
    assert again.inactive.select("sctid", "reason").rows() == [(retired, 900000000000483008)]
    assert again.history.is_empty()
    assert (
        property_axioms(again).sort("kind", "property").equals(property_axioms(onto).sort("kind", "property"))
    )
    assert set(axioms) <= set(again.axioms["axiom"].to_list())
    assert not set(unsaid) & set(again.axioms["axiom"].to_list())
    assert again.sctids.tolist() == onto.sctids.tolist()


def test_a_property_that_is_a_concept_too_keeps_both_names(tmp_path, release):
    """The suffix of ours is taken off again, and an IRI of somebody else that ends in #role is left whole."""
    path = tmp_path / "o.owl"
    path.write_text(
        f'{XML}<owl:Class rdf:about="http://example.org/mine#role"/><owl:Class rdf:about="21"/>'
        f'<owl:Class rdf:about="http://example.org/mine#value"><rdfs:subClassOf>{some(21, named(21))}</rdfs:subClassOf>'
        "</owl:Class></rdf:RDF>"
    )
    first = load(path)
    again = load(FORMATS["owl"](first, tmp_path / "again.owl"))
    for onto in (first, again):
        assert sorted(onto.identifier(int(s)) for s in onto.sctids) == [
            "21", "http://example.org/mine#role", "http://example.org/mine#value",
        ]  # fmt: skip
        assert onto.relation_types.tolist() == [IS_A, 21]
