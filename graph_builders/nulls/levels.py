"""Where nodes stand in a graph's own hierarchy: depth, height, top-level concept. Edges go from child to parent."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

Indices = np.ndarray[Any, np.dtype[np.int64]]


def depths(child: Indices, parent: Indices, count: int) -> Indices:
    """Give each node's shortest distance from a node without parents [N], in steps.

    Args:
        child: Sources of the edges.
        parent: Targets of the edges.
        count: Number of nodes N.

    Returns:
        The distance; `count` for a node that no root is above of.
    """
    depth = np.where(np.bincount(child, minlength=count) == 0, 0, count)
    while True:  # what is k steps deep is known after k rounds
        nearer = depth.copy()
        np.minimum.at(nearer, child, np.minimum(depth[parent] + 1, count))
        if np.array_equal(nearer, depth):
            return depth
        depth = nearer


def heights(source: Indices, target: Indices, count: int) -> Indices | None:
    """Give each node's longest way along the edges [N]: every edge leads from a greater to a smaller one.

    Args:
        source: Sources of the edges.
        target: Targets of the edges.
        count: Number of nodes N.

    Returns:
        The number of steps, or None where edges run in a circle.
    """
    nodes, place = np.unique(np.r_[source, target], return_inverse=True)
    few, one, other = len(nodes), place[: len(source)], place[len(source) :]
    if not few:
        return np.zeros(count, dtype=np.int64)
    links = sparse.csr_array((np.ones(len(one), dtype=np.int8), (one, other)), shape=(few, few))
    if (one == other).any() or connected_components(links, directed=True, connection="strong")[0] < few:
        return None
    height = np.zeros(few, dtype=np.int64)
    while True:  # a longer way is known one node further each round
        longer = height.copy()
        np.maximum.at(longer, one, height[other] + 1)
        if np.array_equal(longer, height):
            break
        height = longer
    result = np.zeros(count, dtype=np.int64)
    result[nodes] = height
    return result


def top_levels(child: Indices, parent: Indices, count: int) -> Indices:
    """Give each node's top-level node [N]: what it lies below of the children of the only root, else of the roots.

    Args:
        child: Sources of the edges.
        parent: Targets of the edges.
        count: Number of nodes N.

    Returns:
        Of several top-level nodes the one with the smallest number; a node that lies below none stands for itself.
    """
    has_parent = np.bincount(child, minlength=count) > 0
    roots = np.flatnonzero(~has_parent & (np.bincount(parent, minlength=count) > 0))
    tops = np.unique(child[parent == roots[0]]) if len(roots) == 1 else roots
    label = np.full(count, count, dtype=np.int64)
    label[tops] = tops
    while True:  # a label comes down one step a round
        lower = label.copy()
        np.minimum.at(lower, child, label[parent])
        if np.array_equal(lower, label):
            return np.where(label == count, np.arange(count), label)
        label = lower
