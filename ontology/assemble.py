"""From frames that speak of SCTIDs to the columns of an `Ontology`: every reader ends here.

It indexes the concepts, drops and counts what points nowhere, makes each relation unique by (source, type,
target, group), refuses cycles in is-a, and puts rows into their one order, so that equal content has one
fingerprint.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ontology import closure
from ontology.errors import InputError
from ontology.identifiers import IS_A
from ontology.model import MAPS, TERMS, Ontology, Relations
from ontology.report import LoadReport


def assemble(
    name: str,
    concepts: pl.DataFrame,
    inactive: NDArray[np.int64],
    terms: pl.DataFrame,
    relations: pl.DataFrame,
    maps: pl.DataFrame,
    report: LoadReport,
    *,
    path: Path | None = None,
) -> Ontology:
    """Build an ontology.

    Args:
        name: What it is called.
        concepts: sctid (unique), defined; the active ones.
        inactive: SCTIDs of the inactive concepts, so that they can be told from unknown ones.
        terms: sctid, term, kind, preferred, case_significance.
        relations: source, type, target (SCTIDs), group.
        maps: sctid, system, group, priority, rule, advice, target.
        report: The account of the load so far; what is dropped here is added to it.
        path: Where it was read from, for the error messages.

    Raises:
        InputError: If there is no concept, or is-a has a cycle.
    """
    if concepts.is_empty():
        raise InputError(
            "there is not one active concept",
            path=path,
            remedy="An extension on its own does not do: give the edition that it extends together with it",
        )
    ordered = concepts.sort("sctid")
    sctids = ordered["sctid"].to_numpy()
    types, columns = _relations(sctids, inactive, relations, report)
    ontology = Ontology(
        name=name,
        sctids=_frozen(sctids),
        defined=_frozen(ordered["defined"].to_numpy()),
        relation_types=_frozen(types),
        relations=columns,
        terms=_terms(sctids, inactive, terms, report),
        maps=_maps(sctids, inactive, maps, report),
        report=report,
    )
    _refuse_cycles(ontology, path)
    return ontology


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array = np.ascontiguousarray(array).copy()
    array.setflags(write=False)
    return array


def _nodes(sctids: NDArray[np.int64], wanted: pl.Series) -> NDArray[np.int64]:
    values = wanted.to_numpy()
    place = np.minimum(np.searchsorted(sctids, values), len(sctids) - 1)
    return np.where(sctids[place] == values, place, -1)


def _drop(
    wanted: pl.Series,
    kept: NDArray[np.bool_],
    inactive: NDArray[np.int64],
    kind: str,
    what: str,
    report: LoadReport,
) -> None:
    """Count rows that are not kept, apart for inactive concepts and for those that nobody knows."""
    if kept.all():
        return
    retired = wanted.filter(~pl.Series(kept)).is_in(pl.Series(inactive).implode())
    # the terms and maps of a retired concept stay active; a relation to one is a fault
    report.drop(kind, f"{what} is inactive", int(retired.sum()), expected=kind != "relationship")
    report.drop(kind, f"{what} is unknown", int((~retired).sum()))


def _relations(
    sctids: NDArray[np.int64], inactive: NDArray[np.int64], rows: pl.DataFrame, report: LoadReport
) -> tuple[NDArray[np.int64], Relations]:
    source, target = _nodes(sctids, rows["source"]), _nodes(sctids, rows["target"])
    _drop(rows["source"], source >= 0, inactive, "relationship", "the source", report)
    _drop(rows["target"], (target >= 0) | (source < 0), inactive, "relationship", "the destination", report)
    kept = (source >= 0) & (target >= 0)
    kind, group = rows["type"].to_numpy()[kept], rows["group"].to_numpy()[kept]
    types = np.array([IS_A, *(t for t in np.unique(kind).tolist() if t != IS_A)], dtype=np.int64)
    if len(types) > np.iinfo(np.int16).max:
        raise InputError(f"there are {len(types):,} relationship types, more than any terminology has")
    by_value = np.argsort(types)
    frame = (
        pl.DataFrame(
            {
                "source": source[kept].astype(np.int32),
                "type": by_value[np.searchsorted(types, kind, sorter=by_value)].astype(np.int16),
                "target": target[kept].astype(np.int32),
                "group": group.astype(np.int32),
            }
        )
        .unique()
        .sort("source", "type", "target", "group")
    )
    report.drop(
        "relationship", "the same source, type, target and group occur again", int(kept.sum()) - frame.height
    )
    report.count("relationship", used=frame.height)
    unknown = int((_nodes(sctids, pl.Series(types[1:])) < 0).sum())
    report.tolerate("relationship type without an active concept of its own", unknown)
    return types, Relations(
        source=_frozen(frame["source"].to_numpy()),
        target=_frozen(frame["target"].to_numpy()),
        type=_frozen(frame["type"].to_numpy()),
        group=_frozen(frame["group"].to_numpy()),
    )


def _terms(
    sctids: NDArray[np.int64], inactive: NDArray[np.int64], rows: pl.DataFrame, report: LoadReport
) -> pl.DataFrame:
    nodes = _nodes(sctids, rows["sctid"])
    _drop(rows["sctid"], nodes >= 0, inactive, "description", "the concept", report)
    frame = (
        rows.with_columns(concept=pl.Series(nodes, dtype=pl.Int32))
        .filter(pl.col("concept") >= 0)
        .select(pl.col(column).cast(kind) for column, kind in TERMS.items())
    )
    frame = frame.sort(
        "concept", pl.col("kind").to_physical(), ~pl.col("preferred"), maintain_order=True
    ).rechunk()
    report.count("description", used=frame.height)
    named = frame.filter(pl.col("kind") == "fsn")["concept"].n_unique()
    preferred = frame.filter((pl.col("kind") == "synonym") & pl.col("preferred"))["concept"].n_unique()
    report.tolerate("concept without a fully specified name", len(sctids) - named)
    report.tolerate(
        "concept without a preferred term: its first synonym or FSN is used", len(sctids) - preferred
    )
    return frame


def _maps(
    sctids: NDArray[np.int64], inactive: NDArray[np.int64], rows: pl.DataFrame, report: LoadReport
) -> pl.DataFrame:
    nodes = _nodes(sctids, rows["sctid"])
    _drop(rows["sctid"], nodes >= 0, inactive, "map", "the concept", report)
    frame = (
        rows.with_columns(concept=pl.Series(nodes, dtype=pl.Int32))
        .filter(pl.col("concept") >= 0)
        .select(pl.col(column).cast(kind) for column, kind in MAPS.items())
        .sort("concept", "system", "group", "priority", "target", maintain_order=True)
        .rechunk()
    )
    report.count("map", used=frame.height)
    return frame


def _refuse_cycles(ontology: Ontology, path: Path | None) -> None:
    order = closure.levels(ontology.parent_links, ontology.child_links)
    if sum(len(level) for level in order) == len(ontology):
        return
    # show at most five, so that the message stays readable
    cycles = closure.find_cycles(ontology.parent_links, limit=5)
    shown = "; ".join(
        " is a ".join(
            f"{ontology.sctids[i]} |{ontology.term(int(ontology.sctids[i]))}|" for i in [*cycle[:6], cycle[0]]
        )
        for cycle in cycles
    )
    raise InputError(
        f"is-a goes in circles: {shown}",
        path=path,
        remedy="Remove one is-a relationship of each circle (at most five are shown)",
    )
