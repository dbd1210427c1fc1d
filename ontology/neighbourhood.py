"""A concept and what stands next to it: what `ontology.outline` writes and `ontology.drawing` draws.

Inactive concepts have a neighbourhood too: their terms, why they were retired, and where their history leads. Lists
that may be long (at full size 25,000 attributes lead to one concept) hold as many as were asked for, and how many there
are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ontology import closure as _closure
from ontology import codes as _codes
from ontology import identifiers as ids
from ontology.closure import Adjacency, gather
from ontology.few import Few
from ontology.naming import tag_of, untagged

if TYPE_CHECKING:
    from ontology.model import Ontology


class Name(NamedTuple):
    """What a concept is called; `active` is None for one that the ontology does not hold."""

    sctid: int
    identifier: str
    term: str
    fsn: str
    active: bool | None

    def as_dict(self) -> dict[str, Any]:
        """Give plain values, ready for JSON."""
        code = {"code": self.identifier} if self.sctid >= _codes.FIRST else {}
        return {"sctid": self.sctid, **code, "term": self.term}


_NONE: Few[Any] = Few()


class Term(NamedTuple):
    """A description; `dialects` says for each language reference set whether it is preferred there, else acceptable."""

    term: str
    kind: str
    preferred: bool
    language: str
    case_significance: str
    id: int
    dialects: dict[str, bool]


class Parent(NamedTuple):
    """A concept one step above, and those on a shortest way from a root down to it."""

    name: Name
    lineage: tuple[Name, ...]


class Child(NamedTuple):
    """A concept one step below, and how many lie below that."""

    name: Name
    descendants: int


class Attribute(NamedTuple):
    """A relation to a concept, or a concrete value: `target` is None there, and `value` as RF2 writes it."""

    group: int
    relation: str
    target: Name | None
    value: str

    @property
    def shown(self) -> str:
        """The concrete value as a person reads it: a number without its #."""
        return self.value.removeprefix("#")


class Link(NamedTuple):
    """A relation or historical association, and the concept at its other end."""

    relation: str
    name: Name


class End(NamedTuple):
    """An active concept that an inactive one leads to, how, how surely, and over which concepts."""

    name: Name
    kind: str
    confidence: float
    path: tuple[Name, ...]


