"""An `Ontology` as an OBO flat file that `ontology.readers.obo` reads back.

An SCTID is `SCTID:22298006`. A relation type is a Typedef `SCTREL:363698007`, because an id may stand for one thing
only and the attribute has a concept of its own. `name` is the FSN; synonyms of the type PREFERRED are the preferred
terms; a historical association other than "replaced by" and "possibly equivalent to" is a `replaced_by` or `consider`
with the qualifier `association`; columns of a map that are not as usual are qualifiers of its `xref`.

Not said: the ids of descriptions and relationships, languages and dialects, case significance, modules and effective
times, axioms, and the reference sets other than subsets. A map without a predicate comes back as a cross-reference.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from ontology.codes import FIRST, canonical
from ontology.disassemble import disassemble
from ontology.identifiers import (
    CONCEPT_INACTIVATION,
    IS_A,
    NAMES,
    POSSIBLY_EQUIVALENT_TO,
    REPLACED_BY,
    SAME_AS,
    normalise_system,
)
from ontology.model import Ontology
from ontology.parts import Parts
from ontology.writers.iris import put

ANY_TYPE = "xsd:anyType"
HAS_DBXREF = "oboInOwl:hasDbXref"
_SPACES = {
    "http://www.geneontology.org/formats/oboInOwl#": "oboInOwl:",
    "http://www.w3.org/2004/02/skos/core#": "skos:",
    "http://purl.org/dc/elements/1.1/": "dc:",
    "http://www.w3.org/2000/01/rdf-schema#": "rdfs:",
}
_IRI = re.compile(r"<?[A-Za-z][A-Za-z0-9+.-]*://")
_LOCAL = re.compile(r"https?://purl\.obolibrary\.org/obo/[^#]*#(.+)", re.DOTALL)
_NUMBERS = frozenset(
    ("integer", "int", "long", "short", "decimal", "float", "double", "nonNegativeInteger", "positiveInteger")
)
_PREFIXES = {"ICD-10": "ICD10", "ICD-10-CM": "ICD10CM", "SNOMED": "SCTID"}
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
    given = {"group": 0, "priority": 1, "rule": "TRUE", "advice": "", "origin": "", "category": 0}
    found = {name: str(row[name]) for name, value in given.items() if row[name] != value}
    if row["predicate"] not in ("", HAS_DBXREF):
        found["predicate"] = row["predicate"]
    if not math.isnan(row["confidence"]):
        found["confidence"] = repr(row["confidence"])
    return found


def xref(system: str, target: str) -> str:
    """Give a code as a cross-reference, `ICD10CM:J18.9`.

    Args:
        system: The code system.
        target: The code.
    """
    return target if system in ("", "IRI") else f"{_PREFIXES.get(system, system)}:{target}"


def past(refset: int) -> tuple[str, dict[str, str]]:
    """Give OBO's tag for a historical association, and the qualifiers that tell it from the usual one.

    Args:
        refset: The association's SCTID.
    """
    if refset in (REPLACED_BY, SAME_AS):
        return "replaced_by", {} if refset == REPLACED_BY else {"association": str(refset)}
    return "consider", {} if refset == POSSIBLY_EQUIVALENT_TO else {"association": str(refset)}


def literal(kind: int, value: str) -> tuple[str, str]:
    """Give a concrete value as a literal and its XSD datatype, by its short name.

    Args:
        kind: The type; SNOMED CT's keep RF2's way of writing.
        value: As RF2 writes it.
    """
    if kind < FIRST:
        return value, "xsd:string"
    if value.startswith("#"):
        return value[1:], "xsd:decimal"
    if len(value) > 1 and value.startswith('"') and value.endswith('"'):
        return value[1:-1], "xsd:string"
    return value, ANY_TYPE


def concrete(kind: str, value: str, datatype: str) -> str:
    """Give a literal as RF2 writes it, `#5` or a text in quotes: the inverse of `literal`.

    Args:
        kind: The type's identifier.
        value: The literal.
        datatype: Its XSD datatype, a CURIE or an IRI.
    """
    if kind.removeprefix("SCTREL:").isdecimal() or datatype == ANY_TYPE:
        return value
    return f"#{value}" if re.split("[:#]", datatype)[-1] in _NUMBERS else f'"{value}"'


@cache
def local_name(identifier: str) -> str:
    """Bring an identifier to its short spelling: `skos:exactMatch`, or `part_of` for OBO's `…/obo/x#part_of`.

    Args:
        identifier: An IRI or a CURIE.
    """
    for space, prefix in _SPACES.items():
        if identifier.startswith(space):
            return prefix + identifier[len(space) :]
    found = _LOCAL.fullmatch(identifier)
    return found[1] if found else canonical(identifier)


@cache
def system_of(prefix: str) -> str:
    """Name the code system of a cross-reference's prefix; `SNOMEDCT_US_2025_09_01` is SNOMED.

    Args:
        prefix: What stands before the colon.
    """
    return "SNOMED" if canonical(f"{prefix}:1") == "1" else normalise_system(prefix)


def split_xref(text: str) -> tuple[str, str]:
    """Split a cross-reference into code system and code; an IRI that is no CURIE has the system "IRI".

    Args:
        text: Such as `ICD10CM:J18.9`.
    """
    if _IRI.match(text):
        short = canonical(text)
        if short.isdecimal() or _IRI.match(short):
            return "SNOMED" if short.isdecimal() else "IRI", short
        text = short
    prefix, colon, code = text.partition(":")
    if prefix == "refset":
        number, colon, code = code.partition(":")
        prefix = f"refset:{number}"
    return (system_of(prefix), code) if colon else ("", text)


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
        prefix = _PREFIXES.get(system, system)
        if prefix and system != "IRI" and system_of(prefix) == system:
            code = f"{prefix.translate(_ID)}:{target.translate(_ID)}"
        elif target and split_xref(target) == (system, target):
            code = _code(target)
        else:
            details["system"], code = system, f"code:{target.translate(_ID)}"
        return _qualified(f"xref: {code}", details)
