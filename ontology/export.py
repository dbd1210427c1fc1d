"""An `Ontology` for other tools: a networkx graph, GraphML, SKOS in Turtle, and OWL in RDF/XML.

What each form says of "source relation target":

| form     | is-a              | attribute                          | what is not said                            |
|----------|-------------------|------------------------------------|---------------------------------------------|
| networkx | edge              | edge with type, name and group     | maps, synonyms                              |
| Turtle   | `skos:broader`    | property `<…/id/type>` of `source` | role groups                                 |
| OWL      | `rdfs:subClassOf` | `subClassOf (role some target)`    | maps, role groups, "sufficiently defined"   |

Maps are rows of a classification table, no equivalences: many concepts share a code, and a rule may decide between
codes. `skos:exactMatch` is transitive and would make all concepts of one code equal, and `closeMatch` would call a
concept interchangeable with the rest class it is counted in. So a row becomes a `skos:mappingRelation`, which claims
no more than that there is a map, to a node that has the code as `skos:notation` (its datatype is the code system) and
the row's group, priority, rule and advice as `skos:note`.

Labels carry no language tag because the columns hold none. In OWL a role is `<…/id/type#role>`: the attribute's own
concept keeps its IRI as a class, and no IRI is a class and a property at once, which not every OWL tool reads.
"""

from __future__ import annotations

import io
import types
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ontology.errors import InputError
from ontology.files import atomic_write

if TYPE_CHECKING:
    import networkx

    from ontology.model import Ontology

BASE = "http://snomed.info/id/"
ROLE = "role"

_SYSTEMS = {
    "ICD-10": "http://hl7.org/fhir/sid/icd-10",
    "ICD-10-CM": "http://hl7.org/fhir/sid/icd-10-cm",
    "LOINC": "http://loinc.org",
}


def to_networkx(onto: Ontology) -> networkx.MultiDiGraph:
    """Give the concepts and relations as a graph.

    Args:
        onto: The ontology.

    Returns:
        Nodes are SCTIDs with `fsn` and `term`. Edges go from source to target with `relation` (the SCTID of the type),
        `name` and `group`; their key is (relation, group), so that no two relations between one pair fall together.
    """
    import networkx as nx

    graph = nx.MultiDiGraph(name=onto.name)
    graph.add_nodes_from((s, {"fsn": onto.fsn(s), "term": onto.term(s)}) for s in onto.sctids.tolist())
    names = _names(onto)
    graph.add_edges_from(
        (source, target, (kind, group), {"relation": kind, "name": names[kind], "group": group})
        for source, kind, target, group in _relations(onto)
    )
    return graph


def write_graphml(onto: Ontology, path: str | Path) -> Path:
    """Write the graph of `to_networkx` as GraphML; there an edge's id is its number, unique in the file.

    Args:
        onto: The ontology.
        path: The file; an older one is replaced.

    Returns:
        The file.

    Raises:
        InputError: If the file cannot be written.
    """
    import networkx as nx

    graph = to_networkx(onto)
    numbered = nx.MultiDiGraph(**graph.graph)
    numbered.add_nodes_from(graph.nodes(data=True))
    numbered.add_edges_from((s, t, i, data) for i, (s, t, data) in enumerate(graph.edges(data=True)))
    buffer = io.BytesIO()
    nx.write_graphml_xml(numbered, buffer)
    return _put(path, buffer.getvalue())


def write_turtle(onto: Ontology, path: str | Path) -> Path:
    """Write the ontology as a SKOS concept scheme in Turtle.

    The preferred term is `skos:prefLabel`, other synonyms `skos:altLabel`, the FSN `rdfs:label`, the SCTID
    `skos:notation`, text definitions `skos:definition`; the module's docstring tells of relations and maps.

    Args:
        onto: The ontology.
        path: The file; an older one is replaced.

    Returns:
        The file.

    Raises:
        InputError: If the file cannot be written.
    """
    from rdflib import DCTERMS, RDF, RDFS, SKOS, BNode, Graph, Literal, URIRef

    graph = Graph(bind_namespaces="none")
    for prefix, space in {
        "sct": BASE,
        "skos": SKOS,
        "rdf": RDF,
        "rdfs": RDFS,
        "dcterms": DCTERMS,
    }.items():
        graph.bind(prefix, space)

    scheme = URIRef(_identity(onto))
    graph.add((scheme, RDF.type, SKOS.ConceptScheme))
    graph.add((scheme, DCTERMS.title, Literal(onto.name)))
    nodes = [URIRef(f"{BASE}{sctid}") for sctid in onto.sctids.tolist()]
    preferred = [onto.term(sctid) for sctid in onto.sctids.tolist()]
    for node, sctid, term in zip(nodes, onto.sctids.tolist(), preferred, strict=True):
        graph.add((node, RDF.type, SKOS.Concept))
        graph.add((node, SKOS.inScheme, scheme))
        graph.add((node, SKOS.notation, Literal(str(sctid))))
        graph.add((node, SKOS.prefLabel, Literal(term)))
    for root in onto.indices(onto.roots).tolist():
        graph.add((scheme, SKOS.hasTopConcept, nodes[root]))

    says = {"fsn": RDFS.label, "synonym": SKOS.altLabel, "definition": SKOS.definition, "other": SKOS.note}
    for concept, text, kind in onto.terms.select("concept", "term", "kind").iter_rows():
        if kind != "synonym" or text != preferred[concept]:
            graph.add((nodes[concept], says[kind], Literal(text)))

    names = _names(onto)
    types_ = onto.relation_types.tolist()
    for kind in types_[1:]:
        graph.add((URIRef(f"{BASE}{kind}"), RDF.type, RDF.Property))
        if kind not in onto:
            graph.add((URIRef(f"{BASE}{kind}"), RDFS.label, Literal(names[kind])))
    for source, kind, target, _ in _relations(onto):
        role = SKOS.broader if kind == types_[0] else URIRef(f"{BASE}{kind}")
        graph.add((URIRef(f"{BASE}{source}"), role, URIRef(f"{BASE}{target}")))

    for number, row in enumerate(onto.maps.iter_rows(named=True)):
        mapped = BNode(f"map{number:08d}")
        graph.add((nodes[row["concept"]], SKOS.mappingRelation, mapped))
        if row["target"]:
            system = URIRef(_system(row["system"]))
            graph.add((mapped, SKOS.notation, Literal(row["target"], datatype=system)))
        words = "; ".join(text for text in (row["rule"], row["advice"]) if text)
        note = f"{row['system']}, group {row['group']}, priority {row['priority']}: {words}".rstrip(": ")
        graph.add((mapped, SKOS.note, Literal(note)))
    return _put(path, graph.serialize(format="turtle", encoding="utf-8"))


