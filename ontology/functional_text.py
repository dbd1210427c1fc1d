"""OWL functional syntax the other way: objects of `ontology.functional_syntax` to text, names replaced, names listed.

A number is written `:22298006`, everything else as the IRI that `ontology.writers.iris` gives it, so that a text holds
the same names wherever it came from. Literals are those of RF2's concrete values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from ontology.functional_syntax import (
    PREFIXES,
    TOKEN,
    TRAITS,
    All,
    Axiom,
    Equivalent,
    Expression,
    Other,
    PropertyTrait,
    Some,
    SubClass,
    SubProperty,
    Value,
)
from ontology.writers.iris import from_iri, to_iri

_INTEGER = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.[0-9]*|\.[0-9]+)")
_DOUBLE = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)|[+-]?INF|NaN")
_TRAIT = {trait: kind for kind, trait in TRAITS.items()}


def name(identifier: str) -> str:
    """Write a name.

    Args:
        identifier: An SCTID as text, a CURIE, an IRI or any code.
    """
    plain = from_iri(identifier)
    return f":{plain}" if plain.isascii() and plain.isdecimal() else f"<{to_iri(plain)}>"


def literal(value: str) -> str:
    """Write a concrete value of RF2 as a literal.

    Args:
        value: `#5` or a quoted text; a number that XML Schema knows no form of becomes text.
    """
    number = value.removeprefix("#")
    if number != value:
        for form, kind in ((_INTEGER, "integer"), (_DECIMAL, "decimal"), (_DOUBLE, "double")):
            if form.fullmatch(number):
                return f'"{number}"^^xsd:{kind}'
    text = value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"^^xsd:string'


def intersection(parts: list[str]) -> str:
    """Write an intersection of expressions that are written already; of one it is that one.

    Args:
        parts: The expressions.
    """
    return parts[0] if len(parts) == 1 else f"ObjectIntersectionOf({' '.join(parts)})"


class _Unsayable(Exception):
    """An expression of another kind whose text was not kept."""


def text(axiom: Axiom) -> str | None:
    """Write an axiom.

    Args:
        axiom: The axiom.

    Returns:
        Its text, or nothing where it holds an `Other` whose text was not kept.
    """
    try:
        return _axiom(axiom)
    except _Unsayable:
        return None


def expression(of: Expression) -> str | None:
    """Write a class expression; what `text` says of axioms holds for it too.

    Args:
        of: The expression.
    """
    try:
        return _expression(of)
    except _Unsayable:
        return None


def _axiom(axiom: Axiom) -> str:
    match axiom:
        case SubClass(sub, above):
            return f"SubClassOf({_expression(sub)} {_expression(above)})"
        case Equivalent(parts):
            return f"EquivalentClasses({' '.join(map(_expression, parts))})"
        case SubProperty((sub,), above, data):
            return f"Sub{'Data' if data else 'Object'}PropertyOf({name(sub)} {name(above)})"
        case SubProperty(chain, above):
            return f"SubObjectPropertyOf(ObjectPropertyChain({' '.join(map(name, chain))}) {name(above)})"
        case PropertyTrait(trait, of):
            return f"{_TRAIT[trait]}({name(of)})"
    return _other(axiom)


def _expression(of: Expression) -> str:
    match of:
        case str():
            return name(of)
        case All(parts):
            return intersection([_expression(part) for part in parts])
        case Some(role, filler):
            return f"ObjectSomeValuesFrom({name(role)} {_expression(filler)})"
        case Value(role, value):
            return f"DataHasValue({name(role)} {literal(value)})"
    return _other(of)


def _other(of: Other) -> str:
    if not of.text:
        raise _Unsayable
    return renamed(of.text, lambda identifier: identifier)


def _places(axiom: str) -> Iterator[tuple[int, int, str]]:
    """Give where the names of an axiom stand, and which they are; texts and datatypes are no names."""
    place = 0
    while found := TOKEN.match(axiom, place):
        place = found.end()
        if found.lastgroup == "iri":
            yield found.start("iri") - 1, place, found["iri"]
        elif found.lastgroup == "local":
            prefix = found["prefix"] or ""
            if prefix in PREFIXES:
                start = found.start("prefix") if found["prefix"] else found.start("local") - 1
                yield start, place, PREFIXES[prefix] + found["local"]


def renamed(axiom: str, call: Callable[[str], str]) -> str:
    """Write an axiom's text anew, with other names.

    Args:
        axiom: The text.
        call: Gives for an identifier, as `ontology.codes.canonical` spells it, the one to write.
    """
    pieces: list[str] = []
    end = 0
    for start, stop, iri in _places(axiom):
        pieces += [axiom[end:start], name(call(from_iri(iri)))]
        end = stop
    return "".join([*pieces, axiom[end:]])


def subject(axiom: Axiom) -> str:
    """Give what an axiom is about: the class that it describes, or the property.

    Args:
        axiom: The axiom; of a general class axiom it is the class above, of what holds no name it is `owl:Thing`.
    """
    match axiom:
        case SubClass(str() as sub, _):
            return sub
        case SubClass(_, str() as above):
            return above
        case Equivalent(parts) if named := [part for part in parts if isinstance(part, str)]:
            return named[0]
        case SubProperty(chain, _):
            return chain[0]
        case PropertyTrait(_, of):
            return of
    written = text(axiom) or ""
    first = next(iter(_places(written)), None)
    return from_iri(first[2]) if first else f"{PREFIXES['owl']}Thing"


def names(axiom: str) -> set[str]:
    """List the identifiers of classes, properties, individuals and datatypes that stand in an axiom's text.

    Args:
        axiom: The text.
    """
    return {from_iri(iri) for _, _, iri in _places(axiom)}
