"""What lies above many concepts at once: their ancestors, the ancestors that they share, and how deep they lie."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ontology import closure as _closure
from ontology.closure import Adjacency, gather
from ontology.errors import ConceptNotFound, InputError
from ontology.lookup import indices

if TYPE_CHECKING:
    from ontology.model import Ontology

Ints = NDArray[np.int64]

_LONGEST: weakref.WeakKeyDictionary[Any, NDArray[np.int32]] = weakref.WeakKeyDictionary()


def nodes_of(ontology: Ontology, sctids: Any) -> Ints:
    """Give the node indices of concepts that all have to be there.

    Args:
        ontology: The ontology.
        sctids: SCTIDs or keys, any one-dimensional array-like of integers.

    Raises:
        ConceptNotFound: If one of them is not among the active concepts.
        InputError: If they are not a list of integers.
    """
    wanted = np.asarray(sctids)
    if wanted.ndim != 1 or (wanted.size and wanted.dtype.kind not in "iu"):
        raise InputError("concepts are given as a one-dimensional list of integers")
    nodes = indices(ontology, wanted.astype(np.int64, copy=False))
    if len(missing := np.flatnonzero(nodes < 0)):
        ontology.index(int(wanted[missing[0]]))  # raises, and says whether it is inactive
        raise ConceptNotFound(f"concept {wanted[missing[0]]} is unknown")
    return nodes


def ancestors_of_many(ontology: Ontology, sctids: Any, include_self: bool = False) -> Adjacency:
    """Give the ancestors of many concepts at once, by the closure.

    Args:
        ontology: The ontology.
        sctids: SCTIDs or keys [n].
        include_self: Whether a concept is among its own ancestors.

    Returns:
        `indptr` int64 [n + 1] and `indices` int32: the ancestors of the i-th concept, as node indices, ascending, are
        `indices[indptr[i]:indptr[i + 1]]`; `ontology.sctids[...]` makes SCTIDs of them.

    Raises:
        ConceptNotFound: If a concept is not in the ontology.
    """
    nodes = nodes_of(ontology, sctids)
    rows = Adjacency(ontology.closure.indptr, ontology.closure.indices)
    found, counts = gather(rows, nodes)
    if not include_self:
        found = found[found != np.repeat(nodes, counts)]
        counts = counts - 1
    return Adjacency(np.concatenate(([0], np.cumsum(counts, dtype=np.int64))), found)


def longest_depth(ontology: Ontology) -> NDArray[np.int32]:
    """Give the longest distance of every concept from a root, in is-a steps, int32 [N].

    `Ontology.depth` is the shortest one. The longest grows with every step down, so an ancestor is never as deep as its
    descendant.

    Args:
        ontology: The ontology.
    """
    if ontology not in _LONGEST:
        depth = np.zeros(len(ontology), dtype=np.int32)
        for distance, nodes in enumerate(_closure.levels(ontology.parent_links, ontology.child_links)):
            depth[nodes] = distance
        depth.setflags(write=False)
        _LONGEST[ontology] = depth
    return _LONGEST[ontology]


def common_ancestors(ontology: Ontology, a: int, b: int) -> Ints:
    """Give the ancestors that two concepts share, each being an ancestor of itself, ascending.

    Args:
        ontology: The ontology.
        a: One concept.
        b: The other.

    Raises:
        ConceptNotFound: If one is not in the ontology.
    """
    return ontology.sctids[_shared(ontology, a, b)]


def _shared(ontology: Ontology, a: int, b: int) -> Ints:
    one, other = (_closure.reachable(ontology.parent_links, ontology.index(c)) for c in (a, b))
    return np.intersect1d(one, other, assume_unique=True)


def least_common_ancestors(
    ontology: Ontology, a: int, b: int, ic: NDArray[np.float64] | None = None
) -> list[int]:
    """Give the common ancestors that have no other common ancestor below them.

    In a hierarchy with several parents there can be more than one. If one concept lies above the other, or is the
    same, it is the only one.

    Args:
        ontology: The ontology.
        a: One concept.
        b: The other.
        ic: Information content [N] to order them by; by default by the number of their ancestors.

    Returns:
        SCTIDs, the most informative first; none if nothing lies above both.

    Raises:
        ConceptNotFound: If one is not in the ontology.
    """
    shared = _shared(ontology, a, b)
    above, _ = gather(
        ontology.parent_links, shared
    )  # common ancestors are closed upwards: their parents tell
    least = np.setdiff1d(shared, above, assume_unique=False)
    weight: list[float]
    if ic is None:
        weight = [len(_closure.reachable(ontology.parent_links, int(node))) for node in least]
    else:
        weight = [float(ic[node]) for node in least]
    order = sorted(range(len(least)), key=lambda i: (-weight[i], int(least[i])))
    return [int(ontology.sctids[least[i]]) for i in order]
