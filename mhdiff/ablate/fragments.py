"""Part of a configuration as options: what a YAML beside others sets, such as a baseline, becomes an arm's overrides.

    --config=baselines/gated.yaml   ->   --model.granularity=modality --model.fusion={"class_path": ...} ...

The options, and not the file's place, are what a cell is known by: a cell is trained anew when the file says something
else, and not when it stands somewhere else. A class with its settings is one option.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from mhdiff.config import find
from ontology.errors import InputError

PREFIX = "--config="


def expanded(option: str, source: Path | None) -> tuple[str, ...]:
    """Give an option, or those that a file stands for.

    Args:
        option: A command-line option.
        source: The ablation that names it: a file beside it is meant first, then a shipped one.

    Raises:
        InputError: If the file is not there, or is no YAML mapping.
    """
    if not option.startswith(PREFIX):
        return (option,)
    name = option.removeprefix(PREFIX)
    beside = None if source is None else source.parent / name
    path = beside if beside is not None and beside.is_file() else find(name)
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        row = None if mark is None else mark.line + 1
        raise InputError("this is no readable YAML", path=path, row=row) from error
    if not isinstance(document, dict) or not document:
        raise InputError("the file sets no keys", path=path, remedy="Write keys as in configs/demo.yaml")
    return tuple(f"--{key}={_text(value)}" for key, value in _options(document))


def _options(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value and "class_path" not in value:
            yield from _options(value, f"{name}.")
        else:
            yield name, value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
