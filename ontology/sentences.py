"""A note split into sentences, each with what its section says of its mentions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from ontology.context import carried, section_kind
from ontology.tokens import words_of
from ontology.triggers import RELATIVES

# the last is a full stop without the blank behind it: "size is normal.There is"
_BREAK = re.compile(r"[.!?](?=[\s\"')\]]|$)|\n|(?<=[a-z][a-z])\.(?=[A-Z][a-z])")
_HEADING = re.compile(r"[ \t]*([A-Za-z][A-Za-z /&-]{1,40}?)[ \t]*:")
_ITEM = re.compile(r"[ \t]*(?:[-*•·‣–]|\(?(?:\d{1,2}|[a-z])[.)])")
_ABBREVIATIONS = frozenset(
    {"dr", "mr", "mrs", "ms", "st", "vs", "e.g", "i.e", "approx", "resp", "pt", "pts", "fig", "cf", "ca"}
)
_LONGEST = 1 + max(map(len, _ABBREVIATIONS))


class Sentence(NamedTuple):
    """A stretch of text in which triggers have their scope, and what its section says of its mentions."""

    start: int
    end: int
    section: str


def sentences(text: str) -> Iterator[Sentence]:
    """Split a note into sentences, each with what its section says of its mentions.

    A sentence ends at a full stop that is not that of an abbreviation, at a blank line, and at a line break
    before a capital letter, a digit or a bullet. A heading ("Family history:") begins a section, which ends
    at the next heading or at the first blank line after its text. A line that ends in a colon and in the scope of
    a trigger ("The patient denies:") holds for the list below it.

    Args:
        text: A clinical note.
    """
    section, filled, listed, start = "", False, False, 0
    if ":" not in text:  # no heading
        for stop in [*_breaks(text), len(text)]:
            if text[start:stop].strip():
                yield Sentence(start, stop, "")
            start = stop
        return
    for stop in [*_breaks(text), len(text)]:
        piece = text[start:stop]
        begins_line = not start or text[start - 1] == "\n"
        if not piece.strip():
            if filled and start and text[start - 1] == "\n":
                section, filled, listed = "", False, False
        elif listed and begins_line and _ITEM.match(piece):
            filled = True
        elif heading := _heading(text, start, stop):
            kind, after = section_kind(heading.group(1)), text[heading.end() : stop]
            section, filled, listed = kind, bool(after.strip()), False
        else:
            if listed and begins_line:
                section, listed = "", False
            filled = True
        if piece.strip():
            yield Sentence(start, stop, section)
            if not section and piece.rstrip().endswith(":"):
                section = carried([word.lower() for word in words_of([piece])[0]])
                filled, listed = False, bool(section)
        start = stop


def _heading(text: str, start: int, stop: int) -> re.Match[str] | None:
    if (start and text[start - 1] != "\n") or text.find(":", start, stop) < 0:
        return None
    found = _HEADING.match(text, start, stop)
    # "Mother: asthma" goes on with the family history
    return None if found and found.group(1).split()[0].lower() in RELATIVES else found


def _breaks(text: str) -> Iterator[int]:
    """Give the places where sentences end."""
    for match in _BREAK.finditer(text):
        mark, start, end = match.group(), match.start(), match.end()
        if mark == "\n":
            following = text[end : end + 40].lstrip(" \t")
            if not following or not following[0].islower():
                yield end
        elif mark == ".":
            if text[end : end + 3].lstrip(" \t")[:1].islower():
                continue
            if start < _LONGEST or not text[start - _LONGEST : start].isalpha():  # else it is no abbreviation
                words = text[max(0, start - 12) : start].split()
                last = words[-1].lower().lstrip("(") if words else ""
                if last in _ABBREVIATIONS or (len(last) == 1 and last.isalpha()):  # "E. coli"
                    continue
            yield end
        elif not text[start - 1 : start].strip():
            continue  # the query in "fever, ? TB"
        elif mark == "!" or not text[end : end + 3].lstrip()[:1].islower():
            yield end
