"""What a graph looks like: isolated concepts, longest is-a chain, components, and how far concepts are apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from torch import Tensor
from torch_geometric.data import HeteroData

from graph_builders.concept_graph import REVERSE
from graph_builders.features import is_a_edges, is_a_parts, stated_types, undirected

#: Up to so many concepts distances are counted from every one; above, from `STARTS` evenly spaced ones.
EXACT = 1024
STARTS = 32
_NAMED = 5


def structure(data: HeteroData) -> dict[str, Any]:
    """Describe the concept side of a graph.

    Args:
        data: The graph.

    Returns:
        `isolated`: concepts without any relation, their count and the first few SCTIDs. `longest_is_a_chain`: the
        number of its steps and its concepts, from the bottom; None where is-a is missing or runs in a circle.
        `components` and `largest_component`: of the undirected graph. `hops`: the distances between concepts that are
        connected, over relations in either direction. These are exact, save `hops` of more than 1,024 concepts:
        they are counted from 32 starts, and the greatest is then at most the diameter.
    """
    count = int(data["concept"].num_nodes)
    sctid = data["concept"].sctid.numpy()
    source, target = undirected(data).numpy()
    links = sparse.csr_array((np.ones(len(source), np.float32), (source, target)), shape=(count, count))
    isolated = np.flatnonzero(np.diff(links.indptr) == 0)
    parts, part = connected_components(links, directed=False) if count else (0, np.empty(0, np.int64))
    chain = _longest_chain(data, count)
    return {
        "isolated": {"count": len(isolated), "first": _named(sctid[isolated[:_NAMED]])},
        "longest_is_a_chain": None
        if chain is None
        else {"steps": max(len(chain) - 1, 0), "concepts": _named(sctid[chain])},
        "components": int(parts),
        "largest_component": int(np.bincount(part).max()) if count else 0,
        "hops": _hops(links, count),
    }


def features(data: HeteroData) -> dict[str, dict[str, list[int]]]:
    """List what a graph knows of its concepts and of the edges between them, with shapes without the first axis.

    Args:
        data: The graph.
    """
    listed = {"concept": _shapes(data["concept"], ("sctid", "depth"))}
    for kind in data.edge_types:
        if kind[0] == kind[2] == "concept" and not kind[1].startswith(REVERSE):
            known = _shapes(data[kind], ("edge_index",))
            if known:
                listed[kind[1]] = known
    return {place: known for place, known in listed.items() if known}


def spread(sizes: np.ndarray[Any, Any]) -> dict[str, float]:
    """Describe a distribution of counts.

    Args:
        sizes: The counts, at least one.
    """
    low, middle, high = np.quantile(sizes, [0.0, 0.5, 0.95])
    return {
        "min": float(low),
        "median": float(middle),
        "mean": float(np.mean(sizes)),
        "p95": float(high),
        "max": float(sizes.max()),
    }


def _shapes(store: Any, plain: tuple[str, ...]) -> dict[str, list[int]]:
    return {
        name: list(value.shape[1:])
        for name, value in store.items()
        if isinstance(value, Tensor) and name not in plain
    }


def _named(sctids: Any) -> list[dict[str, Any]]:
    return [{"concept": int(sctid), "term": ""} for sctid in sctids]


def _longest_chain(data: HeteroData, count: int) -> list[int] | None:
    if stated_types(data) and not is_a_parts(data):
        return None
    child, parent = is_a_edges(data).numpy()
    up = sparse.csr_array((np.ones(len(child)), (child, parent)), shape=(count, count))
    if count and connected_components(up, directed=True, connection="strong")[0] < count:
        return None
    above = np.zeros(count, dtype=np.int64)
    while True:  # a longer way up is known one level further down each round
        longer = above.copy()
        np.maximum.at(longer, child, above[parent] + 1)
        if np.array_equal(longer, above):
            break
        above = longer
    chain = [int(above.argmax())] if count else []
    while chain and above[chain[-1]]:
        higher = up.indices[up.indptr[chain[-1]] : up.indptr[chain[-1] + 1]]
        chain.append(int(higher[above[higher] == above[chain[-1]] - 1].min()))
    return chain


def _hops(links: Any, count: int) -> dict[str, Any]:
    exact = count <= EXACT
    starts = np.arange(count) if exact else np.linspace(0, count - 1, STARTS).astype(np.int64)
    reached = np.zeros((count, len(starts)), dtype=bool)
    reached[starts, np.arange(len(starts))] = True
    frontier, pairs = reached, []  # how many pairs are 1, 2, ... steps apart
    while frontier.any():
        frontier = (links @ frontier.astype(np.float32) > 0) & ~reached
        reached |= frontier
        pairs.append(int(frontier.sum()))
    pairs = pairs[:-1]
    found: dict[str, Any] = {"exact": exact, "starts": len(starts), "pairs": sum(pairs)}
    if pairs:
        share = np.cumsum(pairs) / sum(pairs)
        steps = np.arange(1, len(pairs) + 1)
        found |= {
            "mean": float((steps * pairs).sum() / sum(pairs)),
            "median": int(steps[np.searchsorted(share, 0.5)]),
            "p95": int(steps[np.searchsorted(share, 0.95)]),
            "max": len(pairs),
        }
    return found
