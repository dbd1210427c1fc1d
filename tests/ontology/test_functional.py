"""OWL functional syntax through py-horned-owl: every construct that SNOMED CT uses, and what is wrong with its line."""

import socket

import pytest

from ontology import InputError, load
from ontology.axioms import property_axioms, stated_relations
from ontology.codes import key
from ontology.identifiers import IS_A, ROLE_GROUP
from ontology.readers import functional, owl
from ontology.report import LoadReport

HEAD = """# the release of a day
Prefix(:=<http://snomed.info/id/>)
Prefix(rdfs:=<http://www.w3.org/2000/01/rdf-schema#>)
Prefix(skos:=<http://www.w3.org/2004/02/skos/core#>)
Prefix(owl:=<http://www.w3.org/2002/07/owl#>)
Prefix(xsd:=<http://www.w3.org/2001/XMLSchema#>)
Prefix(mine:=<http://example.org/mine#>)

Ontology(<http://example.org/o>
"""
NAMES = {
    10: "Disease",
    11: "Pneumonia",
    12: "Bacterial pneumonia",
    13: "Infection",
    30: "Site",
    31: "Lung",
    32: "Bacterium",
}
DOCUMENT = HEAD + "".join(f"Declaration(Class(:{n}))\n" for n in NAMES) + "".join(
    f'AnnotationAssertion(rdfs:label :{n} "{name}"@en)\n' for n, name in NAMES.items()
) + f"""
Declaration(Class(mine:Own))
Declaration(ObjectProperty(:21)) Declaration(ObjectProperty(:{ROLE_GROUP})) Declaration(DataProperty(:24))
AnnotationAssertion(rdfs:label :21 "Finding site")
AnnotationAssertion(skos:altLabel :11 "Lungenentzündung \\"P\\""@de-AT) # a comment (with a bracket
AnnotationAssertion(skos:definition :11 "a \\\\ backslash")
AnnotationAssertion(rdfs:label mine:Own "Own # no comment (here")
SubClassOf(:11 :10)
SubClassOf(:13 :10)
SubClassOf(mine:Own :11)
SubClassOf(:31 :30)
EquivalentClasses(:12 ObjectIntersectionOf(:11 ObjectSomeValuesFrom(:{ROLE_GROUP} ObjectIntersectionOf(
    ObjectSomeValuesFrom(:21 :31) ObjectSomeValuesFrom(:22 :32)))
  ObjectSomeValuesFrom(:{ROLE_GROUP} ObjectSomeValuesFrom(:21 :30)) ObjectSomeValuesFrom(:23 :32)))
SubClassOf(Annotation(rdfs:comment "said (so") :12 DataHasValue(:24 "5.10"^^xsd:decimal))
SubClassOf(:12 ObjectSomeValuesFrom(:{ROLE_GROUP} DataHasValue(:24 "two \\"words\\"")))
SubClassOf(ObjectIntersectionOf(:10 ObjectSomeValuesFrom(:22 :32)) :13)
SubObjectPropertyOf(:22 :25)
SubDataPropertyOf(:24 :27)
SubObjectPropertyOf(ObjectPropertyChain(:21 :26) :21)
TransitiveObjectProperty(:26)
ReflexiveObjectProperty(:26)
SubClassOf(:11 ObjectUnionOf(:13 :31))
DisjointClasses(:10 :30)
ObjectPropertyDomain(:21 :10)
ClassAssertion(:10 mine:somebody)
)
"""  # fmt: skip


@pytest.fixture
def document(tmp_path):
    path = tmp_path / "o.ofn"
    path.write_text(DOCUMENT, "utf-8")
    return path


