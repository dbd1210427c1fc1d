"""RF2 files: which ones a release holds, and what each is by its header.

A file's kind is decided by the columns of its header, since editions rename files; where the name promises a core
kind, the header must keep the promise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ontology.errors import InputError
from ontology.report import LoadReport
from ontology.rf2_source import Entry, entries

_COMPONENT = ("id", "effectiveTime", "active", "moduleId")
MEMBER = (*_COMPONENT, "refsetId", "referencedComponentId")
_RELATIONSHIP = (
    "sourceId",
    "destinationId",
    "relationshipGroup",
    "typeId",
    "characteristicTypeId",
    "modifierId",
)
_MAP = ("mapGroup", "mapPriority", "mapRule", "mapAdvice", "mapTarget")
# The columns that make a file what it is, the most telling kinds first.
COLUMNS: dict[str, tuple[str, ...]] = {
    "concept": (*_COMPONENT, "definitionStatusId"),
    "description": (*_COMPONENT, "conceptId", "languageCode", "typeId", "term", "caseSignificanceId"),
    "relationship": (*_COMPONENT, *_RELATIONSHIP),
    "stated relationship": (*_COMPONENT, *_RELATIONSHIP),
    "concrete values": (*_COMPONENT, "sourceId", "value", *_RELATIONSHIP[2:]),
    "identifier": ("alternateIdentifier", *_COMPONENT[1:], "identifierSchemeId", "referencedComponentId"),
    "language": (*MEMBER, "acceptabilityId"),
    "extended map": (*MEMBER, *_MAP, "correlationId"),
    "simple map": (*MEMBER, "mapTarget"),
    "association": (*MEMBER, "targetComponentId"),
    "attribute value": (*MEMBER, "valueId"),
    "OWL expression": (*MEMBER, "owlExpression"),
    "module dependency": (*MEMBER, "sourceEffectiveTime", "targetEffectiveTime"),
    "description type": (*MEMBER, "descriptionFormat", "descriptionLength"),
    "reference set descriptor": (*MEMBER, "attributeDescription", "attributeType", "attributeOrder"),
    "MRCM domain": (*MEMBER, "domainConstraint", "parentDomain"),
    "MRCM attribute domain": (*MEMBER, "domainId", "grouped", "attributeCardinality"),
    "MRCM attribute range": (*MEMBER, "rangeConstraint", "attributeRule"),
    "MRCM module scope": (*MEMBER, "mrcmRuleRefsetId"),
    "reference set": MEMBER,
}
# Kinds that become something else than a generic table of members.
COMPONENTS = (
    "concept",
    "description",
    "relationship",
    "stated relationship",
    "concrete values",
    "identifier",
)
# What a file's name promises; its header must then keep the promise.
_PROMISES = (
    (re.compile(r"sct2_Concept_"), "concept"),
    (re.compile(r"sct2_(Description|TextDefinition)_"), "description"),
    (re.compile(r"sct2_StatedRelationship_"), "stated relationship"),
    (re.compile(r"sct2_Relationship_"), "relationship"),
    (re.compile(r"sct2_RelationshipConcreteValues_"), "concrete values"),
    (re.compile(r"der2_\w*Refset_[^_]*Language(Full|Snapshot|Delta)?[-_]"), "language"),
    (re.compile(r"der2_iissscc?Refset_"), "extended map"),
)
RF2_NAME = re.compile(r"^[xz]?(sct|der)\d?_.*\.txt$", re.IGNORECASE)
RELEASES = ("Full", "Snapshot", "Delta")
_RELEASE_IN_NAME = re.compile(r"(Full|Snapshot|Delta)(?=[-_.])")
_OPTIONAL = {"correlationId"}
FORMAT = "See the RF2 file formats in the SNOMED CT Release File Specification"


@dataclass(frozen=True)
class RF2File:
    """One file of a release.

    Attributes:
        entry: Where it is.
        name: Its path within the release.
        kind: A key of `COLUMNS`; for reference sets of unknown columns, "reference set" and those columns.
        release: Full, Snapshot, Delta, or "" where nothing says it.
        header: The columns.
        header_line: The line of the header; comments and blank lines may precede it.
        package: Number of the package that it belongs to, later ones win over earlier ones of the same time.
    """

    entry: Entry
    name: str
    kind: str
    release: str
    header: tuple[str, ...]
    header_line: int
    package: int = 0

    @property
    def path(self) -> Path:
        """Where it is, for messages."""
        return self.entry.path


def find_files(
    source: str | Path, report: LoadReport, *, package: int = 0, release: str = ""
) -> list[RF2File]:
    """Find the files to read of one package.

    Args:
        source: A release folder, or its zip.
        report: Where the files that are not read are listed, with the reason.
        package: Number of the package among those that are read together.
        release: Full, Snapshot or Delta; by default the Snapshot, or the Full where there is none, or (but not for the
            first package) the Delta.

    Raises:
        InputError: If there is no RF2 file, only a Delta, or a file whose header breaks its name's promise.
    """
    root = Path(source)
    found: list[RF2File] = []
    for entry in entries(root):
        if RF2_NAME.match(entry.filename):
            found.append(classify(entry, package, root))
        else:
            report.files_not_read.append(
                {"file": entry.name, "reason": "its name is not that of an RF2 file"}
            )
    releases = {file.release for file in found} - {""}
    wanted = release or next((r for r in ("Snapshot", "Full", "Delta") if r in releases), "Snapshot")
    if not found or (wanted == "Delta" and not package) or (release and releases and release not in releases):
        raise InputError(
            "there is no RF2 file"
            if not found
            else f"there is no {release} here"
            if release and release not in releases
            else "there is only a Delta, which is no terminology by itself",
            path=root,
            remedy=f"A point in time needs a release with its {release}"
            if release == "Full"
            else "Give a release with its Snapshot; a Delta comes after the release that it changes",
        )
    kept = []
    for file in found:
        if file.release in (wanted, ""):
            kept.append(file)
        else:
            reason = f"it belongs to the {file.release}, the {wanted} is read"
            report.files_not_read.append({"file": file.name, "reason": reason})
    return kept


def classify(entry: Entry, package: int, root: Path) -> RF2File:
    """Tell by its name and header what a file is.

    Args:
        entry: The file.
        package: Number of the package that it belongs to.
        root: The package's folder or zip.

    Raises:
        InputError: If the header is not there, breaks the name's promise, or names a column twice.
    """
    header, line = _header(entry)
    kind = _kind(entry, header)
    for fault in header_faults(entry, header, line, kind):
        raise fault
    if kind == "reference set" and len(header) > len(MEMBER):
        kind = f"reference set with {', '.join(c for c in header if c not in MEMBER)}"
    named = _RELEASE_IN_NAME.findall(entry.filename) or [
        part for part in (*root.resolve().parts, *entry.name.split("/")) if part in RELEASES
    ]
    return RF2File(entry, entry.name, kind, named[-1] if named else "", header, line, package)


def _kind(entry: Entry, header: tuple[str, ...]) -> str:
    promised = promised_kind(entry.filename)
    kinds = (kind for kind, columns in COLUMNS.items() if set(columns) <= set(header))
    return promised or next(kinds, "reference set")


def promised_kind(filename: str) -> str:
    """Give the kind that a file's name promises, "" where it promises none.

    Args:
        filename: The file's name.
    """
    return next((kind for pattern, kind in _PROMISES if pattern.search(filename)), "")


def header_faults(
    entry: Entry, header: tuple[str, ...] | None = None, line: int = 0, kind: str = ""
) -> list[InputError]:
    """List everything that is wrong with a file's header.

    Args:
        entry: The file.
        header: Its columns, where they are known already.
        line: Their line.
        kind: What the file is.
    """
    if header is None:
        try:
            header, line = _header(entry)
        except InputError as error:
            return [error]
        kind = _kind(entry, header)
    faults = [
        InputError(
            f"the {kind} file has no column '{column}' in its header",
            path=entry.path,
            row=line,
            column=column,
            remedy=f"Expected: {', '.join(COLUMNS[kind])}",
        )
        for column in COLUMNS[kind]
        if column not in header and column not in _OPTIONAL
    ]
    faults += [
        InputError("a column of the header has no name", path=entry.path, row=line, remedy=FORMAT)
        for column in header
        if not column
    ]
    faults += [
        InputError(
            "a column's name is a pattern and no name",
            path=entry.path,
            row=line,
            column=column,
            remedy=FORMAT,
        )
        for column in header
        if column == "*"
        or (column[:1] == "^" and column[-1:] == "$")  # polars would take several columns for it
    ]
    twice = dict.fromkeys(column for column in header if column and header.count(column) > 1)
    return faults + [
        InputError(
            "the column occurs twice in the header", path=entry.path, row=line, column=column, remedy=FORMAT
        )
        for column in twice
    ]


def _header(entry: Entry) -> tuple[tuple[str, ...], int]:
    number = 0
    try:
        for number, raw in enumerate(entry.lines(), start=1):
            line = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
            if line.strip() and not line.startswith(b"#"):
                return tuple(line.decode().rstrip("\r\n").split("\t")), number
    except UnicodeDecodeError as error:
        raise InputError("the header is not UTF-8", path=entry.path, row=number, remedy=FORMAT) from error
    raise InputError("the file is empty, not even a header is there", path=entry.path, remedy=FORMAT)
