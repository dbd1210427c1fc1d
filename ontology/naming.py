"""What concepts are called: the part of `Ontology` that answers with terms."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ontology.errors import InputError
from ontology.tables import KIND

if TYPE_CHECKING:
    from ontology.model import Ontology

Ints = NDArray[np.int64]
_SYNONYM = KIND.categories.to_list().index("synonym")


class Naming:
    """Names of concepts, for `Ontology`."""

    sctids: Ints
    terms: pl.DataFrame
    inactive_terms: pl.DataFrame
    dialects: pl.DataFrame
    indexes: dict[str, NDArray[Any]]

    if TYPE_CHECKING:  # what `Ontology` itself or another of its parts gives

        def index(self, concept: int | str) -> int: ...  # noqa: D102

        def identifier(self, sctid: int) -> str: ...  # noqa: D102

    @cached_property
    def _term_starts(self) -> Ints:
        if "term_starts" in self.indexes:
            return self.indexes["term_starts"]
        return np.searchsorted(self.terms["concept"].to_numpy(), np.arange(len(self.sctids) + 1))

    def _terms_of(self, sctid: int) -> pl.DataFrame:
        node = self.index(sctid)
        start, end = int(self._term_starts[node]), int(self._term_starts[node + 1])
        return self.terms.slice(start, end - start)

    def fsn(self, sctid: int) -> str:
        """Give the fully specified name; the SCTID as text where there is none.

        Args:
            sctid: The concept.
        """
        rows = self._terms_of(sctid)
        if rows.height and rows["kind"][0] == "fsn":
            return str(rows["term"][0])
        return self.term(sctid)

    def term(self, sctid: int) -> str:
        """Give the preferred term; else the first synonym, the FSN without its tag, or the SCTID as text.

        Args:
            sctid: The concept.
        """
        if "name_starts" in self.indexes:
            node = self.index(sctid)
            start, end = self.indexes["name_starts"][node : node + 2]
            return self.indexes["name_bytes"][start:end].tobytes().decode()
        rows = self._terms_of(sctid)
        kinds = rows["kind"].to_list()
        if "synonym" in kinds:  # preferred ones come first within a kind
            return str(rows["term"][kinds.index("synonym")])
        return untagged(str(rows["term"][0])) if kinds[:1] == ["fsn"] else self.identifier(sctid)

    def _names(self) -> tuple[Ints, NDArray[np.uint8]]:
        """Give what `term` says of every concept as UTF-8: where each begins [N + 1], and all bytes."""
        kinds = self.terms["kind"].to_physical().to_numpy()
        concepts = self.terms["concept"].to_numpy()
        synonyms = np.flatnonzero(kinds == _SYNONYM)
        first = synonyms[np.flatnonzero(np.diff(concepts[synonyms], prepend=-1))]
        row = np.full(len(self.sctids), -1)
        row[concepts[first]] = first
        names = self.terms["term"].gather(row[row >= 0])
        if len(without := np.flatnonzero(row < 0)):
            named = pl.Series([self.term(sctid) for sctid in self.sctids[without].tolist()], dtype=pl.String)
            order = np.argsort(np.concatenate((np.flatnonzero(row >= 0), without)), kind="stable")
            names = pl.concat([names, named]).gather(order)
        starts = np.concatenate(([0], np.cumsum(names.str.len_bytes().to_numpy(), dtype=np.int64)))
        return starts, np.frombuffer(str(names.str.join("").item()).encode(), dtype=np.uint8)

    def synonyms(self, sctid: int) -> list[str]:
        """Give the synonyms, the preferred term first.

        Args:
            sctid: The concept.
        """
        rows = self._terms_of(sctid)
        return [term for term, kind in zip(rows["term"], rows["kind"], strict=True) if kind == "synonym"]

    def semantic_tag(self, sctid: int) -> str:
        """Give the last bracketed part of the FSN, such as "disorder"; empty where there is none.

        Args:
            sctid: The concept.
        """
        return tag_of(self.fsn(sctid))

    def search(self, text: str, limit: int = 20, inactive: bool = False) -> list[int]:
        """Find concepts by the beginnings of their words in any order, the closest first.

        Args:
            text: Words, or an identifier: an SCTID, "DOID:1816", an IRI.
            limit: How many concepts to give at most.
            inactive: Whether inactive concepts are looked for too.
        """
        from ontology.search import search

        return search(cast("Ontology", self), text, limit, inactive)

    def preferred(self, sctid: int, dialect: int | str) -> str:
        """Give the preferred term in a language reference set; empty where it prefers none for the concept.

        Args:
            sctid: The concept.
            dialect: The reference set: its SCTID, or a name such as "en-GB".

        Raises:
            InputError: If the name is not known.
        """
        from ontology.identifiers import DIALECTS

        text = str(dialect)
        names = {name.lower(): refset for name, refset in DIALECTS.items()}
        refset = int(text) if text.isdecimal() else names.get(text.lower().replace("_", "-"))
        if refset is None:
            raise InputError(
                f"the dialect '{dialect}' is not known", remedy=f"Names are {', '.join(DIALECTS)}"
            )
        rows = self._terms_of(sctid).filter(pl.col("kind") == "synonym")
        ids = self.dialects["id"].to_numpy()
        for identity, term in zip(rows["id"].to_list(), rows["term"].to_list(), strict=True):
            start, end = np.searchsorted(ids, identity), np.searchsorted(ids, identity, side="right")
            here = self.dialects.slice(int(start), int(end - start))
            if here.filter((pl.col("refset") == refset) & pl.col("preferred")).height:
                return str(term)
        return ""


def untagged(name: str) -> str:
    """Give an FSN without its semantic tag, the last pair of brackets.

    Args:
        name: The FSN, such as "Pneumonia (disorder)".
    """
    head, bracket, tag = name.rpartition(" (")
    return head if bracket and tag.endswith(")") and "(" not in tag and tag.count(")") == 1 and head else name


def tag_of(name: str) -> str:
    """Give the semantic tag of an FSN, the content of its last pair of brackets; empty where there is none.

    Args:
        name: The FSN, such as "Pneumonia (disorder)".
    """
    return name[name.rindex("(") + 1 : -1] if untagged(name) != name else ""
