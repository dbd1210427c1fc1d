"""OWL in RDF/XML, OWL/XML or N-Triples to `Parts`.

OWL/XML is read by owlready2, in a world of its own that knows no folder of ontologies and loads no import. RDF/XML and
N-Triples are read by the parsers of `ontology.readers.rdf_graph`, because they keep the digits of decimals and name the
line of a fault; owlready2 reads them too, with `parser="owlready2"`. Both end in the same triples. Functional syntax
goes to `ontology.readers.functional`. Entities are checked before any parser expands them.
"""

from __future__ import annotations

import io
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import polars as pl

from ontology.codes import canonical
from ontology.errors import InputError
from ontology.functional_syntax import (
    NUMERIC,
    All,
    Equivalent,
    Expression,
    Other,
    PropertyTrait,
    Some,
    SubClass,
    SubProperty,
    Value,
)
from ontology.parts import Parts
from ontology.readers.owl_facts import Facts
from ontology.readers.rdf import OWL, RDF, RDFS
from ontology.readers.rdf_graph import TRIPLES, check_xml, read_triples
from ontology.report import LoadReport
from ontology.writers.iris import from_iri

_DEPTH = 64
_PROPERTIES = (f"{OWL}ObjectProperty", f"{OWL}DatatypeProperty", f"{OWL}AnnotationProperty")
_TRAITS = {f"{OWL}TransitiveProperty": "transitive", f"{OWL}ReflexiveProperty": "reflexive"}
_KINDS = ("unionOf", "complementOf", "oneOf", "allValuesFrom", "hasSelf", "minCardinality", "maxCardinality",
          "cardinality", "qualifiedCardinality", "minQualifiedCardinality", "maxQualifiedCardinality")  # fmt: skip
_STRUCTURE = {f"{RDFS}subClassOf", f"{OWL}equivalentClass", f"{RDF}type", f"{OWL}propertyChainAxiom",
              f"{RDFS}subPropertyOf"}  # fmt: skip


