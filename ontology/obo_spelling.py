"""How OBO spells cross-references, literals and relation names: what its readers and writers share."""

from __future__ import annotations

import re
from functools import cache

from ontology.codes import FIRST, canonical
from ontology.identifiers import normalise_system

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
PREFIXES = {"ICD-10": "ICD10", "ICD-10-CM": "ICD10CM", "SNOMED": "SCTID"}


def xref(system: str, target: str) -> str:
    """Give a code as a cross-reference, `ICD10CM:J18.9`.

    Args:
        system: The code system.
        target: The code.
    """
    return target if system in ("", "IRI") else f"{PREFIXES.get(system, system)}:{target}"


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
