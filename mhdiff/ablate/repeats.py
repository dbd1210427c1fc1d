"""Repeated cross-validation: each repetition deals the patients to folds anew, by a split seed of its own.

The first repetition keeps the split seed of the configuration: it is the ablation as it is without repetitions, and its
cells stay where some are added. Repetitions are no seeds of a training: those are averaged within a fold, and a fold
with the same patients must be the same fold for all of them. So folds may not be dealt by `{seed}`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from ontology.errors import InputError

#: From one repetition to the next. The seeds just after a split seed deal its tuning patients and its inner folds.
STEP = 1000
_KEY = "data.split_seed"


def refuse_split_seeds(
    named: Mapping[str, Iterable[str]], common: str, repeats: int, source: Path | None
) -> None:
    """Refuse overrides by which folds would hold other patients for other seeds, folds or arms.

    Args:
        named: By what they are called in the message, overrides of an ablation that has folds.
        common: Which of them all cells share; there the first repetition's split seed may stand.
        repeats: How many repetitions there are.
        source: The file, for the message.

    Raises:
        InputError: If one deals folds by `{seed}` or `{fold}`, or with repetitions some cells alone.
    """
    for name, overrides in named.items():
        for option in overrides:
            key, _, value = option.partition("=")
            if _plain(key) != _KEY:
                continue
            if "{seed}" in value or "{fold}" in value:
                raise InputError(
                    f"'{name}' has {option}: a fold would not hold the same patients for every training, and its "
                    "figures are averaged over seeds",
                    path=source,
                    remedy="Take it out, and write `repeats: 5` to have the folds dealt five times",
                )
            if repeats > 1 and name != common:
                raise InputError(
                    f"'{name}' has {option}, and every repetition deals the folds by a seed of its own",
                    path=source,
                    remedy=f"Write it in '{common}', for all cells: it is then the first repetition's",
                )


def first_split_seed(base: object, common: Iterable[str], path: Path) -> int:
    """Give the split seed of the first repetition: what the overrides or the configuration say, and else 0.

    Args:
        base: The base configuration, as YAML gives it.
        common: Overrides that all cells share.
        path: The base configuration's file, for the message.

    Raises:
        InputError: If it is no whole number.
    """
    data = base.get("data") if isinstance(base, dict) else None
    found: object = 0
    if isinstance(data, dict):
        inner = data.get("init_args")
        found = (inner if isinstance(inner, dict) else data).get("split_seed", 0)
    for option in common:
        key, _, value = option.partition("=")
        if _plain(key) == _KEY:
            found = int(value) if value.isdecimal() else value
    if isinstance(found, bool) or not isinstance(found, int):
        raise InputError(
            f"data.split_seed must be a whole number to deal further folds from, not {found!r}", path=path
        )
    return found


def dealing(repeat: int | None, first: int) -> list[str]:
    """Give the option that deals the folds of a repetition; the first keeps what the configuration says.

    Args:
        repeat: Index of the repetition; None where there are none.
        first: The split seed of the first.
    """
    return [f"--{_KEY}={first + STEP * repeat}"] if repeat else []


def _plain(key: str) -> str:
    return key.removeprefix("--").replace(".init_args.", ".")