def _start(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(4096)


def _is_functional(start: bytes) -> bool:
    return start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(
        (b"Prefix(", b"Ontology(", b"Prefix (", b"Ontology (")
    )


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
    if _is_functional(start):
        from ontology.readers import functional

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

    world = owlready2.World()
    try:
        document = world.get_ontology("urn:mh-diff:document#")
        try:
            document.graph.parse(io.BytesIO(path.read_bytes()), default_base="urn:mh-diff:document:")
        except (
            OwlReadyOntologyParsingError,
            ValueError,
            KeyError,
            IndexError,
            AttributeError,
            TypeError,
        ) as error:
            cause = error.__cause__ or error
            raise InputError(
                f"the OWL does not parse: {' '.join(str(error).split())[:200].rstrip('.')}",
                path=path,
                row=getattr(cause, "lineno", None),
                remedy="Mend the file; RDF/XML, OWL/XML and N-Triples can be read",
            ) from error
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
    nodes = _Nodes(triples)
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
    for subject, above in nodes.get(f"{RDFS}subClassOf"):
        facts.axioms.append(SubClass(nodes.expression(subject), nodes.expression(above)))
    for subject, other in nodes.get(f"{OWL}equivalentClass"):
        facts.axioms.append(Equivalent((nodes.expression(subject), nodes.expression(other))))
    properties = set().union(*(types[kind] for kind in _PROPERTIES))
    for subject, above in nodes.get(f"{RDFS}subPropertyOf"):
        if subject in types[_PROPERTIES[0]]:
            facts.axioms.append(SubProperty((canonical(subject),), canonical(above)))
    for subject, chain in nodes.get(f"{OWL}propertyChainAxiom"):
        facts.axioms.append(SubProperty(tuple(canonical(p) for p in nodes.items(chain)), canonical(subject)))
    for kind, trait in _TRAITS.items():
        facts.axioms += [PropertyTrait(trait, canonical(p)) for p in sorted(types[kind])]
    kept = triples.filter(
        pl.col("subject").is_in(list(facts.classes | properties))
        & ~pl.col("predicate").is_in(list(_STRUCTURE))
    )
    unused: Counter[str] = Counter()
    for subject, name, text, kind, language in kept.select(
        "subject", "predicate", "object", "kind", "language"
    ).iter_rows():
        if name == f"{RDFS}label" and subject in properties and subject not in facts.classes:
            facts.labels.setdefault(subject, text)
        elif name == f"{OWL}disjointWith":
            unused["DisjointClasses"] += 1
        elif kind == "blank":
            unused[f"{name} of an anonymous node"] += 1
        elif subject in facts.classes:
            facts.annotations.append((subject, name, text, language))
    unused["individual"] = len(types[f"{OWL}NamedIndividual"])
    unused["annotation of an axiom"] = len(types[f"{OWL}Axiom"])
    unused["AllDisjointClasses"] = len(types[f"{OWL}AllDisjointClasses"])
    facts.unused = +unused
    return facts.parts(report, origin)


class _Nodes:
    """Class expressions from the blank nodes that say them."""

    def __init__(self, triples: pl.DataFrame) -> None:
        self._by: dict[str, list[tuple[str, str]]] = {}
        wanted = [f"{RDF}type", f"{OWL}imports", f"{RDFS}subClassOf", f"{OWL}equivalentClass",
                  f"{RDFS}subPropertyOf", f"{OWL}propertyChainAxiom"]  # fmt: skip
        for name in wanted:
            found = triples.filter((pl.col("predicate") == name) & (pl.col("kind") != "literal"))
            self._by[name] = list(found.select("subject", "object").iter_rows())
        self._blank: defaultdict[str, dict[str, tuple[str, str]]] = defaultdict(dict)
        blank = triples.filter(pl.col("subject").str.starts_with("_:"))
        for s, p, o, datatype in blank.select("subject", "predicate", "object", "datatype").iter_rows():
            self._blank[s][p] = (o, datatype)
            if p == f"{RDF}type" and o == f"{OWL}Axiom":
                self._blank[s]["axiom"] = (o, "")

    def get(self, predicate: str) -> list[tuple[str, str]]:
        return self._by[predicate]

    def items(self, node: str) -> list[str]:
        """Give the members of an RDF list."""
        found: list[str] = []
        seen: set[str] = set()
        while node != f"{RDF}nil" and node not in seen:
            seen.add(node)
            here = self._blank.get(node, {})
            if f"{RDF}first" in here:
                found.append(here[f"{RDF}first"][0])
            node = here.get(f"{RDF}rest", (f"{RDF}nil", ""))[0]
        return found

    def expression(self, node: str, depth: int = 0) -> Expression:
        """Give the class expression of a node."""
        if not node.startswith("_:"):
            return from_iri(node)
        here: dict[str, Any] = self._blank.get(node, {})
        if depth > _DEPTH:
            return Other("expression nested too deep")
        if (members := here.get(f"{OWL}intersectionOf")) is not None:
            parts = tuple(self.expression(part, depth + 1) for part in self.items(members[0]))
            return parts[0] if len(parts) == 1 else All(parts)
        role, filler = here.get(f"{OWL}onProperty"), here.get(f"{OWL}someValuesFrom")
        if role and filler and not role[0].startswith("_:"):
            return Some(from_iri(role[0]), self.expression(filler[0], depth + 1))
        if role and (value := here.get(f"{OWL}hasValue")) and not role[0].startswith("_:"):
            text, datatype = value
            if text.startswith("_:") or (datatype == "" and "://" in text):
                return Other("hasValue of an individual")
            return Value(from_iri(role[0]), f"#{text}" if datatype in NUMERIC else f'"{text}"')
        kind = next((name for name in _KINDS if f"{OWL}{name}" in here), "expression of an unknown kind")
        return Other(kind)
