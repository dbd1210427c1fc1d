"""OWL functional syntax: one axiom's text to objects, with the place in the error where it does not parse.

A named class or property is a `str`: the SCTID as text, a CURIE or an IRI, as `ontology.codes.canonical` spells it.
The parser keeps its own stack, so that deep nesting is refused with a message and not by Python's recursion limit. What
EL reasoning over SNOMED CT has no use for (unions, complements, cardinalities, individuals) becomes `Other`, which
keeps the text.

Source: https://www.w3.org/TR/owl2-syntax/
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ontology.codes import canonical
from ontology.errors import InputError

DEPTH = 64
PREFIXES: Mapping[str, str] = {
    "": "http://snomed.info/id/",
    "owl": "http://www.w3.org/2002/07/owl#",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "xml": "http://www.w3.org/XML/1998/namespace",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
XSD = PREFIXES["xsd"]
NUMERIC = frozenset(
    XSD + name
    for name in (
        "byte", "decimal", "double", "float", "int", "integer", "long", "negativeInteger", "nonNegativeInteger",
        "nonPositiveInteger", "positiveInteger", "short", "unsignedByte", "unsignedInt", "unsignedLong",
        "unsignedShort",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class All:
    """An intersection: everything that is all of the parts."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """An existential restriction: whatever has the property to some of the filler."""

    property: str
    filler: Expression


@dataclass(frozen=True, slots=True)
class Value:
    """A concrete value, as RF2 writes it: `#5` or a quoted text."""

    property: str
    value: str


@dataclass(frozen=True, slots=True)
class Other:
    """An expression or an axiom of another kind, such as "ObjectUnionOf", with its text."""

    kind: str
    text: str = ""


Expression = str | All | Some | Value | Other


@dataclass(frozen=True, slots=True)
class SubClass:
    """`sub` is a kind of `super`; a general class axiom where `sub` is no name."""

    sub: Expression
    super: Expression


@dataclass(frozen=True, slots=True)
class Equivalent:
    """All parts mean the same."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class SubProperty:
    """The chain of properties, often only one, implies `super`; `data` says that they hold concrete values."""

    chain: tuple[str, ...]
    super: str
    data: bool = False


@dataclass(frozen=True, slots=True)
class PropertyTrait:
    """A property is "transitive" or "reflexive"."""

    trait: str
    property: str


Axiom = SubClass | Equivalent | SubProperty | PropertyTrait | Other


@dataclass(frozen=True, slots=True)
class Literal:
    """A literal with its datatype's IRI and its language tag."""

    text: str
    datatype: str = ""
    language: str = ""

    def as_value(self) -> str:
        """Give it as RF2 writes a concrete value: `#5` for a number, quoted otherwise."""
        return f"#{self.text}" if self.datatype in NUMERIC else f'"{self.text}"'


@dataclass(slots=True)
class _Open:
    kind: str
    start: int
    parts: list[Any] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Chain:
    properties: tuple[str, ...]


class _Note:
    """An annotation of an axiom or a declaration: read over."""


