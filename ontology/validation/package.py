"""The files of RF2 packages: which there are, which are read for what, and the date of their release."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ontology.errors import InputError
from ontology.rf2_files import RELEASES, RF2_NAME, RF2File, classify, header_faults, promised_kind
from ontology.rf2_source import Entry, entries
from ontology.validation.columns import check_header
from ontology.validation.findings import Findings

_DATE = re.compile(r"(?<![0-9])([12][0-9]{3}[01][0-9][0-3][0-9])(?![0-9])")
_NEEDED = {"concept": "sct2_Concept_Snapshot", "relationship": "sct2_Relationship_Snapshot"}


@dataclass
class Packages:
    """What there is to check.

    Attributes:
        files: All RF2 files that can be read, of every release of every package; a folder or zip may hold several.
        chosen: For each package the release that is its content: Snapshot, else Full, else (but not of the first
            package) Delta; "" where no name says one.
        dates: The release's date of each package, 0 where no name says one.
        unread: Kinds of files of which at least one cannot be read, so that what refers to them cannot be judged.
        lone_delta: Whether the first package is a Delta, whose identifiers are in a release that is not here.
    """

    files: list[RF2File] = field(default_factory=list)
    chosen: list[str] = field(default_factory=list)
    dates: list[int] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)
    lone_delta: bool = False

    def is_content(self, file: RF2File) -> bool:
        """Say whether a file's rows are what is loaded; the others are other releases of the same package.

        Args:
            file: The file.
        """
        return file.release in ("", self.chosen[file.package])


def find_packages(sources: Sequence[Path], findings: Findings) -> Packages:
    """Find the files of all packages, and note what is wrong with them as files.

    Args:
        sources: Folders and zips, the edition first.
        findings: Where problems are noted.
    """
    found = Packages()
    for number, source in enumerate(sources):
        here = _files(number, source, found, findings)
        releases = {file.release for file in here} - {""}
        chosen = next((r for r in ("Snapshot", "Full", "Delta") if r in releases), "")
        found.lone_delta |= not number and chosen == "Delta" and all(file.release for file in here)
        for folder in sorted({_folder(file) for file in here}):
            files = [replace(f, package=len(found.chosen)) for f in here if _folder(f) == folder]
            found.chosen.append(chosen)
            found.dates.append(_release_date(source, folder, files, findings))
            found.files += files
    findings.release_dates = [str(date or "") for date in found.dates]
    if found.lone_delta:
        findings.one("only-delta", sources[0])
        found.unread |= {"concept", "description", "relationship", "language"}
    content = {file.kind for file in found.files if found.is_content(file)} | found.unread
    for kind, name in _NEEDED.items():
        if kind not in content and found.files:
            findings.one(
                "missing-file",
                sources[0],
                detail=f"there is no {kind} file",
                remedy=f"Its name begins with {name}_",
            )
            found.unread.add(kind)
    return found


def _files(number: int, source: Path, found: Packages, findings: Findings) -> list[RF2File]:
    try:
        there = entries(source)
    except InputError as error:
        findings.refused("unreadable", error, source)
        found.unread |= {"concept", "description", "relationship", "language"}
        return []
    here, seen = [], False
    for entry in there:
        if not RF2_NAME.match(entry.filename):
            findings.unread.append({"file": str(entry.path), "reason": "its name is not that of an RF2 file"})
            continue
        seen = True
        try:
            file = classify(entry, number, source)
        except InputError:
            for fault in header_faults(entry):
                findings.refused("header" if _opens(entry) else "unreadable", fault, entry.path)
            found.unread.add(promised_kind(entry.filename) or "reference set")
            continue
        check_header(file, findings)
        # names that begin so are those of our own columns
        own = tuple(f"column {column}" if column.startswith("_") else column for column in file.header)
        here.append(replace(file, header=own))
    if not seen:
        findings.one("no-release", source)
    return here


def _opens(entry: Entry) -> bool:
    """Say whether a file can be read at all."""
    try:
        for _ in entry.lines():
            break
    except InputError:
        return False
    return True


def _folder(file: RF2File) -> str:
    """Give the folder above Snapshot, Full and Delta: a source may hold several packages side by side."""
    parts = file.name.split("/")
    return "/".join(parts[: next((i for i, part in enumerate(parts) if part in RELEASES), 0)])


def _release_date(source: Path, folder: str, files: Sequence[RF2File], findings: Findings) -> int:
    """Take the date in the name of the folder or zip; where it has none, the latest one in the files' names."""
    named = {file.path: _dates(file.entry.filename) for file in files}
    own = _dates(folder) or _dates(source.resolve().name)
    own = own or [date for dates in named.values() for date in dates]
    released = max(own, default=0)
    for path, dates in named.items():
        if dates and dates[-1] != released:
            findings.one("release-date", path, value=str(dates[-1]), detail=f"the release is of {released}")
    if files and not released:
        findings.unchecked.append(
            f"{source.name}: no name says the release's date, so no effectiveTime is held against it"
        )
    return released


def _dates(name: str) -> list[int]:
    return [int(text) for text in _DATE.findall(name)]
