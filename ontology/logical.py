"""The logical content of `Parts` as axioms: what a reasoner is given.

A concept that no axiom describes is described by its relations, each role group as one restriction. The relations of
one that axioms do describe are what was once inferred from them, and do not count unless they are trusted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from urllib.parse import quote

import polars as pl

from ontology.axioms import state
from ontology.codes import FIRST, key
from ontology.functional_syntax import (
    PREFIXES,
    All,
    Axiom,
    Equivalent,
    Expression,
    Some,
    SubClass,
    SubProperty,
    Value,
    parse,
)
from ontology.functional_text import intersection, literal, name, text
from ontology.identifiers import IS_A, ROLE_GROUP
from ontology.locality import module
from ontology.parts import Parts
from ontology.writers.iris import from_iri, to_iri

VALUE, _DATA = "urn:mh-diff:value:", "urn:mh-diff:data:"


def write_axioms(parts: Parts) -> str:
    """Write the logical content as a document in OWL functional syntax, as the Java reasoners get it.

    Args:
        parts: The content.

    Raises:
        InputError: If an axiom does not parse.
    """
    axioms, classes = logical_axioms(parts)
    return document(axioms, classes, parts)


def logical_axioms(
    parts: Parts, about: set[int] | None = None, trust_relations: bool = False
) -> tuple[list[str], set[int]]:
    """Give the axioms, those that relations state too, and the concepts to classify.

    Args:
        parts: The content.
        about: Leave out what does not decide what is above these concepts; None leaves out nothing.
        trust_relations: Whether relations count for concepts with axioms too.

    Raises:
        InputError: If an axiom does not parse.
    """
    kept = active_axioms(parts)
    rows, _ = state(kept)  # each axiom is parsed here, so that none can break the document
    told = rows.filter((pl.col("gci") == 0) & (not trust_relations))["source"].unique().implode()
    codes = dict(parts.codes.select("key", "code").iter_rows())
    untold = parts.relations.filter(~pl.col("source").is_in(told)).select(
        "source", "type", "target", value=pl.lit(None, dtype=pl.String), group="group"
    )
    values = parts.values.filter(~pl.col("source").is_in(told)).select(
        "source", "type", target=pl.lit(None, dtype=pl.Int64), value="value", group="group"
    )
    defined = set(parts.concepts.filter("defined")["sctid"].to_list())
    axioms = [
        *dict.fromkeys(kept["axiom"].to_list()),
        *_from_relations(pl.concat([untold, values]), defined, _caller(codes)),
    ]
    classes = set(parts.concepts["sctid"].to_list())
    if about is not None:
        seeds = [codes.get(k, str(k)) if k >= FIRST else str(k) for k in sorted(about & classes)]
        axioms, names = module(axioms, seeds)
        classes &= {key(n) for n in names}
    return axioms, classes


def active_axioms(parts: Parts) -> pl.DataFrame:
    """Give the axioms without those about inactive concepts.

    Args:
        parts: The content.
    """
    return parts.axioms.filter(~pl.col("sctid").is_in(parts.inactive["sctid"].implode()))


def _caller(codes: dict[int, str]) -> Callable[[int], str]:
    return lambda number: f":{number}" if number < FIRST else f"<{to_iri(codes.get(number, str(number)))}>"


def document(axioms: list[str], classes: set[int], parts: Parts) -> str:
    """Write axioms as a document in OWL functional syntax, with the declarations of its names.

    Args:
        axioms: The axioms.
        classes: The concepts to declare.
        parts: Where the axioms are from.
    """
    call = _caller(dict(parts.codes.select("key", "code").iter_rows()))
    data: set[str] = set()
    objects = {name(str(ROLE_GROUP))}
    for axiom in axioms:
        _collect(parse(axiom), objects, data)
    heads = [f"Prefix({prefix}:=<{space}>)" for prefix, space in PREFIXES.items()]
    declared = [f"Declaration(Class({call(k)}))" for k in sorted(classes)]
    declared += [f"Declaration(ObjectProperty({role}))" for role in sorted(objects)]
    declared += [f"Declaration(DataProperty({role}))" for role in sorted(data)]
    return "\n".join([*heads, "Ontology(<urn:mh-diff:classify>", *declared, *axioms, ")", ""])


def _collect(axiom: Axiom, objects: set[str], data: set[str]) -> None:
    """Sort an axiom's properties into those of objects and those of values."""
    todo: list[Expression] = []
    match axiom:
        case SubClass(sub, above):
            todo = [sub, above]
        case Equivalent(parts):
            todo = list(parts)
        case SubProperty(chain, above, of_values):
            (data if of_values else objects).update(name(role) for role in (*chain, above))
    while todo:
        match todo.pop():
            case All(parts):
                todo += parts
            case Some(role, filler):
                objects.add(name(role))
                todo.append(filler)
            case Value(role, _):
                data.add(name(role))


def _from_relations(rows: pl.DataFrame, defined: set[int], call: Callable[[int], str]) -> list[str]:
    about: defaultdict[int, list[str]] = defaultdict(list)
    groups: defaultdict[int, defaultdict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for source, kind, target, value, group in rows.iter_rows():
        if kind == IS_A:
            about[source].append(call(target))
            continue
        text = (
            f"ObjectSomeValuesFrom({call(kind)} {call(target)})"
            if value is None
            else f"DataHasValue({call(kind)} {literal(value)})"
        )
        if group:
            groups[source][group].append(text)
        else:
            about[source].append(text)
    for source, inside in groups.items():
        about[source] += [
            f"ObjectSomeValuesFrom(:{ROLE_GROUP} {intersection(parts)})" for parts in inside.values()
        ]
    axioms: list[str] = []
    for source, parts in about.items():
        kind = "EquivalentClasses" if source in defined and len(parts) > 1 else "SubClassOf"
        axioms.append(f"{kind}({call(source)} {intersection(parts)})")
    return axioms


def without_values(axiom: str) -> str | None:
    """Say concrete values as classes, and their properties as ones between objects, see `ontology.classify`.

    Args:
        axiom: An axiom in functional syntax.

    Returns:
        The axiom, what it says twice once; nothing where it then says nothing (a class is equivalent to itself).
    """
    parsed = parse(axiom)
    match parsed:
        case SubProperty((sub,), above, True):
            parsed = SubProperty((_data(sub),), _data(above))
        case SubClass(sub, above):
            parsed = SubClass(_classes_of_values(sub), _classes_of_values(above))
        case Equivalent(parts):
            different = tuple(dict.fromkeys(map(_classes_of_values, parts)))
            if len(different) == 1:
                return None
            parsed = Equivalent(different)
    return text(parsed)


def _data(role: str) -> str:
    return _DATA + quote(from_iri(role), safe="")


def _classes_of_values(expression: Expression) -> Expression:
    match expression:
        case All(parts):
            different = tuple(dict.fromkeys(map(_classes_of_values, parts)))
            return All(different) if len(different) > 1 else different[0]
        case Some(role, filler):
            return Some(role, _classes_of_values(filler))
        case Value(role, value):
            return Some(_data(role), VALUE + quote(_canonical(value), safe=""))
    return expression


def _canonical(value: str) -> str:
    """Spell equal values alike: 5 and 5.0 are one number, and 5e0, which is a double, is another."""
    written = literal(value)
    if written.endswith(("integer", "decimal")):
        return f"#{Decimal(value[1:]).normalize():f}"
    return f"#{float(value[1:])!r} double" if written.endswith("double") else written