def write_owl(onto: Ontology, path: str | Path) -> Path:
    """Write the ontology as OWL classes in RDF/XML.

    `rdfs:label` is the FSN, `skos:prefLabel` and `skos:altLabel` are the terms. One attribute said in several role
    groups of a concept is one restriction, since groups are not said.

    Args:
        onto: The ontology.
        path: The file; an older one is replaced.

    Returns:
        The file.

    Raises:
        InputError: If the file cannot be written.
    """
    import owlready2 as owl

    world = owl.World()  # its own store; owlready2.default_world is not touched
    try:
        document = world.get_ontology(f"{_identity(onto)}#")
        space = document.get_namespace(BASE)
        skos = document.get_namespace("http://www.w3.org/2004/02/skos/core#")
        with skos:
            labels: list[Any] = [
                types.new_class(name, (owl.AnnotationProperty,)) for name in ("prefLabel", "altLabel")
            ]
        classes = _owl_classes(onto, space, owl.Thing)
        for sctid, made in classes.items():
            term = onto.term(sctid)
            made.label = [onto.fsn(sctid)]
            labels[0][made] = [term]
            for other in dict.fromkeys(onto.synonyms(sctid)):
                if other != term:  # one by one, since a list that is set at once comes in the order of a set
                    labels[1][made].append(other)
        roles: dict[int, Any] = {}
        for kind, name in list(_names(onto).items())[1:]:
            with document.get_namespace(f"{BASE}{kind}#"):
                roles[kind] = types.new_class(ROLE, (owl.ObjectProperty,))
            roles[kind].label = [name]
        attributes = dict.fromkeys((s, k, t) for s, k, t, _ in _relations(onto) if k in roles)
        for source, kind, target in attributes:
            classes[source].is_a.append(roles[kind].some(classes[target]))
        buffer = io.BytesIO()
        document.save(file=buffer, format="rdfxml")
    finally:
        world.close()
    return _put(path, buffer.getvalue())


def _owl_classes(onto: Ontology, space: Any, thing: type) -> dict[int, Any]:
    """Make the classes, parents before children: a concept has more ancestors than any of its parents."""
    classes: dict[int, Any] = {}
    with space:
        for node in np.argsort(np.diff(onto.closure.indptr), kind="stable").tolist():
            sctid = int(onto.sctids[node])
            above = [classes[parent] for parent in onto.parents(sctid).tolist()]
            classes[sctid] = types.new_class(str(sctid), (above[0] if above else thing,))
            for parent in above[1:]:
                classes[sctid].is_a.append(parent)
    return classes


FORMATS = {"turtle": write_turtle, "owl": write_owl, "graphml": write_graphml}


def _relations(onto: Ontology) -> Iterator[tuple[int, int, int, int]]:
    """Give (source, type, target, group) of every relation, the first three as SCTIDs."""
    r = onto.relations
    return zip(
        onto.sctids[r.source].tolist(),
        onto.relation_types[r.type].tolist(),
        onto.sctids[r.target].tolist(),
        r.group.tolist(),
        strict=True,
    )


def _names(onto: Ontology) -> dict[int, str]:
    return {kind: onto.relation_name(kind) for kind in onto.relation_types.tolist()}


def _identity(onto: Ontology) -> str:
    """An IRI of the content: the same ontology has the same one, whatever its folder is called."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"mh-diff:{onto.fingerprint}").urn


def _system(system: str) -> str:
    return _SYSTEMS.get(system) or BASE + system.removeprefix("refset:")


def _put(path: str | Path, data: bytes) -> Path:
    try:
        atomic_write(path, data)
    except OSError as error:
        raise InputError(
            f"the file cannot be written ({error.strerror or error})",
            path=path,
            remedy="Name a file in a folder that you may write to",
        ) from error
    return Path(path)
