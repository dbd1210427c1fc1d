"""Which modalities were offered: all 2^M - 1 non-empty patterns of M modalities, their names and their order.

A pattern is named by its modalities joined with "+", in the order in which the task lists them
("image+labs"); the empty pattern, which only the prior can answer, is "none". Patterns are ordered from the
fullest to the barest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

from ontology.errors import InputError

EMPTY = "none"
EVERY = "all"  # stands for every non-empty pattern


def all_patterns(modalities: Sequence[str]) -> list[tuple[str, ...]]:
    """List every non-empty subset of the modalities, the fullest first, then in the task's order.

    Args:
        modalities: The task's modalities, in its order.

    Raises:
        InputError: If a modality is named twice or cannot be part of a pattern's name.
    """
    _check_modalities(modalities)
    return [subset for size in range(len(modalities), 0, -1) for subset in combinations(modalities, size)]


def pattern_name(subset: Iterable[str], modalities: Sequence[str]) -> str:
    """Name a subset of the modalities.

    Args:
        subset: The modalities that are offered, in any order.
        modalities: All modalities, in the task's order.

    Raises:
        InputError: If the subset holds a modality that the task does not have.
    """
    wanted = set(subset)
    unknown = sorted(wanted - set(modalities))
    if unknown:
        raise InputError(
            f"unknown modality {', '.join(map(repr, unknown))}", remedy=f"Known ones: {', '.join(modalities)}"
        )
    return "+".join(m for m in modalities if m in wanted) or EMPTY


def parse_pattern(name: str, modalities: Sequence[str]) -> tuple[str, ...]:
    """Give the modalities of a pattern's name, in the task's order.

    Args:
        name: A name such as "image+labs", or "none"; the order of its parts does not matter.
        modalities: All modalities, in the task's order.

    Raises:
        InputError: If the name is no pattern of these modalities.
    """
    if name == EMPTY:
        return ()
    parts = name.split("+")
    if not set(parts) <= set(modalities) or len(set(parts)) != len(parts):
        raise InputError(
            f"unknown pattern '{name}'",
            column="pattern",
            remedy=f"A pattern joins some of {', '.join(modalities)} with '+', or is '{EMPTY}'",
        )
    return tuple(m for m in modalities if m in parts)


def asked_patterns(names: Iterable[str], modalities: Sequence[str]) -> list[tuple[str, ...]]:
    """List the patterns that are asked for, the fullest first; that one is always among them.

    Args:
        names: Names of patterns, or `all` for every non-empty one.
        modalities: All modalities, in the task's order.

    Raises:
        InputError: If a name is no pattern of these modalities.
    """
    wanted = {tuple(modalities)}
    for name in names:
        try:
            wanted |= set(all_patterns(modalities)) if name == EVERY else {parse_pattern(name, modalities)}
        except InputError as error:
            raise InputError(f"patterns: there is no '{name}'", remedy=error.remedy) from error
    ordered = order_patterns([pattern_name(subset, modalities) for subset in wanted], modalities)
    return [parse_pattern(name, modalities) for name in ordered]


def modalities_of(names: Iterable[str]) -> list[str]:
    """Read the modalities, in their order, from the fullest pattern among the names.

    Args:
        names: Names of patterns, one of which holds every modality that occurs.

    Raises:
        InputError: If no pattern holds all modalities that the others name, or the order differs.
    """
    given = sorted(set(names))
    parts = {name: [] if name == EMPTY else name.split("+") for name in given}
    fullest = max(given, key=lambda name: (len(parts[name]), name), default=EMPTY)
    for name in given:
        if not set(parts[name]) <= set(parts[fullest]) or len(set(parts[name])) != len(parts[name]):
            raise InputError(
                f"unknown pattern '{name}': it names modalities that the fullest, '{fullest}', does not",
                column="pattern",
                remedy="Name the task's modalities, or predict with all of them too",
            )
        if parts[name] != [m for m in parts[fullest] if m in parts[name]]:
            raise InputError(
                f"pattern '{name}' names its modalities in another order than '{fullest}'",
                column="pattern",
                remedy="Name each pattern in the task's order, so that one pattern has one name",
            )
    return parts[fullest]


def order_patterns(names: Iterable[str], modalities: Sequence[str]) -> list[str]:
    """Sort names of patterns from the fullest to the barest, "none" last.

    Args:
        names: Names of patterns.
        modalities: All modalities, in the task's order.

    Raises:
        InputError: If a name is no pattern of these modalities.
    """
    place = {m: i for i, m in enumerate(modalities)}

    def key(name: str) -> tuple[int, list[int]]:
        subset = parse_pattern(name, modalities)
        return -len(subset), [place[m] for m in subset]

    return sorted(set(names), key=key)


def _check_modalities(modalities: Sequence[str]) -> None:
    bad = [m for m in modalities if not m or "+" in m or m == EMPTY]
    if bad or len(set(modalities)) != len(modalities):
        raise InputError(
            f"modalities {list(modalities)} cannot name patterns",
            remedy=f"Each must be named once, without '+', and not '{EMPTY}'",
        )
