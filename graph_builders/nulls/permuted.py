"""Permuted: each concept on another node.

The edges between concepts are not touched, so every structural statistic is kept: degrees, depths, relation counts,
path lengths. Destroyed is which concept is near which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch_geometric.data import HeteroData
from torch_geometric.data.datapipes import functional_transform

from graph_builders.build import EVIDENCES, IN
from graph_builders.nulls.base import OF_THE_CONCEPT, Null, matching
from ontology.errors import InputError


@functional_transform("permuted_concepts")
class Permuted(Null):
    """Permute which concept sits on which node; the evidence goes along with its concept.

    Kept: each relation's edge_index, the depth of each node, the number of evidence edges with their weights,
    polarities and observations, the multiset of SCTIDs. Destroyed: the place of a concept in the ontology.

    Args:
        seed: Which permutation.
        within: "all" nodes; only among nodes of the same "depth" (a leaf stays about as deep as it was); or only
            among the concepts that are evidence in the same "modality". The last is the sharpest null: had the
            places of a modality's concepts in the ontology been drawn by lot, the real graph and this one could
            not be told apart, while permuting all nodes also mixes the modalities and changes how much
            evidence has evidence for a neighbour.
        moves: Attributes of the concept nodes that go along with the concept, as names or patterns: by default its
            SCTID and what was made of its terms and values. All others say where a node is, and stay.

    Raises:
        InputError: If `within` is unknown.
    """

    name = "permuted"

    def __init__(
        self,
        seed: int,
        within: Literal["all", "depth", "modality"] = "all",
        moves: tuple[str, ...] = OF_THE_CONCEPT,
    ) -> None:
        if within not in ("all", "depth", "modality"):
            raise InputError(
                f"concepts cannot be permuted within '{within}'", remedy="Choose all, depth or modality"
            )
        self.seed, self.within, self.moves, self.report = seed, within, moves, {}

    @classmethod
    def of(cls, seed: int, *, within: str = "modality", split: Mapping[str, Sequence[int]]) -> Permuted:
        """Build the null.

        Args:
            seed: Which permutation.
            within: Among which concepts.
            split: Not read.
        """
        return cls(seed, within)  # type: ignore[arg-type]

    def forward(self, data: HeteroData) -> HeteroData:
        """Give the graph with its concepts permuted.

        Args:
            data: A shallow copy of the graph, which PyG's `__call__` makes; its tensors are not edited.
        """
        to = self.destination(data)
        came_from = torch.empty_like(to)
        came_from[to] = torch.arange(len(to))
        moved = matching(data, self.moves)
        for name in moved:
            data["concept"][name] = data["concept"][name][came_from.to(data["concept"][name].device)]
        changed = int((to != torch.arange(len(to))).sum())
        self.report = {"concepts": len(to), "moved": changed, "attributes_moved": moved}
        if EVIDENCES not in data.edge_types:
            return data
        source, relation, target = EVIDENCES
        forward, backward = data[EVIDENCES], data[(target, f"rev_{relation}", source)]
        nodes, observations = forward.edge_index
        forward.edge_index = torch.stack([to.to(nodes.device)[nodes], observations])
        backward.edge_index = forward.edge_index.flip(0).contiguous()
        return data

    def destination(self, data: HeteroData) -> torch.Tensor:
        """Give the node that each node's concept moves to [N].

        Args:
            data: The graph.

        Raises:
            InputError: If permuting is within modalities, and the graph has no evidence.
        """
        count = int(data["concept"].num_nodes)
        stratum = self._stratum(data, count)
        draw = np.random.default_rng(self.seed).random(count)
        places, drawn = np.lexsort((np.arange(count), stratum)), np.lexsort((draw, stratum))
        to = np.empty(count, dtype=np.int64)
        to[places] = drawn
        return torch.from_numpy(to)

    def _stratum(self, data: HeteroData, count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Give each node the number of its group; a concept changes places only within its group."""
        if self.within == "depth":
            return np.asarray(data["concept"].depth.cpu().numpy(), dtype=np.int64)
        if self.within == "all":
            return np.zeros(count, dtype=np.int64)
        if EVIDENCES not in data.edge_types:
            raise InputError(
                "a graph without evidence has no modalities to permute within", remedy="Choose all or depth"
            )
        nodes, observations = data[EVIDENCES].edge_index.cpu()
        modality_of = torch.zeros(int(data["observation"].num_nodes), dtype=torch.int64)
        one, modality = data[IN].edge_index.cpu()
        modality_of[one] = modality
        seen = torch.zeros(count, int(data["modality"].num_nodes), dtype=torch.int64)
        seen[nodes, modality_of[observations]] = 1
        # Concepts without evidence keep their places: each is a group of its own.
        group = (seen << torch.arange(seen.shape[1])).sum(1)
        return torch.where(group > 0, group, -1 - torch.arange(count)).numpy()

    def __repr__(self) -> str:
        more = "" if self.moves == OF_THE_CONCEPT else f", moves={self.moves}"
        return f"Permuted(seed={self.seed}, within='{self.within}'{more})"
