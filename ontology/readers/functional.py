"""OWL in functional syntax, which owlready2 cannot read, to `Parts`, through py-horned-owl.

py-horned-owl parses the document; its axioms are written out one by one and go through `ontology.functional_syntax`, so
that a file and an RF2 OWL reference set mean the same. Imports are counted and never fetched.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ontology.errors import InputError
from ontology.functional_syntax import Other, parse
from ontology.parts import Parts
from ontology.readers.owl_facts import Facts
from ontology.readers.rdf import OWL, RDFS
from ontology.report import LoadReport

_LOGICAL = {"SubClassOf", "EquivalentClasses", "SubObjectPropertyOf", "SubDataPropertyOf", "TransitiveObjectProperty",
            "ReflexiveObjectProperty"}  # fmt: skip
_DECLARED = {"DeclareObjectProperty", "DeclareDataProperty", "DeclareAnnotationProperty", "DeclareDatatype",
             "OntologyID", "DocIRI", "OntologyAnnotation", "SubAnnotationPropertyOf"}  # fmt: skip
_IRI = re.compile(r"<([^<>\s]+)>")
_PLACE = re.compile(r"(\d+):(\d+)")


def recognises(path: Path) -> bool:
    """Say whether a path is a document in functional syntax.

    Args:
        path: A file or a folder.
    """
    if not path.is_file() or path.suffix.lower() not in {".ofn", ".owl", ".fss", ".owf"}:
        return False
    with open(path, "rb") as file:
        start = file.read(4096)
    return re.match(rb"\s*(?:#[^\n]*\n\s*)*(?:Prefix|Ontology)\s*\(", start) is not None


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
    try:
        document = pyhornedowl.open_ontology_from_string(text, serialization="ofn")
    except (ValueError, SyntaxError, RuntimeError) as error:
        said = " ".join(str(error).split())
        place = _PLACE.search(said)
        raise InputError(
            f"the functional syntax does not parse: {said[:300].rstrip('.')}",
            path=path,
            row=int(place[1]) if place else None,
            remedy="Mend the file",
        ) from error
    facts = Facts()
    components = [annotated.component for annotated in document.get_components()]
    for component in components:
        _take(component, facts)
    if not facts.classes:
        raise InputError(
            "there is not one class", path=path, remedy="Give the file that declares the classes"
        )
    report.files_read.append({"file": path.name, "kind": "OWL functional syntax", "rows": len(components)})
    facts.axioms.sort(key=repr)  # the library gives the components in no order
    facts.annotations.sort()
    return facts.parts(report, path.name)


def _take(component: Any, facts: Facts) -> None:
    kind = type(component).__name__
    if kind == "DeclareClass":
        facts.classes.add(str(component.first))
    elif kind == "AnnotationAssertion":
        _annotate(component, facts)
    elif kind == "Import":
        facts.imports.append(str(component.first))
    elif kind in _LOGICAL:
        axiom = parse(_text(component, kind))
        facts.axioms.append(axiom)
        if kind == "SubClassOf" and not isinstance(axiom, Other):  # classes are often not declared
            facts.classes.update(
                str(e.first) for e in (component.sub, component.sup) if type(e).__name__ == "Class"
            )
    elif kind not in _DECLARED:
        facts.unused[kind] += 1


def _text(component: Any, kind: str) -> str:
    text = str(component)
    return text if text.startswith(kind) else f"{kind}({text})"


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
