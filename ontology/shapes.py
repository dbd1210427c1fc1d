"""House rules: SHACL shapes over the RDF that `ontology.writers.rdf` writes, checked by pyshacl.

What a shape can speak of is what `mhdiff ontology export --format turtle` shows: `skos:prefLabel` only where a term is
preferred, `rdfs:label` for the FSN, `skos:broader` for is-a, `sct:<type>` for attributes. Features of SHACL Advanced
(targets in SPARQL, functions, rules) are on, JavaScript is off.

Nothing is ever fetched: `owl:imports` of the shapes is read over and counted, and queries with SERVICE, FROM or LOAD
are refused.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ontology import codes
from ontology.assemble import assemble
from ontology.disassemble import disassemble
from ontology.errors import InputError
from ontology.readers.rdf_graph import FORMATS, read_triples
from ontology.report import LoadReport
from ontology.writers.iris import from_iri, iri_of, iris
from ontology.writers.rdf import PREFIXES, write_turtle

if TYPE_CHECKING:
    from rdflib import Graph
    from rdflib.term import Node

    from ontology.model import Ontology

SH = "http://www.w3.org/ns/shacl#"
SEVERITIES = ("Violation", "Warning", "Info")
_QUERIES = ("select", "ask", "construct", "update")
# Texts, IRIs, comments, variables and prefixed names are no keywords.
_NO_KEYWORD = re.compile(
    r'"""[\s\S]*?"""|\'\'\'[\s\S]*?\'\'\'|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|<[^<>\s]*>|#[^\n]*|[?$]\w+'
    r"|[\w.\-]*:[\w.\-]*"
)
_FETCHES = re.compile(r"\b(SERVICE|FROM|LOAD)\b", re.IGNORECASE)
_SHORT = {**PREFIXES, "sh": SH}


@dataclass(frozen=True)
class Violation:
    """One result of a check.

    Attributes:
        sctid: The focus concept, or its key where it has no SCTID; None where the focus is no concept.
        focus: Its identifier.
        fsn: Its fully specified name, empty where there is none.
        path: What the shape looked at, as SPARQL writes paths; empty where the shape is about the concept itself.
        value: The value that is wrong, empty where something is missing.
        message: What the shape says about it.
        severity: One of `SEVERITIES`, or the IRI of a severity of the shapes' own.
        shape: The nearest shape with a name.
        constraint: The kind of constraint, such as "MinCount".
    """

    sctid: int | None
    focus: str
    fsn: str
    path: str
    value: str
    message: str
    severity: str
    shape: str
    constraint: str

    def as_dict(self) -> dict[str, Any]:
        """Give it ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class ShapesReport:
    """What a check found.

    Attributes:
        violations: The results, the worst first, then by shape and concept.
        concepts: How many concepts were checked.
        graph: How many concepts were in the graph that they were checked in.
        shapes: How many shapes have targets.
        imports: Documents that the shapes import, which were not read.
    """

    violations: list[Violation]
    concepts: int
    graph: int
    shapes: int
    imports: list[str] = field(default_factory=list)

    def count(self, severity: str) -> int:
        """Count the results of a severity.

        Args:
            severity: One of `SEVERITIES`.
        """
        return sum(v.severity == severity for v in self.violations)


def check_shapes(
    ontology: Ontology, shapes: str | Path, *, focus: Iterable[int] | None = None
) -> ShapesReport:
    """Check an ontology against SHACL shapes.

    Args:
        ontology: The ontology.
        shapes: A file with shapes: Turtle, or another RDF format by its ending.
        focus: Check these concepts only, in the part of the ontology that relations lead to from them. Paths that go
            forward see the same there as in the whole; inverse paths, and queries that look for other concepts, do not.

    Raises:
        InputError: If pyshacl is missing, the shapes cannot be read, ask for something outside, or are no shapes.
        ConceptNotFound: If a concept of `focus` is not in the ontology.
    """
    try:
        import pyshacl
    except ImportError as error:
        raise InputError(
            "checking shapes needs pyshacl", remedy="Install it with: pip install 'mh-diff[formats]'"
        ) from error
    path = Path(shapes)
    rules = _read_shapes(path)
    targets = _targets(rules)
    wanted = None if focus is None else sorted({int(ontology.sctids[ontology.index(int(s))]) for s in focus})
    imports = sorted(str(o) for o in rules.objects(None, _term("http://www.w3.org/2002/07/owl#imports")))
    if wanted == []:
        return ShapesReport([], 0, 0, targets, imports)
    part = ontology if wanted is None else slice_around(ontology, wanted)
    whole = len(part) + part.inactive.height
    options: dict[str, Any] = {}
    if wanted is not None:
        known = iris(ontology)
        options["focus_nodes"] = [_term(iri_of(s, known)) for s in wanted]
    rules.remove((None, _term("http://www.w3.org/2002/07/owl#imports"), None))
    data = _graph(part)
    try:
        with _NoRemoteGraphs():
            _, results, text = pyshacl.validate(
                data, shacl_graph=rules, advanced=True, inplace=True, inference="none", js=False, **options
            )
    except Exception as error:
        # the data are ours, so whatever is raised here (by the parsers of queries and patterns too) is about the shapes
        raise _no_shapes(error, path) from error
    if not hasattr(results, "subject_objects"):
        raise _no_shapes(RuntimeError(text), path)
    found = _violations(results, rules, ontology)
    return ShapesReport(found, whole if wanted is None else len(wanted), whole, targets, imports)


