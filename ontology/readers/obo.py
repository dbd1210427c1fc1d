"""OBO flat files, by the frames that fastobo reads.

Specification: OBO Flat File Format 1.4. What a clause becomes:

| clause                                | becomes                                                                  |
|---------------------------------------|--------------------------------------------------------------------------|
| `name`                                | FSN and preferred term; the FSN alone if the header defines the synonym  |
|                                       | type `PREFERRED "preferred term"`, or if an SCTID's name ends in a tag   |
| `synonym`                             | EXACT a synonym, any other scope a term of the kind "other"              |
| `def`                                 | a text definition                                                        |
| `is_a`, `relationship`                | a relation, its role group from the qualifier `{group="1"}`              |
| `intersection_of`                     | "defined", and the relations it implies where they are not stated        |
| `alt_id`                              | an inactive concept that is replaced by this one                         |
| `is_obsolete`, `replaced_by`, `consider` | an inactive concept and its history                                   |
| `xref`, `property_value: skos:…Match` | a map                                                                    |
| `subset`                              | a member of the reference set "subset"                                   |
| other `property_value`                | a concrete value                                                         |
| `Typedef`                             | the name of a relation type                                              |

Everything else is counted and not used, the xrefs of definitions and synonyms, types of synonyms and qualifiers too;
only qualifiers in a Typedef are not, since fastobo does not give them. Frames with one id are put together, as OBO 1.4
asks, and counted. Comment lines and a byte order mark are passed over and counted; a tag that OBO 1.4 does not know is
refused, as fastobo does. Imports are never fetched. Memory grows with the number of clauses, not with the length of the
file.
"""

from __future__ import annotations

import importlib
import io
import re
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

from ontology.errors import InputError, panics
from ontology.obo_spelling import split_xref, system_of
from ontology.parts import Parts
from ontology.readers.obo_content import Content
from ontology.report import LoadReport

_COMMENT = re.compile(rb"^[ \t]*!.*$", re.MULTILINE)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
# fastobo takes the quotation mark after an escaped backslash for an escaped one, so that no quoted text could end in a
# backslash; a noncharacter, which no text holds, stands for it while fastobo reads.
_LAST_BACKSLASH = re.compile(rb'(?<!\\)((?:\\\\)+)(?=")')
_STAND_IN = "\ufdd0"
_CONTROL = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "W": " "}
_NOT_USED = (
    "CommentClause CreatedByClause CreationDateClause NamespaceClause DisjointFromClause UnionOfClause "
    "EquivalentToClause BuiltinClause IsAnonymousClause"
)
# Clauses whose qualifiers `Content` knows.
_QUALIFIED = frozenset(
    (
        "XrefClause",
        "IsAClause",
        "RelationshipClause",
        "ReplacedByClause",
        "ConsiderClause",
        "PropertyValueClause",
    )
)


def recognises(path: Path) -> bool:
    """Tell whether a file looks like OBO, by its suffix or its first line.

    Args:
        path: The file.
    """
    if not path.is_file():
        return False
    if path.suffix.lower() == ".obo":
        return True
    with path.open("rb") as file:
        return file.read(64).removeprefix(b"\xef\xbb\xbf").startswith(b"format-version:")


def read(path: Path, report: LoadReport) -> Parts:
    """Read an OBO file.

    Args:
        path: The file.
        report: The account of the load; counts are added to it.

    Raises:
        InputError: If fastobo is not installed, or the file is no OBO; the message names the line.
    """
    fastobo = _library()
    content = Content(path.name, report)
    frames = 0
    try:
        with path.open("rb") as file:
            stream = _Clean(file, path)
            try:
                reader = fastobo.iter(stream, ordered=True, threads=1)
                _header(fastobo, reader.header(), content)
                for frame in reader:
                    frames += 1
                    _frame(fastobo, frame, content)
            except (SyntaxError, OSError, ValueError) as error:
                raise stream.problem or _refused(error, path) from error
            except InputError as error:
                raise stream.problem or _placed(error, path, content.now) from error
            except panics() as error:
                raise InputError(
                    f"fastobo fails on this file: {error}",
                    path=path,
                    remedy="Look at what follows the last good frame"
                    if content.now
                    else "Look at the header",
                ) from error
            if stream.problem:
                raise stream.problem
    except OSError as error:
        raise InputError(f"the file cannot be read ({error.strerror or error})", path=path) from error
    report.tolerate("byte order mark at the start of the file", int(stream.marked))
    report.tolerate("line that ends in CR LF", stream.crlf)
    report.tolerate("comment line", stream.comments)
    report.files_read.append({"file": path.name, "kind": "OBO", "rows": frames})
    return content.parts()


