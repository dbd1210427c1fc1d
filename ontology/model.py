"""The `Ontology`: concepts as indices 0..N-1, everything else as columns over them.

Direction, once and for all: a relation goes from `source` to `target` and is read "source relation target";
is-a goes from the special to the general, so parents are targets, ancestors lie above, descendants below,
and roots have depth 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ontology import codes as _codes
from ontology.errors import ConceptNotFound
from ontology.hierarchy import Hierarchy, Step
from ontology.naming import Naming, untagged
from ontology.questions import Questions
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


@dataclass(frozen=True, eq=False)
class Ontology(Naming, Hierarchy, Questions):
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
        folder: The folder that it was opened from; None for one that was just loaded. What else is derived from it
            (a recogniser's lexicon, an index of words) is kept in folders inside.
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
    folder: Path | None = None

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
        found = int(self.sctids.searchsorted(sctid))
        if found == len(self) or self.sctids[found] != sctid:
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


__all__ = ["Ontology", "Relations", "Step", "untagged"]
