"""OBO graphs in JSON, and `Content`, which gathers what OBO graphs and OBO files, their older spelling, have to say.

Specification: the OBO Graphs JSON schema (geneontology/obographs). `ontology.readers.obo` tells what each statement
becomes; the differences are these:

- A class node without `lbl` and `meta`, and a node without a type that has neither, is only spoken of; it is counted.
- The labels of PROPERTY nodes name the relation types. INDIVIDUAL nodes and what is said of them are counted.
- `logicalDefinitionAxioms` are what `intersection_of` is in OBO.
- `equivalentNodesSets`, `domainRangeAxioms`, `propertyChainAxioms` and all other axioms are counted and not used.
- A node that occurs again, in the same graph or in another one, must be equal to the first.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
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

_SCOPES = {
    "hasExactSynonym": "EXACT",
    "hasBroadSynonym": "BROAD",
    "hasNarrowSynonym": "NARROW",
    "hasRelatedSynonym": "RELATED",
}
_AXIOMS = (
    "equivalentNodesSets",
    "domainRangeAxioms",
    "propertyChainAxioms",
    "disjointClassExpressionsAxioms",
    "allValuesFromEdges",
)
_NOT_RELATIONS = frozenset({"subPropertyOf", "inverseOf", "type", "rdf:type"})
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


def recognises(path: Path) -> bool:
    """Tell whether a file looks like an OBO graph: JSON that begins with "graphs".

    Args:
        path: The file.
    """
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
    return start.startswith(b"{") and b'"graphs"' in start


def read(path: Path, report: LoadReport) -> Parts:
    """Read an OBO graph document.

    Args:
        path: The file.
        report: The account of the load; counts are added to it.

    Raises:
        InputError: If it is no OBO graph; the message names the place in the document.
    """
    content = Content(path.name, report)
    try:
        document = _json(path.read_bytes(), path, report)
        nodes = _nodes(document, content)
        _edges(document, nodes, content)
        parts = content.parts()
    except OSError as error:
        raise InputError(f"the file cannot be read ({error.strerror or error})", path=path) from error
    except UnicodeEncodeError as error:
        raise InputError(
            "a text holds half of a surrogate pair", path=path, remedy="Save it as UTF-8"
        ) from error
    except InputError as error:
        if error.path is not None:
            raise
        place = f"at {content.now}: " if content.now and content.now not in error.problem else ""
        raise InputError(place + error.problem, path=path, remedy=error.remedy) from error
    report.files_read.append({"file": path.name, "kind": "OBO graph", "rows": len(nodes)})
    return parts


def _json(data: bytes, path: Path, report: LoadReport) -> Any:
    report.tolerate("byte order mark at the start of the file", int(data.startswith(b"\xef\xbb\xbf")))
    loads: Any = json.loads
    with suppress(ImportError):
        loads = importlib.import_module("orjson").loads
    try:
        return loads(data.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError) as error:
        row = getattr(error, "lineno", None)
        raise InputError(f"this is no JSON: {getattr(error, 'msg', error)}", path=path, row=row) from error


class _At:
    """A value of the document with its JSON path; a value of the wrong kind is an `InputError`."""

    def __init__(self, value: Any, place: str) -> None:
        self.value, self.place = value, place

    def _get(self, key: str, kind: type, default: Any) -> Any:
        found = self.value.get(key)
        if found is None and default is not None:
            return default
        if not isinstance(found, kind):
            raise InputError(f"at {self.place}.{key}: this is {_kind(found)} and should be {_kind(kind())}")
        return found

    def text(self, key: str, default: str | None = None) -> str:
        return str(self._get(key, str, default))

    def object(self, key: str) -> _At:
        return _At(self._get(key, dict, {}), f"{self.place}.{key}")

    def flag(self, key: str) -> bool:
        return bool(self._get(key, bool, False))

    def items(self, key: str, kind: type = dict) -> Iterator[_At]:
        for number, item in enumerate(self._get(key, list, [])):
            place = f"{self.place}.{key}[{number}]"
            if not isinstance(item, kind):
                raise InputError(f"at {place}: this is {_kind(item)} and should be {_kind(kind())}")
            yield _At(item, place)

    def details(self) -> dict[str, str]:
        return {v.text("pred"): v.text("val") for v in self.object("meta").items("basicPropertyValues")}


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "missing"}
    return names.get(type(value), "a number")


def _nodes(document: Any, content: Content) -> dict[str, str]:
    """Read the nodes; gives their types by their ids."""
    if not isinstance(document, dict) or "graphs" not in document:
        raise InputError("at $: there is no list 'graphs', so this is no OBO graph document")
    seen: dict[str, tuple[_At, str]] = {}
    for graph in _At(document, "$").items("graphs"):
        for node in graph.items("nodes"):
            identifier = node.text("id")
            if (before := seen.get(identifier)) is not None:
                if before[0].value != node.value:
                    raise InputError(
                        f"at {node.place}: '{identifier}' is there already, with other content, at {before[0].place}",
                        remedy="Remove one",
                    )
                content.report.tolerate("node that occurs again, equal to the first", 1)
                continue
            kind = node.text("type", "CLASS" if {"lbl", "meta"} & node.value.keys() else "")
            if kind not in ("CLASS", "PROPERTY", "INDIVIDUAL", ""):
                raise InputError(f"at {node.place}.type: '{kind}' is no type of node")
            seen[identifier] = (node, kind)
            if kind == "PROPERTY":
                label = node.text("lbl", "")
                content.relation_label(identifier, label)
                if local_name(identifier) == "PREFERRED" and label == "preferred term":
                    content.names_are_preferred = False
    for identifier, (node, kind) in seen.items():
        if kind == "CLASS":
            content.now = node.place
            _class(node, identifier, content)
        elif kind != "PROPERTY":
            content.drop(
                "instance" if kind else "node",
                "instances are no concepts" if kind else "it is only spoken of",
            )
    content.now = ""
    return {identifier: kind for identifier, (_, kind) in seen.items()}


def _class(node: _At, identifier: str, content: Content) -> None:
    content.begin(identifier)
    meta = node.object("meta")
    content.obsolete = meta.flag("deprecated")
    if name := node.text("lbl", ""):
        content.name(name)
    for synonym in meta.items("synonyms"):
        scope = _SCOPES.get(local_name(synonym.text("pred", "hasExactSynonym")).removeprefix("oboInOwl:"))
        if scope is None:
            raise InputError(f"at {synonym.place}.pred: '{synonym.text('pred')}' is no kind of synonym")
        content.synonym(synonym.text("val"), scope, local_name(synonym.text("synonymType", "")))
    if definition := meta.object("definition").text("val", ""):
        content.definition(definition)
    for xref in meta.items("xrefs"):
        content.map(*split_xref(xref.text("val")), xref.details())
    for subset in meta.items("subsets", str):
        content.subset(subset.value)
    for value in meta.items("basicPropertyValues"):
        kind = value.text("valType", "xsd:string")
        content.annotation(value.text("pred"), value.text("val"), kind, value.details())
    for _ in meta.items("comments", str):
        content.drop("clause", "comment is not used")
    content.end()


def _edges(document: Any, types: dict[str, str], content: Content) -> None:
    for graph in _At(document, "$").items("graphs"):
        content.report.tolerate("import that is not fetched", len(list(graph.items("imports", str))))
        for edge in graph.items("edges"):
            content.now = edge.place
            source, kind, target = edge.text("sub"), edge.text("pred"), edge.text("obj")
            if kind in _NOT_RELATIONS or types.get(source) in ("PROPERTY", "INDIVIDUAL"):
                content.drop("edge", "it is not between two classes")
            else:
                content.relation(kind, target, edge.details(), source)
        for axiom in graph.items("logicalDefinitionAxioms"):
            content.now = axiom.place
            content.defines(axiom.text("definedClassId"))
            for genus in axiom.items("genusIds", str):
                content.part("is_a", genus.value)
            for part in axiom.items("restrictions"):
                content.part(part.text("propertyId"), part.text("fillerId"))
        for kind in _AXIOMS:
            for _ in graph.items(kind):
                content.drop("axiom", f"{kind} are not used")
    content.now = ""


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

    def drop(self, kind: str, reason: str) -> None:
        """Count a row that has no place in `Parts`; faultless files have such rows."""
        self._drops[kind, reason] = self._drops.get((kind, reason), 0) + 1

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
        usual = REPLACED_BY if kind == "replaced_by" else POSSIBLY_EQUIVALENT_TO
        self._history.append((self._sctid, self._number(details, "association", usual), self.keys(target)))

    def subset(self, identifier: str) -> None:
        """Note that the concept is in a subset."""
        self._members.append((local_name(identifier), self._sctid))

    def map(self, system: str, target: str, details: Mapping[str, str], predicate: str = HAS_DBXREF) -> None:
        """Note a code of another system."""
        confidence = details.get("confidence", "nan") if details else "nan"
        try:
            trust = float(confidence)
        except ValueError as error:
            raise InputError(f"the confidence '{confidence}' in '{self.now}' is no number") from error
        row: dict[str, Any] = {"system": system, "rule": "TRUE", "advice": "", "predicate": predicate}
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
            case "IAO:0000115":
                self.definition(value)
            case "oboInOwl:hasAlternativeId":
                self.alternate(value)
            case "IAO:0100001" | "oboInOwl:consider":
                self.past("consider" if kind == "oboInOwl:consider" else "replaced_by", value, details)
            case _ if kind in _RECORD:
                self.drop("annotation", f"{kind} is not used")
            case _ if kind.startswith("skos:") and kind.endswith("Match"):
                self.map(*split_xref(value), details, predicate=kind)
            case _:
                number = kind.removeprefix("SCTREL:")
                if number == str(CONCEPT_INACTIVATION):
                    self._reasons[self._sctid] = self.keys(value)
                elif number.isdecimal() and int(number) in ASSOCIATIONS:
                    self._history.append((self._sctid, int(number), self.keys(value)))
                else:
                    group = self._number(details, "group", 0)
                    self._values.append((self._sctid, kind, group, concrete(kind, value, datatype)))

    def relation_label(self, identifier: str, label: str) -> None:
        """Note the name of a relation type."""
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
        subsets = {name: self.keys(name) for name in dict.fromkeys(name for name, _ in self._members)}
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
