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
from ontology.model import Ontology, Relations
from ontology.parts import Parts
from ontology.progress import step
from ontology.report import LoadReport
from ontology.rules import readable
from ontology.tables import (
    AXIOMS,
    CODES,
    DETAILS,
    DIALECTS,
    HISTORY,
    INACTIVE,
    INACTIVE_TERMS,
    MAPS,
    STATED,
    TERMS,
    VALUES,
)

Nodes = NDArray[np.int64]


def assemble(
    name: str,
    parts: Parts,
    report: LoadReport,
    *,
    path: Path | None = None,
    layers: tuple[dict[str, Any], ...] | None = None,
) -> Ontology:
    """Build an ontology.

    Args:
        name: What it is called.
        parts: What a reader found.
        report: The account of the load so far; what is dropped here is added to it.
        path: Where it was read from, for the error messages.
        layers: What it was put together from; by default one layer, all of it.

    Raises:
        InputError: If there is no concept, a concept is there twice, or is-a has a cycle.
    """
    if parts.concepts.is_empty():
        raise InputError(
            "there is not one active concept",
            path=path,
            remedy="An extension on its own does not do: give the edition that it extends together with it",
        )
    step(f"indexing {parts.concepts.height:,} concepts")
    ordered = parts.concepts.sort("sctid")
    sctids = ordered["sctid"].to_numpy()
    if len(twice := np.flatnonzero(sctids[1:] == sctids[:-1])):
        raise InputError(f"the concept {sctids[twice[0]]} is there twice", path=path)
    retired_alone = parts.inactive.filter(~_known(sctids, parts.inactive["sctid"]))
    inactive = retired_alone.unique("sctid", keep="first", maintain_order=True).sort("sctid")
    report.drop("inactive concept", "it is active, too", parts.inactive.height - retired_alone.height)
    report.drop("inactive concept", "the same occurs again", retired_alone.height - inactive.height)
    retired = inactive["sctid"].to_numpy()
    types, columns = _relations(sctids, retired, parts.relations, report)
    terms, retired_terms = _terms(sctids, retired, parts.terms, report)
    ontology = Ontology(
        name=name,
        sctids=_frozen(sctids),
        defined=_frozen(ordered["defined"].to_numpy()),
        relation_types=_frozen(types),
        relations=columns,
        terms=terms,
        maps=_maps(sctids, retired, parts.maps, report),
        report=report,
        details=_ready(ordered.select(*DETAILS)),
        values=_values(sctids, retired, parts.values, report),
        inactive=_ready(inactive.select(*INACTIVE)),
        inactive_terms=retired_terms,
        dialects=_dialects(parts, terms, retired_terms, report),
        history=_history(sctids, retired, parts.history, report),
        axioms=_ready(parts.axioms.select(*AXIOMS).sort("sctid", "axiom")),
        stated=_ready(parts.stated.select(*STATED).sort("source", "type", "target", "group")),
        codes=_ready(parts.codes.select(*CODES).unique("key", keep="first", maintain_order=True).sort("key")),
        members={
            kind: _ready(frame.sort("refset", "component", "id", maintain_order=True))
            for kind, frame in sorted(parts.members.items())
            if frame.height
        },
        layers=layers
        if layers is not None
        else (
            {
                "name": name,
                "version": report.effective_time,
                "concepts": len(sctids),
                "relations": len(columns),
            },
        ),
    )
    _refuse_cycles(ontology, path)
    return ontology


def _ready(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.rechunk()


def _in_order(frame: pl.DataFrame, *keys: str) -> pl.DataFrame:
    """Sort by whole numbers, stably; a frame in order already, as readers give the large ones, stays."""
    later = np.zeros(max(0, frame.height - 1), dtype=bool)
    equal = ~later
    for key in keys:
        values = frame[key].to_numpy()
        later |= equal & (values[1:] > values[:-1])
        equal &= values[1:] == values[:-1]
    if not (later | equal).all():
        for key in reversed(keys):  # one key at a time is several times faster than all at once
            frame = frame.sort(key, maintain_order=True)
    return frame


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array = np.ascontiguousarray(array).copy()
    array.setflags(write=False)
    return array


def _nodes(sctids: Nodes, wanted: pl.Series) -> Nodes:
    """Give the node index of each SCTID, -1 for those that are not among them."""
    if len(wanted) < len(sctids) // 8:
        values = wanted.to_numpy()
        place = np.minimum(np.searchsorted(sctids, values), len(sctids) - 1)
        return np.where(sctids[place] == values, place, -1)
    # a hash join beats a binary search for each of a million rows
    table = pl.DataFrame({"sctid": sctids, "node": np.arange(len(sctids), dtype=np.int32)})
    found = wanted.alias("sctid").to_frame().join(table, on="sctid", how="left", maintain_order="left")
    return found["node"].fill_null(-1).to_numpy()


def _known(sctids: Nodes, wanted: pl.Series) -> pl.Series:
    return pl.Series(_nodes(sctids, wanted) >= 0, dtype=pl.Boolean)


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
    others = sorted(t for t in rows["type"].filter(pl.Series(kept)).unique().to_list() if t != IS_A)
    types = np.array([IS_A, *others], dtype=np.int64)
    if len(types) > np.iinfo(np.int16).max:
        raise InputError(f"there are {len(types):,} relationship types, more than any terminology has")
    by_value = np.argsort(types)
    columns = {
        "source": source[kept].astype(np.int32),
        "type": by_value[np.searchsorted(types, kind, sorter=by_value)].astype(np.int16),
        "target": target[kept].astype(np.int32),
        "group": group.astype(np.int32),
        "id": rows["id"].to_numpy()[kept],
    }
    frame = pl.DataFrame(columns).sort("source", "type", "target", "group", "id")
    again = np.ones(frame.height, dtype=bool)
    again[:1] = False
    for column in ("source", "type", "target", "group"):
        values = frame[column].to_numpy()
        again[1:] &= values[1:] == values[:-1]
    if again.any():
        frame = frame.filter(pl.Series(~again))
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
        id=_frozen(frame["id"].to_numpy()) if (frame["id"] != 0).any() else None,
    )


