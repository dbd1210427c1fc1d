"""Cutting the slice of an ontology that a view keeps, and saying what was left out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from graph_builders.view import View

if TYPE_CHECKING:
    from ontology import Ontology

Indices = np.ndarray[Any, np.dtype[np.int64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, eq=False)
class Slice:
    """The part of an ontology that a view keeps: node indices and the relations among them.

    Args:
        nodes: Indices into `ontology.sctids`, ascending [N].
        source: Position in `nodes` of each relation's source [E].
        target: Position in `nodes` of each relation's target [E].
        type: Index into `ontology.relation_types` [E].
        group: Role group [E]; 0 throughout where the view keeps none. (source, type, target, group) is unique, and
            rows are in the order of type, source, target, group.
        report: How many concepts and relations are in the ontology and in the slice, and why not the others.
    """

    nodes: Indices
    source: Indices
    target: Indices
    type: Indices
    group: Indices
    report: dict[str, Any] = field(default_factory=dict)


def slice_ontology(ontology: Ontology, seeds: Indices, view: View, hidden: Indices) -> Slice:
    """Cut the slice of an ontology that a view keeps around some concepts.

    Args:
        ontology: The ontology.
        seeds: Indices of the evidence's concepts.
        view: The view.
        hidden: Indices of concepts that must not appear.
    """
    count = len(ontology)
    relations = ontology.relations
    source, target = (np.asarray(a, dtype=np.int64) for a in (relations.source, relations.target))
    kind, group = (np.asarray(a, dtype=np.int64) for a in (relations.type, relations.group))
    visible = np.ones(count, dtype=bool)
    visible[hidden] = False
    chosen = np.isin(kind, view.types(ontology))
    usable = chosen & visible[source] & visible[target]
    start = np.zeros(count, dtype=bool)
    start[seeds] = True
    start &= visible
    inside = _inside(view, source[usable], target[usable], kind[usable] == 0, start, visible)
    nodes = np.flatnonzero(inside)
    rows = np.flatnonzero(usable & inside[source] & inside[target])
    columns = [kind[rows], source[rows], target[rows], group[rows] if view.groups else np.zeros_like(rows)]
    order = np.lexsort(columns[::-1])
    columns = [column[order] for column in columns]
    first = np.ones(len(order), dtype=bool)
    if len(order):
        first[1:] = np.any([np.diff(column) != 0 for column in columns], axis=0)
    kind_, source_, target_, group_ = (column[first] for column in columns)
    report = {
        "concepts": {
            "ontology": count,
            "kept": len(nodes),
            "blinded": int((~visible).sum()),
            "left_out": int((visible & ~inside).sum()),
        },
        "relations": {
            "ontology": len(kind),
            "kept": len(kind_),
            "not_chosen": int((~chosen).sum()),
            "at_a_blinded_concept": int((chosen & ~usable).sum()),
            "at_a_concept_left_out": int(usable.sum()) - len(rows),
            "repeated": len(rows) - len(kind_),
        },
    }
    return Slice(
        nodes, np.searchsorted(nodes, source_), np.searchsorted(nodes, target_), kind_, group_, report
    )


def _inside(view: View, source: Indices, target: Indices, is_a: Mask, start: Mask, visible: Mask) -> Any:
    """Give the mask of concepts that a view keeps."""
    count = len(start)
    if view.kind == "whole":
        return visible
    if view.kind == "khop":
        return reach(_csr(np.r_[source, target], np.r_[target, source], count), start, view.hops)
    if view.kind == "reachable":
        forth, back = _csr(source, target, count), _csr(target, source, count)
        if view.inverse:
            return reach(sparse.csr_array(forth + back), start, view.layers)
        return reach(forth, start, view.layers) | reach(back, start, view.layers)
    up = _csr(source[is_a], target[is_a], count)
    inside = reach(up, start)
    targets = np.zeros(count, dtype=bool)
    targets[target[~is_a & inside[source]]] = True
    return inside | reach(up, targets)


def _csr(source: Indices, target: Indices, count: int) -> sparse.csr_array:
    return sparse.csr_array((np.ones(len(source), dtype=np.int32), (source, target)), shape=(count, count))


def reach(step: sparse.csr_array, start: Mask, hops: int | None = None) -> Any:
    """Give the mask of nodes that are at most some steps from the start.

    Args:
        step: Steps from row to column [N, N].
        start: Where to start [N].
        hops: Number of steps; None for any.
    """
    inside, frontier, walked = start.copy(), start, 0
    back = step.T.tocsr()
    while frontier.any() and (hops is None or walked < hops):
        frontier = (back @ frontier.astype(np.int32) > 0) & ~inside
        inside |= frontier
        walked += 1
    return inside
