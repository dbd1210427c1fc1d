"""RF2 files: which ones a release holds, what each is by its header, and their rows as text columns.

RF2 is UTF-8, tab-separated, one header line, and has no quoting: a quotation mark is a character like any
other. Tolerated and counted: a byte order mark, blank lines, and comment lines that begin with '#'.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ontology.errors import InputError
from ontology.report import LoadReport

_COMPONENT = ("id", "effectiveTime", "active", "moduleId")
_MEMBER = (*_COMPONENT, "refsetId", "referencedComponentId")
_RELATIONSHIP = (
    "sourceId",
    "destinationId",
    "relationshipGroup",
    "typeId",
    "characteristicTypeId",
    "modifierId",
)
# The columns that make a file what it is, the most telling kinds first.
COLUMNS: dict[str, tuple[str, ...]] = {
    "concept": (*_COMPONENT, "definitionStatusId"),
    "description": (*_COMPONENT, "conceptId", "languageCode", "typeId", "term", "caseSignificanceId"),
    "relationship": (*_COMPONENT, *_RELATIONSHIP),
    "stated relationship": (*_COMPONENT, *_RELATIONSHIP),
    "concrete values": (*_COMPONENT, "sourceId", "value", *_RELATIONSHIP[2:]),
    "identifier": ("alternateIdentifier", "effectiveTime", "active", "moduleId"),
    "language": (*_MEMBER, "acceptabilityId"),
    "extended map": (
        *_MEMBER,
        "mapGroup",
        "mapPriority",
        "mapRule",
        "mapAdvice",
        "mapTarget",
        "correlationId",
    ),
    "simple map": (*_MEMBER, "mapTarget"),
    "association": (*_MEMBER, "targetComponentId"),
    "attribute value": (*_MEMBER, "valueId"),
    "OWL expression": (*_MEMBER, "owlExpression"),
    "reference set": _MEMBER,
}
READ = ("concept", "description", "relationship", "language", "extended map", "simple map")
# What a file's name promises; its header must then keep the promise.
_PROMISES = (
    (re.compile(r"sct2_Concept_"), "concept"),
    (re.compile(r"sct2_(Description|TextDefinition)_"), "description"),
    (re.compile(r"sct2_StatedRelationship_"), "stated relationship"),
    (re.compile(r"sct2_Relationship_"), "relationship"),
    (re.compile(r"der2_\w*Refset_[^_]*Language(Full|Snapshot|Delta)?[-_]"), "language"),
    (re.compile(r"der2_iissscc?Refset_"), "extended map"),
)
_RF2_NAME = re.compile(r"^[xz]?(sct|der)\d?_.*\.txt$", re.IGNORECASE)
_RELEASES = ("Full", "Snapshot", "Delta")
_RELEASE_IN_NAME = re.compile(r"(Full|Snapshot|Delta)(?=[-_.])")
_FORMAT = "See the RF2 file formats in the SNOMED CT Release File Specification"


@dataclass(frozen=True)
class RF2File:
    """One file of a release: where and what it is, and the line of its header (comments may precede it)."""

    path: Path
    name: str
    kind: str
    release: str
    header: tuple[str, ...]
    header_line: int


@dataclass(frozen=True)
class Table:
    """The rows of a file as text columns, and the line that each row stands on."""

    file: RF2File
    frame: pl.DataFrame
    numbers: NDArray[np.int64] | None

    def fail(self, row: int, column: str, problem: str) -> InputError:
        """Make the error that names the place of a row.

        Args:
            row: Row of `frame`.
            column: The column.
            problem: What is wrong; the value itself is added.
        """
        line = row + 2 if self.numbers is None else int(self.numbers[row])
        value = self.frame[column][row][:40]
        return InputError(
            f"{problem}: {value!r}", path=self.file.path, row=line, column=column, remedy=_FORMAT
        )

    def integers(self, column: str, *, minimum: int = 1) -> pl.Series:
        """Read a column of identifiers or small numbers.

        Args:
            column: The column.
            minimum: The smallest value that is allowed.

        Raises:
            InputError: If a value is no whole number from `minimum` to 18 digits.
        """
        values = self.frame[column].cast(pl.Int64, strict=False)
        wrong = (values.is_null() | (values < minimum) | (values >= 10**18)).arg_true()
        if len(wrong):
            raise self.fail(
                int(wrong[0]), column, "this is no identifier" if minimum else "this is no number"
            )
        return values

    def one_of(self, column: str, allowed: Sequence[str], problem: str) -> pl.Series:
        """Check that a column holds nothing but the allowed values.

        Args:
            column: The column.
            allowed: The values.
            problem: What to say of another value.

        Raises:
            InputError: If it holds another value.
        """
        values = self.frame[column]
        wrong = (~values.is_in(list(allowed))).arg_true()
        if len(wrong):
            raise self.fail(int(wrong[0]), column, problem)
        return values


def find_files(source: str | Path, report: LoadReport) -> list[RF2File]:
    """Find the files to read: the Snapshot's, or the Full's where there is no Snapshot.

    Args:
        source: A release folder.
        report: Where the files that are not read are listed, with the reason.

    Raises:
        InputError: If there is no RF2 file, only a Delta, or a file whose header breaks its name's promise.
    """
    root = Path(source)
    if not root.is_dir():
        what = "this is a file, not a folder" if root.exists() else "there is no such folder"
        raise InputError(what, path=root, remedy="Give the folder of an unpacked RF2 release")
    found: list[RF2File] = []
    for path in sorted(Path(folder) / name for folder, _, names in os.walk(root) for name in names):
        name = path.relative_to(root).as_posix()
        if _RF2_NAME.match(path.name):
            found.append(_classify(path, name))
        else:
            report.files_not_read.append({"file": name, "reason": "its name is not that of an RF2 file"})
    releases = {file.release for file in found} - {""}
    if not found or releases == {"Delta"}:
        raise InputError(
            "there is only a Delta, which is no terminology by itself" if found else "there is no RF2 file",
            path=root,
            remedy="Give the folder of an unpacked RF2 release with its Snapshot folder",
        )
    wanted = "Snapshot" if "Snapshot" in releases else "Full"
    kept = []
    for file in found:
        if file.release not in (wanted, ""):
            reason = f"it belongs to the {file.release}, the {wanted} is read"
        elif file.kind not in READ:
            reason = f"{file.kind}: not used"
        else:
            kept.append(file)
            continue
        report.files_not_read.append({"file": file.name, "reason": reason})
    for kind, example in (
        ("concept", "sct2_Concept_Snapshot"),
        ("relationship", "sct2_Relationship_Snapshot"),
    ):
        if not any(file.kind == kind for file in kept):
            raise InputError(
                f"there is no {kind} file in the {wanted if releases else 'folder'}",
                path=root,
                remedy=f"A release has one whose name begins with {example}_",
            )
    return kept


def _classify(path: Path, name: str) -> RF2File:
    header, line = _header(path)
    promised = next((kind for pattern, kind in _PROMISES if pattern.search(path.name)), None)
    kinds = (
        [promised] if promised else [kind for kind, columns in COLUMNS.items() if set(columns) <= set(header)]
    )
    kind = kinds[0] if kinds else "reference set"
    if kind in READ or not kinds:
        missing = [column for column in COLUMNS[kind] if column not in header]
        optional = {"correlationId"}
        if lost := [column for column in missing if column not in optional]:
            raise InputError(
                f"the {kind} file has no column '{lost[0]}' in its header",
                path=path,
                row=line,
                column=lost[0],
                remedy=f"Expected: {', '.join(COLUMNS[kind])}",
            )
    if len(set(header)) < len(header):
        twice = next(column for column in header if header.count(column) > 1)
        raise InputError(
            "the column occurs twice in the header", path=path, row=line, column=twice, remedy=_FORMAT
        )
    named = _RELEASE_IN_NAME.findall(path.name) or [
        part for part in path.resolve().parts if part in _RELEASES
    ]
    return RF2File(path, name, kind, named[-1] if named else "", header, line)


def _header(path: Path) -> tuple[tuple[str, ...], int]:
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                line = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
                if line.strip() and not line.startswith(b"#"):
                    return tuple(line.decode().rstrip("\r\n").split("\t")), number
    except UnicodeDecodeError as error:
        raise InputError("the header is not UTF-8", path=path, row=number, remedy=_FORMAT) from error
    except OSError as error:
        raise InputError(f"the file cannot be read ({error.strerror})", path=path) from error
    raise InputError("the file is empty, not even a header is there", path=path, remedy=_FORMAT)


def read_table(file: RF2File, columns: Sequence[str], report: LoadReport) -> Table:
    """Read columns of a file as text; an empty field is an empty text.

    Args:
        file: The file.
        columns: The columns wanted.
        report: Where the file, and what was tolerated in it, is noted.

    Raises:
        InputError: If it is not UTF-8, or a line has too many or too few columns.
    """
    try:
        data = file.path.read_bytes()
    except OSError as error:
        raise InputError(f"the file cannot be read ({error.strerror})", path=file.path) from error
    if data.startswith(b"\xef\xbb\xbf"):
        data = data[3:]
        report.tolerate("byte order mark at the beginning of a file", 1)
    _check_utf8(file, data)
    width, numbers = len(file.header), None
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    if file.header_line > 1 or data.count(b"\t") != (width - 1) * lines:
        data, numbers = _without_remarks(file, data, report)
        lines = len(numbers) + 1
        _check_width(file, data, numbers, width)
    try:
        frame = pl.read_csv(data, columns=list(columns), separator="\t", quote_char=None, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        kept = np.arange(2, lines + 1) if numbers is None else numbers
        _check_width(file, data, kept, width)
        raise InputError(
            f"the file cannot be split into columns ({error})", path=file.path, remedy=_FORMAT
        ) from error
    if frame.height != lines - 1:
        raise InputError(
            f"the file has {lines - 1} lines below its header, but {frame.height} rows could be read",
            path=file.path,
            remedy=_FORMAT,
        )
    report.files_read.append({"file": file.name, "kind": file.kind, "rows": frame.height})
    return Table(file, frame.select(pl.col(c).fill_null("") for c in columns), numbers)


def _check_utf8(file: RF2File, data: bytes) -> None:
    if data.isascii():
        return
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        start = data.rfind(b"\n", 0, error.start) + 1
        place = data.count(b"\t", start, error.start)
        raise InputError(
            f"the bytes are not UTF-8 ({data[error.start]:#04x})",
            path=file.path,
            row=data.count(b"\n", 0, error.start) + 1,
            column=file.header[place] if place < len(file.header) else None,
            remedy="Unpack the release again, without any conversion; RF2 is UTF-8",
        ) from error


def _without_remarks(file: RF2File, data: bytes, report: LoadReport) -> tuple[bytes, NDArray[np.int64]]:
    """Leave out comments and blank lines; also give the line numbers of the rows that stay."""
    lines = data.split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    kept = [i for i, line in enumerate(lines) if line.strip() and not line.startswith(b"#")]
    blank = sum(1 for line in lines if not line.strip())
    report.tolerate("blank line", blank)
    report.tolerate("comment line", len(lines) - len(kept) - blank)
    return b"\n".join(lines[i] for i in kept) + b"\n", np.array(kept[1:], dtype=np.int64) + 1


def _check_width(file: RF2File, data: bytes, numbers: NDArray[np.int64], width: int) -> None:
    for number, line in zip(numbers, data.split(b"\n")[1:], strict=False):
        if (found := line.count(b"\t") + 1) != width:
            raise InputError(
                f"the line has {found} columns instead of {width}",
                path=file.path,
                row=int(number),
                column=file.header[found] if found < width else None,
                remedy="The file may be cut off or edited; unpack the release again",
            )
