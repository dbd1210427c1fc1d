"""RDF to `Parts`: SKOS concept schemes, the form that `ontology.writers.rdf` writes, and plain RDFS classes.

`skos:broader`, `skos:narrower` and `rdfs:subClassOf` are is-a; the transitive ones only where a document has no others.
`prefLabel` is a preferred synonym of its language; the FSN is `rdfs:label`, or the `prefLabel` where no concept of the
document has a label. `altLabel` is a synonym, `hiddenLabel` another term. The prefLabels of the main language (none,
else English, else the most frequent) come first. `skos:related` and declared properties between concepts are relations.
Every triple that has no place in an ontology is counted, by its property.
A document of OWL classes goes to `ontology.readers.owl`. Nothing is fetched, see `ontology.readers.rdf_graph`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import polars as pl

from ontology.codes import FIRST, Keys, canonical, key
from ontology.errors import InputError
from ontology.identifiers import (
    ASSOCIATIONS,
    CONCEPT_INACTIVATION,
    FULLY_DEFINED,
    IS_A,
    REPLACED_BY,
    ROLE_GROUP,
    normalise_system,
)
from ontology.model import Ontology
from ontology.parts import PART_MAPS, PART_VALUES, RELATIONS, TERMS, Parts
from ontology.readers.rdf_graph import XSD, read_triples
from ontology.report import LoadReport
from ontology.tables import HISTORY, INACTIVE, fill
from ontology.writers.iris import BASE, DEFINITION_STATUS, HISTORICAL_ASSOCIATION, MAP, SYSTEMS, from_iri

SKOS = "http://www.w3.org/2004/02/skos/core#"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
RDFS = "http://www.w3.org/2000/01/rdf-schema#"
OWL = "http://www.w3.org/2002/07/owl#"
DCTERMS = "http://purl.org/dc/terms/"
MATCHES = ("exactMatch", "closeMatch", "broadMatch", "narrowMatch", "relatedMatch")
_PROPERTIES = [f"{RDF}Property", f"{OWL}ObjectProperty", f"{OWL}DatatypeProperty"]
_SYSTEM_OF = {iri: system for system, iri in SYSTEMS.items()}
_TERMS = {
    f"{SKOS}prefLabel": ("synonym", True),
    f"{SKOS}altLabel": ("synonym", False),
    f"{SKOS}hiddenLabel": ("other", False),
    f"{SKOS}definition": ("definition", False),
    f"{RDFS}label": ("fsn", True),
}
_READ = frozenset((*_TERMS, *(f"{SKOS}{n}" for n in (
    "notation", "broader", "narrower", "broaderTransitive", "narrowerTransitive", "related", "mappingRelation", *MATCHES
)), f"{DCTERMS}isReplacedBy", f"{RDFS}subClassOf", f"{OWL}deprecated", f"{RDF}type",
    *(f"{RDF}{n}" for n in ("subject", "predicate", "object"))))  # fmt: skip
# What says no more than that the concepts are those of the document.
_FRAME = frozenset((f"{SKOS}inScheme", f"{SKOS}hasTopConcept", f"{SKOS}topConceptOf"))
_NUMERIC = frozenset(
    XSD + n for n in ("integer", "decimal", "double", "float", "int", "long", "nonNegativeInteger")
)


def recognises(path: Path) -> bool:
    """Say whether a path looks like RDF that is not RDF/XML of OWL classes.

    Args:
        path: A file or a folder.
    """
    suffix = path.suffix.lower()
    if suffix in {".ttl", ".turtle", ".nt", ".ntriples", ".nq", ".nquads", ".trig", ".jsonld", ".skos"}:
        return path.is_file()
    if suffix not in {".rdf", ".xml"} or not path.is_file():
        return False
    with open(path, "rb") as file:
        start = file.read(20_000)
    return b"rdf:RDF" in start and b"owl:Class" not in start


def read(path: Path, report: LoadReport, *, parser: str = "auto", base: Ontology | None = None) -> Parts:
    """Read an RDF file.

    Args:
        path: The file.
        report: What was read and left out is counted here.
        parser: "pyoxigraph", "rdflib" or "auto".
        base: An ontology whose concepts count as concepts of the document wherever it speaks of them.

    Raises:
        InputError: If it does not parse, reaches outside, or holds no concepts or classes.
    """
    triples = read_triples(path, report, parser)
    types = triples.filter(pl.col("predicate") == f"{RDF}type")
    kinds = set(types["object"].unique().to_list())
    if f"{SKOS}Concept" not in kinds and f"{OWL}Class" in kinds:
        from ontology.readers import owl

        return owl.from_triples(triples, report, path.name)
    report.files_read.append({"file": path.name, "kind": "RDF", "rows": triples.height})
    return _Scheme(triples, report, path, base).parts()


def read_layer(path: Path, report: LoadReport, base: Ontology) -> Parts:
    """Read an RDF file whose triples may be about concepts of an ontology, without typing them again.

    Args:
        path: The file.
        report: What was read and left out is counted here.
        base: What it is laid over.

    Raises:
        InputError: As `read`.
    """
    return read(path, report, base=base)


def map_target(iri: str) -> tuple[str, str]:
    """Give the code system and the local code of a mapping's target.

    Args:
        iri: The target's IRI, or a CURIE.
    """
    name = canonical(iri)
    if name.isdecimal():
        return "SNOMED", name
    cut = max(name.rfind("/"), name.rfind("#")) + 1
    if cut and "://" in name:
        space = name[:cut].rstrip("/#")
        return _SYSTEM_OF.get(space, space), name[cut:]
    prefix, colon, local = name.partition(":")
    return (normalise_system(prefix), local) if colon else ("", name)


class _Scheme:
    def __init__(
        self, triples: pl.DataFrame, report: LoadReport, path: Path, base: Ontology | None = None
    ) -> None:
        self.report, self.path, self.keys = report, path, Keys()
        self.by = {str(p[0]): frame for p, frame in triples.partition_by("predicate", as_dict=True).items()}
        self.nothing = triples.clear()
        typed: defaultdict[str, set[str]] = defaultdict(set)
        for subject, kind in self.get(f"{RDF}type").select("subject", "object").iter_rows():
            typed[kind].add(subject)
        self.typed = typed
        found = {
            s for s in typed[f"{SKOS}Concept"] | typed[f"{RDFS}Class"] | typed[f"{OWL}Class"] if s[:2] != "_:"
        }
        if not found:  # nobody said what is a concept: whatever has a place in the hierarchy is
            for name in (f"{SKOS}broader", f"{SKOS}narrower", f"{RDFS}subClassOf"):
                for column in ("subject", "object"):
                    found |= set(self.get(name).filter(pl.col("kind") == "iri")[column].to_list())
        if base is not None:
            found |= _spoken_of(triples, base)
        self.concepts = {iri: self.keys(from_iri(iri)) for iri in sorted(found) if not iri.startswith("_:")}
        if not self.concepts:
            raise InputError(
                "there is no skos:Concept, rdfs:Class or owl:Class, and no hierarchy",
                path=path,
                remedy="Type the concepts as skos:Concept, or give nodes and edges as a table",
            )

    def get(self, predicate: str) -> pl.DataFrame:
        return self.by.get(predicate, self.nothing)

    def sct(self, sctid: int) -> pl.DataFrame:
        return self.get(f"{BASE}{sctid}")

    def pairs(self, predicate: str, kind: str) -> list[tuple[int, int]]:
        """Give the pairs of concepts that a property joins, and count the others."""
        found, gone = [], 0
        for s, o in self.get(predicate).select("subject", "object").iter_rows():
            if s in self.concepts and o in self.concepts:
                found.append((self.concepts[s], self.concepts[o]))
            else:
                gone += 1
        self.report.drop(kind, "an end is no concept of the document", gone)
        return found

    def parts(self) -> Parts:
        gone = set(
            self.get(f"{OWL}deprecated").filter(pl.col("object").is_in(["true", "1"]))["subject"].to_list()
        )
        full = set(
            self.sct(DEFINITION_STATUS)
            .filter(pl.col("object") == f"{BASE}{FULLY_DEFINED}")["subject"]
            .to_list()
        )
        reasons = {
            s: self.keys(from_iri(o))
            for s, o in self.sct(CONCEPT_INACTIVATION).select("subject", "object").iter_rows()
        }
        living = sum(iri not in gone for iri in reasons)
        self.report.drop("reason", "it is that of a concept which is not inactive", living)
        self.report.drop("triple", "owl:deprecated of what is no concept is not used", len(gone - self.concepts.keys()),
                         expected=True)  # fmt: skip
        kinds = {f"{SKOS}Concept", f"{SKOS}ConceptScheme", f"{RDFS}Class", f"{OWL}Class", f"{OWL}Ontology",
                 f"{OWL}AnnotationProperty", f"{RDF}Statement", *_PROPERTIES}  # fmt: skip
        for kind, subjects in sorted(self.typed.items()):
            if kind not in kinds:
                self.report.drop(
                    "triple", f"rdf:type {_short(kind)} is not used", len(subjects), expected=True
                )
        active = {k: iri in full for iri, k in self.concepts.items() if iri not in gone}
        inactive = [(k, iri in full, reasons.get(iri, 0)) for iri, k in self.concepts.items() if iri in gone]
        self.report.count("concept", read=len(self.concepts), active=len(active), used=len(active))
        terms = self._terms()
        relations, values = self._relations()
        return Parts(
            concepts=pl.DataFrame({"sctid": list(active), "defined": list(active.values())},
                                  schema={"sctid": pl.Int64, "defined": pl.Boolean}).pipe(_concepts),
            inactive=fill(INACTIVE, pl.DataFrame(inactive, orient="row", schema={
                "sctid": pl.Int64, "defined": pl.Boolean, "reason": pl.Int64})),
            terms=terms,
            relations=relations,
            values=values,
            maps=self._maps(),
            history=self._history(),
            codes=self.keys.frame(),
        )  # fmt: skip

    def _terms(self) -> pl.DataFrame:
        empty = 0
        for predicate in _TERMS:
            frame = self.get(predicate)
            blank = (frame["kind"] == "literal") & (frame["object"].str.strip_chars() == "")
            empty += int(blank.sum())
            self.by[predicate] = frame.filter(~blank)
        labelled = (
            not self.get(f"{RDFS}label").filter(pl.col("subject").is_in(list(self.concepts))).is_empty()
        )
        preferred = self.get(f"{SKOS}prefLabel")
        languages = Counter(preferred["language"].to_list())
        english = [tag for tag in sorted(languages) if tag.lower().split("-")[0] == "en"]
        main = (
            ""
            if "" in languages
            else english[0]
            if english
            else min(languages, key=lambda t: (-languages[t], t), default="")
        )
        named: set[str] = set(preferred["subject"].to_list())
        rows: list[tuple[int, str, str, bool, str]] = []
        read = elsewhere = 0
        for predicate, (kind, first) in _TERMS.items():
            order = (pl.col("language") != main, "language") if kind == "synonym" and first else ()
            found = self.get(predicate).filter(pl.col("kind") == "literal")
            other = self.get(predicate).height - found.height
            self.report.drop("description", "it is no text", other)
            for iri, text, language in (
                (found.sort(*order, maintain_order=True) if order else found)
                .select("subject", "object", "language")
                .iter_rows()
            ):
                read += 1
                if (key := self.concepts.get(iri)) is None:
                    elsewhere += 1
                    continue
                rows.append((key, text, kind, first, language))
                if kind == "synonym" and first and not labelled and language == main:
                    rows.append((key, text, "fsn", True, language))
                if kind == "fsn" and not named:
                    rows.append((key, text, "synonym", True, language))
        self.report.count("description", read=read + empty, active=read + empty - elsewhere)
        self.report.drop("description", "the term is empty", empty)
        self.report.drop("description", "it names something that is no concept", elsewhere, expected=True)
        notations = self.get(f"{SKOS}notation")
        other = sum(
            1 for s, code in notations.select("subject", "object").iter_rows()
            if s in self.concepts and canonical(code) != from_iri(s)
        )  # fmt: skip
        self.report.drop("notation", "it is not the concept's identifier", other, expected=True)
        schema = {k: TERMS[k] for k in ("sctid", "term", "kind", "preferred", "language")}
        return fill(TERMS, pl.DataFrame(rows, schema=schema, orient="row"))

    def _hierarchy(self) -> list[tuple[int, int, int]]:
        edges = self.pairs(f"{SKOS}broader", "relationship")
        edges += [(child, parent) for parent, child in self.pairs(f"{SKOS}narrower", "relationship")]
        thing = pl.col("object") == f"{OWL}Thing"
        said = self.get(f"{RDFS}subClassOf")
        above = said.filter(~thing & (pl.col("subject") != pl.col("object")))
        self.report.drop("relationship", "it says that a class is one of owl:Thing, or of itself",
                         said.height - above.height, expected=True)  # fmt: skip
        self.by[f"{RDFS}subClassOf"] = above.filter(pl.col("kind") == "iri")
        self.report.drop(
            "axiom", "anonymous superclass in a SKOS document", int((above["kind"] != "iri").sum())
        )
        edges += self.pairs(f"{RDFS}subClassOf", "relationship")
        far = (f"{SKOS}broaderTransitive", f"{SKOS}narrowerTransitive")
        if not edges:
            edges += self.pairs(far[0], "relationship")
            edges += [(child, parent) for parent, child in self.pairs(far[1], "relationship")]
        else:
            n = sum(self.get(name).height for name in far)
            self.report.drop("relationship", "transitive, beside the direct ones", n, expected=True)
        return [(source, IS_A, target) for source, target in dict.fromkeys(edges)]

    def _roles(self) -> dict[str, int]:
        """Give the properties that are attributes: property -> key."""
        labels = dict(self.get(f"{RDFS}label").select("subject", "object").iter_rows())
        special = {DEFINITION_STATUS, CONCEPT_INACTIVATION, ROLE_GROUP, *ASSOCIATIONS}
        declared = set().union(*(self.typed[kind] for kind in _PROPERTIES))
        historical = {s for s, o in self.get(f"{RDFS}subPropertyOf").select("subject", "object").iter_rows()
                      if o == f"{BASE}{HISTORICAL_ASSOCIATION}"}  # fmt: skip
        roles: dict[str, int] = {}
        other = 0
        for name, frame in self.by.items():
            if name.startswith((SKOS, RDF, RDFS, OWL, DCTERMS, MAP)) and name != f"{SKOS}related":
                if name not in _READ and name not in _FRAME and not name.startswith(MAP):
                    self._drop_triples(name, frame, historical)
                continue
            sctid = (
                self.keys(from_iri(name), labels.get(name, "")) if name in declared else self._snomed(name)
            )
            if name == f"{SKOS}related":
                roles[name] = self.keys(name, "related")
            elif sctid and sctid not in special and name not in historical:
                roles[name] = sctid
            elif not sctid:
                other += frame.height
        self.report.drop("triple", "its property is declared nowhere", other, expected=True)
        self.historical = {f"{BASE}{sctid}": sctid for sctid in ASSOCIATIONS}
        self.historical |= {name: self.keys(from_iri(name)) for name in historical}
        return roles

    def _drop_triples(self, name: str, frame: pl.DataFrame, historical: set[str]) -> None:
        """Count the triples of a property that is not used, apart from what it says of the document itself."""
        if name == f"{RDFS}subPropertyOf":
            frame = frame.filter(~pl.col("subject").is_in(list(historical)))
        about = frame.filter(pl.col("subject").is_in(list(self.concepts)))
        self.report.drop("triple", f"{_short(name)} is not used", about.height, expected=True)
        self.report.drop(
            "triple",
            f"{_short(name)} of what is no concept is not used",
            frame.height - about.height,
            expected=True,
        )

    def _snomed(self, iri: str) -> int:
        name = from_iri(iri)
        return int(name) if name.isdecimal() and int(name) < FIRST else 0

    def _relations(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        groups = self._groups()
        edges: list[tuple[int, int, int, int]] = []
        values: list[tuple[int, int, int, str]] = []
        is_a = {self.get_key(s, o): g for (s, p, o), g in groups.items() if p == f"{SKOS}broader"}
        for source, kind, target in self._hierarchy():
            edges += [(source, kind, target, g) for g in is_a.get((source, target), [0])]
        gone = 0
        for name, sctid in self._roles().items():
            for s, o, kind, datatype in (
                self.get(name).select("subject", "object", "kind", "datatype").iter_rows()
            ):
                start, end = self.concepts.get(s), self.concepts.get(o)
                numbers = groups.get((s, name, o), [0])
                if start is not None and kind == "literal":
                    value = f"#{o}" if datatype in _NUMERIC else f'"{o}"'
                    values += [(start, sctid, g, value) for g in numbers]
                elif start is not None and end is not None:
                    edges += [(start, sctid, end, g) for g in numbers]
                else:
                    gone += 1
        self.report.count("relationship", read=len(edges) + gone, active=len(edges) + gone)
        self.report.drop("relationship", "an end is no concept of the document", gone)
        if values:
            self.report.count("concrete values", read=len(values), active=len(values))
        value_schema = {k: PART_VALUES[k] for k in ("source", "type", "group", "value")}
        edge_schema = {k: RELATIONS[k] for k in ("source", "type", "target", "group")}
        return (
            fill(RELATIONS, pl.DataFrame(edges, schema=edge_schema, orient="row")),
            fill(PART_VALUES, pl.DataFrame(values, schema=value_schema, orient="row")),
        )

    def get_key(self, source: str, target: str) -> tuple[int, int]:
        return self.concepts.get(source, 0), self.concepts.get(target, 0)

    def _groups(self) -> dict[tuple[str, str, str], list[int]]:
        """Give the role groups that reified statements say: (subject, property, object) -> numbers."""
        says: list[dict[str, str]] = [
            dict(self.get(f"{RDF}{part}").select("subject", "object").iter_rows())
            for part in ("subject", "predicate", "object")
        ]
        found: defaultdict[tuple[str, str, str], list[int]] = defaultdict(list)
        wrong = 0
        for node, number in self.sct(ROLE_GROUP).select("subject", "object").iter_rows():
            if all(node in part for part in says) and number.isdecimal():
                found[says[0][node], says[1][node], says[2][node]].append(int(number))
            else:
                wrong += 1
        self.report.drop("role group", "the statement is not complete", wrong)
        return {fact: sorted(set(numbers)) for fact, numbers in found.items()}

    def _maps(self) -> pl.DataFrame:
        rows: list[dict[str, Any]] = []
        told: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for name, frame in self.by.items():
            if name.startswith(MAP) or name == f"{SKOS}notation":
                for node, text, datatype in frame.select("subject", "object", "datatype").iter_rows():
                    told[node][name.removeprefix(MAP).removeprefix(SKOS)] = text
                    if name == f"{SKOS}notation":
                        told[node]["datatype"] = datatype
        found = read = 0
        for short in ("mappingRelation", *MATCHES):
            for s, o, kind in self.get(f"{SKOS}{short}").select("subject", "object", "kind").iter_rows():
                read += 1
                if s not in self.concepts or kind == "literal":
                    continue
                found += 1
                rows.append(
                    {"sctid": self.concepts[s], **self._map(told[o] if kind == "blank" else None, o, short)}
                )
        if read:
            self.report.count("map", read=read, active=read)
        self.report.drop("map", "the concept is none of the document, or the target is a text", read - found)
        return pl.DataFrame(rows, schema=dict(PART_MAPS)) if rows else fill(PART_MAPS)

    def _map(self, told: dict[str, str] | None, iri: str, short: str) -> dict[str, Any]:
        empty = {"group": 0, "priority": 0, "rule": "", "advice": "", "category": 0}
        if told is None:
            system, code = map_target(iri)
            return {**empty, "priority": 1, "rule": "TRUE", "system": system, "target": code,
                    "predicate": f"skos:{short}", "confidence": float("nan"), "origin": self.path.name}  # fmt: skip
        datatype = told.get("datatype", "")
        try:
            numbers = {name: int(told.get(name, 0)) for name in ("group", "priority", "category")}
            confidence = float(told.get("confidence", "nan"))
        except ValueError as error:
            raise InputError(f"a map has a number that is none: {error}", path=self.path) from error
        return {
            **numbers,
            "rule": told.get("rule", ""),
            "advice": told.get("advice", ""),
            "system": told.get("system") or _SYSTEM_OF.get(datatype, datatype),
            "target": told.get("notation", ""),
            "predicate": told.get("predicate", ""),
            "confidence": confidence,
            "origin": told.get("origin", ""),
        }

    def _history(self) -> pl.DataFrame:
        rows = []
        for name, refset in {f"{DCTERMS}isReplacedBy": REPLACED_BY, **self.historical}.items():
            for s, o, kind in self.get(name).select("subject", "object", "kind").iter_rows():
                if s in self.concepts and kind == "iri":
                    rows.append((self.concepts[s], refset, self.keys(from_iri(o))))
                else:
                    self.report.drop("association", "an end is no concept", 1)
        if rows:
            self.report.count("association", read=len(rows), active=len(rows))
        return pl.DataFrame(rows, schema=dict(HISTORY), orient="row")


def _spoken_of(triples: pl.DataFrame, base: Ontology) -> set[str]:
    """Give the IRIs of a document that are concepts of an ontology, active or not."""
    known = {*base.sctids.tolist(), *base.inactive["sctid"].to_list()}
    objects = triples.filter(pl.col("kind") == "iri")["object"]
    return {
        iri
        for iri in pl.concat([triples["subject"], objects]).unique().to_list()
        if not iri.startswith("_:") and key(from_iri(iri)) in known
    }


def _short(iri: str) -> str:
    """Give the usual short spelling of a name in one of the vocabularies that everybody uses."""
    spaces = {SKOS: "skos", RDFS: "rdfs", RDF: "rdf", OWL: "owl", DCTERMS: "dcterms"}
    return next(
        (f"{prefix}:{iri[len(space) :]}" for space, prefix in spaces.items() if iri.startswith(space)), iri
    )


def _concepts(frame: pl.DataFrame) -> pl.DataFrame:
    from ontology.parts import CONCEPTS

    return fill(CONCEPTS, frame)