TOKEN = re.compile(
    r"\s*(?:(?P<open>[A-Za-z]+)\s*\(|(?P<close>\))|<(?P<iri>[^<>\"{}|^`\\\s]*)>"
    r"|(?P<prefix>[A-Za-z][\w.\-]*)?:(?P<local>[\w.\-/#%]*)"
    r'|"(?P<text>(?:[^"\\]|\\["\\])*)"(?:\^\^(?:<(?P<typeiri>[^<>\s]*)>|(?P<type>[\w\-]*:[\w\-]+))'
    r"|@(?P<language>[A-Za-z0-9\-]+))?|(?P<number>[0-9]+))",
)
_EXPRESSIONS = frozenset({
    "ObjectUnionOf", "ObjectComplementOf", "ObjectOneOf", "ObjectAllValuesFrom", "ObjectHasValue", "ObjectHasSelf",
    "ObjectMinCardinality", "ObjectMaxCardinality", "ObjectExactCardinality", "DataSomeValuesFrom",
    "DataAllValuesFrom", "DataMinCardinality", "DataMaxCardinality", "DataExactCardinality", "ObjectInverseOf",
    "DataComplementOf", "DataIntersectionOf", "DataOneOf", "DataUnionOf", "DatatypeRestriction",
})  # fmt: skip
_AXIOMS = frozenset({
    "AnnotationAssertion", "AnnotationPropertyDomain", "AnnotationPropertyRange", "AsymmetricObjectProperty",
    "ClassAssertion", "DataPropertyAssertion", "DataPropertyDomain", "DataPropertyRange", "DatatypeDefinition",
    "Declaration", "DifferentIndividuals", "DisjointClasses", "DisjointDataProperties", "DisjointObjectProperties",
    "DisjointUnion", "EquivalentDataProperties", "EquivalentObjectProperties", "FunctionalDataProperty",
    "FunctionalObjectProperty", "HasKey", "InverseFunctionalObjectProperty", "InverseObjectProperties",
    "IrreflexiveObjectProperty", "NegativeDataPropertyAssertion", "NegativeObjectPropertyAssertion",
    "ObjectPropertyAssertion", "ObjectPropertyDomain", "ObjectPropertyRange", "SameIndividual",
    "SubAnnotationPropertyOf", "SymmetricObjectProperty",
})  # fmt: skip
TRAITS = {"TransitiveObjectProperty": "transitive", "ReflexiveObjectProperty": "reflexive"}
_ENTITIES = frozenset({
    "Class", "ObjectProperty", "DataProperty", "AnnotationProperty", "NamedIndividual", "Datatype"
})  # fmt: skip
_KNOWN = (
    _EXPRESSIONS | _AXIOMS | _ENTITIES | frozenset(TRAITS)
    | {"ObjectIntersectionOf", "ObjectSomeValuesFrom", "DataHasValue", "SubClassOf", "EquivalentClasses",
       "SubObjectPropertyOf", "SubDataPropertyOf", "ObjectPropertyChain", "Annotation"}
)  # fmt: skip


def parse(axiom: str, prefixes: Mapping[str, str] = PREFIXES) -> Axiom:
    """Parse one axiom.

    Args:
        axiom: Its text, such as `SubClassOf(:22298006 :64572001)`.
        prefixes: Prefix without the colon -> IRI; by default those of the RF2 OWL reference set.

    Raises:
        InputError: If it is no axiom; the message says at which character.
    """
    stack: list[_Open] = []
    place = 0
    while True:
        found = TOKEN.match(axiom, place)
        if found is None:
            raise _wrong(axiom, place, "a name, a literal or a bracket" if stack else "an axiom")
        here, place = place, found.end()
        kind = found.lastgroup
        if kind == "open":
            name = found["open"]
            if name not in _KNOWN:
                raise _wrong(axiom, found.start("open"), "a construct of OWL 2")
            if len(stack) == DEPTH:
                raise _wrong(axiom, found.start("open"), f"at most {DEPTH} brackets inside one another")
            stack.append(_Open(name, found.start("open")))
            continue
        if not stack:
            raise _wrong(axiom, here, "an axiom")
        if kind != "close":
            stack[-1].parts.append(_leaf(found, prefixes, axiom))
            continue
        done = stack.pop()
        if stack:
            stack[-1].parts.append(_inner(done, axiom, place))
            continue
        if axiom[place:].strip():
            raise _wrong(axiom, place, "the end of the axiom")
        return _outer(done, axiom, place)


def _wrong(axiom: str, place: int, wanted: str) -> InputError:
    place += len(axiom[place:]) - len(axiom[place:].lstrip())
    found = f"'{axiom[place : place + 20]}'" if place < len(axiom) else "the end"
    start = "" if len(axiom) <= 80 else "..."
    return InputError(
        f"the axiom '{axiom[:80]}{start}' does not parse: at character {place + 1} there should be {wanted}, "
        f"not {found}",
        remedy="Axioms are written in OWL 2 functional syntax, such as SubClassOf(:22298006 :64572001)",
    )


def _leaf(found: re.Match[str], prefixes: Mapping[str, str], axiom: str) -> Any:
    kind = found.lastgroup
    if kind == "iri":
        return canonical(found["iri"])
    if kind == "local":
        prefix, local = found["prefix"] or "", found["local"]
        return canonical(_space(prefix, prefixes, axiom, found.start()) + local)
    if kind == "number":
        return Literal(found["number"], XSD + "integer")
    text = found["text"]
    if "\\" in text:
        text = text.replace('\\"', '"').replace("\\\\", "\\")
    datatype = found["typeiri"] or ""
    if found["type"]:
        prefix, _, local = found["type"].partition(":")
        datatype = _space(prefix, prefixes, axiom, found.start("type")) + local
    return Literal(text, datatype, found["language"] or "")


