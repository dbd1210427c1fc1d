"""The axioms that decide what is above given classes: the ⊥-locality module of an ontology.

An axiom is ⊥-local for a set S of names if it holds whatever the names in S mean, once every class and property outside
of S is taken to be empty. In the EL that SNOMED CT is written in that can be read off: an expression is empty as soon
as one of its names is, so `C ⊑ D` is local unless all names of C are in S, a definition is taken both ways, a chain is
local unless all its properties are in S, transitivity unless its property is, and reflexivity never. Whatever else
there is (unions, disjointness, individuals ...) counts as not local. The module is the least set of axioms whose rest
is local for S, the given names together with all names of the module.

What the source proves of such a module: for every class A in S and every class B, it says A ⊑ B exactly if the whole
ontology does. So what is above the classes in S is complete, and what is below them is not.

Source: Cuenca Grau, Horrocks, Kazakov and Sattler, "Modular Reuse of Ontologies: Theory and Practice", JAIR 31 (2008)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from ontology.functional_syntax import (
    PREFIXES,
    All,
    Equivalent,
    Expression,
    Other,
    PropertyTrait,
    Some,
    SubClass,
    SubProperty,
    Value,
    parse,
)
from ontology.functional_text import names
from ontology.writers.iris import from_iri

_THING, _NOTHING = f"{PREFIXES['owl']}Thing", f"{PREFIXES['owl']}Nothing"


def module(axioms: list[str], seeds: Iterable[str]) -> tuple[list[str], set[str]]:
    """Give the axioms that decide what is above some classes.

    Args:
        axioms: The ontology, each axiom in functional syntax.
        seeds: The classes, as `ontology.codes.canonical` spells them.

    Returns:
        The module, in the order of `axioms`; and all names in it and in `seeds`.

    Raises:
        InputError: If an axiom does not parse.
    """
    reached: set[str] = set()
    taken: set[int] = set()
    waiting: defaultdict[str, list[list[int]]] = defaultdict(
        list
    )  # name -> [axiom, how many names it still lacks]
    todo = list(dict.fromkeys(seeds))

    def take(place: int) -> None:
        if place not in taken:
            taken.add(place)
            todo.extend(names(axioms[place]))

    for place, axiom in enumerate(axioms):
        for needed in _conditions(axiom):
            if not needed:
                take(place)
                break
            entry = [place, len(needed)]
            for name in needed:
                waiting[name].append(entry)
    while todo:
        name = todo.pop()
        if name in reached:
            continue
        reached.add(name)
        for entry in waiting.pop(name, ()):
            entry[1] -= 1
            if not entry[1]:
                take(entry[0])
    return [axioms[place] for place in sorted(taken)], reached


def _conditions(axiom: str) -> Iterator[set[str]]:
    """Give sets of names; as soon as all of one are there, the axiom is not local."""
    match parse(axiom):
        case SubClass(sub, _):
            parts: tuple[Expression, ...] = (sub,)
        case Equivalent(several):
            parts = several
        case SubProperty(chain, _):
            yield {from_iri(name) for name in chain}
            return
        case PropertyTrait("transitive", of):
            yield {from_iri(of)}
            return
        case _:
            yield set()
            return
    for part in parts:
        needed = _needed(part)
        if needed is not None:
            yield needed


def _needed(expression: Expression) -> set[str] | None:
    """Give the names that an expression needs so as not to be empty; None if it always is."""
    match expression:
        case str() as name:
            return None if name == _NOTHING else set() if name == _THING else {from_iri(name)}
        case All(parts):
            inside = [_needed(part) for part in parts]
            return None if None in inside else set().union(*(names or set() for names in inside))
        case Some(role, filler):
            needed = _needed(filler)
            return None if needed is None else {from_iri(role)} | needed
        case Value(role, _):
            return {from_iri(role)}
        case Other():
            return set()
    raise AssertionError(expression)
