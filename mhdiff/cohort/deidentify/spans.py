"""Where identifiers stand in a text, and how several that overlap become one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from ontology.removed import PLACEHOLDERS, REMOVED

KINDS: Final = tuple(PLACEHOLDERS)


class Span(NamedTuple):
    """An identifier: characters `start` to `end`, and its kind, one of `KINDS`."""

    start: int
    end: int
    kind: str


def united(spans: Iterable[Span], text: str) -> list[Span]:
    """Unite spans that overlap, so that whatever any rule found is covered; the longest says the kind.

    Args:
        spans: In any order.
        text: Their text. What was removed from it before is left out of every span, which may cut one in two.

    Returns:
        Spans that do not overlap, in the order of the text; none without a letter or digit.
    """
    result: list[list[Span]] = []
    end = -1
    for span in sorted(spans):
        if span.start < end:
            result[-1].append(span)
        else:
            result.append([span])
        end = max(end, span.end)
    whole = [
        Span(group[0].start, max(s.end for s in group), max(group, key=lambda s: s.end - s.start).kind)
        for group in result
    ]
    before = [match.span() for match in REMOVED.finditer(text)]
    parts = [part for span in whole for part in _without(span, before)]
    return [part for part in parts if any(map(str.isalnum, text[part.start : part.end]))]


def _without(span: Span, holes: list[tuple[int, int]]) -> list[Span]:
    parts, start = [], span.start
    for a, b in holes:
        if b <= start or a >= span.end:
            continue
        if a > start:
            parts.append(Span(start, a, span.kind))
        start = max(start, b)
    if start < span.end:
        parts.append(Span(start, span.end, span.kind))
    return parts