@dataclass(frozen=True)
class Neighbourhood:
    """A concept and what stands next to it.

    Attributes:
        concept: The concept.
        fully_defined: Whether its relations define it fully.
        module: Its module; None where none is known.
        effective_time: YYYYMMDD, 0 where it is not known.
        layer: The layer that it comes from; empty for inactive concepts.
        reason: Why it was retired; None for active concepts, and where no reason is given.
        depth: Shortest distance from a root; None for inactive concepts.
        ancestors: How many concepts lie above.
        descendants: How many lie below.
        terms: All its descriptions, the FSN first.
        parents: By SCTID.
        children: Those with most below them first, then by term.
        attributes: Relations and concrete values by role group; group 0 is ungrouped.
        inbound: Relations of others to it, by type and SCTID; of many, some of each type.
        inbound_counts: How many of each type there are.
        maps: Rows of maps, as in `Ontology.maps`.
        history: Historical associations of an inactive concept.
        former: Historical associations of inactive concepts that lead to it.
        outcome: What `Ontology.normalise` says became of an inactive concept; empty for active ones.
        ends: The active concepts that it leads to, the surest first.
    """

    concept: Name
    fully_defined: bool
    module: Name | None = None
    effective_time: int = 0
    layer: str = ""
    reason: Name | None = None
    depth: int | None = None
    ancestors: int = 0
    descendants: int = 0
    terms: tuple[Term, ...] = ()
    parents: Few[Parent] = _NONE
    children: Few[Child] = _NONE
    attributes: Few[Attribute] = _NONE
    inbound: Few[Link] = _NONE
    inbound_counts: dict[str, int] | None = None
    maps: Few[dict[str, Any]] = _NONE
    history: Few[Link] = _NONE
    former: Few[Link] = _NONE
    outcome: str = ""
    ends: Few[End] = _NONE

    @property
    def synonyms(self) -> list[str]:
        """The synonyms, the preferred term first."""
        return [term.term for term in self.terms if term.kind == "synonym"]

    def as_dict(self) -> dict[str, Any]:
        """Give plain values, ready for JSON; `totals` says how long each list is that a limit may have cut."""
        relations = [
            {"relation": a.relation, "target": a.target.sctid, "term": a.target.term, "group": a.group}
            for a in self.attributes.shown if a.target
        ]  # fmt: skip
        return {
            **self.concept.as_dict(),
            "fsn": self.concept.fsn,
            "active": bool(self.concept.active),
            "semantic_tag": tag_of(self.concept.fsn),
            "synonyms": self.synonyms,
            "fully_defined": self.fully_defined,
            "module": self.module.as_dict() if self.module else None,
            "effective_time": self.effective_time or None,
            "layer": self.layer or None,
            "reason": self.reason.as_dict() if self.reason else None,
            "depth": self.depth,
            "ancestors": self.ancestors,
            "descendants": self.descendants,
            "terms": [term._asdict() for term in self.terms],
            "parents": [
                {**p.name.as_dict(), "lineage": [name.as_dict() for name in p.lineage]}
                for p in self.parents.shown
            ],
            "children": [{**c.name.as_dict(), "descendants": c.descendants} for c in self.children.shown],
            "relations": relations,
            "values": [
                {"relation": a.relation, "value": a.value, "group": a.group}
                for a in self.attributes.shown if not a.target
            ],
            "relations_to_it": [
                {"relation": link.relation, "source": link.name.sctid, "term": link.name.term}
                for link in self.inbound.shown
            ],
            "maps": [
                {**row, "confidence": None if math.isnan(row["confidence"]) else row["confidence"]}
                for row in self.maps.shown
            ],
            "history": [_as_link(link) for link in self.history.shown],
            "inactive_before": [_as_link(link) for link in self.former.shown],
            "outcome": self.outcome or None,
            "leads_to": [
                {**end.name.as_dict(), "kind": end.kind, "confidence": end.confidence,
                 "path": [name.as_dict() for name in end.path]}
                for end in self.ends.shown
            ],
            "totals": {
                "parents": self.parents.total, "children": self.children.total,
                "attributes": self.attributes.total, "relations_to_it": self.inbound.total,
                "relations_to_it_by_type": self.inbound_counts or {}, "maps": self.maps.total,
                "history": self.history.total, "inactive_before": self.former.total,
                "leads_to": self.ends.total,
            },
        }  # fmt: skip


def _as_link(link: Link) -> dict[str, Any]:
    return {"association": link.relation, **link.name.as_dict(), "active": link.name.active}


def neighbourhood(ontology: Ontology, concept: int | str, limit: int | None = None) -> Neighbourhood:
    """Give what stands next to a concept, which may be inactive.

    Args:
        ontology: The ontology.
        concept: Its SCTID or key, or any spelling of its identifier.
        limit: How many there are at most in each list; None gives all.

    Raises:
        ConceptNotFound: If the ontology holds no such concept, active or inactive.
    """
    sctid = _codes.key(concept) if isinstance(concept, str) else int(concept)
    retired = _slice(ontology.inactive, "sctid", sctid)
    if retired.height:
        return _inactive(ontology, retired.row(0, named=True), limit)
    return _active(ontology, ontology.index(concept), limit)


def name_of(ontology: Ontology, sctid: int) -> Name:
    """Give what any concept is called, be it active, inactive or unknown.

    Args:
        ontology: The ontology.
        sctid: Its SCTID or key.
    """
    identifier = ontology.identifier(sctid)
    if sctid in ontology:
        return Name(sctid, identifier, ontology.term(sctid), ontology.fsn(sctid), True)
    rows = _slice(ontology.inactive_terms, "sctid", sctid)
    kinds, terms = rows["kind"].to_list(), rows["term"].to_list()
    inactive = _slice(ontology.inactive, "sctid", sctid).height > 0
    known = ids.REASONS.get(sctid, identifier)
    fsn = terms[kinds.index("fsn")] if "fsn" in kinds else terms[0] if terms else known
    term = terms[kinds.index("synonym")] if "synonym" in kinds else untagged(fsn)
    return Name(sctid, identifier, term, fsn, False if inactive else None)


