"""Cooccurrence: what the training samples say of which concepts go together, in place of what the ontology says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from scipy import sparse
from torch_geometric.data import HeteroData
from torch_geometric.data.datapipes import functional_transform

from graph_builders.build import EVIDENCES
from graph_builders.nulls.base import (
    Indices,
    Null,
    read_samples,
    set_ends,
    shuffle_places,
    stated_types,
    write_samples,
)
from ontology.errors import InputError
from ontology.recognise import POLARITIES

PRESENT = POLARITIES.index("present")


@functional_transform("cooccurrence_relations")
class Cooccurrence(Null):
    r"""Link the concepts that are present together in the same training samples.

    With n training samples, :math:`c_i` of them with concept i and :math:`c_{ij}` with i and j, pairs are ranked by

    .. math:: \text{pmi}_{ij} = \log \frac{c_{ij} \, n}{c_i \, c_j} \qquad\text{or by the count } c_{ij};

    pairs that were seen less than `least` times come after all others, ties are broken by lot. The first |E| pairs
    become the edges, dealt to the relations by lot: each relation has as many edges as it had, so message passing has
    the same parameters, and which relation an edge belongs to means nothing. Edges lead from the later to the earlier
    concept in an order by depth, equally deep ones ordered by lot.

    Kept: the number of edges of each relation, where concepts sit and their evidence; that is-a runs in no circle.
    Destroyed: every link that the ontology states. Concepts without evidence in the training samples, and all that is
    only an ancestor, are isolated. Only affirmed evidence counts, and no sample outside `train` has any influence.
    With fewer pairs than edges, each relation has its share of them, and at least one; `report` says so.

    All features of places are dealt out anew, see `shuffle_places`.

    Args:
        seed: Breaks ties, deals edges to relations and orders concepts of the same depth.
        train: Sample ids, or spans of them ("0-4,7").
        rank: By pointwise mutual information or by count.
        least: How often a pair must be seen to come before those that are seen less.

    Raises:
        InputError: If the ranking is unknown or `train` names no samples.
    """

    name = "cooccurrence"

    def __init__(
        self,
        seed: int,
        train: Sequence[int] | Indices | str,
        rank: Literal["pmi", "count"] = "pmi",
        least: int = 2,
    ) -> None:
        if rank not in ("pmi", "count"):
            raise InputError(f"pairs of concepts cannot be ranked by '{rank}'", remedy="Choose pmi or count")
        self.seed, self.train, self.rank, self.least = seed, read_samples(train), rank, least
        self.report = {}
        if not len(self.train):
            raise InputError("cooccurrence is counted in training samples, and there are none")

    @classmethod
    def of(cls, seed: int, *, within: str = "modality", split: Mapping[str, Sequence[int]]) -> Cooccurrence:
        """Build the null from the samples that are trained on.

        Args:
            seed: Which draw.
            within: Not read.
            split: Sample ids by the name of their split; only `train` is read.
        """
        return cls(seed, split.get("train", ()))

    def forward(self, data: HeteroData) -> HeteroData:
        """Give the graph with the links of the training samples.

        Args:
            data: A shallow copy of the graph, which PyG's `__call__` makes; its tensors are not edited.

        Raises:
            InputError: If the graph has no evidence, or there are fewer pairs than relations.
        """
        if EVIDENCES not in data.edge_types:
            raise InputError("a graph without evidence has no cooccurrence")
        kinds = stated_types(data)
        edges = np.array([data[kind].edge_index.shape[1] for kind in kinds], dtype=np.int64)
        rng = np.random.default_rng(self.seed)
        one, other = self._pairs(data, int(edges.sum()), rng)
        found = len(one)
        if found < int((edges > 0).sum()):
            raise InputError(
                f"{len(self.train)} training samples link {found} pairs of concepts, fewer than the graph has "
                "relations",
                remedy="Train on more samples, or use another null",
            )
        lot = rng.permutation(found)
        count = int(data["concept"].num_nodes)
        place = np.empty(count, dtype=np.int64)
        place[np.lexsort((rng.random(count), data["concept"].depth.cpu().numpy()))] = np.arange(count)
        turned = place[one] < place[other]
        source, target = np.where(turned, other, one)[lot], np.where(turned, one, other)[lot]
        shares = _shares(edges, found)
        start = 0
        for kind, share in zip(kinds, shares.tolist(), strict=True):
            mine = slice(start, start + share)
            set_ends(data, kind, source[mine], target[mine], rows=np.arange(share))
            start += share
        self.report = {
            "samples": len(self.train),
            "edges": int(edges.sum()),
            "pairs": found,
            "relations": {kind[1]: {"edges": int(n)} for kind, n in zip(kinds, shares, strict=True)},
            "dealt_anew": shuffle_places(data, self.seed),
        }
        return data

    def _pairs(self, data: HeteroData, wanted: int, rng: np.random.Generator) -> tuple[Indices, Indices]:
        """Give the first `wanted` pairs of concepts."""
        store = data[EVIDENCES]
        node, observation = store.edge_index.cpu().numpy()
        sample = data["observation"].sample_id.cpu().numpy()[observation]
        chosen = np.isin(sample, self.train) & (store.polarity.cpu().numpy() == PRESENT)
        rows, row = np.unique(sample[chosen], return_inverse=True)
        concepts, column = np.unique(node[chosen], return_inverse=True)
        shape = (len(rows), len(concepts))
        seen = sparse.csr_array((np.ones(len(row), dtype=np.int64), (row, column)), shape=shape)
        seen.data[:] = 1  # a concept that several modalities show is there once
        together = sparse.coo_array(sparse.triu(seen.T @ seen, k=1))
        i, j = together.coords
        times = together.data
        alone = np.asarray(seen.sum(0)).ravel()
        score = times if self.rank == "count" else np.log(times * len(self.train) / (alone[i] * alone[j]))
        best = np.lexsort((rng.random(len(times)), -score, times < self.least))[:wanted]
        return concepts[i[best]], concepts[j[best]]

    def __repr__(self) -> str:
        return self._text(f"'{write_samples(self.train)}'")

    def __str__(self) -> str:
        return self._text(f"<{len(self.train)} samples>")

    def _text(self, train: str) -> str:
        more = ("" if self.rank == "pmi" else f", rank='{self.rank}'") + (
            "" if self.least == 2 else f", least={self.least}"
        )
        return f"Cooccurrence(seed={self.seed}, train={train}{more})"


def _shares(edges: Indices, found: int) -> Indices:
    """Share `found` edges out in proportion to `edges`; no relation that had edges goes without."""
    total = int(edges.sum())
    if found >= total:
        return edges
    least = (edges > 0).astype(np.int64)
    spare = found - int(least.sum())
    exact = (edges - least) * spare / max(total - int(least.sum()), 1)
    shares = least + np.floor(exact).astype(np.int64)
    left = found - int(shares.sum())
    shares[np.argsort(np.floor(exact) - exact, kind="stable")[:left]] += 1
    return shares
