"""OWL in functional syntax, which owlready2 cannot read, to `Parts`, through py-horned-owl.

py-horned-owl parses the document; its axioms are written out one by one and go through `ontology.functional_syntax`, so
that a file and an RF2 OWL reference set mean the same. Imports are counted and never fetched. What the library cannot
bear (brackets without end, numbers beyond 32 bits) is refused before or after it with the line, as far as it is known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ontology.errors import InputError
from ontology.functional_syntax import DEPTH, parse
from ontology.functional_text import renamed
from ontology.parts import Parts
from ontology.readers.owl_facts import Facts
from ontology.readers.rdf import OWL, RDFS
from ontology.report import LoadReport

_IGNORED = {"DeclareObjectProperty", "DeclareDataProperty", "DeclareAnnotationProperty", "DeclareDatatype",
            "OntologyID", "DocIRI", "OntologyAnnotation", "SubAnnotationPropertyOf"}  # fmt: skip
_ON_INDIVIDUALS = {"DeclareNamedIndividual", "ClassAssertion", "ObjectPropertyAssertion", "DataPropertyAssertion",
                   "NegativeObjectPropertyAssertion", "NegativeDataPropertyAssertion", "SameIndividual",
                   "DifferentIndividuals", "DatatypeDefinition", "AnnotationPropertyDomain",
                   "AnnotationPropertyRange", "Rule", "HasKey"}  # fmt: skip
_IRI = re.compile(r"<([^<>\s]+)>")
_PLACE = re.compile(r"line_col: Pos\(\((\d+), (\d+)\)\)")
_SPAN = re.compile(r"Byte(?:Span|Position)\((\d+)")
_WANTED = re.compile(r"positives: \[([^\]]*)\]")
_START = re.compile(rb"\s*(?:#[^\n]*\n\s*)*(?:Prefix|Ontology)\s*\(")
_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"|<[^<>\s]*>|#[^\n]*|[()]')
_DEEP = DEPTH + 1  # one is the document's own


def recognises(path: Path) -> bool:
    """Say whether a path is a document in functional syntax.

    Args:
        path: A file or a folder.
    """
    if not path.is_file() or path.suffix.lower() not in {".ofn", ".owl", ".fss", ".owf"}:
        return False
    with open(path, "rb") as file:
        return begins(file.read(4096))


def begins(start: bytes) -> bool:
    """Say whether bytes are the beginning of a document in functional syntax; comments may come first.

    Args:
        start: The first bytes of a file.
    """
    return _START.match(start.removeprefix(b"\xef\xbb\xbf")) is not None


def read(path: Path, report: LoadReport) -> Parts:
    """Read a document in functional syntax.

    Args:
        path: The file.
        report: What was read and left out is counted here.

    Raises:
        InputError: If py-horned-owl is missing, the document does not parse, or holds no class.
    """
    try:
        import pyhornedowl
    except ImportError as error:
        raise InputError(
            "reading OWL functional syntax needs py-horned-owl",
            path=path,
            remedy="Install it with: pip install 'mh-diff[formats]'",
        ) from error
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise InputError(f"the file cannot be read ({error.strerror})", path=path) from error
    except UnicodeDecodeError as error:
        row = path.read_bytes()[: error.start].count(b"\n") + 1
        raise InputError("the file is not UTF-8", path=path, row=row, remedy="Save it as UTF-8") from error
    _refuse_depth(text, path)
    try:
        document = pyhornedowl.open_ontology_from_string(text, serialization="ofn")
    except BaseException as error:
        # a panic of the library is a BaseException; everything else of that kind is somebody who wants to stop
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise _does_not_parse(" ".join(str(error).split()), text, path) from error
    facts = Facts()
    components = [annotated.component for annotated in document.get_components()]
    for component in components:
        _take(component, facts, path)
    if not facts.classes:
        raise InputError(
            "there is not one class", path=path, remedy="Give the file that declares the classes"
        )
    report.files_read.append({"file": path.name, "kind": "OWL functional syntax", "rows": len(components)})
    facts.axioms.sort(key=lambda pair: pair[1] or "")  # the library gives the components in no order
    facts.annotations.sort()
    return facts.parts(report, path.name)


def _refuse_depth(text: str, path: Path) -> None:
    """Refuse brackets deeper than the axioms' own limit: the library would run out of stack, and the process end."""
    depth = 0
    for found in _BRACKET.finditer(text):
        if found[0] == "(":
            depth += 1
        elif found[0] == ")":
            depth -= 1
        if depth > _DEEP:
            raise InputError(
                f"there are more than {_DEEP} brackets inside one another",
                path=path,
                row=text.count("\n", 0, found.start()) + 1,
                remedy="Give names to the expressions inside",
            )


def _does_not_parse(said: str, text: str, path: Path) -> InputError:
    place, span, wanted = _PLACE.search(said), _SPAN.search(said), _WANTED.search(said)
    row = int(place[1]) if place else None
    if row is None and span:
        row = text.encode()[: int(span[1])].count(b"\n") + 1
    if wanted:
        said = f"there should be {wanted[1]} at column {place[2] if place else '?'}"
    elif found := re.search(r'ValidityError\("([^"]+)"', said):
        said = found[1]
    return InputError(
        f"the functional syntax does not parse: {said[:300].rstrip('.')}",
        path=path,
        row=row,
        remedy="Mend the file",
    )


def _take(component: Any, facts: Facts, path: Path) -> None:
    kind = type(component).__name__
    if kind == "DeclareClass":
        facts.classes.add(str(component.first))
    elif kind == "AnnotationAssertion":
        _annotate(component, facts)
    elif kind == "Import":
        facts.imports.append(str(component.first))
    elif kind in _ON_INDIVIDUALS:
        facts.unused[kind] += 1
    elif kind not in _IGNORED:
        text = str(component)
        try:
            facts.axioms.append((parse(text), renamed(text, lambda name: name)))
        except InputError as error:
            raise InputError(error.problem, path=path, remedy=error.remedy) from error
        facts.classes.update(_classes(component))


def _classes(node: Any) -> Iterator[str]:
    """Give the IRIs of the classes that a component names, since they are often not declared."""
    if type(node).__name__ == "Class":
        yield str(node.first)
    elif isinstance(node, list | tuple | set):
        for part in node:
            yield from _classes(part)
    else:
        for attribute in ("first", "sub", "sup", "bce"):
            if not isinstance(inner := getattr(node, attribute, None), str | int | None):
                yield from _classes(inner)


def _annotate(component: Any, facts: Facts) -> None:
    subject, note = str(component.subject), component.ann
    name, value = str(note.ap.first), note.av
    text = str(getattr(value, "literal", value))
    found = _IRI.fullmatch(text)
    text = found[1] if found else text
    language = str(getattr(value, "lang", "") or "")
    if name == f"{RDFS}label":
        facts.labels.setdefault(subject, text)
    facts.annotations.append((subject, name, text, language))
    if name == f"{OWL}deprecated":
        facts.classes.add(subject)
