"""`mhdiff fit`: train from a YAML file; the options are those of LightningCLI."""

from __future__ import annotations

import json
import os
from pathlib import Path

import yaml

from mhdiff.config import find
from ontology.errors import InputError


def run_raw(arguments: list[str]) -> None:
    """Train.

    Args:
        arguments: What stands after `mhdiff fit`.
    """
    os.environ.setdefault("PL_DISABLE_FORK", "1")
    from mhdiff.training.run import fit

    fit(resolved(arguments))


def resolved(arguments: list[str]) -> list[str]:
    """Replace the names of shipped configurations by their paths, and refuse files that are not YAML mappings.

    Args:
        arguments: What stands after `mhdiff fit`.
    """
    result = list(arguments)
    for place, argument in enumerate(result):
        if argument in ("-c", "--config") and place + 1 < len(result):
            result[place + 1] = str(_checked(find(result[place + 1])))
        elif argument.startswith(("--config=", "-c=")):
            flag, _, name = argument.partition("=")
            result[place] = f"{flag}={_checked(find(name))}"
    return result


def _checked(path: Path) -> Path:
    try:
        content = json.loads(path.read_text()) if path.suffix == ".json" else yaml.safe_load(path.read_text())
    except (UnicodeDecodeError, ValueError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        raise InputError(
            "the configuration is not YAML", path=path, row=mark.line + 1 if mark else None
        ) from error
    if not isinstance(content, dict):
        raise InputError("the configuration holds no keys", path=path, remedy="See configs/demo.yaml")
    return path
