"""OBO graphs in JSON, the younger spelling of OBO files.

Specification: the OBO Graphs JSON schema (geneontology/obographs). `ontology.readers.obo` tells what each statement
becomes; the differences are these:

- A class node without `lbl` and `meta`, and a node without a type that has neither, is only spoken of; it is counted.
- The labels of PROPERTY nodes name the relation types. INDIVIDUAL nodes and what is said of them are counted.
- `logicalDefinitionAxioms` are what `intersection_of` is in OBO.
- `equivalentNodesSets`, `domainRangeAxioms`, `propertyChainAxioms` and all other axioms are counted and not used.
- A node that occurs again, in the same graph or in another one, must be equal to the first.
- A key that is not used, such as `xrefs` of a synonym, is counted by its name wherever it says something.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ontology.errors import InputError
from ontology.obo_spelling import local_name, split_xref
from ontology.parts import Parts
from ontology.readers.obo_content import Content
from ontology.report import LoadReport

_SCOPES = {
    "hasExactSynonym": "EXACT",
    "hasBroadSynonym": "BROAD",
    "hasNarrowSynonym": "NARROW",
    "hasRelatedSynonym": "RELATED",
}
_AXIOMS = (
    "equivalentNodesSets",
    "domainRangeAxioms",
    "propertyChainAxioms",
    "disjointClassExpressionsAxioms",
    "allValuesFromEdges",
)
# The keys that are read, or counted row by row; any other is counted as a whole.
_KEYS = {
    "document": ("graphs",),
    "graph": ("id", "nodes", "edges", "imports", "logicalDefinitionAxioms", *_AXIOMS),
    "node": ("id", "lbl", "type", "propertyType", "meta"),
    "meta of a node": (
        "definition", "synonyms", "xrefs", "subsets", "comments", "deprecated", "basicPropertyValues",
    ),
    "definition": ("val",),
    "synonym": ("pred", "val", "synonymType"),
    "xref": ("val", "meta"),
    "property value": ("pred", "val", "valType", "meta"),
    "edge": ("sub", "pred", "obj", "meta"),
    "logical definition": ("definedClassId", "genusIds", "restrictions"),
    "meta": ("basicPropertyValues",),
}  # fmt: skip
_NOT_RELATIONS = frozenset({"subPropertyOf", "inverseOf", "type", "rdf:type"})


def recognises(path: Path) -> bool:
    """Tell whether a file looks like an OBO graph: JSON that begins with "graphs".

    Args:
        path: The file.
    """
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
    return start.startswith(b"{") and b'"graphs"' in start


def read(path: Path, report: LoadReport) -> Parts:
    """Read an OBO graph document.

    Args:
        path: The file.
        report: The account of the load; counts are added to it.

    Raises:
        InputError: If it is no OBO graph; the message names the place in the document.
    """
    content = Content(path.name, report)
    try:
        document = _json(path.read_bytes(), path, report)
        nodes = _nodes(document, content)
        _edges(document, nodes, content)
        parts = content.parts()
    except OSError as error:
        raise InputError(f"the file cannot be read ({error.strerror or error})", path=path) from error
    except UnicodeEncodeError as error:
        raise InputError(
            "a text holds half of a surrogate pair", path=path, remedy="Save it as UTF-8"
        ) from error
    except InputError as error:
        if error.path is not None:
            raise
        place = f"at {content.now}: " if content.now and content.now not in error.problem else ""
        raise InputError(place + error.problem, path=path, remedy=error.remedy) from error
    report.files_read.append({"file": path.name, "kind": "OBO graph", "rows": len(nodes)})
    return parts


def _json(data: bytes, path: Path, report: LoadReport) -> Any:
    report.tolerate("byte order mark at the start of the file", int(data.startswith(b"\xef\xbb\xbf")))
    loads: Any = json.loads
    with suppress(ImportError):
        loads = importlib.import_module("orjson").loads
    try:
        return loads(data.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError) as error:
        row = getattr(error, "lineno", None)
        raise InputError(f"this is no JSON: {getattr(error, 'msg', error)}", path=path, row=row) from error


class _At:
    """A value of the document with its JSON path; a value of the wrong kind is an `InputError`."""

    def __init__(self, value: Any, place: str) -> None:
        self.value, self.place = value, place

    def _get(self, key: str, kind: type, default: Any) -> Any:
        found = self.value.get(key)
        if found is None and default is not None:
            return default
        if not isinstance(found, kind):
            raise InputError(f"at {self.place}.{key}: this is {_kind(found)} and should be {_kind(kind())}")
        return found

    def text(self, key: str, default: str | None = None) -> str:
        return str(self._get(key, str, default))

    def object(self, key: str) -> _At:
        return _At(self._get(key, dict, {}), f"{self.place}.{key}")

    def flag(self, key: str) -> bool:
        return bool(self._get(key, bool, False))

    def items(self, key: str, kind: type = dict) -> Iterator[_At]:
        for number, item in enumerate(self._get(key, list, [])):
            place = f"{self.place}.{key}[{number}]"
            if not isinstance(item, kind):
                raise InputError(f"at {place}: this is {_kind(item)} and should be {_kind(kind())}")
            yield _At(item, place)

    def details(self, content: Content) -> dict[str, str]:
        meta = self.object("meta")
        _rest(meta, "meta", content)
        found = {}
        for value in meta.items("basicPropertyValues"):
            if value.text("pred") in found:
                content.drop("qualifier", "it is said once more")
            found[value.text("pred")] = value.text("val")
        return found


def _rest(at: _At, kind: str, content: Content) -> None:
    """Count the keys that are not used and say something."""
    for key, value in at.value.items():
        if key not in _KEYS[kind] and value not in (None, "", [], {}):
            content.drop(kind, f"'{key[:40]}' is not used", len(value) if isinstance(value, list) else 1)


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "missing"}
    return names.get(type(value), "a number")


def _nodes(document: Any, content: Content) -> dict[str, str]:
    """Read the nodes; gives their types by their ids."""
    if not isinstance(document, dict) or "graphs" not in document:
        raise InputError("at $: there is no list 'graphs', so this is no OBO graph document")
    seen: dict[str, tuple[_At, str]] = {}
    _rest(_At(document, "$"), "document", content)
    for graph in _At(document, "$").items("graphs"):
        _rest(graph, "graph", content)
        for node in graph.items("nodes"):
            identifier = node.text("id")
            if (before := seen.get(identifier)) is not None:
                if before[0].value != node.value:
                    raise InputError(
                        f"at {node.place}: '{identifier}' is there already, with other content, at {before[0].place}",
                        remedy="Remove one",
                    )
                content.report.tolerate("node that occurs again, equal to the first", 1)
                continue
            kind = node.text("type", "CLASS" if {"lbl", "meta"} & node.value.keys() else "")
            if kind not in ("CLASS", "PROPERTY", "INDIVIDUAL", ""):
                raise InputError(f"at {node.place}.type: '{kind}' is no type of node")
            seen[identifier] = (node, kind)
            _rest(node, "node", content)
            if kind == "PROPERTY":
                for key in node.object("meta").value:
                    content.drop("property", f"'{key[:40]}' is not used")
                label = node.text("lbl", "")
                content.relation_label(identifier, label)
                if local_name(identifier) == "PREFERRED" and label == "preferred term":
                    content.names_are_preferred = False
    for identifier, (node, kind) in seen.items():
        if kind == "CLASS":
            content.now = node.place
            _class(node, identifier, content)
        elif kind != "PROPERTY":
            content.drop(
                "instance" if kind else "node",
                "instances are no concepts" if kind else "it is only spoken of",
            )
    content.now = ""
    return {identifier: kind for identifier, (_, kind) in seen.items()}


def _class(node: _At, identifier: str, content: Content) -> None:
    content.begin(identifier)
    meta = node.object("meta")
    _rest(meta, "meta of a node", content)
    content.obsolete = meta.flag("deprecated")
    if name := node.text("lbl", ""):
        content.name(name)
    for synonym in meta.items("synonyms"):
        scope = _SCOPES.get(local_name(synonym.text("pred", "hasExactSynonym")).removeprefix("oboInOwl:"))
        if scope is None:
            raise InputError(f"at {synonym.place}.pred: '{synonym.text('pred')}' is no kind of synonym")
        _rest(synonym, "synonym", content)
        content.synonym(synonym.text("val"), scope, local_name(synonym.text("synonymType", "")))
    definition = meta.object("definition")
    _rest(definition, "definition", content)
    if text := definition.text("val", ""):
        content.definition(text)
    for xref in meta.items("xrefs"):
        _rest(xref, "xref", content)
        content.map(*split_xref(xref.text("val")), xref.details(content))
    for subset in meta.items("subsets", str):
        content.subset(subset.value)
    for value in meta.items("basicPropertyValues"):
        _rest(value, "property value", content)
        kind = value.text("valType", "xsd:string")
        content.annotation(value.text("pred"), value.text("val"), kind, value.details(content))
    for _ in meta.items("comments", str):
        content.drop("clause", "comment is not used")
    content.end()


def _edges(document: Any, types: dict[str, str], content: Content) -> None:
    for graph in _At(document, "$").items("graphs"):
        content.report.tolerate("import that is not fetched", len(list(graph.items("imports", str))))
        for edge in graph.items("edges"):
            content.now = edge.place
            _rest(edge, "edge", content)
            source, kind, target = edge.text("sub"), edge.text("pred"), edge.text("obj")
            if kind in _NOT_RELATIONS or types.get(source) in ("PROPERTY", "INDIVIDUAL"):
                content.drop("edge", "it is not between two classes")
            else:
                content.relation(kind, target, edge.details(content), source)
        for axiom in graph.items("logicalDefinitionAxioms"):
            content.now = axiom.place
            _rest(axiom, "logical definition", content)
            content.defines(axiom.text("definedClassId"))
            for genus in axiom.items("genusIds", str):
                content.part("is_a", genus.value)
            for part in axiom.items("restrictions"):
                content.part(part.text("propertyId"), part.text("fillerId"))
        for kind in _AXIOMS:
            for _ in graph.items(kind):
                content.drop("axiom", f"{kind} are not used")
    content.now = ""
