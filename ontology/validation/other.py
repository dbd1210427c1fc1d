"""Validation of every format but RF2: its own reader reads it, then the ontology itself is looked through.

Readers stop at the first fault that they refuse, and name its line; what they drop or tolerate stands in the load
report, by reason and number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import polars as pl

from ontology import formats
from ontology.assemble import assemble
from ontology.errors import InputError
from ontology.identifiers import IS_A
from ontology.parts import Parts
from ontology.report import LoadReport
from ontology.validation.findings import FILE, LINE, Findings
from ontology.validation.hierarchy import circles

# What `assemble` counts, and is said here row by row, or is a matter of RF2 alone.
_SAID = ("the source is", "the destination is", "the concept is", "the description's concept")
_OF_RF2 = ("concept without a fully specified name", "concept without a preferred term")


def validate_other(path: Path, findings: Findings, say: Callable[[str], None]) -> None:
    """Check a source by reading it.

    Args:
        path: The file or folder.
        findings: Where problems are noted; its `format` says which reader it is for.
        say: Is told what is being done.
    """
    say(f"reading {path} as {findings.format}")
    report = LoadReport(source=path.resolve().name)
    try:
        parts = formats.read(path, report, findings.format)
    except InputError as error:
        findings.refused("refused", error, path)
        return
    findings.rows = {entry["file"]: int(entry.get("rows", 0)) for entry in report.files_read}
    findings.unread = [
        {"file": str(path / entry["file"]), "reason": str(entry["reason"])} for entry in report.files_not_read
    ]
    say(f"looking through {parts.concepts.height:,} concepts")
    _look(path, parts, findings)
    turning = "cycle" in findings.counts() or "self-loop" in findings.counts()
    try:
        if not (parts.concepts.is_empty() or turning or parts.concepts["sctid"].is_duplicated().any()):
            assemble(report.source, parts, report, path=path)
    except InputError as error:
        findings.refused("refused", error, path)
    _report(path, report, findings)


def _report(path: Path, report: LoadReport, findings: Findings) -> None:
    for kind, reasons in report.dropped.items():
        for reason, count in reasons.items():
            if f"{kind}: {reason}" not in report.expected and not reason.startswith(_SAID):
                findings.one("left-out", path, value=f"{count:,}", detail=f"{kind}: {reason}")
    for what, count in report.tolerated.items():
        if what not in report.expected and not what.startswith(_OF_RF2):
            findings.one("tolerated", path, value=f"{count:,}", detail=what)


def _look(path: Path, parts: Parts, findings: Findings) -> None:
    """Look for what points nowhere, for circles, and for concepts without a name."""
    codes = dict(parts.codes.select("key", "code").iter_rows())
    number = findings.number(path)

    def note(
        kind: str, rows: pl.DataFrame, column: str, ids: str, details: Iterable[str] | None = None
    ) -> None:
        if rows.is_empty():
            return
        here = rows.with_columns(
            pl.Series("_value", [str(codes.get(i, i)) for i in rows[ids].to_list()]),
            pl.lit(number).alias(FILE),
            pl.lit(None, pl.UInt32()).alias(LINE),
            pl.Series("_detail", list(details) if details else [None] * rows.height, dtype=pl.String()),
        )
        findings.add(kind, here, column, value="_value", detail="_detail")

    concepts, retired = parts.concepts["sctid"], parts.inactive["sctid"]
    if concepts.is_empty():
        if parts.maps.is_empty() and parts.terms.is_empty() and parts.relations.is_empty():
            findings.one("no-concept", path)
        else:
            findings.unchecked.append(
                "it has no concepts of its own, so those that it speaks of were not looked up"
            )
        return
    again = parts.concepts.filter(~pl.col("sctid").is_first_distinct())
    note("duplicate-id", again, "concept", "sctid")
    everyone = pl.concat([concepts, retired])
    for end in ("source", "target"):
        of = pl.col(end)
        for kind, wrong in (
            ("dangling", ~of.is_in(everyone.implode())),
            ("inactive-concept", of.is_in(retired.implode()) & ~of.is_in(concepts.implode())),
        ):
            rows = parts.relations.filter(wrong)
            note(kind, rows, end, end, _said(rows, codes))
    for name, table in (("term", parts.terms), ("map", parts.maps)):
        note("dangling", table.filter(~pl.col("sctid").is_in(everyone.implode())), name, "sctid")
    edges = parts.relations.filter(pl.col("type") == IS_A)
    loops = edges.filter(pl.col("source") == pl.col("target"))
    note("self-loop", loops, "is a", "source")
    sctids = np.sort(concepts.unique().to_numpy())
    found = circles(edges, sctids)
    shown = [
        " is a ".join(str(codes.get(int(sctids[node]), sctids[node])) for node in [*circle[:8], circle[0]])
        for _, circle in found
    ]
    note("cycle", edges[[row for row, _ in found]], "is a", "target", shown)
    named = parts.terms.filter(pl.col("term").str.strip_chars() != "")["sctid"]
    note("no-name", parts.concepts.filter(~pl.col("sctid").is_in(named.implode())), "concept", "sctid")


def _said(rows: pl.DataFrame, codes: dict[int, str]) -> list[str]:
    """Say relations as a person reads them."""
    names = {IS_A: "is a", **codes}
    return [
        " ".join(str(names.get(part, part)) for part in row)
        for row in rows.select("source", "type", "target").iter_rows()
    ]
