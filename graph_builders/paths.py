"""The shortest way from one concept to another, with the relations it goes through: the reason for a bias.

Relations are walked both ways; `forward` says whether the ontology states the step in the walked direction.
Among equally short ways the answer is always the same one.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import breadth_first_order
from torch_geometric.data import HeteroData

from graph_builders.concept_graph import ConceptGraph

_NOWHERE = -9999


class Step(NamedTuple):
    """One step of a path."""

    node: int
    relation: str
    next_node: int
    forward: bool


class PathFinder:
    """Shortest paths over the concepts of one graph; the adjacency is made once.

    Args:
        graph: The concept side of a graph, or the whole graph.
    """

    def __init__(self, graph: ConceptGraph | HeteroData) -> None:
        concepts = graph if isinstance(graph, ConceptGraph) else ConceptGraph.from_data(graph)
        self.num_nodes = concepts.num_nodes
        self._names = sorted(concepts.relations)
        ends = [concepts.relations[name].cpu().numpy() for name in self._names]
        kind = np.repeat(np.arange(len(ends)), [edges.shape[1] for edges in ends])
        source, target = np.concatenate([np.empty((2, 0), dtype=np.int64), *ends], axis=1)
        # Of several edges between two nodes the first by (direction, relation name) is the one that is told.
        label = np.r_[2 * kind, 2 * kind + 1] if len(kind) else np.empty(0, dtype=np.int64)
        key = np.r_[source, target] * self.num_nodes + np.r_[target, source]
        order = np.lexsort((label // 2, label % 2, key))
        self._keys, first = np.unique(key[order], return_index=True)
        self._label = label[order][first]
        rows, columns = np.divmod(self._keys, max(self.num_nodes, 1))
        shape = (self.num_nodes, self.num_nodes)
        self._step = sparse.csr_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=shape)
        self._start, self._before = -1, np.empty(0, dtype=np.int64)

    def path(self, a: int, b: int) -> list[Step] | None:
        """Give the steps of a shortest path; no steps from a node to itself, None where there is no way.

        Args:
            a: Node to start from.
            b: Node to reach.

        Raises:
            IndexError: If there is no such node.
        """
        for node in (a, b):
            if not 0 <= node < self.num_nodes:
                raise IndexError(f"node {node} is not among the {self.num_nodes} concepts")
        if a == b:
            return []
        if self._start != a:
            self._before = breadth_first_order(self._step, a, directed=True, return_predecessors=True)[1]
            self._start = a
        if self._before[b] == _NOWHERE:
            return None
        nodes = [b]
        while nodes[-1] != a:
            nodes.append(int(self._before[nodes[-1]]))
        nodes.reverse()
        return [self._tell(node, following) for node, following in pairwise(nodes)]

    def _tell(self, node: int, following: int) -> Step:
        label = int(self._label[np.searchsorted(self._keys, node * self.num_nodes + following)])
        return Step(node, self._names[label // 2], following, label % 2 == 0)


def shortest_path(graph: ConceptGraph | HeteroData, a: int, b: int) -> list[Step] | None:
    """Give one shortest path between two concept nodes; make a `PathFinder` where there are many to find.

    Args:
        graph: The concept side of a graph, or the whole graph.
        a: Node to start from.
        b: Node to reach.
    """
    return PathFinder(graph).path(a, b)
