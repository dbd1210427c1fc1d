"""The concepts that a parsed expression constraint stands for, as masks over all concepts.

A mask has one place for each active concept, in the order of `Ontology.sctids`, then one for each inactive one. The
relations are filtered as whole columns, so an expression costs a few passes over them, however many concepts it has.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from ontology.closure import Adjacency, gather
from ontology.ecl_parse import refuse
from ontology.ecl_tree import (
    Anything,
    Attribute,
    Cardinality,
    Compound,
    Dotted,
    Expression,
    Group,
    Hierarchy,
    Joined,
    Members,
    Reference,
    Refined,
    Refinement,
)
from ontology.identifiers import IS_A

if TYPE_CHECKING:
    from ontology.model import Ontology

Mask = NDArray[np.bool_]
Ints = NDArray[np.int64]

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def spread(graph: Adjacency, mask: Mask) -> Mask:
    """Give every node that is reached from a set in one step or more.

    Args:
        graph: The adjacency to follow.
        mask: The set, bool [N].
    """
    size = len(graph)
    reached = np.zeros(size + 1, dtype=bool)
    reached[gather(graph, np.flatnonzero(mask))[0]] = True
    starts = np.flatnonzero(reached)
    if len(starts):
        # one node more, from which all of them are reached: then one search does
        indices = np.concatenate((graph.indices, starts.astype(np.int32)))
        indptr = np.append(graph.indptr, len(indices)).astype(np.int32)
        matrix = sparse.csr_array((np.ones(len(indices)), indices, indptr), shape=(size + 1, size + 1))
        reached[csgraph.breadth_first_order(matrix, size, return_predecessors=False)] = True
    return reached[:size]


@dataclass(frozen=True)
class _Rows:
    """Which unit of a scope (a concept, a role group) each relation and each concrete value belongs to; -1 for none."""

    relations: NDArray[Any]
    values: NDArray[Any]
    size: int


class _Tables:
    """What is derived from an ontology for expressions and kept as long as the ontology lives."""

    def __init__(self, ontology: Ontology) -> None:
        self.relations = ontology.relations
        self.relation_types = ontology.relation_types
        self.size = len(ontology) + ontology.inactive.height
        self.roots = np.diff(ontology.parent_links.indptr) == 0
        self.value_concept = ontology.values["concept"].to_numpy()
        self.value_group = ontology.values["group"].to_numpy()
        self.value_type = ontology.values["type"].to_numpy()
        self._texts = ontology.values["value"]

    @cached_property
    def concepts(self) -> _Rows:
        """The scope of whole concepts."""
        return _Rows(self.relations.source, self.value_concept, self.size)

    @cached_property
    def groups(self) -> tuple[_Rows, Ints]:
        """The scope of role groups, and the concept of each group."""
        rows = np.flatnonzero(self.relations.type != 0)  # is-a is the first type
        source = np.concatenate((self.relations.source[rows], self.value_concept)).astype(np.int64)
        group = np.concatenate((self.relations.group[rows], self.value_group)).astype(np.int64)
        alone = group == 0
        low = int(group.min(initial=0))
        width = int(group.max(initial=0)) - low + 1
        units = np.empty(len(source), dtype=np.int64)
        keys, units[~alone] = np.unique(source[~alone] * width + group[~alone] - low, return_inverse=True)
        units[alone] = len(keys) + np.arange(int(alone.sum()))
        owner = np.concatenate((keys // width, source[alone]))
        of_relation = np.full(len(self.relations), -1, dtype=np.int64)
        of_relation[rows] = units[: len(rows)]
        return _Rows(of_relation, units[len(rows) :], len(owner)), owner

    @cached_property
    def contents(self) -> tuple[list[Any], Ints]:
        """The different concrete values as Decimal, text or bool, and the number of each row's."""
        distinct = self._texts.unique(maintain_order=True).to_list()
        number = {text: i for i, text in enumerate(distinct)}
        codes = np.array([number[text] for text in self._texts.to_list()], dtype=np.int64)
        return [_content(text) for text in distinct], codes


def _content(text: str) -> Decimal | str | bool:
    if text.startswith("#"):
        try:
            number = Decimal(text[1:])
        except InvalidOperation:
            return text
        return number if number.is_finite() else text
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    quoted = len(text) > 1 and text[0] == text[-1] == '"'
    return text[1:-1] if quoted else text


_KEPT: weakref.WeakKeyDictionary[Any, _Tables] = weakref.WeakKeyDictionary()