def _library() -> ModuleType:
    try:
        fastobo = importlib.import_module("fastobo")
    except ImportError as error:
        raise InputError(
            "reading OBO needs fastobo", remedy="Install it with: pip install 'mh-diff[formats]'"
        ) from error
    return fastobo


class _Clean:
    """A binary stream of whole lines without byte order mark and comment lines, so that line numbers stay right."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path = file, path
        self._rest, self._lines, self._first = b"", 1, True
        self._ready = io.BytesIO()
        self.marked, self.crlf, self.comments = False, 0, 0
        self.problem: InputError | None = None

    def read(self, size: int = -1) -> bytes:
        while size and not self.problem:
            if given := self._ready.read(size):
                return given
            block = self._file.read(1 << 20)
            whole = self._rest + block
            if block:
                cut = whole.rfind(b"\n") + 1
                whole, self._rest = whole[:cut], whole[cut:]
            elif whole:
                self._rest = b""
                # fastobo wants an end of line after the last one, too
                whole = whole if whole.endswith(b"\n") else whole + b"\n"
            else:
                break
            self._ready = io.BytesIO(self._cleaned(whole))
        return b""

    def _cleaned(self, lines: bytes) -> bytes:
        if self._first and lines:
            self._first, self.marked = False, lines.startswith(b"\xef\xbb\xbf")
            lines = lines.removeprefix(b"\xef\xbb\xbf")
        try:
            lines.decode()
        except UnicodeDecodeError as error:
            row = self._lines + lines.count(b"\n", 0, error.start)
            self.problem = InputError(
                f"the byte 0x{lines[error.start]:02x} is no UTF-8",
                path=self._path,
                row=row,
                remedy="Save it as UTF-8",
            )
            return b""  # not raised here: fastobo would put an error of its own in its place
        self._lines += lines.count(b"\n")
        self.crlf += lines.count(b"\r\n")
        if b'\\\\"' in lines:
            lines = _LAST_BACKSLASH.sub(lambda m: _STAND_IN.encode() * (len(m[1]) // 2), lines)
        if b"!" in lines:
            lines, found = _COMMENT.subn(b"", lines)
            self.comments += found
        return lines


def _refused(error: Exception, path: Path) -> InputError:
    row = getattr(error, "lineno", None)
    said = str(getattr(error, "msg", "") or error)
    return InputError(
        f"this is no valid OBO: {said}",
        path=path,
        row=row,
        remedy="Correct the line; OBO 1.4 says what may stand there",
    )


def _placed(error: InputError, path: Path, identifier: str) -> InputError:
    """Add the path, and the line of the frame that was being read."""
    wanted = identifier.encode()
    row = None
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.startswith(b"id:") and wanted and line[3:].split(b"!")[0].strip() == wanted:
                row = (
                    number  # the last frame of that id read so far is the one at fault, or one it contradicts
                )
    return InputError(error.problem, path=path, row=row, remedy=error.remedy)


def _header(fastobo: ModuleType, header: Iterable[Any], content: Content) -> None:
    for clause in header:
        kind = type(clause).__name__
        if kind == "SynonymTypedefClause":
            ours = (str(clause.typedef), clause.description)
            if ours == ("PREFERRED", "preferred term"):
                content.names_are_preferred = False
            elif ours[0] != "FULLY_SPECIFIED":
                content.drop("header", f"{clause.raw_tag()} is not used")
        elif kind == "ImportClause":
            content.report.tolerate("import that is not fetched", 1)
        elif kind.startswith("TreatXrefs"):
            content.report.tolerate("treat-xrefs header that is not applied", 1)
        elif kind == "SubsetdefClause":
            content.relation_label(_text(clause.subset), _plain(clause.description))
        elif kind not in ("FormatVersionClause", "OntologyClause"):
            content.drop("header", f"{clause.raw_tag()} is not used")


def _plain(text: str) -> str:
    return text if _STAND_IN not in text else text.replace(_STAND_IN, "\\")


def _text(identifier: Any) -> str:
    text = str(identifier)
    return _plain(text if "\\" not in text else _ESCAPED.sub(lambda m: _CONTROL.get(m[1], m[1]), text))


def _qualifiers(clause: Any, content: Content) -> dict[str, str]:
    found = clause.qualifiers
    if not found:
        return {}
    said = {_text(q.key): _plain(str(q.value)) for q in found}
    content.drop("qualifier", "it is said once more", len(found) - len(said))
    return said


def _frame(fastobo: ModuleType, frame: Any, content: Content) -> None:
    if isinstance(frame, fastobo.term.TermFrame):
        content.now = str(frame.id)
        _term(frame, content)
    elif isinstance(frame, fastobo.typedef.TypedefFrame):
        content.now = str(frame.id)
        _typedef(frame, content)
    else:
        content.drop("instance", "instances are no concepts")


def _typedef(frame: Any, content: Content) -> None:
    label, shorthand = "", ""
    for clause in frame:
        kind = type(clause).__name__
        if kind == "NameClause":
            label = _plain(clause.name)
        elif kind == "XrefClause" and not shorthand:
            shorthand = _text(clause.xref.id)
        else:
            content.drop("typedef", f"{clause.raw_tag()} is not used")
    identifier = _text(frame.id)
    # OBO 1.4, 5.9.3: a relation without a prefix is shorthand for its cross-reference
    if ":" not in identifier and ":" in shorthand:
        content.shorthands[identifier] = shorthand
    content.relation_label(identifier, label)


def _term(frame: Any, content: Content) -> None:
    content.begin(_text(frame.id))
    for clause in frame:
        kind = type(clause).__name__
        if clause.comment and kind != "CommentClause":
            content.drop("remark", "text after the '!' of a line is not used")
        if clause.qualifiers and kind not in _QUALIFIED:
            content.rest(_qualifiers(clause, content), (), clause.raw_tag())
        match kind:
            case "NameClause":
                name = _plain(clause.name)
                # fastobo leaves the space before a comment or qualifiers in
                content.name(name.rstrip() if clause.comment or clause.qualifiers else name)
            case "XrefClause":
                system, target = _xref(clause.xref.id)
                content.drop("xref", "its description is not used", int(bool(clause.xref.desc)))
                content.map(system, target, _qualifiers(clause, content))
            case "SynonymClause":
                synonym = clause.synonym
                content.drop("synonym", "its xrefs are not used", len(synonym.xrefs))
                content.synonym(
                    _plain(synonym.desc), synonym.scope, _text(synonym.type) if synonym.type else ""
                )
            case "IsAClause":
                content.relation("is_a", _text(clause.term), _qualifiers(clause, content))
            case "RelationshipClause":
                content.relation(_text(clause.typedef), _text(clause.term), _qualifiers(clause, content))
            case "DefClause":
                content.definition(_plain(clause.definition))
                content.drop("definition", "its xrefs are not used", len(clause.xrefs))
            case "SubsetClause":
                content.subset(_text(clause.subset))
            case "AltIdClause":
                content.alternate(_text(clause.alt_id))
            case "IsObsoleteClause":
                content.obsolete = content.obsolete or bool(clause.obsolete)
            case "ReplacedByClause":
                content.past("replaced_by", _text(clause.term), _qualifiers(clause, content))
            case "ConsiderClause":
                content.past("consider", _text(clause.term), _qualifiers(clause, content))
            case "IntersectionOfClause":
                content.part(
                    _text(clause.typedef) if clause.typedef is not None else "is_a", _text(clause.term)
                )
            case "PropertyValueClause":
                stated = clause.property_value
                datatype = str(getattr(stated, "datatype", ""))
                value = _plain(stated.value) if datatype else _text(stated.value)
                content.annotation(_text(stated.relation), value, datatype, _qualifiers(clause, content))
            case _:
                reason = "is not used" if kind in _NOT_USED else "is not known"
                content.drop("clause", f"{clause.raw_tag()} {reason}")
    content.end()


def _xref(identifier: Any) -> tuple[str, str]:
    if type(identifier).__name__ == "PrefixedIdent":
        return system_of(_plain(identifier.prefix)), _plain(identifier.local)
    return split_xref(_text(identifier))
