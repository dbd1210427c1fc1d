"""An `Ontology` as OWL classes in RDF/XML, written straight to text, in linear time.

`rdfs:label` is the FSN; `skos:prefLabel`, `skos:altLabel`, `skos:hiddenLabel` and `skos:definition` say the others.
An attribute in a role group is `609096000 some (attribute some target and ...)`, one in group 0 stands by itself; the
numbers of the groups are not said, and a group said twice is said once. A fully defined concept is equivalent to the
intersection of all that is said of it; where that would be a single parent, the definition status is an annotation. A
concrete value is `owl:hasValue`. Where a property's concept is a class too, the property is `<...>#mh-diff-role` (or
`#mh-diff-value` for data), since no IRI should be both. Inactive concepts are deprecated, with the reason, IAO:0100001
and other associations. Of the axioms, general class axioms and those on properties are said, see `writers.owl_axioms`;
those that describe concepts are not, because the relations are what was inferred from them.

Not said: maps other than `oboInOwl:hasDbXref` (a row of a classification table is no annotation of a class: RF2,
Turtle and Parquet keep them), ids, modules, dialects, other reference sets. Characters that XML 1.0 cannot hold become
a blank.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from ontology.codes import key
from ontology.functional_syntax import All, Expression, Some, Value
from ontology.identifiers import CONCEPT_INACTIVATION, FULLY_DEFINED, IS_A, REPLACED_BY, ROLE_GROUP
from ontology.obo_spelling import HAS_DBXREF, split_xref
from ontology.writers.iris import (
    BASE,
    DEFINITION_STATUS,
    ILLEGAL_IN_XML,
    ROLE,
    VALUE,
    from_iri,
    identity,
    iri_of,
    iris,
    put,
    to_iri,
)
from ontology.writers.owl_axioms import Beyond

if TYPE_CHECKING:
    from ontology.model import Ontology

# No XML name begins with a digit, so an annotation property named by an SCTID gets a space of its own.
ASSOCIATION = "urn:mh-diff:sct:"
PREFIXES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "owl": "http://www.w3.org/2002/07/owl#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "obo": "http://purl.obolibrary.org/obo/",
    "oboInOwl": "http://www.geneontology.org/formats/oboInOwl#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "sct": ASSOCIATION,
}
_XSD = "http://www.w3.org/2001/XMLSchema#"
_LANGUAGE = re.compile(r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*")
_SAYS = {
    "fsn": "rdfs:label",
    "synonym": "skos:altLabel",
    "definition": "skos:definition",
    "other": "skos:hiddenLabel",
}
_ANNOTATIONS = (
    f"{ASSOCIATION}_{DEFINITION_STATUS}", f"{ASSOCIATION}_{CONCEPT_INACTIVATION}",
    *(f"{PREFIXES['skos']}{n}" for n in ("prefLabel", "altLabel", "hiddenLabel", "definition")),
    f"{PREFIXES['oboInOwl']}hasDbXref", f"{PREFIXES['obo']}IAO_0100001", f"{PREFIXES['dc']}title",
)  # fmt: skip


def _text(text: str) -> str:
    return escape(ILLEGAL_IN_XML.sub(" ", text), {"\r": "&#13;"})


def _literal(tag: str, text: str, language: str = "") -> str:
    lang = f' xml:lang="{language}"' if _LANGUAGE.fullmatch(language) else ""
    return f"<{tag}{lang}>{_text(text)}</{tag}>"


def _resource(tag: str, iri: str) -> str:
    return f"<{tag} rdf:resource={quoteattr(iri)}/>"


class _Expressions:
    """Writes the class expressions of an ontology's concepts."""

    def __init__(self, onto: Ontology) -> None:
        self.known = iris(onto)
        self.onto = onto
        self.beyond = Beyond.of(onto)
        roles = dict.fromkeys([*onto.relation_types.tolist()[1:], ROLE_GROUP, *sorted(self.beyond.objects)])
        self.roles = {k: self._name(k, ROLE) for k in roles}
        data = sorted({*onto.values["type"].to_list(), *self.beyond.data})
        self.data = {k: self._name(k, VALUE, k in self.roles) for k in data}

    def _name(self, key: int, suffix: str, taken: bool = False) -> str:
        return iri_of(key, self.known) + (suffix if taken or key in self.onto else "")

    def some(self, role: int, filler: str) -> str:
        return f"<owl:Restriction>{_resource('owl:onProperty', self.roles[role])}{filler}</owl:Restriction>"

    def attribute(self, kind: int, target: int) -> str:
        return self.some(kind, _resource("owl:someValuesFrom", iri_of(target, self.known)))

    def value(self, kind: int, value: str) -> str:
        number = value.removeprefix("#")
        if number == value:
            shown = _text(value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value)
            datatype = "string"
        else:
            shown, datatype = _text(number), "integer" if re.fullmatch(r"[+-]?[0-9]+", number) else "decimal"
        inner = f'<owl:hasValue rdf:datatype="{_XSD}{datatype}">{shown}</owl:hasValue>'
        return f"<owl:Restriction>{_resource('owl:onProperty', self.data[kind])}{inner}</owl:Restriction>"

    def any(self, expression: Expression) -> str:
        """Give a class expression of any depth."""
        match expression:
            case str() as named:
                return f"<owl:Class rdf:about={quoteattr(to_iri(from_iri(named)))}/>"
            case All(parts):
                return intersection([self.any(part) for part in parts])
            case Some(role, filler):
                inner = f"<owl:someValuesFrom>{self.any(filler)}</owl:someValuesFrom>"
                return self.some(key(from_iri(role)), inner)
            case Value(role, value):
                return self.value(key(from_iri(role)), value)
        raise AssertionError(expression)

    def group(self, parts: list[str]) -> str:
        if len(parts) == 1:
            return self.some(ROLE_GROUP, f"<owl:someValuesFrom>{parts[0]}</owl:someValuesFrom>")
        return self.some(ROLE_GROUP, f"<owl:someValuesFrom>{intersection(parts)}</owl:someValuesFrom>")


