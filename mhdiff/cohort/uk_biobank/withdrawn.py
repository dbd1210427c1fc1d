"""Lists of who withdrew, `w12345_20240101.csv`: whoever is in one must not be in the cohort, so no line is passed over.

UK Biobank sends an eid a line. A spreadsheet that was between adds a mark of its encoding, quotes, separators or a
header. All of these are read; a line that is anything else stops the import.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from ontology.errors import InputError

_NAMES: Final = re.compile(r"(?:w\d+_\d|withdr)\S*\.(?:csv|tsv|txt)", re.IGNORECASE)
_EID = re.compile(r"([0-9]{1,9})(?:\.0+)?")
_BETWEEN = re.compile(r"[,;\s]+")
_QUOTES: Final = "\"'"


def find_lists(root: Path) -> list[Path]:
    """Give the lists of a folder, by name.

    Args:
        root: The folder.
    """
    return [place for place in sorted(root.iterdir()) if place.is_file() and _NAMES.fullmatch(place.name)]


def read_lists(lists: Iterable[Path]) -> list[int]:
    """Give the eids of all who are in a list, each once, in ascending order.

    Args:
        lists: The lists.

    Raises:
        InputError: If a line, other than a header at the beginning, holds anything but eids; it names file and line.
    """
    return sorted({eid for file in lists for eid in _read(file)})


def _read(file: Path) -> list[int]:
    found: list[int] = []
    begun = False
    for number, line in enumerate(file.read_bytes().decode("utf-8-sig", errors="replace").splitlines(), 1):
        words = [word for part in _BETWEEN.split(line) if (word := part.strip(_QUOTES))]
        eids = [match for word in words if (match := _EID.fullmatch(word))]
        header = not begun and not any(letter.isdigit() for letter in line)
        if len(eids) < len(words) and not header:
            raise InputError(
                "the line of a list of who withdrew is no eid",
                path=file,
                row=number,
                remedy="Write an eid a line, as UTF-8; nobody who withdrew may be passed over",
            )
        begun = begun or bool(words)
        found += [int(match[1]) for match in eids]
    return found
