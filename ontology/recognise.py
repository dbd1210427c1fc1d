"""Notes to concepts: the longest term at each place, and what the sentence says of it.

Words are compared as `inflect.fold` brings them (lower case, singular); hyphens and possessive endings do not
count. Where case matters (a term marked CS or cI with two capitals in a word of at most four letters, or an
abbreviation that spells an everyday word, as "CAP" does), the text must be written as the term is. Words must
stand in the term's order: "pneumonia of bacterial origin" is not searched for "bacterial pneumonia".

Of terms that overlap, the one that begins first is taken, of those that begin together the longest, and the
search goes on behind it. A term does not cross the end of a sentence. Nor is a chain of words with hyphens cut
where what is left over belongs to the name: SARS-CoV-2 is not SARS, non-pneumonia not pneumonia, while
COVID-19-related and asthma-COPD are read as far as they are known.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ontology.context import polarities
from ontology.inflect import singular
from ontology.lexicon import NOT_SOUGHT, Lexicon
from ontology.matching import Match, Matcher, Sentences
from ontology.model import Ontology
from ontology.sentences import Sentence, sentences
from ontology.tokens import Batch
from ontology.triggers import ABSENT, FAMILY, HISTORICAL, PRESENT, UNCERTAIN

POLARITIES = (PRESENT, ABSENT, UNCERTAIN, FAMILY, HISTORICAL)

# "38?C", "39.1 ?": a character that the note has lost, no query
_LOST_CHARACTER = re.compile(r"[^\W_]\?[^\W_]|\d ?\?")
_BATCH = 1 << 18  # characters


class Mention(NamedTuple):
    """A concept that a text names: characters `start` to `end`, and what is said of it."""

    start: int
    end: int
    text: str
    sctid: int
    polarity: str


class Span(NamedTuple):
    """A term in a text: characters `start` to `end`, and the node indices of the concepts that it names."""

    start: int
    end: int
    nodes: tuple[int, ...]


class Recogniser:
    """Find an ontology's concepts in clinical text.

    Args:
        ontology: Whose terms to look for: synonyms, and FSNs without their tag.
        not_sought: Semantic tags of concepts to leave out. With others than the default the lexicon is built,
            and only held in memory; has no effect on a lexicon that is given.
        lexicon: The dictionary of the ontology, or the folder that it was saved in. Without one, that beside
            the ontology is used; where there is none, or a damaged or older one, it is built and written there,
            and only held in memory if the folder cannot be written to.
        strict_case: Ask for every capital of a CS term, and of a cI term but the first letter; a text must
            then say "Crohn's". Otherwise only words of up to four letters with two capitals must be as in the term.
        overlapping: Give every term in `spans`, also those inside or across others.

    Attributes:
        terms: How many terms are looked for.
        skipped: How many terms are not, by reason.
        built: Why the lexicon was built; empty where it was opened.
        held: Why a lexicon that was built is only held in memory; empty where it is on disk.

    Raises:
        InputError: If the lexicon that is given is damaged, or that of another ontology.
    """

    def __init__(
        self,
        ontology: Ontology,
        *,
        not_sought: Iterable[str] = NOT_SOUGHT,
        lexicon: Lexicon | str | Path | None = None,
        strict_case: bool = False,
        overlapping: bool = False,
    ) -> None:
        from ontology import lexicon_store

        self.ontology = ontology
        self.built = self.held = ""
        wanted = frozenset(not_sought)
        if lexicon is not None:
            found = lexicon if isinstance(lexicon, Lexicon) else Lexicon.open(lexicon)
            lexicon_store.check_belongs(found, ontology)
        elif wanted != NOT_SOUGHT:
            self.built = self.held = "other semantic tags are left out"
            found = Lexicon.build(ontology, not_sought=wanted)
        else:
            found, self.built, self.held = lexicon_store.own_lexicon(ontology)
        self.lexicon: Lexicon = found
        self.terms, self.skipped = found.terms, dict(found.skipped)
        self._match = Matcher(found, strict_case=strict_case, overlapping=overlapping)

    def __call__(self, text: str) -> list[Mention]:
        """Find the concepts that a text names.

        Args:
            text: A clinical note.

        Returns:
            The mentions in the order of the text; a term of several concepts gives one mention each.
        """
        return self.many([text])[0]

    def many(self, texts: Sequence[str]) -> list[list[Mention]]:
        """Find the concepts that texts name; faster than one text at a time.

        Args:
            texts: Clinical notes.

        Returns:
            For each text its mentions, as a call with the text gives them.
        """
        return list(self.stream(texts))

    def stream(self, texts: Iterable[str]) -> Iterator[list[Mention]]:
        """Find the concepts that texts name, reading no more of them ahead than makes it fast.

        Args:
            texts: Clinical notes.

        Yields:
            For each text its mentions, as a call with the text gives them.
        """
        for chunk in _chunks(texts):
            yield from self._mentions(chunk)

    def spans(self, texts: Iterable[str]) -> list[list[Span]]:
        """Find terms without asking what is said of them.

        Args:
            texts: Clinical notes.

        Returns:
            For each text the terms in it, in its order.
        """
        spans: list[list[Span]] = []
        for chunk in _chunks(texts):
            batch = Batch(chunk, self._match.numbers)
            found = self._match(batch, Sentences(batch))
            into: list[list[Span]] = [[] for _ in chunk]
            if found:
                first, last = [match.begin for match in found], [match.end - 1 for match in found]
                owners = batch.owners(first)
                offsets = batch.offsets[owners]
                starts, ends = batch.starts[first] - offsets, batch.ends[last] - offsets
                columns = zip(owners.tolist(), starts.tolist(), ends.tolist(), found, strict=True)
                for owner, start, end, match in columns:
                    into[owner].append(Span(start, end, match.nodes))
            spans += into
        return spans

    def _mentions(self, texts: list[str]) -> list[list[Mention]]:
        mentions: list[list[Mention]] = [[] for _ in texts]
        batch, sctids = Batch(texts, self._match.numbers), self.ontology.sctids
        split = Sentences(batch)
        for index, sentence, low, high, inside in _by_sentence(batch, split, self._match(batch, split)):
            text, offset, into = texts[index], int(batch.offsets[index]), mentions[index]
            words, places = _context_words(batch, text, offset, sentence, low, high)
            spans = [(places[a - low], places[b - 1 - low] + 1) for a, b, _ in inside]
            said_of = polarities(words, spans, sentence.section)
            for (a, b, nodes), polarity in zip(inside, said_of, strict=True):
                start, end = int(batch.starts[a]) - offset, int(batch.ends[b - 1]) - offset
                said = text[start:end]
                into.extend(Mention(start, end, said, int(sctids[node]), polarity) for node in nodes)
        return mentions


def _chunks(texts: Iterable[str]) -> Iterator[list[str]]:
    """Cut texts into lists that fit into memory easily."""
    chunk: list[str] = []
    size = 0
    for text in texts:
        if size and size + len(text) > _BATCH:
            yield chunk
            chunk, size = [], 0
        chunk.append(text)
        size += len(text)
    if chunk:
        yield chunk


def _by_sentence(
    batch: Batch, split: Sentences, found: list[Match]
) -> Iterator[tuple[int, Sentence, int, int, list[Match]]]:
    """Give for each sentence that has terms its text's index, itself, its range of words, and the terms."""
    owners = batch.owners([match.begin for match in found]).tolist()
    begins, place = batch.starts.tolist(), 0
    while place < len(found):
        index = owners[place]
        offset = int(batch.offsets[index])
        for sentence in split[index]:
            if place == len(found) or owners[place] != index:
                break
            if begins[found[place].begin] >= sentence.end + offset:
                continue
            low, high = (
                bisect_left(begins, sentence.start + offset),
                bisect_left(begins, sentence.end + offset),
            )
            first = place
            while place < len(found) and found[place].begin < high:
                place += 1
            yield index, sentence, low, high, found[first:place]


def _context_words(
    batch: Batch, text: str, offset: int, sentence: Sentence, low: int, high: int
) -> tuple[list[str], list[int]]:
    """Give a sentence's words as triggers are written, and where in them each word of the batch is."""
    starts, ends = batch.starts[low:high].tolist(), batch.ends[low:high].tolist()
    words = [batch.joined[a:b].lower() for a, b in zip(starts, ends, strict=True)]
    if "?" not in words:
        return words, list(range(len(words)))
    kept: list[str] = []
    places = []
    for word, start in zip(words, starts, strict=True):
        places.append(len(kept))
        first = max(sentence.start, start - offset - 2)
        if word != "?" or not _LOST_CHARACTER.search(text, first, start - offset + 2):
            kept.append(word)
    return kept, places


__all__ = ["NOT_SOUGHT", "POLARITIES", "Mention", "Recogniser", "Span", "sentences", "singular"]
