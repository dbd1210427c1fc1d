r"""Trades between observations: who has which evidence is dealt out anew, all margins kept.

In a round the observations of a group are paired by lot. Two that meet put what only one of them has on the table and
deal it out again by lot, each getting back as many pieces as it gave:

.. math:: A, B \;\longmapsto\; (A \cap B) \cup R, \; (A \cap B) \cup ((A \triangle B) \setminus R),
          \qquad R \text{ drawn from } A \triangle B, \; |R| = |A \setminus B|

So no observation gets a piece twice. This is the curveball algorithm (Strona et al. 2014, A fast and unbiased procedure
to randomize ecological binary matrices with fixed row and column totals, Nature Communications 5), whose draws are even
over all tables with these margins (Carstens 2015, Proof of uniform sampling of binary matrices with fixed row sums and
column sums for the fast Curveball algorithm, Physical Review E 91). Pairs of one round share no observation, so they
trade at once. Nothing is refused, which is why this takes far fewer rounds than swapping two pieces at a time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Indices = np.ndarray[Any, np.dtype[np.int64]]


def trade(
    piece: Indices, observation: Indices, group: Indices, rng: np.random.Generator, rounds: int
) -> Indices:
    """Deal pieces out anew within groups of observations.

    Args:
        piece: Which piece each row is [E], not negative.
        observation: Which observation has it [E]; no observation has a piece twice.
        group: The group of each observation [O], from 0.
        rng: Where chance comes from.
        rounds: How often all observations trade.

    Returns:
        The observation that has each row's piece then [E].
    """
    now = observation.astype(np.int64)
    width = int(piece.max(initial=0)) + 1
    size = np.bincount(group)
    ranked = np.sort(group)
    inside = np.arange(len(group)) - np.searchsorted(ranked, ranked)
    first = np.flatnonzero((inside % 2 == 0) & (inside + 1 < size[ranked]))
    for _ in range(rounds):
        lot = np.argsort(group + rng.random(len(group)))
        meets, side = np.full(len(group), -1), np.zeros(len(group), dtype=np.int64)
        meets[lot[first]] = meets[lot[first + 1]] = np.arange(len(first))
        side[lot[first + 1]] = 1
        rows = np.flatnonzero(meets[now] >= 0)
        rows = rows[np.argsort(meets[now[rows]] * width + piece[rows])]
        table = meets[now[rows]] * width + piece[rows]
        both = np.zeros(len(rows), dtype=bool)
        same = table[1:] == table[:-1]
        both[1:] |= same
        both[:-1] |= same
        rows = rows[~both]
        pair, gave = meets[now[rows]], side[now[rows]]
        dealt = np.argsort(pair + rng.random(len(rows)))  # pairs in order, each one's pieces by lot
        start = np.searchsorted(pair, pair)
        back = np.bincount(pair[gave == 0], minlength=len(first))
        to = (np.arange(len(rows)) - start >= back[pair]).astype(np.int64)
        ends = np.stack([lot[first], lot[first + 1]])
        now[rows[dealt]] = ends[to, pair]
    return now
