"""What the verbs of `mhdiff ontology` share: opening an ontology, and understanding which concept is meant."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mhdiff import console
from ontology import codes
from ontology.errors import InputError

if TYPE_CHECKING:
    from ontology import Ontology

BUILTIN = "builtin"


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


def concept(ontology: Ontology, text: str) -> int:
    """Understand an SCTID, a code or a term written out.

    Args:
        ontology: The ontology.
        text: What was typed.

    Raises:
        InputError: If it names no concept, or several.
    """
    plain = text.isascii() and text.isdecimal() and len(text) <= 18
    if plain or codes.key(text) in ontology:
        return int(ontology.sctids[ontology.index(text)])
    found = ontology.search(text, limit=5)
    exact = [
        s for s in found if text.lower() in {t.lower() for t in (*ontology.synonyms(s), ontology.fsn(s))}
    ]
    if len(exact) == 1 or (exact and ontology.term(exact[0]).lower() == text.lower()):
        return exact[0]
    near = ", ".join(f"{sctid} ({ontology.term(sctid)})" for sctid in exact or found)
    raise InputError(
        f"'{text}' is the term of {'several concepts' if exact else 'no concept'} of '{ontology.name}'",
        remedy=f"Give an SCTID; near are: {near}" if near else "Look with: mhdiff ontology search",
    )


def named(ontology: Ontology, sctid: int) -> dict[str, Any]:
    """Give a concept with its term, for JSON.

    Args:
        ontology: The ontology.
        sctid: The concept.
    """
    document: dict[str, Any] = {"sctid": int(sctid), "term": ontology.term(int(sctid))}
    if sctid >= codes.FIRST:
        document["code"] = ontology.identifier(int(sctid))
    return document


def print_concepts(ontology: Ontology, sctids: list[int], as_json: bool) -> None:
    """Print concepts, one a line.

    Args:
        ontology: The ontology.
        sctids: The concepts, in order.
        as_json: Whether to print one JSON document.
    """
    if as_json:
        console.out_json([{**named(ontology, s), "fsn": ontology.fsn(s)} for s in sctids])
        return
    for sctid in sctids:
        console.out(f"{ontology.identifier(sctid)}  {ontology.fsn(sctid)}")