def _terms(
    sctids: Nodes, inactive: Nodes, rows: pl.DataFrame, report: LoadReport
) -> tuple[pl.DataFrame, pl.DataFrame]:
    nodes = pl.Series("concept", _nodes(sctids, rows["sctid"]), dtype=pl.Int32)
    frame = rows.with_columns(nodes)
    if (nodes < 0).any():
        gone = frame.filter(pl.col("concept") < 0)
        frame = frame.filter(pl.col("concept") >= 0)
    else:
        gone = frame.clear()
    retired = gone.filter(pl.col("sctid").is_in(pl.Series(inactive).implode()))
    report.drop("description", "the concept is unknown", gone.height - retired.height)
    retired = _in_term_order(retired, "sctid").select(*INACTIVE_TERMS)
    frame = _in_term_order(frame, "concept").select(*TERMS)
    report.count("description", used=frame.height + retired.height)
    named = frame.filter(pl.col("kind") == "fsn")["concept"].n_unique()
    preferred = frame.filter((pl.col("kind") == "synonym") & pl.col("preferred"))["concept"].n_unique()
    report.tolerate("concept without a fully specified name", len(sctids) - named)
    report.tolerate(
        "concept without a preferred term: its first synonym or FSN is used", len(sctids) - preferred
    )
    return _ready(frame), _ready(retired)


def _in_term_order(frame: pl.DataFrame, concept: str) -> pl.DataFrame:
    """Sort terms by concept, kind, the preferred ones first, and id.

    Only the keys are sorted, one after the other, and the rows are moved once: less time and memory than all at once.
    """
    rank = 2 * pl.col("kind").to_physical().cast(pl.Int64) + (~pl.col("preferred")).cast(pl.Int64)
    keys = (
        frame.select(concept, rank.alias("rank"), "id").with_row_index("row").sort("id", maintain_order=True)
    )
    for key in ("rank", concept):
        keys = keys.sort(key, maintain_order=True)
    return frame[keys["row"]]


def _dialects(parts: Parts, terms: pl.DataFrame, retired: pl.DataFrame, report: LoadReport) -> pl.DataFrame:
    table = parts.dialects.select(*DIALECTS)
    if terms.height + retired.height < parts.terms.height:  # otherwise every description is still there
        ids = pl.concat([terms.select("id"), retired.select("id")]).unique()
        kept = table.join(ids, on="id", how="semi", maintain_order="left")
        report.drop("language", "the description's concept is unknown", table.height - kept.height)
        table = kept
    return _ready(_in_order(table, "id", "refset"))


def _maps(sctids: Nodes, inactive: Nodes, rows: pl.DataFrame, report: LoadReport) -> pl.DataFrame:
    nodes = _nodes(sctids, rows["sctid"])
    _drop(rows["sctid"], nodes >= 0, inactive, "map", "the concept", report)
    frame = (
        rows.with_columns(concept=pl.Series(nodes, dtype=pl.Int32))
        .filter(pl.col("concept") >= 0)
        .select(*MAPS)
        .sort(
            "concept",
            "system",
            "origin",
            "group",
            "priority",
            "target",
            "rule",
            "advice",
            maintain_order=True,
        )
    )
    report.count("map", used=frame.height)
    odd = [rule for rule in frame["rule"].unique().to_list() if not readable(rule)]
    if odd:
        unread = int(frame["rule"].is_in(odd).sum())
        report.tolerate("map rule that cannot be read: it is never taken to hold", unread)
    return _ready(frame)


def _values(sctids: Nodes, inactive: Nodes, rows: pl.DataFrame, report: LoadReport) -> pl.DataFrame:
    nodes = _nodes(sctids, rows["source"])
    _drop(rows["source"], nodes >= 0, inactive, "concrete values", "the source", report)
    every = (
        rows.with_columns(concept=pl.Series(nodes, dtype=pl.Int32))
        .filter(pl.col("concept") >= 0)
        .select(*VALUES)
        .sort(*VALUES)
    )
    frame = every.unique(["concept", "type", "group", "value"], keep="first", maintain_order=True)
    report.drop(
        "concrete values", "the same source, type, group and value occur again", every.height - frame.height
    )
    if rows.height:
        report.count("concrete values", used=frame.height)
    return _ready(frame)


def _history(sctids: Nodes, inactive: Nodes, rows: pl.DataFrame, report: LoadReport) -> pl.DataFrame:
    if rows.is_empty():
        return rows.select(*HISTORY)
    everyone = np.sort(np.concatenate([sctids, inactive]), kind="stable")
    known = _known(everyone, rows["source"])
    report.drop("association", "the concept is unknown", int((~known).sum()))
    report.tolerate(
        "association to a target that is no concept here", int((~_known(everyone, rows["target"])).sum())
    )
    frame = rows.filter(known).select(*HISTORY).unique().sort(*HISTORY)
    report.drop("association", "the same occurs again", int(known.sum()) - frame.height)
    report.count("association", used=frame.height)
    return _ready(frame)


def _refuse_cycles(ontology: Ontology, path: Path | None) -> None:
    if sum(len(level) for level in ontology._levels) == len(ontology):
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
