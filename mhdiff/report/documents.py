"""Reading the JSON files that a report is made from; what cannot be read has its reason."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ontology.errors import InputError

Document = dict[str, Any]


@dataclass(frozen=True)
class Missing:
    """A part that the report cannot show.

    Args:
        part: What the reader will not find.
        reason: Why.
        remedy: What brings it into the next report.
    """

    part: str
    reason: str
    remedy: str


def needed(path: Path, remedy: str) -> Document:
    """Read a JSON object that must be there.

    Args:
        path: The file.
        remedy: What brings it.

    Raises:
        InputError: If it is not there, or holds no JSON object.
    """
    if not path.is_file():
        raise InputError(f"there is no {path.name}", path=path.parent, remedy=remedy)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"the file is no JSON ({error})", path=path, remedy=remedy) from error
    if not isinstance(document, dict):
        raise InputError("the file holds no JSON object", path=path, remedy=remedy)
    return document


def read_json(path: Path) -> tuple[Any, str]:
    """Give what a JSON file holds, or why it cannot be read.

    Args:
        path: The file.
    """
    if not path.is_file():
        return None, f"there is no {path}"
    try:
        return json.loads(path.read_text(encoding="utf-8")), ""
    except (OSError, ValueError) as error:
        return None, f"{path} is no JSON ({error})"


def checked(document: Document, path: Path, remedy: str) -> Document:
    """Refuse an ablation.json that lacks what a report needs.

    Args:
        document: What the file holds.
        path: The file.
        remedy: What to do about it.

    Raises:
        InputError: If an entry is missing or of the wrong kind.
    """
    for name, kind in (("arms", dict), ("differences", list), ("reference", str)):
        if not isinstance(document.get(name), kind) or not document[name]:
            raise InputError(f"the entry '{name}' is missing or empty", path=path, remedy=remedy)
    pairs = [(d.get("arm"), d.get("reference")) for d in document["differences"]]
    named = {document["reference"], *(name for pair in pairs for name in pair)}
    if strange := sorted(str(name) for name in named if name not in document["arms"]):
        raise InputError(f"'{strange[0]}' is compared and is no arm", path=path, remedy=remedy)
    return document
