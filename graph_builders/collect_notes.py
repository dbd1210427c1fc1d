"""A note is evidence for each term that is found in it, with the polarity that its sentence gives the term.

Each distinct text is read once. A phrase that names n concepts gives each of them the weight 1/n. What stands for a
removed identifier, such as [DATE] or ___, is no word, and ends every term.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from ontology.removed import blanked

if TYPE_CHECKING:
    from ontology.recognise import Recogniser

_MENTION = {
    "note": pl.UInt32,
    "concept": pl.Int64,
    "polarity": pl.String,
    "weight": pl.Float32,
    "start": pl.Int32,
    "end": pl.Int32,
    "text": pl.String,
}


_NO_WORD = "\ufffc"  # object replacement character: the recogniser's terms end there, and offsets stay


class NotesFound(NamedTuple):
    """Rows of (event, concept, polarity, weight, start, end, text), and an outcome for the other events."""

    rows: pl.DataFrame
    outcomes: pl.DataFrame


def collect_notes(
    events: pl.DataFrame,
    recogniser: Callable[[], Recogniser],
    track: Callable[[list[str]], Iterable[str]] = iter,
) -> NotesFound:
    """Find the concepts in notes.

    Args:
        events: event, text_value.
        recogniser: Gives what finds terms; asked only where there is something to read.
        track: Wraps the list of distinct texts, for a progress bar.
    """
    empty = pl.col("text_value").fill_null("").str.strip_chars() == ""
    outcomes = events.select(
        "event", outcome=pl.when(empty).then(pl.lit("empty_note")).otherwise(pl.lit("no_mention"))
    )
    texts = events.filter(~empty).select("text_value").unique().sort("text_value").with_row_index("note")
    found = _mentions(texts["text_value"].to_list(), recogniser, track)
    mentions = pl.DataFrame(found, _MENTION, orient="row")
    numbered = events.select("event", "text_value").join(texts, on="text_value").select("event", "note")
    return NotesFound(numbered.join(mentions, on="note").drop("note"), outcomes)


def _mentions(
    texts: list[str], recogniser: Callable[[], Recogniser], track: Callable[[list[str]], Iterable[str]]
) -> list[tuple[int, int, str, float, int, int, str]]:
    if not texts:
        return []
    rows: list[tuple[int, int, str, float, int, int, str]] = []
    readable = (blanked(text, _NO_WORD) for text in track(texts))
    for note, mentions in zip(range(len(texts)), recogniser().stream(readable), strict=True):
        sharing: dict[tuple[int, int], int] = {}
        for mention in mentions:
            sharing[mention.start, mention.end] = sharing.get((mention.start, mention.end), 0) + 1
        rows.extend(
            (note, m.sctid, m.polarity, 1 / sharing[m.start, m.end], m.start, m.end, m.text) for m in mentions
        )
    return rows