def slice_around(ontology: Ontology, sctids: Iterable[int]) -> Ontology:
    """Give the part of an ontology that relations lead to from some concepts, these included.

    Args:
        ontology: The ontology.
        sctids: The concepts.

    Returns:
        Another ontology, without inactive concepts.
    """
    starts = ontology.relations.source
    order = np.argsort(starts, kind="stable")
    targets = ontology.relations.target[order]
    first = np.searchsorted(starts[order], np.arange(len(ontology) + 1))
    reached = np.zeros(len(ontology), dtype=bool)
    front = np.unique(np.array([ontology.index(int(s)) for s in sctids], dtype=np.int64))
    while len(front):
        reached[front] = True
        ranges = [targets[first[node] : first[node + 1]] for node in front.tolist()]
        front = np.unique(np.concatenate(ranges)) if ranges else front[:0]
        front = front[~reached[front]]
    keep = pl.Series(ontology.sctids[reached]).implode()
    parts = disassemble(ontology)
    kept = parts.copy()
    for name in ("concepts", "terms", "maps", "axioms"):
        setattr(kept, name, getattr(parts, name).filter(pl.col("sctid").is_in(keep)))
    for name in ("relations", "stated", "values"):
        setattr(kept, name, getattr(parts, name).filter(pl.col("source").is_in(keep)))
    kept.inactive, kept.history, kept.members = parts.inactive.clear(), parts.history.clear(), {}
    kept.dialects = parts.dialects.clear()
    return assemble(ontology.name, kept, LoadReport(source=ontology.report.source))


def _term(iri: str) -> Any:
    from rdflib import URIRef

    return URIRef(iri)


def _read_shapes(path: Path) -> Graph:
    if path.suffix.lower() not in FORMATS:
        raise InputError(
            f"the ending '{path.suffix}' says no RDF format",
            path=path,
            remedy=f"Use one of: {', '.join(FORMATS)}",
        )
    graph = _from_rows(read_triples(path, LoadReport()))
    for name in _QUERIES:
        for query in graph.objects(None, _term(SH + name)):
            if found := _FETCHES.search(_NO_KEYWORD.sub(" ", str(query))):
                raise InputError(
                    f"a query of the shapes has {found[1].upper()}: it asks for what is never fetched",
                    path=path,
                    row=_line_of(path, str(query)),
                    remedy="Ask the ontology itself",
                )
    return graph


def _line_of(path: Path, query: str) -> int | None:
    text = path.read_text("utf-8", errors="replace")
    place = text.find(query.strip().splitlines()[0]) if query.strip() else -1
    return text.count("\n", 0, place) + 1 if place >= 0 else None


def _targets(rules: Graph) -> int:
    ways = ("targetClass", "targetNode", "targetSubjectsOf", "targetObjectsOf", "target")
    return len({s for way in ways for s in rules.subjects(_term(SH + way), None)})


def _no_shapes(error: Exception, path: Path) -> InputError:
    said = " ".join(str(error).split())
    return InputError(
        f"pyshacl cannot use these shapes: {said[:400].rstrip('.')}",
        path=path,
        remedy="Mend the shapes; https://www.w3.org/TR/shacl/ says what they may be",
    )


class _NoRemoteGraphs:
    """While this lasts, rdflib loads no graph that a query names."""

    def __enter__(self) -> None:
        from rdflib.plugins import sparql

        self.before, sparql.SPARQL_LOAD_GRAPHS = sparql.SPARQL_LOAD_GRAPHS, False

    def __exit__(self, *_: object) -> None:
        from rdflib.plugins import sparql

        sparql.SPARQL_LOAD_GRAPHS = self.before


def _graph(ontology: Ontology) -> Graph:
    """Give the ontology's Turtle as a graph of rdflib; the triples are read by pyoxigraph where it is installed."""
    with tempfile.TemporaryDirectory(prefix="mh-diff-") as folder:
        file = write_turtle(ontology, Path(folder) / "o.ttl")
        return _from_rows(read_triples(file, LoadReport()))


