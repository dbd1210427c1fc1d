"""The terms of an ontology as a `Lexicon`: which are sought, their words, the trie, and how capitals count."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ontology.inflect import IRREGULAR, composed, fold
from ontology.lexicon import EVERYDAY, EVERYDAY_WORD, FREE, NOT_SOUGHT, Lexicon, hashes, source_of
from ontology.model import Ontology
from ontology.tokens import words_of

TOO_SHORT = "too short to be told from other text"
REPEATED = "the same words name the concept already"

# As `tokens` splits; texts beyond ASCII go through that itself.
_ASCII_WORD = r"[A-Za-z0-9]+(?:'[sS]\b)?|,"
_POSSESSIVE = re.compile(r"'[sS]$")
_NO_WORDS = frozenset(";?")
# Words that take every way through `fold`, so that a lexicon which was folded by other rules is known.
_PROBE = """
    Crohn's WBCs foci pneumoniae vertebrae metastases viruses streptococci carcinomata bronchitides pneumothoraces
    opacities abscesses reflexes nodules pertussis gas Ünal \ufb01brosis
"""


def build(ontology: Ontology, not_sought: Iterable[str]) -> Lexicon:
    """Make the dictionary of an ontology's terms.

    Args:
        ontology: The ontology.
        not_sought: Semantic tags of concepts to leave out.
    """
    not_sought = frozenset(not_sought)
    rows, skipped = sought_terms(ontology, not_sought)
    total = rows.height
    rows, flat, starts, sizes, vocabulary = _tokens(rows)
    folded, texts = [fold(word) for word in vocabulary], [_POSSESSIVE.sub("", word) for word in vocabulary]
    words = sorted(set(folded))
    number = {word: i for i, word in enumerate(words)}
    keys = np.fromiter((number[word] for word in folded), np.int64, len(folded))
    letters = np.fromiter((any(c.isalpha() for c in word) for word in vocabulary), bool, len(vocabulary))
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    everyday = np.fromiter(
        (w.isupper() and w.lower() in EVERYDAY for w in texts), bool, len(texts)
    )  # fmt: skip
    kept = _sums(letters[flat], starts, sizes) > 0
    kept &= _sums(lengths[flat], starts, sizes) > 1
    if short := int(total - kept.sum()):
        skipped[TOO_SHORT] = short
    case = rows["case_significance"].to_physical().to_numpy().astype(np.int64)  # ci, cI, CS
    case[case > 0] += 1
    case[(case == FREE) & (sizes == 1) & everyday[flat[starts]]] = EVERYDAY_WORD
    places = np.flatnonzero(kept)
    states, edges = _trie(keys[flat], starts[places], sizes[places])
    entries, cased = _entries(rows, places, states, case[places])
    if repeated := len(places) - entries.height:
        skipped[REPEATED] = repeated
    counts = np.bincount(entries["state"].to_numpy(), minlength=len(edges) + 1)
    return Lexicon(
        words=np.frombuffer("\n".join(words).encode(), np.uint8),
        edges=edges,
        filter=_bitmap(edges),
        entry_starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
        entry_nodes=entries["concept"].to_numpy(),
        entry_cases=entries["cased"].to_numpy(),
        cased=np.frombuffer(cased.encode(), np.uint8),
        terms=entries.height,
        skipped=dict(sorted(skipped.items())),
        fingerprint=ontology.fingerprint,
        source=source_of(ontology),
        rules=rules(not_sought),
    )


def rules(not_sought: Iterable[str] = NOT_SOUGHT) -> str:
    """Give a digest of all that decides which terms are sought and how their words are written in the trie.

    Args:
        not_sought: Semantic tags of concepts to leave out.
    """
    ruling = (
        sorted(not_sought), sorted(EVERYDAY), sorted(IRREGULAR.items()), _ASCII_WORD, unicodedata.unidata_version,
        [fold(word) for word in _PROBE.split()], words_of([_PROBE]),
    )  # fmt: skip
    return hashlib.sha256(repr(ruling).encode()).hexdigest()


def sought_terms(
    ontology: Ontology, not_sought: Iterable[str] = NOT_SOUGHT
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Give concept, case significance and term (without tag) of the terms to look for.

    Args:
        ontology: The ontology.
        not_sought: Semantic tags of concepts to leave out.

    Returns:
        The terms, and how many are left out by reason.
    """
    terms, unwanted = ontology.terms, frozenset(not_sought)
    rows = terms.filter(pl.col("kind").is_in(["fsn", "synonym"]))
    fsn = pl.col("kind") == "fsn"
    tags = (
        rows.filter(fsn)
        .select("concept", tag=pl.col("term").str.extract(r"\(([^()]*)\)$"))
        .unique("concept", keep="first", maintain_order=True)
        .filter(pl.col("tag").is_in(list(unwanted)))
    )
    left_out = rows.select("concept").join(tags, on="concept").group_by("tag").len().sort("tag")
    kept = rows.join(tags, on="concept", how="anti", maintain_order="left") if left_out.height else rows
    text = pl.when(fsn).then(pl.col("term").str.replace(r"(?s)^(.+) \([^()]*\)$", "$1")).otherwise("term")
    counts = {f"a concept with the tag '{tag}'": int(n) for tag, n in left_out.iter_rows()}
    return kept.select("concept", "case_significance", term=text), counts


