"""The recogniser's dictionary: every term as a path of words through one trie, in arrays to map into memory.

An edge of the trie is one integer, state << 32 | word, and the edges stand in ascending order: edge i leads to
state i + 1, the root is state 0. An edge is looked up by binary search, after a bitmap of hashes has turned
away most of the words that continue no term; as the search compares whole edges, a hit is never the accident
of a hash. Words are those of `inflect.fold`; what a term's capitals ask of a text is kept beside its entry.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ontology.errors import InputError
from ontology.files import atomic_directory
from ontology.inflect import fold, without_possessive
from ontology.model import Ontology

MARKER = "lexicon.json"
FORMAT = 1
_REBUILD = "Build it again with: mhdiff ontology build SOURCE --out DIR"
_ARRAYS: dict[str, Any] = {
    "words": np.uint8,
    "edges": np.uint64,
    "filter": np.uint8,
    "entry_starts": np.int32,
    "entry_nodes": np.int32,
    "entry_cases": np.int32,
    "cased": np.uint8,
}
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio: spreads consecutive integers

# How a term's capitals count: not; only because the term spells an everyday word; cI; CS.
FREE, EVERYDAY_WORD, INITIAL, SENSITIVE = range(4)

# Semantic tags whose concepts describe the model or grade other concepts; a note's words are not about them.
NOT_SOUGHT = frozenset({
    "attribute", "core metadata concept", "foundation metadata concept", "link assertion", "linkage concept",
    "metadata", "namespace concept", "OWL metadata concept", "qualifier value", "SNOMED RT+CTV3",
})  # fmt: skip

# Abbreviations in these spellings are everyday words in lower case.
_EVERYDAY = """
    add age aid aids aim air all am an and are arm art as at ate bad ban bar bat be bed bid big but by can
    cap care cars cat chip cold cope copes crest dad day did do due ear end eye fan far fast fat fed fee few
    fish fit flair for gap gas get go got had ham has hat he help her hip his hot how ice if ill in is it jet
    lab lad lap last led leg let lip low mad man map mass may me men met mild mom ms my no nor not now of off
    old on one or our out own pad pain pan past pat pen pet pin raft rap rash red rest rice sad said sam save
    see set she side sit six smile so some spin star stat step still stop sun tab tan tap tar team ten that the
    tic tie tin tip to toe too top trap two up us use vast wait was wet who why will with yes you
