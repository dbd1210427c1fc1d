"""The ancestors that pairs of concepts share, for millions of pairs: how many, and the greatest weight among them.

Rows of the closure are multiplied in chunks, in a thread for each core. (A compiled merge of the sorted rows
with numba was measured against it on two cores: about as fast, and a second slower at first use. So there is none.)
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CHUNK = 1 << 15
"""Pairs that are worked on at once; some 20 MB of rows at 25 ancestors a concept."""
MOST_THREADS = 4
"""How many chunks are in memory at once at most."""


def shared_ancestors(closure: Any, a: Ints, b: Ints, weights: list[Floats]) -> tuple[Ints, list[Floats]]:
    """Count the common ancestors of pairs, and give the greatest of each weight among them.

    Args:
        closure: The closure, csr bool [N, N], sorted; a node is an ancestor of itself.
        a: Node indices [n].
        b: Node indices [n].
        weights: Weights of the nodes, each float64 [N] and not negative.

    Returns:
        The counts int64 [n], and for each weight the maximum float64 [n], 0 where nothing is shared.
    """
    counts = np.zeros(len(a), dtype=np.int64)
    greatest = [np.zeros(len(a)) for _ in weights]

    def chunk(start: int) -> None:
        part = slice(start, start + CHUNK)
        shared = closure[a[part]].multiply(closure[b[part]]).tocsr()
        counts[part] = number = np.diff(shared.indptr)
        some = np.flatnonzero(number)
        if len(some):
            for weight, best in zip(weights, greatest, strict=True):
                best[start + some] = np.maximum.reduceat(weight[shared.indices], shared.indptr[some])

    _in_threads(chunk, len(a))
    return counts, greatest


def _in_threads(chunk: Callable[[int], None], size: int) -> None:
    """Work on chunks, several at a time where there are several: scipy and numpy let go of the interpreter's lock."""
    starts = range(0, size, CHUNK)
    if len(starts) < 2:
        for start in starts:
            chunk(start)
        return
    with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as pool:
        for _ in pool.map(chunk, starts):
            pass


def nearest(closure: Any, distance: Floats, a: Ints, b: Ints) -> Floats:
    """Give the least number of is-a steps between pairs through an ancestor that they share; infinite without one.

    Args:
        closure: The closure.
        distance: The least number of steps up for each entry of the closure.
        a: Node indices [n].
        b: Node indices [n].
    """
    steps = sparse.csr_array((distance + 1.0, closure.indices, closure.indptr), shape=closure.shape)
    found = np.full(len(a), np.inf)

    def chunk(start: int) -> None:
        part = slice(start, start + CHUNK)
        one, other = a[part], b[part]
        up = steps[one].multiply(closure[other]).tocsr()
        down = steps[other].multiply(closure[one]).tocsr()
        some = np.flatnonzero(np.diff(up.indptr))
        if len(some):
            found[start + some] = np.minimum.reduceat(up.data + down.data - 2, up.indptr[some])

    _in_threads(chunk, len(a))
    return found
