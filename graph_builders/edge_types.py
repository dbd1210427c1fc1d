"""From the relation types of a slice to the edge types of its graph: one each, merged, or split by their targets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from graph_builders.slicing import Indices, Slice
from graph_builders.view import RELATED, View, type_indices
from ontology.errors import InputError
from ontology.naming import tag_of

if TYPE_CHECKING:
    from ontology import Ontology

#: Stands between a relation and what its targets are: finding_site_to_body_structure.
TO = "_to_"
#: What targets are that have no semantic tag, or lie below no top-level concept.
OTHER = "other"


class EdgeTypes(NamedTuple):
    """Edge types by name, each with the rows of the slice that it holds, and what to tell about them."""

    rows: dict[str, Indices]
    report: dict[str, Any]


def slug(name: str) -> str:
    """Make a name fit for an edge type: "Finding site" -> finding_site; empty where nothing is left of it.

    Args:
        name: Any text.
    """
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def relation_slugs(ontology: Ontology) -> dict[int, str]:
    """Give each relation type a name fit for an edge type ("finding site" -> finding_site), each another one.

    Args:
        ontology: The ontology.
    """
    names: dict[int, str] = {}
    for kind, sctid in enumerate(ontology.relation_types):
        name = slug(ontology.relation_name(int(sctid)))
        if not name or name in names.values() or name.startswith("rev_"):
            name = f"{name or 'relation'}_{int(sctid)}".removeprefix("rev_")
        names[kind] = name
    return names


def edge_types(ontology: Ontology, view: View, part: Slice) -> EdgeTypes:
    """Sort the relations of a slice into edge types.

    Args:
        ontology: The ontology.
        view: What to merge and to split.
        part: The slice.

    Returns:
        The edge types in the order of their relation types, each with at least one row.

    Raises:
        InputError: If a relation is merged and split, or a new name is already another relation's.
    """
    slugs = relation_slugs(ontology)
    merged = _merged(ontology, view, slugs)
    split = _split(ontology, view, merged)
    bounds = np.searchsorted(part.type, np.arange(len(slugs) + 1))
    tops: Indices | None = None
    rows: dict[str, list[Indices]] = {}
    report: dict[str, Any] = {"relation_names": list(slugs.values()), "edge_types": {}}
    for kind, name in slugs.items():
        mine = np.arange(bounds[kind], bounds[kind + 1])
        if not len(mine):
            continue
        if kind not in split:
            rows.setdefault(merged.get(kind, name), []).append(mine)
            continue
        targets, place = np.unique(part.target[mine], return_inverse=True)
        nodes = part.nodes[targets]
        if split[kind] == "tag":
            told = _tags(ontology, nodes)
        else:
            tops = top_level(ontology) if tops is None else tops
            told = _hierarchies(ontology, tops[nodes])
        names, label = np.unique(np.array(told), return_inverse=True)
        for number, what in enumerate(names.tolist()):
            rows.setdefault(f"{name}{TO}{what}", []).append(mine[label[place] == number])
    whole = {name: np.concatenate(lists) for name, lists in rows.items()}
    for name, mine in whole.items():
        kinds, counts = np.unique(part.type[mine], return_counts=True)
        report["edge_types"][name] = {slugs[int(k)]: int(n) for k, n in zip(kinds, counts, strict=True)}
    return EdgeTypes(whole, report)


def _merged(ontology: Ontology, view: View, slugs: dict[int, str]) -> dict[int, str]:
    """Give the new name of each relation type that is merged."""
    if view.merge is None:
        return {}
    if not isinstance(view.merge, Mapping):
        return dict.fromkeys(slugs, RELATED)
    merged = {kind: name for name, which in view.merge.items() for kind in type_indices(ontology, which)}
    for kind, name in slugs.items():
        if name in view.merge and merged.get(kind) != name:
            raise InputError(
                f"relations are merged into '{name}', and '{name}' is another relation",
                remedy="Choose another name, or merge that relation too",
            )
    return merged


def _split(ontology: Ontology, view: View, merged: dict[int, str]) -> dict[int, str]:
    """Give the way in which each relation type is split that is."""
    if view.split is None:
        return {}
    if isinstance(view.split, str):
        return {kind: view.split for kind in range(1, len(ontology.relation_types)) if kind not in merged}
    kinds = type_indices(ontology, view.split)
    for kind, relation in zip(kinds, view.split, strict=True):
        if kind in merged:
            raise InputError(f"'{relation}' is to be merged into '{merged[kind]}' and to be split")
    return dict(zip(kinds, view.split.values(), strict=True))


def _tags(ontology: Ontology, nodes: Indices) -> list[str]:
    return [slug(tag_of(ontology.fsn(int(sctid)))) or OTHER for sctid in ontology.sctids[nodes]]


def _hierarchies(ontology: Ontology, top: Indices) -> list[str]:
    """Name top-level concepts, -1 for none."""
    named = {
        int(one): slug(ontology.term(int(ontology.sctids[one]))) or OTHER
        for one in np.unique(top)
        if one >= 0
    }
    return [named.get(int(one), OTHER) for one in top]


def top_level(ontology: Ontology) -> Indices:
    """Give each concept's top-level concept: what it lies below of the children of the only root, else of the roots.

    Args:
        ontology: The ontology.

    Returns:
        Node indices [N]; of several top-level concepts the one with the smallest SCTID, -1 for the only root.
    """
    roots = np.flatnonzero(np.diff(ontology.parent_links.indptr) == 0)
    tops = roots
    if len(roots) == 1:
        links = ontology.child_links
        tops = np.asarray(links.indices[links.indptr[roots[0]] : links.indptr[roots[0] + 1]])
    none = len(ontology)
    label = np.full(none, none, dtype=np.int64)
    label[tops] = tops
    up = np.asarray(ontology.relations.type) == 0
    child, parent = (
        np.asarray(column)[up] for column in (ontology.relations.source, ontology.relations.target)
    )
    while True:  # a label comes down one level a round
        before = label.copy()
        np.minimum.at(label, child, before[parent])
        if np.array_equal(label, before):
            return np.where(label == none, -1, label)