"""
EVERYDAY = frozenset(_EVERYDAY.split())

# Letters and digits of any script with a possessive ending, or a comma; `recognise.TOKEN` splits texts alike.
_WORD = re.compile(r"[^\W_]+(?:['’][sS]\b)?|,")
_ASCII_WORD = r"[A-Za-z0-9]+(?:'[sS]\b)?|,"

TOO_SHORT = "too short to be told from other text"
REPEATED = "the same words name the concept already"


@dataclass(frozen=True, eq=False)
class Lexicon:
    """The terms of an ontology, ready to be found.

    Attributes:
        words: The vocabulary as UTF-8, folded words with line feeds between; a word's number is its place.
        edges: state << 32 | word, ascending, uint64 [E]; edge i leads to state i + 1.
        filter: A bitmap over hashes of the edges below the first level; its length in bits is a power of two.
        entry_starts: Where the entries of a state begin, int32 [E + 2].
        entry_nodes: The concept of an entry, as node index.
        entry_cases: 0 where an entry's capitals do not matter, else 1 + line of `cased`.
        cased: Lines of UTF-8: how capitals count (a digit), and the term's words as written.
        terms: How many terms are looked for.
        skipped: How many terms are not, by reason.
        source: What the ontology was like: concepts, terms and the sum of all SCTIDs modulo 2**63.
    """

    words: NDArray[np.uint8]
    edges: NDArray[np.uint64]
    filter: NDArray[np.uint8]
    entry_starts: NDArray[np.int32]
    entry_nodes: NDArray[np.int32]
    entry_cases: NDArray[np.int32]
    cased: NDArray[np.uint8]
    terms: int
    skipped: dict[str, int] = field(default_factory=dict)
    source: tuple[int, int, int] = (0, 0, 0)

    @classmethod
    def build(cls, ontology: Ontology, *, not_sought: Iterable[str] = NOT_SOUGHT) -> Lexicon:
        """Make the dictionary of an ontology's terms: synonyms, and FSNs without their tag.

        Args:
            ontology: The ontology.
            not_sought: Semantic tags of concepts to leave out.
        """
        rows, skipped = sought_terms(ontology, not_sought)
        total = rows.height
        rows, flat, starts, sizes, vocabulary = _tokens(rows)
        folded, texts = [fold(word) for word in vocabulary], [without_possessive(w) for w in vocabulary]
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
        return cls(
            words=np.frombuffer("\n".join(words).encode(), np.uint8),
            edges=edges,
            filter=_bitmap(edges),
            entry_starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
            entry_nodes=entries["concept"].to_numpy(),
            entry_cases=entries["cased"].to_numpy(),
            cased=np.frombuffer(cased.encode(), np.uint8),
            terms=entries.height,
            skipped=dict(sorted(skipped.items())),
            source=source_of(ontology),
        )

    def save(self, directory: str | Path) -> Path:
        """Write the dictionary as a folder of .npy arrays.

        Args:
            directory: The folder to make, or an older dictionary to replace.

        Returns:
            The folder.

        Raises:
            InputError: If the folder is there and holds something else.
        """
        with atomic_directory(directory, marker=MARKER) as folder:
            for name in _ARRAYS:
                np.save(folder / f"{name}.npy", getattr(self, name))
            document = {
                "format": FORMAT, "terms": self.terms, "skipped": self.skipped, "source": list(self.source),
                "lengths": {name: len(getattr(self, name)) for name in _ARRAYS},
            }  # fmt: skip
            (folder / MARKER).write_text(json.dumps(document, indent=1), encoding="utf-8")
        return Path(directory)

    @classmethod
    def open(cls, directory: str | Path) -> Lexicon:
        """Open a saved dictionary; its arrays are mapped into memory, not read.

        Args:
            directory: A folder that `save` wrote.

        Raises:
            InputError: If it is no such folder, or a file of it is damaged.
        """
        folder = Path(directory)
        marker = folder / MARKER
        try:
            document = json.loads(marker.read_text(encoding="utf-8"))
            lengths = {name: int(document["lengths"][name]) for name in _ARRAYS}
            terms, skipped = int(document["terms"]), {str(k): int(v) for k, v in document["skipped"].items()}
            concepts, rows, total = (int(number) for number in document["source"])
            version = document["format"]
        except FileNotFoundError as error:
            raise InputError(f"the folder holds no {MARKER}", path=folder, remedy=_REBUILD) from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"the file does not describe a lexicon ({error})", path=marker, remedy=_REBUILD
            ) from error
        if version != FORMAT:
            raise InputError(
                f"the lexicon is of format {version}, not {FORMAT}", path=folder, remedy=_REBUILD
            )
        arrays = {name: _array(folder / f"{name}.npy", kind, lengths[name]) for name, kind in _ARRAYS.items()}
        return cls(**arrays, terms=terms, skipped=skipped, source=(concepts, rows, total))

    @cached_property
    def vocabulary(self) -> dict[str, int]:
        """The folded words and their numbers."""
        text = self.words.tobytes().decode()
        return {word: i for i, word in enumerate(text.split("\n"))} if text else {}

    @cached_property
    def root(self) -> NDArray[np.int32]:
        """For each word, and for -1 (at the end), the state that it leads to from the root, or 0."""
        found = np.zeros(len(self.vocabulary) + 1, dtype=np.int32)
        first = np.asarray(self.edges[: np.searchsorted(self.edges, np.uint64(1 << 32))])
        found[first.astype(np.int64)] = np.arange(1, len(first) + 1)
        return found

    @cached_property
    def cased_lines(self) -> list[str]:
        """For each line of `cased`, how capitals count (its first character) and the words as written."""
        return self.cased.tobytes().decode().split("\n")

    def follow(self, states: NDArray[np.int64], words: NDArray[np.int64]) -> NDArray[np.int64]:
        """Go on from states below the root by one word each.

        Args:
            states: States other than 0, [n].
            words: Numbers of words, none negative, [n].

        Returns:
            The states reached, 0 where no term goes on like this, [n].
        """
        edges = states.astype(np.uint64) << np.uint64(32) | words.astype(np.uint64)
        bits = _hashes(edges, len(self.filter) * 8)
        likely = np.flatnonzero(self.filter[bits >> 3] >> (bits & 7).astype(np.uint8) & 1)
        places = np.searchsorted(self.edges, edges[likely])
        places[places == len(self.edges)] = 0
        reached = np.zeros(len(states), dtype=np.int64)
        hits = self.edges[places] == edges[likely]
        reached[likely[hits]] = places[hits] + 1
        return reached


def source_of(ontology: Ontology) -> tuple[int, int, int]:
    """Give what tells quickly whether a lexicon is that of an ontology.

    Args:
        ontology: The ontology.
    """
    total = int(np.sum(ontology.sctids.astype(np.uint64), dtype=np.uint64)) % 2**63
    return len(ontology), ontology.terms.height, total


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
    # two regex engines need not agree on the letters of every script, so those go through that of the texts
    found = pl.Series([_WORD.findall(text) for text in other["term"]], dtype=pl.List(pl.String))
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
    words = pl.Series([" ".join(_WORD.findall(term)) for term in strict["term"]], dtype=pl.String)
    lines = strict.select(*one, line=pl.col("case").cast(pl.String) + words).unique().sort(*one, "line")
    lines = lines.with_columns(cased=pl.int_range(1, pl.len() + 1, dtype=pl.Int32))
    entries = pl.concat([
        free.with_columns(cased=pl.lit(0, dtype=pl.Int32)), lines.select(*one, "cased")
    ]).sort(*one, "cased")  # fmt: skip
    return entries, "\n".join(lines["line"])


def _hashes(edges: NDArray[np.uint64], size: int) -> NDArray[np.int64]:
    shift = np.uint64(64 - (size.bit_length() - 1))
    return ((edges * _MULTIPLIER) >> shift).astype(np.int64)


def _bitmap(edges: NDArray[np.uint64]) -> NDArray[np.uint8]:
    size = 1 << max(10, int(8 * len(edges)).bit_length())
    bits = np.zeros(size, dtype=bool)
    bits[_hashes(edges[np.searchsorted(edges, np.uint64(1 << 32)) :], size)] = True
    return np.packbits(bits, bitorder="little")


def _array(path: Path, kind: Any, length: int) -> NDArray[Any]:
    try:
        array = np.load(path, mmap_mode="r" if length else None, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"the column cannot be read ({error})", path=path, remedy=_REBUILD) from error
    if array.dtype != kind or array.shape != (length,):
        raise InputError(
            f"the column is {array.dtype} {array.shape}, not {np.dtype(kind)} ({length},)",
            path=path,
            remedy=_REBUILD,
        )
    return np.asarray(array)
