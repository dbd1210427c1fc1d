"""Axioms to objects, to text and back, and to the rows of the Ontology; whatever is wrong is an InputError."""

import polars as pl
import pytest
from axiom_strategies import TOKENS, axioms, names, ordinary
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ontology import InputError
from ontology.axioms import (
    Statements,
    number_groups,
    property_axioms,
    property_chains,
    state,
    stated_relations,
)
from ontology.codes import key
from ontology.functional_syntax import (
    All,
    Equivalent,
    Other,
    PropertyTrait,
    Some,
    SubClass,
    SubProperty,
    Value,
    parse,
)
from ontology.functional_text import names as names_of
from ontology.functional_text import renamed, subject, text
from ontology.identifiers import IS_A, ROLE_GROUP
from ontology.parts import Parts
from tests.searches import LENGTH, examples

GROUP = str(ROLE_GROUP)
EXAMPLES = {
    "SubClassOf(:1 :2)": SubClass("1", "2"),
    "  SubClassOf ( :1  <http://snomed.info/id/2> ) ": SubClass("1", "2"),
    "SubClassOf(<http://purl.obolibrary.org/obo/DOID_4> owl:Thing)": SubClass(
        "DOID:4", "http://www.w3.org/2002/07/owl#Thing"
    ),
    'SubClassOf(Annotation(rdfs:comment "why \\"so\\"") :1 :2)': SubClass("1", "2"),
    "EquivalentClasses(:1 ObjectIntersectionOf(:2 ObjectSomeValuesFrom(:3 :4)))": Equivalent(
        ("1", All(("2", Some("3", "4"))))
    ),
    'SubClassOf(:1 DataHasValue(:3 "5.10"^^xsd:decimal))': SubClass("1", Value("3", "#5.10")),
    'SubClassOf(:1 DataHasValue(:3 "5 \\\\ \\"mg\\""^^xsd:string))': SubClass("1", Value("3", '"5 \\ "mg""')),
    "SubObjectPropertyOf(:1 :2)": SubProperty(("1",), "2"),
    "SubDataPropertyOf(:1 :2)": SubProperty(("1",), "2", True),
    "SubObjectPropertyOf(ObjectPropertyChain(:1 :2) :1)": SubProperty(("1", "2"), "1"),
    "TransitiveObjectProperty(:1)": PropertyTrait("transitive", "1"),
    "ReflexiveObjectProperty(:1)": PropertyTrait("reflexive", "1"),
    "DisjointClasses(:1 :2)": Other("DisjointClasses", "DisjointClasses(:1 :2)"),
    "SubClassOf(:1 ObjectUnionOf(:2 :3))": SubClass("1", Other("ObjectUnionOf", "ObjectUnionOf(:2 :3)")),
    "SubObjectPropertyOf(ObjectInverseOf(:1) :2)": Other(
        "SubObjectPropertyOf", "SubObjectPropertyOf(ObjectInverseOf(:1) :2)"
    ),
    "TransitiveObjectProperty(ObjectInverseOf(:1))": Other(
        "TransitiveObjectProperty", "TransitiveObjectProperty(ObjectInverseOf(:1))"
    ),
    "SubObjectPropertyOf(ObjectPropertyChain(:1 ObjectInverseOf(:2)) :3)": Other(
        "SubObjectPropertyOf", "SubObjectPropertyOf(ObjectPropertyChain(:1 ObjectInverseOf(:2)) :3)"
    ),
}


@pytest.mark.parametrize("axiom", EXAMPLES)
def test_axioms_are_read(axiom):
    assert parse(axiom) == EXAMPLES[axiom]


@pytest.mark.parametrize(
    ("axiom", "place", "wanted"),
    [
        ("", 1, "an axiom"),
        ("SubClassOf(:1 :2", 17, "the end"),
        ("SubClassOf(:1)", 1, "2 class expressions"),
        ("SubClassOf(:1 :2) x", 19, "the end of the axiom"),
        ("SubClassOf(:1 zz:2)", 15, "a declared prefix"),
        ("SubClassOf(:1 Bogus(:2))", 15, "a construct of OWL 2"),
        ("SubClassOf(:1 :2 :3)", 1, "two class expressions"),
        ('SubClassOf(:1 "text")', 1, "2 class expressions"),
        ("SubClassOf(:1 ObjectSomeValuesFrom(:2))", 15, "at least 2"),
        ("SubClassOf(:1 DataHasValue(:2 :3))", 15, "a literal"),
        ("SubObjectPropertyOf(:1)", 1, "2 names"),
        ("SubObjectPropertyOf(ObjectPropertyChain(:1) :1)", 21, "at least two properties"),
        ("SubClassOf(:1 " + "ObjectSomeValuesFrom(:2 " * 64 + ":3" + ")" * 65, None, "at most 64 brackets"),
    ],
)
def test_what_is_no_axiom_is_refused_with_the_character(axiom, place, wanted):
    with pytest.raises(InputError, match="does not parse") as caught:
        parse(axiom)
    assert wanted in str(caught.value)
    assert f"at character {place} " in str(caught.value) or place is None


def _round_trip(axiom):
    written = text(axiom)
    assert parse(written) == axiom
    assert text(parse(written)) == written
    assert renamed(written, lambda name: name) == written
    assert subject(axiom) in names_of(written)


@given(axioms())
@settings(max_examples=100, deadline=None)
def test_axioms_go_to_text_and_back(axiom):
    _round_trip(axiom)


@pytest.mark.slow
@given(axioms())
@settings(max_examples=LENGTH, deadline=None)
def test_axioms_go_to_text_and_back_at_length(axiom):
    _round_trip(axiom)


