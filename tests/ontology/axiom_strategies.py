"""OWL axioms as hypothesis makes them: any shape that `ontology.functional_syntax` has an object for."""

from hypothesis import strategies as st

from ontology.functional_syntax import All, Equivalent, PropertyTrait, Some, SubClass, SubProperty, Value
from ontology.identifiers import ROLE_GROUP

numbers = st.integers(1, 10**18 - 1).map(str)
names = st.one_of(
    numbers,
    st.from_regex(r"[A-Z][A-Za-z]{0,5}:[0-9]{1,6}", fullmatch=True).filter(lambda n: not n.upper().startswith("S")),
    st.from_regex(r"http://example\.org/[a-z]{1,6}[#/][\w.\-]{1,8}", fullmatch=True),
    st.from_regex(r"urn:x:[a-z0-9]{1,8}", fullmatch=True),
)  # fmt: skip
values = st.one_of(
    st.integers().map(lambda n: f"#{n}"),
    st.from_regex(r"#[+-]?[0-9]{1,9}\.[0-9]{1,9}", fullmatch=True).filter(str.isascii),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12).map(lambda t: f'"{t}"'),
)


def expressions(names=names, values=values, depth=6):
    atoms = st.one_of(names, st.builds(Value, names, values))

    def wider(inner):
        return st.one_of(
            st.builds(lambda parts: All(tuple(parts)), st.lists(inner, min_size=2, max_size=4)),
            st.builds(Some, st.one_of(names, st.just(str(ROLE_GROUP))), inner),
        )

    return st.recursive(atoms, wider, max_leaves=depth)


def axioms(names=names, values=values):
    some = expressions(names, values)
    return st.one_of(
        st.builds(SubClass, some, some),
        st.builds(lambda parts: Equivalent(tuple(parts)), st.lists(some, min_size=2, max_size=3)),
        st.builds(lambda chain, above: SubProperty(tuple(chain), above), st.lists(names, min_size=1, max_size=3),
                  names),
        st.builds(lambda sub, above: SubProperty((sub,), above, True), names, names),
        st.builds(PropertyTrait, st.sampled_from(["transitive", "reflexive"]), names),
    )  # fmt: skip


def ordinary():
    """Axioms in the shape that nearly every row of a release has: what the columns take apart without the parser."""
    plain = st.from_regex(r'"[^"\\\x00-\x1f]{0,9}"', fullmatch=True)
    numeric = st.from_regex(r"#[0-9]{1,5}(?:\.[0-9]{1,5})?", fullmatch=True).filter(str.isascii)
    atom = st.one_of(st.builds(Some, numbers, numbers), st.builds(Value, numbers, st.one_of(plain, numeric)))
    inside = st.one_of(atom, st.lists(atom, min_size=2, max_size=3).map(lambda parts: All(tuple(parts))))
    item = st.one_of(numbers, atom, st.builds(Some, st.just(str(ROLE_GROUP)), inside))
    whole = st.one_of(item, st.lists(item, min_size=2, max_size=4).map(lambda parts: All(tuple(parts))))
    return st.one_of(
        st.builds(SubClass, numbers, whole), st.builds(lambda n, w: Equivalent((n, w)), numbers, whole)
    )


TOKENS = (
    "SubClassOf(", "EquivalentClasses(", "ObjectIntersectionOf(", "ObjectSomeValuesFrom(", "DataHasValue(",
    "ObjectPropertyChain(", "SubObjectPropertyOf(", "TransitiveObjectProperty(", "ObjectInverseOf(", "Declaration(",
    "Annotation(", "Class(", "ObjectUnionOf(", "DisjointClasses(", ")", ":1", ":609096000", ":", ":0", "<urn:x>",
    "<", "x:y", '"5"^^xsd:decimal', '"a"@en', '"', "\\", "5", " ", "\n", "\x00", "٣", ":٣", "é", "#",
)  # fmt: skip
