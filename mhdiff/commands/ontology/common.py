"""What the verbs of `mhdiff ontology` share: opening an ontology, and understanding which concept is meant."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from mhdiff import console
from ontology import codes
from ontology.errors import InputError
from ontology.neighbourhood import name_of
from ontology.words import FOLDER

if TYPE_CHECKING:
    from ontology import Ontology

BUILTIN = "builtin"
_MANY = 100_000


def configure_ontology(parser: argparse.ArgumentParser) -> None:
    """Add the ontology and --json to a verb.

    Args:
        parser: The verb's parser.
    """
    parser.add_argument(
        "ontology", metavar="ONTOLOGY", help=f"what `mhdiff ontology build` wrote, or the word {BUILTIN}"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def load(sources: Sequence[str], **options: Any) -> Ontology:
    """Load what `build` was given: sources of any format, or the built-in terminology.

    Args:
        sources: Files and folders, or the word builtin.
        options: As `ontology.load` takes them.
    """
    from ontology.formats import load as load_any

    if BUILTIN not in sources:
        return load_any(list(sources), **options)
    from ontology.builtin import write_rf2

    with tempfile.TemporaryDirectory() as folder:
        here = [str(write_rf2(Path(folder) / BUILTIN)) if s == BUILTIN else s for s in sources]
        return load_any(here, **{**options, "name": options.get("name") or BUILTIN})


def open_ontology(folder: str) -> Ontology:
    """Open a built folder, or build the terminology of our own in memory.

    Args:
        folder: The folder, or the word builtin.
    """
    from ontology import Ontology

    return load([folder]) if folder == BUILTIN else Ontology.open(folder)


def concept(ontology: Ontology, text: str, *, inactive: bool = False) -> int:
    """Understand an SCTID, a code or a term written out.

    Args:
        ontology: The ontology.
        text: What was typed.
        inactive: Whether an inactive concept may be meant, where it is no active one.

    Raises:
        InputError: If it names no concept, or several.
    """
    key = codes.key(text)
    if key in ontology or (inactive and key in ontology.inactive["sctid"]):
        return key
    if text.isascii() and text.isdecimal() and len(text) <= 18:
        return int(ontology.sctids[ontology.index(text)])
    wanted = text.lower()
    announce_index(ontology)
    found = ontology.search(text, limit=5)
    exact = [s for s in found if wanted in _terms(ontology, s)]
    if inactive and not exact:
        retired = [s for s in ontology.search(text, limit=5, inactive=True) if s not in ontology]
        exact = [s for s in retired if wanted in _terms(ontology, s)]
        found += [s for s in retired if s not in found]
    if len(exact) == 1 or (exact and name_of(ontology, exact[0]).term.lower() == wanted):
        return exact[0]
    near = ", ".join(f"{s} ({name_of(ontology, s).term})" for s in exact or found)
    raise InputError(
        f"'{text}' is the term of {'several concepts' if exact else 'no concept'} of '{ontology.name}'",
        remedy=f"Give an SCTID; near are: {near}" if near else "Look with: mhdiff ontology search",
    )


def announce_index(ontology: Ontology) -> None:
    """Say that the first search of a large ontology takes some seconds, as its words are indexed then.

    Args:
        ontology: The ontology.
    """
    terms = ontology.terms.height
    if terms > _MANY and ontology.folder and not (ontology.folder / FOLDER).exists():
        console.say(f"indexing the words of {terms:,} terms, which is done once")


def _terms(ontology: Ontology, sctid: int) -> set[str]:
    if sctid in ontology:
        return {term.lower() for term in (*ontology.synonyms(sctid), ontology.fsn(sctid))}
    return {term.lower() for term in ontology.inactive_terms.filter(pl.col("sctid") == sctid)["term"]}


def named(ontology: Ontology, sctid: int) -> dict[str, Any]:
    """Give a concept with its term, for JSON.

    Args:
        ontology: The ontology.
        sctid: The concept, active or inactive.
    """
    return name_of(ontology, int(sctid)).as_dict()


def print_concepts(ontology: Ontology, sctids: list[int], as_json: bool) -> None:
    """Print concepts, one a line; of inactive ones it is said.

    Args:
        ontology: The ontology.
        sctids: The concepts, in order.
        as_json: Whether to print one JSON document.
    """
    names = [name_of(ontology, int(sctid)) for sctid in sctids]
    if as_json:
        console.out_json([{**name.as_dict(), "fsn": name.fsn, "active": bool(name.active)} for name in names])
        return
    for name in names:
        console.out(f"{name.identifier}  {name.fsn}{'' if name.active else '  (inactive)'}")
