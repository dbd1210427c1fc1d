"""Identifiers of any terminology as int64 keys: an SCTID is its own key, any other code gets one from its hash.

An SCTID has at most 18 digits. A key lies between 10^18 and 2^63 and so can be taken for no SCTID; it is the first
eight bytes of the BLAKE2b hash of the code's canonical spelling, so that it is the same in every run and every file.
Canonical is a CURIE with the prefix that the OBO library uses (`DOID:1816`), a bare number for SNOMED CT, and the IRI
itself for everything else.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

import polars as pl

from ontology.errors import InputError
from ontology.tables import CODES, fill

FIRST = 10**18
_RANGE = 2**63 - FIRST
_SNOMED = re.compile(
    r"(?:https?://snomed\.info/(?:id|sct)/|http://purl\.bioontology\.org/ontology/SNOMEDCT/"
    r"|(?:sctid|sct|snomed|snomedct|snomed_ct|snomed-ct|snomedct_us(?:_\d{4}_\d\d_\d\d)?):)?([0-9]{1,18})",
    re.IGNORECASE,
)
_OBO = re.compile(
    r"https?://purl\.obolibrary\.org/obo/([A-Za-z][A-Za-z0-9]*(?:_[A-Za-z]+)?)_([A-Za-z0-9.\-]+)"
)


def canonical(identifier: str) -> str:
    """Bring the spellings of an identifier to one: IRIs of SNOMED CT to the number, OBO's to a CURIE.

    Args:
        identifier: An SCTID, a CURIE or an IRI, with or without angle brackets.
    """
    text = identifier.strip().removeprefix("<").removesuffix(">")
    if found := _SNOMED.fullmatch(text):
        return str(int(found[1]))
    if found := _OBO.fullmatch(text):
        return f"{found[1]}:{found[2]}"
    return text


def key(identifier: str) -> int:
    """Give the key of an identifier: the SCTID itself, or 19 digits made of the code's hash.

    Args:
        identifier: An SCTID, a CURIE or an IRI.
    """
    text = canonical(identifier)
    if text.isascii() and text.isdecimal() and len(text) <= 18 and int(text):
        return int(text)
    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest()
    return FIRST + int.from_bytes(digest, "big") % _RANGE


class Keys:
    """Makes keys and remembers the codes behind them, for a reader's `Parts.codes`.

    Example: `keys = Keys(); sctid = keys("DOID:1816", "angiosarcoma"); Parts(..., codes=keys.frame())`.
    """

    def __init__(self) -> None:
        self._codes: dict[int, str] = {}
        self._labels: dict[int, str] = {}
        self._seen: dict[str, int] = {}

    def __call__(self, identifier: str, label: str = "") -> int:
        """Give the key of an identifier, and keep its label where it is no SCTID."""
        found = self._seen.get(identifier)
        if found is None:
            found = self._seen[identifier] = key(identifier)
            text = canonical(identifier)
            if found >= FIRST and self._codes.setdefault(found, text) != text:
                raise InputError(
                    f"'{text}' and '{self._codes[found]}' have the same hash", remedy="Rename one"
                )
        if label and found >= FIRST:
            self._labels.setdefault(found, label)
        return found

    def many(self, identifiers: Iterable[str]) -> list[int]:
        """Give the keys of many identifiers.

        Args:
            identifiers: SCTIDs, CURIEs or IRIs.
        """
        return [self(identifier) for identifier in identifiers]

    def frame(self) -> pl.DataFrame:
        """Give the table of the codes seen that are no SCTIDs: key, code, label."""
        keys = sorted(self._codes)
        return fill(
            CODES,
            pl.DataFrame(
                {
                    "key": keys,
                    "code": [self._codes[k] for k in keys],
                    "label": [self._labels.get(k, "") for k in keys],
                },
                schema=CODES,
            ),
        )
