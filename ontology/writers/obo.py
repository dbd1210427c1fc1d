"""An `Ontology` as an OBO flat file that `ontology.readers.obo` reads back.

An SCTID is `SCTID:22298006`. A relation type is a Typedef `SCTREL:363698007`, because an id may stand for one thing
only and the attribute has a concept of its own. `name` is the FSN; synonyms of the type PREFERRED are the preferred
terms; a historical association other than "replaced by" and "possibly equivalent to" is a `replaced_by` or `consider`
with the qualifier `association`; columns of a map that are not as usual are qualifiers of its `xref`.

`ontology.left_out` tells what OBO has no place for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ontology.codes import FIRST
from ontology.disassemble import disassemble
from ontology.identifiers import (
    CONCEPT_INACTIVATION,
    IS_A,
    NAMES,
    POSSIBLY_EQUIVALENT_TO,
    REPLACED_BY,
    SAME_AS,
)
from ontology.model import Ontology
from ontology.obo_spelling import HAS_DBXREF, PREFIXES, literal, split_xref, system_of, xref
from ontology.parts import Parts
from ontology.writers.iris import put

_QUOTED = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\f": "\\f"})
_BARE = _QUOTED | str.maketrans({c: f"\\{c}" for c in "!{}"} | {"\t": "\\t"})
_ID = _BARE | str.maketrans({c: f"\\{c}" for c in " :,[]()"})
_PLAIN_IRI = re.compile(r"https?://[A-Za-z0-9._~/#?=&:-]+")


def write(onto: Ontology, path: str | Path) -> Path:
    """Write the ontology as OBO 1.4, whole or not at all.

    Args:
        onto: The ontology.
        path: The file; an older one is replaced.

    Returns:
        The file.

    Raises:
        InputError: If the file cannot be written.
    """
    writer = _Writer(onto)
    lines = [
        "format-version: 1.4",
        'synonymtypedef: FULLY_SPECIFIED "one more fully specified name" EXACT',
        'synonymtypedef: PREFERRED "preferred term" EXACT',
        *writer.subsets(),
        f"ontology: {slug(onto.name)}",
    ]
    for sctid, obsolete in concepts_of(onto):
        lines += ["", "[Term]", *writer.term(sctid, obsolete)]
    for kind, identifier in sorted(writer.types.items()):
        lines += ["", "[Typedef]", f"id: {identifier}", f"name: {_bare(type_name(onto, kind))}"]
    return put(path, "\n".join(lines) + "\n")


def gathered(parts: Parts) -> dict[int, dict[str, list[dict[str, Any]]]]:
    """Gather the rows of all tables by the concept that they are about, then by the name of the table.

    Args:
        parts: The content of an ontology.
    """
    content: dict[int, dict[str, list[dict[str, Any]]]] = {}
    tables = {
        "inactive": ("sctid", parts.inactive),
        "concepts": ("sctid", parts.concepts.select("sctid", "defined")),
        "terms": ("sctid", parts.terms.select("sctid", "term", "kind", "preferred")),
        "relations": ("source", parts.relations),
        "values": ("source", parts.values),
        "maps": ("sctid", parts.maps),
        "history": ("source", parts.history),
    }
    if "subset" in parts.members:
        tables["subset"] = ("component", parts.members["subset"].select("component", "refset"))
    for name, (column, frame) in tables.items():
        for row in frame.iter_rows(named=True):
            content.setdefault(row[column], {}).setdefault(name, []).append(row)
    return content


def concepts_of(onto: Ontology) -> Iterator[tuple[int, bool]]:
    """Give every concept, the active ones first, and whether it is inactive.

    Args:
        onto: The ontology.
    """
    yield from ((sctid, False) for sctid in onto.sctids.tolist())
    yield from ((sctid, True) for sctid in onto.inactive["sctid"])


def type_name(onto: Ontology, kind: int) -> str:
    """Name a relation type or the type of a concrete value.

    Args:
        onto: The ontology.
        kind: Its SCTID or key.
    """
    if kind in onto.relation_types:
        return onto.relation_name(kind)
    labels = onto.codes.filter(key=kind)["label"]
    named = onto.term(kind) if kind in onto else NAMES.get(kind, "")
    return named or (labels[0] if len(labels) else "") or onto.identifier(kind)


def unusual(row: dict[str, Any]) -> dict[str, str]:
    """Give the columns of a map that are not what a reader takes for granted, as text.

    Args:
        row: A row of `Parts.maps`.
    """
    given = {"group": 0, "priority": 1, "rule": "TRUE", "advice": "", "category": 0, "predicate": HAS_DBXREF}
    found = {name: str(row[name]) for name, value in given.items() if row[name] != value}
    found["origin"] = row["origin"]  # without it a reader names the file
    if not math.isnan(row["confidence"]):
        found["confidence"] = repr(row["confidence"])
    return found


def past(refset: int) -> tuple[str, dict[str, str]]:
    """Give OBO's tag for a historical association, and the qualifiers that tell it from the usual one.

    Args:
        refset: The association's SCTID.
    """
    if refset in (REPLACED_BY, SAME_AS):
        return "replaced_by", {} if refset == REPLACED_BY else {"association": str(refset)}
    return "consider", {} if refset == POSSIBLY_EQUIVALENT_TO else {"association": str(refset)}


def slug(name: str) -> str:
    """Give a name with letters, digits, dots and hyphens only.

    Args:
        name: Any name.
    """
    return re.sub(r"[^A-Za-z0-9.-]+", "-", name).strip("-") or "ontology"


def _bare(text: str) -> str:
    """Escape a text that stands without quotes; a space at its ends counts, so it is escaped, too."""
    text = text.translate(_BARE)
    start = "\\" if text.startswith(" ") else ""
    if len(text) > 1 and text.endswith(" "):
        text = text[:-1] + "\\ "
    return start + text


def _quoted(text: str) -> str:
    return f'"{text.translate(_QUOTED)}"'


def _code(code: str) -> str:
    if _PLAIN_IRI.fullmatch(code):
        return code
    prefix, colon, local = code.partition(":")
    colon = (
        "\\:" if local.startswith("//") else colon
    )  # else it would be read as an IRI, which has no escapes
    return f"{prefix.translate(_ID)}{colon}{local.translate(_ID)}"


def _qualified(clause: str, qualifiers: dict[str, str]) -> str:
    if not qualifiers:
        return clause
    return f"{clause} {{{', '.join(f'{name}={_quoted(text)}' for name, text in qualifiers.items())}}}"


class _Writer:
    """Writes the clauses of one concept after another."""

    def __init__(self, onto: Ontology) -> None:
        self._onto = onto
        self._content = gathered(disassemble(onto))
        everyone = {*onto.sctids.tolist(), *onto.inactive["sctid"]}
        self.types = {
            kind: f"SCTREL:{onto.identifier(kind).translate(_ID)}"
            if kind < FIRST or kind in everyone
            else _code(onto.identifier(kind))
            for kind in (set(onto.relation_types.tolist()) | set(onto.values["type"])) - {IS_A}
        }

    def subsets(self) -> list[str]:
        labels = dict(self._onto.codes.select("key", "label").iter_rows())
        members = self._onto.members.get("subset")
        keys = [] if members is None else members["refset"].unique().sort().to_list()
        return [f"subsetdef: {self._id(key, '')} {_quoted(labels.get(key, ''))}" for key in keys]

    def term(self, sctid: int, obsolete: bool) -> list[str]:
        rows = self._content[sctid]
        lines = [f"id: {self._id(sctid)}", *self._terms(rows.get("terms", []))]
        lines += [f"subset: {self._id(row['refset'], '')}" for row in rows.get("subset", [])]
        lines += [self._map(row) for row in rows.get("maps", [])]
        for row in rows.get("relations", []):
            kind, group = row["type"], {"group": str(row["group"])} if row["group"] else {}
            said = f"relationship: {self.types[kind]}" if kind != IS_A else "is_a:"
            lines.append(_qualified(f"{said} {self._id(row['target'])}", group))
        if rows["inactive" if obsolete else "concepts"][0]["defined"]:
            lines.append('property_value: defined "true" xsd:boolean')
        for row in rows.get("values", []):
            text, datatype = literal(row["type"], row["value"])
            group = {"group": str(row["group"])} if row["group"] else {}
            lines.append(
                _qualified(f"property_value: {self.types[row['type']]} {_quoted(text)} {datatype}", group)
            )
        if obsolete:
            if reason := rows["inactive"][0]["reason"]:
                lines.append(f"property_value: SCTREL:{CONCEPT_INACTIVATION} {self._id(reason)}")
            lines.append("is_obsolete: true")
        for row in rows.get("history", []):
            tag, qualifiers = past(row["refset"])
            lines.append(_qualified(f"{tag}: {self._id(row['target'])}", qualifiers))
        return lines

    def _id(self, sctid: int, prefix: str = "SCTID:") -> str:
        return f"{prefix}{sctid}" if sctid < FIRST else _code(self._onto.identifier(sctid))

    def _terms(self, rows: list[dict[str, Any]]) -> Iterator[str]:
        seen = set()
        for row in rows:
            kind, text = row["kind"], row["term"]
            match kind:
                case "fsn" if kind not in seen and text:
                    yield f"name: {_bare(text)}"
                case "fsn":
                    yield f"synonym: {_quoted(text)} EXACT FULLY_SPECIFIED []"
                case "definition" if kind not in seen:
                    yield f"def: {_quoted(text)} []"
                case "definition":
                    yield f"property_value: IAO:0000115 {_quoted(text)} xsd:string"
                case "synonym":
                    yield f"synonym: {_quoted(text)} EXACT {'PREFERRED ' if row['preferred'] else ''}[]"
                case _:
                    yield f"synonym: {_quoted(text)} RELATED []"
            seen.add(kind)

    def _map(self, row: dict[str, Any]) -> str:
        system, target, details = row["system"], row["target"], unusual(row)
        text = xref(system, target)
        skos = details.get("predicate", "")
        if skos.startswith("skos:") and skos.endswith("Match") and split_xref(text) == (system, target):
            del details["predicate"]
            return _qualified(f"property_value: {skos} {_quoted(text)} xsd:string", details)
        prefix = PREFIXES.get(system, system)
        if prefix and system != "IRI" and system_of(prefix) == system:
            code = f"{prefix.translate(_ID)}:{target.translate(_ID)}"
        elif target and split_xref(target) == (system, target):
            code = _code(target)
        else:
            details["system"], code = system, f"code:{target.translate(_ID)}"
        return _qualified(f"xref: {code}", details)
