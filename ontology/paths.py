"""Shortest paths over relations walked in either direction, and the ways up to the roots; all bounded.

The search goes on from both ends, where fewer relations lead on, until they meet: at full size a concept in the middle
has 25,000 neighbours, and from one end alone most of the ontology would be walked. Of several shortest paths the first
is the same one every time: at each concept the first relation in the ontology's order, those that it is the source of
before those that it is the target of.
"""

from __future__ import annotations

import heapq
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ontology.errors import InputError
from ontology.few import Few
from ontology.hierarchy import Step

if TYPE_CHECKING:
    from ontology.model import Ontology

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Links:
    """The relations of each node: rows `out[n]` to `out[n + 1]` leave it, `rows[into[n]]` to ... lead to it."""

    out: Ints
    into: Ints
    rows: NDArray[np.int32]


_KEPT: weakref.WeakKeyDictionary[Any, _Links] = weakref.WeakKeyDictionary()


def _links(ontology: Ontology) -> _Links:
    if ontology not in _KEPT:
        source, target, size = ontology.relations.source, ontology.relations.target, len(ontology)
        out = np.searchsorted(source, np.arange(size + 1)).astype(np.int64)  # relations are ordered by source
        numbers = sparse.csr_array((np.arange(len(source)), target, out), shape=(size, size), copy=False)
        by_target = numbers.tocsc()  # a counting sort, in which rows stay in order
        _KEPT[ontology] = _Links(out, by_target.indptr.astype(np.int64), by_target.data.astype(np.int32))
    return _KEPT[ontology]


def relation_indices(ontology: Ontology, relations: Iterable[int | str] | None) -> NDArray[np.int64]:
    """Give the places in `relation_types` of types named by SCTID or by name.

    Args:
        ontology: The ontology.
        relations: SCTIDs or names such as "finding site"; None means all.

    Raises:
        InputError: If the ontology has no relation of such a type.
    """
    types = ontology.relation_types.tolist()
    if relations is None:
        return np.arange(len(types))
    names = [ontology.relation_name(t) for t in types]
    chosen = []
    for wanted in relations:
        text = str(wanted).strip().lower()
        fitting = [i for i, (t, name) in enumerate(zip(types, names, strict=True)) if text in (str(t), name)]
        if not fitting:
            raise InputError(
                f"'{wanted}' is no relationship type of '{ontology.name}'",
                remedy=f"Types: {', '.join(names)}",
            )
        chosen += fitting
    return np.unique(np.array(chosen, dtype=np.int64))


def _spans(starts: Ints, nodes: NDArray[Any]) -> Ints:
    """Give the places of many nodes, one after another."""
    begin, counts = starts[nodes], starts[nodes + 1] - starts[nodes]
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + np.repeat(begin - ends + counts, counts)


