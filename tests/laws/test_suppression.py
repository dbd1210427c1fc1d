"""What is hidden in a table stays hidden: whatever agrees with all that is shown is looked for, by other means."""

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from mhdiff.cohort.suppress import FEW, HIDDEN, SMALL, cell, one_way, ordered, two_way


def ways(total: int, parts: int, low: int, high: int):
    """Every way to write a total as that many parts."""
    if parts == 0:
        return [()] if total == 0 else []
    return [
        (n, *rest) for n in range(low, min(total, high) + 1) for rest in ways(total - n, parts - 1, low, high)
    ]


@pytest.mark.parametrize("seed", range(60))
def test_no_small_count_can_be_reckoned_from_the_total(seed):
    rng = np.random.default_rng(seed)
    numbers = {name: int(rng.integers(0, 13)) for name in "abcde"[: rng.integers(1, 6)]}
    told = one_way(numbers)
    assert {name: n for name, n in told.items() if isinstance(n, int)}.items() <= numbers.items()
    small = [name for name, n in numbers.items() if 0 < n < SMALL]
    away = [name for name, n in told.items() if isinstance(n, str)]
    assert set(small) <= set(away)
    if not small:
        assert away == []
        return
    # What somebody knows who has read the module: nobody is 0 where anything is shown, "<5" is 1 to 4.
    plain, all_hidden = FEW in told.values(), len(away) == len(told)
    rest = sum(numbers[name] for name in away)
    possible = ways(rest, len(away), 0 if all_hidden else 1, SMALL - 1 if plain else rest)
    for place, name in enumerate(away):
        values = {one[place] for one in possible}
        if name in small and rest >= SMALL and len(away) > 1:
            assert len(values) >= SMALL - (1 if plain else 0), (numbers, told, values)


@pytest.mark.parametrize("seed", range(40))
def test_no_small_cell_can_be_reckoned_from_margins(seed):
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 10, (rng.integers(2, 5), rng.integers(2, 4)))
    columns = list(one_way({str(i): int(n) for i, n in enumerate(table.sum(0))}).values())
    cells, rows = two_way(table, columns)
    shown = {place: cells[place[0]][place[1]] for place in np.ndindex(table.shape)}
    assert all(n == table[place] for place, n in shown.items() if isinstance(n, int))
    assert all(isinstance(n, str) for place, n in shown.items() if 0 < table[place] < SMALL)
    for place in shown:
        if 0 < table[place] < SMALL:
            low, high = ends(table, shown, columns, rows, place)
            assert high - low >= SMALL - 2, (table.tolist(), cells, columns, rows, place)


def ends(table, shown, columns, rows, place):
    """Least and greatest whole number that a cell can be, by integer programming on cells alone."""
    width = table.shape[1]
    least = np.array([n if isinstance(n, int) else 1 for n in shown.values()], dtype=float)
    most = np.array([n if isinstance(n, int) else SMALL - 1 if n == FEW else np.inf for n in shown.values()])
    if all(isinstance(n, str) for n in shown.values()):
        least[:] = 0
    lines, sums = [np.ones(table.size)], [table.sum()]
    for c, told in enumerate(columns):
        if isinstance(told, int):
            lines.append(np.arange(table.size) % width == c)
            sums.append(told)
    for r, told in enumerate(rows):
        if isinstance(told, int):
            lines.append(np.arange(table.size) // width == r)
            sums.append(told)
    goal = np.zeros(table.size)
    goal[place[0] * width + place[1]] = 1
    found = [
        milp(sign * goal, integrality=np.ones(table.size), bounds=Bounds(least, most),
             constraints=LinearConstraint(np.array(lines, dtype=float), sums, sums))
        for sign in (1, -1)
    ]  # fmt: skip
    assert all(one.status == 0 for one in found)
    return found[0].fun, -found[1].fun


def test_a_table_that_needs_a_second_cell_hidden():
    assert one_way({"train": 9, "held_out": 3}) == {"train": HIDDEN, "held_out": HIDDEN}
    assert one_way({"a": 60, "b": 30, "c": 3}) == {"a": 60, "b": HIDDEN, "c": HIDDEN}
    assert one_way({"a": 60, "b": 30}) == {"a": 60, "b": 30}


def test_two_small_ones_are_enough_unless_their_sum_says_them():
    assert one_way({"a": 60, "b": 3, "c": 3, "d": 2}) == {"a": 60, "b": FEW, "c": FEW, "d": FEW}
    assert one_way({"a": 60, "b": 1, "c": 1}) == dict.fromkeys("abc", HIDDEN)
    assert one_way({"a": 60, "b": 4, "c": 4}) == {"a": 60, "b": HIDDEN, "c": HIDDEN}


def test_the_order_does_not_tell_the_size():
    assert list(ordered({"z": FEW, "b": 7, "a": FEW, "c": 9, "d": HIDDEN})) == ["c", "b", "a", "d", "z"]


@pytest.mark.parametrize(("n", "told"), [(0, 0), (1, FEW), (4, FEW), (5, 5)])
def test_a_count_that_stands_alone(n, told):
    assert cell(n) == told
