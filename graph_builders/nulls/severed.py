"""Severed: every concept hears only itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch_geometric.data import HeteroData
from torch_geometric.data.datapipes import functional_transform

from graph_builders.nulls.base import Null, reverse_of, shuffle_places, stated_types


@functional_transform("severed_relations")
class Severed(Null):
    """Turn each edge between concepts into a loop on the concept that it reached.

    The arm with all the parameters of message passing and no ontology: what comes from having layers alone.

    Kept: the number of edges of each relation and of its reverse, each with its attributes; how many messages reach a
    concept through each relation and its reverse; where concepts sit and their evidence.
    Destroyed: every link between different concepts. The reverse of a relation holds loops on the concepts that the
    reverse reached, so it is not the relation turned round, as it is in all other graphs; loops are there as often as
    the edges were.

    There is nothing to draw: a seed would decide nothing but how features of places are dealt out, and they are set
    to 0 instead.
    """

    name = "severed"
    drawn: ClassVar[bool] = False

    def __init__(self) -> None:
        self.report = {}

    @classmethod
    def of(cls, seed: int, *, within: str = "modality", split: Mapping[str, Sequence[int]]) -> Severed:
        """Build the null; nothing of a configuration changes it.

        Args:
            seed: Not read.
            within: Not read.
            split: Not read.
        """
        return cls()

    def forward(self, data: HeteroData) -> HeteroData:
        """Give the graph with loops.

        Args:
            data: A shallow copy of the graph, which PyG's `__call__` makes; its tensors are not edited.
        """
        self.report = {"relations": {}}
        for kind in stated_types(data):
            self.report["relations"][kind[1]] = {"edges": int(data[kind].edge_index.shape[1])}
            for one in filter(None, (kind, reverse_of(data, kind))):
                reached = data[one].edge_index[1]
                data[one].edge_index = torch.stack([reached, reached])
        self.report["set_to_0"] = names = shuffle_places(data, 0)
        for name in names:
            data["concept"][name] = torch.zeros_like(data["concept"][name])
        return data

    def __repr__(self) -> str:
        return "Severed()"