class _Search:
    """A search between two nodes, and the paths that it found.

    Args:
        ontology: The ontology.
        start: Node index of one end.
        goal: Node index of the other.
        allowed: Places in `relation_types` of the relations that may be walked.
    """

    def __init__(self, ontology: Ontology, start: int, goal: int, allowed: Ints) -> None:
        self.links, self.columns = _links(ontology), ontology.relations
        self.start, self.goal = start, goal
        self.every = len(allowed) == len(ontology.relation_types)
        self.allowed = np.zeros(len(ontology.relation_types), dtype=bool)
        self.allowed[allowed] = True
        # steps from the start, and from the goal, as far as they are known
        self.before, self.behind = (np.full(len(ontology), -1, dtype=np.int32) for _ in range(2))
        self.length = self._meet()

    def _relations(self, nodes: NDArray[Any]) -> tuple[Ints, NDArray[np.int32], int]:
        """Give the relations of nodes that may be walked: rows, where they lead; those walked forward come first."""
        out, into = _spans(self.links.out, nodes), self.links.rows[_spans(self.links.into, nodes)]
        if not self.every:
            out = out[self.allowed[self.columns.type[out]]]
            into = into[self.allowed[self.columns.type[into]]]
        ends = np.concatenate((self.columns.target[out], self.columns.source[into]))
        return np.concatenate((out, into)), ends, len(out)

    def _next(self, nodes: NDArray[Any]) -> NDArray[Any]:
        return self._relations(nodes)[1]

    def _degree(self, nodes: NDArray[Any]) -> int:
        return sum(
            int((starts[nodes + 1] - starts[nodes]).sum()) for starts in (self.links.out, self.links.into)
        )

    def _meet(self) -> int:
        """Search from both ends level by level; give the length of the shortest paths, -1 where there are none."""
        self.before[self.start] = self.behind[self.goal] = 0
        if self.start == self.goal:
            return 0
        sides = [self.before, self.behind]
        frontiers = [np.array([self.start]), np.array([self.goal])]
        levels = [0, 0]
        while len(frontiers[0]) and len(frontiers[1]):
            side = int(self._degree(frontiers[1]) < self._degree(frontiers[0]))
            found = self._next(frontiers[side])
            found = np.unique(found[sides[side][found] < 0])
            levels[side] += 1
            sides[side][found] = levels[side]
            frontiers[side] = found
            if (sides[1 - side][found] >= 0).any():
                self._mark(found[sides[1 - side][found] >= 0] if side == 0 else frontiers[0], levels[0])
                return sum(levels)
        return -1

    def _mark(self, meeting: NDArray[Any], level: int) -> None:
        """Keep of the nodes before the meeting those that lie on a shortest path."""
        on = self.behind >= 0
        nodes = meeting[on[meeting]]
        while level:
            above = self._next(nodes)
            level -= 1
            nodes = np.unique(above[self.before[above] == level])
            on[nodes] = True
        self.on = on

    def _onward(self, nodes: NDArray[Any], steps: int) -> tuple[Ints, NDArray[np.int32], NDArray[np.bool_]]:
        """Give the relations that lead on along shortest paths: their rows, where they lead, and whether forward.

        Args:
            nodes: Nodes on shortest paths.
            steps: How far they are from the start.
        """
        rows, ends, out = self._relations(nodes)
        left = self.behind[ends]
        before = self.on[ends] & (self.before[ends] == steps + 1)
        good = np.flatnonzero(np.where(left >= 0, left == self.length - steps - 1, before))
        return rows[good], ends[good], good < out

    def _choices(self, node: int, steps: int) -> Iterator[tuple[int, int, bool]]:
        columns = self._onward(np.array([node]), steps)
        return zip(*(column.tolist() for column in columns), strict=True)

    def paths(self) -> Iterator[list[tuple[int, bool]]]:
        """Give the shortest paths one by one, as rows of relations and whether they are walked forward."""
        if self.length <= 0:
            return
        walk: list[tuple[int, bool]] = []
        waiting = [self._choices(self.start, 0)]
        while waiting:
            step = next(waiting[-1], None)
            if step is None:
                waiting.pop()
                if walk:
                    walk.pop()
                continue
            row, node, forward = step
            walk.append((row, forward))
            if len(walk) == self.length:
                yield list(walk)
                walk.pop()
            else:
                waiting.append(self._choices(node, len(walk)))

    def count(self) -> int:
        """Count the shortest paths, without walking them."""
        if self.length <= 0:
            return 0
        # the numbers may be larger than any int64, so they are those of Python
        nodes, ways = np.array([self.start]), np.array([1], dtype=object)
        for steps in range(self.length):
            rows, ends, forward = self._onward(nodes, steps)
            begins = np.where(forward, self.columns.source[rows], self.columns.target[rows])
            here = ways[np.searchsorted(nodes, begins)]
            nodes, place = np.unique(ends, return_inverse=True)
            ways = np.zeros(len(nodes), dtype=object)
            np.add.at(ways, place, here)
        return int(ways[0])


