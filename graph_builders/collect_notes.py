"""A note is evidence for each term that is found in it, with the polarity that its sentence gives the term.

Each distinct text is read once. A phrase that names n concepts gives each of them the weight 1/n.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

if TYPE_CHECKING:
    from ontology import Ontology

_MENTION = {
    "text_value": pl.String,
    "concept": pl.Int64,
    "polarity": pl.String,
    "weight": pl.Float32,
    "start": pl.Int32,
    "end": pl.Int32,
    "text": pl.String,
}


class NotesFound(NamedTuple):
    """Rows of (event, concept, polarity, weight, start, end, text), and an outcome for the other events."""

    rows: pl.DataFrame
    outcomes: pl.DataFrame


def collect_notes(
    events: pl.DataFrame, ontology: Ontology, track: Callable[[list[str]], Iterable[str]] = iter
) -> NotesFound:
    """Find the concepts in notes.

    Args:
        events: event, text_value.
        ontology: Whose terms are looked for.
        track: Wraps the list of distinct texts, for a progress bar.
    """
    empty = pl.col("text_value").fill_null("").str.strip_chars() == ""
    outcomes = events.select(
        "event", outcome=pl.when(empty).then(pl.lit("empty_note")).otherwise(pl.lit("no_mention"))
    )
    texts = events.filter(~empty)["text_value"].unique().sort().to_list()
    mentions = pl.DataFrame(_mentions(texts, ontology, track), _MENTION, orient="row")
    rows = events.select("event", "text_value").join(mentions, on="text_value").drop("text_value")
    return NotesFound(rows, outcomes)


def _mentions(
    texts: list[str], ontology: Ontology, track: Callable[[list[str]], Iterable[str]]
) -> list[tuple[str, int, str, float, int, int, str]]:
    if not texts:
        return []
    from ontology.recognise import Recogniser

    recognise = Recogniser(ontology)
    rows: list[tuple[str, int, str, float, int, int, str]] = []
    for text, mentions in zip(texts, recognise.stream(track(texts)), strict=True):
        sharing: dict[tuple[int, int], int] = {}
        for mention in mentions:
            sharing[mention.start, mention.end] = sharing.get((mention.start, mention.end), 0) + 1
        rows.extend(
            (text, m.sctid, m.polarity, 1 / sharing[m.start, m.end], m.start, m.end, m.text) for m in mentions
        )
    return rows
