"""Validation of RF2: every file of every release, then what the rows of all packages together say.

Unlike the loader, which stops at the first fault, it goes on: a line or a value that is wrong is noted and left out,
and of identifiers that such a line mentions nothing more is said. So each fault is one problem.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl

from ontology.errors import InputError
from ontology.rf2_files import RF2File
from ontology.validation import components, members, states
from ontology.validation.columns import CONCEPT, OWN, RELATIONSHIP, read_table
from ontology.validation.findings import FILE, LINE, Findings
from ontology.validation.hierarchy import check_hierarchy, edges_of
from ontology.validation.owl import check_axioms
from ontology.validation.package import Packages, find_packages
from ontology.validation.references import MODULE, SORTS, Known, check

Say = Callable[[str], None]
_FIRST = (
    "concept",
    "description",
    "relationship",
    "stated relationship",
    "concrete values",
    "language",
    "identifier",
)
_SLIM = ["id", "active", "moduleId", FILE, LINE, "_package"]


def validate_rf2(sources: Sequence[Path], findings: Findings, say: Say) -> None:
    """Check RF2 packages.

    Args:
        sources: Folders and zips, the edition first.
        findings: Where problems are noted.
        say: Is told what is being done.
    """
    packages = find_packages(sources, findings)
    if packages.files:
        _Run(packages, findings, say).check(sources[0])


class _Run:
    """One validation: reads the files of a kind, checks them, and keeps of them what later kinds refer to."""

    def __init__(self, packages: Packages, findings: Findings, say: Say) -> None:
        self.packages, self.findings, self.say = packages, findings, say
        self.known = Known(unread=packages.unread)
        self.modules = pl.DataFrame()
        self.done = 0

    def check(self, source: Path) -> None:
        """Check everything.

        Args:
            source: The first package, for what is wrong with the whole.
        """
        known, findings = self.known, self.findings
        concepts = self._concepts(source)
        descriptions = self._descriptions(concepts)
        edges = self._relationships(concepts)
        self.say("checking the hierarchy")
        if edges.width:
            check_hierarchy(edges, concepts, known, findings)
        preferred = self._language(descriptions)
        if preferred.width:
            components.check_preferred(concepts, descriptions, preferred, known, findings)
        identifiers = self._rows("identifier")
        if identifiers.width:
            members.check_identifiers(identifiers, known, findings)
        dependencies = pl.DataFrame()
        for kind in dict.fromkeys(f.kind for f in self.packages.files if f.kind not in _FIRST):
            found = self._members(kind)
            dependencies = found if kind == "module dependency" else dependencies
        if "module dependency" not in known.unread:
            members.check_dependencies(dependencies, self.modules, findings)
        self._unchecked()

    def _concepts(self, source: Path) -> pl.DataFrame:
        known = self.known
        rows = self._rows("concept")
        if not rows.width:
            rows = pl.DataFrame(
                schema=dict.fromkeys(_SLIM[:4], pl.Int64()) | dict.fromkeys(_SLIM[4:], pl.UInt32())
            )
        rows = rows.select(_SLIM)
        known.concepts = rows["id"]
        known.active = rows.filter(pl.col("active") == 1)["id"]
        known.sorts = set(known.active.filter(known.active.is_in(list(SORTS))).to_list())
        check(rows, "moduleId", known, self.findings, sort=MODULE)
        if not known.active.len() and known.judged(CONCEPT):
            self.findings.one("no-concept", source)
        active = rows.filter(pl.col("active") == 1).drop_nulls("moduleId")
        # as in the load report, the modules are those of concepts
        self.modules = active.unique("moduleId", keep="first", maintain_order=True)
        return rows

    def _descriptions(self, concepts: pl.DataFrame) -> pl.DataFrame:
        rows = self._rows("description")
        if not rows.width:
            empty = {"id": pl.Int64(), "conceptId": pl.Int64(), "typeId": pl.Int64(), "active": pl.Int8(),
                     FILE: pl.UInt16(), LINE: pl.UInt32(), "_package": pl.UInt16(), "named": pl.Boolean()}  # fmt: skip
            return pl.DataFrame(schema=empty)
        slim = components.check_descriptions(rows, self.known, self.findings)
        self.known.descriptions = slim["id"]
        components.check_names(concepts, slim, self.known, self.findings)
        return slim

    def _relationships(self, concepts: pl.DataFrame) -> pl.DataFrame:
        ids, edges = [], []
        for kind in (kind for kind, part in OWN.items() if part == RELATIONSHIP):
            rows = self._rows(kind)
            if rows.width:
                components.check_relationships(kind, rows, concepts, self.known, self.findings)
                ids.append(rows["id"])
                if "destinationId" in rows.columns:
                    stated = pl.lit(True) if kind.startswith("stated") else pl.col("stated")
                    edges.append(edges_of(rows).with_columns(stated=stated))
        if ids:
            self.known.relationships = pl.concat(ids)
        return pl.concat(edges) if edges else pl.DataFrame()

    def _language(self, descriptions: pl.DataFrame) -> pl.DataFrame:
        rows = self._rows("language")
        return members.check_language(rows, descriptions, self.known, self.findings) if rows.width else rows

    def _members(self, kind: str) -> pl.DataFrame:
        rows = self._rows(kind)
        if rows.width:
            files = [file for file in self.packages.files if file.kind == kind]
            members.check_members(kind, rows, files, self.known, self.findings)
            if kind == "OWL expression":
                check_axioms(rows, self.known, self.findings)
        return rows

    def _rows(self, kind: str) -> pl.DataFrame:
        """Read the files of a kind, and give the latest row of each component."""
        tables: list[tuple[RF2File, pl.DataFrame]] = []
        for file in (file for file in self.packages.files if file.kind == kind):
            self.done += 1
            total = len(self.packages.files)
            self.say(
                f"checking {self.done} of {total}: {file.entry.filename} ({file.entry.size / 1e6:,.1f} MB)"
            )
            try:
                table = read_table(file, self.findings, self.packages.dates[file.package])
            except InputError as error:
                self.findings.refused("unreadable", error, file.path)
                self.packages.unread.add(kind)
                continue
            self.known.mentioned |= table.mentioned
            tables.append((file, table.rows))
        found = states.latest(kind, tables, self.packages, self.findings)
        del tables
        return found.with_columns(pl.col("active").fill_null(1)) if found.width else found

    def _unchecked(self) -> None:
        known, say = self.known, self.findings.unchecked.append
        for kind in sorted(known.unread):
            say(f"not all {kind} rows are here to be read, so what refers to them was not looked up")
        left = [what for sort, what in SORTS.items() if sort not in known.sorts]
        if left and known.judged(CONCEPT):
            say(f"the release lacks the metadata concepts, so these were not looked up: {', '.join(left)}")
