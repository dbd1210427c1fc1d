"""Class expressions and axioms from the triples that say them, as the mapping of OWL 2 to RDF has it.

What has no object of its own in `ontology.functional_syntax` becomes an `Other` with its text: unions, complements,
universal restrictions, cardinalities. What is not written here (individuals, inverse properties, data ranges) has none.

Source: https://www.w3.org/TR/owl2-mapping-to-rdf/
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

import polars as pl

from ontology.functional_syntax import (
    NUMERIC,
    XSD,
    All,
    Axiom,
    Equivalent,
    Expression,
    Other,
    PropertyTrait,
    Some,
    SubClass,
    SubProperty,
    Value,
)
from ontology.functional_text import expression
from ontology.functional_text import name as written
from ontology.readers.rdf import OWL, RDF, RDFS
from ontology.writers.iris import from_iri

_DEPTH = 64
PROPERTIES = (f"{OWL}ObjectProperty", f"{OWL}DatatypeProperty", f"{OWL}AnnotationProperty")
_TRAITS = {f"{OWL}TransitiveProperty": "transitive", f"{OWL}ReflexiveProperty": "reflexive"}
_RESTRICTIONS = {
    "someValuesFrom": "ObjectSomeValuesFrom", "hasValue": "DataHasValue", "allValuesFrom": "ObjectAllValuesFrom",
    "hasSelf": "ObjectHasSelf", "minCardinality": "ObjectMinCardinality", "maxCardinality": "ObjectMaxCardinality",
    "cardinality": "ObjectExactCardinality", "qualifiedCardinality": "ObjectExactCardinality",
    "minQualifiedCardinality": "ObjectMinCardinality", "maxQualifiedCardinality": "ObjectMaxCardinality",
}  # fmt: skip
STRUCTURE = (f"{RDFS}subClassOf", f"{OWL}equivalentClass", f"{OWL}disjointWith", f"{OWL}propertyChainAxiom",
              f"{RDFS}subPropertyOf")  # fmt: skip
TRAITS_UNUSED = {f"{OWL}{kind}Property" for kind in ("Functional", "InverseFunctional", "Symmetric",
                                                          "Asymmetric", "Irreflexive")}  # fmt: skip


def axioms(nodes: Nodes, types: Mapping[str, set[str]]) -> Iterator[Axiom]:
    """Give the axioms on classes and properties.

    Args:
        nodes: The document's nodes.
        types: IRI of a type -> the subjects of that type.
    """
    for subject, above in nodes.get(f"{RDFS}subClassOf"):
        yield SubClass(nodes.expression(subject), nodes.expression(above))
    for subject, other in nodes.get(f"{OWL}equivalentClass"):
        yield Equivalent((nodes.expression(subject), nodes.expression(other)))
    for subject, other in nodes.get(f"{OWL}disjointWith"):
        yield _disjoint([nodes.expression(subject), nodes.expression(other)])
    for node in sorted(types.get(f"{OWL}AllDisjointClasses", ())):
        yield _disjoint([nodes.expression(member) for member in nodes.members(node)])
    for subject, above in nodes.get(f"{RDFS}subPropertyOf"):
        if subject in nodes.data or subject in nodes.objects:
            if subject.startswith("_:") or above.startswith("_:"):
                yield Other("SubObjectPropertyOf")
            else:
                yield SubProperty((from_iri(subject),), from_iri(above), subject in nodes.data)
    for subject, chain in nodes.get(f"{OWL}propertyChainAxiom"):
        items = nodes.items(chain)
        if subject.startswith("_:") or any(item.startswith("_:") for item in items):
            yield Other("SubObjectPropertyOf")
        else:
            yield SubProperty(tuple(from_iri(item) for item in items), from_iri(subject))
    for kind, trait in _TRAITS.items():
        for subject in sorted(types.get(kind, ())):
            yield (
                Other(f"{trait} inverse")
                if subject.startswith("_:")
                else PropertyTrait(trait, from_iri(subject))
            )


def _disjoint(parts: list[Expression]) -> Axiom:
    said = [expression(part) for part in parts]
    return Other(
        "DisjointClasses", f"DisjointClasses({' '.join(s or '' for s in said)})" if all(said) else ""
    )


class Nodes:
    """Class expressions from the blank nodes that say them.

    Args:
        triples: The columns of `rdf_graph.TRIPLES`.

    Attributes:
        objects: IRIs of the object properties.
        data: IRIs of the properties that hold concrete values.
    """

    def __init__(self, triples: pl.DataFrame) -> None:
        self._by: dict[str, list[tuple[str, str]]] = {}
        for name in (f"{RDF}type", f"{OWL}imports", *STRUCTURE):
            found = triples.filter((pl.col("predicate") == name) & (pl.col("kind") != "literal"))
            self._by[name] = list(found.select("subject", "object").iter_rows())
        kinds = self._by[f"{RDF}type"]
        self.objects = {
            s for s, kind in kinds if kind in _TRAITS or kind == PROPERTIES[0] or kind in TRAITS_UNUSED
        }
        self.data = {s for s, kind in kinds if kind == PROPERTIES[1]}
        self.objects -= self.data  # functional properties are of either kind
        self._blank: defaultdict[str, dict[str, tuple[str, str, str]]] = defaultdict(dict)
        blank = triples.filter(pl.col("subject").str.starts_with("_:"))
        for s, p, o, kind, datatype in blank.select(
            "subject", "predicate", "object", "kind", "datatype"
        ).iter_rows():
            self._blank[s][p] = (o, kind, datatype)

    def get(self, predicate: str) -> list[tuple[str, str]]:
        """Give subject and object of every triple of a predicate, where the object is no literal."""
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
            node = here.get(f"{RDF}rest", (f"{RDF}nil",))[0]
        return found

    def members(self, node: str) -> list[str]:
        """Give the members of an `owl:AllDisjointClasses`."""
        here = self._blank.get(node, {})
        return self.items(here[f"{OWL}members"][0]) if f"{OWL}members" in here else []

    def expression(self, node: str, depth: int = 0) -> Expression:
        """Give the class expression of a node."""
        if not node.startswith("_:"):
            return from_iri(node)
        here = self._blank.get(node, {})
        if depth > _DEPTH:
            return Other("expression nested too deep")
        if f"{OWL}intersectionOf" in here:
            parts = tuple(self.expression(n, depth + 1) for n in self.items(here[f"{OWL}intersectionOf"][0]))
            return parts[0] if len(parts) == 1 else All(parts)
        if f"{OWL}onProperty" in here:
            return self._restriction(here, here[f"{OWL}onProperty"][0], depth + 1)
        if f"{OWL}unionOf" in here:
            return self._built("ObjectUnionOf", self.items(here[f"{OWL}unionOf"][0]), depth + 1)
        if f"{OWL}complementOf" in here:
            return self._built("ObjectComplementOf", [here[f"{OWL}complementOf"][0]], depth + 1)
        return Other("ObjectOneOf" if f"{OWL}oneOf" in here else "expression of an unknown kind")

    def _built(self, kind: str, nodes: list[str], depth: int, before: str = "") -> Other:
        inside = [expression(self.expression(node, depth)) for node in nodes]
        if not all(inside):
            return Other(kind)
        return Other(kind, f"{kind}({' '.join([*([before] if before else []), *(s or '' for s in inside)])})")

    def _restriction(self, here: dict[str, tuple[str, str, str]], role: str, depth: int) -> Expression:
        if role.startswith("_:"):
            return Other("ObjectInverseOf")
        kind = next((k for k in _RESTRICTIONS if f"{OWL}{k}" in here), None)
        if kind is None:
            return Other("restriction of an unknown kind")
        filler, form, datatype = here[f"{OWL}{kind}"]
        if kind == "hasValue":
            if form != "literal":
                return Other("ObjectHasValue")
            return Value(from_iri(role), f"#{filler}" if datatype in NUMERIC else f'"{filler}"')
        if role in self.data or f"{OWL}onDataRange" in here or filler.startswith(XSD):
            return Other(_RESTRICTIONS[kind].replace("Object", "Data"))
        if kind == "someValuesFrom":
            return Some(from_iri(role), self.expression(filler, depth))
        if kind == "allValuesFrom":
            return self._built(_RESTRICTIONS[kind], [filler], depth, written(role))
        if kind == "hasSelf":
            return Other(_RESTRICTIONS[kind], f"ObjectHasSelf({written(role)})")
        if not (filler.isascii() and filler.isdecimal()):
            return Other(_RESTRICTIONS[kind])
        classes = [here[f"{OWL}onClass"][0]] if f"{OWL}onClass" in here else []
        return self._built(_RESTRICTIONS[kind], classes, depth, f"{filler} {written(role)}")
