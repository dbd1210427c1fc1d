"""OWL in RDF/XML, OWL/XML or N-Triples to `Parts`.

OWL/XML is read by owlready2, in a world of its own that knows no folder of ontologies and loads no import. RDF/XML and
N-Triples are read by the parsers of `ontology.readers.rdf_graph`, because they keep the digits of decimals and name the
line of a fault; owlready2 reads them too, with `parser="owlready2"`. Both end in the same triples. Functional syntax
goes to `ontology.readers.functional`. Entities are checked before any parser expands them.
"""

from __future__ import annotations

import io
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

import polars as pl

from ontology.errors import InputError
from ontology.functional_text import text
from ontology.parts import Parts
from ontology.readers import functional
from ontology.readers.owl_facts import Facts
from ontology.readers.owl_nodes import PROPERTIES, STRUCTURE, TRAITS_UNUSED, Nodes, axioms
from ontology.readers.rdf import OWL, RDF, RDFS
from ontology.readers.rdf_graph import TRIPLES, check_form, check_xml, read_triples
from ontology.report import LoadReport

_ON_PROPERTIES = {
    f"{RDFS}domain": "domain of a property", f"{RDFS}range": "range of a property",
    f"{OWL}inverseOf": "InverseObjectProperties", f"{OWL}equivalentProperty": "EquivalentObjectProperties",
    f"{OWL}propertyDisjointWith": "DisjointObjectProperties",
}  # fmt: skip


def _start(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(4096)


def recognises(path: Path) -> bool:
    """Say whether a path looks like an OWL document.

    Args:
        path: A file or a folder.
    """
    if not path.is_file():
        return False
    if path.suffix.lower() in {".owl", ".owx", ".ofn"}:
        return True
    return path.suffix.lower() in {".rdf", ".xml"} and any(
        w in _start(path) for w in (b"owl:Class", b"owl:Ontology")
    )


def read(path: Path, report: LoadReport, *, parser: str = "auto") -> Parts:
    """Read an OWL document.

    Args:
        path: The file: RDF/XML, OWL/XML, N-Triples, Turtle or functional syntax.
        report: What was read and left out is counted here.
        parser: "auto", "pyoxigraph", "rdflib" or "owlready2".

    Raises:
        InputError: If it does not parse, declares entities that reach outside, or holds no class.
    """
    try:
        start = _start(path)
    except OSError as error:
        raise InputError(f"the file cannot be read ({error.strerror})", path=path) from error
    if functional.begins(start):
        return functional.read(path, report)
    form = {".nt": "nt", ".ttl": "turtle"}.get(path.suffix.lower(), "xml")
    if form == "xml":
        check_xml(path.read_bytes(), path, report)
    if parser == "owlready2" or (form == "xml" and b"rdf:RDF" not in start and b"<RDF" not in start):
        return from_triples(_owlready(path), report, path.name, path)
    return from_triples(read_triples(path, report, parser, form), report, path.name, path)


def _owlready(path: Path) -> pl.DataFrame:
    """Parse with owlready2 into its store, which loads no import, and take the triples out."""
    import owlready2
    from owlready2.base import OwlReadyOntologyParsingError

    data = path.read_bytes()
    if data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<?xml"):
        check_form(data, path)
    world = owlready2.World()
    try:
        document = world.get_ontology("urn:mh-diff:document#")
        # the library shows its traceback by this hook, and raises as well
        hook, sys.excepthook = sys.excepthook, lambda *_: None
        try:
            document.graph.parse(io.BytesIO(data), default_base="urn:mh-diff:document:")
        except (
            OwlReadyOntologyParsingError,
            ValueError,
            KeyError,
            IndexError,
            AttributeError,
            TypeError,
        ) as error:
            place = re.search(r"line (\d+), column (\d+)", str(error))
            raise InputError(
                f"owlready2 cannot read what stands {f'at column {place[2]}' if place else 'here'}",
                path=path,
                row=int(place[1]) if place else None,
                remedy="Mend the file; OWL/XML needs <Prefix name='' IRI='...'/> where an IRI has no '//'",
            ) from error
        finally:
            sys.excepthook = hook
        names = dict(world.graph.execute("SELECT storid, iri FROM resources").fetchall())
        rows: list[tuple[str, ...]] = []

        def name(number: int) -> str:
            return names.get(number) or f"_:{-number}"

        for s, p, o in world.graph.execute("SELECT s, p, o FROM objs").fetchall():
            rows.append((name(s), name(p), name(o), "blank" if o < 0 else "iri", "", ""))
        for s, p, o, d in world.graph.execute("SELECT s, p, o, d FROM datas").fetchall():
            text = str(o).lower() if isinstance(o, bool) else str(o)
            language = d[1:] if isinstance(d, str) and d.startswith("@") else ""
            datatype = names.get(d, "") if isinstance(d, int) and d else ""
            rows.append((name(s), name(p), text, "literal", language, datatype))
    finally:
        world.close()
    return pl.DataFrame(rows, schema=TRIPLES, orient="row")


def from_triples(triples: pl.DataFrame, report: LoadReport, origin: str, path: Path | None = None) -> Parts:
    """Read OWL classes from triples.

    Args:
        triples: The columns of `rdf_graph.TRIPLES`.
        report: What was read and left out is counted here.
        origin: The file's name.
        path: The file, for the messages.

    Raises:
        InputError: If there is no class.
    """
    facts = Facts()
    nodes = Nodes(triples)
    types: defaultdict[str, set[str]] = defaultdict(set)
    for subject, kind in nodes.get(f"{RDF}type"):
        types[kind].add(subject)
    facts.classes = {s for s in types[f"{OWL}Class"] if not s.startswith("_:")}
    if not facts.classes:
        raise InputError(
            "there is no named owl:Class", path=path, remedy="Read it as RDF if it is a SKOS scheme or RDFS"
        )
    report.files_read.append({"file": origin, "kind": "OWL", "rows": triples.height})
    facts.imports = sorted(o for _, o in nodes.get(f"{OWL}imports"))
    properties = set().union(*(types[kind] for kind in PROPERTIES))
    facts.axioms = [(axiom, text(axiom)) for axiom in axioms(nodes, types)]
    kept = triples.filter(
        pl.col("subject").is_in(list(facts.classes | properties))
        & ~pl.col("predicate").is_in([f"{RDF}type", *STRUCTURE])
    )
    unused: Counter[str] = Counter()
    for subject, name, said, kind, language in kept.select(
        "subject", "predicate", "object", "kind", "language"
    ).iter_rows():
        if name == f"{RDFS}label" and subject in properties and subject not in facts.classes:
            facts.labels.setdefault(subject, said)
        elif kind == "blank":
            unused[f"{name} of an anonymous node"] += 1
        elif subject in facts.classes:
            facts.annotations.append((subject, name, said, language))
        elif name in _ON_PROPERTIES:
            unused[_ON_PROPERTIES[name]] += 1
    for kind in types:
        if kind in TRAITS_UNUSED:
            unused[kind.removeprefix(OWL)] += len(types[kind])
    unused["individual"] = len(types[f"{OWL}NamedIndividual"])
    unused["annotation of an axiom"] = len(types[f"{OWL}Axiom"])
    facts.unused = +unused
    return facts.parts(report, origin)
