"""Is-a: every relationship that lies on a circle, and every concept without a parent that is not the root."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from ontology import closure
from ontology.identifiers import EXISTENTIAL, IS_A, STATED
from ontology.validation.findings import FILE, LINE, Findings
from ontology.validation.references import Known

ROOT = 138875005
_SHOWN = 8


def edges_of(rows: pl.DataFrame) -> pl.DataFrame:
    """Take the is-a relationships that a loader would use out of relationships.

    Args:
        rows: The latest row of each relationship.

    Returns:
        source, target, stated, `FILE`, `LINE`.
    """
    used = (pl.col("active") == 1) & (pl.col("typeId") == IS_A) & (pl.col("modifierId") == EXISTENTIAL)
    return rows.filter(used).select(
        FILE, LINE, source="sourceId", target="destinationId",
        stated=(pl.col("characteristicTypeId") == STATED).fill_null(False),
    )  # fmt: skip


def check_hierarchy(edges: pl.DataFrame, concepts: pl.DataFrame, known: Known, findings: Findings) -> None:
    """Check is-a.

    Args:
        edges: As `edges_of` gave them.
        concepts: The latest row of each concept.
        known: What there is.
        findings: Where problems are noted.
    """
    inferred = edges.filter(~pl.col("stated"))
    edges = inferred if inferred.height else edges
    active = concepts.filter(pl.col("active") == 1)
    sctids = np.sort(active["id"].unique().to_numpy())
    for row, circle in circles(edges, sctids):
        shown = " is a ".join(str(sctids[node]) for node in circle[:_SHOWN])
        more = " is a ..." if len(circle) > _SHOWN else ""
        place = edges[row].with_columns(_detail=pl.lit(f"{shown}{more} is a {sctids[circle[0]]}"))
        findings.add("cycle", place, "destinationId", value="target", detail="_detail")
    if known.unread & {"concept", "relationship", "stated relationship"}:
        return
    parents = edges.filter(pl.col("target") != pl.col("source"))
    orphans = active.filter(~pl.col("id").is_in(edges["source"].implode()) & ~known.spared("id"))
    root = ROOT if ROOT in known.active else _root(orphans, parents)
    findings.add("no-parent", orphans.filter(pl.col("id") != root), "id")


def circles(edges: pl.DataFrame, sctids: NDArray[np.int64]) -> list[tuple[int, list[int]]]:
    """Find the relationships that lie on a circle.

    Args:
        edges: source and target, SCTIDs.
        sctids: The active concepts, ascending.

    Returns:
        For each such relationship its row in `edges`, and a circle of its concepts as indices of `sctids`, child
        before parent; a self-loop is none.
    """
    if not len(sctids) or edges.is_empty():
        return []
    source, target = (_indices(sctids, edges[end]) for end in ("source", "target"))
    used = (source >= 0) & (target >= 0) & (source != target)
    rows = np.flatnonzero(used)
    graph = sparse.csr_array(
        (np.ones(len(rows), dtype=bool), (source[used], target[used])), shape=(len(sctids), len(sctids))
    )
    count, component = csgraph.connected_components(graph, directed=True, connection="strong")
    if count == len(sctids):
        return []
    inside = rows[component[source[rows]] == component[target[rows]]]
    links = closure.adjacency(source[inside], target[inside], len(sctids))
    of = {int(component[circle[0]]): circle for circle in closure.find_cycles(links, limit=len(inside))}
    return [(int(row), of[int(component[source[row]])]) for row in inside]


def _indices(sctids: NDArray[np.int64], wanted: pl.Series) -> NDArray[np.int64]:
    values = wanted.fill_null(0).to_numpy()
    place = np.minimum(np.searchsorted(sctids, values), len(sctids) - 1)
    return np.where(sctids[place] == values, place, -1)


def _root(orphans: pl.DataFrame, edges: pl.DataFrame) -> int:
    """Take the parentless concept with the most children for the root, where SNOMED CT's own is not there."""
    children = (
        edges.filter(pl.col("target").is_in(orphans["id"].implode()))
        .group_by("target")
        .len()
        .sort("len", "target", descending=[True, False])
    )
    return int(children["target"][0]) if children.height else 0
