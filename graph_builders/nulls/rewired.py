"""Rewired: the same degrees and depths, other neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch_geometric.data import HeteroData
from torch_geometric.data.datapipes import functional_transform

from graph_builders.nulls.base import (
    Indices,
    Kind,
    Null,
    ends_of,
    is_a_rows,
    set_ends,
    shuffle_places,
    stated_types,
)
from graph_builders.nulls.levels import depths, heights, top_levels
from graph_builders.nulls.swaps import swap_targets
from ontology.errors import InputError


@functional_transform("rewired_relations")
class Rewired(Null):
    """Swap the targets of edges, level by level, until nothing but degrees and depths is left of the hierarchy.

    An is-a edge swaps with one whose child is as deep and whose parent is as deep. An edge of another relation swaps
    with one of the same relation whose target lies below the same top-level concept, so that the range of the relation
    stays what it was.

    Kept: for each relation the number of edges and the in- and out-degree of each node; of is-a the number of a
    concept's parents and children at each depth, hence each concept's depth, the depth histogram, and a root above
    every concept that had one; that is-a, and every other relation that runs in no circle, runs in none: each edge
    still leads down the longest ways of the real graph. No loop and no double edge is made. Where concepts sit, their
    evidence, and the attributes of edges, which stay with the source.
    Destroyed: which concepts of a level are a concept's parents and children, hence ancestors, siblings and distances;
    which target of a top-level concept an attribute has.

    `x_depth` and `x_degree` still hold; all other features of places are dealt out anew, see `shuffle_places`.
    After a call `report` holds by relation: edges, swaps, the share of edges that are new, edges that cannot be swapped
    (no other edge of their level has another child and another parent), and edges in groups with fewer swaps than
    wanted.

    Args:
        seed: Which draw.
        swaps: Accepted swaps an edge.

    Raises:
        InputError: If swaps is not positive.
    """

    name = "rewired"

    def __init__(self, seed: int, swaps: float = 10.0) -> None:
        if not swaps > 0:
            raise InputError(f"{swaps} swaps an edge rewire nothing", remedy="Give a number above 0")
        self.seed, self.swaps, self.report = seed, swaps, {}

    def forward(self, data: HeteroData) -> HeteroData:
        """Give the graph with its edges swapped.

        Args:
            data: A shallow copy of the graph, which PyG's `__call__` makes; its tensors are not edited.
        """
        kinds = stated_types(data)
        ends = [ends_of(data, kind) for kind in kinds]
        if not ends:
            self.report = {"relations": {}}
            return data
        source = np.concatenate([one for one, _ in ends])
        target = np.concatenate([other for _, other in ends])
        part = np.repeat(np.arange(len(kinds)), [len(one) for one, _ in ends])
        is_a = np.concatenate([is_a_rows(data, kind) for kind in kinds])
        count = int(data["concept"].num_nodes)
        group = _groups(data, kinds, source, target, part, is_a, count)
        drop = _drops(source, target, part, is_a, count)
        rng = np.random.default_rng(self.seed)
        done = swap_targets(source, target, group, rng, drop=drop, per_edge=self.swaps)
        new = target[done.origin]
        for number, kind in enumerate(kinds):
            rows = part == number
            set_ends(data, kind, source[rows], new[rows])
        stuck, short = done.accepted == 0, done.accepted < done.wanted
        key = (part * count + source) * count
        changed = ~np.isin(key + new, key + target)
        per_group = np.bincount(group[part >= 0], minlength=len(stuck))
        home = np.zeros(len(stuck), dtype=np.int64)
        home[group] = part  # a group lies within one edge type
        self.report = {
            "rounds": done.rounds,
            "proposed": done.proposed,
            "accepted": int(done.accepted.sum()),
            "relations": {
                kind[1]: {
                    "edges": int((part == number).sum()),
                    "swaps": int(done.accepted[home == number].sum()),
                    "changed": float(changed[part == number].mean()) if (part == number).any() else 0.0,
                    "unswappable": int(per_group[stuck & (home == number)].sum()),
                    "short": int(per_group[short & ~stuck & (home == number)].sum()),
                }
                for number, kind in enumerate(kinds)
            },
            "dealt_anew": shuffle_places(data, self.seed, keep=("x_depth", "x_degree")),
        }
        return data

    def __repr__(self) -> str:
        more = "" if self.swaps == 10 else f", swaps={self.swaps}"
        return f"Rewired(seed={self.seed}{more})"


def _groups(
    data: HeteroData,
    kinds: list[Kind],
    source: Indices,
    target: Indices,
    part: Indices,
    is_a: np.ndarray[Any, np.dtype[np.bool_]],
    count: int,
) -> Indices:
    """Number the groups of edges that may swap targets."""
    child, parent = source[is_a], target[is_a]
    depth, top = depths(child, parent, count), top_levels(child, parent, count)
    relation = np.concatenate(
        [
            data[kind].relation.cpu().numpy() if "relation" in data[kind] else np.zeros(ends, dtype=np.int64)
            for kind, ends in zip(kinds, np.bincount(part, minlength=len(kinds)), strict=True)
        ]
    )
    group = np.zeros(len(source), dtype=np.int64)
    columns = (
        part,
        relation,
        is_a,
        np.where(is_a, depth[source], top[target]),
        np.where(is_a, depth[target], 0),
    )
    for column in columns:
        _, group = np.unique(group * (int(column.max()) + 1) + column, return_inverse=True)
    return group


def _drops(
    source: Indices, target: Indices, part: Indices, is_a: np.ndarray[Any, np.dtype[np.bool_]], count: int
) -> tuple[Indices, Indices]:
    """Give for each edge the heights of its ends where its relation runs in no circle, and else 1 and 0."""
    high, low = np.ones(len(source), dtype=np.int64), np.zeros(len(source), dtype=np.int64)
    for rows in (is_a, *((part == number) & ~is_a for number in np.unique(part[~is_a]))):
        height = heights(source[rows], target[rows], count)
        if height is not None:
            high[rows], low[rows] = height[source[rows]], height[target[rows]]
    return high, low
