"""ICD-10-CM: the tabular list in XML, the order file, or a table of codes; concepts are `ICD10CM:<code>`.

The tabular list gives chapters (`ICD10CM:chapter-10`), sections (`ICD10CM:J09-J18`), codes, and inclusion terms as
synonyms. The order file has fixed columns: a number, the code without its dot, whether it is billable, a short and a
long title. A table of codes has two columns, the code and its title. Without chapters a code's parent is the longest
known code that it begins with. Which codes are billable is a reference set, `members["ICD-10-CM billable"]`; in the
tabular list these are the codes without subdivisions. Excludes notes, seven-character definitions, instructions and
whatever else stands in an element of its own are counted, not used; so are a table's header and blank lines.
"""

from __future__ import annotations

import re
import xml.parsers.expat
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import polars as pl

from ontology.codes import Keys
from ontology.errors import InputError
from ontology.identifiers import IS_A
from ontology.parts import Parts
from ontology.report import LoadReport
from ontology.tables import MEMBERS

BILLABLE = "ICD-10-CM billable"
_CODE = re.compile(r"[A-TV-Z][0-9][0-9A-Z](?:\.?[0-9A-Z]{1,4})?")
_ORDER = re.compile(rb"^[0-9]{5} [A-TV-Z][0-9][0-9A-Z]")
_ROOT = "ICD10CM:root"


def recognises(path: Path) -> bool:
    """Say whether a file is the tabular list, an order file, or a table that begins with codes of ICD-10-CM.

    Args:
        path: The path.
    """
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(4096).removeprefix(b"\xef\xbb\xbf")
    if path.suffix.lower() == ".xml":
        return b"<ICD10CM.tabular" in start
    lines = start.decode("utf-8", errors="replace").splitlines()[:3]
    if _ORDER.match(start):
        return True
    fields = [re.split(r"[\t,]| {2,}", line, maxsplit=1) for line in lines[1:] or lines]
    return path.suffix.lower() in (".txt", ".csv", ".tsv") and bool(fields) and all(
        len(field) == 2 and _CODE.fullmatch(field[0].strip()) for field in fields
    )  # fmt: skip


class _List:
    """What is collected while a file is read."""

    def __init__(self) -> None:
        self.keys = Keys()
        self.titles: dict[str, str] = {}
        self.synonyms: list[tuple[str, str]] = []
        self.parents: dict[str, str] = {}
        self.billable: list[str] = []

    def add(self, name: str, title: str, path: Path, row: int | None = None) -> None:
        if name in self.titles:
            raise InputError(f"'{name}' is there twice", path=path, row=row, remedy="Keep one of them")
        if not title:
            raise InputError(f"'{name}' has no title", path=path, row=row)
        self.titles[name] = title

    def parts(self, report: LoadReport) -> Parts:
        key = {name: self.keys(name, title) for name, title in self.titles.items()}
        terms = [
            (key[n], title, kind, True) for n, title in self.titles.items() for kind in ("fsn", "synonym")
        ]
        terms += [
            (key[n], text, "synonym", False)
            for n, text in dict.fromkeys(self.synonyms)
            if text != self.titles[n]
        ]
        edges = [(key[child], IS_A, key[parent]) for child, parent in self.parents.items()]
        report.count("concept", read=len(key), active=len(key), used=len(key))
        report.count("description", read=len(terms), active=len(terms))
        report.count("relationship", read=len(edges), active=len(edges))
        refset = self.keys("ICD10CM:billable", "billable codes")
        rows = [(f"billable {name}", 0, 0, refset, key[name]) for name in self.billable]
        maps = [(key[n], "ICD-10-CM", n.removeprefix("ICD10CM:"), "skos:exactMatch", "ICD-10-CM")
                for n in self.titles if _CODE.fullmatch(n.removeprefix("ICD10CM:"))]  # fmt: skip
        return Parts(
            concepts=pl.DataFrame({"sctid": list(key.values())}, schema={"sctid": pl.Int64}),
            terms=_frame(terms, sctid=pl.Int64, term=pl.String, kind=pl.String, preferred=pl.Boolean),
            relations=_frame(edges, source=pl.Int64, type=pl.Int64, target=pl.Int64),
            maps=_frame(
                maps,
                sctid=pl.Int64,
                system=pl.String,
                target=pl.String,
                predicate=pl.String,
                origin=pl.String,
            ),
            members={BILLABLE: pl.DataFrame(rows, schema=dict(MEMBERS), orient="row")} if rows else {},
            codes=self.keys.frame(),
        )


def _frame(rows: list[Any], **schema: Any) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=schema, orient="row")


def read(path: Path, report: LoadReport) -> Parts:
    """Read a file.

    Args:
        path: The tabular list (.xml), the order file, or a table of codes.
        report: The account of the load, filled.

    Raises:
        InputError: If it is none of these, or a code is none; it names the line.
    """
    found = _List()
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"the file cannot be read ({error.strerror})", path=path) from error
    if path.suffix.lower() == ".xml":
        _tabular(path, data, found, report)
    else:
        _lines(path, data, found, report)
    report.files_read.append({"file": path.name, "kind": "ICD-10-CM", "rows": len(found.titles)})
    return found.parts(report)


def _name(code: str) -> str:
    plain = code.replace(".", "").upper()
    return f"ICD10CM:{plain[:3]}.{plain[3:]}" if len(plain) > 3 else f"ICD10CM:{plain}"


