r"""Which concepts are reached from which, in how many steps, and how two concepts meet: sparse, for any batch of pairs.

Two kinds of reach are made once for a graph and then looked up:

- upward: along relations in the direction that the ontology states (is-a to parents, finding site to the site, and on),
- around: along relations in either direction.

A pair (a, b) then meets in every node x that both reach, after :math:`h_{ax} + h_{bx}` steps. Upward, the nearest
such x is the nearest common ancestor or attribute; around, two balls of radius r and s share a node exactly when a
and b are at most r + s undirected steps apart. No N x N matrix is made: work and memory grow with what the pairs
themselves reach.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from graph_builders.concept_graph import ConceptGraph
from ontology.errors import InputError

Ints = np.ndarray[Any, np.dtype[np.int64]]

#: The name that the hierarchy's relation has in a graph.
IS_A = "is_a"


@dataclass(frozen=True, eq=False)
class Reach:
    """What each of N nodes reaches, itself included, as rows of a CSR matrix.

    Args:
        start: Where each node's row starts [N + 1].
        node: Nodes reached, ascending within a row [entries].
        hops: Fewest steps to them [entries].
        kind: Index into `relations` of the first relation on the way that is not `relations[0]`; 0 where there is none.
            Of equally short ways to a concept the one with the smallest index is kept, and goes on from there
            [entries].
        relations: Names of the relations walked; the hierarchy is the first where it is among them.
    """

    start: Int64[Tensor, " nodes_and_end"]
    node: Int64[Tensor, " entries"]
    hops: Int64[Tensor, " entries"]
    kind: Int64[Tensor, " entries"]
    relations: tuple[str, ...]

    @property
    def num_nodes(self) -> int:
        """Number of nodes N."""
        return len(self.start) - 1

    @property
    def keys(self) -> Int64[Tensor, " entries"]:
        """The key i*N + x of each entry, ascending: what `meet` looks pairs up in."""
        rows = torch.repeat_interleave(torch.arange(self.num_nodes), self.start.diff())
        return rows * self.num_nodes + self.node

    @property
    def above(self) -> Int64[Tensor, " nodes"]:
        """How many nodes each node reaches, itself among them."""
        return self.start.diff()

    @property
    def below(self) -> Int64[Tensor, " nodes"]:
        """From how many nodes each node is reached, itself among them."""
        return torch.bincount(self.node, minlength=self.num_nodes)


def reach_upward(
    graph: ConceptGraph, relations: Iterable[str] | None = None, max_hops: int | None = None
) -> Reach:
    """Follow relations in the direction that the ontology states.

    Args:
        graph: The concept side of a graph. Circles are no harm.
        relations: Which relations to follow; all by default.
        max_hops: Farthest reach; any by default.

    Raises:
        InputError: If the graph has no such relation.
    """
    names = chosen_relations(graph, relations)
    return _spread(graph.num_nodes, names, [_ends(graph, name) for name in names], max_hops)


def reach_around(graph: ConceptGraph, hops: int, relations: Iterable[str] | None = None) -> Reach:
    """Follow relations in both directions.

    Args:
        graph: The concept side of a graph.
        hops: Farthest reach.
        relations: Which relations to follow; all by default.

    Raises:
        InputError: If the graph has no such relation, or hops is negative.
    """
    if hops < 0:
        raise InputError(f"a reach of {hops} hops is none", remedy="Give hops >= 0")
    names = chosen_relations(graph, relations)
    ends = [np.concatenate([edges, edges[::-1]], axis=1) for edges in (_ends(graph, n) for n in names)]
    return _spread(graph.num_nodes, names, ends, hops)


def chosen_relations(graph: ConceptGraph, relations: Iterable[str] | None) -> tuple[str, ...]:
    """Give the names of relations in a fixed order, the hierarchy first.

    Args:
        graph: The concept side of a graph.
        relations: Names; all by default.

    Raises:
        InputError: If the graph has no such relation.
    """
    known = graph.relations
    wanted = list(known) if relations is None else list(dict.fromkeys(relations))
    strange = [name for name in wanted if name not in known]
    if strange:
        raise InputError(
            f"the graph has no relation '{strange[0]}'", remedy=f"It has: {', '.join(sorted(known))}"
        )
    return tuple(sorted(wanted, key=lambda name: (name != IS_A, name)))


def _ends(graph: ConceptGraph, name: str) -> Ints:
    ends: Ints = graph.relations[name].cpu().numpy().astype(np.int64)
    return ends


def _spread(count: int, names: tuple[str, ...], ends: Sequence[Ints], max_hops: int | None) -> Reach:
    """Walk breadth first from every node at once; each round adds what is one step farther."""
    source, target = np.concatenate([np.empty((2, 0), dtype=np.int64), *ends], axis=1)
    label = np.repeat(np.arange(len(ends)), [edges.shape[1] for edges in ends])
    order = np.argsort(source, kind="stable")
    source, target, label = source[order], target[order], label[order]
    first = np.searchsorted(source, np.arange(count + 1))
    shift = 0 if names[:1] == (IS_A,) else 1  # so that kind 0 means the hierarchy alone
    row, at, kind = np.arange(count), np.arange(count), np.zeros(count, dtype=np.int64)
    known, rounds = row * count + at, 0  # ascending
    found = [(known, np.zeros(count, dtype=np.int64), kind)]
    while len(row) and (max_hops is None or rounds < max_hops):
        rounds += 1
        degree = first[at + 1] - first[at]
        step = np.arange(int(degree.sum())) - np.repeat(np.cumsum(degree) - degree, degree)
        step += np.repeat(first[at], degree)
        row, came = np.repeat(row, degree), np.repeat(kind, degree)
        kind = np.where(came > 0, came, label[step] + shift)
        key = row * count + target[step]
        order = np.lexsort((kind, key))
        key, place = np.unique(key[order], return_index=True)
        kind = kind[order][place]
        spot = np.searchsorted(known, key)
        new = known[np.minimum(spot, len(known) - 1)] != key
        key, kind = key[new], kind[new]
        row, at = np.divmod(key, max(count, 1))
        found.append((key, np.full(len(key), rounds, dtype=np.int64), kind))
        known = np.sort(np.concatenate([known, key]), kind="stable")
    key, hops, kind = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.argsort(key, kind="stable")
    row, node = np.divmod(key[order], max(count, 1))
    start = np.searchsorted(row, np.arange(count + 1))
    relations = names if shift == 0 else ("", *names)
    columns = [torch.from_numpy(np.ascontiguousarray(a)) for a in (start, node, hops[order], kind[order])]
    return Reach(columns[0], columns[1], columns[2], columns[3], relations)


class Shared(NamedTuple):
    """Where pairs meet: one row for each pair and node that both of it reach."""

    pair: Int64[Tensor, " shared"]
    left: Int64[Tensor, " shared"]
    right: Int64[Tensor, " shared"]


def meet(
    start: Int64[Tensor, " nodes_and_end"],
    node: Int64[Tensor, " entries"],
    keys: Int64[Tensor, " other_entries"],
    a: Int64[Tensor, " pairs"],
    b: Int64[Tensor, " pairs"],
) -> Shared:
    """Find every node that both of a pair reach.

    Args:
        start: `Reach.start` of the reach of the first ones.
        node: Its `Reach.node`.
        keys: `Reach.keys` of the reach of the second ones; the same reach or another of the same graph.
        a: First nodes.
        b: Second nodes.

    Returns:
        The pair's number, the entry in the first reach and the entry in the second, by pair ascending. Runs on the
        device of the tensors.
    """
    count = len(start) - 1
    size = start[a + 1] - start[a]
    pair = torch.repeat_interleave(torch.arange(len(a), device=a.device), size)
    offset = torch.arange(len(pair), device=a.device) - (size.cumsum(0) - size)[pair]
    left = start[a][pair] + offset
    query = b[pair] * count + node[left]
    right = torch.searchsorted(keys, query).clamp(max=max(len(keys) - 1, 0))
    hit = keys[right] == query
    return Shared(pair[hit], left[hit], right[hit])


def least(
    shared: Shared, cost: Int64[Tensor, " shared"], pairs: int, nothing: int
) -> Int64[Tensor, " pairs"]:
    """Give each pair its least cost over the nodes where it meets.

    Args:
        shared: Where the pairs meet.
        cost: What meeting there costs.
        pairs: Number of pairs.
        nothing: What a pair that meets nowhere gets; above every cost.
    """
    best = torch.full((pairs,), nothing, dtype=torch.int64, device=cost.device)
    return best.scatter_reduce(0, shared.pair, cost, "amin")


def most(
    shared: Shared, worth: Float[Tensor, " shared"], pairs: int, nothing: float
) -> Float[Tensor, " pairs"]:
    """Give each pair its greatest worth over the nodes where it meets.

    Args:
        shared: Where the pairs meet.
        worth: What meeting there is worth.
        pairs: Number of pairs.
        nothing: What a pair that meets nowhere gets; below every worth.
    """
    best = torch.full((pairs,), nothing, dtype=worth.dtype, device=worth.device)
    return best.scatter_reduce(0, shared.pair, worth, "amax")


def meets(shared: Shared, pairs: int) -> Bool[Tensor, " pairs"]:
    """Say of each pair whether it meets anywhere.

    Args:
        shared: Where the pairs meet.
        pairs: Number of pairs.
    """
    anywhere = torch.zeros(pairs, dtype=torch.bool, device=shared.pair.device)
    anywhere[shared.pair] = True
    return anywhere


def way_up(reach: Reach, graph: ConceptGraph, a: int, x: int) -> list[tuple[int, str, int]]:
    """Tell the steps (node, relation, next node) from a node up to one that it reaches, as `reach_upward` walked them.

    Args:
        reach: An upward reach of the graph.
        graph: The graph.
        a: Where the way starts.
        x: Where it ends.

    Raises:
        InputError: If the node does not reach the other.
    """
    hops, kind = _entry(reach, a, x)
    if hops < 0:
        raise InputError(f"node {a} does not reach node {x}")
    steps: list[tuple[int, str, int]] = []
    while x != a:
        arriving = (
            (number, int(before))
            for number, name in enumerate(reach.relations)
            if name
            for before in _arrivals(graph, name, x)
            if _leads(reach, a, before, number, hops, kind)
        )
        number, before = min(arriving)
        steps.append((before, reach.relations[number], x))
        x = before
        hops, kind = _entry(reach, a, x)
    return steps[::-1]


def _arrivals(graph: ConceptGraph, name: str, x: int) -> list[int]:
    source, target = _ends(graph, name)
    found: list[int] = source[target == x].tolist()
    return found


def _entry(reach: Reach, a: int, x: int) -> tuple[int, int]:
    low, high = int(reach.start[a]), int(reach.start[a + 1])
    row = reach.node[low:high]
    place = int(torch.searchsorted(row, x))
    if place == len(row) or int(row[place]) != x:
        return -1, -1
    return int(reach.hops[low + place]), int(reach.kind[low + place])


def _leads(reach: Reach, a: int, before: int, number: int, hops: int, kind: int) -> bool:
    """Whether the way kept to `before` and a step by relation `number` make one of these hops and this kind."""
    so_far, came = _entry(reach, a, before)
    return so_far == hops - 1 and (came or number) == kind
