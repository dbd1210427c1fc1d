"""Search by term: every word of the query must begin a word of the term, in any order.

Words are compared without case and accents, and a plural finds its singular ("opacities" finds "opacity"). Ranked:
terms that consist of the query's words, then terms that begin with them, then preferred terms, then short ones; in each
of these three, terms of inactive concepts, where they are wanted, come last. Then the lower SCTID comes first, so that
the answer is always the same. An identifier in any spelling finds what it is of: an SCTID of a concept or of a
description, "DOID:1816", an IRI; its local part, as in "1816", comes before the terms that hold that as a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ontology import codes as _codes
from ontology.words import Words, words, words_of

if TYPE_CHECKING:
    from ontology.model import Ontology

_SEPARATOR = r"[:/#_]"


def search(ontology: Ontology, text: str, limit: int = 20, inactive: bool = False) -> list[int]:
    """Find concepts by the beginnings of their words in any order, the closest first.

    Args:
        ontology: Where to look.
        text: Words, or an identifier.
        limit: How many concepts to give at most.
        inactive: Whether inactive concepts are looked for too.

    Returns:
        SCTIDs, each once.
    """
    if limit < 1:
        return []
    if exact := _identified(ontology, text.strip(), inactive):
        return exact[:limit]
    found = dict.fromkeys(_local(ontology, text.strip(), inactive))
    query = words_of(text)
    if query and len(found) < limit:
        for sctid in _ranked(ontology, words(ontology), query, limit, inactive):
            found.setdefault(sctid)
            if len(found) >= limit:
                break
    return list(found)[:limit]


def _known(ontology: Ontology, sctids: Iterable[int], inactive: bool) -> list[int]:
    retired = ontology.inactive["sctid"] if inactive else None
    return [s for s in sctids if s in ontology or (retired is not None and s in retired)]


def _identified(ontology: Ontology, text: str, inactive: bool) -> list[int]:
    """Give the concept that an identifier is of, itself or by one of its descriptions."""
    if not text or any(map(str.isspace, text)):
        return []
    key = _codes.key(text)
    found = _known(ontology, [key], inactive)
    if not found and key < _codes.FIRST and key // 10 % 10 == 1:
        found = _known(ontology, _described(ontology, key), inactive)
    return found


def _local(ontology: Ontology, text: str, inactive: bool) -> list[int]:
    """Give the concepts whose code is this in another case, or ends in it behind the system's name."""
    if ontology.codes.is_empty() or not any(map(str.isdecimal, text)):
        return []
    code, wanted = pl.col("code").str.to_lowercase(), _codes.canonical(text).lower()
    local = code.str.ends_with(wanted) & code.str.strip_suffix(wanted).str.contains(f"{_SEPARATOR}$")
    return _known(ontology, ontology.codes.filter((code == wanted) | local)["key"].sort().to_list(), inactive)


def _described(ontology: Ontology, description: int) -> list[int]:
    """Give the concept of a description's SCTID, whose partition ends in 1."""
    nodes = ontology.terms.filter(pl.col("id") == description)["concept"].to_list()
    retired = ontology.inactive_terms.filter(pl.col("id") == description)["sctid"].to_list()
    return [int(ontology.sctids[node]) for node in nodes] + retired


def _ranked(ontology: Ontology, index: Words, query: list[str], limit: int, inactive: bool) -> Iterator[int]:
    same, beginning = index.spelled(ontology, query)
    end = len(index.rows) if inactive else index.active
    for ranks in (same, beginning):
        yield from _concepts(ontology, index, ranks[ranks < end], limit)
    yield from _concepts(ontology, index, _with_all(index, query, end), limit)


def _with_all(index: Words, query: list[str], end: int) -> NDArray[np.int32]:
    """Give the ranks below an end of the terms that have all words; they may be there more than once."""
    none = np.zeros(0, dtype=np.int32)
    lists = [index.terms_with(word) for word in dict.fromkeys(query)]
    if not all(lists):
        return none
    lists.sort(key=lambda ranks: sum(map(len, ranks)))
    left = np.concatenate(lists[0])
    left = left[left < end]
    for others in lists[1:]:
        if not len(left):
            break
        seen = np.zeros(end, dtype=bool)
        for ranks in others:
            seen[ranks[ranks < end]] = True
        left = left[seen[left]]
    return left


def _concepts(ontology: Ontology, index: Words, ranks: NDArray[np.int32], limit: int) -> Iterator[int]:
    """Give the concepts of terms, the best first; no more terms are put in order than are asked for."""
    most = 8 * limit
    while len(ranks):
        if len(ranks) > most:
            bound = np.partition(ranks, most)[most]
            now, ranks = np.sort(ranks[ranks <= bound]), ranks[ranks > bound]
        else:
            now, ranks = np.sort(ranks), ranks[:0]
        rows = index.rows[np.unique(now)]
        active = rows < ontology.terms.height
        nodes = ontology.terms["concept"].gather(rows[active]).to_numpy()
        sctids = np.empty(len(rows), dtype=np.int64)
        sctids[active] = ontology.sctids[nodes]
        retired = rows[~active] - ontology.terms.height
        sctids[~active] = ontology.inactive_terms["sctid"].gather(retired).to_numpy()
        yield from sctids.tolist()
        most *= 4
