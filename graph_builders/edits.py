"""Edits of a graph: drop, keep or merge relations, cap the depth, prune what is seen too seldom.

Each is a PyG transform. An edit that takes concepts out moves their evidence up, to the nearest concept above that
stays: fewest is-a steps, of those the deepest, of those the smallest SCTID. Evidence for two concepts that come to the
same one is one edge for each polarity, with the larger weight, as `Evidence.merged` has it. Evidence without such a
concept above is dropped, and so is what was denied: who has no bacterial pneumonia may have pneumonia. What an edit did
is counted in `data.edits`, and which SCTID stands for which in `data.lifted`; `PatientGraph.transform` keeps both with
the graph.

`repr` of an edit is the call that makes it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.data.datapipes import functional_transform
from torch_geometric.transforms import BaseTransform

from graph_builders.build import EVIDENCES, OF
from graph_builders.concept_graph import REVERSE
from graph_builders.features import hierarchy, is_a_edges, stated_types
from graph_builders.lifting import ABSENT, keep_concepts, note, standing_for
from graph_builders.view import merged_names
from ontology.errors import InputError

# So many patients' concepts are rolled up at once.
_PATIENTS = 4096


def _stated(data: HeteroData, names: Iterable[str]) -> list[str]:
    """Make sure that edge types between concepts are there."""
    known = [kind[1] for kind in stated_types(data)]
    for name in names:
        if name not in known:
            raise InputError(
                f"the graph has no edges '{name}' between concepts", remedy=f"It has: {', '.join(known)}"
            )
    return known


def _both(name: str) -> tuple[tuple[str, str, str], tuple[str, str, str]]:
    return ("concept", name, "concept"), ("concept", REVERSE + name, "concept")


def _drop(data: HeteroData, names: Iterable[str]) -> int:
    """Take edge types out, with their reverse; give the number of edges, not counting the reverse ones."""
    dropped = 0
    for name in names:
        forward, backward = _both(name)
        dropped += int(data[forward].edge_index.shape[1])
        del data[forward]
        if backward in data.edge_types:
            del data[backward]
    return dropped


def _names(names: str | Iterable[str]) -> tuple[str, ...]:
    found = (names,) if isinstance(names, str) else tuple(names)
    if not found:
        raise InputError("no relation is named", remedy="Name at least one")
    return found


@functional_transform("drop_relation")
class DropRelation(BaseTransform):
    """Take edge types between concepts out, with their reverse. The concepts stay.

    Args:
        names: Names of edge types, such as "finding_site".
    """

    def __init__(self, names: str | Iterable[str]) -> None:
        self.names = _names(names)

    def forward(self, data: HeteroData) -> HeteroData:
        """Give the graph without them.

        Args:
            data: A shallow copy of the graph, which PyG's `__call__` makes.

        Raises:
            InputError: If the graph has no such edge type.
        """
        _stated(data, self.names)
        note(data, repr(self), relations_dropped=_drop(data, dict.fromkeys(self.names)))
        return data

    def __repr__(self) -> str:
        return f"DropRelation(names={self.names!r})"


@functional_transform("keep_relations")
class KeepRelations(BaseTransform):
    """Take all edge types between concepts out but some.

    Args:
        names: Names of the edge types that stay.
    """

    def __init__(self, names: str | Iterable[str]) -> None:
        self.names = _names(names)

    def forward(self, data: HeteroData) -> HeteroData:
        """Give the graph with these alone.

        Args:
            data: A shallow copy of the graph, which PyG's `__call__` makes.

        Raises:
            InputError: If the graph has no such edge type.
        """
        known = _stated(data, self.names)
        others = [name for name in known if name not in self.names]
        note(data, repr(self), relations_dropped=_drop(data, others))
        return data

    def __repr__(self) -> str:
        return f"KeepRelations(names={self.names!r})"


@functional_transform("merge_relations")
class MergeRelations(BaseTransform):
    """Make one edge type of several; each edge stays an edge, with its attributes.

    `View(merge=...)` does the same while the graph is built, and numbers the relations, so that is-a is still known;
    here add `RelationType` before where that is wanted.

    Args:
        merge: New edge types, each with the edge types that become it; "all" makes one, `related`, of all.
    """

    def __init__(self, merge: Mapping[str, Iterable[str]] | str) -> None:
        self.merge = merged_names(merge)
        if self.merge is None:
            raise InputError("no relation is named", remedy="Name at least one")

    def forward(self, data: HeteroData) -> HeteroData:
        """Give the graph with merged edge types.

        Args:
            data: A shallow copy of the graph, which PyG's `__call__` makes.

        Raises:
            InputError: If the graph has no such edge type, a new name is one that stays, or attributes differ.
        """
        known = [kind[1] for kind in stated_types(data)]
        wanted = {"related": known} if self.merge == "all" else self.merge
        _stated(data, [name for which in wanted.values() for name in which])
        going = {name for which in wanted.values() for name in which}
        taken: dict[str, tuple[Any, ...]] = {}
        for new, which in wanted.items():
            if new in known and new not in going:
                raise InputError(f"'{new}' is another relation of the graph", remedy="Choose another name")
            taken[new] = tuple(self._joined(data, which, side) for side in (0, 1))
        _drop(data, going)
        for new, sides in taken.items():
            for kind, columns in zip(_both(new), sides, strict=True):
                for column, value in columns.items():
                    data[kind][column] = value
        note(data, repr(self), relations_merged=sum(len(which) for which in wanted.values()))
        return data

    def _joined(self, data: HeteroData, names: Iterable[str], side: int) -> dict[str, Tensor]:
        """Give the attributes of some edge types one after another; side 0 are the stated edges, 1 the reverse."""
        stores = [data[_both(name)[side]] for name in names if _both(name)[side] in data.edge_types]
        columns = [set(store.keys()) for store in stores]
        for one in columns:
            if one != columns[0]:
                raise InputError(
                    f"the edges of {', '.join(names)} do not all have: {', '.join(sorted(one ^ columns[0]))}",
                    remedy="Merge them before edge features are added",
                )
        return {
            column: torch.cat([store[column] for store in stores], dim=1 if column == "edge_index" else 0)
            for column in sorted(columns[0] if columns else ())
        }

    def __repr__(self) -> str:
        plain = self.merge if isinstance(self.merge, str) else dict(self.merge or {})
        return f"MergeRelations(merge={plain!r})"


@functional_transform("cap_depth")
class CapDepth(BaseTransform):
    """Take all concepts out that are deeper than some depth; their evidence moves up to that depth.

    What a concept has above itself within the depth is as far from the root as the depth allows, so that is where its
    evidence goes, unless the view holds nothing above it.

    Args:
        max_depth: The greatest depth that stays; a root has depth 0.

    Raises:
        InputError: If it is negative.
    """

    def __init__(self, max_depth: int) -> None:
        if not isinstance(max_depth, int) or isinstance(max_depth, bool) or max_depth < 0:
            raise InputError(f"the greatest depth is {max_depth!r}", remedy="Give a whole number from 0 on")
        self.max_depth = max_depth

    def forward(self, data: HeteroData) -> HeteroData:
        """Give the graph without what is deeper.

        Args:
            data: A shallow copy of the graph, which PyG's `__call__` makes.

        Raises:
            InputError: If the graph has no is-a edges.
        """
        keep = data["concept"].depth <= self.max_depth
        return keep_concepts(data, keep, standing_for(data, keep), repr(self))

    def __repr__(self) -> str:
        return f"CapDepth(max_depth={self.max_depth})"


@functional_transform("prune_by_frequency")
class PruneByFrequency(BaseTransform):
    """Take concepts out that too few training samples have; their evidence moves up to one that is frequent.

    A sample has a concept if it has evidence for it, of any polarity, or for what is below it and not denied. Only the
    samples that are given count: what only samples of other splits have is seldom. What is above a frequent concept
    stays. Concepts without any evidence at or below them, such as a finding site, are not judged by
    it; they stay, unless all that is above them goes.

    Args:
        min_samples: How many samples a concept must have to stay.
        samples: The training samples: their `sample_id`, or ranges of them as text, "0-79,95".

    Raises:
        InputError: If min_samples is not positive, or the text names no samples.
    """

    def __init__(self, min_samples: int, samples: Iterable[int] | str) -> None:
        if not isinstance(min_samples, int) or isinstance(min_samples, bool) or min_samples < 1:
            raise InputError(f"min_samples is {min_samples!r}", remedy="Give a whole number from 1 on")
        self.min_samples = min_samples
        self.samples = (
            _read_ranges(samples)
            if isinstance(samples, str)
            else np.unique(np.array(list(samples), dtype=np.int64))
        )

    def forward(self, data: HeteroData) -> HeteroData:
        """Give the graph without what is seldom.

        Args:
            data: A shallow copy of the graph, which PyG's `__call__` makes.

        Raises:
            InputError: If the graph has no is-a edges or a circle of them, or lacks one of the samples.
        """
        lost = np.setdiff1d(self.samples, data["patient"].sample_id.numpy())
        if len(lost):
            raise InputError(
                f"the graph lacks {len(lost)} of the training samples, such as {int(lost[0])}",
                remedy="Give the samples of the cohort and task that the graph was built from",
            )
        any_sample, training = samples_with(data, None), samples_with(data, self.samples)
        judged = any_sample > 0
        frequent = judged & (training >= self.min_samples)
        # What is above one that stays, stays: else a concept that is only denied could be left without a parent.
        above = np.unique(hierarchy(data).closure[frequent.numpy()].indices).astype(np.int64)
        frequent = frequent.index_fill(0, torch.from_numpy(above), True)
        keep = _without_orphans(data, ~judged | frequent, ~judged & ~frequent)
        return keep_concepts(data, keep, standing_for(data, keep), repr(self))

    def __repr__(self) -> str:
        return f"PruneByFrequency(min_samples={self.min_samples}, samples='{_as_ranges(self.samples)}')"


def samples_with(data: HeteroData, samples: Any) -> Int64[Tensor, " concept"]:
    """Count the samples that have evidence for a concept, or for what is below it and is not denied.

    Args:
        data: The graph.
        samples: The sample_ids that count; None for all.

    Raises:
        InputError: If the graph has no is-a edges, or they run in a circle.
    """
    from scipy import sparse

    count, many = int(data["concept"].num_nodes), int(data["patient"].num_nodes)
    node, observation = data[EVIDENCES].edge_index
    patient_of = torch.zeros(int(data["observation"].num_nodes), dtype=torch.int64)
    one, patient = data[OF].edge_index
    patient_of[one] = patient
    columns, rows = node.numpy(), patient_of[observation].numpy()
    goes_up = data[EVIDENCES].polarity.numpy() != ABSENT
    if samples is not None:
        counts = np.isin(data["patient"].sample_id.numpy(), samples)[rows]
        rows, columns, goes_up = rows[counts], columns[counts], goes_up[counts]
    shape = (many, count)

    def having(chosen: Any) -> Any:
        entries = np.ones(int(chosen.sum()), dtype=bool)
        return sparse.csr_array((entries, (rows[chosen], columns[chosen])), shape=shape)

    denied, affirmed, above = having(~goes_up), having(goes_up), hierarchy(data).closure
    found = np.zeros(count, dtype=np.int64)
    for start in range(0, many, _PATIENTS):
        part = slice(start, start + _PATIENTS)
        found += np.bincount((affirmed[part] @ above + denied[part]).tocsr().indices, minlength=count)
    return torch.from_numpy(found)


def _without_orphans(
    data: HeteroData, keep: Bool[Tensor, " concept"], may_go: Bool[Tensor, " concept"]
) -> Bool[Tensor, " concept"]:
    """Take out, too, what is left without any parent that it had."""
    child, parent = is_a_edges(data)
    count = len(keep)
    had = torch.zeros(count, dtype=torch.bool).index_fill_(0, child, True)
    while True:  # one level a round
        has = torch.zeros(count, dtype=torch.bool).index_fill_(0, child[keep[parent]], True)
        orphans = keep & may_go & had & ~has
        if not orphans.any():
            return keep
        keep = keep & ~orphans


def _as_ranges(numbers: Any) -> str:
    """Write ascending numbers as "0-79,95"."""
    breaks = np.flatnonzero(np.diff(numbers) != 1) + 1
    parts = np.split(numbers, breaks) if len(numbers) else []
    return ",".join(f"{p[0]}" if len(p) == 1 else f"{p[0]}-{p[-1]}" for p in parts)


def _read_ranges(text: str) -> Any:
    found: list[Any] = [np.empty(0, dtype=np.int64)]
    for part in filter(None, text.split(",")):
        low, _, high = part.strip().partition("-")
        if not low.isdecimal() or (high and not high.isdecimal()) or int(high or low) < int(low):
            raise InputError(f"'{part}' is no range of samples", remedy="Write them as 0-79,95")
        found.append(np.arange(int(low), int(high or low) + 1))
    return np.unique(np.concatenate(found))
