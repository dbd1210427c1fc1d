"""Search by term: every word of the query must begin a word of the term, in any order.

Ranked: the whole term first, then terms that begin with the query, then preferred terms, then short ones.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from ontology.model import Ontology

_WORD = re.compile(r"[^\W_]+")


def search(ontology: Ontology, text: str, limit: int = 20) -> list[int]:
    """Find concepts by the beginnings of their words in any order, the closest first.

    Args:
        ontology: Where to look.
        text: Words, or an SCTID.
        limit: How many concepts to give at most.

    Returns:
        SCTIDs, each once.
    """
    query = text.strip().lower()
    words = _WORD.findall(query)
    if not words or limit < 1:
        return []
    exact = int(query) if query.isascii() and query.isdecimal() and len(query) <= 18 else -1
    lower = pl.col("term").str.to_lowercase()
    rows = ontology.terms.lazy().filter(pl.col("kind").is_in(["fsn", "synonym"])).with_columns(lower=lower)
    for word in sorted(words, key=len, reverse=True):
        rows = rows.filter(pl.col("lower").str.contains(word, literal=True))
    beginnings = [re.compile(rf"(?<![^\W_]){re.escape(word)}") for word in words]
    ranked = []
    for concept, lowered, kind, preferred in (
        rows.select("concept", "lower", "kind", "preferred").collect().iter_rows()
    ):
        if all(beginning.search(lowered) for beginning in beginnings):
            order = (
                lowered != query,
                not lowered.startswith(query),
                kind == "fsn",
                not preferred,
                len(lowered),
            )
            ranked.append((order, concept))
    found = [exact] if exact in ontology else []
    found += [int(ontology.sctids[concept]) for _, concept in sorted(ranked)]
    return list(dict.fromkeys(found))[:limit]
