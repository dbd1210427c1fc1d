"""A gzip file looked at whole before anything is made of it: sound to its last byte, no bomb, lines of bearable length.

Deflate packs a thousand bytes into one at most, tables of a hospital five to thirty. Separators are not counted: of a
wide table most fields are empty.
"""

from __future__ import annotations

import gzip
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Final

from ontology.errors import InputError

MAX_LINE: Final = 1 << 24  # bytes
#: So many bytes, and so many times the packed ones, from where on it is taken for a bomb.
INFLATED: Final = 1 << 24
RATIO: Final = 200
_PIECE: Final = 1 << 20
_DAMAGED: Final = "the file is not readable"


def check_gzip(file: Path) -> None:
    """Refuse a gzip file that is damaged, a bomb, or holds an endless line; what was looked at is remembered.

    Args:
        file: The file.

    Raises:
        InputError: If it is one of these.
    """
    state = file.stat()
    if reason := _look(file.absolute(), state.st_size, state.st_mtime_ns):
        remedy = "Copy it again" if reason.startswith(_DAMAGED) else "Unpack it and look at it first"
        raise InputError(reason, path=file, remedy=remedy)


@lru_cache(maxsize=4096)
def _look(file: Path, size: int, _changed: int) -> str:
    """Give what is wrong with it, "" if nothing is."""
    held = lines = run = 0
    most = max(INFLATED, RATIO * size)
    try:
        with gzip.open(file, "rb") as stream:
            while piece := stream.read(_PIECE):
                lines += (ends := piece.count(b"\n"))
                run = len(piece) - piece.rindex(b"\n") - 1 if ends else run + len(piece)
                if run > MAX_LINE:
                    return f"line {lines + 1} is longer than {MAX_LINE >> 20} MiB"
                held += len(piece) - piece.count(b",") - piece.count(b"\t")
                if held > most:
                    return f"the gzip file holds more than {RATIO} times its size"
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return f"{_DAMAGED}: as gzip it is damaged or cut short"
    return ""
