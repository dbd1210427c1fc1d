"""What a search may choose: by option, a list of values or a range.

model.learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}
model.guidance.layers: {low: 0, high: 3}          # both whole: whole numbers
model.dim: [32, 64, 128]
model.guidance: [mhdiff.guidance.NoGuidance, mhdiff.guidance.MessagePassing]
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from ontology.errors import InputError

_KEYS = {"low", "high", "step", "log"}


def read_space(value: Any, path: Path) -> dict[str, BaseDistribution]:
    """Read the entry `space` of a search.

    Args:
        value: The entry: a mapping of options.
        path: The file, for messages.

    Raises:
        InputError: If it is no mapping, or an entry is neither a list of values nor a range.
    """
    if not isinstance(value, Mapping) or not value:
        raise InputError(
            "'space' must map options to values, such as model.dim: [32, 64]", path=path, remedy=str(__doc__)
        )
    return {str(name).removeprefix("--"): _one(str(name), entry, path) for name, entry in value.items()}


def _one(name: str, entry: Any, path: Path) -> BaseDistribution:
    if isinstance(entry, list) and entry:
        return CategoricalDistribution(
            [v if isinstance(v, bool | int | float | str) or v is None else json.dumps(v) for v in entry]
        )
    fits = isinstance(entry, Mapping) and {"low", "high"} <= set(entry) <= _KEYS
    numbers = [entry[k] for k in ("low", "high", "step") if k in entry] if fits else []
    if not fits or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in numbers):
        raise InputError(
            f"space.{name} is {entry!r}",
            path=path,
            remedy="Give a list of values, or {low, high} with log: true or step where wanted",
        )
    whole = all(isinstance(v, int) for v in numbers)
    step, by_log = entry.get("step"), bool(entry.get("log", False))
    try:
        if whole:
            return IntDistribution(entry["low"], entry["high"], log=by_log, step=1 if step is None else step)
        return FloatDistribution(float(entry["low"]), float(entry["high"]), log=by_log, step=step)
    except ValueError as error:
        raise InputError(f"space.{name} is no range: {error}", path=path) from error


def suggest(trial: optuna.Trial, name: str, entry: BaseDistribution) -> Any:
    """Choose a value.

    Args:
        trial: Who chooses.
        name: The option.
        entry: What may be chosen.
    """
    if isinstance(entry, CategoricalDistribution):
        return trial.suggest_categorical(name, entry.choices)
    if isinstance(entry, IntDistribution):
        return trial.suggest_int(name, entry.low, entry.high, step=entry.step, log=entry.log)
    assert isinstance(entry, FloatDistribution)
    return trial.suggest_float(name, entry.low, entry.high, step=entry.step, log=entry.log)


def grid_of(space: Mapping[str, BaseDistribution], path: Path) -> dict[str, list[Any]]:
    """Give every value of every option, for a grid.

    Args:
        space: What may be chosen.
        path: The file, for messages.

    Raises:
        InputError: If an option is a range of numbers without a step: a grid has to be finite.
    """
    grid: dict[str, list[Any]] = {}
    for name, entry in space.items():
        if isinstance(entry, CategoricalDistribution):
            grid[name] = list(entry.choices)
        elif isinstance(entry, IntDistribution):
            grid[name] = list(range(entry.low, entry.high + 1, entry.step))
        elif isinstance(entry, FloatDistribution) and entry.step is not None:
            count = round((entry.high - entry.low) / entry.step) + 1
            grid[name] = [entry.low + i * entry.step for i in range(count)]
        else:
            raise InputError(
                f"space.{name} is a range, and a grid has to be finite",
                path=path,
                remedy="List its values, give it a step, or search by random or tpe",
            )
    return grid


def size_of(grid: Mapping[str, list[Any]]) -> int:
    """Give the number of settings of a grid.

    Args:
        grid: What `grid_of` gave.
    """
    return len(list(product(*grid.values())))


def options_of(chosen: Mapping[str, Any]) -> list[str]:
    """Write what was chosen as options of the command line.

    Args:
        chosen: By option its value. A class comes before what belongs to it.
    """
    return [
        f"--{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in sorted(chosen.items(), key=lambda pair: (pair[0].count("."), pair[0]))
    ]