garbage = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from(TOKENS), max_size=20).map("".join),
    st.tuples(axioms().map(text), st.integers(0, 200), st.integers(0, 9), st.sampled_from(TOKENS)).map(
        lambda t: t[0][: t[1]] + t[3] + t[0][t[1] + t[2] :]
    ),
)


def _refused_or_read(axiom):
    try:
        parse(axiom)
    except InputError:
        return
    frame = pl.DataFrame({"sctid": [1], "axiom": [axiom]})
    stated_relations(Parts(axioms=frame))
    renamed(axiom, lambda name: name)


@given(garbage)
@settings(max_examples=150, deadline=None)
def test_garbage_is_an_input_error(axiom):
    _refused_or_read(axiom)


@pytest.mark.slow
@given(garbage)
@settings(max_examples=LENGTH, deadline=None)
def test_pieces_of_garbage_at_length(axiom):
    _refused_or_read(axiom)


def test_a_digit_of_another_script_is_no_number():
    """The columns took it for one, and polars could not."""
    rows = stated_relations(Parts(axioms=pl.DataFrame({"sctid": [1], "axiom": ["SubClassOf(:٣ :٤)"]})))
    assert rows["source"].to_list() == [key("http://snomed.info/id/٣")]


@given(st.lists(ordinary(), min_size=1, max_size=12))
@settings(max_examples=examples(200), deadline=None)
def test_the_columns_say_what_the_parser_says(several):
    """Rows of the usual shape are taken apart by polars; the parser and `say` are the independent way."""
    texts = [text(axiom) for axiom in several]
    rows, _ = state(pl.DataFrame({"sctid": [1] * len(texts), "axiom": texts}))
    statements = Statements()
    for axiom in texts:
        statements.say(parse(axiom))
    assert_frame_equal(number_groups(rows), number_groups(statements.rows()))


@given(axioms(), names, names)
@settings(max_examples=examples(200), deadline=None)
def test_renaming_is_done_by_name_and_not_by_spelling(axiom, old, new):
    done = renamed(text(axiom), lambda name: new if name == old else name)
    assert names_of(done) == {new if name == old else name for name in names_of(text(axiom))}


AXIOMS = f"""
EquivalentClasses(:11 ObjectIntersectionOf(:10 ObjectSomeValuesFrom(:{GROUP} ObjectIntersectionOf(ObjectSomeValuesFrom(:21 :31) ObjectSomeValuesFrom(:22 :32))) ObjectSomeValuesFrom(:{GROUP} ObjectSomeValuesFrom(:21 :33))))
SubClassOf(:12 ObjectIntersectionOf(:11 ObjectSomeValuesFrom(:23 :34) DataHasValue(:24 "5.10"^^xsd:decimal)))
SubClassOf(ObjectIntersectionOf(:10 ObjectSomeValuesFrom(:{GROUP} ObjectSomeValuesFrom(:21 :35))) :13)
SubObjectPropertyOf(:22 :25)
SubObjectPropertyOf(ObjectPropertyChain(:21 :26) :21)
TransitiveObjectProperty(:26)
ReflexiveObjectProperty(:26)
""".strip().splitlines()  # noqa: E501


def of(texts, sctid=1):
    return Parts(axioms=pl.DataFrame({"sctid": [sctid] * len(texts), "axiom": texts}))


def test_what_axioms_state():
    rows = (
        stated_relations(of(AXIOMS))
        .select("source", "type", "target", "value", "group", "gci", "defined")
        .rows()
    )
    assert set(rows) == {
        (11, IS_A, 10, None, 0, 0, True),
        (11, 21, 31, None, 1, 0, True), (11, 22, 32, None, 1, 0, True), (11, 21, 33, None, 2, 0, True),
        (12, IS_A, 11, None, 0, 0, False), (12, 23, 34, None, 0, 0, False), (12, 24, None, "#5.10", 0, 0, False),
        (13, IS_A, 10, None, 0, 1, False), (13, 21, 35, None, 1, 1, False),
    }  # fmt: skip
    assert sorted(property_axioms(of(AXIOMS)).rows()) == [
        ("chain", 21, [21, 26]), ("reflexive", 26, []), ("sub", 25, [22]), ("transitive", 26, []),
    ]  # fmt: skip
    assert property_chains(of(AXIOMS)).rows() == [(21, [21, 26])]


def test_values_in_groups_of_several_concepts():
    """polars panicked over the chunks that the columns of these rows lay in."""
    group = f'ObjectSomeValuesFrom(:{GROUP} DataHasValue(:24 "5"^^xsd:integer))'
    rows = stated_relations(of([f"SubClassOf(:{n} ObjectIntersectionOf(:2 {group}))" for n in (11, 12)]))
    assert rows.filter(pl.col("value") == "#5").select("source", "group").rows() == [(11, 1), (12, 1)]


def test_the_order_of_the_axioms_does_not_number_the_groups():
    one, other = "ObjectSomeValuesFrom(:21 :31)", "ObjectSomeValuesFrom(:22 :32)"
    back = [axiom.replace(f"{one} {other}", f"{other} {one}") for axiom in AXIOMS[::-1]]
    assert back != AXIOMS[::-1]
    assert_frame_equal(stated_relations(of(back)), stated_relations(of(AXIOMS)))


def test_a_wrong_axiom_names_its_concept():
    with pytest.raises(InputError, match=r"of the axioms of 22298006, 'SubClassOf\(:1' does not parse"):
        stated_relations(of(["SubClassOf(:1"], 22298006))


def test_codes_that_are_no_iris_keep_their_key():
    """`X 1` is written as an IRI of ours, and came back as the key of that IRI."""
    rows = stated_relations(of([text(SubClass("X 1", "2"))]))
    assert rows["source"].to_list() == [key("X 1")]
