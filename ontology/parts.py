"""`Parts`: what every reader gives and every writer takes: plain tables that speak of SCTIDs, not of indices.

A reader fills the tables that its format has something for, and leaves the others empty. `ontology.assemble` makes the
frozen `Ontology` of them, and drops and counts what points nowhere; a reader that drops a row itself counts it in the
`LoadReport`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import polars as pl

from ontology.tables import (
    AXIOMS,
    CODES,
    DIALECTS,
    HISTORY,
    INACTIVE,
    INACTIVE_TERMS,
    MAPS,
    STATED,
    VALUES,
    Schema,
    fill,
)

CONCEPTS: Schema = {
    "sctid": pl.Int64(),
    "defined": pl.Boolean(),
    "module": pl.Int64(),
    "effective_time": pl.Int32(),
    "layer": pl.Int16(),
}
TERMS: Schema = INACTIVE_TERMS
RELATIONS: Schema = STATED
PART_VALUES: Schema = {"source": pl.Int64(), **{k: v for k, v in VALUES.items() if k != "concept"}}
PART_MAPS: Schema = {"sctid": pl.Int64(), **{k: v for k, v in MAPS.items() if k != "concept"}}

SCHEMAS: dict[str, Schema] = {
    "concepts": CONCEPTS,
    "inactive": INACTIVE,
    "terms": TERMS,
    "dialects": DIALECTS,
    "relations": RELATIONS,
    "stated": STATED,
    "values": PART_VALUES,
    "maps": PART_MAPS,
    "history": HISTORY,
    "axioms": AXIOMS,
    "codes": CODES,
}


def _empty(name: str) -> pl.DataFrame:
    return pl.DataFrame(schema=SCHEMAS[name])


@dataclass
class Parts:
    """The tables of a terminology, before anything is indexed or dropped.

    Attributes:
        concepts: The active concepts, each once: sctid, defined, module, effective_time, layer.
        inactive: The inactive concepts, each once: sctid, defined, module, effective_time, reason (SCTID of the
            inactivation indicator, 0 if none).
        terms: Active descriptions of active and of inactive concepts: sctid, term, kind, preferred, case_significance,
            id (of the description, 0 if none), language.
        dialects: refset, id (of a description), preferred.
        relations: source, type, target, group, id (of the relationship, 0 if none).
        stated: The same columns: relationships as an author stated them, where a release still ships such a file.
        values: Concrete values: source, type, group, value (as RF2 writes it: `#5` or a quoted text).
        maps: sctid, system, group, priority, rule, advice, target ("" where there is no code for the concept),
            predicate, confidence (NaN where none is given), origin, category (SCTID of the
            map category, 0 if none).
        history: source, refset (SCTID of the historical association), target.
        axioms: sctid, axiom (OWL functional syntax).
        members: Every other reference set, by the name of its kind: the columns of `tables.MEMBERS`, then its own.
        codes: key, code, label: the identifiers that are no SCTIDs, see `ontology.codes`.
        withdrawn: What a layer takes back of what lies below it, as rows of the same tables: an inactive row of RF2, a
            row of plain tables that says `active` no. `ontology.layers` matches them by identifier or by content;
            to `assemble` they mean nothing.
    """

    concepts: pl.DataFrame = field(default_factory=lambda: _empty("concepts"))
    inactive: pl.DataFrame = field(default_factory=lambda: _empty("inactive"))
    terms: pl.DataFrame = field(default_factory=lambda: _empty("terms"))
    dialects: pl.DataFrame = field(default_factory=lambda: _empty("dialects"))
    relations: pl.DataFrame = field(default_factory=lambda: _empty("relations"))
    stated: pl.DataFrame = field(default_factory=lambda: _empty("stated"))
    values: pl.DataFrame = field(default_factory=lambda: _empty("values"))
    maps: pl.DataFrame = field(default_factory=lambda: _empty("maps"))
    history: pl.DataFrame = field(default_factory=lambda: _empty("history"))
    axioms: pl.DataFrame = field(default_factory=lambda: _empty("axioms"))
    codes: pl.DataFrame = field(default_factory=lambda: _empty("codes"))
    members: dict[str, pl.DataFrame] = field(default_factory=dict)
    withdrawn: Parts | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        for name, schema in SCHEMAS.items():
            setattr(self, name, fill(schema, getattr(self, name)))

    @classmethod
    def together(cls, several: Iterable[Parts]) -> Parts:
        """Put parts one after another; nothing is made unique.

        Args:
            several: The parts, in order.
        """
        parts = list(several)
        whole = {name: pl.concat([getattr(p, name) for p in parts] or [_empty(name)]) for name in SCHEMAS}
        members: dict[str, pl.DataFrame] = {}
        for kind in dict.fromkeys(kind for p in parts for kind in p.members):
            frames = [p.members[kind] for p in parts if kind in p.members]
            members[kind] = pl.concat(frames, how="diagonal")
        joined = cls(**whole, members=members)
        if back := [p.withdrawn for p in parts if p.withdrawn is not None]:
            joined.withdrawn = cls.together(back)
        return joined

    def copy(self) -> Parts:
        """Give parts with the same tables, so that replacing one here leaves the other alone."""
        again = Parts(**{name: getattr(self, name) for name in SCHEMAS}, members=dict(self.members))
        again.withdrawn = self.withdrawn
        return again