def test_a_document_of_every_construct(document):
    onto = load(document)
    own = key("http://example.org/mine#Own")
    assert sorted(onto.sctids.tolist()) == sorted([*NAMES, own])
    r = onto.relations
    rows = zip(
        onto.sctids[r.source], onto.relation_types[r.type], onto.sctids[r.target], r.group, strict=True
    )
    assert {tuple(map(int, row)) for row in rows} == {
        (11, IS_A, 10, 0), (13, IS_A, 10, 0), (12, IS_A, 11, 0), (own, IS_A, 11, 0), (31, IS_A, 30, 0),
        (12, 21, 31, 2), (12, 22, 32, 2), (12, 21, 30, 1), (12, 23, 32, 0),
    }  # fmt: skip
    node = onto.sctids.tolist().index(12)
    assert onto.values.select("concept", "type", "group", "value").rows() == [
        (node, 24, 0, "#5.10"), (node, 24, 3, '"two "words""'),
    ]  # fmt: skip
    assert onto.defined.tolist() == [int(n) == 12 for n in onto.sctids]
    assert onto.fsn(own) == "Own # no comment (here"
    said = {(t, k, lang) for t, k, lang in onto.terms.filter(onto.terms["concept"] == 1).select(
        "term", "kind", "language").rows()}  # fmt: skip
    assert said == {
        ("Pneumonia", "fsn", "en"), ("Pneumonia", "synonym", "en"),
        ('Lungenentzündung "P"', "synonym", "de-AT"), ("a \\ backslash", "definition", ""),
    }  # fmt: skip


def test_the_axioms_are_kept_for_a_reasoner(document):
    onto = load(document)
    texts = set(onto.axioms["axiom"].to_list())
    assert {
        "DisjointClasses(:10 :30)", "ObjectPropertyDomain(:21 :10)", "SubClassOf(:11 ObjectUnionOf(:13 :31))",
        "SubObjectPropertyOf(ObjectPropertyChain(:21 :26) :21)", "SubDataPropertyOf(:24 :27)",
        "SubClassOf(<http://example.org/mine#Own> :11)",
    } < texts  # fmt: skip
    assert not any("Annotation" in text or "ClassAssertion" in text for text in texts)
    kinds = {(kind, of) for kind, of, _ in property_axioms(onto).rows()}
    assert kinds == {("sub", 25), ("sub", 27), ("chain", 21), ("transitive", 26), ("reflexive", 26)}
    gci = stated_relations(onto).filter(stated_relations(onto)["gci"] > 0)
    assert gci.select("source", "type", "target").rows() == [(13, 22, 32), (13, IS_A, 10)]
    about = dict(onto.axioms.select("axiom", "sctid").rows())
    assert about["SubObjectPropertyOf(ObjectPropertyChain(:21 :26) :21)"] == 21
    assert about["SubClassOf(ObjectIntersectionOf(:10 ObjectSomeValuesFrom(:22 :32)) :13)"] == 13


def test_what_is_left_out_is_counted(document):
    dropped = load(document).report.dropped["axiom"]
    assert dropped == {
        "rows of general class axioms, which are no relations": 2,
        "ObjectUnionOf is no relation": 1, "DisjointClasses is no relation": 1,
        "ObjectPropertyDomain is no relation": 1, "ClassAssertion is not used": 1,
    }  # fmt: skip


def test_classes_that_nobody_declares_are_there_all_the_same(tmp_path):
    path = tmp_path / "o.ofn"
    path.write_text(HEAD + "EquivalentClasses(:1 ObjectIntersectionOf(:2 ObjectSomeValuesFrom(:3 :4)))\n)\n")
    onto = load(path)
    assert onto.sctids.tolist() == [1, 2, 4]
    assert len(onto.relations) == 2


