"""An `Ontology` as an OBO graph in JSON that `ontology.readers.obograph` reads back.

Ids are IRIs: `http://snomed.info/id/22298006`, OBO's for its CURIEs, and any other code as it is. A relation type that
is a concept of the ontology has that concept's node and no PROPERTY node, since an id stands for one node. Role groups
are the value `group` in an edge's `meta`, and what is not as usual in a map stands in its xref's `meta`; otherwise
`ontology.writers.obo` tells what is said, and what is not.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ontology.codes import FIRST, canonical
from ontology.disassemble import disassemble
from ontology.identifiers import CONCEPT_INACTIVATION, IS_A, POSSIBLY_EQUIVALENT_TO, REPLACED_BY
from ontology.model import Ontology
from ontology.obo_spelling import literal, split_xref, xref
from ontology.writers.iris import put
from ontology.writers.obo import concepts_of, gathered, slug, type_name, unusual

SNOMED = "http://snomed.info/id/"
OBO = "http://purl.obolibrary.org/obo/"
_OIO = "http://www.geneontology.org/formats/oboInOwl#"


def write(onto: Ontology, path: str | Path) -> Path:
    """Write the ontology as an OBO graph document with one graph, whole or not at all.

    Args:
        onto: The ontology.
        path: The file; an older one is replaced.

    Returns:
        The file.

    Raises:
        InputError: If the file cannot be written.
    """
    content = gathered(disassemble(onto))
    graph = f"{OBO}{slug(onto.name)}"
    everyone = dict(concepts_of(onto))
    preferred, further = f"{graph}#PREFERRED", f"{graph}#FULLY_SPECIFIED"
    nodes: list[dict[str, Any]] = [
        _property(preferred, "preferred term", "ANNOTATION"),
        _property(further, "one more fully specified name", "ANNOTATION"),
    ]
    nodes += [
        _property(iri(onto, kind), type_name(onto, kind), "OBJECT")
        for kind in sorted({*onto.relation_types.tolist(), *onto.values["type"]} - {IS_A} - everyone.keys())
    ]
    edges: list[dict[str, Any]] = []
    for sctid, obsolete in everyone.items():
        rows = content[sctid]
        nodes.append(_node(onto, sctid, obsolete, rows, (preferred, further)))
        for row in rows.get("relations", []):
            kind = "is_a" if row["type"] == IS_A else iri(onto, row["type"])
            edge = {"sub": nodes[-1]["id"], "pred": kind, "obj": iri(onto, row["target"])}
            edges.append(edge | _meta({"group": str(row["group"])} if row["group"] else {}))
    # one node a line: a whole edition in one line is unreadable, and indented it is twice as long
    text = ",\n".join(json.dumps(node, ensure_ascii=False) for node in nodes)
    links = ",\n".join(json.dumps(edge, ensure_ascii=False) for edge in edges)
    head = json.dumps(graph)
    return put(path, f'{{"graphs": [{{"id": {head},\n"nodes": [\n{text}\n],\n"edges": [\n{links}\n]\n}}]}}\n')


def iri(onto: Ontology, sctid: int) -> str:
    """Give the IRI of a concept, or the code itself where none stands for it.

    Args:
        onto: The ontology.
        sctid: An SCTID or key.
    """
    if sctid < FIRST:
        return f"{SNOMED}{sctid}"
    code = onto.identifier(sctid)
    purl = OBO + code.replace(":", "_", 1)
    return purl if canonical(purl) == code else code


def _property(identifier: str, label: str, kind: str) -> dict[str, Any]:
    return {"id": identifier, "lbl": label, "type": "PROPERTY", "propertyType": kind}


def _meta(details: dict[str, str]) -> dict[str, Any]:
    if not details:
        return {}
    return {"meta": {"basicPropertyValues": [{"pred": pred, "val": val} for pred, val in details.items()]}}


def _node(
    onto: Ontology,
    sctid: int,
    obsolete: bool,
    rows: dict[str, list[dict[str, Any]]],
    types: tuple[str, str],
) -> dict[str, Any]:
    node: dict[str, Any] = {"id": iri(onto, sctid), "type": "CLASS"}
    meta: dict[str, Any] = {}
    values: list[dict[str, Any]] = []
    _terms(node, meta, values, rows.get("terms", []), types)
    if subsets := [iri(onto, row["refset"]) for row in rows.get("subset", [])]:
        meta["subsets"] = subsets
    if maps := rows.get("maps"):
        meta["xrefs"] = [_xref(row) for row in maps]
    if rows["inactive" if obsolete else "concepts"][0]["defined"]:
        values.append({"pred": "defined", "val": "true"})
    for row in rows.get("values", []):
        text, datatype = literal(row["type"], row["value"])
        value = {"pred": iri(onto, row["type"]), "val": text, "valType": datatype}
        values.append(value | _meta({"group": str(row["group"])} if row["group"] else {}))
    if obsolete:
        meta["deprecated"] = True
        if reason := rows["inactive"][0]["reason"]:
            values.append({"pred": f"{SNOMED}{CONCEPT_INACTIVATION}", "val": iri(onto, reason)})
    usual = {REPLACED_BY: f"{OBO}IAO_0100001", POSSIBLY_EQUIVALENT_TO: f"{_OIO}consider"}
    for row in rows.get("history", []):
        pred = usual.get(row["refset"], f"{SNOMED}{row['refset']}")
        values.append({"pred": pred, "val": iri(onto, row["target"])})
    if values:
        meta["basicPropertyValues"] = values
    return node | {"meta": meta}


def _terms(
    node: dict[str, Any],
    meta: dict[str, Any],
    values: list[dict[str, Any]],
    rows: list[dict[str, Any]],
    types: tuple[str, str],
) -> None:
    synonyms: list[dict[str, Any]] = []
    for row in rows:
        text = row["term"]
        match row["kind"]:
            case "fsn" if "lbl" not in node and text:
                node["lbl"] = text
            case "fsn":
                synonyms.append({"pred": "hasExactSynonym", "val": text, "synonymType": types[1]})
            case "definition" if "definition" not in meta and text:
                meta["definition"] = {"val": text}
            case "definition":
                values.append({"pred": f"{OBO}IAO_0000115", "val": text})
            case "synonym":
                kind = {"synonymType": types[0]} if row["preferred"] else {}
                synonyms.append({"pred": "hasExactSynonym", "val": text, **kind})
            case _:
                synonyms.append({"pred": "hasRelatedSynonym", "val": text})
    if synonyms:
        meta["synonyms"] = synonyms


def _xref(row: dict[str, Any]) -> dict[str, Any]:
    text, details = xref(row["system"], row["target"]), unusual(row)
    if split_xref(text) != (row["system"], row["target"]):
        # what stands after the first colon is the code, whatever the system is
        details["system"], text = row["system"], f"code:{row['target']}"
    return {"val": text, **_meta(details)}
