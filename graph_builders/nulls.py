"""Null graphs: what is left of a gain when the ontology's meaning is gone.

`Permuted` puts each concept on another node. The edges between concepts are not touched, so every structural
statistic is kept: degrees, depths, relation counts, path lengths. Destroyed is which concept is near which.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch_geometric.data import HeteroData
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from graph_builders.build import EVIDENCES
from ontology.errors import InputError


@functional_transform("permuted_concepts")
class Permuted(BaseTransform):
    """Permute which concept sits on which node; the evidence goes along with its concept.

    Kept: each relation's edge_index, the depth of each node, the number of evidence edges with their weights,
    polarities and observations, the multiset of SCTIDs. Destroyed: the place of a concept in the ontology.

    Args:
        seed: Which permutation.
        within: "all" nodes, or only among nodes of the same "depth" (a leaf stays about as deep as it was).
        moves: Attributes of the concept nodes that go along with the concept; all others stay with the node.

    Raises:
        InputError: If `within` is unknown.
    """

    def __init__(
        self, seed: int, within: Literal["all", "depth"] = "all", moves: tuple[str, ...] = ("sctid",)
    ) -> None:
        if within not in ("all", "depth"):
            raise InputError(f"concepts cannot be permuted within '{within}'", remedy="Choose all or depth")
        self.seed, self.within, self.moves = seed, within, moves

    def forward(self, data: HeteroData) -> HeteroData:
        """Give the graph with its concepts permuted.

        Args:
            data: A shallow copy of the graph, which PyG's `__call__` makes; its tensors are not edited.
        """
        to = self.destination(data)
        came_from = torch.empty_like(to)
        came_from[to] = torch.arange(len(to))
        for name in self.moves:
            data["concept"][name] = data["concept"][name][came_from]
        source, relation, target = EVIDENCES
        forward, backward = data[EVIDENCES], data[(target, f"rev_{relation}", source)]
        nodes, observations = forward.edge_index
        forward.edge_index = torch.stack([to[nodes], observations])
        backward.edge_index = forward.edge_index.flip(0).contiguous()
        return data

    def destination(self, data: HeteroData) -> torch.Tensor:
        """Give the node that each node's concept moves to [N].

        Args:
            data: The graph.
        """
        count = int(data["concept"].num_nodes)
        depth = data["concept"].depth.numpy() if self.within == "depth" else np.zeros(count, dtype=np.int64)
        draw = np.random.default_rng(self.seed).random(count)
        places, drawn = np.lexsort((np.arange(count), depth)), np.lexsort((draw, depth))
        to = np.empty(count, dtype=np.int64)
        to[places] = drawn
        return torch.from_numpy(to)

    def __repr__(self) -> str:
        return f"Permuted(seed={self.seed}, within='{self.within}')"
