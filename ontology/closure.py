"""Ancestors by sparse products: level by level, ``C[i] = {i} | union of C[p] over the parents p of i``.

A level holds the concepts whose parents all lie on earlier levels, so one sparse product a level gives all
its rows. An ontology with a cycle in is-a has no such order; `find_cycles` names the culprits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

Ints = NDArray[np.int64]
_INT32 = np.iinfo(np.int32).max


class Adjacency(NamedTuple):
    """Neighbours of node i: `indices[indptr[i]:indptr[i + 1]]`, ascending."""

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.indptr) - 1


def adjacency(rows: NDArray[Any], columns: NDArray[Any], size: int) -> Adjacency:
    """Index pairs by their first member, each pair once.

    Args:
        rows: First members, node indices.
        columns: Second members, node indices.
        size: Number of nodes.
    """
    matrix = sparse.csr_array((np.ones(len(rows), dtype=bool), (rows, columns)), shape=(size, size))
    matrix.sum_duplicates()
    return Adjacency(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32))


def gather(graph: Adjacency, nodes: NDArray[Any]) -> tuple[NDArray[np.int32], Ints]:
    """Give the neighbours of many nodes, one after another, and how many each has.

    Args:
        graph: The adjacency.
        nodes: Node indices.
    """
    starts = graph.indptr[nodes]
    counts = graph.indptr[np.asarray(nodes, dtype=np.int64) + 1] - starts
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    return graph.indices[np.arange(total) + np.repeat(starts - ends + counts, counts)], counts


def levels(parents: Adjacency, children: Adjacency) -> list[Ints]:
    """Order the nodes so that parents come first.

    Args:
        parents: Parents of each node.
        children: Children of each node.

    Returns:
        Node indices by level, ascending within a level; nodes on or below a cycle are in none of them.
    """
    waiting = np.diff(parents.indptr)
    frontier: Ints = np.flatnonzero(waiting == 0)
    found = []
    while len(frontier):
        found.append(frontier)
        kids, _ = gather(children, frontier)
        np.subtract.at(waiting, kids, 1)
        frontier = np.unique(kids[waiting[kids] == 0]).astype(np.int64)
    return found


def find_cycles(parents: Adjacency, limit: int = 5) -> list[list[int]]:
    """Find cycles among the parent links.

    Args:
        parents: Parents of each node.
        limit: How many cycles to give at most.

    Returns:
        Each cycle as node indices, child before parent, its smallest index first.
    """
    size = len(parents)
    data = np.ones(len(parents.indices), dtype=bool)
    graph = sparse.csr_array((data, parents.indices, parents.indptr), shape=(size, size))
    _, component = csgraph.connected_components(graph, directed=True, connection="strong")
    counts = np.bincount(component, minlength=1)
    loops = np.flatnonzero(graph.diagonal())
    first_of = {int(component[node]): int(node) for node in loops[::-1]}
    for node in np.flatnonzero(counts[component] > 1)[::-1]:
        first_of[int(component[node])] = int(node)
    cycles = []
    for start in sorted(first_of.values())[:limit]:
        walk, seen, node = [start], {start: 0}, start
        while True:
            inside = [int(p) for p in parents.indices[parents.indptr[node] : parents.indptr[node + 1]]]
            node = next(p for p in inside if component[p] == component[start])
            if node in seen:
                break
            seen[node] = len(walk)
            walk.append(node)
        cycle = walk[seen[node] :]
        turn = cycle.index(min(cycle))
        cycles.append(cycle[turn:] + cycle[:turn])
    return cycles


def closure(parents: Adjacency, order: list[Ints]) -> Any:
    """Compute the reflexive, transitive closure of the parent links.

    Args:
        parents: Parents of each node.
        order: All nodes by level, from `levels`.

    Returns:
        A scipy csr_array [N, N] of bool; row i holds the ancestors of i and i itself, ascending.
    """
    size = len(parents)
    position = np.empty(size, dtype=np.int32)
    # int32 as long as it lasts: scipy copies both arrays of a matrix whose index types differ
    indptr: NDArray[Any] = np.zeros(size + 1, dtype=np.int32)
    indices = np.empty(max(16, 4 * size), dtype=np.int32)
    ones = np.ones(len(indices), dtype=bool)
    done = filled = 0
    for nodes in order:
        above, counts = gather(parents, nodes)
        if done and len(above):
            starts = np.concatenate(([0], np.cumsum(counts))).astype(indptr.dtype)
            step = sparse.csr_array(
                (np.ones(len(above), dtype=bool), position[above], starts),
                shape=(len(nodes), done),
                copy=False,
            )
            known = sparse.csr_array(
                (ones[:filled], indices[:filled], indptr[: done + 1]), shape=(done, size), copy=False
            )
            product = step @ known
            inherited, ends = product.indices, product.indptr[1:].astype(np.int64)
        else:
            inherited, ends = np.empty(0, dtype=np.int32), np.zeros(len(nodes), dtype=np.int64)
        ends = ends + np.arange(1, len(nodes) + 1)
        block = np.empty(len(inherited) + len(nodes), dtype=np.int32)
        own = np.zeros(len(block), dtype=bool)
        own[ends - 1] = True
        block[own], block[~own] = nodes, inherited
        if filled + len(block) > len(indices):
            indices = np.concatenate((indices[:filled], np.empty(len(indices) + len(block), dtype=np.int32)))
            ones = np.ones(len(indices), dtype=bool)
            if len(indices) > _INT32 and indptr.dtype != np.int64:
                indptr = indptr.astype(np.int64)
        indices[filled : filled + len(block)] = block
        indptr[done + 1 : done + len(nodes) + 1] = filled + ends
        position[nodes] = np.arange(done, done + len(nodes))
        done, filled = done + len(nodes), filled + len(block)
    ordered = sparse.csr_array((ones[:filled], indices[:filled], indptr), shape=(size, size), copy=False)
    result = ordered[position]
    result.sort_indices()
    return result


def matrix(indptr: NDArray[Any], indices: NDArray[Any]) -> Any:
    """Give a closure as the scipy csr_array of bool that `closure` makes.

    Args:
        indptr: Where each row begins, int [N + 1].
        indices: The columns of each row, ascending.
    """
    size = len(indptr) - 1
    return sparse.csr_array((np.ones(len(indices), dtype=bool), indices, indptr), shape=(size, size))


def reachable(graph: Adjacency, start: int) -> Ints:
    """Give every node that can be reached from one, the node itself included, ascending.

    Args:
        graph: The adjacency to follow.
        start: The node to start from.
    """
    seen = np.zeros(len(graph), dtype=bool)
    seen[start] = True
    frontier: NDArray[Any] = np.array([start])
    while len(frontier):
        following, _ = gather(graph, frontier)
        frontier = np.unique(following[~seen[following]])
        seen[frontier] = True
    return np.flatnonzero(seen)


def depths(parents: Adjacency, children: Adjacency) -> NDArray[np.int32]:
    """Give each node's shortest distance from a root (a node without parents), in is-a steps.

    Args:
        parents: Parents of each node.
        children: Children of each node.
    """
    depth = np.full(len(parents), -1, dtype=np.int32)
    frontier: NDArray[Any] = np.flatnonzero(np.diff(parents.indptr) == 0)
    distance = 0
    while len(frontier):
        depth[frontier] = distance
        distance += 1
        following, _ = gather(children, frontier)
        frontier = np.unique(following[depth[following] < 0])
    return depth