def _tokens(
    rows: pl.DataFrame,
) -> tuple[pl.DataFrame, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], list[str]]:
    """Split terms into words.

    Returns:
        The rows that have words, reordered; the numbers of all words one after the other; where each row's begin
        and how many they are; the words.
    """
    ascii_only = rows["term"].str.len_bytes() == rows["term"].str.len_chars()
    plain, other = rows.filter(ascii_only), rows.filter(~ascii_only)
    found = pl.Series(_words(other), dtype=pl.List(pl.String))
    split = pl.concat([
        plain.with_columns(words=pl.col("term").str.extract_all(_ASCII_WORD)),
        other.with_columns(words=found),
    ]).filter(pl.col("words").list.len() > 0)  # fmt: skip
    sizes = split["words"].list.len().to_numpy().astype(np.int64)
    coded = split["words"].explode().cast(pl.Categorical)
    distinct = coded.unique()
    numbers, vocabulary = distinct.to_physical().to_numpy(), distinct.cast(pl.String).to_list()
    place = np.zeros(int(numbers.max(initial=0)) + 1, dtype=np.int64)
    place[numbers] = np.arange(len(numbers))
    return (
        split.drop("words"),
        place[coded.to_physical().to_numpy()],
        np.cumsum(sizes) - sizes,
        sizes,
        vocabulary,
    )


def _words(rows: pl.DataFrame) -> list[list[str]]:
    """Give the words of terms; a term runs over no semicolon in a text, so it may have some of its own."""
    return [[word for word in words if word not in _NO_WORDS] for words in words_of(rows["term"].to_list())]


def _sums(values: NDArray[Any], starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    totals = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
    return np.asarray(totals[starts + sizes] - totals[starts])


def _trie(
    words: NDArray[np.int64], starts: NDArray[np.int64], sizes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Number the states level by level; within one, by the state above and the word.

    Returns:
        The state in which each term ends, and the edges.
    """
    ends = np.zeros(len(starts), dtype=np.int64)
    rows, states, levels, count, depth = np.arange(len(starts)), np.zeros(len(starts), np.int64), [], 0, 0
    while len(rows):
        edges = states << 32 | words[starts[rows] + depth]
        order = np.argsort(
            edges, kind="stable"
        )  # fast below the first levels, where they are nearly in order
        rows, edges = rows[order], edges[order]
        new = np.concatenate([[True], edges[1:] != edges[:-1]])
        states = np.cumsum(new) + count
        levels.append(edges[new].astype(np.uint64))
        count, depth = count + len(levels[-1]), depth + 1
        ends[rows] = states
        longer = sizes[rows] > depth
        rows, states = rows[longer], states[longer]
    return ends, np.concatenate(levels) if levels else np.zeros(0, dtype=np.uint64)


def _entries(
    rows: pl.DataFrame, places: NDArray[np.int64], states: NDArray[np.int64], case: NDArray[np.int64]
) -> tuple[pl.DataFrame, str]:
    """Give the entries in the order of their states, and the lines that say how their capitals count."""
    chosen = rows[places]
    table = pl.DataFrame(
        {"state": states, "concept": chosen["concept"], "case": case, "term": chosen["term"]}
    )
    one = ["state", "concept"]
    free = table.filter(pl.col("case") == FREE).select(one).unique()
    strict = table.filter(pl.col("case") != FREE).join(free, on=one, how="anti")
    words = pl.Series([" ".join(map(composed, found)) for found in _words(strict)], dtype=pl.String)
    lines = strict.select(*one, line=pl.col("case").cast(pl.String) + words).unique().sort(*one, "line")
    lines = lines.with_columns(cased=pl.int_range(1, pl.len() + 1, dtype=pl.Int32))
    entries = pl.concat([
        free.with_columns(cased=pl.lit(0, dtype=pl.Int32)), lines.select(*one, "cased")
    ]).sort(*one, "cased")  # fmt: skip
    return entries, "\n".join(lines["line"])


def _bitmap(edges: NDArray[np.uint64]) -> NDArray[np.uint8]:
    size = 1 << max(10, int(8 * len(edges)).bit_length())
    bits = np.zeros(size, dtype=bool)
    bits[hashes(edges[np.searchsorted(edges, np.uint64(1 << 32)) :], size)] = True
    return np.packbits(bits, bitorder="little")
