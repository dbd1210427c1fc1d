"""How much room text takes, and how it is broken into lines, where no font can be asked.

Widths are those of a wide sans serif face, so that text set in any usual one fits: a picture has to hold wherever it is
looked at.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

# In thousandths of the font size.
_WIDTHS = {
    280: "ijlI|'",
    330: " .,:;!",
    400: 'ftr()[]{}/\\-"`',
    560: "cksvxyzJ?*_^",
    640: "abdeghnopquL0123456789EFT$#",
    730: "ABCPRSXYZKV",
    800: "DGHNOQUw&+<>=~",
    1000: "mMW@%",
}
_WIDTH = {character: width for width, characters in _WIDTHS.items() for character in characters}
_ELSE, _WIDE, _PICTURE = 800, 1020, 1400

# What XML cannot hold, and what a line cannot: the first becomes the replacement character, the second a space.
_UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WHITE = re.compile(r"\s+")


def clean(text: str) -> str:
    """Give text that any XML document can hold, on one line.

    Args:
        text: A term, or anything else.
    """
    return _WHITE.sub(" ", _UNFIT.sub("\ufffd", text)).strip()


def width(text: str, size: float) -> float:
    """Say how wide a line is at most.

    Args:
        text: The line.
        size: The font size; the answer is in the same unit.
    """
    return sum(map(_one, text)) * size / 1000


def _one(character: str) -> int:
    known = _WIDTH.get(character)
    if known is not None:
        return known
    if unicodedata.combining(character):
        return 0
    if unicodedata.category(character) == "So":
        return _PICTURE
    return _WIDE if unicodedata.east_asian_width(character) in "WF" else _ELSE


def wrap(text: str, room: float, size: float, most: int) -> list[str]:
    """Break text into lines, and cut what does not fit with an ellipsis.

    Args:
        text: The text, as `clean` gives it.
        room: How wide a line may be.
        size: The font size.
        most: How many lines there may be.

    Returns:
        At least one line.
    """
    lines = [""]
    for piece in _pieces(text, room, size):
        longer = f"{lines[-1]} {piece}".strip() if lines[-1] else piece
        if width(longer, size) <= room:
            lines[-1] = longer
        elif not lines[-1]:
            lines[-1] = piece
        else:
            lines.append(piece)
    if len(lines) <= most:
        return lines
    last = lines[most - 1]
    while last and width(f"{last}…", size) > room:
        last = last[:-1]
    return [*lines[: most - 1], f"{last.rstrip()}…"]


def _pieces(text: str, room: float, size: float) -> Iterator[str]:
    """Give the words, those that are too long for a line in parts."""
    for word in text.split(" "):
        rest = word
        while width(rest, size) > room:
            end = 1
            while width(rest[: end + 1], size) <= room:
                end += 1
            yield rest[:end]
            rest = rest[end:]
        yield rest
