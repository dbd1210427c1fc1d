r"""Pairs of near hashes without comparing all pairs: those that fall into one bucket in any of several tables.

A table's bucket is the signs at b + 1 places that were drawn, as they are relative to the first. A pair at distance d
(share of signs that differ) shares it with probability (1 - d)^(b + 1) + d^(b + 1), the second term being pictures and
their negatives, and so meets in at least one of T tables with

    1 - (1 - (1 - d)^(b + 1))^T

at b = 16 and T = 150: .9999 at d = .15, .97 at .2, .76 at .24; strangers at .5 in one of 440 pairs, at .4 in one of 40.
Whoever meets is compared exactly, so that what is found is true, and what is missed is known in size.

Piotr Indyk, Rajeev Motwani (1998), Approximate Nearest Neighbors: Towards Removing the Curse of Dimensionality.
https://doi.org/10.1145/276698.276876
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int8, Int64

KEY_BITS, TABLES = 16, 150
_BLOCK = 1024


def met(distance: float) -> float:
    """Give the probability that a pair is compared.

    Args:
        distance: Share of its signs that differ.
    """
    alike = (1 - distance) ** (KEY_BITS + 1) + distance ** (KEY_BITS + 1)
    return float(1 - (1 - alike) ** TABLES)


def buckets(hashes: Int8[np.ndarray, "n bits"], seed: int = 0) -> Iterator[Int64[np.ndarray, " members"]]:
    """Give the buckets of two or more members, table by table.

    Args:
        hashes: The hashes, of -1 and 1.
        seed: Of the places that are drawn.

    Yields:
        Places of the members, ascending.
    """
    draw = np.random.default_rng(seed)
    weights = 1 << np.arange(KEY_BITS)
    for _ in range(TABLES):
        first, *others = draw.choice(hashes.shape[1], KEY_BITS + 1, replace=False)
        key = (hashes[:, others] == hashes[:, [first]]) @ weights
        order = np.argsort(key, kind="stable")
        edges = np.flatnonzero(np.diff(key[order])) + 1
        yield from (members for members in np.split(order, edges) if len(members) > 1)


def close_in_buckets(
    hashes: Int8[np.ndarray, "n bits"], limit: float, parts: Int64[np.ndarray, " n"], seed: int = 0
) -> Iterator[tuple[int, int, float]]:
    """Find pairs of different parts that differ in few signs, or in nearly all.

    Args:
        hashes: The hashes, of -1 and 1.
        limit: Greatest share of signs that differ.
        parts: The part of each, such as its split; pairs within one are not looked for.
        seed: Of the buckets.

    Yields:
        Places i < j and the share, each pair once.
    """
    bits, seen = hashes.shape[1], set()
    for members in buckets(hashes, seed):
        if (parts[members] == parts[members[0]]).all():
            continue
        for start in range(0, len(members), _BLOCK):
            one = members[start : start + _BLOCK]
            for other_start in range(start, len(members), _BLOCK):
                other = members[other_start : other_start + _BLOCK]
                agree = hashes[one].astype(np.float32) @ hashes[other].astype(np.float32).T
                share = (1 - np.abs(agree) / bits) / 2
                near = (share <= limit) & (parts[one][:, None] != parts[other])
                for i, j in np.argwhere(near):
                    pair = (int(min(one[i], other[j])), int(max(one[i], other[j])))
                    if pair not in seen:
                        seen.add(pair)
                        yield *pair, float(share[i, j])
