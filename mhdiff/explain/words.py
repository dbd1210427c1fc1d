"""From tokens to words: what the pieces of a word contributed, summed over the word's characters in the note.

A token that spans several words (byte-level vocabularies) is divided by the number of characters, so that
nothing is lost: words and rest add up to all tokens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_WORD = re.compile(r"\w+(?:[-'’.,/]\w+)*|[^\w\s]")


@dataclass(frozen=True)
class Word:
    """One word of the note.

    Args:
        text: The word.
        start: Its first character in the note.
        end: The character after its last.
        attribution: What it contributed.
        read: Whether the model read it; what stands after the longest sequence was not.
    """

    text: str
    start: int
    end: int
    attribution: float
    read: bool


def words(
    text: str, offsets: Sequence[tuple[int, int]], attributions: Sequence[float]
) -> tuple[list[Word], float]:
    """Sum the attributions of tokens over words.

    Args:
        text: The note.
        offsets: Characters of each token, (start, end); (0, 0) for tokens that stand for no text.
        attributions: One number a token; more than there are offsets when padding follows.

    Returns:
        The words in their order, and what belongs to none of them (special tokens and padding).
    """
    spans = [match.span() for match in _WORD.finditer(text)]
    owner = [-1] * len(text)
    for index, (start, end) in enumerate(spans):
        owner[start:end] = [index] * (end - start)
    totals, read, rest = [0.0] * len(spans), [False] * len(spans), 0.0
    for position, value in enumerate(attributions):
        start, end = offsets[position] if position < len(offsets) else (0, 0)
        owners = [i for i in owner[start:end] if i >= 0]
        if not owners:
            rest += float(value)
        for index in owners:
            totals[index] += float(value) / len(owners)
            read[index] = True
    found = [
        Word(text[start:end], start, end, total, was_read)
        for (start, end), total, was_read in zip(spans, totals, read, strict=True)
    ]
    return found, rest
