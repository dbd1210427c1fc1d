"""OWL facts to `Parts`: what both the triples of `readers.owl` and the components of `readers.functional` end in.

A label is the FSN and, where no class of the document has a `skos:prefLabel`, also the preferred term; the label of a
SNOMED CT class that ends in a tag is the FSN alone. Role groups are numbered as in `ontology.axioms`. Every axiom on
classes and properties is also kept as text, for `ontology.classify`; what it says beyond relations (unions, general
class axioms, chains ...) is counted. Individuals and axioms of other kinds are counted as not used.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import polars as pl

from ontology.axioms import Statements, number_groups
from ontology.codes import FIRST, Keys
from ontology.functional_syntax import Axiom
from ontology.functional_text import subject as subject_of
from ontology.identifiers import (
    ASSOCIATIONS,
    CONCEPT_INACTIVATION,
    FULLY_DEFINED,
    POSSIBLY_EQUIVALENT_TO,
    REPLACED_BY,
    normalise_system,
)
from ontology.model import untagged
from ontology.parts import CONCEPTS, PART_MAPS, PART_VALUES, RELATIONS, TERMS, Parts
from ontology.readers.rdf import MATCHES, OWL, RDFS, SKOS, map_target
from ontology.report import LoadReport
from ontology.tables import AXIOMS, HISTORY, INACTIVE, fill
from ontology.writers.iris import BASE, DEFINITION_STATUS, from_iri
from ontology.writers.owl import ASSOCIATION

OBO = "http://purl.obolibrary.org/obo/"
IN_OWL = "http://www.geneontology.org/formats/oboInOwl#"
_TERMS = {
    f"{RDFS}label": ("fsn", True),
    f"{SKOS}prefLabel": ("synonym", True),
    f"{SKOS}altLabel": ("synonym", False),
    f"{SKOS}hiddenLabel": ("other", False),
    f"{SKOS}definition": ("definition", False),
    f"{OBO}IAO_0000115": ("definition", False),
    f"{IN_OWL}hasExactSynonym": ("synonym", False),
    f"{IN_OWL}hasNarrowSynonym": ("other", False),
    f"{IN_OWL}hasBroadSynonym": ("other", False),
    f"{IN_OWL}hasRelatedSynonym": ("other", False),
}
_HISTORY = {f"{OBO}IAO_0100001": REPLACED_BY, f"{IN_OWL}consider": POSSIBLY_EQUIVALENT_TO}
_STATUS = f"{ASSOCIATION}_{DEFINITION_STATUS}"
_REASON = f"{ASSOCIATION}_{CONCEPT_INACTIVATION}"
_PREFIXES = (ASSOCIATION + "_", BASE)


@dataclass
class Facts:
    """What an OWL document says.

    Attributes:
        classes: IRIs of the classes.
        annotations: subject, property, text or IRI, language.
        axioms: Its class and property axioms, names as `ontology.codes.canonical` spells them, each with its text as
            `functional_text` writes it, or without one where that cannot be said.
        labels: Names of properties by IRI.
        unused: What is read over, by kind.
        imports: IRIs of documents that it imports; they are never fetched.
    """

    classes: set[str] = field(default_factory=set)
    annotations: list[tuple[str, str, str, str]] = field(default_factory=list)
    axioms: list[tuple[Axiom, str | None]] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    unused: Counter[str] = field(default_factory=Counter)
    imports: list[str] = field(default_factory=list)

    def parts(self, report: LoadReport, origin: str) -> Parts:
        """Give the tables.

        Args:
            report: What was read and left out is counted here.
            origin: The file's name, for the maps.
        """
        keys = Keys()
        for iri, label in self.labels.items():
            if iri not in self.classes:
                keys(from_iri(iri), label)
        concepts = {iri: keys(from_iri(iri)) for iri in sorted(self.classes) if not iri.startswith(f"{OWL}")}
        statements = Statements(key=lambda name: keys(from_iri(name)))
        defined: set[int] = set()
        for axiom, _ in self.axioms:
            statements.say(axiom)
        rows = number_groups(statements.rows())
        defined |= set(rows.filter("defined")["source"].to_list())
        gcis = rows.filter(pl.col("gci") > 0)
        rows = rows.filter(
            (pl.col("gci") == 0) & (pl.col("target").is_null() | (pl.col("target") != pl.col("source")))
        )
        thing = keys.many([f"{OWL}Thing", f"{OWL}Nothing"])
        edges = rows.filter(pl.col("target").is_not_null() & ~pl.col("target").is_in(thing)).unique(
            ["source", "type", "target", "group"], maintain_order=True
        )
        values = rows.filter(pl.col("value").is_not_null()).unique(["source", "type", "group", "value"])
        report.drop(
            "axiom", "rows of general class axioms, which are no relations", gcis.height, expected=True
        )
        report.drop(
            "axiom", "two named classes that are equivalent, which is no relation", len(statements.equivalent)
        )
        for what, n in statements.unused.items():
            report.drop("axiom", f"{what} is no relation", n, expected=True)
        for what, n in self.unused.items():
            report.drop("axiom", f"{what} is not used", n, expected=True)
        for iri in self.imports:
            report.files_not_read.append({"file": iri, "reason": "an import, which is never fetched"})
        report.drop("import", "it is never fetched", len(self.imports))
        report.count("relationship", read=edges.height, active=edges.height)

        annotated = _Annotations(self, concepts, keys, report, origin)
        texts = [(keys(from_iri(subject_of(axiom))), said) for axiom, said in self.axioms if said is not None]
        silent = sum(said is None for _, said in self.axioms)
        report.drop(
            "axiom", "it holds what cannot be written, and is not kept for a reasoner", silent, expected=True
        )
        report.count("axiom", read=len(self.axioms), active=len(self.axioms), used=len(texts))
        active = [
            (k, k in defined or k in annotated.defined) for k in concepts.values() if k not in annotated.gone
        ]
        report.count("concept", read=len(concepts), active=len(active), used=len(active))
        return Parts(
            concepts=fill(CONCEPTS, pl.DataFrame(active, orient="row", schema={
                "sctid": pl.Int64, "defined": pl.Boolean})),
            inactive=fill(INACTIVE, pl.DataFrame(
                [(k, annotated.reasons.get(k, 0)) for k in sorted(annotated.gone)], orient="row",
                schema={"sctid": pl.Int64, "reason": pl.Int64})),
            terms=annotated.terms,
            relations=fill(RELATIONS, edges),
            values=fill(PART_VALUES, values),
            maps=annotated.maps,
            history=annotated.history,
            axioms=pl.DataFrame(texts, schema=dict(AXIOMS), orient="row").unique(maintain_order=True),
            codes=keys.frame(),
        )  # fmt: skip


class _Annotations:
    def __init__(
        self, facts: Facts, concepts: dict[str, int], keys: Keys, report: LoadReport, origin: str
    ) -> None:
        terms: list[tuple[int, str, str, bool, str]] = []
        maps: list[tuple[int, str, str, str, str]] = []
        history: list[tuple[int, int, int]] = []
        self.gone: set[int] = set()
        self.defined: set[int] = set()
        self.reasons: dict[int, int] = {}
        other: Counter[str] = Counter()
        preferred = any(p == f"{SKOS}prefLabel" and s in concepts for s, p, _, _ in facts.annotations)
        for subject, name, text, language in facts.annotations:
            key = concepts.get(subject)
            if key is None:
                continue
            short = name.removeprefix(SKOS)
            refset = _association(name)
            if name in _TERMS:
                kind, first = _TERMS[name]
                terms.append((key, text, kind, first, language))
                tagged = key < FIRST and untagged(text) != text
                if kind == "fsn" and not preferred and not tagged:
                    terms.append((key, text, "synonym", True, language))
            elif name == f"{OWL}deprecated":
                if text in ("true", "1"):
                    self.gone.add(key)
            elif name == f"{IN_OWL}hasDbXref":
                system, colon, code = text.partition(":")
                known = (
                    (normalise_system(system), code) if colon and not code.startswith("//") else ("", text)
                )
                maps.append((key, *known, "oboInOwl:hasDbXref", origin))
            elif short in MATCHES:
                maps.append((key, *map_target(text), f"skos:{short}", origin))
            elif name == f"{IN_OWL}hasAlternativeId":
                self.gone.add(keys(text))
                history.append((keys(text), REPLACED_BY, key))
            elif name == _STATUS:
                if text == f"{BASE}{FULLY_DEFINED}":
                    self.defined.add(key)
            elif name == _REASON:
                self.reasons[key] = keys(from_iri(text))
            elif refset:
                history.append((key, refset, keys(from_iri(text))))
            else:
                other[name] += 1
        report.count("description", read=len(terms), active=len(terms))
        report.count("map", read=len(maps), active=len(maps))
        report.count("association", read=len(history), active=len(history))
        for name, n in other.items():
            report.drop("annotation", f"{name} is not used", n, expected=True)
        schema = {k: TERMS[k] for k in ("sctid", "term", "kind", "preferred", "language")}
        self.terms = fill(TERMS, pl.DataFrame(terms, schema=schema, orient="row").unique(maintain_order=True))
        columns = {k: PART_MAPS[k] for k in ("sctid", "system", "target", "predicate", "origin")}
        self.maps = fill(PART_MAPS, pl.DataFrame(maps, schema=columns, orient="row"))
        self.history = pl.DataFrame(history, schema=dict(HISTORY), orient="row")


def _association(name: str) -> int:
    if name in _HISTORY:
        return _HISTORY[name]
    for prefix in _PREFIXES:
        number = name.removeprefix(prefix)
        if number != name and number.isdecimal() and len(number) <= 18:
            return int(number) if prefix != BASE or int(number) in ASSOCIATIONS else 0
    return 0
