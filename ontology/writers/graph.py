"""An `Ontology` as a networkx graph and as GraphML."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from ontology.writers.iris import ILLEGAL_IN_XML, put

if TYPE_CHECKING:
    import networkx

    from ontology.model import Ontology


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
    names = {kind: onto.relation_name(kind) for kind in onto.relation_types.tolist()}
    r = onto.relations
    columns = (onto.sctids[r.source], onto.relation_types[r.type], onto.sctids[r.target], r.group)
    graph.add_edges_from(
        (source, target, (kind, group), {"relation": kind, "name": names[kind], "group": group})
        for source, kind, target, group in zip(*(c.tolist() for c in columns), strict=True)
    )
    return graph


def write_graphml(onto: Ontology, path: str | Path) -> Path:
    """Write the graph of `to_networkx` as GraphML; there an edge's id is its number, unique in the file.

    Characters that XML 1.0 cannot hold become a blank.

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
    numbered = nx.MultiDiGraph(name=_blanked(onto.name))
    numbered.add_nodes_from(
        (node, {key: _blanked(text) for key, text in data.items()}) for node, data in graph.nodes(data=True)
    )
    numbered.add_edges_from(
        (s, t, i, data | {"name": _blanked(data["name"])})
        for i, (s, t, data) in enumerate(graph.edges(data=True))
    )
    buffer = io.BytesIO()
    nx.write_graphml_xml(numbered, buffer)
    return put(path, buffer.getvalue())


def _blanked(text: str) -> str:
    return ILLEGAL_IN_XML.sub(" ", text)
