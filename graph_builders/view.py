"""Which part of the ontology a cohort's graph holds, and as which edge types.

closure:   the evidence's concepts E and all their ancestors up(E); the targets T of the attribute relations of
           these (finding site, causative agent, ...); and up(T).
khop:      all concepts at most k undirected hops from E over the chosen relation types.
whole:     every concept.
reachable: every concept that messages connect with a patient within `layers` rounds: those from which a directed
           path of at most `layers` messages leads to a concept of E, and those to which one leads from E. A message
           goes from source to target of a relation and, with inverse edges, back. Without `layers` the path may be
           of any length. A concept outside has no part in what a model of so many layers computes for any patient, as
           long as a message is not divided by the degree of the concept that it comes from.

Blinded concepts are taken out of the ontology before anything is walked, so no path leads through them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ontology.errors import InputError

if TYPE_CHECKING:
    from ontology import Ontology

Indices = np.ndarray[Any, np.dtype[np.int64]]
KINDS = ("closure", "khop", "whole", "reachable")
SPLITS = ("tag", "hierarchy")
VALUES = ("none", "nodes", "edges")
ALL = "all"
#: What `merge: all` calls its one edge type.
RELATED = "related"
_EDGE_TYPE = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class View:
    """A slice of the ontology around the evidence, and the edge types that it becomes.

    Args:
        kind: "closure", "khop", "whole" or "reachable".
        hops: How far khop walks.
        layers: How many rounds of messages reachable allows for; None for any number.
        relations: Names or SCTIDs of the relation types to keep; None keeps all. A closure always keeps is-a.
        merge: New edge types, each with the relation types that become it; "all" makes one type, `related`, of all.
            Each edge keeps the number of its relation type as `relation`.
        split: Relation types to be split by their target's semantic "tag" or top-level "hierarchy"; a text for all
            relation types but is-a.
        inverse: Whether each edge between concepts has its reverse, rev_*.
        groups: Whether edges carry their role `group`; a relation in two groups is then two edges.
        values: Where concrete values go: nowhere ("none"), to `x_value` of the concepts ("nodes"), or to `value` of
            the edges in the same role group ("edges", which needs groups).

    Raises:
        InputError: If an argument has no such value, or two contradict each other.
    """

    kind: Literal["closure", "khop", "whole", "reachable"] = "closure"
    hops: int = 2
    relations: tuple[str | int, ...] | None = None
    layers: int | None = None
    merge: Mapping[str, Iterable[str | int]] | Literal["all"] | None = None
    split: Mapping[str | int, str] | str | None = None
    inverse: bool = True
    groups: bool = False
    values: Literal["none", "nodes", "edges"] = "none"

    def __post_init__(self) -> None:
        _one_of("view", self.kind, KINDS)
        _one_of("place for concrete values", self.values, VALUES)
        _whole_number("hops", self.hops, _is_int(self.hops) and self.hops >= 0)
        if self.kind != "khop":
            object.__setattr__(self, "hops", type(self).hops)
        if self.layers is not None:
            _whole_number("layers", self.layers, _is_int(self.layers) and self.layers >= 1)
            if self.kind != "reachable":
                raise InputError(f"layers mean nothing to the view '{self.kind}'", remedy="Use reachable")
        for name in ("inverse", "groups"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"the view's {name} is {getattr(self, name)!r}", remedy="Give true or false")
        if self.values == "edges" and not self.groups:
            raise InputError(
                "concrete values belong to the edges of their role group, and this view keeps no groups",
                remedy="Set groups: true, or values: nodes",
            )
        if self.relations is not None:
            object.__setattr__(self, "relations", _references("relations", self.relations))
        object.__setattr__(self, "merge", merged_names(self.merge))
        object.__setattr__(self, "split", _split(self.split))

    def __hash__(self) -> int:
        return hash(json.dumps(self.as_dict(), sort_keys=True))

    def as_dict(self) -> dict[str, Any]:
        """Give the view as plain values, without those that are at their default and say nothing about the kind."""
        plain: dict[str, Any] = {"kind": self.kind}
        if self.kind == "khop":
            plain["hops"] = self.hops
        elif self.kind == "reachable":
            plain["layers"] = self.layers
        plain["relations"] = None if self.relations is None else list(self.relations)
        if self.merge is not None:
            plain["merge"] = (
                ALL
                if isinstance(self.merge, str)
                else {name: list(which) for name, which in self.merge.items()}
            )
        if self.split is not None:
            plain["split"] = self.split if isinstance(self.split, str) else dict(self.split)
        for name, default in (("inverse", True), ("groups", False), ("values", "none")):
            if getattr(self, name) != default:
                plain[name] = getattr(self, name)
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> View:
        """Make a view of plain values, as `as_dict` gives them or a YAML file holds them.

        Args:
            plain: Arguments by name; what is not there has its default.

        Raises:
            InputError: If a name is no argument of a view, or a value does not fit.
        """
        known = [field.name for field in fields(cls)]
        unknown = sorted(str(name) for name in set(plain) - set(known))
        if unknown:
            raise InputError(f"a view has no '{unknown[0]}'", remedy=f"It has: {', '.join(known)}")
        return cls(**plain)

    def types(self, ontology: Ontology) -> Indices:
        """Give the chosen relation types as indices into `ontology.relation_types`.

        Args:
            ontology: The ontology.

        Raises:
            InputError: If a relation type is not in the ontology.
        """
        known = [int(sctid) for sctid in ontology.relation_types]
        if self.relations is None:
            return np.arange(len(known))
        chosen = {0} if self.kind == "closure" and known else set()
        return np.array(sorted(chosen | set(type_indices(ontology, self.relations))), dtype=np.int64)

    def check(self, ontology: Ontology) -> None:
        """Make sure that the ontology has every relation type that the view names.

        Args:
            ontology: The ontology.

        Raises:
            InputError: If it lacks one.
        """
        self.types(ontology)
        if isinstance(self.merge, Mapping):
            for which in self.merge.values():
                type_indices(ontology, which)
        if isinstance(self.split, Mapping):
            type_indices(ontology, self.split)


def type_indices(ontology: Ontology, relations: Iterable[str | int]) -> list[int]:
    """Find relation types by name ("finding site" or finding_site) or SCTID.

    Args:
        ontology: The ontology.
        relations: Names or SCTIDs.

    Returns:
        Indices into `ontology.relation_types`, in the order asked for.

    Raises:
        InputError: If the ontology has no such relation type.
    """
    known = [int(sctid) for sctid in ontology.relation_types]
    names = {ontology.relation_name(sctid): sctid for sctid in known}
    spoken = {_words(name): sctid for name, sctid in names.items()}
    found = []
    for relation in relations:
        sctid = spoken.get(_words(relation)) if isinstance(relation, str) else relation
        if sctid not in known:
            raise InputError(
                f"the ontology has no relation type '{relation}'",
                remedy=f"It has: {', '.join(sorted(names))}",
            )
        found.append(known.index(sctid))
    return found


def _words(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", " ", name.lower()).strip() or name


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _one_of(what: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(f"'{value}' is no {what}", remedy=f"Known ones: {', '.join(known)}")


def _whole_number(what: str, value: object, fits: bool) -> None:
    if not fits:
        least = 0 if what == "hops" else 1
        raise InputError(f"a view cannot reach {value} {what} far", remedy=f"Give {what} >= {least}")


def _references(what: str, given: Any) -> tuple[str | int, ...]:
    fits = isinstance(given, Iterable) and not isinstance(given, str | Mapping)
    listed = tuple(given) if fits else ()
    if not fits or not all(isinstance(one, str) or _is_int(one) for one in listed):
        raise InputError(f"the view's {what} is {given!r}", remedy="Give a list of names or SCTIDs")
    return listed


def merged_names(given: Any) -> Any:
    """Check what is to be merged: a mapping from new names to lists, "all", or None.

    Args:
        given: What somebody wrote.

    Returns:
        The same, with tuples.

    Raises:
        InputError: If it is none of these, or names a relation twice.
    """
    if given is None or given == ALL:
        return given
    if not isinstance(given, Mapping) or not given:
        raise InputError(
            f"the view's merge is {given!r}",
            remedy=f"Give {{new name: [relations]}}, or {ALL} for one edge type",
        )
    seen: dict[str, str] = {}
    merged: dict[str, tuple[str | int, ...]] = {}
    for name, which in given.items():
        if not isinstance(name, str) or not _EDGE_TYPE.fullmatch(name) or name.startswith("rev_"):
            raise InputError(
                f"'{name}' cannot name an edge type",
                remedy="Use small letters, digits and _, beginning with a letter, and not with rev_",
            )
        merged[name] = _references(f"merge.{name}", [which] if isinstance(which, str) else which)
        for one in merged[name]:
            key = _words(str(one))
            if key in seen:
                raise InputError(f"'{one}' is merged twice, into '{seen[key]}' and into '{name}'")
            seen[key] = name
    return merged


def _split(given: Any) -> Any:
    if given is None:
        return None
    if isinstance(given, str):
        _one_of("way to split a relation", given, SPLITS)
        return given
    if not isinstance(given, Mapping) or not given:
        raise InputError(
            f"the view's split is {given!r}",
            remedy=f"Give {{relation: how}}, or how for all: {', '.join(SPLITS)}",
        )
    for how in given.values():
        _one_of("way to split a relation", how, SPLITS)
    return dict(given)
