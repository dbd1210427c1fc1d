r"""A batch's part of a large concept graph, cut out of its rows of arriving edges.

From the concepts of a batch one walks against the messages, `hops` steps: after L rounds of messages over the part
their states are those of the whole graph. Where a concept has more than `fan_out` arriving edges of a relation, that
many are drawn without replacement, each in proportion to the importance of where it comes from (Efraimidis, Spirakis,
2006, Weighted random sampling with a reservoir, by exponential keys); a mean over them is then no longer that over all,
but one that leans to what is important. What is drawn for a concept depends on the seed and on nothing else in the
batch.

PyG's own loaders cut such parts by pyg-lib, which PyPI does not have.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from graph_builders.concept_graph import ConceptGraph
from graph_builders.csr import ConceptCSR, Ints, as_tensor
from ontology.errors import InputError

Floats = np.ndarray[Any, np.dtype[np.floating[Any]]]


class Part(NamedTuple):
    """A part of a concept graph.

    Attributes:
        graph: The part, its concepts numbered anew, with their attributes and those of their edges.
        nodes: The number that each concept of the part has in the whole graph, ascending [n].
    """

    graph: ConceptGraph
    nodes: Int64[Tensor, " part"]

    def locate(self, concept: Int64[Tensor, "*places"]) -> Int64[Tensor, "*places"]:
        """Give the numbers that concepts of the whole graph have in the part; -1 stays -1.

        Args:
            concept: Concepts that are in the part, or -1.
        """
        nodes = self.nodes.to(concept.device)
        return torch.where(concept >= 0, torch.searchsorted(nodes, concept.clamp(min=0)), -1)


def cut(
    csr: ConceptCSR,
    concepts: Int64[Tensor, "*places"] | Ints,
    hops: int,
    relations: Iterable[str] | None = None,
    fan_out: int | None = None,
    importance: Floats | None = None,
    seed: int = 0,
) -> Part:
    """Cut out what messages to some concepts come from.

    Args:
        csr: The rows of the whole graph.
        concepts: Concepts of a batch, in any shape; -1 is none.
        hops: How many rounds of messages the part must do for.
        relations: The relations that are walked; all by default. `csr.without_reverse` gives those that lead up.
        fan_out: At most so many edges for each concept and relation; all by default.
        importance: How likely an edge from each concept is drawn, in proportion; equal by default. Above 0 [N].
        seed: Of the drawing.

    Returns:
        The part: the concepts and all that was walked to, and the edges that were walked.

    Raises:
        InputError: If hops or fan_out make no sense, a relation is unknown, or an importance is not above 0.
    """
    kinds = _chosen(csr, relations)
    if hops < 0 or (fan_out is not None and fan_out < 1):
        raise InputError(
            f"no part can be cut with hops={hops} and fan_out={fan_out}",
            remedy="Give hops >= 0, fan_out >= 1",
        )
    if importance is not None and (len(importance) != csr.num_nodes or not (importance > 0).all()):
        raise InputError("importance must be a number above 0 for every concept")
    flat = (
        concepts.reshape(-1).cpu().numpy() if isinstance(concepts, Tensor) else np.asarray(concepts).ravel()
    )
    frontier = np.unique(flat[flat >= 0]).astype(np.int64)
    if len(frontier) and frontier[-1] >= csr.num_nodes:
        raise InputError(f"there is no concept {frontier[-1]} among the {csr.num_nodes} of the graph")
    seen = np.zeros(csr.num_nodes, dtype=bool)
    seen[frontier] = True
    walked: list[tuple[Ints, Ints]] = []
    for _ in range(hops):
        target, place = _arriving(csr, frontier, kinds)
        if fan_out is not None:
            target, place = _drawn(csr, target, place, fan_out, importance, seed)
        walked.append((target, place))
        source = csr.source[place]
        frontier = np.unique(source[~seen[source]]).astype(np.int64)
        seen[frontier] = True
        if not len(frontier):
            break
    return _part(csr, np.flatnonzero(seen), walked)


def _chosen(csr: ConceptCSR, relations: Iterable[str] | None) -> Ints:
    if relations is None:
        return np.arange(len(csr.relations))
    wanted = list(dict.fromkeys(relations))
    strange = [name for name in wanted if name not in csr.relations and name not in csr.graph.edge_index]
    if strange:
        raise InputError(
            f"the graph has no relation '{strange[0]}'", remedy=f"It has: {', '.join(csr.relations)}"
        )
    return np.array(sorted(csr.relations.index(n) for n in wanted if n in csr.relations), dtype=np.int64)


def _arriving(csr: ConceptCSR, nodes: Ints, kinds: Ints) -> tuple[Ints, Ints]:
    """Give the concept and the place in the arrays of every edge of these relations that ends in one of the nodes."""
    targets, places = [], []
    for stretch in np.split(kinds, np.flatnonzero(np.diff(kinds) > 1) + 1):
        if not len(stretch):
            continue
        row = nodes * len(csr.relations)
        first = csr.start[row + stretch[0]]
        count = csr.start[row + stretch[-1] + 1] - first
        ends = np.cumsum(count)
        total = int(ends[-1]) if len(ends) else 0
        places.append(np.arange(total) - np.repeat(ends - count - first, count))
        targets.append(np.repeat(nodes, count))
    if not places:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    return np.concatenate(targets), np.concatenate(places)


def _drawn(
    csr: ConceptCSR,
    target: Ints,
    place: Ints,
    fan_out: int,
    importance: Floats | None,
    seed: int,
) -> tuple[Ints, Ints]:
    """Keep at most `fan_out` edges for each concept and relation."""
    order = np.argsort(place, kind="stable")  # the arrays are in the order of concept and relation
    target, place = target[order], place[order]
    row = target * len(csr.relations) + csr.kind[place]
    first = np.flatnonzero(np.r_[True, row[1:] != row[:-1]]) if len(row) else np.empty(0, np.int64)
    count = np.diff(np.r_[first, len(row)])
    crowded = np.repeat(count > fan_out, count)
    if not crowded.any():
        return target, place
    key = -np.log(_uniform(place[crowded], seed))
    if importance is not None:
        key /= importance[csr.source[place[crowded]]]
    rows, places = row[crowded], place[crowded]
    order = np.lexsort((key, rows))
    rows, places = rows[order], places[order]
    start = np.flatnonzero(np.r_[True, rows[1:] != rows[:-1]])
    rank = np.arange(len(rows)) - np.repeat(start, np.diff(np.r_[start, len(rows)]))
    kept = rank < fan_out
    return np.r_[row[~crowded], rows[kept]] // len(csr.relations), np.r_[place[~crowded], places[kept]]


def _uniform(place: Ints, seed: int) -> Floats:
    """Give each place a number in (0, 1) that depends on it and the seed alone (SplitMix64: Steele et al., 2014)."""
    with np.errstate(over="ignore"):
        mixed = place.astype(np.uint64) + np.uint64(seed % 2**63) * np.uint64(0x9E3779B97F4A7C15)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        mixed ^= mixed >> np.uint64(31)
    return ((mixed >> np.uint64(11)).astype(np.float64) + 0.5) / 2**53


def _part(csr: ConceptCSR, nodes: Ints, walked: list[tuple[Ints, Ints]]) -> Part:
    kinds = len(csr.relations)
    target = np.concatenate([np.empty(0, np.int64), *(t for t, _ in walked)])
    place = np.concatenate([np.empty(0, np.int64), *(p for _, p in walked)])
    kind = csr.kind[place]
    number = np.full(csr.num_nodes, -1, dtype=np.int64)
    number[nodes] = np.arange(len(nodes))
    source, target = number[csr.source[place]], number[target]
    order = np.argsort(kind, kind="stable")
    bounds = np.searchsorted(kind[order], np.arange(kinds + 1))
    edges: dict[str, Tensor] = {}
    attributes: dict[str, dict[str, Tensor]] = {}
    for position, name in enumerate(csr.relations):
        mine = order[bounds[position] : bounds[position + 1]]
        edges[name] = as_tensor(np.stack([source[mine], target[mine]]))
        at = as_tensor(csr.edge[place[mine]])
        attributes[name] = {k: v[at] for k, v in csr.graph.edge.get(name, {}).items()}
    index = as_tensor(nodes)
    node = {name: value[index] for name, value in csr.graph.node.items()}
    return Part(ConceptGraph(len(nodes), edges, csr.graph.modalities, node, attributes), index)
