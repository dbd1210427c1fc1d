"""Where the terms of a lexicon stand in texts: candidates by the trie, and of those the ones that hold.

Of terms that overlap, the one that begins first is taken, of those that begin together the longest, and the
search goes on behind it. The first two words of all places are looked up at once; what is left of a batch goes
on level by level, what is left of a short text word by word, as each is the faster there.
"""

from __future__ import annotations

from bisect import bisect, bisect_left
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ontology.inflect import composed, fold
from ontology.lexicon import ABBREVIATION, EVERYDAY, EVERYDAY_WORD, INITIAL, MULTIPLIER, Lexicon
from ontology.sentences import Sentence, sentences
from ontology.tokens import HYPHEN, OPEN, STOP, Batch, Numbers, Places

_REMEMBERED = 1 << 18
_FEW = 200  # places up to which walking word by word is faster

# Before a hyphen these make something else of the word that follows, behind it of the word before.
_PREFIXES = frozenset({"non", "anti", "pseudo", "pre"})
_SUFFIXES = frozenset({"like"})


class Match(NamedTuple):
    """A term in a row of words: from word `begin` to before word `end`, and its concepts as node indices."""

    begin: int
    end: int
    nodes: tuple[int, ...]


# The word at which a term may begin, less how many words it has, and the state that they lead to: what begins first
# comes first, and of that the longest.
_Candidate = tuple[int, int, int]


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


# A concept whose capitals count: its node index, how, and the words of the term.
_Cased = tuple[int, int, tuple[str, ...]]
# What a state names: concepts whose capitals do not count, and others.
_Entry = tuple[tuple[int, ...], tuple[_Cased, ...]]


class Sentences:
    """The sentences of a batch's texts, split when they are first asked for.

    Args:
        batch: The batch.
    """

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._found: dict[int, list[Sentence]] = {}
        self._starts: dict[int, list[int]] = {}

    def __getitem__(self, index: int) -> list[Sentence]:
        if index not in self._found:
            self._found[index] = list(sentences(self._batch.texts[index]))
        return self._found[index]

    def ends_behind(self, place: int) -> bool:
        """Whether a sentence ends between a word and the next one of its text.

        Args:
            place: The word's place in the row.
        """
        batch = self._batch
        index = int(batch.owners(np.array([place]))[0])
        one, other = (batch.starts[place : place + 2] - batch.offsets[index]).tolist()
        starts = self._starts.get(index)
        if starts is None:
            starts = self._starts[index] = [sentence.start for sentence in self[index]]
        return bisect(starts, one) != bisect(starts, other)