def _slice(frame: pl.DataFrame, column: str, key: int) -> pl.DataFrame:
    """Give the rows of a key in a frame that is ordered by it, without making one array of the whole column."""
    start, end = (int(frame[column].search_sorted(key, side=side)) for side in ("left", "right"))
    return frame.slice(start, end - start)


def _terms(ontology: Ontology, rows: pl.DataFrame) -> tuple[Term, ...]:
    names = {refset: name for name, refset in ids.DIALECTS.items()}
    found = []
    columns = ("term", "kind", "preferred", "language", "case_significance", "id")
    for row in rows.select(columns).iter_rows():
        accepted = _slice(ontology.dialects, "id", row[-1]) if row[-1] else ontology.dialects.clear()
        dialects = {
            names.get(refset) or name_of(ontology, refset).term: bool(preferred)
            for refset, preferred in accepted.select("refset", "preferred").iter_rows()
        }
        term, kind, preferred, language, case_significance, identity = row
        found.append(Term(term, kind, preferred, language, case_significance, identity, dialects))
    return tuple(found)


def _inactive(ontology: Ontology, row: dict[str, Any], limit: int | None) -> Neighbourhood:
    sctid = int(row["sctid"])
    resolved = ontology.normalise(ontology.identifier(sctid))
    ends = tuple(
        End(name_of(ontology, t.sctid), t.kind, t.confidence, tuple(name_of(ontology, s) for s in t.path))
        for t in resolved.targets[:limit]
    )
    return Neighbourhood(
        concept=name_of(ontology, sctid),
        fully_defined=bool(row["defined"]),
        module=name_of(ontology, row["module"]) if row["module"] else None,
        effective_time=row["effective_time"],
        reason=name_of(ontology, row["reason"]) if row["reason"] else None,
        terms=_terms(ontology, _slice(ontology.inactive_terms, "sctid", sctid)),
        history=_links(ontology, _slice(ontology.history, "source", sctid), "target", limit),
        former=_former(ontology, sctid, limit),
        outcome=resolved.status,
        ends=Few(ends, len(resolved.targets)),
    )


def _links(ontology: Ontology, rows: pl.DataFrame, end: str, limit: int | None) -> Few[Link]:
    few = rows if limit is None else rows.head(limit)
    return Few(
        tuple(
            Link(ids.ASSOCIATIONS.get(refset) or name_of(ontology, refset).term, name_of(ontology, other))
            for refset, other in few.select("refset", end).iter_rows()
        ),
        rows.height,
    )


def _former(ontology: Ontology, sctid: int, limit: int | None) -> Few[Link]:
    return _links(ontology, ontology.history.filter(pl.col("target") == sctid), "source", limit)


def _active(ontology: Ontology, node: int, limit: int | None) -> Neighbourhood:
    sctid = int(ontology.sctids[node])
    details = ontology.details.row(node, named=True) if ontology.details.height else {}
    below = _closure.reachable(ontology.child_links, node)
    layer = int(details.get("layer", 0))
    maps = _slice(ontology.maps, "concept", node).drop("concept")
    inbound, counts = _inbound(ontology, node, limit)
    parents = [int(p) for p in ontology.parents(sctid)]
    return Neighbourhood(
        concept=name_of(ontology, sctid),
        fully_defined=bool(ontology.defined[node]),
        module=name_of(ontology, details["module"]) if details.get("module") else None,
        effective_time=details.get("effective_time", 0),
        layer=str(ontology.layers[layer]["name"]) if layer < len(ontology.layers) else "",
        depth=int(ontology.depth[node]),
        ancestors=len(_closure.reachable(ontology.parent_links, node)) - 1,
        descendants=len(below) - 1,
        terms=_terms(ontology, ontology._terms_of(sctid)),
        parents=Few(tuple(_parent(ontology, p) for p in parents[:limit]), len(parents)),
        children=_children(ontology, node, below, limit),
        attributes=_attributes(ontology, node, limit),
        inbound=inbound,
        inbound_counts=counts,
        maps=Few(tuple((maps if limit is None else maps.head(limit)).to_dicts()), maps.height),
        former=_former(ontology, sctid, limit),
    )