def intersection(parts: list[str]) -> str:
    """Give the intersection of class expressions that are written already.

    Args:
        parts: At least two of them.
    """
    inside = "".join(parts)
    return (
        f'<owl:Class><owl:intersectionOf rdf:parseType="Collection">{inside}</owl:intersectionOf></owl:Class>'
    )


def write_owl(onto: Ontology, path: str | Path) -> Path:
    """Write the ontology as OWL classes in RDF/XML.

    Args:
        onto: The ontology.
        path: The file; an older one is replaced.

    Returns:
        The file.

    Raises:
        InputError: If the file cannot be written.
    """
    express = _Expressions(onto)
    known = express.known
    terms = _terms(onto, known)
    parents, direct, grouped = _content(onto, express)
    spaces = "\n".join(f"    xmlns:{prefix}={quoteattr(space)}" for prefix, space in PREFIXES.items())
    lines = [f'<?xml version="1.0" encoding="UTF-8"?>\n<rdf:RDF\n{spaces}>']
    lines.append(
        f"<owl:Ontology rdf:about={quoteattr(identity(onto))}>{_literal('dc:title', onto.name)}</owl:Ontology>"
    )
    lines += [f"<owl:AnnotationProperty rdf:about={quoteattr(iri)}/>" for iri in _ANNOTATIONS]
    for kind, iri in express.roles.items():
        name = onto.relation_name(kind) if kind in onto.relation_types else "role group"
        said_of_it = _literal("rdfs:label", name) + express.beyond.property_facts(
            kind, express.roles.__getitem__
        )
        lines.append(f"<owl:ObjectProperty rdf:about={quoteattr(iri)}>{said_of_it}</owl:ObjectProperty>")
    for kind, iri in express.data.items():
        label = _literal("rdfs:label", onto.identifier(kind))
        if kind not in express.roles:
            label += express.beyond.property_facts(kind, express.data.__getitem__)
        lines.append(f"<owl:DatatypeProperty rdf:about={quoteattr(iri)}>{label}</owl:DatatypeProperty>")
    history = onto.history["refset"].unique().sort().to_list()
    lines += [
        f"<owl:AnnotationProperty rdf:about={quoteattr(f'{ASSOCIATION}_{k}')}/>"
        for k in history
        if k != REPLACED_BY
    ]

    for sctid, defined in zip(onto.sctids.tolist(), onto.defined.tolist(), strict=True):
        groups = list(
            dict.fromkeys(express.group(list(dict.fromkeys(g))) for g in grouped.get(sctid, {}).values())
        )
        above = [iri_of(p, known) for p in parents.get(sctid, [])]
        restrictions = list(dict.fromkeys([*direct.get(sctid, []), *groups]))
        said = terms.get(sctid, [])
        if defined and len(above) + len(restrictions) > 1:
            named = [f"<owl:Class rdf:about={quoteattr(iri)}/>" for iri in above]
            said = [
                *said,
                f"<owl:equivalentClass>{intersection([*named, *restrictions])}</owl:equivalentClass>",
            ]
        else:
            said = [*said, *(_resource("rdfs:subClassOf", iri) for iri in above)]
            said += [f"<rdfs:subClassOf>{r}</rdfs:subClassOf>" for r in restrictions]
            if defined:
                said.append(_resource(f"sct:_{DEFINITION_STATUS}", f"{BASE}{FULLY_DEFINED}"))
        lines.append(_class(iri_of(sctid, known), said))
    deprecated = f'<owl:deprecated rdf:datatype="{_XSD}boolean">true</owl:deprecated>'
    for sctid, reason in onto.inactive.select("sctid", "reason").iter_rows():
        why = [_resource(f"sct:_{CONCEPT_INACTIVATION}", iri_of(reason, known))] if reason else []
        lines.append(_class(iri_of(sctid, known), [*terms.get(sctid, []), deprecated, *why]))
    for expression, sctid in express.beyond.general:
        end = _resource("rdfs:subClassOf", iri_of(sctid, known))
        start, tag = express.any(expression).rsplit("</", 1)
        lines.append(f"{start}{end}</{tag}")
    return put(path, "\n".join([*lines, "</rdf:RDF>", ""]).encode())