def _steps(ontology: Ontology, walk: list[tuple[int, bool]]) -> list[Step]:
    columns, sctids = ontology.relations, ontology.sctids
    return [
        Step(
            int(sctids[columns.source[row]]),
            ontology.relation_name(int(ontology.relation_types[columns.type[row]])),
            int(sctids[columns.target[row]]),
            forward,
        )
        for row, forward in walk
    ]


def shortest_path(
    ontology: Ontology, a: int, b: int, relations: Iterable[int | str] | None = None
) -> list[Step]:
    """Give a shortest path between two concepts.

    Args:
        ontology: The ontology.
        a: Where it starts.
        b: Where it ends.
        relations: Relationship types it may use; all of them by default.

    Returns:
        The steps from `a` to `b`; empty if they are the same or not connected.

    Raises:
        ConceptNotFound: If one is not in the ontology.
        InputError: If the ontology has no relation of such a type.
    """
    found = _Search(ontology, ontology.index(a), ontology.index(b), relation_indices(ontology, relations))
    return _steps(ontology, next(found.paths(), []))


def shortest_paths(
    ontology: Ontology, a: int, b: int, relations: Iterable[int | str] | None = None, limit: int = 10
) -> Few[list[Step]]:
    """Give the shortest paths between two concepts: all have the same length, and the first is `shortest_path`.

    Two relations between one pair of concepts make two paths.

    Args:
        ontology: The ontology.
        a: Where they start.
        b: Where they end.
        relations: Relationship types they may use; all of them by default.
        limit: How many to give at most.

    Returns:
        The first paths, and how many there are; none if `a` is `b`, or if they are not connected.

    Raises:
        ConceptNotFound: If one is not in the ontology.
        InputError: If the ontology has no relation of such a type.
    """
    found = _Search(ontology, ontology.index(a), ontology.index(b), relation_indices(ontology, relations))
    return Few(tuple(_steps(ontology, walk) for walk in islice(found.paths(), max(0, limit))), found.count())


def paths_to_roots(ontology: Ontology, concept: int, limit: int = 10) -> Few[list[Step]]:
    """Give the is-a ways from a concept up to the roots, the shortest first, then by SCTID.

    A concept may have millions of them, so they are never all made: each one that is begun is also given.

    Args:
        ontology: The ontology.
        concept: The concept.
        limit: How many to give at most.

    Returns:
        The first ways, and how many there are; none for a root.

    Raises:
        ConceptNotFound: If it is not in the ontology.
    """
    start = ontology.index(concept)
    links, depth, sctids = ontology.parent_links, ontology.depth, ontology.sctids

    def parents(node: int) -> list[int]:
        above: list[int] = links.indices[links.indptr[node] : links.indptr[node + 1]].tolist()
        return above

    found: list[list[Step]] = []
    # the depth is the least that a way still has to go, so the first of the heap is the beginning of the next way
    waiting: list[tuple[int, tuple[int, ...]]] = [(int(depth[start]), (start,))] if depth[start] else []
    while waiting and len(found) < limit:
        _, way = heapq.heappop(waiting)
        if depth[way[-1]] == 0:
            found.append([Step(int(sctids[s]), "is a", int(sctids[t]), True) for s, t in pairwise(way)])
            continue
        for parent in parents(way[-1]):
            heapq.heappush(waiting, (len(way) + int(depth[parent]), (*way, parent)))
    return Few(tuple(found), _ways_up(start, parents) if depth[start] else 0)


def _ways_up(start: int, parents: Any) -> int:
    """Count the ways from a node to the roots: those of a node are those of its parents together."""
    ways: dict[int, int] = {}
    waiting = [start]
    while waiting:
        node = waiting[-1]
        above = parents(node)
        missing = [parent for parent in above if parent not in ways]
        if missing:
            waiting += missing
        else:
            ways[waiting.pop()] = sum(ways[parent] for parent in above) if above else 1
    return ways[start]
