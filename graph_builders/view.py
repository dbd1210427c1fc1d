"""Which part of the ontology a cohort's graph holds.

closure: the evidence's concepts E and all their ancestors up(E); the targets T of the attribute relations of
         these (finding site, causative agent, ...); and up(T).
khop:    all concepts at most k undirected hops from E over the chosen relation types.

Blinded concepts are taken out of the ontology before anything is walked, so no path leads through them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import sparse

from ontology.errors import InputError

if TYPE_CHECKING:
    from ontology import Ontology

Indices = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class View:
    """A slice of the ontology around the evidence.

    Args:
        kind: "closure" or "khop".
        hops: How far khop walks.
        relations: Names or SCTIDs of the relation types to keep; None keeps all. A closure always keeps is-a.

    Raises:
        InputError: If the kind is unknown or hops is negative.
    """

    kind: Literal["closure", "khop"] = "closure"
    hops: int = 2
    relations: tuple[str | int, ...] | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("closure", "khop"):
            raise InputError(f"'{self.kind}' is no view", remedy="Known ones: closure, khop")
        if self.hops < 0:
            raise InputError(f"a view cannot reach {self.hops} hops far", remedy="Give hops >= 0")

    def as_dict(self) -> dict[str, Any]:
        """Give the view as plain values."""
        plain = asdict(self)
        return plain if self.kind == "khop" else {key: plain[key] for key in ("kind", "relations")}

    def types(self, ontology: Ontology) -> Indices:
        """Give the chosen relation types as indices into `ontology.relation_types`.

        Args:
            ontology: The ontology.

        Raises:
            InputError: If a relation type is not in the ontology.
        """
        known = [int(sctid) for sctid in ontology.relation_types]
        if self.relations is None:
            return np.arange(len(known))
        names = {ontology.relation_name(sctid): sctid for sctid in known}
        chosen = {known[0]} if self.kind == "closure" and known else set()
        for relation in self.relations:
            sctid = names.get(relation.lower()) if isinstance(relation, str) else relation
            if sctid not in known:
                raise InputError(
                    f"the ontology has no relation type '{relation}'",
                    remedy=f"It has: {', '.join(sorted(names))}",
                )
            chosen.add(sctid)
        return np.flatnonzero(np.isin(known, list(chosen)))


@dataclass(frozen=True, eq=False)
class Slice:
    """The part of an ontology that a view keeps: node indices and the relations among them.

    Args:
        nodes: Indices into `ontology.sctids`, ascending [N].
        source: Position in `nodes` of each relation's source [E].
        target: Position in `nodes` of each relation's target [E].
        type: Index into `ontology.relation_types` [E]. (source, type, target) is unique.
    """

    nodes: Indices
    source: Indices
    target: Indices
    type: Indices


def slice_ontology(ontology: Ontology, seeds: Indices, view: View, hidden: Indices) -> Slice:
    """Cut the slice of an ontology that a view keeps around some concepts.

    Args:
        ontology: The ontology.
        seeds: Indices of the evidence's concepts.
        view: The view.
        hidden: Indices of concepts that must not appear.
    """
    count = len(ontology)
    source, target = (
        np.asarray(a, dtype=np.int64) for a in (ontology.relations.source, ontology.relations.target)
    )
    kind = np.asarray(ontology.relations.type, dtype=np.int64)
    visible = np.ones(count, dtype=bool)
    visible[hidden] = False
    usable = np.isin(kind, view.types(ontology)) & visible[source] & visible[target]
    source, target, kind = source[usable], target[usable], kind[usable]
    start = np.zeros(count, dtype=bool)
    start[seeds] = True
    start &= visible
    if view.kind == "khop":
        inside = _reach(_csr(np.r_[source, target], np.r_[target, source], count), start, view.hops)
    else:
        is_a = kind == 0
        up = _csr(source[is_a], target[is_a], count)
        inside = _reach(up, start)
        attribute = ~is_a & inside[source]
        targets = np.zeros(count, dtype=bool)
        targets[target[attribute]] = True
        inside |= _reach(up, targets)
    nodes = np.flatnonzero(inside)
    both = inside[source] & inside[target]
    edges = np.unique(np.stack([kind[both], source[both], target[both]]), axis=1)
    return Slice(nodes, np.searchsorted(nodes, edges[1]), np.searchsorted(nodes, edges[2]), edges[0])


def _csr(source: Indices, target: Indices, count: int) -> sparse.csr_array:
    return sparse.csr_array((np.ones(len(source), dtype=np.int32), (source, target)), shape=(count, count))


def _reach(
    step: sparse.csr_array, start: np.ndarray[Any, np.dtype[np.bool_]], hops: int | None = None
) -> Any:
    """Give the mask of nodes that are at most `hops` steps (None: any number) from the start."""
    inside, frontier, walked = start.copy(), start, 0
    back = step.T.tocsr()
    while frontier.any() and (hops is None or walked < hops):
        frontier = (back @ frontier.astype(np.int32) > 0) & ~inside
        inside |= frontier
        walked += 1
    return inside
