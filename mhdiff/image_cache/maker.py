"""What decides what a reader makes of a file, beside the file's content.

    maker = SHA-256(form of entries, class, state(), sources of the class and of modules it relies on,
                    versions of the libraries it relies on, kind of processor)

A reader says in `FileReader.relies_on` what stands behind it. Sources are hashed rather than numbered by hand, so that
no edit can be forgotten; libraries are known by version, since a decoder may round otherwise in the next one; and the
processor by its instruction set, by which torch chooses the order of its sums. A change of any of them is another
maker, whose entries stand in a folder of their own.
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Final

import torch

from mhdiff.encoders.preprocess import LOADED, FileReader

FORMAT: Final = 1


def maker_facts(reader: FileReader) -> dict[str, Any] | None:
    """Give all that decides on what a reader makes of a file.

    Args:
        reader: The reader.

    Returns:
        As plain data, without anything of a patient or a cohort; None where it cannot be known, so that nothing of this
        reader may be kept.
    """
    relies_on = vars(type(reader)).get("relies_on")  # a subclass may do as it likes, and answers for itself
    if relies_on is None:
        return None
    own = dict.fromkeys(cls.__module__ for cls in type(reader).__mro__ if cls not in FileReader.__mro__)
    behind = {name: _source(name) for name in own} | {name: _behind(name) for name in relies_on}
    if None in behind.values():
        return None
    return {
        "format": FORMAT,
        "reader": f"{type(reader).__module__}.{type(reader).__qualname__}",
        "state": reader.state(),
        "behind": behind,
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
    }


def maker_name(facts: dict[str, Any]) -> str:
    """Name a maker by all that decides.

    Args:
        facts: What `maker_facts` gave.
    """
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _behind(name: str) -> str | None:
    """Give the version of a library, or the hash of a module; "absent" for what is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
    try:
        import_module(name)
    except ImportError:
        return "absent"
    return _source(name)


def _source(module: str) -> str | None:
    """Hash the file of an imported module; None if it has none, or the file was changed since it was read."""
    name = getattr(sys.modules.get(module), "__file__", None)
    try:
        file = Path(name or "")
        return None if file.stat().st_mtime > LOADED else hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return None  # typed into a session, or frozen into a program
