"""Taking concepts out of a graph, and moving their evidence to what stands for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor
from torch_geometric.data import HeteroData

from graph_builders.build import EVIDENCES
from graph_builders.features import is_a_edges
from ontology.recognise import POLARITIES

ABSENT = POLARITIES.index("absent")


def note(data: HeteroData, edit: str, **counts: int) -> None:
    """Write down what an edit did, in `data.edits`.

    Args:
        data: The graph, changed in place.
        edit: The edit.
        **counts: What is counted.
    """
    data.edits = [*(data.edits if "edits" in data else ()), {"edit": edit, **counts}]


def standing_for(data: HeteroData, keep: Bool[Tensor, " concept"]) -> Int64[Tensor, " concept"]:
    """Find for each concept the nearest one above that stays: itself where it does.

    Args:
        data: The graph.
        keep: Which concepts stay.

    Returns:
        Its node [N], -1 where nothing above stays. Of several in as few is-a steps the deepest, of those the one
        with the smallest SCTID.

    Raises:
        InputError: If the graph has no is-a edges.
    """
    count = len(keep)
    if not count or bool(keep.all()):
        return torch.arange(count)
    stays = keep.numpy()
    child, parent = is_a_edges(data).numpy()
    order = np.lexsort((data["concept"].sctid.numpy(), -data["concept"].depth.numpy()))
    rank = np.empty(count, dtype=np.int64)
    rank[order] = np.arange(count)
    best = np.where(stays, rank, count)
    while True:  # what was found k steps above is found k + 1 steps above the children: one step a round
        open_ = (best[child] == count) & (best[parent] < count)
        if not open_.any():
            break
        found = best.copy()
        np.minimum.at(found, child[open_], best[parent[open_]])
        best = found
    return torch.from_numpy(np.where(best < count, order[np.minimum(best, count - 1)], -1))


def keep_concepts(
    data: HeteroData, keep: Bool[Tensor, " concept"], instead: Int64[Tensor, " concept"], edit: str
) -> HeteroData:
    """Take concepts out, and move their evidence.

    Args:
        data: The graph, changed in place; its tensors are not.
        keep: Which concepts stay.
        instead: The node that a concept's evidence goes to, -1 to drop it; see `standing_for`.
        edit: What to call it in the record.
    """
    sctid, count = data["concept"].sctid, len(keep)
    place = torch.full((count,), -1)
    place[keep] = torch.arange(int(keep.sum()))
    lost = 0
    for kind in [kind for kind in data.edge_types if kind[0] == kind[2] == "concept"]:
        store = data[kind]
        inside = keep[store.edge_index].all(0)
        if not kind[1].startswith("rev_"):
            lost += int((~inside).sum())
        for name, value in list(store.items()):
            store[name] = place[value[:, inside]] if name == "edge_index" else value[inside]
    forward, backward = data[EVIDENCES], data[EVIDENCES[2], f"rev_{EVIDENCES[1]}", EVIDENCES[0]]
    node, observation = forward.edge_index
    denied = forward.polarity == ABSENT
    moved = torch.where(denied & ~keep[node], -1, instead[node])
    counted = {
        "concepts_removed": int((~keep).sum()),
        "concepts_with_evidence_removed": int((~keep[node.unique()]).sum()),
        "relations_dropped": lost,
        "evidence_edges_lifted": int(((moved >= 0) & (moved != node)).sum()),
        "evidence_edges_dropped": int(((moved < 0) & ~denied).sum()),
        "denied_evidence_edges_dropped": int(((moved < 0) & denied).sum()),
    }
    stays = moved >= 0
    # Groups of the same concept, observation and polarity, heaviest first, in the order that `link_evidence` has.
    new = sctid[moved[stays]].numpy()
    columns = (
        -forward.weight[stays].numpy(),
        forward.polarity[stays].numpy(),
        new,
        observation[stays].numpy(),
    )
    order = np.lexsort(columns)
    keys = np.stack([column[order] for column in columns[1:]])
    first = np.ones(len(order), dtype=bool)
    first[1:] = (np.diff(keys, axis=1) != 0).any(0)
    rows = torch.from_numpy(np.flatnonzero(stays.numpy())[order[first]])
    counted["evidence_edges_merged"] = int(stays.sum()) - len(rows)
    ends = torch.stack([place[moved[rows]], observation[rows]])
    for store, index in ((forward, ends), (backward, ends.flip(0).contiguous())):
        values = {name: value[rows] for name, value in store.items() if name != "edge_index"}
        for name, value in {"edge_index": index, **values}.items():
            store[name] = value
    _remember(data, sctid, instead, node.unique())
    for name, value in list(data["concept"].items()):
        if isinstance(value, Tensor) and len(value) == count:
            data["concept"][name] = value[keep]
    data["concept"].num_nodes = int(keep.sum())
    note(data, edit, **counted)
    return data


def _remember(data: HeteroData, sctid: Tensor, instead: Tensor, seen: Tensor) -> None:
    """Add to `data.lifted` [2, K] which SCTID's evidence went to which, after all edits so far."""
    to: dict[int, int] = {
        int(sctid[node]): int(sctid[instead[node]])
        for node in seen[(instead[seen] >= 0) & (instead[seen] != seen)].tolist()
    }
    before: dict[int, int] = dict(data.lifted.t().tolist()) if "lifted" in data else {}
    whole: dict[int, int] = {old: to.get(new, new) for old, new in before.items()} | to
    pairs: Any = sorted(whole.items())
    data.lifted = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).t().contiguous()
