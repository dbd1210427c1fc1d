"""What OBO files and OBO graphs say of terms, gathered statement by statement, and made into `Parts`.

`ontology.readers.obo` tells what each statement becomes. Whatever a statement says beyond that is counted: `drop` and
`rest` are for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from ontology.codes import FIRST, Keys
from ontology.errors import InputError
from ontology.identifiers import (
    ASSOCIATIONS,
    CONCEPT_INACTIVATION,
    IS_A,
    POSSIBLY_EQUIVALENT_TO,
    REPLACED_BY,
)
from ontology.model import untagged
from ontology.obo_spelling import HAS_DBXREF, concrete, local_name, split_xref
from ontology.parts import SCHEMAS, Parts
from ontology.report import LoadReport
from ontology.tables import MEMBERS, Schema, fill

# Facts about the record, not about the concept.
_RECORD = frozenset(
    f"oboInOwl:{name}"
    for name in ("hasOBONamespace", "creation_date", "created_by", "creationDate", "id", "shorthand", "date")
)
# A relation under one of these holds of some instances only, or of none.
_CONDITIONS = frozenset(
    {"gci_relation", "gci_filler", "cardinality", "max_cardinality", "maxCardinality", "all_only"}
)
_MAP_COLUMNS = "sctid system group priority rule advice target predicate confidence origin category".split()  # noqa: SIM905


class Content:
    """Gathers what OBO and OBO graphs say of terms, and makes `Parts` of it.

    Attributes:
        names_are_preferred: Whether a name is the preferred term as well as the FSN.
        now: The identifier of the frame that is read.
        obsolete: Whether the concept that is read is obsolete.
        shorthands: What the relations without a prefix stand for.
    """

    def __init__(self, file: str, report: LoadReport) -> None:
        self.report, self.file = report, file
        self.names_are_preferred = True
        self.now, self.obsolete, self.shorthands = "", False, dict[str, str]()
        self.keys, self._sctid = Keys(), 0
        self._state: dict[int, tuple[bool, bool]] = {}
        self._names: dict[int, str] = {}
        self._labels: dict[str, str] = {}
        self._terms: list[tuple[int, str, str, bool]] = []
        self._relations: list[tuple[int, str, int, int]] = []
        self._implied: list[tuple[int, str, int, int]] = []
        self._values: list[tuple[int, str, int, str]] = []
        self._maps: list[tuple[Any, ...]] = []
        self._history: list[tuple[int, int, int]] = []
        self._members: list[tuple[str, int]] = []
        self._alternates: list[tuple[int, int]] = []
        self._reasons: dict[int, int] = {}
        self._defined = False
        self._drops: dict[tuple[str, str], int] = {}

    def drop(self, kind: str, reason: str, count: int = 1) -> None:
        """Count what has no place in `Parts`; faultless files have such things."""
        if count:
            self._drops[kind, reason] = self._drops.get((kind, reason), 0) + count

    def rest(self, details: Iterable[str], used: Iterable[str], of: str) -> None:
        """Count the qualifiers that are not used."""
        known = frozenset(used)
        for name in details:
            if name not in known:
                self.drop("qualifier", f"'{name[:40]}' of {of} is not used")

    def begin(self, identifier: str) -> None:
        """Begin a concept; what follows is about it."""
        self._sctid, self.obsolete, self._defined = self.keys(identifier), False, False

    def end(self) -> None:
        """End the concept."""
        before = self._state.get(self._sctid)
        if before is not None:
            self.report.tolerate("frame of an id that was there before: put together", 1)
            if before[0] != self.obsolete:
                raise InputError(
                    f"'{self.now}' is there twice, once obsolete and once not", remedy="Remove one"
                )
        self._state[self._sctid] = (self.obsolete, self._defined or (before is not None and before[1]))

    def name(self, text: str) -> None:
        """Note the name; a second one of the same concept becomes a synonym."""
        sctid = self._sctid
        if sctid in self._names:
            if text != self._names[sctid]:
                self.report.tolerate("second name of a term: it becomes a synonym", 1)
                self._terms.append((sctid, text, "synonym", False))
            return
        self._names[sctid] = text
        self._terms.append((sctid, text, "fsn", True))
        if self.names_are_preferred and not (sctid < FIRST and untagged(text) != text):
            self._terms.append((sctid, text, "synonym", True))

    def synonym(self, text: str, scope: str, kind: str) -> None:
        """Note a synonym."""
        ours = "" if self.names_are_preferred else kind
        if kind and ours not in ("FULLY_SPECIFIED", "PREFERRED"):
            self.drop("synonym", "its type is not kept")
        if scope != "EXACT" and ours != "FULLY_SPECIFIED":
            self.drop("synonym", f"its scope {scope} is kept as 'other'")
        if ours == "FULLY_SPECIFIED":
            self._terms.append((self._sctid, text, "fsn", True))
        else:
            self._terms.append(
                (self._sctid, text, "synonym" if scope == "EXACT" else "other", ours == "PREFERRED")
            )

    def definition(self, text: str) -> None:
        """Note a text definition."""
        self._terms.append((self._sctid, text, "definition", False))

    def relation(self, kind: str, target: str, details: Mapping[str, str], source: str | None = None) -> None:
        """Note a relation."""
        if details and not _CONDITIONS.isdisjoint(details):
            self.drop("relationship", "it holds under a condition only")
            return
        self.rest(details, ("group",), "a relation")
        sctid = self._sctid if source is None else self.keys(source)
        self._relations.append((sctid, kind, self.keys(target), self._number(details, "group", 0)))

    def part(self, kind: str, target: str) -> None:
        """Note one part of an intersection that defines the concept."""
        self._defined = True
        self._implied.append((self._sctid, kind, self.keys(target), 0))

    def defines(self, identifier: str) -> None:
        """Take up a concept again whose intersection is about to be told."""
        self._sctid = self.keys(identifier)
        if self._sctid in self._state:
            self._state[self._sctid] = (self._state[self._sctid][0], True)

    def alternate(self, identifier: str) -> None:
        """Note an identifier that the concept had before."""
        self._alternates.append((self.keys(identifier), self._sctid))

    def past(self, kind: str, target: str, details: Mapping[str, str]) -> None:
        """Note what became of the concept."""
        self.rest(details, ("association",), kind)
        usual = REPLACED_BY if kind == "replaced_by" else POSSIBLY_EQUIVALENT_TO
        self._history.append((self._sctid, self._number(details, "association", usual), self.keys(target)))

    def subset(self, identifier: str) -> None:
        """Note that the concept is in a subset."""
        self._members.append((identifier, self._sctid))

    def map(self, system: str, target: str, details: Mapping[str, str], predicate: str = HAS_DBXREF) -> None:
        """Note a code of another system."""
        confidence = details.get("confidence", "nan") if details else "nan"
        try:
            trust = float(confidence)
        except ValueError as error:
            raise InputError(f"the confidence '{confidence}' in '{self.now}' is no number") from error
        row: dict[str, Any] = {"system": system, "rule": "TRUE", "advice": "", "predicate": predicate}
        self.rest(details, _MAP_COLUMNS[1:], "a map")
        row |= {"origin": self.file, **details}
        numbers = {"group": 0, "priority": 1, "category": 0}
        row |= {name: self._number(details, name, default) for name, default in numbers.items()}
        row |= {"sctid": self._sctid, "target": target, "confidence": trust}
        self._maps.append(tuple(row[name] for name in _MAP_COLUMNS))

    def annotation(self, kind: str, value: str, datatype: str, details: Mapping[str, str]) -> None:
        """Note a property value: a definition, history, a map or, if nothing else, a concrete value."""
        kind = local_name(kind)
        match kind:
            case "defined":
                self._defined = value == "true"
                self.rest(details, (), kind)
            case "IAO:0000115":
                self.definition(value)
                self.rest(details, (), "a definition")
            case "oboInOwl:hasAlternativeId":
                self.alternate(value)
                self.rest(details, (), "an alternative id")
            case "IAO:0100001" | "oboInOwl:consider":
                self.past("consider" if kind == "oboInOwl:consider" else "replaced_by", value, details)
            case _ if kind in _RECORD:
                self.drop("annotation", f"{kind} is not used")
            case _ if kind.startswith("skos:") and kind.endswith("Match"):
                self.map(*split_xref(value), details, predicate=kind)
            case _:
                self.rest(details, ("group",), "a property value")
                number = kind.removeprefix("SCTREL:")
                if number == str(CONCEPT_INACTIVATION):
                    self._reasons[self._sctid] = self.keys(value)
                elif number.isdecimal() and int(number) in ASSOCIATIONS:
                    self._history.append((self._sctid, int(number), self.keys(value)))
                else:
                    group = self._number(details, "group", 0)
                    self._values.append((self._sctid, kind, group, concrete(kind, value, datatype)))

    def relation_label(self, identifier: str, label: str) -> None:
        """Note the name of a relation type or of a subset."""
        if label:
            self._labels.setdefault(identifier, label)

    def _number(self, details: Mapping[str, str], name: str, default: int) -> int:
        text = details.get(name) if details else None
        if text is None:
            return default
        limit = 18 if name in ("association", "category") else 9
        if text.isascii() and text.isdecimal() and len(text) <= limit:
            return int(text)
        raise InputError(f"the {name} '{text}' in '{self.now}' is no whole number")

    def _type(self, identifier: str) -> int:
        name = local_name(identifier)
        if name in ("is_a", "rdfs:subClassOf", "subClassOf"):
            return IS_A
        name = self.shorthands.get(name, name).removeprefix("SCTREL:")
        return self.keys(name, self._labels.get(identifier, ""))

    def parts(self) -> Parts:
        """Give everything that was gathered, and put the counts into the report."""
        report = self.report
        for (kind, reason), number in self._drops.items():
            report.drop(kind, reason, number, expected=True)
        for alternate, main in self._alternates:
            if alternate in self._state and not self._state[alternate][0]:
                report.tolerate("alternative id that is an active term of its own", 1)
            elif alternate != main:
                self._state.setdefault(alternate, (True, False))
                self._history.append((alternate, REPLACED_BY, main))
        types = {name: self._type(name) for name in dict.fromkeys([*(r[1] for r in self._relations),
                 *(r[1] for r in self._implied), *(v[1] for v in self._values)])}  # fmt: skip
        relations = [(source, types[kind], target, group) for source, kind, target, group in self._relations]
        if self._implied:
            stated = {row[:3] for row in relations}
            implied = dict.fromkeys((s, types[kind], t, g) for s, kind, t, g in self._implied)
            added = [row for row in implied if row[:3] not in stated]
            report.count("intersection", read=len(self._implied), active=len(self._implied), used=len(added))
            relations += added
        gone = {sctid for sctid, (obsolete, _) in self._state.items() if obsolete}
        active = [sctid for sctid in self._state if sctid not in gone]
        report.count("concept", read=len(self._state), active=len(active), used=len(active))
        for kind, rows in (("description", self._terms), ("relationship", relations), ("map", self._maps)):
            report.count(kind, read=len(rows), active=len(rows))
        subsets = {name: self.keys(local_name(name), self._labels.get(name, ""))
                   for name in dict.fromkeys(name for name, _ in self._members)}  # fmt: skip
        members = [("", 0, 0, subsets[name], sctid) for name, sctid in self._members]
        values = [(source, types[kind], group, value) for source, kind, group, value in self._values]
        if values:
            report.count("concrete values", read=len(values), active=len(values))
        tables: dict[str, tuple[list[Any], list[str]]] = {
            "concepts": ([(s, self._state[s][1]) for s in active], ["sctid", "defined"]),
            "inactive": (
                [(s, self._state[s][1], self._reasons.get(s, 0)) for s in gone],
                ["sctid", "defined", "reason"],
            ),
            "terms": (self._terms, ["sctid", "term", "kind", "preferred"]),
            "relations": (relations, ["source", "type", "target", "group"]),
            "values": (values, ["source", "type", "group", "value"]),
            "maps": (self._maps, _MAP_COLUMNS),
            "history": (list(dict.fromkeys(self._history)), ["source", "refset", "target"]),
        }
        return Parts(
            **{name: _table(SCHEMAS[name], rows, *columns) for name, (rows, columns) in tables.items()},
            members={"subset": _table(MEMBERS, members, *MEMBERS)} if members else {},
            codes=self.keys.frame(),
        )


def _table(schema: Schema, rows: list[Any], *names: str) -> pl.DataFrame:
    if not rows:
        return pl.DataFrame(schema=schema)
    columns = zip(names, zip(*rows, strict=True), strict=True)
    return fill(
        schema, pl.DataFrame([pl.Series(name, values, dtype=schema[name]) for name, values in columns])
    )
