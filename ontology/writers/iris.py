"""Identifiers as IRIs and back, and files written whole: what the RDF and OWL writers and readers share.

An SCTID is `http://snomed.info/id/N`, an OBO CURIE its PURL, an IRI itself, and any other code a
`urn:mh-diff:code:` with the code percent-encoded.
"""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from ontology.codes import FIRST, canonical
from ontology.errors import InputError
from ontology.files import atomic_write

if TYPE_CHECKING:
    from ontology.model import Ontology

BASE = "http://snomed.info/id/"
CODE = "urn:mh-diff:code:"
MAP = "urn:mh-diff:map:"
DEFINITION_STATUS = 900000000000225001
HISTORICAL_ASSOCIATION = 900000000000522004
# Spelled so that nobody's own IRI ends in it: `...#role` is the name of somebody's class.
ROLE, VALUE = "#mh-diff-role", "#mh-diff-value"

SYSTEMS = {
    "ICD-10": "http://hl7.org/fhir/sid/icd-10",
    "ICD-10-CM": "http://hl7.org/fhir/sid/icd-10-cm",
    "LOINC": "http://loinc.org",
}
ILLEGAL_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_IRI = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:[^\x00-\x20<>\"{}|^`\\]+")
_CURIE = re.compile(r"([A-Za-z][A-Za-z0-9]*(?:_[A-Za-z]+)?):([A-Za-z0-9.\-]+)")


def to_iri(identifier: str) -> str:
    """Give the IRI of an identifier.

    Args:
        identifier: An SCTID as text, a CURIE, an IRI or any code.
    """
    if identifier.isascii() and identifier.isdecimal():
        return BASE + identifier
    if curie := _CURIE.fullmatch(identifier):
        purl = f"http://purl.obolibrary.org/obo/{curie[1]}_{curie[2]}"
        if canonical(purl) == identifier:
            return purl
    if _IRI.fullmatch(identifier) and not identifier.startswith(CODE) and canonical(identifier) == identifier:
        return identifier
    return CODE + quote(identifier, safe="")


def from_iri(iri: str) -> str:
    """Give the identifier that `to_iri` made the IRI of; a role's or value's suffix is taken off.

    Args:
        iri: The IRI.
    """
    if iri.startswith(CODE):
        return unquote(iri.removeprefix(CODE))
    return canonical(iri.removesuffix(ROLE).removesuffix(VALUE))


def iris(onto: Ontology) -> dict[int, str]:
    """Give the IRI of every key that is no SCTID.

    Args:
        onto: The ontology.
    """
    return {key: to_iri(code) for key, code in onto.codes.select("key", "code").iter_rows()}


def iri_of(key: int, known: dict[int, str]) -> str:
    """Give a key's IRI.

    Args:
        key: An SCTID or a key of `ontology.codes`.
        known: What `iris` gave.
    """
    return f"{BASE}{key}" if key < FIRST else known.get(key) or f"{CODE}{key}"


def identity(onto: Ontology) -> str:
    """Give an IRI of the content: the same ontology has the same one, whatever its folder is called.

    Args:
        onto: The ontology.
    """
    return uuid.uuid5(uuid.NAMESPACE_URL, f"mh-diff:{onto.fingerprint}").urn


def put(path: str | Path, data: str | bytes) -> Path:
    """Write a file whole or not at all.

    Args:
        path: The file; an older one is replaced.
        data: Its text (UTF-8) or bytes.

    Raises:
        InputError: If the file cannot be written.
    """
    try:
        atomic_write(path, data)
    except OSError as error:
        raise InputError(
            f"the file cannot be written ({error.strerror or error})",
            path=path,
            remedy="Name a file in a folder that you may write to",
        ) from error
    return Path(path)
