"""Node features that say where a concept stands: depth, information content, degree.

Every feature is a PyG transform that adds `data["concept"].x_*`, float32 [N, C]; guidance reads them by that name.
Features of a node's place stay with the node when a null graph moves concepts about; `OF_THE_CONCEPT` names those
that say something about the concept itself and have to go along with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform
from torch_geometric.utils import degree, to_undirected

from graph_builders.concept_graph import REVERSE
from graph_builders.edge_types import TO
from ontology import closure as _closure
from ontology.errors import InputError
from ontology.information import METHODS, ic

if TYPE_CHECKING:
    from ontology import Ontology

IS_A = ("concept", "is_a", "concept")
#: Features that belong to the concept and not to its node.
OF_THE_CONCEPT = ("x_term", "x_value")


def stated_types(data: HeteroData) -> list[tuple[str, str, str]]:
    """Give the edge types between concepts without the reverse ones, in the graph's order.

    Args:
        data: The graph.
    """
    return [
        kind
        for kind in data.edge_types
        if kind[0] == kind[2] == "concept" and not kind[1].startswith(REVERSE)
    ]


def holds_is_a(name: str) -> bool:
    """Say whether an edge type is is-a, or a part of it that was split off.

    Args:
        name: The edge type's name, without rev_.
    """
    return name == IS_A[1] or name.startswith(IS_A[1] + TO)


def is_a_parts(data: HeteroData) -> list[Int64[Tensor, "2 edges"]]:
    """Give the is-a edges of each edge type that has or can have some: whole ones, split ones, merged ones.

    Args:
        data: The graph; of merged edges each keeps the number of its `relation`, and 0 is is-a.
    """
    parts = []
    for kind in stated_types(data):
        store = data[kind]
        if holds_is_a(kind[1]):
            parts.append(store.edge_index)
        elif "relation" in store:
            parts.append(store.edge_index[:, store.relation == 0])
    return parts


def is_a_edges(data: HeteroData) -> Int64[Tensor, "2 edges"]:
    """Give the is-a edges, from child to parent.

    Args:
        data: The graph.

    Raises:
        InputError: If the graph has edges between concepts, and which of them are is-a cannot be told.
    """
    parts = is_a_parts(data)
    if not parts and stated_types(data):
        raise InputError(
            "the graph has no is-a edges", remedy="Keep the relation 'is a', or merge it with View(merge=...)"
        )
    return torch.cat([torch.empty(2, 0, dtype=torch.int64), *parts], dim=1)


def undirected(data: HeteroData) -> Int64[Tensor, "2 edges"]:
    """Give all edges between concepts as those of one simple graph: both ways, each once, none to itself.

    Args:
        data: The graph.
    """
    ends = [data[kind].edge_index for kind in stated_types(data)]
    both = torch.cat([torch.empty(2, 0, dtype=torch.int64), *ends], dim=1)
    both = both[:, both[0] != both[1]]
    return to_undirected(both, num_nodes=int(data["concept"].num_nodes))


@functional_transform("concept_depth")
class Depth(BaseTransform):
    """Add `x_depth` [N, 1]: the shortest distance from a root, over the greatest in the graph."""

    def forward(self, data: HeteroData) -> HeteroData:
        """Give the graph with the feature.

        Args:
            data: A shallow copy of the graph, which PyG's `__call__` makes.
        """
        depth = data["concept"].depth.to(torch.float32)
        most = float(depth.max()) if len(depth) else 0.0
        data["concept"].x_depth = (depth / max(most, 1.0))[:, None]
        return data

    def __repr__(self) -> str:
        return "Depth()"


@functional_transform("concept_information_content")
class InformationContent(BaseTransform):
    """Add `x_ic` [N, 1]: the information content over the greatest there is, from 0 at a root to 1.

    Args:
        ontology: Where it is computed; the same for every cohort. None computes it on the graph's own is-a edges,
            where a concept says the more the fewer of the graph's concepts are below it.
        method: "sanchez" or "seco", see `ontology.information`.

    Raises:
        InputError: If the method is another one.
    """

    def __init__(self, ontology: Ontology | None = None, method: str = "sanchez") -> None:
        known = [name for name in METHODS if name != "corpus"]
        if method not in known:
            raise InputError(
                f"'{method}' does not come from is-a alone", remedy=f"Choose one of: {', '.join(known)}"
            )
        self.ontology, self.method = ontology, method

    def forward(self, data: HeteroData) -> HeteroData:
        """Give the graph with the feature.

        Args:
            data: A shallow copy of the graph, which PyG's `__call__` makes.

        Raises:
            InputError: If a concept is not in the ontology, or is-a runs in a circle.
        """
        if self.ontology is None:
            found = ic(hierarchy(data), self.method)
            most = found.max(initial=0.0)
        else:
            known = ic(self.ontology, self.method)
            most = known.max(initial=0.0)
            found = known[nodes_in(self.ontology, data)]
        data["concept"].x_ic = torch.from_numpy((found / (most or 1.0)).astype(np.float32))[:, None]
        return data

    def __repr__(self) -> str:
        where = "the graph" if self.ontology is None else "the ontology"
        return f"InformationContent(method='{self.method}', of='{where}')"


@functional_transform("concept_degree")
class Degree(BaseTransform):
    """Add `x_degree` [N, 2R]: log(1 + edges out), log(1 + edges in) for each edge type, by the alphabet."""

    def forward(self, data: HeteroData) -> HeteroData:
        """Give the graph with the feature.

        Args:
            data: A shallow copy of the graph, which PyG's `__call__` makes.
        """
        count = int(data["concept"].num_nodes)
        columns = [
            degree(ends, count, torch.float32).log1p()
            for kind in sorted(stated_types(data))
            for ends in data[kind].edge_index
        ]
        data["concept"].x_degree = torch.stack(columns, 1) if columns else torch.zeros(count, 0)
        return data

    def __repr__(self) -> str:
        return "Degree()"


def nodes_in(ontology: Ontology, data: HeteroData) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Find a graph's concepts in an ontology, as its node indices [N].

    Args:
        ontology: The ontology.
        data: The graph.

    Raises:
        InputError: If it lacks one.
    """
    sctids = data["concept"].sctid.numpy()
    place = ontology.indices(sctids)
    if (place < 0).any():
        raise InputError(
            f"{int((place < 0).sum())} of the graph's concepts are not in '{ontology.name}', the first is "
            f"{int(sctids[place < 0][0])}",
            remedy="Give the ontology that the graph was built from",
        )
    return place


class GraphHierarchy:
    """As much of an ontology as `ontology.information.ic` asks for, from is-a edges.

    Args:
        child: The lower end of each edge [E].
        parent: The upper end [E].
        count: Number of nodes N.

    Attributes:
        child_links: From each node down to its children.
        closure: csr_array [N, N] of bool; row i holds i and what is above it.

    Raises:
        InputError: If is-a runs in a circle.
    """

    def __init__(self, child: Any, parent: Any, count: int) -> None:
        self._count = count
        self.child_links = _closure.adjacency(parent, child, count)
        links = _closure.adjacency(child, parent, count)
        order = _closure.levels(links, self.child_links)
        if sum(map(len, order)) < count:
            raise InputError("is-a runs in a circle in this graph, so nothing is above anything")
        self.closure: Any = _closure.closure(links, order)

    def __len__(self) -> int:
        return self._count


def hierarchy(data: HeteroData) -> Any:
    """Give the hierarchy of a graph's is-a edges.

    Args:
        data: The graph.

    Raises:
        InputError: If the graph has no is-a edges, or they run in a circle.
    """
    child, parent = is_a_edges(data).numpy()
    return GraphHierarchy(child, parent, int(data["concept"].num_nodes))
