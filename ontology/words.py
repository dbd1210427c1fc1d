"""Which terms hold a word: an inverted index over all terms, derived from an ontology and kept in its folder.

Terms are ranked once and for all by what a query cannot change: those of active concepts first, then synonyms before
FSNs, preferred before acceptable, short before long. A term's number is its rank, so the first of a list of numbers is
the best of them. Words are letters and digits without accents and case; those of a term in order decide its place in
the alphabet.

The index lies in `words/` inside the ontology's folder, is made when a word is first looked up, and is made anew when
its fingerprint is not the ontology's or a file is damaged. Where it cannot be written it is held in memory.
"""

from __future__ import annotations

import json
import re
import unicodedata
import weakref
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from ontology.errors import InputError
from ontology.files import atomic_directory, sha256
from ontology.inflect import fold, without_possessive

if TYPE_CHECKING:
    from ontology.model import Ontology

FOLDER = "words"
MARKER = "words.json"
FORMAT = 1
_ARRAYS = ("vocabulary", "forms", "form_of", "rows", "alphabet", "starts", "postings")
_LONGEST = 4095  # longer terms are ranked as if they had as many characters
# Sorts behind every letter and digit: the end of the words that begin with another.
_LAST = "\U0010ffff"

_WORD = re.compile(r"[^\W_]+(?:['’]s\b)?")
_ASCII_WORD = r"[a-z0-9]+(?:'s\b)?"
# Letters that Unicode does not take apart.
_LIGATURES = str.maketrans({
    "œ": "oe", "æ": "ae", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ħ": "h", "ı": "i",
})  # fmt: skip


def folded(text: str) -> str:
    """Give text without case and accents.

    Args:
        text: Any text.
    """
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(c for c in plain if not unicodedata.combining(c)).translate(_LIGATURES)


def words_of(text: str) -> list[str]:
    """Give the words of a term or a query, folded, without possessive endings.

    Args:
        text: Any text.
    """
    return [without_possessive(word) for word in _WORD.findall(folded(text))]


