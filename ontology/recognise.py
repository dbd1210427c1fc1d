"""Notes to concepts: the longest term at each place, and what the sentence says of it.

Words are compared as `inflect.fold` brings them (lower case, singular); hyphens and possessive endings do not
count. Where case matters (a term marked CS or cI with two capitals in a word, or an abbreviation that spells
an everyday word, as "CAP" does), the text must be written as the term is. Words must stand in the term's
order: "pneumonia of bacterial origin" is not searched for "bacterial pneumonia".

Of terms that overlap, the one that begins first is taken, of those that begin together the longest, and the
search goes on behind it. A term does not cross the end of a sentence. Nor is a chain of words with hyphens cut
where what is left over belongs to the name: SARS-CoV-2 is not SARS, non-pneumonia not pneumonia, while
COVID-19-related and asthma-COPD are read as far as they are known.
"""

from __future__ import annotations

import re
from bisect import bisect, bisect_left
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ontology.context import polarities
from ontology.errors import InputError
from ontology.inflect import fold, singular, without_possessive
from ontology.lexicon import EVERYDAY, EVERYDAY_WORD, INITIAL, NOT_SOUGHT, Lexicon, source_of
from ontology.model import Ontology
from ontology.sentences import Sentence, sentences
from ontology.triggers import ABSENT, FAMILY, HISTORICAL, PRESENT, UNCERTAIN

POLARITIES = (PRESENT, ABSENT, UNCERTAIN, FAMILY, HISTORICAL)

TOKEN = re.compile(r"([^\W_]+(?:['’][sS]\b)?|[,;?])")
# "38?C", "39.1 ?": a character that the note has lost, no query
_LOST_CHARACTER = re.compile(r"[^\W_]\?[^\W_]|\d ?\?")
_GAP = re.compile(r"[\s\-‐‑–/'’\"“”()\[\]+.*%&]*")
_HYPHENS = frozenset("-‐‑")
# Between the texts of a batch; no term runs over it.
_BETWEEN = "\x00\n"
_BATCH = 1 << 20  # characters
_REMEMBERED = 1 << 18

# Before a hyphen these make something else of the word that follows, behind it of the word before.
_PREFIXES = frozenset({"non", "anti", "pseudo", "pre"})
_SUFFIXES = frozenset({"like"})
# What stands between two words: an end for every term; nothing; a bare hyphen; the end of a sentence, perhaps.
_OPEN, _JOINED, _HYPHEN, _STOP = range(4)


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


class _Words(dict[str, int]):
    """Numbers of words as written; -1 for those of no term."""

    def __init__(self, vocabulary: dict[str, int]) -> None:
        super().__init__()
        self.vocabulary = vocabulary

    def __missing__(self, word: str) -> int:
        if len(self) >= _REMEMBERED:
            self.clear()
        number = self[word] = self.vocabulary.get(fold(word), -1)
        return number


class _Gaps(dict[str, int]):
    """What stands between two words: whether a term may run over it."""

    def __missing__(self, gap: str) -> int:
        if gap in _HYPHENS:
            kind = _HYPHEN
        elif not _GAP.fullmatch(gap):
            kind = _OPEN
        else:
            kind = _STOP if "." in gap or "\n" in gap else _JOINED
        if len(gap) < 32 and len(self) < _REMEMBERED:
            self[gap] = kind
        return kind


class _Batch:
    """Texts as one row of words.

    Args:
        texts: The texts.
        numbers: Gives a word's number.
        gaps: Gives the kind of what stands between two words.

    Attributes:
        words: The words as written, commas, semicolons and query marks among them; [n].
        starts: Where a word begins in the joined texts, int64 [n].
        numbers: The words' numbers, int64 [n]; -1 for one of no term.
        gaps: What stands behind a word, [n].
        offsets: Where each text begins in the joined texts.
    """

    def __init__(self, texts: Sequence[str], numbers: _Words, gaps: _Gaps) -> None:
        self.texts = texts
        parts = TOKEN.split(_BETWEEN.join(texts))
        self.words = parts[1::2]
        count = len(self.words)
        self.starts = np.cumsum(np.fromiter(map(len, parts), np.int64, len(parts)))[0:-1:2]
        self.numbers = np.fromiter(map(numbers.__getitem__, self.words), np.int64, count)
        self.gaps = np.fromiter(map(gaps.__getitem__, parts[2::2]), np.int8, count)
        lengths = [len(text) + len(_BETWEEN) for text in texts]
        self.offsets = np.cumsum([0, *lengths[:-1]])
        self._sentences: dict[int, list[Sentence]] = {}

    def owners(self, places: Sequence[int]) -> NDArray[np.int64]:
        """Give the index of the text that each word is in."""
        return np.searchsorted(self.offsets, self.starts[list(places)], side="right") - 1

    def end(self, place: int) -> int:
        """Give where a word ends in the joined texts, without a possessive ending."""
        return int(self.starts[place]) + len(without_possessive(self.words[place]))

    def sentences(self, index: int) -> list[Sentence]:
        """Give a text's sentences, in its own characters."""
        if index not in self._sentences:
            self._sentences[index] = list(sentences(self.texts[index]))
        return self._sentences[index]

    def stops(self, place: int) -> bool:
        """Whether a sentence ends between a word and the next one of the text."""
        index = int(self.owners([place])[0])
        one, other = (self.starts[place : place + 2] - self.offsets[index]).tolist()
        starts = [sentence.start for sentence in self.sentences(index)]
        return bisect(starts, one) != bisect(starts, other)


