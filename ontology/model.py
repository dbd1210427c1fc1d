"""The `Ontology`: concepts as indices 0..N-1, everything else as columns over them.

Direction, once and for all: a relation goes from `source` to `target` and is read "source relation target";
is-a goes from the special to the general, so parents are targets, ancestors lie above, descendants below,
and roots have depth 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ontology import closure as _closure
from ontology import codes as _codes
from ontology.errors import ConceptNotFound
from ontology.identifiers import IS_A, NAMES, normalise_code, normalise_system
from ontology.tables import (
    AXIOMS,
    CODES,
    DETAILS,
    DIALECTS,
    HISTORY,
    INACTIVE,
    INACTIVE_TERMS,
    STATED,
    VALUES,
    Schema,
)

if TYPE_CHECKING:
    from ontology.report import LoadReport

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Relations:
    """The relations as equally long columns, ordered by source, type, target and group.

    Attributes:
        source: Node index of the concept that is described.
        target: Node index of the concept that describes it.
        type: Index into `Ontology.relation_types`.
        group: Role group; 0 is ungrouped, other numbers mean something only within one source.
        id: SCTID of the relationship, 0 where the source gave it none; None where no relation has one.
    """

    source: NDArray[np.int32]
    target: NDArray[np.int32]
    type: NDArray[np.int16]
    group: NDArray[np.int32]
    id: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.source)


def _empty(schema: Schema) -> pl.DataFrame:
    return pl.DataFrame(schema=schema)


class Step(NamedTuple):
    """One relation on a path; `forward` says whether the path walks it from source to target."""

    source: int
    relation_name: str
    target: int
    forward: bool


@dataclass(frozen=True, eq=False)
class Ontology:
    """A terminology, frozen: nothing in it changes once it is loaded, so what is derived is computed once.

    Made by a loader such as `ontology.load_rf2` or by `Ontology.open`; not by hand.

    Attributes:
        name: What it is called, normally the release's folder name.
        sctids: The active concepts, int64 [N], ascending; node index i is `sctids[i]`.
        defined: Whether a concept is fully defined by its relations, bool [N].
        relation_types: SCTIDs of the relationship types, is-a first.
        relations: The relations between active concepts.
        terms: The columns of `tables.TERMS`; ordered by concept (node index), kind, and preferred first.
        maps: The columns of `tables.MAPS`, one row a target; an empty target says that the system has no code.
        report: What the loader read, dropped and tolerated.
        stored_fingerprint: The fingerprint that was saved with it, empty if it was not opened from a folder.
        details: `tables.DETAILS`, row i of concept i: module, effectiveTime (YYYYMMDD, 0 unknown), layer.
        values: `tables.VALUES`: concrete values as RF2 writes them, `#5` or a quoted text.
        inactive: `tables.INACTIVE`: the inactive concepts, ascending, with the reason where one is given.
        inactive_terms: `tables.INACTIVE_TERMS`: their terms.
        dialects: `tables.DIALECTS`: which description is preferred or acceptable in which language refset.
        history: `tables.HISTORY`: historical associations, ordered by source.
        axioms: `tables.AXIOMS`: OWL axioms in functional syntax, by the concept that they are about.
        stated: `tables.STATED`: relationships as stated, in SCTIDs, where a release still ships them.
        codes: `tables.CODES`: the identifiers behind keys that are no SCTIDs, ascending by key.
        members: Other reference sets by kind: `tables.MEMBERS`, then columns of the kind's own as text.
        layers: What it was put together from, the base first: name, format, version, concepts, relations.
        indexes: What is derived from the columns and was stored with them; `ontology.store.INDEXES` names them.
    """

    name: str
    sctids: Ints
    defined: NDArray[np.bool_]
    relation_types: Ints
    relations: Relations
    terms: pl.DataFrame
    maps: pl.DataFrame
    report: LoadReport
    stored_fingerprint: str = ""
    details: pl.DataFrame = field(default_factory=lambda: _empty(DETAILS))
    values: pl.DataFrame = field(default_factory=lambda: _empty(VALUES))
    inactive: pl.DataFrame = field(default_factory=lambda: _empty(INACTIVE))
    inactive_terms: pl.DataFrame = field(default_factory=lambda: _empty(INACTIVE_TERMS))
    dialects: pl.DataFrame = field(default_factory=lambda: _empty(DIALECTS))
    history: pl.DataFrame = field(default_factory=lambda: _empty(HISTORY))
    axioms: pl.DataFrame = field(default_factory=lambda: _empty(AXIOMS))
    stated: pl.DataFrame = field(default_factory=lambda: _empty(STATED))
    codes: pl.DataFrame = field(default_factory=lambda: _empty(CODES))
    members: dict[str, pl.DataFrame] = field(default_factory=dict)
    layers: tuple[dict[str, Any], ...] = ()
    indexes: dict[str, NDArray[Any]] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.sctids)

    def __contains__(self, sctid: object) -> bool:
        return isinstance(sctid, int | np.integer) and int(self.indices([sctid])[0]) >= 0

    def __repr__(self) -> str:
        return f"Ontology({self.name!r}, {len(self):,} concepts, {len(self.relations):,} relations)"

    # Concepts and their indices

    def index(self, concept: int | str) -> int:
        """Give the node index of a concept.

        Args:
            concept: Its SCTID or key, or any spelling of its identifier: "DOID:1816", an IRI, the SCTID as text.

        Raises:
            ConceptNotFound: If it is not among the active concepts; it says so if it is an inactive one.
        """
        sctid = _codes.key(concept) if isinstance(concept, str) else int(concept)
        found = int(self.indices([sctid])[0])
        if found < 0:
            shown = concept if isinstance(concept, str) else self.identifier(sctid)
            inactive = bool(np.isin(sctid, self.inactive["sctid"].to_numpy()))
            raise ConceptNotFound(
                f"concept {shown} is inactive in '{self.name}'"
                if inactive
                else f"concept {shown} is not among the {len(self):,} active concepts of '{self.name}'",
                remedy="Bring it to active ones with: mhdiff ontology map --system SNOMED"
                if inactive
                else "Find it by its name with: mhdiff ontology search",
            )
        return found

    def identifier(self, sctid: int) -> str:
        """Give the identifier that a person writes: the SCTID as text, or the code behind a key.

        Args:
            sctid: An SCTID or key, whether or not the ontology holds it.
        """
        if sctid < _codes.FIRST or self.codes.is_empty():
            return str(sctid)
        keys = self.codes["key"].to_numpy()
        place = min(int(np.searchsorted(keys, sctid)), len(keys) - 1)
        return str(self.codes["code"][place]) if keys[place] == sctid else str(sctid)

    def indices(self, sctids: Any) -> Ints:
        """Give the node indices of many concepts, -1 for those that are unknown.

        Args:
            sctids: SCTIDs, any one-dimensional array-like of integers.
        """
        wanted = np.asarray(sctids, dtype=np.int64)
        if not len(self):
            return np.full(wanted.shape, -1, dtype=np.int64)
        place = np.minimum(np.searchsorted(self.sctids, wanted), len(self) - 1)
        return np.where(self.sctids[place] == wanted, place, -1)

    # Terms

    @cached_property
    def _term_starts(self) -> Ints:
        if "term_starts" in self.indexes:
            return self.indexes["term_starts"]
        return np.searchsorted(self.terms["concept"].to_numpy(), np.arange(len(self) + 1))

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
        rows = self._terms_of(sctid)
        kinds = rows["kind"].to_list()
        if "synonym" in kinds:  # preferred ones come first within a kind
            return str(rows["term"][kinds.index("synonym")])
        return untagged(str(rows["term"][0])) if kinds[:1] == ["fsn"] else self.identifier(sctid)

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
        name = self.fsn(sctid)
        return name[name.rindex("(") + 1 : -1] if untagged(name) != name else ""

    def search(self, text: str, limit: int = 20) -> list[int]:
        """Find concepts by the beginnings of their words in any order, the closest first.

        Args:
            text: Words, or an SCTID.
            limit: How many concepts to give at most.
        """
        from ontology.search import search

        return search(self, text, limit)

    # Relations

    @cached_property
    def _relation_names(self) -> dict[int, str]:
        names: dict[int, str] = {}
        labels = dict(self.codes.select("key", "label").iter_rows())
        for sctid in self.relation_types.tolist():
            named = sctid in self and self.term(sctid) != self.identifier(sctid)
            labelled = labels.get(sctid) or self.identifier(sctid)
            names[sctid] = self.term(sctid).lower() if named else NAMES.get(sctid, labelled)
        return {**names, IS_A: "is a"}

    def relation_name(self, relation_type: int) -> str:
        """Name a relationship type: "is a", "finding site"; its SCTID as text where nothing names it.

        Args:
            relation_type: SCTID of the type.

        Raises:
            ConceptNotFound: If no relation has this type.
        """
        if int(relation_type) not in self._relation_names:
            raise ConceptNotFound(
                f"no relation of '{self.name}' has the type {relation_type}",
                remedy=f"Types: {', '.join(f'{s} ({n})' for s, n in self._relation_names.items())}",
            )
        return self._relation_names[int(relation_type)]

    @cached_property
    def parent_links(self) -> _closure.Adjacency:
        """Is-a from each node up to its parents."""
        if "parents_indptr" in self.indexes:
            return _closure.Adjacency(self.indexes["parents_indptr"], self.indexes["parents_indices"])
        up = self.relations.type == 0
        return _closure.adjacency(self.relations.source[up], self.relations.target[up], len(self))

    @cached_property
    def child_links(self) -> _closure.Adjacency:
        """Is-a from each node down to its children."""
        if "children_indptr" in self.indexes:
            return _closure.Adjacency(self.indexes["children_indptr"], self.indexes["children_indices"])
        up = self.relations.type == 0
        return _closure.adjacency(self.relations.target[up], self.relations.source[up], len(self))

    def _neighbours(self, links: _closure.Adjacency, sctid: int) -> Ints:
        node = self.index(sctid)
        return self.sctids[links.indices[links.indptr[node] : links.indptr[node + 1]]]

    def parents(self, sctid: int) -> Ints:
        """Give the concepts one is-a step above, ascending.

        Args:
            sctid: The concept.
        """
        return self._neighbours(self.parent_links, sctid)

    def children(self, sctid: int) -> Ints:
        """Give the concepts one is-a step below, ascending.

        Args:
            sctid: The concept.
        """
        return self._neighbours(self.child_links, sctid)

    def _reachable(self, links: _closure.Adjacency, sctid: int, include_self: bool) -> Ints:
        node = self.index(sctid)
        found = _closure.reachable(links, node)
        return self.sctids[found if include_self else found[found != node]]

    def ancestors(self, sctid: int, include_self: bool = False) -> Ints:
        """Give every concept above, ascending.

        Args:
            sctid: The concept.
            include_self: Whether the concept itself is among them.
        """
        return self._reachable(self.parent_links, sctid, include_self)

    def descendants(self, sctid: int, include_self: bool = False) -> Ints:
        """Give every concept below, ascending.

        Args:
            sctid: The concept.
            include_self: Whether the concept itself is among them.
        """
        return self._reachable(self.child_links, sctid, include_self)

    @cached_property
    def closure(self) -> Any:
        """The is-a closure: scipy csr_array [N, N] of bool; row i holds i and its ancestors."""
        if "closure_indptr" in self.indexes:
            return _closure.matrix(self.indexes["closure_indptr"], self.indexes["closure_indices"])
        order = _closure.levels(self.parent_links, self.child_links)
        return _closure.closure(self.parent_links, order)

    @cached_property
    def depth(self) -> NDArray[np.int32]:
        """Shortest distance from a root in is-a steps, int32 [N]."""
        if "depth" in self.indexes:
            return self.indexes["depth"]
        return _closure.depths(self.parent_links, self.child_links)

    @cached_property
    def roots(self) -> Ints:
        """The concepts without parents, ascending."""
        return self.sctids[np.diff(self.parent_links.indptr) == 0]

    def path(self, a: int, b: int, relations: Iterable[int | str] | None = None) -> list[Step]:
        """Give a shortest path between two concepts over relations walked in either direction.

        Args:
            a: Where it starts.
            b: Where it ends.
            relations: Relationship types (SCTIDs or names) it may use; all of them by default.

        Returns:
            The steps; empty if `a` is `b` or if there is no path.
        """
        from ontology.paths import shortest_path

        return shortest_path(self, a, b, relations)

    def find_interpretations(self) -> dict[tuple[int, str], int]:
        """Give the finding that stands for an observable above or below its range, or abnormal.

        Returns:
            (observable, "above" | "below" | "abnormal") -> finding, as SCTIDs.
        """
        from ontology.interpretations import find_interpretations

        return find_interpretations(self)

    # Maps

    @cached_property
    def _mapped(self) -> dict[tuple[str, str], list[int]]:
        found: dict[tuple[str, str], list[int]] = {}
        nodes = self.maps["concept"].to_numpy()
        for system, target, sctid in zip(
            self.maps["system"], self.maps["target"], self.sctids[nodes].tolist(), strict=True
        ):
            concepts = found.setdefault((system, normalise_code(target, system)), [])
            if sctid not in concepts:
                concepts.append(sctid)
        return {key: sorted(concepts) for key, concepts in found.items()}

    def map(self, code: str, system: str) -> list[int]:
        """Give every concept that a code of another system stands for; none if it is unknown.

        Args:
            code: The code, such as "J18.9".
            system: ICD-10, ICD-10-CM, LOINC, SNOMED or "refset:<SCTID>"; the usual spellings are understood.
        """
        known = normalise_system(system)
        if known == "SNOMED":
            text = str(code).strip()
            plain = text.isascii() and text.isdecimal() and len(text) <= 18
            return [int(text)] if plain and int(text) in self else []
        return list(self._mapped.get((known, normalise_code(str(code), known)), []))

    # Identity

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the content: concepts, relations, terms and maps; not of the name or the report."""
        from ontology.store import content_hash

        return self.stored_fingerprint or content_hash(self)

    def save(self, directory: str | Path) -> Path:
        """Write the ontology as a folder of columns that `Ontology.open` maps into memory.

        Args:
            directory: The folder; an older ontology there is replaced at once, anything else is not touched.
        """
        from ontology.store import save

        return save(self, directory)

    @staticmethod
    def open(directory: str | Path, *, verify: bool | None = None) -> Ontology:
        """Open a folder that `save` wrote.

        Args:
            directory: The folder.
            verify: Whether to compare the checksum of every file. By default that is done up to 64 MiB, where it costs
                nothing; of larger ontologies the sizes are compared, and `mhdiff ontology validate` does the rest.

        Raises:
            InputError: If it is no such folder, or if a file in it is damaged.
        """
        from ontology.store import open_ontology

        return open_ontology(directory, verify=verify)


def untagged(name: str) -> str:
    """Give an FSN without its semantic tag, the last pair of brackets.

    Args:
        name: The FSN, such as "Pneumonia (disorder)".
    """
    head, bracket, tag = name.rpartition(" (")
    return head if bracket and tag.endswith(")") and "(" not in tag and tag.count(")") == 1 and head else name