def _space(prefix: str, prefixes: Mapping[str, str], axiom: str, place: int) -> str:
    try:
        return prefixes[prefix]
    except KeyError:
        raise _wrong(axiom, place, f"a declared prefix ({', '.join(f'{p}:' for p in prefixes)})") from None


def _names(node: _Open, count: int, axiom: str) -> list[str]:
    parts = [p for p in node.parts if not isinstance(p, _Note)]
    if len(parts) != count or not all(isinstance(p, str) for p in parts):
        raise _wrong(axiom, node.start, f"{node.kind} of {count} name{'s' if count > 1 else ''}")
    return parts


def _classes(node: _Open, least: int, axiom: str) -> tuple[Expression, ...]:
    parts = tuple(p for p in node.parts if not isinstance(p, _Note))
    if len(parts) < least or not all(isinstance(p, str | All | Some | Value | Other) for p in parts):
        raise _wrong(axiom, node.start, f"{node.kind} of at least {least} class expressions")
    return parts


def _inverse(part: Any) -> bool:
    return isinstance(part, Other) and part.kind == "ObjectInverseOf"


def _inner(node: _Open, axiom: str, end: int) -> Any:
    match node.kind:
        case "ObjectIntersectionOf":
            return All(_classes(node, 2, axiom))
        case "ObjectSomeValuesFrom":
            parts = _classes(node, 2, axiom)
            if len(parts) == 2 and _inverse(parts[0]):
                return Other("ObjectInverseOf", axiom[node.start : end])
            if len(parts) != 2 or not isinstance(parts[0], str):
                raise _wrong(axiom, node.start, "ObjectSomeValuesFrom of a property and a class expression")
            return Some(parts[0], parts[1])
        case "DataHasValue":
            if (
                len(node.parts) != 2
                or not isinstance(node.parts[0], str)
                or not isinstance(node.parts[1], Literal)
            ):
                raise _wrong(axiom, node.start, "DataHasValue of a property and a literal")
            return Value(node.parts[0], node.parts[1].as_value())
        case "ObjectPropertyChain":
            if any(_inverse(p) for p in node.parts):
                return Other("ObjectInverseOf", axiom[node.start : end])
            if len(node.parts) < 2 or not all(isinstance(p, str) for p in node.parts):
                raise _wrong(axiom, node.start, "ObjectPropertyChain of at least two properties")
            return _Chain(tuple(node.parts))
        case kind if kind in _EXPRESSIONS:
            return Other(kind, axiom[node.start : end])
        case kind if kind == "Annotation" or kind in _ENTITIES:
            return _Note()
    raise _wrong(axiom, node.start, "a class expression")


def _outer(node: _Open, axiom: str, end: int) -> Axiom:
    parts = [p for p in node.parts if not isinstance(p, _Note)]
    match node.kind:
        case "SubClassOf":
            both = _classes(node, 2, axiom)
            if len(both) != 2:
                raise _wrong(axiom, node.start, "SubClassOf of two class expressions")
            return SubClass(both[0], both[1])
        case "EquivalentClasses":
            return Equivalent(_classes(node, 2, axiom))
        case "SubObjectPropertyOf" | "TransitiveObjectProperty" | "ReflexiveObjectProperty" if any(
            _inverse(p) for p in parts
        ):
            return Other(node.kind, axiom[node.start : end].strip())
        case "SubObjectPropertyOf" if (
            len(parts) == 2 and isinstance(parts[0], _Chain) and isinstance(parts[1], str)
        ):
            return SubProperty(parts[0].properties, parts[1])
        case "SubObjectPropertyOf" | "SubDataPropertyOf":
            sub, above = _names(node, 2, axiom)
            return SubProperty((sub,), above, node.kind == "SubDataPropertyOf")
        case kind if kind in TRAITS:
            return PropertyTrait(TRAITS[kind], _names(node, 1, axiom)[0])
        case kind if kind in _AXIOMS:
            return Other(kind, axiom[node.start : end].strip())
    raise _wrong(axiom, node.start, "an axiom")
