"""Validation of a folder that `Ontology.save` wrote: its checksums, then whether its columns and indexes agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ontology import closure
from ontology.errors import InputError
from ontology.files import sha256
from ontology.identifiers import IS_A
from ontology.model import Ontology
from ontology.store import MARKER, content_hash, derive, open_ontology, read_document
from ontology.validation.findings import Findings

_TABLES = ("terms", "maps", "details", "values", "inactive", "inactive_terms", "dialects", "history", "axioms",
           "stated", "codes")  # fmt: skip


def validate_folder(folder: Path, findings: Findings, say: Callable[[str], None]) -> None:
    """Check a saved ontology.

    Args:
        folder: The folder.
        findings: Where problems are noted.
        say: Is told what is being done.
    """
    try:
        document = read_document(folder)
    except InputError as error:
        findings.refused("damaged", error, folder)
        return
    say(f"comparing {len(document['sha256'])} checksums ({sum(document['bytes'].values()) / 1e6:,.1f} MB)")
    known = {MARKER, *document["sha256"]}
    for entry in sorted(folder.iterdir()):
        if entry.name not in known:
            findings.unread.append(
                {"file": str(entry), "reason": "it was put there later; its own file vouches for it"}
            )
    if _damaged(folder, document, findings):
        findings.unchecked.append("files are damaged, so what they hold was not compared")
        return
    try:
        ontology = open_ontology(folder, verify=False)
        tables = {name: getattr(ontology, name) for name in (*_TABLES, "members")}
        findings.rows = {str(folder / f"{name}.arrow"): tables[name].height for name in _TABLES}
        say(f"deriving the indexes of {len(ontology):,} concepts again")
        _compare(ontology, tables, document, folder, findings)
    except InputError as error:
        findings.refused("damaged", error, folder)


def _damaged(folder: Path, document: dict[str, Any], findings: Findings) -> int:
    """Compare size and checksum of every file, and give how many differ."""
    names = sorted(document["sha256"])
    missing = [name for name in names if not (folder / Path(name).name).is_file()]
    there = [name for name in names if name not in missing]
    with ThreadPoolExecutor() as pool:
        sums = list(pool.map(sha256, (folder / Path(name).name for name in there)))
    for name in missing:
        findings.one("damaged", folder / name, detail="it is missing")
    wrong = 0
    for name, found in zip(there, sums, strict=True):
        size, expected = (folder / Path(name).name).stat().st_size, document["bytes"].get(name)
        if found != document["sha256"][name]:
            wrong += 1
            detail = f"{size:,} bytes instead of {expected:,}" if size != expected else "its checksum differs"
            findings.one("damaged", folder / name, detail=detail)
    return wrong + len(missing)


def _compare(
    ontology: Ontology, tables: dict[str, Any], document: dict[str, Any], folder: Path, findings: Findings
) -> None:
    wrong = list(_contradictions(ontology, tables, document))
    for name, detail in wrong:
        findings.one("inconsistent", folder / name, detail=detail)
    if wrong:
        findings.unchecked.append("columns contradict one another, so the indexes were not derived from them")
        return
    plain = Ontology(
        ontology.name, ontology.sctids, ontology.defined, ontology.relation_types, ontology.relations,
        report=ontology.report, **tables,
    )  # fmt: skip
    order = closure.levels(plain.parent_links, plain.child_links)
    if sum(map(len, order)) < len(plain):
        findings.one("inconsistent", folder / "relation_target.npy", detail="is-a goes in circles")
        return
    for name, array in derive(plain).items():
        if not np.array_equal(array, ontology.indexes[name]):
            findings.one("inconsistent", folder / f"{name}.npy", detail="it is not what the columns give")
    if content_hash(plain) != document["fingerprint"]:
        findings.one("inconsistent", folder / MARKER, detail="the fingerprint is not that of the content")


def _contradictions(
    ontology: Ontology, tables: dict[str, Any], document: dict[str, Any]
) -> Iterator[tuple[str, str]]:
    """Give each file that cannot go with the others, and why."""
    size, relations = len(ontology), ontology.relations
    for name in ("concepts", "relations", "terms", "maps"):
        found = {"concepts": size, "relations": len(relations)}.get(name)
        found = tables[name].height if found is None else found
        if document.get(name) != found:
            yield MARKER, f"it says {document.get(name)} {name}, and there are {found}"
    if (np.diff(ontology.sctids) <= 0).any():
        yield "sctids.npy", "the concepts do not ascend"
    for name, column in (("defined", ontology.defined), ("details", tables["details"])):
        if len(column) != size:
            yield (
                f"{name}.{'npy' if name == 'defined' else 'arrow'}",
                f"{len(column)} rows for {size} concepts",
            )
    types = ontology.relation_types
    if not len(types) or types[0] != IS_A or len(np.unique(types)) < len(types):
        yield "relation_types.npy", "is-a is not the first type, or a type is there twice"
    for name, bound in (
        ("source", size),
        ("target", size),
        ("type", len(types)),
        ("group", None),
        ("id", None),
    ):
        column = getattr(relations, name)
        if name == "id" and column is None:
            continue
        if len(column) != len(relations):
            yield f"relation_{name}.npy", f"{len(column)} rows for {len(relations)} relations"
        elif bound is not None and len(column) and (column.min() < 0 or column.max() >= bound):
            yield f"relation_{name}.npy", "a number is out of bounds"
    for name in ("terms", "maps", "values"):
        nodes = tables[name]["concept"].to_numpy()
        if len(nodes) and (nodes.min() < 0 or nodes.max() >= size):
            yield f"{name}.arrow", "it speaks of a concept that is not there"
        elif (np.diff(nodes) < 0).any():
            yield f"{name}.arrow", "its rows are not ordered by concept"
