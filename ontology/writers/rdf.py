"""An `Ontology` as a SKOS concept scheme in Turtle, so that `ontology.readers.rdf` gives the same one again.

The preferred term is `skos:prefLabel`, other synonyms `skos:altLabel`, the FSN `rdfs:label`, terms of other kinds
`skos:hiddenLabel`, definitions `skos:definition`, the SCTID `skos:notation`. A concept without a preferred synonym gets
no `prefLabel`: none is made up. Is-a is `skos:broader`, an attribute a property `sct:<type>`; a role group is said by a
reified statement with `sct:609096000`, the group's number, also for group 0 where the same three stand in a group too.
Concrete values are literals of that property. Inactive concepts are `owl:deprecated`.

Maps are rows of a classification table, no equivalences: many concepts share a code, and a rule may decide between
codes. `skos:exactMatch` is transitive and would make all concepts of one code equal. So a row becomes a
`skos:mappingRelation`, which claims no more than that there is a map, to a node with the code as `skos:notation` (its
datatype is the code system) and the row's other columns as `urn:mh-diff:map:` properties.

Not said: ids of descriptions, case significance, dialects, modules, effectiveTimes, axioms, other reference sets.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from ontology.identifiers import (
    ASSOCIATIONS,
    CONCEPT_INACTIVATION,
    FULLY_DEFINED,
    IS_A,
    REPLACED_BY,
    ROLE_GROUP,
)
from ontology.writers.iris import (
    BASE,
    DEFINITION_STATUS,
    HISTORICAL_ASSOCIATION,
    MAP,
    SYSTEMS,
    identity,
    iris,
    put,
)

if TYPE_CHECKING:
    from ontology.model import Ontology

PREFIXES = {
    "sct": BASE,
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "owl": "http://www.w3.org/2002/07/owl#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "dcterms": "http://purl.org/dc/terms/",
    "map": MAP,
}
_ESCAPED = re.compile(r'[\x00-\x1f"\\\x7f]')
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}
_SAYS = {
    "fsn": "rdfs:label",
    "synonym": "skos:altLabel",
    "definition": "skos:definition",
    "other": "skos:hiddenLabel",
}
_LANGUAGE = re.compile(r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*")


def quoted(text: str, language: str = "") -> str:
    """Give a Turtle literal.

    Args:
        text: Any text.
        language: A language tag, or nothing; what is no tag is left out.
    """
    safe = _ESCAPED.sub(lambda m: _SHORT.get(m[0]) or f"\\u{ord(m[0]):04X}", text)
    return f'"{safe}"@{language}' if _LANGUAGE.fullmatch(language) else f'"{safe}"'


def concrete(value: str) -> str:
    """Give a concrete value of RF2 as a Turtle literal: `#5` is an integer, `#5.0` a decimal, the rest text.

    Args:
        value: As RF2 writes it.
    """
    number = value.removeprefix("#")
    if number == value:
        return quoted(value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value)
    kind = "integer" if re.fullmatch(r"[+-]?[0-9]+", number) else "decimal"
    return f"{quoted(number)}^^xsd:{kind}"


def write_turtle(onto: Ontology, path: str | Path) -> Path:
    """Write the ontology as a SKOS concept scheme in Turtle.

    Args:
        onto: The ontology.
        path: The file; an older one is replaced.

    Returns:
        The file.

    Raises:
        InputError: If the file cannot be written.
    """
    known = iris(onto)

    def node(key: int) -> str:
        return f"sct:{key}" if key not in known else f"<{known[key]}>"

    said: defaultdict[int, list[str]] = defaultdict(list)
    statements: list[str] = []
    scheme = f"<{identity(onto)}>"
    for sctid, defined in zip(onto.sctids.tolist(), onto.defined.tolist(), strict=True):
        _declare(said[sctid], onto, sctid, defined, scheme)
    for sctid, defined, reason in onto.inactive.select("sctid", "defined", "reason").iter_rows():
        _declare(said[sctid], onto, sctid, defined, scheme)
        said[sctid].append("owl:deprecated true")
        if reason:
            said[sctid].append(f"sct:{CONCEPT_INACTIVATION} {node(reason)}")
    columns = ("sctid", "term", "kind", "preferred", "language")
    sctids = pl.Series(onto.sctids[onto.terms["concept"].to_numpy()])
    terms = pl.concat(
        [onto.terms.with_columns(sctid=sctids).select(columns), onto.inactive_terms.select(columns)]
    )
    for sctid, term, kind, preferred, language in terms.iter_rows():
        role = "skos:prefLabel" if preferred and kind == "synonym" else _SAYS[kind]
        said[sctid].append(f"{role} {quoted(term, language)}")
    facts = _facts(onto)
    for source, kind, shown, group, grouped in facts.iter_rows():
        role = "skos:broader" if kind == IS_A else node(kind)
        target = node(int(shown[1:])) if shown.startswith(">") else concrete(shown[1:])
        fact = f"{role} {target}"
        if not said[source] or said[source][-1] != fact:
            said[source].append(fact)
        if grouped:
            statements.append(
                f"[] a rdf:Statement ; rdf:subject {node(source)} ; rdf:predicate {role} ; rdf:object {target} ; "
                f"sct:{ROLE_GROUP} {group} ."
            )
    for source, refset, other in onto.history.iter_rows():
        role = "dcterms:isReplacedBy" if refset == REPLACED_BY else node(refset)
        said[source].append(f"{role} {node(other)}")
    _maps(onto, said)

    lines = [f"@prefix {prefix}: <{space}> ." for prefix, space in PREFIXES.items()]
    tops = " , ".join(node(root) for root in onto.roots.tolist())
    lines.append(f"\n{scheme} a skos:ConceptScheme ;\n    dcterms:title {quoted(onto.name)} ;")
    lines.append(f"    skos:hasTopConcept {tops} .\n")
    for kind in dict.fromkeys([*onto.relation_types.tolist()[1:], *onto.values["type"].to_list()]):
        name = onto.relation_name(kind) if kind in onto.relation_types else onto.identifier(kind)
        label = "" if kind in onto else f" ; rdfs:label {quoted(name)}"
        lines.append(f"{node(kind)} a rdf:Property{label} .")
    for refset in onto.history["refset"].unique().sort().to_list():
        if refset not in ASSOCIATIONS:
            lines.append(f"{node(refset)} rdfs:subPropertyOf sct:{HISTORICAL_ASSOCIATION} .")
    lines += [f"\n{node(sctid)} " + " ;\n    ".join(rows) + " ." for sctid, rows in said.items()]
    lines += ["", *statements, ""]
    return put(path, "\n".join(lines).encode())


def _declare(rows: list[str], onto: Ontology, sctid: int, defined: bool, scheme: str) -> None:
    rows += ["a skos:Concept", f"skos:inScheme {scheme}", f"skos:notation {quoted(onto.identifier(sctid))}"]
    if defined:
        rows.append(f"sct:{DEFINITION_STATUS} sct:{FULLY_DEFINED}")


def _facts(onto: Ontology) -> pl.DataFrame:
    """Give source, type, the target (`>sctid`) or value (`=value`), group, and whether the group has to be said."""
    r = onto.relations
    edges = pl.DataFrame(
        {
            "source": onto.sctids[r.source],
            "type": onto.relation_types[r.type],
            "shown": pl.Series(onto.sctids[r.target]).cast(pl.String),
            "group": r.group,
        }
    ).with_columns(pl.format(">{}", "shown").alias("shown"))
    values = onto.values.select(
        source=pl.Series(onto.sctids[onto.values["concept"].to_numpy()], dtype=pl.Int64),
        type="type",
        shown=pl.format("={}", "value"),
        group="group",
    )
    return (
        pl.concat([edges, values])
        .sort("source", "type", "shown", "group")
        .with_columns(grouped=(pl.col("group") != 0).any().over("source", "type", "shown"))
    )


def _maps(onto: Ontology, said: dict[int, list[str]]) -> None:
    for row in onto.maps.iter_rows(named=True):
        parts = [f"map:system {quoted(row['system'])}"]
        if row["target"]:
            system = SYSTEMS.get(row["system"]) or f"{MAP}system:" + re.sub(r"[^\w.\-]", "_", row["system"])
            parts.append(f"skos:notation {quoted(row['target'])}^^<{system}>")
        for name in ("group", "priority", "category"):
            if row[name]:
                parts.append(f"map:{name} {row[name]}")
        parts += [
            f"map:{name} {quoted(row[name])}"
            for name in ("rule", "advice", "predicate", "origin")
            if row[name]
        ]
        parts += _confidence(row["confidence"])
        said[int(onto.sctids[row["concept"]])].append(f"skos:mappingRelation [ {' ; '.join(parts)} ]")


def _confidence(value: Any) -> list[str]:
    return [f'map:confidence "{value!r}"^^xsd:double'] if value is not None and value == value else []