def _class(iri: str, said: list[str]) -> str:
    return f"<owl:Class rdf:about={quoteattr(iri)}>\n  " + "\n  ".join(said) + "\n</owl:Class>"


def _terms(onto: Ontology, known: dict[int, str]) -> dict[int, list[str]]:
    """Give what annotations say: terms, xrefs and history, by concept."""
    said: defaultdict[int, list[str]] = defaultdict(list)
    active = zip(
        onto.sctids[onto.terms["concept"].to_numpy()].tolist(), onto.terms.iter_rows(named=True), strict=True
    )
    gone = ((row["sctid"], row) for row in onto.inactive_terms.iter_rows(named=True))
    for sctid, row in [*active, *gone]:
        first = row["preferred"] and row["kind"] == "synonym"
        said[sctid].append(
            _literal("skos:prefLabel" if first else _SAYS[row["kind"]], row["term"], row["language"])
        )
    for concept, system, target, predicate in onto.maps.select(
        "concept", "system", "target", "predicate"
    ).iter_rows():
        text = f"{system}:{target}" if system else target
        if predicate == HAS_DBXREF and ":" not in system and split_xref(text) == (system, target):
            said[int(onto.sctids[concept])].append(_literal(predicate, text))
    for source, refset, target in onto.history.iter_rows():
        tag = "obo:IAO_0100001" if refset == REPLACED_BY else f"sct:_{refset}"
        said[source].append(_resource(tag, iri_of(target, known)))
    return said


def _content(
    onto: Ontology, express: _Expressions
) -> tuple[dict[int, list[int]], dict[int, list[str]], dict[int, dict[int, list[str]]]]:
    """Give parents, ungrouped expressions, and grouped ones, by concept."""
    parents: defaultdict[int, list[int]] = defaultdict(list)
    direct: defaultdict[int, list[str]] = defaultdict(list)
    grouped: defaultdict[int, dict[int, list[str]]] = defaultdict(dict)
    r = onto.relations
    columns = (onto.sctids[r.source], onto.relation_types[r.type], onto.sctids[r.target], r.group)
    for source, kind, target, group in zip(*(c.tolist() for c in columns), strict=True):
        if kind == IS_A:
            parents[source].append(target)
        elif group:
            grouped[source].setdefault(group, []).append(express.attribute(kind, target))
        else:
            direct[source].append(express.attribute(kind, target))
    for concept, kind, group, value in onto.values.select("concept", "type", "group", "value").iter_rows():
        source = int(onto.sctids[concept])
        place = grouped[source].setdefault(group, []) if group else direct[source]
        place.append(express.value(kind, value))
    return parents, direct, grouped
