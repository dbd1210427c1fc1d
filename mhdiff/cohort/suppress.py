r"""Numbers of a table that name nobody: small ones are hidden, and others with them, so that no sum gives one away.

With v all numbers that are published (cells, margins, totals) and M v = 0 what everybody knows of them (a row adds up
to its margin), whoever sees the shown ones knows of the hidden ones x

    M_hidden x = - M_shown v_shown,   x >= 1   (nobody is shown as 0)

A small number is safe if at least five values can be true of it: its minimum and maximum over that set, by linear
programming, are four apart or more. While one is not, the smallest shown number that shares a sum with it is
hidden too (secondary suppression, as offices of statistics do it; e.g. Hundepool et al., Statistical Disclosure
Control, 2012, chapter 4), cells before margins. All that is hidden looks alike, since "at least five" would say too
much. "<5" stands only where nothing but small numbers is hidden and each of them can be 1, 2, 3 or 4. If nothing is
left to hide, the whole table is hidden, zeros with it.

Each table is protected by itself. Two of them, of different tasks or of a cohort before and after somebody joined,
can still be subtracted from each other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

SMALL = 5
FEW, HIDDEN = f"<{SMALL}", "hidden"
Told = int | str
# Without jaxtyping, which is of the extra `model`: cohorts can be described without it. Shapes are in the docstrings.
Counts = np.ndarray[Any, np.dtype[np.int64]]
Relations = np.ndarray[Any, np.dtype[np.float64]]
_TRIED = 12
_TOLERANCE = 1e-6


def cell(count: int) -> Told:
    """Give a count that stands alone, or "<5" where it could point to a person.

    Args:
        count: Number of people, samples or words.
    """
    return FEW if 0 < count < SMALL else count


def protect(
    values: Counts,
    people: Counts,
    relations: Relations,
    *,
    fixed: Collection[int] = (),
    hidden: Collection[int] = (),
    margins: Collection[int] = (),
    secret: Collection[int] = (),
) -> list[Told]:
    """Give the numbers as they may be shown.

    Args:
        values: The numbers, `[n]`.
        people: Of how many people each is, `[n]`; of fewer than five, but not of nobody, is small.
        relations: What is known of them, `[m, n]`: relations @ values = 0.
        fixed: Places of numbers that are shown elsewhere, and so cannot be hidden here.
        hidden: Places of numbers that are hidden elsewhere, and so must be hidden here.
        margins: Places of sums, which are hidden last.
        secret: Places of numbers that are hidden elsewhere, and so must not be reckoned from these, as small ones.
    """
    few = {int(i) for i in np.flatnonzero((people > 0) & (people < SMALL))} | set(secret)
    forced = set(hidden) - few
    away = set(forced)

    def safe(place: int, also: set[int]) -> bool:
        return _safe(values, relations, sorted(few | away | also), place)

    while exposed := [place for place in sorted(few) if not safe(place, set())]:
        able = _candidates(values, relations, exposed[0], few | away, set(fixed))
        if not able:
            return [v if i in fixed else HIDDEN for i, v in enumerate(values.tolist())]
        able.sort(key=lambda i: (i in margins, values[i], i))
        # One number that is enough by itself, rather than the smallest that is not.
        away.add(next((i for i in able[:_TRIED] if safe(exposed[0], {i})), able[0]))
    for spare in sorted(away - forced, key=lambda i: (i in margins, values[i]), reverse=True):
        away.discard(spare)  # a later one may have made an earlier one needless
        if not all(safe(place, set()) for place in sorted(few)):
            away.add(spare)
    places = sorted(few)
    plain = not away and not secret and all(_safe(values, relations, places, i, SMALL - 1) for i in places)
    mark = FEW if plain else HIDDEN
    return [mark if i in few or i in away else v for i, v in enumerate(values.tolist())]


def _candidates(
    values: Counts,
    relations: Relations,
    exposed: int,
    unknown: set[int],
    fixed: set[int],
) -> list[int]:
    """Give the shown numbers of all sums that hang together with an exposed one by what is hidden."""
    reached, lines = {exposed}, np.zeros(len(relations), dtype=bool)
    while True:
        new = (relations[:, sorted(reached)] != 0).any(axis=1)
        if (new == lines).all():
            break
        lines = new
        reached |= set(np.flatnonzero((relations[lines] != 0).any(axis=0)).tolist()) & unknown
    near = np.flatnonzero((relations[lines] != 0).any(axis=0) & (values > 0)).tolist()
    return [i for i in near if i not in unknown and i not in fixed]


def _safe(
    values: Counts,
    relations: Relations,
    places: list[int],
    place: int,
    most: int | None = None,
) -> bool:
    """Say whether at least five values can be true of a hidden number, or all up to `most` if that is known."""
    from scipy.optimize import linprog  # takes half of the time in which a process of an import begins

    unknown, known = relations[:, places], np.setdiff1d(np.arange(len(values)), places)
    used = (unknown != 0).any(axis=1)
    sums = -relations[used][:, known] @ values[known]
    bounds = [(min(1, int(values[i])), most) for i in places]
    goal = np.array([1.0 if i == place else 0.0 for i in places])
    ends = []
    for sign in (1, -1):
        found = linprog(sign * goal, A_eq=unknown[used], b_eq=sums, bounds=bounds)
        if found.status == 3:  # unbounded; otherwise there is a solution, the true numbers
            return True
        ends.append(sign * found.fun)
    return bool(ends[1] - ends[0] >= (most or SMALL) - 1 - _TOLERANCE)


def one_way(counts: dict[str, int], people: dict[str, int] | None = None) -> dict[str, Told]:
    """Protect a list of counts whose total is shown.

    Args:
        counts: Name -> count.
        people: Name -> of how many people; the counts themselves if not given.

    Returns:
        Name -> as it may be shown, in the same order; see `ordered` where that is the order of the counts.
    """
    names, of = list(counts), people or counts
    total = sum(counts.values())
    values = np.array([*counts.values(), total], dtype=np.int64)
    whom = np.array([*(of[name] for name in names), sum(of[name] for name in names)], dtype=np.int64)
    relation = np.array([[1.0] * len(names) + [-1.0]])
    told = protect(values, whom, relation, fixed=[len(names)])
    return dict(zip(names, told, strict=False))


def ordered(told: Mapping[str, Told]) -> dict[str, Told]:
    """Put counts in the order of their size and what is hidden behind them, by name: its place would tell its size.

    Args:
        told: Name -> as it is shown.
    """
    return dict(sorted(told.items(), key=lambda i: (-i[1], i[0]) if isinstance(i[1], int) else (1, i[0])))


def two_way(table: Counts, told_columns: Sequence[Told]) -> tuple[list[list[Told]], list[Told]]:
    """Protect a table of people whose total and margins are shown.

    Args:
        table: The counts, `[rows, columns]`.
        told_columns: How the margins of the columns are told, which is so wherever they stand.

    Returns:
        The cells, and the margins of the rows.
    """
    rows, columns = table.shape
    whole = np.zeros((rows + 1, columns + 1), dtype=np.int64)
    whole[:rows, :columns], whole[:rows, columns] = table, table.sum(1)
    whole[rows, :columns], whole[rows, columns] = table.sum(0), table.sum()
    place = np.arange(whole.size).reshape(whole.shape)
    relations = np.zeros((rows + columns + 2, whole.size))
    for line, own in enumerate([*place, *place.T]):
        relations[line, own[:-1]], relations[line, own[-1]] = 1, -1
    shown = [int(place[rows, c]) for c, told in enumerate(told_columns) if not isinstance(told, str)]
    away = [int(place[rows, c]) for c, told in enumerate(told_columns) if isinstance(told, str)]
    values = whole.ravel()
    margins = {*place[rows].tolist(), *place[:, columns].tolist()}
    told = protect(
        values, values, relations, fixed=[*shown, int(place[rows, columns])], hidden=away, margins=margins
    )
    cells = [[told[place[r, c]] for c in range(columns)] for r in range(rows)]
    return cells, [told[place[r, columns]] for r in range(rows)]