class Matcher:
    """Find the terms of a lexicon in batches of texts.

    Args:
        lexicon: The terms.
        strict_case: As in `Recogniser`.
        overlapping: As in `Recogniser`.

    Attributes:
        numbers: Gives the numbers of a text's words; for `Batch`.
    """

    def __init__(self, lexicon: Lexicon, strict_case: bool = False, overlapping: bool = False) -> None:
        self.lexicon, self.strict_case, self.overlapping = lexicon, strict_case, overlapping
        self.numbers = Numbers(_Words(lexicon.vocabulary).__getitem__)
        self._entries: dict[int, _Entry] = {}
        self._edges: memoryview[int] = lexicon.edges.data
        self._starts: memoryview[int] = lexicon.entry_starts.data
        self._bitmap: memoryview[int] = lexicon.filter.data

    def __reduce__(self) -> tuple[Any, ...]:
        return Matcher, (self.lexicon, self.strict_case, self.overlapping)

    def __call__(self, batch: Batch, sentences: Sentences) -> list[Match]:
        """Give the terms in a batch, in order.

        Args:
            batch: The batch.
            sentences: Its sentences.
        """
        candidates = self._candidates(batch, sentences)
        entries, gaps = self._entries, batch.gaps.tobytes()
        known: set[int] | None = None
        taken, found = 0, []
        for begin, size, state in candidates:
            if begin < taken and not self.overlapping:
                continue
            end = begin - size
            nodes, cased = entries.get(state) or self._entry(state)
            if cased:
                nodes = self._fitting(nodes, cased, batch, begin)
                if not nodes:
                    continue
            if gaps[end - 1] == HYPHEN or (begin and gaps[begin - 1] == HYPHEN):
                if known is None:
                    known = {candidate[0] for candidate in candidates}
                if _cut(batch, begin, end, taken, known):
                    continue
            found.append(Match(begin, end, nodes))
            if end > taken:
                taken = end
        return found

    def _candidates(self, batch: Batch, sentences: Sentences) -> list[_Candidate]:
        """Give the places where words lead to a state with entries, in order."""
        lexicon, numbers, gaps = self.lexicon, batch.numbers, batch.gaps
        if not len(lexicon.edges) or not len(numbers):
            return []
        states = lexicon.root[numbers]
        going = (states[:-1] > 0) & (gaps[:-1] != OPEN) & (numbers[1:] >= 0)
        places = going.nonzero()[0]
        reached = lexicon.follow(states[places], numbers[places + 1])
        hits = reached.nonzero()[0]
        places, reached = places[hits], reached[hits]
        single = lexicon.single[numbers].nonzero()[0]
        found = list(zip(single.tolist(), [-1] * len(single), states[single].tolist(), strict=True))
        found += (self._walk if len(places) <= _FEW else self._levels)(batch, sentences, places, reached)
        found.sort()
        return found

    def _levels(
        self, batch: Batch, sentences: Sentences, places: Places, states: NDArray[np.int32]
    ) -> list[_Candidate]:
        """Go on from pairs of words, all by one word at a time."""
        lexicon, numbers, gaps, size = self.lexicon, batch.numbers, batch.gaps, 2
        found: list[_Candidate] = []
        while len(places):
            over = (gaps[places + size - 2] != STOP).tolist()
            if not all(over):
                kept = np.array([
                    free or not sentences.ends_behind(place + size - 2)
                    for free, place in zip(over, places.tolist(), strict=True)
                ])  # fmt: skip
                places, states = places[kept], states[kept]
            full = (lexicon.entry_starts[states + 1] > lexicon.entry_starts[states]).nonzero()[0]
            found.extend(zip(places[full].tolist(), [-size] * len(full), states[full].tolist(), strict=True))
            going = places + size < len(numbers)
            places, states = places[going], states[going]
            going = (gaps[places + size - 1] != OPEN) & (numbers[places + size] >= 0)
            places, states = places[going], states[going]
            states = lexicon.follow(states, numbers[places + size])
            going = states > 0
            places, states = places[going], states[going]
            size += 1
        return found

    def _walk(
        self, batch: Batch, sentences: Sentences, places: Places, states: NDArray[np.int32]
    ) -> list[_Candidate]:
        """Go on from pairs of words, one after the other."""
        edges, starts, bitmap = self._edges, self._starts, self._bitmap
        numbers, gaps, shift = batch.numbers, batch.gaps, 64 - (len(bitmap) * 8).bit_length() + 1
        found: list[_Candidate] = []
        for place, state in zip(places.tolist(), states.tolist(), strict=True):
            end = place + 2
            while gaps[end - 2] != STOP or not sentences.ends_behind(end - 2):
                if starts[state + 1] > starts[state]:
                    found.append((place, place - end, state))
                if end == len(numbers) or gaps[end - 1] == OPEN or numbers[end] < 0:
                    break
                edge = state << 32 | int(numbers[end])
                bit = (edge * MULTIPLIER & 0xFFFFFFFFFFFFFFFF) >> shift
                if not bitmap[bit >> 3] >> (bit & 7) & 1:
                    break
                at = bisect_left(edges, edge)
                if at == len(edges) or edges[at] != edge:
                    break
                state, end = at + 1, end + 1
        return found

    def _entry(self, state: int) -> _Entry:
        lexicon = self.lexicon
        free, cased = [], []
        for i in range(self._starts[state], self._starts[state + 1]):
            node, line = int(lexicon.entry_nodes[i]), int(lexicon.entry_cases[i])
            if line:
                text = lexicon.cased_lines[line - 1]
                cased.append((node, int(text[0]), tuple(text[1:].split(" "))))
            else:
                free.append(node)
        if len(self._entries) >= _REMEMBERED:
            self._entries.clear()
        entry = self._entries[state] = (tuple(free), tuple(cased))
        return entry

    def _fitting(
        self, nodes: tuple[int, ...], cased: tuple[_Cased, ...], batch: Batch, begin: int
    ) -> tuple[int, ...]:
        """Give the concepts of a term whose capitals are as the text has them."""
        fitting = {node for node, kind, words in cased if self._same_case(kind, words, batch, begin)}
        return tuple(sorted(fitting.union(nodes)))

    def _same_case(self, kind: int, words: tuple[str, ...], batch: Batch, begin: int) -> bool:
        for place, word in enumerate(words):
            skip = int(kind == INITIAL and place == 0)
            abbreviation = sum(map(str.isupper, word)) > 1 and len(word) <= ABBREVIATION
            everyday = word.lower() in EVERYDAY and word[0].isupper() and not skip
            if abbreviation or everyday:
                skip = 0
            elif not self.strict_case or kind == EVERYDAY_WORD:
                continue
            written = composed(batch.word(begin + place))
            # letter by letter, as the ends of "opacity" and "opacities" differ
            if any(
                a != b and a.lower() == b.lower() for a, b in zip(word[skip:], written[skip:], strict=False)
            ):
                return False
        return True


def _cut(batch: Batch, begin: int, end: int, taken: int, known: set[int]) -> bool:
    """Whether a match would cut a name with hyphens in two."""
    if begin and batch.gaps[begin - 1] == HYPHEN and begin != taken:
        before = batch.word(begin - 1)
        if before.lower() in _PREFIXES or _coded(before):
            return True
    if batch.gaps[end - 1] == HYPHEN and end < len(batch) and end not in known:
        after = batch.word(end)
        return after.lower() in _SUFFIXES or after[0].isdigit() or _coded(after)
    return False


def _coded(word: str) -> bool:
    """Whether a word looks like part of a code or an abbreviation: "CoV", "B12"."""
    return sum(map(str.isupper, word)) > 1 or (
        any(map(str.isdigit, word)) and any(map(str.isalpha, word))
    )  # fmt: skip