class Evaluator:
    """Evaluates expressions over one ontology.

    Args:
        ontology: The ontology.
    """

    def __init__(self, ontology: Ontology) -> None:
        self.ontology = ontology
        self.tables = _KEPT.get(ontology) or _KEPT.setdefault(ontology, _Tables(ontology))
        self.active, self.size = len(ontology), self.tables.size

    def select(self, tree: Expression) -> Ints:
        """Give the SCTIDs of an expression, ascending.

        Args:
            tree: The expression.

        Raises:
            InputError: If it names a concept that is unknown or inactive.
        """
        mask = self.mask(tree)
        found = self.ontology.sctids[mask[: self.active]]
        if not mask[self.active :].any():
            return found.copy()
        retired = self.ontology.inactive["sctid"].to_numpy()[mask[self.active :]]
        return np.sort(np.concatenate((found, retired)))

    def _none(self) -> Mask:
        return np.zeros(self.size, dtype=bool)

    def mask(self, tree: Expression) -> Mask:
        """Give the mask of an expression, bool over active and then inactive concepts.

        Args:
            tree: The expression.
        """
        match tree:
            case Anything():
                mask = self._none()
                mask[: self.active] = True
                return mask
            case Reference():
                mask = self._none()
                mask[self._index(tree)] = True
                return mask
            case Members():
                return self._members(tree)
            case Hierarchy():
                return self._hierarchy(tree.operator, self.mask(tree.of))
            case Compound():
                return self._compound(tree)
            case Refined():
                mask = self.mask(tree.of)
                return mask & self._refinement(tree.refinement, self.tables.concepts)
            case Dotted():
                mask = self.mask(tree.of)
                for name in tree.attributes:
                    mask = self._dotted(mask, name)
                return mask

    def _index(self, reference: Reference) -> int:
        found = int(self.ontology.indices([reference.key])[0])
        if found >= 0:
            return found
        inactive = bool((self.ontology.inactive["sctid"].to_numpy() == reference.key).any())
        raise refuse(
            reference.position,
            f"concept {reference.shown} is inactive in '{self.ontology.name}'"
            if inactive
            else f"concept {reference.shown} is not among the {self.active:,} concepts of '{self.ontology.name}'",
            "Bring it to active ones with: mhdiff ontology map --system SNOMED"
            if inactive
            else "Find it by its name with: mhdiff ontology search",
        )

    def _compound(self, tree: Compound) -> Mask:
        mask = self.mask(tree.operands[0])
        for operand in tree.operands[1:]:
            other = self.mask(operand)
            if tree.operator == "AND":
                mask = mask & other
            elif tree.operator == "OR":
                mask = mask | other
            else:
                mask = mask & ~other
        return mask

    def _hierarchy(self, operator: str, mask: Mask) -> Mask:
        down = "<" in operator if operator not in ("!!>", "!!<") else operator == "!!>"
        graph = self.ontology.child_links if down else self.ontology.parent_links
        start = mask[: self.active]
        if operator in ("<!", ">!", "<<!", ">>!"):
            steps = np.zeros(self.active, dtype=bool)
            steps[gather(graph, np.flatnonzero(start))[0]] = True
        elif down and start[self.tables.roots].all():
            steps = ~self.tables.roots  # below all roots lies everything else
        else:
            steps = spread(graph, start)
        result = self._none()
        if operator in ("!!>", "!!<"):
            result[: self.active] = start & ~steps
            return result
        result[: self.active] = steps
        return result | mask if operator.startswith(("<<", ">>")) else result

    # Reference sets

    def _members(self, tree: Members) -> Mask:
        wanted = self._refsets(tree.of)
        onto, mask = self.ontology, self._none()
        found = [
            frame["component"].to_numpy()[_within(frame["refset"].to_numpy(), wanted)]
            for frame in onto.members.values()
        ]
        found.append(onto.history["source"].to_numpy()[_within(onto.history["refset"].to_numpy(), wanted)])
        retired = onto.inactive["sctid"].to_numpy()
        components = np.concatenate(found)
        nodes = onto.indices(components)
        mask[nodes[nodes >= 0]] = True
        if len(retired):
            places = np.minimum(np.searchsorted(retired, components), len(retired) - 1)
            mask[self.active + places[retired[places] == components]] = True
        origins = onto.maps["origin"].unique().to_list()
        fitting = [o for o in origins if (key := _refset(o)) and (wanted is None or key in wanted)]
        if fitting:
            mask[onto.maps["concept"].to_numpy()[onto.maps["origin"].is_in(fitting).to_numpy()]] = True
        return mask

    def _refsets(self, tree: Expression) -> set[int] | None:
        """Give the identifiers of the reference sets; None for all of them."""
        if isinstance(tree, Anything):
            return None
        if isinstance(tree, Reference) and tree.key in self._known_refsets():
            return {tree.key}  # an extension may leave out the concepts of its reference sets
        mask = self.mask(tree)
        return set(self.ontology.sctids[mask[: self.active]].tolist())

    def _known_refsets(self) -> set[int]:
        onto = self.ontology
        frames = [*onto.members.values(), onto.history, onto.dialects]
        known = {int(key) for frame in frames for key in frame["refset"].unique().to_list()}
        return known | {_refset(origin) for origin in onto.maps["origin"].unique().to_list()}

    # Attributes

    def _types(self, name: Expression) -> tuple[Mask, Ints | None]:
        """Give the wanted relation types as a mask, and the wanted types of concrete values; None for all."""
        types = self.tables.relation_types
        if isinstance(name, Anything):
            return types != IS_A, None
        if isinstance(name, Reference):
            if name.key not in types and name.key not in self.tables.value_type:
                self._index(name)
            keys = np.array([name.key], dtype=np.int64)
        else:
            mask = self.mask(name)
            keys = self.ontology.sctids[mask[: self.active]]
        return np.isin(types, keys), keys

    def _relation_rows(self, types: Mask) -> Ints:
        chosen = np.flatnonzero(types)
        column = self.tables.relations.type
        if len(chosen) == 1:
            return np.flatnonzero(column == column.dtype.type(chosen[0]))
        return np.flatnonzero(types[column]) if len(chosen) else np.zeros(0, dtype=np.int64)

    def _attribute(self, tree: Attribute, scope: _Rows) -> Mask:
        types, keys = self._types(tree.name)
        if isinstance(tree.value, Decimal | str | bool):
            rows = np.flatnonzero(self._fitting_values(tree, keys))
            units = scope.values[rows]
        else:
            rows = self._relation_rows(types)
            wanted = self.mask(tree.value)
            if tree.comparison == "!=":
                wanted = ~wanted
            columns = self.tables.relations
            if tree.reverse:
                units = columns.target[rows[wanted[columns.source[rows]]]]
            else:
                units = scope.relations[rows[wanted[columns.target[rows]]]]
                units = units[units >= 0]
        return _counted(units, scope.size, tree.cardinality)

    def _fitting_values(self, tree: Attribute, keys: Ints | None) -> Mask:
        contents, codes = self.tables.contents
        kind, compare = type(tree.value), _COMPARE[tree.comparison]
        fits = np.array([type(c) is kind and compare(c, tree.value) for c in contents], dtype=bool)
        mask = fits[codes] if len(codes) else np.zeros(0, dtype=bool)
        return mask if keys is None else mask & np.isin(self.tables.value_type, keys)

    def _dotted(self, mask: Mask, name: Expression) -> Mask:
        rows = self._relation_rows(self._types(name)[0])
        columns, result = self.tables.relations, self._none()
        result[columns.target[rows[mask[columns.source[rows]]]]] = True
        return result

    def _refinement(self, tree: Refinement, scope: _Rows) -> Mask:
        match tree:
            case Attribute():
                return self._attribute(tree, scope)
            case Group():
                groups, owner = self.tables.groups
                fitting = self._refinement(tree.refinement, groups)
                return _counted(owner[fitting], self.size, tree.cardinality)
            case Joined():
                masks = [self._refinement(part, scope) for part in tree.operands]
                return np.logical_and.reduce(masks) if tree.operator == "AND" else np.logical_or.reduce(masks)


def _counted(units: NDArray[Any], size: int, cardinality: Cardinality) -> Mask:
    """Say which units are named as often as a cardinality asks."""
    if cardinality == Cardinality():
        mask = np.zeros(size, dtype=bool)
        mask[units] = True
        return mask
    counts = np.bincount(units, minlength=size)
    fits = counts >= cardinality.least
    return fits if cardinality.most is None else fits & (counts <= cardinality.most)


def _within(column: Ints, wanted: set[int] | None) -> Mask:
    if wanted is None:
        return np.ones(len(column), dtype=bool)
    return np.isin(column, np.fromiter(wanted, dtype=np.int64, count=len(wanted)))


def _refset(origin: str) -> int:
    """Give the reference set that a map's origin names; 0 if it names none."""
    head, _, number = origin.partition(":")
    return int(number) if head == "refset" and number.isascii() and number.isdecimal() else 0
