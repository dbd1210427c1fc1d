"""Shortest paths over relations walked in either direction, by breadth-first search on arrays.

Of several shortest paths the same one is found every time: at each node the first relation in the
ontology's order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ontology.errors import InputError
from ontology.model import Step

if TYPE_CHECKING:
    from ontology.model import Ontology


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
    """
    start, goal = ontology.index(a), ontology.index(b)
    columns = ontology.relations
    edges = np.flatnonzero(np.isin(columns.type, relation_indices(ontology, relations)))
    ends = np.concatenate((columns.source[edges], columns.target[edges]))
    others = np.concatenate((columns.target[edges], columns.source[edges]))
    order = np.argsort(ends, kind="stable")
    starts = np.searchsorted(ends[order], np.arange(len(ontology) + 1))
    neighbours, number = others[order], order
    came_by = np.full(len(ontology), -1, dtype=np.int64)
    seen = np.zeros(len(ontology), dtype=bool)
    seen[start] = True
    frontier = np.array([start])
    while len(frontier) and not seen[goal]:
        counts = starts[frontier + 1] - starts[frontier]
        stops = np.cumsum(counts)
        slots = np.arange(int(stops[-1])) + np.repeat(starts[frontier] - stops + counts, counts)
        slots = slots[~seen[neighbours[slots]]]
        frontier, first = np.unique(neighbours[slots], return_index=True)
        came_by[frontier] = number[slots[first]]
        seen[frontier] = True
    steps: list[Step] = []
    node = goal
    while node != start and seen[goal]:
        place = int(came_by[node])
        edge, forward = int(edges[place % len(edges)]), place < len(edges)
        source, target = int(columns.source[edge]), int(columns.target[edge])
        name = ontology.relation_name(int(ontology.relation_types[columns.type[edge]]))
        steps.append(Step(int(ontology.sctids[source]), name, int(ontology.sctids[target]), forward))
        node = source if forward else target
    return steps[::-1]
