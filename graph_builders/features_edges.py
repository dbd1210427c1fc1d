r"""Edge features between concepts: which relation an edge is, and how much it counts.

With the edges of one type (a reverse type is a type of its own), d_out of a source and d_in of a target among them:

.. math::
    \text{random\_walk:}\quad & w_{ij} = 1 / d^{out}_i && \text{the weights that leave a concept add up to 1} \\
    \text{mean:}\quad & w_{ij} = 1 / d^{in}_j && \text{those that arrive at a concept do} \\
    \text{symmetric:}\quad & w_{ij} = 1 / \sqrt{d^{out}_i d^{in}_j} && \text{Kipf and Welling 2017} \\
    \text{jiang\_conrath:}\quad & w_{ij} = 1 / (1 + |IC_i - IC_j|) && \text{is-a only; 1 for other relations}

The last takes the distance of Jiang and Conrath (1997, Semantic similarity based on corpus statistics and lexical
taxonomy, ROCLING X), which along one is-a edge is the difference in information content, as a similarity.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform
from torch_geometric.utils import degree

from graph_builders.concept_graph import REVERSE
from graph_builders.edge_types import TO
from graph_builders.features import IS_A, holds_is_a, stated_types
from ontology.errors import InputError

WEIGHTS = ("random_walk", "mean", "symmetric", "jiang_conrath")


@functional_transform("relation_type")
class RelationType(BaseTransform):
    """Add to each edge between concepts `relation` [E]: the number of its relation type.

    An edge and its reverse have the same number. Where relation types were merged when the graph was built, each edge
    has its number already and keeps it.

    Args:
        names: The relation types in the order of their numbers, is_a first. A graph that was built from an ontology
            names them in `meta["slice"]["relation_names"]`; None takes is_a and the graph's own edge types, sorted.

    Raises:
        InputError: If is_a is not the first of the names.
    """

    def __init__(self, names: Sequence[str] | None = None) -> None:
        if names and names[0] != IS_A[1]:
            raise InputError(f"the first relation is '{names[0]}'", remedy="Number is_a 0")
        self.names = None if names is None else tuple(names)

    def forward(self, data: HeteroData) -> HeteroData:
        """Give the graph with the feature.

        Args:
            data: A shallow copy of the graph, which PyG's `__call__` makes.

        Raises:
            InputError: If an edge type's relation is not among the names.
        """
        kinds = stated_types(data)
        if self.names is None and any("relation" in data[kind] for kind in kinds):
            raise InputError("some edges have the number of their relation already", remedy="Give the names")
        names = self.names or (IS_A[1], *sorted({kind[1] for kind in kinds} - {IS_A[1]}))
        for kind in kinds:
            if "relation" in data[kind]:
                continue
            number = _number(kind[1], names)
            for one in (kind, ("concept", REVERSE + kind[1], "concept")):
                if one in data.edge_types:
                    data[one].relation = torch.full((data[one].edge_index.shape[1],), number)
        return data

    def __repr__(self) -> str:
        return f"RelationType(names={self.names!r})"


def _number(name: str, names: Sequence[str]) -> int:
    """Find a relation's number: its own name, or of a part of a split one the longest that begins it."""
    fitting = [one for one in names if name == one or name.startswith(one + TO)]
    if not fitting:
        raise InputError(f"the edge type '{name}' is none of the relations: {', '.join(names)}")
    return list(names).index(max(fitting, key=len))


@functional_transform("edge_weight")
class EdgeWeight(BaseTransform):
    """Add to each edge between concepts `weight` [E], float32.

    Args:
        kind: "random_walk", "mean", "symmetric" or "jiang_conrath", which reads `x_ic`.

    Raises:
        InputError: If the kind is unknown.
    """

    def __init__(self, kind: str = "random_walk") -> None:
        if kind not in WEIGHTS:
            raise InputError(f"'{kind}' is no weight of an edge", remedy=f"Known ones: {', '.join(WEIGHTS)}")
        self.kind = kind

    def forward(self, data: HeteroData) -> HeteroData:
        """Give the graph with the feature.

        Args:
            data: A shallow copy of the graph, which PyG's `__call__` makes.

        Raises:
            InputError: If the information content is needed and not there.
        """
        if self.kind == "jiang_conrath" and "x_ic" not in data["concept"]:
            raise InputError("the weight jiang_conrath needs x_ic", remedy="Add the feature ic before it")
        for kind in [kind for kind in data.edge_types if kind[0] == kind[2] == "concept"]:
            data[kind].weight = self._weight(data, kind)
        return data

    def _weight(self, data: HeteroData, kind: tuple[str, str, str]) -> Tensor:
        store, count = data[kind], int(data["concept"].num_nodes)
        source, target = store.edge_index
        if self.kind == "jiang_conrath":
            content = data["concept"].x_ic[:, 0]
            weight = 1 / (1 + (content[source] - content[target]).abs())
            if holds_is_a(kind[1].removeprefix(REVERSE)):
                return weight
            merged = (
                store.relation == 0 if "relation" in store else torch.zeros(len(source), dtype=torch.bool)
            )
            return torch.where(merged, weight, torch.ones_like(weight))
        out, into = degree(source, count)[source], degree(target, count)[target]
        if self.kind == "random_walk":
            return 1 / out
        return 1 / into if self.kind == "mean" else (out * into).rsqrt()

    def __repr__(self) -> str:
        return f"EdgeWeight(kind='{self.kind}')"
