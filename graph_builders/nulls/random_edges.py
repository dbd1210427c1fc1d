"""RandomEdges: as many edges, drawn blindly."""

from __future__ import annotations

import numpy as np
from torch_geometric.data import HeteroData
from torch_geometric.data.datapipes import functional_transform

from graph_builders.nulls.base import (
    Indices,
    Null,
    ends_of,
    is_a_rows,
    set_ends,
    shuffle_places,
    stated_types,
)
from ontology.errors import InputError


@functional_transform("random_relations")
class RandomEdges(Null):
    """Draw the edges of each relation at random among all concepts.

    Kept: the number of edges of each relation, the attributes of edges as a whole, where concepts sit and their
    evidence; that is-a runs in no circle: its edges lead from the later to the earlier concept in an order by depth,
    equally deep ones ordered by lot. No loop, no double edge.
    Destroyed: everything else, degrees and depths too; most concepts have several parents or none, and is-a has many
    roots. Other relations may run in circles.

    All features of places are dealt out anew, see `shuffle_places`; `depth` stays, since the draw heeds it.

    Args:
        seed: Which draw.
    """

    name = "random"

    def __init__(self, seed: int) -> None:
        self.seed, self.report = seed, {}

    def forward(self, data: HeteroData) -> HeteroData:
        """Give the graph with other edges.

        Args:
            data: A shallow copy of the graph, which PyG's `__call__` makes; its tensors are not edited.

        Raises:
            InputError: If a relation has more edges than there are pairs of concepts.
        """
        rng = np.random.default_rng(self.seed)
        count = int(data["concept"].num_nodes)
        order = np.lexsort((rng.random(count), data["concept"].depth.cpu().numpy()))
        self.report = {"relations": {}}
        for kind in stated_types(data):
            source, target = ends_of(data, kind)
            source, target, is_a = source.copy(), target.copy(), is_a_rows(data, kind)
            taken = np.empty(0, dtype=np.int64)
            for rows, downwards in ((is_a, True), (~is_a, False)):
                wanted = int(rows.sum())
                room = count * (count - 1) // (2 if downwards else 1) - len(taken)
                if wanted > room:
                    raise InputError(
                        f"{wanted} different edges {kind[1]} cannot be drawn among {count} concepts",
                        remedy="Use another null, or a larger view of the ontology",
                    )
                keys = _draw(wanted, count, downwards, taken, rng)
                one, other = np.divmod(keys, count)
                source[rows], target[rows] = order[one], order[other]
                taken = np.r_[taken, keys]
            self.report["relations"][kind[1]] = {"edges": len(source)}
            set_ends(data, kind, source, target)
        self.report["dealt_anew"] = shuffle_places(data, self.seed)
        return data

    def __repr__(self) -> str:
        return f"RandomEdges(seed={self.seed})"


def _draw(wanted: int, count: int, downwards: bool, taken: Indices, rng: np.random.Generator) -> Indices:
    """Draw different pairs i * count + j with i != j (downwards: i > j) that are not taken, in random order."""
    if count * count < 8 * (wanted + len(taken)) + 64:  # so dense that blind draws would mostly be in vain
        keys = np.arange(count * count)
        one, other = np.divmod(keys, count)
        free = (one > other if downwards else one != other) & ~np.isin(keys, taken)
        return rng.permutation(keys[free])[:wanted]
    found = np.empty(0, dtype=np.int64)
    while len(found) < wanted:
        ends = rng.integers(count, size=(2, wanted - len(found) + 16))
        ends = ends[:, ends[0] != ends[1]]
        if downwards:
            ends = np.stack([ends.max(0), ends.min(0)])
        new = ends[0] * count + ends[1]
        _, first = np.unique(np.r_[found, new], return_index=True)
        both = np.r_[found, new][np.sort(first)]
        found = both[~np.isin(both, taken)]
    return rng.permutation(found[:wanted])
