"""Spoilt notes: another patient's, words out of order, and a note that breaks off.

The concepts that were recognised in a note go where the note goes: another patient's note brings its own, a broken-off
note keeps those whose words are still there, and in a shuffled one a concept of several words survives if none of them
has moved, a concept of one word always. Whether a concept is affirmed or denied stays as it was recognised.
"""

from __future__ import annotations

import math
import re
from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

import polars as pl

from mhdiff.corruption.base import EventCorruption, Record, Source
from mhdiff.encoders.preprocess_text import TextPreprocessor

_WORD = re.compile(r"\S+")
_EVENT = ("sample_id", "source", "time")

#: Whether what stood from one character to another can still be recognised.
Survives = Callable[[int, int], bool]


class WrongNote(EventCorruption):
    """Gives a sample the notes of another patient of the same split; the amount is the share of samples it happens to.

    A split in which no other patient has a note is left as it is.
    """

    name = "wrong_note"
    reads = TextPreprocessor
    levels: ClassVar = (0.2, 0.4, 0.6, 0.8, 1.0)

    def record(self, record: Record, source: Source) -> Record:
        """Spoil some samples' notes, see `EventCorruption.record`."""
        written = source.events.filter(pl.col("text_value").is_not_null())
        pools = source.by_split(written)
        having = set(record.events.filter(pl.col("text_value").is_not_null())["sample_id"])
        taken: dict[int, int] = {}
        for sample, subject, split in source.samples.select("sample_id", "subject_id", "split").iter_rows():
            if sample in having and self.draw(sample) < self.amount:
                donor = self._donor(sample, subject, pools[split])
                if donor is not None:
                    taken[sample] = donor
        moves = pl.DataFrame(
            {"new": list(taken), "sample_id": list(taken.values())}, {"new": pl.Int64, "sample_id": pl.Int64}
        )
        subject_of = record.events.select(new="sample_id", whose="subject_id").unique("new")
        events = (
            moves.join(source.events, on="sample_id", maintain_order="left_right")
            .join(subject_of, on="new", maintain_order="left")
            .with_columns(sample_id="new", subject_id="whose")
            .select(record.events.columns)
        )
        evidence = (
            moves.join(source.evidence, on="sample_id", maintain_order="left_right")
            .with_columns(sample_id="new")
            .select(record.evidence.columns)
        )
        stays = ~pl.col("sample_id").is_in(list(taken))
        return Record(
            pl.concat([record.events.filter(stays), events]).sort("sample_id", maintain_order=True),
            pl.concat([record.evidence.filter(stays), evidence]),
        )

    def _donor(self, sample: int, subject: int, pool: list[tuple[int, int]]) -> int | None:
        """Draw one of a pool who is another patient; from the place drawn the next in order, and round."""
        first = int(self.draw(sample, "donor") * len(pool))
        for place in range(len(pool)):
            donor, whose = pool[(first + place) % len(pool)]
            if whose != subject:
                return donor
        return None


class _Rewritten(EventCorruption):
    """Changes each note by itself."""

    reads = TextPreprocessor

    @abstractmethod
    def rewrite(self, text: str, sample: int, place: int) -> tuple[str, Survives]:
        """Change a text, and say which of its parts can still be recognised.

        Args:
            text: The note.
            sample: Whose.
            place: Which of the sample's notes.
        """

    def record(self, record: Record, source: Source) -> Record:
        """Spoil some samples' notes, see `EventCorruption.record`."""
        texts: list[str | None] = []
        survivors: dict[tuple[object, ...], list[Survives]] = {}
        places: dict[int, int] = {}
        for sample, code, time, text in record.events.select(
            "sample_id", "code", "time", "text_value"
        ).iter_rows():
            if text is None:
                texts.append(None)
                continue
            place = places[sample] = places.get(sample, -1) + 1
            changed, survives = self.rewrite(text, sample, place)
            texts.append(changed)
            survivors.setdefault((sample, code, time), []).append(survives)
        kept = [
            start is None or any(survives(start, end) for survives in survivors.get(tuple(key), ()))
            for *key, start, end in record.evidence.select(*_EVENT, "start", "end").iter_rows()
        ]
        return Record(
            record.events.with_columns(pl.Series("text_value", texts, dtype=pl.String)),
            record.evidence.filter(pl.Series(kept, dtype=pl.Boolean)),
        )


class ShuffledWords(_Rewritten):
    """Puts words in each other's places; the amount is the share of words that is shuffled."""

    name = "shuffled_words"
    levels: ClassVar = (0.2, 0.4, 0.6, 0.8, 1.0)

    def rewrite(self, text: str, sample: int, place: int) -> tuple[str, Survives]:
        """Shuffle, see `_Rewritten.rewrite`."""
        words = list(_WORD.finditer(text))
        rng = self.generator(sample, place)
        order = rng.permutation(len(words))
        chosen = sorted(order[: round(self.amount * len(words))].tolist())
        shuffled = list(rng.permutation(chosen)) if len(chosen) > 1 else chosen
        stands = {i: i for i in range(len(words))} | dict(zip(chosen, map(int, shuffled), strict=True))
        parts, end = [], 0
        for i, word in enumerate(words):
            parts += [text[end : word.start()], words[stands[i]].group()]
            end = word.end()

        def survives(first: int, last: int) -> bool:
            inside = [i for i, word in enumerate(words) if word.start() < last and word.end() > first]
            return len(inside) < 2 or all(stands[i] == i for i in inside)

        return "".join(parts) + text[end:], survives


class TruncatedNote(_Rewritten):
    """Breaks a note off; the amount is the share of words that is lost. The first word stays."""

    name = "truncated_note"
    levels: ClassVar = (0.2, 0.4, 0.6, 0.8, 0.95)

    def rewrite(self, text: str, sample: int, place: int) -> tuple[str, Survives]:
        """Break off, see `_Rewritten.rewrite`."""
        words = list(_WORD.finditer(text))
        if not words:
            return text, lambda first, last: True
        end = words[max(1, math.ceil((1 - self.amount) * len(words))) - 1].end()
        return text[:end], lambda first, last: last <= end
