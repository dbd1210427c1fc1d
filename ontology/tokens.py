"""Texts as one row of words: letters and digits of any script, and the commas, semicolons and query marks.

A combining accent belongs to the letter before it, and a possessive ending to its word, though not to the
characters that a mention gives. Terms and texts are split alike.
"""

from __future__ import annotations

import os
import threading
import unicodedata
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

# What a character is; the last three are flags of what stands between two words.
_BLANK, _LETTER, _MARK, _HYPHEN, _STOP, _OPEN = 0, 1, 2, 4, 8, 16
_HYPHENS, _STOPS, _MARKS = "-‐‑", ".\n", ",;?"
# Besides white space; the last ones have no width.
_BLANKS = frozenset("–/'’\"“”()[]+*%&\u200b\u2060\ufeff")
_QUOTES = (ord("'"), ord("’"))
_AT_ONCE = 1 << 18  # characters that are hashed together
_KNOWN = 0x250  # Latin letters; other characters are looked up when they are met
# Between the texts of a batch; no term runs over it.
_BETWEEN = "\x00\n"

#: What stands between two words: nothing that matters; a bare hyphen; the end of a sentence, perhaps; an end
#: for every term.
JOINED, HYPHEN, STOP, OPEN = range(4)

Places = NDArray[np.int64]


def _kind(character: str) -> int:
    if character.isalnum():
        return _LETTER
    if character in _MARKS:
        return _MARK
    if character in _HYPHENS:
        return _HYPHEN
    if character in _STOPS:
        return _STOP
    if character.isspace() or character in _BLANKS:
        return _BLANK
    selector = "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"
    return _LETTER if unicodedata.category(character) in ("Mn", "Mc") and not selector else _OPEN


_KINDS = np.array([_kind(chr(code)) for code in range(_KNOWN)], dtype=np.uint8)
# The flags of a gap, to what stands there.
_GAPS = np.array(
    [OPEN if flags & _OPEN else STOP if flags & _STOP else HYPHEN if flags & _HYPHEN else JOINED
     for flags in range(32)],
    dtype=np.uint8,
)  # fmt: skip


class Numbers:
    """Numbers of words as written, remembered by a hash of 64 bits.

    The hash is a polynomial in a base that each process draws anew: no text can be made to confuse two words,
    and words that nature made do so once in some 10**17 pairs.

    Args:
        number: Gives a word's number, -1 for a word without one.
    """

    _BITS = 17

    def __init__(self, number: Callable[[str], int]) -> None:
        self._number = number
        self._base = int.from_bytes(os.urandom(8), "little") | 1
        self._powers: NDArray[np.uint64] = np.zeros(0, dtype=np.uint64)
        self._inverses: NDArray[np.uint64] = self._powers
        self._hashes = np.zeros(1 << self._BITS, dtype=np.uint64)
        self._values = np.full(1 << self._BITS, -1, dtype=np.int32)
        self._lock = threading.Lock()  # a hash and its number are two arrays

    def __call__(
        self, text: str, codes: NDArray[np.unsignedinteger], starts: Places, ends: Places
    ) -> NDArray[np.int32]:
        """Give the numbers of a text's words.

        Args:
            text: The text.
            codes: Its characters as code points.
            starts: Where the words begin, [n].
            ends: Where they end, [n].
        """
        edges = np.searchsorted(starts, np.arange(0, len(codes) + _AT_ONCE, _AT_ONCE)).tolist()
        with self._lock:
            parts = [self._numbers(text, codes, starts[a:b], ends[a:b]) for a, b in pairwise(edges) if a < b]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int32)

    def _numbers(
        self, text: str, codes: NDArray[np.unsignedinteger], starts: Places, ends: Places
    ) -> NDArray[np.int32]:
        first, last = int(starts[0]), int(ends[-1])
        if last - first > len(self._powers):
            self._grow(max(last - first, 1 << 14))
        sums = np.zeros(last - first + 1, dtype=np.uint64)
        np.multiply(codes[first:last], self._powers[: last - first], out=sums[1:])
        np.cumsum(sums, out=sums)
        hashes = (sums[ends - first] - sums[starts - first]) * self._inverses[starts - first]
        slots = (hashes >> np.uint64(64 - self._BITS)).astype(np.int64)
        numbers: NDArray[np.int32] = self._values[slots]
        unknown = (self._hashes[slots] != hashes).nonzero()[0]
        if len(unknown):
            places = zip(starts[unknown].tolist(), ends[unknown].tolist(), strict=True)
            numbers[unknown] = [self._number(text[a:b]) for a, b in places]
            # of words with one slot the last stays, in both arrays
            self._values[slots[unknown]] = numbers[unknown]
            self._hashes[slots[unknown]] = hashes[unknown]
        return numbers

    def _grow(self, size: int) -> None:
        # powers from the first, so that a word of one letter is hashed too
        self._powers = np.cumprod(np.full(size, self._base, dtype=np.uint64), dtype=np.uint64)
        inverse = np.full(size, pow(self._base, -1, 1 << 64), dtype=np.uint64)
        inverse[0] = 1
        self._inverses = np.cumprod(inverse, dtype=np.uint64)