def _lines(path: Path, data: bytes, found: _List, report: LoadReport) -> None:
    report.tolerate("byte order mark at the start of the file", int(data.startswith(b"\xef\xbb\xbf")))
    try:
        lines = data.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        raise InputError("the bytes are not UTF-8", path=path, row=row) from error
    if lines and not lines[-1]:
        lines.pop()
    ordered = bool(_ORDER.match(data.removeprefix(b"\xef\xbb\xbf")))
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            report.tolerate("blank line", 1)
            continue
        if ordered:
            code, billable, title = (
                line[6:13].strip(),
                line[14:15] == "1",
                line[77:].strip() or line[16:76].strip(),
            )
        else:
            fields = [field.strip().strip('"') for field in re.split(r"[\t,]| +", line, maxsplit=1)]
            code, billable, title = fields[0], True, fields[1] if len(fields) == 2 else ""
        if not _CODE.fullmatch(code.upper()):
            if number == 1 and not ordered:
                report.tolerate("header line", 1, expected=True)
                continue
            raise InputError(f"{code[:20]!r} is no code of ICD-10-CM", path=path, row=number,
                             remedy="A code begins with a letter and two digits")  # fmt: skip
        name = _name(code)
        found.add(name, title, path, number)
        if ordered and line[16:76].strip() != title:
            found.synonyms.append((name, line[16:76].strip()))
        if billable:
            found.billable.append(name)
    if not found.titles:
        raise InputError("there is not one code", path=path)
    for name in list(found.titles):
        plain = name.removeprefix("ICD10CM:").replace(".", "")
        above = (_name(plain[:n]) for n in range(len(plain) - 1, 2, -1))
        parent = next((other for other in above if other in found.titles), _ROOT)
        found.parents[name] = parent
    found.titles[_ROOT] = "ICD-10-CM"


def _tabular(path: Path, data: bytes, found: _List, report: LoadReport) -> None:
    root = _parsed(path, data)
    if root.tag != "ICD10CM.tabular":
        raise InputError(f"the document is <{root.tag}>, not the tabular list", path=path)
    unused: Counter[str] = Counter()
    found.add(_ROOT, "ICD-10-CM", path)
    _unused(root, ("chapter",), unused)
    for chapter in root.findall("chapter"):
        _unused(chapter, ("name", "desc", "section"), unused)
        name = f"ICD10CM:chapter-{_text(chapter, 'name')}"
        found.add(name, _text(chapter, "desc"), path)
        found.parents[name] = _ROOT
        for section in chapter.findall("section"):
            range_ = f"ICD10CM:{section.get('id', '')}"
            _unused(section, ("desc", "diag"), unused)
            if not section.findall("diag"):
                unused["section without a code"] += 1
                continue
            shared = range_ if range_ not in found.titles else f"{range_} (section)"
            # a section of one category has the category's own code for its range
            if _CODE.fullmatch(section.get("id", "")):
                shared = f"{range_} (section)"
            found.add(shared, _text(section, "desc"), path)
            found.parents[shared] = name
            for diagnosis in section.findall("diag"):
                _diagnosis(diagnosis, shared, path, found, unused)
    for tag, count in unused.items():
        report.tolerate(f"<{tag}>: not used", count, expected=True)


def _unused(element: ElementTree.Element, used: tuple[str, ...], unused: Counter[str]) -> None:
    unused.update(child.tag for child in element if child.tag not in used)


def _diagnosis(
    element: ElementTree.Element, parent: str, path: Path, found: _List, unused: Counter[str]
) -> None:
    waiting = [(element, parent)]
    while waiting:
        here, above = waiting.pop()
        code = _text(here, "name")
        if not _CODE.fullmatch(code):
            raise InputError(
                f"{code[:20]!r} is no code of ICD-10-CM", path=path, remedy="See the element <name>"
            )
        name = _name(code)
        found.add(name, _text(here, "desc"), path)
        found.parents[name] = above
        below = here.findall("diag")
        if not below:
            found.billable.append(name)
        for child in here:
            if child.tag == "inclusionTerm":
                found.synonyms += [
                    (name, (note.text or "").strip()) for note in child.findall("note") if note.text
                ]
        _unused(here, ("name", "desc", "diag", "inclusionTerm"), unused)
        waiting += [(child, name) for child in below]


def _text(element: ElementTree.Element, tag: str) -> str:
    return (element.findtext(tag) or "").strip()


def _parsed(path: Path, data: bytes) -> ElementTree.Element:
    """Parse XML that declares nothing: no document type, so no entities, and nothing is fetched."""
    builder = ElementTree.TreeBuilder()
    parser = xml.parsers.expat.ParserCreate()

    def refuse(*_: Any) -> None:
        raise InputError(
            "the document declares a document type, and so could define entities",
            path=path, row=parser.CurrentLineNumber, remedy="Remove the <!DOCTYPE ...>",
        )  # fmt: skip

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = lambda name, attributes: builder.start(name, attributes)
    parser.EndElementHandler = lambda name: builder.end(name)
    parser.CharacterDataHandler = lambda text: builder.data(text)
    try:
        parser.Parse(data, True)
    except xml.parsers.expat.ExpatError as error:
        raise InputError(
            f"the document is no XML ({xml.parsers.expat.ErrorString(error.code)}, at character {error.offset})",
            path=path, row=error.lineno,
        ) from error  # fmt: skip
    except (LookupError, ValueError) as error:
        raise InputError(
            f"the encoding that the document declares cannot be read ({error})",
            path=path, row=1, remedy="Save it as UTF-8",
        ) from error  # fmt: skip
    root: ElementTree.Element = builder.close()
    return root