@dataclass(frozen=True, eq=False)
class Words:
    """The index.

    Attributes:
        vocabulary: The words as UTF-8 with line feeds between, ascending; a word's number is its place.
        forms: The forms that `inflect.fold` brings them to, likewise.
        form_of: The number of each word's form, int32 [V].
        rows: The term of each rank: its row in `Ontology.terms`, then, counted on, in `Ontology.inactive_terms`.
        alphabet: Ranks in the order of their terms' words.
        starts: Where the postings of a word begin, int64 [V + 1].
        postings: The ranks of the terms with a word, ascending.
        active: How many ranks are those of active concepts; they come first.
    """

    vocabulary: NDArray[np.uint8]
    forms: NDArray[np.uint8]
    form_of: NDArray[np.int32]
    rows: NDArray[np.int32]
    alphabet: NDArray[np.int32]
    starts: NDArray[np.int64]
    postings: NDArray[np.int32]
    active: int

    @classmethod
    def build(cls, ontology: Ontology) -> Words:
        """Make the index of an ontology's terms, those of inactive concepts among them.

        Args:
            ontology: The ontology.
        """
        terms, rows, active = _ranked(ontology)
        rank, token, texts = _tokens(terms)
        words = sorted({without_possessive(text) for text in texts})
        number = {word: i for i, word in enumerate(words)}
        token = np.fromiter((number[without_possessive(t)] for t in texts), np.int64, len(texts))[token]
        forms = [fold(word) for word in words]
        distinct = sorted(set(forms))
        place = {form: i for i, form in enumerate(distinct)}
        postings, starts = _postings(rank, token, len(terms), len(words))
        return cls(
            vocabulary=_packed(words),
            forms=_packed(distinct),
            form_of=np.fromiter((place[form] for form in forms), np.int32, len(forms)),
            rows=rows.astype(np.int32),
            alphabet=_alphabet(rank, token, len(terms)),
            starts=starts,
            postings=postings,
            active=active,
        )

    @cached_property
    def words(self) -> list[str]:
        """The words, ascending."""
        return _unpacked(self.vocabulary)

    @cached_property
    def _forms(self) -> list[str]:
        return _unpacked(self.forms)

    def terms_with(self, word: str) -> list[NDArray[np.int32]]:
        """Give the ranks of terms with a word that begins so, or that is the same word in another number.

        Args:
            word: A word as `words_of` gives it.

        Returns:
            Arrays of ranks; a rank may be there more than once.
        """
        first, last = bisect_left(self.words, word), bisect_left(self.words, word + _LAST)
        found = [self.postings[self.starts[first] : self.starts[last]]] if last > first else []
        form = fold(word)
        place = bisect_left(self._forms, form)
        if place < len(self._forms) and self._forms[place] == form:
            for other in np.flatnonzero(self.form_of == place).tolist():
                if not first <= other < last:
                    found.append(self.postings[self.starts[other] : self.starts[other + 1]])
        return found

    def spelled(
        self, ontology: Ontology, words: Sequence[str]
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Give the ranks of terms that consist of these words, and of those that begin with them.

        Args:
            ontology: The ontology that the index is of.
            words: Words as `words_of` gives them; the last may be the beginning of one.
        """
        terms, retired = ontology.terms["term"], ontology.inactive_terms["term"]

        def key(rank: int) -> list[str]:
            row = int(self.rows[rank])
            return words_of(str(terms[row] if row < len(terms) else retired[row - len(terms)]))

        wanted = list(words)
        first = bisect_left(self.alphabet, wanted, key=key)  # type: ignore[arg-type]
        same = bisect_right(self.alphabet, wanted, lo=first, key=key)  # type: ignore[arg-type]
        last = bisect_left(self.alphabet, [*wanted[:-1], wanted[-1] + _LAST], lo=same, key=key)  # type: ignore[arg-type]
        return self.alphabet[first:same], self.alphabet[first:last]

    def save(self, directory: Path, fingerprint: str) -> None:
        """Write the index whole or not at all.

        Args:
            directory: The folder.
            fingerprint: That of the ontology.

        Raises:
            InputError: If something else stands there.
            OSError: If it cannot be written.
        """
        names = {f"{name}.npy" for name in _ARRAYS}
        unmarked = directory.is_dir() and {file.name for file in directory.iterdir()} <= names
        with atomic_directory(directory, marker=None if unmarked else MARKER) as folder:
            for name in _ARRAYS:
                np.save(folder / f"{name}.npy", getattr(self, name), allow_pickle=False)
            document = {
                "format": FORMAT, "fingerprint": fingerprint,
                "sha256": {name: sha256(folder / f"{name}.npy") for name in _ARRAYS},
            }  # fmt: skip
            (folder / MARKER).write_text(json.dumps(document, indent=1), encoding="utf-8")

    @classmethod
    def open(cls, directory: Path, ontology: Ontology) -> Words | None:
        """Open a saved index; its arrays are mapped into memory.

        Args:
            directory: The folder.
            ontology: What it should be of.

        Returns:
            The index; None where there is none, where it is of another ontology, or where it is damaged.
        """
        try:
            document = json.loads((directory / MARKER).read_text(encoding="utf-8"))
            if (document["format"], document["fingerprint"]) != (FORMAT, ontology.fingerprint):
                return None
            if any(sha256(directory / f"{name}.npy") != document["sha256"][name] for name in _ARRAYS):
                return None
            arrays = {name: np.asarray(np.load(directory / f"{name}.npy", mmap_mode="r")) for name in _ARRAYS}
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return cls(**arrays, active=int((arrays["rows"] < ontology.terms.height).sum()))


_KEPT: weakref.WeakKeyDictionary[Any, Words] = weakref.WeakKeyDictionary()


def words(ontology: Ontology) -> Words:
    """Give the index of an ontology: the one in its folder, or a new one, which is put there if that can be done.

    Args:
        ontology: The ontology.
    """
    found = _KEPT.get(ontology)
    if found is None:
        folder = ontology.folder / FOLDER if ontology.folder else None
        found = Words.open(folder, ontology) if folder else None
        if found is None:
            found = Words.build(ontology)
            if folder:
                # a folder that cannot be written to costs time at the next start, and nothing else
                with suppress(InputError, OSError):
                    found.save(folder, ontology.fingerprint)
        _KEPT[ontology] = found
    return found


def _ranked(ontology: Ontology) -> tuple[pl.Series, NDArray[np.int64], int]:
    """Give the terms that are looked for in the order of ranks, their rows, and how many are of active concepts."""
    tables = (ontology.terms, ontology.inactive_terms)
    named = pl.col("kind").is_in(["fsn", "synonym"])
    columns = [
        frame.select(
            named.alias("named"), (pl.col("kind") == "fsn").alias("fsn"), "preferred",
            length=pl.col("term").str.len_chars().clip(upper_bound=_LONGEST),
        )
        for frame in tables
    ]  # fmt: skip
    every = pl.concat(columns)
    rows = np.arange(every.height)  # ordered by concept, so that they decide where all else is the same
    retired = rows >= ontology.terms.height
    key = (retired.astype(np.int64) * 2 + every["fsn"].to_numpy()) * 2 + ~every["preferred"].to_numpy()
    key = (key * (_LONGEST + 1) + every["length"].to_numpy()) * max(1, len(rows)) + rows
    order = np.sort(key[every["named"].to_numpy()]) % max(1, len(rows))
    terms = pl.concat([frame["term"] for frame in tables]).gather(order)
    return terms, order, int((order < ontology.terms.height).sum())


def _tokens(terms: pl.Series) -> tuple[NDArray[np.int64], NDArray[np.int64], list[str]]:
    """Split terms into words.

    Returns:
        The term and the number of each word, term by term in order; and the words, each once.
    """
    other = (terms.str.len_bytes() != terms.str.len_chars()).arg_true()
    words = terms.str.to_lowercase().str.extract_all(_ASCII_WORD)
    # of other scripts one engine has to decide what a letter is, for terms and queries alike
    found = [_WORD.findall(folded(text)) for text in terms.gather(other)]
    if found:
        place = np.arange(len(terms))
        place[other.to_numpy()] = len(terms) + np.arange(len(found))
        words = pl.concat([words, pl.Series(found, dtype=pl.List(pl.String))]).gather(place)
    sizes = words.list.len().to_numpy()
    coded = words.filter(words.list.len() > 0).explode().cast(pl.Categorical)
    distinct = coded.unique()
    numbers = distinct.to_physical().to_numpy()
    place = np.zeros(int(numbers.max()) + 1 if len(numbers) else 0, dtype=np.int64)
    place[numbers] = np.arange(len(numbers))
    rank = np.repeat(np.arange(len(terms)), sizes)
    return rank, place[coded.to_physical().to_numpy()], distinct.cast(pl.String).to_list()


def _postings(
    rank: NDArray[np.int64], token: NDArray[np.int64], terms: int, words: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Give the terms of each word, ascending and each once, one word after the other, and where each word's begin."""
    row_ends = np.cumsum(np.bincount(rank, minlength=terms))
    by_term = sparse.csr_array(
        (np.ones(len(token), dtype=bool), token, np.concatenate(([0], row_ends))), shape=(terms, words)
    )
    by_word = by_term.tocsc()  # a counting sort, in which terms stay in order
    again = np.zeros(len(token), dtype=bool)
    again[1:] = by_word.indices[1:] == by_word.indices[:-1]
    again[by_word.indptr[:-1][by_word.indptr[:-1] < len(token)]] = False
    kept = np.concatenate(([0], np.cumsum(~again)))
    return by_word.indices[~again].astype(np.int32), kept[by_word.indptr].astype(np.int64)


def _alphabet(rank: NDArray[np.int64], token: NDArray[np.int64], size: int) -> NDArray[np.int32]:
    """Order terms by their words, one word after the other; terms without words come first."""
    sizes = np.bincount(rank, minlength=size)
    starts = np.cumsum(sizes) - sizes
    order = np.arange(size)
    group = np.zeros(size, dtype=np.int64)  # terms whose words so far are the same have the same group
    depth, open_ = 0, np.arange(size)  # places in the order that are not yet decided
    width = int(token.max(initial=0)) + 2
    while len(open_):
        terms = order[open_]
        more = sizes[terms] > depth
        following = np.zeros(len(terms), dtype=np.int64)
        following[more] = token[starts[terms[more]] + depth] + 1
        key = group[open_] * width + following
        by = np.argsort(key, kind="stable")
        order[open_], key = terms[by], key[by]
        new = np.concatenate(([True], key[1:] != key[:-1]))
        group[open_] = np.cumsum(new) - 1
        alone = new & np.concatenate((new[1:], [True]))
        ended = key % width == 0
        open_ = open_[~(alone | ended)]
        depth += 1
    return order.astype(np.int32)


def _packed(texts: Sequence[str]) -> NDArray[np.uint8]:
    return np.frombuffer("\n".join(texts).encode(), np.uint8)


def _unpacked(packed: NDArray[np.uint8]) -> list[str]:
    return packed.tobytes().decode().split("\n") if len(packed) else []