def test_imports_are_counted_and_never_fetched(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network was asked for")

    for name in ("create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    path = tmp_path / "o.owl"
    path.write_text(HEAD + "Import(<http://example.org/other.owl>)\nDeclaration(Class(:1))\n)\n")
    report = load(path).report
    assert report.dropped["import"] == {"it is never fetched": 1}
    assert report.files_not_read == [
        {"file": "http://example.org/other.owl", "reason": "an import, which is never fetched"}
    ]


@pytest.mark.parametrize("name", ["o.ofn", "o.owl", "o.fss"])
@pytest.mark.parametrize("start", ["", "\ufeff", "\n\n", "# a comment\n\n# another: Ontology(\n"])
def test_it_is_recognised_by_its_first_bytes(tmp_path, name, start):
    path = tmp_path / name
    path.write_text(
        start + "Prefix( : = <http://snomed.info/id/> )\nOntology(Declaration(Class(:1)))", "utf-8"
    )
    assert functional.recognises(path)
    assert load(path).sctids.tolist() == [1]
    assert owl.read(path, LoadReport()).concepts.height == 1


HUGE = "99999999999999999999"
BROKEN = {
    "a bracket is missing": ("SubClassOf(:1 :2\n)\n", 11, "does not parse"),
    "an unknown construct": ("SubClassOf(:1 :2)\nBogus(:1 :2)\n)\n", 11, "does not parse"),
    "an unknown prefix": ("SubClassOf(:1 :2)\nSubClassOf(:1 zz:2)\n)\n", 11, "undefined prefix"),
    "no IRI": ("SubClassOf(:1 <http://a b>)\n)\n", 10, "does not parse"),
    "too deep": (
        "\nSubClassOf(:1 " + "ObjectSomeValuesFrom(:3 " * 70 + ":4" + ")" * 71 + ")",
        11,
        "65 brackets",
    ),
    "so deep that the library dies": ("ObjectUnionOf(" * 200_000, 10, "65 brackets"),
    "a number beyond 32 bits": (f"SubClassOf(:1 ObjectMinCardinality({HUGE} :3))\n)", None, "does not parse"),
    "no class": (")\n", None, "not one class"),
}


@pytest.mark.parametrize("why", BROKEN)
def test_what_is_broken_is_refused_with_its_line(tmp_path, why):
    text, row, said = BROKEN[why]
    path = tmp_path / "o.ofn"
    path.write_text(HEAD + text)
    with pytest.raises(InputError, match=said) as caught:
        load(path)
    assert (caught.value.path, caught.value.row) == (path, row)
    assert caught.value.remedy


def test_bytes_that_are_no_utf8_are_refused_with_their_line(tmp_path):
    path = tmp_path / "o.ofn"
    path.write_bytes(HEAD.encode() + b"# \xff\n)\n")
    with pytest.raises(InputError, match="UTF-8") as caught:
        load(path)
    assert caught.value.row == 10


def test_without_the_library_the_remedy_is_said(document, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyhornedowl", None)
    with pytest.raises(InputError, match=r"pip install 'mh-diff\[formats\]'"):
        load(document)


def test_the_owl_reference_set_and_the_document_say_the_same(tmp_path, release):
    """The axioms of a release, and the same in a document that declares nothing."""
    from tiny_release import HEADERS, IDS, MODULE, SIMPLE_MAP

    files, load_release = release
    lung, viral, covid = IDS["lung"], IDS["viral"], IDS["covid"]
    axioms = [
        (covid, f"EquivalentClasses(:{covid} ObjectIntersectionOf(:{viral} ObjectSomeValuesFrom(:{ROLE_GROUP} "
                f"ObjectSomeValuesFrom(:363698007 :{lung}))))"),
        (viral, f"SubClassOf(ObjectSomeValuesFrom(:246075003 :{lung}) :{viral})"),
        (363698007, "SubObjectPropertyOf(ObjectPropertyChain(:363698007 :123005000) :363698007)"),
    ]  # fmt: skip
    header = HEADERS[SIMPLE_MAP].replace("mapTarget", "owlExpression").split()
    files["Snapshot/Terminology/sct2_sRefset_OWLExpressionSnapshot_TINY_20260101.txt"] = [
        header, *([f"o{i}", 20260101, 1, MODULE, 733073007, about, text] for i, (about, text) in enumerate(axioms)),
    ]  # fmt: skip
    onto = load_release()
    path = tmp_path / "o.ofn"
    path.write_text(HEAD + "\n".join(text for _, text in axioms) + "\n)\n")
    again = load(path)
    assert again.axioms.rows() == onto.axioms.rows()
    assert stated_relations(again).equals(stated_relations(onto))
    assert property_axioms(again).equals(property_axioms(onto))
