r"""Degree-preserving edge swaps, many at a time.

A swap takes two edges of one group and exchanges their targets:

.. math:: (a \to b), (c \to d) \;\longmapsto\; (a \to d), (c \to b)

so every node keeps its out- and in-degree within the group. A round pairs all edges of a group by lot and swaps all
pairs that may be swapped at once. A pair is left alone if the swap would make a loop, an edge that is there already, an
edge that does not lead downwards, or nothing new; and if one of the four edges of the pair (its two and the two that
it would make) is among the four of another pair. The last makes the chain reversible: from the graph after a round the
same lot leads back, so in the long run every graph that swaps can reach is as likely as any other. A quarter of the
pairs rest in each round, or a group of two edges would only go to and fro.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Indices = np.ndarray[Any, np.dtype[np.int64]]

#: Of the pairs of a round, how many rest.
REST = 0.25
#: Were a group of two edges to end at its twentieth swap, it would always end where it began: small groups go on for
#: some rounds after their last wanted swap, however many swaps these bring.
SMALL, MORE = 64, 8
#: A group in which nothing was swapped for so many rounds, or that needs more than `MOST`, is given up.
PATIENCE = 50
MOST = 400


@dataclass(frozen=True)
class Swapped:
    """What swapping did.

    Args:
        origin: For each edge the edge that it got its target from [E].
        accepted: Swaps by group [G].
        wanted: How many there should have been [G].
        rounds: How many rounds it took.
        proposed: How many pairs were tried.
    """

    origin: Indices
    accepted: Indices
    wanted: Indices
    rounds: int
    proposed: int


def swap_targets(
    source: Indices,
    target: Indices,
    group: Indices,
    rng: np.random.Generator,
    *,
    drop: tuple[Indices, Indices] | None = None,
    per_edge: float = 10.0,
) -> Swapped:
    """Exchange targets within groups until each group has had `per_edge` swaps an edge.

    Args:
        source: Sources of the edges [E], not negative; loops are told by source == target.
        target: Targets of the edges [E].
        group: The group of each edge [E], from 0. Edges are the same if source, target and group are.
        rng: Where chance comes from.
        drop: A number for each edge's source and one for its target [E]: after a swap the source's must still be the
            greater one. None sets no such bound.
        per_edge: Accepted swaps an edge.
    """
    count = len(source)
    groups = int(group.max()) + 1 if count else 0
    size = np.bincount(group, minlength=groups)
    wanted = np.ceil(per_edge * size).astype(np.int64)
    accepted, quiet = np.zeros(groups, dtype=np.int64), np.zeros(groups, dtype=np.int64)
    over = np.zeros(groups, dtype=np.int64)  # rounds since a group had the swaps that it wanted
    live = (_distinct(group, source, groups) > 1) & (_distinct(group, target, groups) > 1)
    width = int(max(source.max(), target.max())) + 1 if count else 1
    base = (group * width + source) * width  # a key of int64 for (group, source, target)
    origin, now = np.arange(count), target.astype(np.int64)
    order = np.argsort(group, kind="stable")
    edges: Indices | None = None
    rounds = proposed = 0
    while live.any() and rounds < MOST:
        if (
            edges is None
        ):  # of the live groups, group by group: where pairs begin is the same until a group ends
            edges = order[live[group[order]]]
            mine = group[edges]
            inside = np.arange(len(edges)) - np.searchsorted(mine, mine)
            first = np.flatnonzero((inside % 2 == 0) & (inside + 1 < size[mine]))
        rounds += 1
        lot = np.argsort(mine + rng.random(len(edges)))
        drawn = first[rng.random(len(first)) >= REST]
        a, b = edges[lot[drawn]], edges[lot[drawn + 1]]
        proposed += len(a)
        good = (source[a] != source[b]) & (now[a] != now[b]) & (source[a] != now[b]) & (source[b] != now[a])
        if drop is not None:
            good &= (drop[0][a] > drop[1][origin[b]]) & (drop[0][b] > drop[1][origin[a]])
        a, b = a[good], b[good]
        free = _unhindered(base, now, edges, a, b)
        a, b = a[free], b[free]
        now[a], now[b] = now[b], now[a]
        origin[a], origin[b] = origin[b], origin[a]
        done = np.bincount(group[a], minlength=groups)
        accepted += done
        quiet = np.where(done > 0, 0, quiet + 1)
        over += accepted >= wanted
        goes_on = live & (over < np.where(size < SMALL, MORE, 1)) & (quiet < PATIENCE)
        if (goes_on != live).any():
            live, edges = goes_on, None
    return Swapped(origin, accepted, wanted, rounds, proposed)


def _unhindered(
    base: Indices, now: Indices, edges: Indices, a: Indices, b: Indices
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Say which pairs make edges that are new, and touch no edge that another pair has or would make."""
    pairs = len(a)
    made = np.r_[base[a] + now[b], base[b] + now[a]]
    order = np.argsort(made)  # sorted questions are answered several times faster
    made, owner = made[order], order % max(pairs, 1)
    there = base[edges] + now[edges]
    by_key = np.argsort(there)
    there = there[by_key]
    place = np.minimum(np.searchsorted(there, made), len(there) - 1)
    hit = there[place] == made
    twice = np.flatnonzero(made[1:] == made[:-1])
    pair_of = np.full(len(base), -1)
    pair_of[a] = pair_of[b] = np.arange(pairs)
    other = pair_of[edges[by_key[place[hit]]]]
    hindered = np.zeros(pairs, dtype=bool)
    hindered[np.r_[owner[hit], owner[twice], owner[twice + 1], other[other >= 0]]] = True
    return ~hindered


def _distinct(group: Indices, node: Indices, groups: int) -> Indices:
    """Count the different nodes of each group."""
    order = np.lexsort((node, group))
    first = np.ones(len(order), dtype=bool)
    first[1:] = (np.diff(group[order]) != 0) | (np.diff(node[order]) != 0)
    return np.bincount(group[order[first]], minlength=groups)