def _kinds(text: str) -> tuple[NDArray[np.uint8], NDArray[np.unsignedinteger]]:
    """Give the kind of each character and a blank behind them, and the characters' code points."""
    kinds = np.zeros(len(text) + 1, dtype=np.uint8)
    if text.isascii():
        plain = np.frombuffer(text.encode(), dtype=np.uint8)
        kinds[:-1] = _KINDS[plain]
        return kinds, plain
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    rare = (codes >= _KNOWN).nonzero()[0]
    distinct, places = np.unique(codes[rare], return_inverse=True)
    known = codes.copy()
    known[rare] = 0
    kinds[:-1] = _KINDS[known]
    kinds[rare] = np.array([_kind(chr(code)) for code in distinct.tolist()], dtype=np.uint8)[places]
    return kinds, codes


class Batch:
    """Texts as one row of words.

    Args:
        texts: The texts.
        numbers: Gives the words' numbers; None to do without.

    Attributes:
        texts: The texts.
        joined: The texts, one after the other.
        starts: Where a word begins in the joined texts, [n].
        ends: Where it ends, without a possessive ending, [n].
        gaps: What stands behind it, [n].
        numbers: The words' numbers, [n].
        offsets: Where each text begins in the joined texts.
    """

    def __init__(self, texts: Sequence[str], numbers: Numbers | None) -> None:
        self.texts = texts
        self.joined = texts[0] if len(texts) == 1 else _BETWEEN.join(texts)
        kinds, codes = _kinds(self.joined)
        self.starts, self.ends, self.gaps = _split(self.joined, kinds, codes)
        self.numbers = np.zeros(0, dtype=np.int32)
        if numbers is not None:
            self.numbers = numbers(self.joined, codes, self.starts, self.ends)
        lengths = (len(text) + len(_BETWEEN) for text in texts)
        self.offsets = np.array([*accumulate(lengths, initial=0)][: len(texts)], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.starts)

    def word(self, place: int) -> str:
        """Give a word as written, without a possessive ending.

        Args:
            place: Its place in the row.
        """
        return self.joined[self.starts[place] : self.ends[place]]

    def owners(self, places: Places | list[int]) -> Places:
        """Give the index of the text that each word is in.

        Args:
            places: The words' places in the row.
        """
        return np.searchsorted(self.offsets, self.starts[places], side="right") - 1


def words_of(texts: Sequence[str]) -> list[list[str]]:
    """Split texts into words as `Batch` does.

    Args:
        texts: The texts.
    """
    batch = Batch(texts, None)
    words = [batch.joined[a:b] for a, b in zip(batch.starts.tolist(), batch.ends.tolist(), strict=True)]
    edges = np.searchsorted(batch.starts, [*batch.offsets.tolist(), len(batch.joined)]).tolist()
    return [words[a:b] for a, b in pairwise(edges)]


def _split(
    text: str, kinds: NDArray[np.uint8], codes: NDArray[np.unsignedinteger]
) -> tuple[Places, Places, NDArray[np.uint8]]:
    """Give where words begin, where they end without a possessive ending, and what stands behind each."""
    letters, marks = kinds == _LETTER, (kinds == _MARK).nonzero()[0]
    edges = (letters[1:] != letters[:-1]).nonzero()[0] + 1
    if letters[0]:
        edges = np.concatenate([[0], edges])
    starts, ends = edges[0::2], edges[1::2]
    if len(marks):
        starts, ends = np.sort(np.concatenate([starts, marks])), np.sort(np.concatenate([ends, marks + 1]))
    behind = ends
    if "'" in text or "’" in text:
        endings = _possessives(text, codes, letters, starts, ends)
        behind = ends.copy()
        behind[endings - 1] = ends[endings]
        kept = np.ones(len(starts), dtype=bool)
        kept[endings] = False
        starts, ends, behind = starts[kept], ends[kept], behind[kept]
    following = np.append(starts[1:], len(text))
    length = following - behind
    flags = kinds[behind]
    more = (length > 1).nonzero()[0]
    if len(more):
        runs = np.empty(2 * len(more), dtype=np.int64)
        runs[0::2], runs[1::2] = behind[more], following[more]
        # a hyphen among other characters joins as they do
        flags[more] = np.bitwise_or.reduceat(kinds, runs)[0::2] & ~np.uint8(_HYPHEN)
    flags[length == 0] = 0
    return starts, ends, _GAPS[flags]


def _possessives(
    text: str,
    codes: NDArray[np.unsignedinteger],
    letters: NDArray[np.bool_],
    starts: Places,
    ends: Places,
) -> Places:
    """Give the words that are the "s" of a possessive ending."""
    single = (ends[1:] - starts[1:] == 1) & (starts[1:] - ends[:-1] == 1)
    single &= np.isin(codes[ends[:-1]], _QUOTES)
    found: list[int] = []
    for place in (single.nonzero()[0] + 1).tolist():
        start = int(starts[place])
        if (
            text[start] in "sS"
            and letters[starts[place - 1]]
            and text[start + 1 : start + 2] != "_"
            and found[-1:] != [place - 1]
        ):
            found.append(place)
    return np.array(found, dtype=np.int64)