def _parent(ontology: Ontology, sctid: int) -> Parent:
    links, depth = ontology.parent_links, ontology.depth
    node, lineage = ontology.index(sctid), []
    while depth[node]:
        above = links.indices[links.indptr[node] : links.indptr[node + 1]]
        node = int(above[np.argmin(depth[above])])  # the first of the nearest to a root
        lineage.append(name_of(ontology, int(ontology.sctids[node])))
    return Parent(name_of(ontology, sctid), tuple(lineage[::-1]))


def _children(ontology: Ontology, node: int, below: NDArray[Any], limit: int | None) -> Few[Child]:
    links = ontology.child_links
    kids = links.indices[links.indptr[node] : links.indptr[node + 1]]
    if not len(kids):
        return Few()
    above = ontology.closure.indices
    # of a small subtree its own rows are enough: all that lies below a child lies in it
    if len(below) < len(ontology) // 8:
        above, _ = gather(Adjacency(ontology.closure.indptr, above), below)
    counts = np.bincount(above, minlength=len(ontology))[kids] - 1
    starts = ontology._term_starts[kids]
    named = ontology._term_starts[kids.astype(np.int64) + 1] > starts
    first = pl.Series([""] * len(kids), dtype=pl.String)
    if named.any():
        terms = ontology.terms["term"].gather(starts[named]).str.to_lowercase()
        first = first.scatter(np.flatnonzero(named), terms)
    order = pl.DataFrame({"count": -counts, "term": first, "kid": kids}).sort("count", "term", "kid")["kid"]
    chosen = order if limit is None else order.head(limit)
    below_of = dict(zip(kids.tolist(), counts.tolist(), strict=True))
    return Few(
        tuple(Child(name_of(ontology, int(ontology.sctids[kid])), below_of[kid]) for kid in chosen),
        len(kids),
    )


def _attributes(ontology: Ontology, node: int, limit: int | None) -> Few[Attribute]:
    columns = ontology.relations
    start, end = np.searchsorted(columns.source, [node, node + 1])
    rows = [i for i in range(int(start), int(end)) if columns.type[i]]  # is-a is the first type
    found: list[tuple[int, str, int, str]] = [
        (int(columns.group[i]), _type_name(ontology, int(ontology.relation_types[columns.type[i]])),
         int(ontology.sctids[columns.target[i]]), "")
        for i in rows
    ]  # fmt: skip
    values = _slice(ontology.values, "concept", node).select("group", "type", "value")
    found += [(group, _type_name(ontology, kind), 0, value) for group, kind, value in values.iter_rows()]
    # ungrouped ones come last, as what stands in groups belongs together
    found.sort(key=lambda row: (row[0] == 0, row[0]))
    few = [
        Attribute(group, relation, name_of(ontology, target) if target else None, value)
        for group, relation, target, value in (found if limit is None else found[:limit])
    ]
    return Few(tuple(few), len(found))


def _type_name(ontology: Ontology, kind: int) -> str:
    if kind in ontology.relation_types:
        return ontology.relation_name(kind)
    name = name_of(ontology, kind)  # only concrete values have this type
    return name.term.lower() if name.active is not None else ids.NAMES.get(kind, name.term)


def _inbound(ontology: Ontology, node: int, limit: int | None) -> tuple[Few[Link], dict[str, int]]:
    columns = ontology.relations
    rows = np.flatnonzero(columns.target == node)
    rows = rows[columns.type[rows] != 0]
    rows = rows[np.lexsort((columns.source[rows], columns.type[rows]))]
    if limit is not None and len(rows) > limit:  # some of each type, not all of the first
        _, starts, sizes = np.unique(columns.type[rows], return_index=True, return_counts=True)
        place = np.arange(len(rows)) - np.repeat(starts, sizes)
        few = np.sort(np.argsort(place, kind="stable")[:limit])
    else:
        few = np.arange(len(rows))
    counts: dict[str, int] = {}
    for kind, number in zip(*np.unique(columns.type[rows], return_counts=True), strict=True):
        name = ontology.relation_name(int(ontology.relation_types[kind]))
        counts[name] = counts.get(name, 0) + int(number)
    links = tuple(
        Link(
            ontology.relation_name(int(ontology.relation_types[columns.type[i]])),
            name_of(ontology, int(ontology.sctids[columns.source[i]])),
        )
        for i in rows[few].tolist()
    )
    return Few(links, len(rows)), counts
