"""The whole ontology as a graph, without patients: what embedding concepts or pre-training needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch_geometric.data import HeteroData

from graph_builders.build import connect, relation_slugs, tensor

if TYPE_CHECKING:
    from ontology import Ontology


def build_ontology_graph(ontology: Ontology) -> HeteroData:
    """Build the graph of every active concept and every relation.

    Args:
        ontology: The ontology.

    Returns:
        data["concept"].sctid and .depth [N]; for each relation type edges concept-relation-concept [2, E] and their
        reverse (`rev_` + name), with .group [E], the role group.
    """
    data = HeteroData()
    relations = ontology.relations
    data["concept"].num_nodes = len(ontology)
    data["concept"].sctid = tensor(ontology.sctids)
    data["concept"].depth = tensor(ontology.depth)
    order = np.argsort(relations.type, kind="stable")
    bounds = np.searchsorted(relations.type[order], np.arange(len(ontology.relation_types) + 1))
    for kind, name in relation_slugs(ontology).items():
        rows = order[bounds[kind] : bounds[kind + 1]]
        if len(rows):
            ends = np.stack([relations.source[rows], relations.target[rows]])
            connect(data, ("concept", name, "concept"), ends, group=tensor(relations.group[rows]))
    return data
