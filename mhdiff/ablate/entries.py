"""Entries that the YAML files of ablations and searches share: a base configuration, overrides, seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mhdiff.ablate.fragments import expanded
from mhdiff.config import find
from ontology.errors import InputError

#: What makes an arm: its overrides, and its own seeds, if it has some.
Arm = tuple[tuple[str, ...], tuple[int, ...] | None]


def find_base(source: Path, name: str) -> Path:
    """Find the base configuration: beside the file that names it or among the shipped ones, and no ablation or search.

    Args:
        source: The file that names it.
        name: The name.

    Raises:
        InputError: If there is none, or it is an ablation or a search itself.
    """
    beside = source.parent / name
    if beside.is_file() and not _is_plan(beside):
        return beside
    try:
        found = find(name)
    except InputError:
        if not beside.is_file():
            raise
        found = beside
    if _is_plan(found):
        raise InputError(
            f"the base {name} is an ablation or a search itself",
            path=source,
            remedy="Name what mhdiff fit takes as -c, such as demo.yaml",
        )
    return found


def _is_plan(path: Path) -> bool:
    """Whether a file has arms, factors or a space to search; what else may be wrong with it is told by who reads it."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        return False
    return isinstance(document, dict) and not {"arms", "factors", "space"}.isdisjoint(document)


def read_overrides(value: object, key: str, source: Path | None) -> tuple[str, ...]:
    """Read overrides: a list of options `--key=value`, or a mapping of dotted keys.

    Args:
        value: The entry; None for none.
        key: Its key, for the message.
        source: The file, for the message.

    Raises:
        InputError: If it is neither.
    """
    if value is None:
        return ()
    if isinstance(value, Mapping):
        return tuple(f"--{name}={_text(entry)}" for name, entry in value.items())
    if not isinstance(value, list) or not all(isinstance(v, str) and v.startswith("--") for v in value):
        raise InputError(
            f"'{key}' must list command-line options such as --trainer.max_epochs=8, or map keys to values, "
            f"not {value!r}",
            path=source,
        )
    return tuple(option for given in value for option in expanded(given, source))


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def read_arm(value: object, key: str, source: Path) -> Arm:
    """Read an arm, or the level of a factor: its overrides, or {set: overrides, seeds: its own}.

    Args:
        value: The entry.
        key: Its key, for the message.
        source: The file, for the message.

    Returns:
        The overrides, and its own seeds, if it has some.

    Raises:
        InputError: If it is neither.
    """
    if not isinstance(value, Mapping) or not value or not {"set", "seeds"} >= set(value):
        return read_overrides(value, key, source), None
    seeds = read_seeds(value["seeds"], f"{key}.seeds", source) if "seeds" in value else None
    return read_overrides(value.get("set"), f"{key}.set", source), seeds


def read_seeds(value: Any, key: str, source: Path) -> tuple[int, ...]:
    """Read different seeds.

    Args:
        value: The entry.
        key: Its key, for the message.
        source: The file, for the message.

    Raises:
        InputError: If it does not list different whole numbers.
    """
    whole = isinstance(value, list) and all(
        isinstance(v, int) and not isinstance(v, bool) and v >= 0 for v in value
    )
    if not whole or not value or len(set(value)) != len(value):
        raise InputError(f"'{key}' must list different whole numbers, not {value!r}", path=source)
    return tuple(value)
