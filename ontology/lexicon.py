"""The recogniser's dictionary: every term as a path of words through one trie, in arrays to map into memory.

An edge of the trie is one integer, state << 32 | word, and the edges stand in ascending order: edge i leads to
state i + 1, the root is state 0. An edge is looked up by binary search, after a bitmap of hashes has turned
away most of the words that continue no term; as the search compares whole edges, a hit is never the accident
of a hash. Words are those of `inflect.fold`; what a term's capitals ask of a text is kept beside its entry.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ontology.model import Ontology

MULTIPLIER = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio: spreads consecutive integers

# How a term's capitals count: not; only because the term spells an everyday word; cI; CS.
FREE, EVERYDAY_WORD, INITIAL, SENSITIVE = range(4)

# Semantic tags whose concepts describe the model or grade other concepts; a note's words are not about them.
NOT_SOUGHT = frozenset({
    "attribute", "core metadata concept", "foundation metadata concept", "link assertion", "linkage concept",
    "metadata", "namespace concept", "OWL metadata concept", "qualifier value", "SNOMED RT+CTV3",
})  # fmt: skip

# Longer words with several capitals are spoken as words and written like them: "Covid", "Haart".
ABBREVIATION = 4

# Abbreviations in these spellings are everyday words in lower case.
_EVERYDAY = """
    add age aid aids aim air all am an and are arm art as at ate bad ban bar basic bat be bed bid big
    but by can cap care cars cat charge chip cloves cold cope copes crest dad day did do due ear end eye
    fan far fast fat fed fee few fish fit flair for gap gas get go got had ham has hat he help her hip
    his hot how ice if ill in is it jet lab lad lap last led leg leopard let lip low mad man map mass
    may me men met mild mom ms my no nor not now of off old on one or our out own pad pain pan past pat
    pen pet pin poems raft rap rash red rest rice sad said sam save see set she side sit six smart smile
    so some space spasm spin star stat step still stop sun tab tan tap tar team ten that the tic tie tin
    tip to toe too top torch trap two up us use vast wait was wet who why will with yes you
"""
EVERYDAY = frozenset(_EVERYDAY.split())


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
        fingerprint: That of the ontology.
        source: What the ontology was like: concepts, terms and the sum of all SCTIDs modulo 2**63.
        rules: A digest of how terms were chosen, split into words and folded.
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
    fingerprint: str = ""
    source: tuple[int, int, int] = (0, 0, 0)
    rules: str = ""

    @classmethod
    def build(cls, ontology: Ontology, *, not_sought: Iterable[str] = NOT_SOUGHT) -> Lexicon:
        """Make the dictionary of an ontology's terms: synonyms, and FSNs without their tag.

        Args:
            ontology: The ontology.
            not_sought: Semantic tags of concepts to leave out.
        """
        from ontology.lexicon_build import build

        return build(ontology, not_sought)

    def save(self, directory: str | Path) -> Path:
        """Write the dictionary as a folder of .npy arrays.

        Args:
            directory: The folder to make, or an older dictionary to replace.

        Returns:
            The folder.

        Raises:
            InputError: If the folder is there and holds something else.
        """
        from ontology.lexicon_store import save

        return save(self, directory)

    @classmethod
    def open(cls, directory: str | Path) -> Lexicon:
        """Open a saved dictionary; its arrays are checked and mapped into memory.

        Args:
            directory: A folder that `save` wrote.

        Raises:
            InputError: If it is no such folder, or a file of it is damaged.
        """
        from ontology.lexicon_store import open_lexicon

        return open_lexicon(directory)

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
    def single(self) -> NDArray[np.bool_]:
        """For each word, and for -1 (at the end), whether it is a term by itself."""
        starts = self.entry_starts
        return (self.root > 0) & (starts[self.root + 1] > starts[self.root])

    @cached_property
    def cased_lines(self) -> list[str]:
        """For each line of `cased`, how capitals count (its first character) and the words as written."""
        return self.cased.tobytes().decode().split("\n")

    def follow(self, states: NDArray[np.int32], words: NDArray[np.int32]) -> NDArray[np.int32]:
        """Go on from states below the root by one word each.

        Args:
            states: States other than 0, [n].
            words: Numbers of words, none negative, [n].

        Returns:
            The states reached, 0 where no term goes on like this, [n].
        """
        edges = states.astype(np.uint64)
        edges <<= np.uint64(32)
        edges |= words.astype(np.uint64)
        bits = hashes(edges, len(self.filter) * 8)
        likely = (self.filter[bits >> 3] >> (bits & 7).astype(np.uint8) & 1).nonzero()[0]
        edges = edges[likely]
        places = np.searchsorted(self.edges, edges)
        places[places == len(self.edges)] = 0
        reached = np.zeros(len(states), dtype=np.int32)
        hits = self.edges[places] == edges
        reached[likely[hits]] = places[hits] + 1
        return reached


def hashes(edges: NDArray[np.uint64], size: int) -> NDArray[np.int64]:
    """Give the places of edges in a bitmap.

    Args:
        edges: The edges.
        size: The bitmap's length in bits, a power of two.
    """
    shift = np.uint64(64 - (size.bit_length() - 1))
    return ((edges * np.uint64(MULTIPLIER)) >> shift).astype(np.int64)


def source_of(ontology: Ontology) -> tuple[int, int, int]:
    """Give what tells quickly whether a lexicon is that of an ontology.

    Args:
        ontology: The ontology.
    """
    total = int(np.sum(ontology.sctids.astype(np.uint64), dtype=np.uint64)) % 2**63
    return len(ontology), ontology.terms.height, total