class Recogniser:
    """Find an ontology's concepts in clinical text.

    Args:
        ontology: Whose terms to look for: synonyms, and FSNs without their tag.
        not_sought: Semantic tags of concepts to leave out; has no effect on a lexicon that is built already.
        lexicon: The dictionary of the ontology, or the folder that it was saved in. Without one, that of
            the ontology is used where it has one (`ontology.lexicon`), else it is built.
        strict_case: Ask for every capital of a CS term, and of a cI term but the first letter; a text must
            then say "Crohn's". Otherwise only words with two capitals or more must be as in the term.
        overlapping: Give every term in `spans`, also those inside or across others.

    Attributes:
        terms: How many terms are looked for.
        skipped: How many terms are not, by reason.

    Raises:
        InputError: If the lexicon is not that of the ontology.
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
        self.ontology = ontology
        self.strict_case, self.overlapping = strict_case, overlapping
        found = lexicon if lexicon is not None else getattr(ontology, "lexicon", None)
        if isinstance(found, str | Path):
            found = Lexicon.open(found)
        if found is None:
            found = Lexicon.build(ontology, not_sought=not_sought)
        elif found.source != source_of(ontology):
            raise InputError("the lexicon is that of another ontology", remedy="Build it again from this one")
        self.lexicon: Lexicon = found
        self.terms, self.skipped = found.terms, dict(found.skipped)
        self._words, self._gaps = _Words(found.vocabulary), _Gaps()
        self._known: dict[int, list[tuple[int, str]]] = {}

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
        mentions: list[list[Mention]] = [[] for _ in texts]
        sctids = self.ontology.sctids
        for first, chunk in _chunks(texts):
            batch = _Batch(chunk, self._words, self._gaps)
            for index, sentence, low, high, inside in _by_sentence(batch, self._matches(batch)):
                text, offset, into = chunk[index], int(batch.offsets[index]), mentions[first + index]
                words, places = _context_words(batch, text, offset, sentence, low, high)
                spans = [(places[a - low], places[b - 1 - low] + 1) for a, b, _ in inside]
                said_of = polarities(words, spans, sentence.section)
                for (a, b, nodes), polarity in zip(inside, said_of, strict=True):
                    start, end = int(batch.starts[a]) - offset, batch.end(b - 1) - offset
                    said = text[start:end]
                    into.extend(Mention(start, end, said, int(sctids[node]), polarity) for node in nodes)
        return mentions

    def spans(self, texts: Sequence[str]) -> list[list[Span]]:
        """Find terms without asking what is said of them.

        Args:
            texts: Clinical notes.

        Returns:
            For each text the terms in it, in its order.
        """
        spans: list[list[Span]] = [[] for _ in texts]
        for first, chunk in _chunks(texts):
            batch = _Batch(chunk, self._words, self._gaps)
            found = self._matches(batch)
            places = [a for a, _, _ in found]
            owners = batch.owners(places)
            offsets = batch.offsets[owners]
            begins = batch.starts[places] - offsets
            columns = zip(found, owners.tolist(), begins.tolist(), offsets.tolist(), strict=True)
            for (_, b, nodes), owner, begin, offset in columns:
                spans[first + owner].append(Span(begin, batch.end(b - 1) - offset, nodes))
        return spans

    def _matches(self, batch: _Batch) -> list[tuple[int, int, tuple[int, ...]]]:
        """Give terms as ranges of words with their concepts, in order."""
        lexicon, count = self.lexicon, len(batch.words)
        places = np.flatnonzero(lexicon.root[batch.numbers]) if len(lexicon.edges) else np.zeros(0, np.int64)
        states = lexicon.root[batch.numbers[places]].astype(np.int64)
        size, found = 1, []
        while len(places):
            full = np.flatnonzero(lexicon.entry_starts[states + 1] > lexicon.entry_starts[states])
            found.append((places[full], np.full(len(full), size), states[full]))
            going = places + size < count
            going[going] &= (batch.gaps[places[going] + size - 1] != _OPEN) & (
                batch.numbers[places[going] + size] >= 0
            )
            places, states = places[going], states[going]
            states = lexicon.follow(states, batch.numbers[places + size])
            for i in np.flatnonzero((states > 0) & (batch.gaps[places + size - 1] == _STOP)).tolist():
                if batch.stops(int(places[i]) + size - 1):
                    states[i] = 0
            places, states = places[states > 0], states[states > 0]
            size += 1
        if not found:
            return []
        begins, sizes, ends = (np.concatenate(columns) for columns in zip(*found, strict=True))
        order = np.lexsort((-sizes, begins))
        chained = (batch.gaps[begins + sizes - 1] == _HYPHEN) | (batch.gaps[begins - 1] == _HYPHEN)
        candidates = zip(
            begins[order].tolist(), sizes[order].tolist(), ends[order].tolist(), chained[order].tolist(),
            strict=True,
        )  # fmt: skip
        known: set[int] = set(begins.tolist()) if chained.any() else set()
        taken, result = 0, []
        for begin, size, state, hyphen in candidates:
            if begin < taken and not self.overlapping:
                continue
            nodes = self._fitting(state, batch.words, begin)
            if nodes and not (hyphen and self._cut(batch, begin, begin + size, taken, known)):
                result.append((begin, begin + size, nodes))
                taken = max(taken, begin + size)
        return result

    def _fitting(self, state: int, words: list[str], begin: int) -> tuple[int, ...]:
        """Give the concepts of a term whose capitals are as the text has them."""
        entries = self._known.get(state)
        if entries is None:
            lexicon = self.lexicon
            one, end = int(lexicon.entry_starts[state]), int(lexicon.entry_starts[state + 1])
            entries = [
                (int(lexicon.entry_nodes[i]), lexicon.cased_lines[case - 1] if case else "")
                for i in range(one, end)
                for case in (int(lexicon.entry_cases[i]),)
            ]
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[state] = entries
        if len(entries) == 1 and not entries[0][1]:
            return (entries[0][0],)
        fitting = {node for node, line in entries if not line or self._same_case(line, words, begin)}
        return tuple(sorted(fitting))

    def _same_case(self, line: str, words: list[str], begin: int) -> bool:
        kind = int(line[0])
        for place, word in enumerate(line[1:].split(" ")):
            written = words[begin + place]
            if self.strict_case and kind != EVERYDAY_WORD:
                skip = int(kind == INITIAL and place == 0)
            elif sum(map(str.isupper, word)) > 1 or (
                without_possessive(word).lower() in EVERYDAY and word[0].isupper()
            ):
                skip = 0
            else:
                continue
            # letter by letter, as the ends of "opacity" and "opacities" differ
            if any(
                a != b and a.lower() == b.lower() for a, b in zip(word[skip:], written[skip:], strict=False)
            ):
                return False
        return True

    def _cut(self, batch: _Batch, begin: int, end: int, taken: int, known: set[int]) -> bool:
        """Whether a match would cut a name with hyphens in two."""
        gaps, words = batch.gaps, batch.words
        if begin and gaps[begin - 1] == _HYPHEN and begin != taken:
            before = words[begin - 1]
            if before.lower() in _PREFIXES or _coded(before):
                return True
        if gaps[end - 1] == _HYPHEN and end < len(words) and end not in known:
            after = words[end]
            return after.lower() in _SUFFIXES or after[0].isdigit() or _coded(after)
        return False


def _coded(word: str) -> bool:
    """Whether a word looks like part of a code or an abbreviation: "CoV", "B12"."""
    return sum(map(str.isupper, word)) > 1 or (
        any(map(str.isdigit, word)) and any(map(str.isalpha, word))
    )  # fmt: skip


def _chunks(texts: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    """Cut a list of texts so that each piece fits into memory easily."""
    first, size = 0, 0
    for place, text in enumerate(texts):
        if size and size + len(text) > _BATCH:
            yield first, texts[first:place]
            first, size = place, 0
        size += len(text)
    if first < len(texts):
        yield first, texts[first:]


def _by_sentence(
    batch: _Batch, found: list[tuple[int, int, tuple[int, ...]]]
) -> Iterator[tuple[int, Sentence, int, int, list[tuple[int, int, tuple[int, ...]]]]]:
    """Give for each sentence that has terms its text's index, itself, its range of words, and the terms."""
    owners = batch.owners([a for a, _, _ in found]).tolist()
    begins, place = batch.starts.tolist(), 0
    while place < len(found):
        index = owners[place]
        offset = int(batch.offsets[index])
        for sentence in batch.sentences(index):
            if place == len(found) or owners[place] != index:
                break
            if begins[found[place][0]] >= sentence.end + offset:
                continue
            low, high = (
                bisect_left(begins, sentence.start + offset),
                bisect_left(begins, sentence.end + offset),
            )
            first = place
            while place < len(found) and found[place][0] < high:
                place += 1
            yield index, sentence, low, high, found[first:place]


def _context_words(
    batch: _Batch, text: str, offset: int, sentence: Sentence, low: int, high: int
) -> tuple[list[str], list[int]]:
    """Give a sentence's words as triggers are written, and where in them each word of the batch is."""
    words = [without_possessive(word).lower() for word in batch.words[low:high]]
    if "?" not in words:
        return words, list(range(len(words)))
    kept: list[str] = []
    places = []
    for place, word in enumerate(words):
        places.append(len(kept))
        start = int(batch.starts[low + place]) - offset
        lost = word == "?" and _LOST_CHARACTER.search(
            text, max(sentence.start - offset, start - 2), start + 2
        )
        if not lost:
            kept.append(word)
    return kept, places


__all__ = ["NOT_SOUGHT", "POLARITIES", "Mention", "Recogniser", "Span", "sentences", "singular"]
