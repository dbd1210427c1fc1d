"""RDF files to one table of triples, by pyoxigraph where it is installed and by rdflib where it is not.

Nothing is ever fetched: a JSON-LD context that lies elsewhere is refused before the parser sees it, and so are XML
entities that are more than the abbreviation of a namespace (external ones, and those made of other entities).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from ontology.errors import InputError
from ontology.report import LoadReport

# `kind` is "iri", "blank" or "literal" and tells what `object` is; blank nodes start with "_:".
TRIPLES = {
    "subject": pl.String(),
    "predicate": pl.String(),
    "object": pl.String(),
    "kind": pl.String(),
    "language": pl.String(),
    "datatype": pl.String(),
}
FORMATS = {
    ".ttl": "turtle", ".turtle": "turtle", ".nt": "nt", ".ntriples": "nt", ".nq": "nquads", ".nquads": "nquads",
    ".trig": "trig", ".rdf": "xml", ".xml": "xml", ".owl": "xml", ".skos": "xml", ".jsonld": "json-ld",
    ".json": "json-ld",
}  # fmt: skip
XSD = "http://www.w3.org/2001/XMLSchema#"
_OXIGRAPH = {"turtle": "TURTLE", "nt": "N_TRIPLES", "nquads": "N_QUADS", "trig": "TRIG", "xml": "RDF_XML"}
_LIMIT = 256  # characters of a namespace, and how many of them
_PLACE = re.compile(
    r"(?:at |^)(?:<unknown>:)?line (\d+)(?: of <>)?(?:,? column (\d+))?|(?:^|:|\s)(\d+):(\d+)"
)
_OFFSETS = re.compile(r"^at \d+\.\.\d+: ")  # pyoxigraph's places inside one attribute


def check_xml(data: bytes, path: Path, report: LoadReport) -> None:
    """Refuse XML that declares entities which reach outside or grow, before anything expands them.

    Args:
        data: The file's bytes.
        path: The file, for the message.
        report: Counts the harmless ones.

    Raises:
        InputError: If there is such an entity, or the beginning is no XML.
    """
    from xml.parsers import expat

    declared: list[str] = []
    parser = expat.ParserCreate()

    def refuse(what: str) -> None:
        raise InputError(
            f"the document type declares {what}",
            path=path,
            row=parser.CurrentLineNumber,
            remedy="Take the declaration out; entities that are no abbreviation of a namespace are not put in",
        )

    def entity(name: str, parameter: bool, value: str | None, *outside: str | None) -> None:
        if parameter or value is None or any(outside[1:]):
            refuse(f"the entity '{name}', which lies elsewhere or is a parameter")
        elif len(value) > _LIMIT or "&" in value or "%" in value or "<" in value:
            refuse(f"the entity '{name}', which is more than a namespace")
        declared.append(name)
        if len(declared) > _LIMIT:
            refuse(f"more than {_LIMIT} entities")

    def doctype(name: str, system: str | None, public: str | None, _: bool) -> None:
        if system or public:
            refuse("an external subset, which is never fetched")

    class Enough(Exception):
        """The first element is reached, and no entity can be declared after it."""

    def element(*_: Any) -> None:
        raise Enough

    parser.EntityDeclHandler = entity
    parser.StartDoctypeDeclHandler = doctype
    parser.StartElementHandler = element
    try:
        parser.Parse(data, True)
    except Enough:
        pass
    except expat.ExpatError as error:
        raise InputError(
            f"this is no XML at column {error.offset + 1}: {expat.ErrorString(error.code)}",
            path=path,
            row=error.lineno,
            remedy="Mend the file, or give it the ending of its format, such as .ttl",
        ) from error
    except (LookupError, ValueError) as error:
        raise InputError(
            f"the encoding that the document declares cannot be read ({error})",
            path=path,
            row=1,
            remedy="Save it as UTF-8",
        ) from error
    report.tolerate("namespace abbreviated by an entity of the document type", len(declared), expected=True)


def check_form(data: bytes, path: Path) -> None:
    """Refuse XML that is not well-formed, with the line; the entities were checked before, by `check_xml`.

    Args:
        data: The file's bytes.
        path: The file, for the message.

    Raises:
        InputError: If it is not.
    """
    from xml.parsers import expat

    try:
        expat.ParserCreate(namespace_separator=" ").Parse(data, True)
    except expat.ExpatError as error:
        raise InputError(
            f"the XML does not parse at column {error.offset + 1}: {expat.ErrorString(error.code)}",
            path=path,
            row=error.lineno,
            remedy="Mend the file",
        ) from error


def _check_json(data: bytes, path: Path) -> None:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        row = getattr(error, "lineno", None)
        raise InputError(f"this is no JSON: {error}", path=path, row=row, remedy="Mend the file") from error
    todo = [document]
    while todo:
        here = todo.pop()
        if isinstance(here, dict):
            contexts = here.get("@context", [])
            for context in contexts if isinstance(contexts, list) else [contexts]:
                far = (
                    context
                    if isinstance(context, str)
                    else context.get("@import")
                    if isinstance(context, dict)
                    else None
                )
                if far is not None:
                    raise InputError(
                        f"the JSON-LD context '{far}' lies elsewhere, and is never fetched",
                        path=path,
                        remedy="Write the context itself into the file",
                    )
            todo += here.values()
        elif isinstance(here, list):
            todo += here


def read_triples(
    path: Path, report: LoadReport, parser: str = "auto", format: str | None = None
) -> pl.DataFrame:
    """Read a file's triples, each once; graph names are left out, and counted.

    Args:
        path: The file.
        report: Counts what is odd.
        parser: "pyoxigraph", "rdflib", or "auto": the former where it is installed.
        format: A value of `FORMATS`; by default the file's ending says it.

    Returns:
        The columns of `TRIPLES`.

    Raises:
        InputError: If it cannot be read or does not parse; the message has the line where the parser gives it.
    """
    form = format or FORMATS.get(path.suffix.lower())
    if form is None:
        raise InputError(
            f"the ending '{path.suffix}' says no RDF format",
            path=path,
            remedy=f"Use one of: {', '.join(FORMATS)}",
        )
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"the file cannot be read ({error.strerror})", path=path) from error
    if data.startswith(b"\xef\xbb\xbf"):
        report.tolerate("byte order mark at the start of the file", 1)
        data = data[3:]
    if form == "xml":
        check_xml(data, path, report)
    if form == "json-ld":
        _check_json(data, path)
    chosen = parser
    if parser == "auto":
        from importlib.util import find_spec

        chosen = "pyoxigraph" if form in _OXIGRAPH and find_spec("pyoxigraph") else "rdflib"
    reader = _oxigraph if chosen == "pyoxigraph" else _rdflib
    rows = reader(data, form, path, report)
    triples = pl.DataFrame(rows, schema=TRIPLES, orient="row")
    once = triples.unique(maintain_order=True)
    report.tolerate("triple that is said once more", triples.height - once.height)
    return once


_NAMED = "triple of a named graph: the graph's name is left out"


def _oxigraph(data: bytes, form: str, path: Path, report: LoadReport) -> list[tuple[str, ...]]:
    try:
        import pyoxigraph as ox
    except ImportError as error:
        raise InputError(
            "this parser needs pyoxigraph",
            path=path,
            remedy="Install it with: pip install 'mh-diff[formats]'",
        ) from error
    if form not in _OXIGRAPH:
        return _rdflib(data, form, path, report)
    named = 0
    rows: list[tuple[str, ...]] = []
    try:
        quads = ox.parse(
            data, format=getattr(ox.RdfFormat, _OXIGRAPH[form]), base_iri="urn:mh-diff:document:"
        )
        for quad in quads:
            subject, value = quad.subject, quad.object
            named += not isinstance(quad.graph_name, ox.DefaultGraph)
            start = (
                subject.value
                if isinstance(subject, ox.NamedNode)
                else f"_:{getattr(subject, 'value', subject)}"
            )
            if isinstance(value, ox.Literal):
                language = value.language or ""
                rows.append((start, quad.predicate.value, value.value, "literal", language,
                             "" if language else _datatype(value.datatype.value)))  # fmt: skip
            elif isinstance(value, ox.NamedNode):
                rows.append((start, quad.predicate.value, value.value, "iri", "", ""))
            else:
                rows.append(
                    (start, quad.predicate.value, f"_:{getattr(value, 'value', value)}", "blank", "", "")
                )
    except (SyntaxError, ValueError, OSError) as error:
        raise _does_not_parse(error, path, data, form) from error
    report.tolerate(_NAMED, named)
    return rows


def _datatype(iri: str) -> str:
    return "" if iri == f"{XSD}string" else iri


def _rdflib(data: bytes, form: str, path: Path, report: LoadReport) -> list[tuple[str, ...]]:
    import logging
    from xml.sax import SAXException

    import rdflib
    from rdflib.exceptions import ParserError as ParseError
    from rdflib.plugins.parsers.notation3 import BadSyntax

    graph = rdflib.Dataset(default_union=True) if form in ("nquads", "trig", "json-ld") else rdflib.Graph()
    normalises, rdflib.NORMALIZE_LITERALS = rdflib.NORMALIZE_LITERALS, False  # "5.10" stays "5.10"
    noise = logging.getLogger("rdflib")
    level, noise.level = noise.level, logging.CRITICAL
    try:
        graph.parse(data=data, format=form, publicID="urn:mh-diff:document:")
    except (BadSyntax, ParseError, SAXException, SyntaxError, ValueError, AssertionError, LookupError, NameError,
            TypeError, AttributeError, RecursionError) as error:  # fmt: skip
        # its parsers say little of what is wrong by their errors: JSON-LD fails wherever a value is not of its kind
        raise _does_not_parse(error, path, data, form) from error
    finally:
        rdflib.NORMALIZE_LITERALS, noise.level = normalises, level
    if isinstance(graph, rdflib.Dataset):
        report.tolerate(_NAMED, len(graph) - len(graph.default_graph))
    return list(_rdflib_rows(graph))


def _rdflib_rows(graph: Any) -> Iterator[tuple[str, ...]]:
    from rdflib import BNode, Literal

    for subject, predicate, value in graph.triples((None, None, None)):
        start = f"_:{subject}" if isinstance(subject, BNode) else str(subject)
        if isinstance(value, Literal):
            language = value.language or ""
            yield (
                start,
                str(predicate),
                str(value),
                "literal",
                language,
                _datatype(str(value.datatype or "")),
            )
        elif isinstance(value, BNode):
            yield (start, str(predicate), f"_:{value}", "blank", "", "")
        else:
            yield (start, str(predicate), str(value), "iri", "", "")


def _does_not_parse(error: Exception, path: Path, data: bytes, form: str) -> InputError:
    row = getattr(error, "lineno", None) or getattr(error, "lines", None)
    said = " ".join(str(error).split())
    if hasattr(error, "getLineNumber"):
        row = error.getLineNumber()
    if isinstance(row, int) and hasattr(error, "lines"):
        row += 1  # rdflib counts from 0
    if row is None and (found := _PLACE.search(said)):
        row = int(found[1] or found[3])
    if form == "xml" and (row is None or _OFFSETS.search(said)):
        row = _line_of_xml(data, str(error))
    elif row is None and isinstance(error, UnicodeDecodeError):
        row = data.count(b"\n", 0, error.start) + 1
    offset = getattr(error, "offset", None)
    column = f", column {offset}" if isinstance(offset, int) else ""
    return InputError(
        f"the RDF does not parse{column}: {said[:300].rstrip('.')}",
        path=path,
        row=row if isinstance(row, int) else None,
        remedy="Mend the file, or give it the ending of its format",
    )


def _line_of_xml(data: bytes, said: str) -> int | None:
    """Find the line that pyoxigraph does not tell: where XML breaks, else what it quotes, else where rdflib stops."""
    from xml.parsers import expat

    import rdflib
    from rdflib.exceptions import ParserError

    parser = expat.ParserCreate(namespace_separator=" ")
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        return error.lineno
    for quoted in re.findall(r"'(.+?)'|`(.+?)`", said, re.DOTALL):
        place = data.find(next(filter(None, quoted)).strip().encode())
        if place >= 0:
            return data.count(b"\n", 0, place) + 1
    try:
        rdflib.Graph().parse(data=data, format="xml", publicID="urn:mh-diff:document:")
    except ParserError as error:
        if found := _PLACE.search(str(error)):
            return int(found[1] or found[3])
    except (
        ValueError
    ):  # a language tag that is none; what is wrong is said already, only the line is looked for
        pass
    return None