def _from_rows(rows: pl.DataFrame) -> Graph:
    from rdflib import BNode, Graph, Literal, URIRef

    graph = Graph()
    for prefix, space in _SHORT.items():
        graph.bind(prefix, space)
    nodes: dict[str, Any] = {}

    def node(text: str) -> Any:
        if text not in nodes:
            nodes[text] = BNode(text[2:]) if text.startswith("_:") else URIRef(text)
        return nodes[text]

    for subject, predicate, value, kind, language, datatype in rows.iter_rows():
        if kind == "literal":
            shown: Any = Literal(
                value, lang=language or None, datatype=URIRef(datatype) if datatype else None
            )
        else:
            shown = node(value)
        graph.add((node(subject), node(predicate), shown))
    return graph


def _violations(results: Graph, rules: Graph, ontology: Ontology) -> list[Violation]:
    keys = {iri: key for key, iri in iris(ontology).items()}
    gone = dict.fromkeys(ontology.inactive["sctid"].to_list(), "")
    names = ontology.inactive_terms.filter(pl.col("kind") == "fsn")
    gone.update(names.select("sctid", "term").iter_rows())
    found: list[Violation] = []
    top = set(results.objects(None, _term(SH + "result")))
    for result in top:
        said = {str(p).removeprefix(SH): o for p, o in results.predicate_objects(result)}
        focus = str(said["focusNode"])
        identifier = from_iri(focus)
        key = keys.get(focus, codes.key(identifier))
        found.append(
            Violation(
                sctid=key if key in ontology or key in gone else None,
                focus=identifier,
                fsn=ontology.fsn(key) if key in ontology else gone.get(key, ""),
                path=_path(said["resultPath"], results, rules) if "resultPath" in said else "",
                value=_shown(said["value"], ontology) if "value" in said else "",
                message=" / ".join(
                    sorted(str(m) for m in results.objects(result, _term(SH + "resultMessage")))
                ),
                severity=str(said["resultSeverity"]).removeprefix(SH),
                shape=_named(said["sourceShape"], rules),
                constraint=str(said["sourceConstraintComponent"])
                .removeprefix(SH)
                .removesuffix("ConstraintComponent"),
            )
        )
    order = {name: place for place, name in enumerate(SEVERITIES)}
    return sorted(
        found,
        key=lambda v: (
            order.get(v.severity, len(order)),
            v.shape,
            v.sctid or 0,
            v.focus,
            v.path,
            v.value,
            v.message,
        ),
    )


def _shown(value: Node, ontology: Ontology) -> str:
    from rdflib import Literal

    if isinstance(value, Literal):
        return str(value)
    identifier = from_iri(str(value))
    key = codes.key(identifier)
    return f"{identifier} |{ontology.term(key)}|" if key in ontology else _short(str(value))


def _short(iri: str) -> str:
    for prefix, space in _SHORT.items():
        if iri.startswith(space) and iri != space:
            return f"{prefix}:{iri.removeprefix(space)}"
    return f"<{iri}>"


def _named(shape: Node, rules: Graph) -> str:
    """Give the IRI of a shape, or of the shape that it is a part of."""
    from rdflib import URIRef

    seen: set[Node] = set()
    while not isinstance(shape, URIRef) and shape not in seen:
        seen.add(shape)
        shape = next(
            iter(sorted(rules.subjects(None, shape), key=lambda s: (not isinstance(s, URIRef), s))), shape
        )
    return _short(str(shape)) if isinstance(shape, URIRef) else "a shape without a name"


def _path(path: Node, *graphs: Graph) -> str:
    """Write a path as SPARQL does."""
    from rdflib import RDF, URIRef
    from rdflib.collection import Collection

    if isinstance(path, URIRef):
        return _short(str(path))
    graph = next((g for g in graphs if (path, None, None) in g), graphs[0])
    if (path, RDF.first, None) in graph:
        return "/".join(_path(step, *graphs) for step in Collection(graph, path))
    for name, mark in (("zeroOrMorePath", "*"), ("oneOrMorePath", "+"), ("zeroOrOnePath", "?")):
        for inner in graph.objects(path, _term(SH + name)):
            return (
                f"({_path(inner, *graphs)}){mark}" if not isinstance(inner, URIRef) else _path(inner) + mark
            )
    for inner in graph.objects(path, _term(SH + "inversePath")):
        return f"^{_path(inner, *graphs)}"
    for inner in graph.objects(path, _term(SH + "alternativePath")):
        return "(" + "|".join(_path(step, *graphs) for step in Collection(graph, inner)) + ")"
    return "a path of an unknown kind"
