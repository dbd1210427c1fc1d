"""From a window of events to evidence: each event has exactly one outcome, and the outcomes add up.

Codes and image labels go through the ontology's maps (n concepts for one code: weight 1/n), notes through the
concept recogniser, labs through LOINC and their reference range. Blinded concepts are dropped with all their
descendants. What could not be used is counted by reason, and the codes that map to nothing are named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl

from graph_builders.collect_labs import collect_labs
from graph_builders.collect_notes import collect_notes
from graph_builders.evidence import Evidence
from graph_builders.units import strange_units
from ontology.errors import InputError

if TYPE_CHECKING:
    from ontology import Ontology

WINDOW = ("sample_id", "time", "modality", "code", "numeric_value", "text_value", "parent_codes")
WINDOW_OPTIONAL: dict[str, pl.DataType] = {
    "unit": pl.String(),
    "ref_low": pl.Float32(),
    "ref_high": pl.Float32(),
}

#: What can become of an event.
OUTCOMES = {
    "evidence": "gave at least one concept",
    "blinded": "gave only concepts that define the label",
    "unmapped": "has a code that the ontology maps to nothing",
    "no_code": "has neither a vocabulary code nor a text",
    "empty_note": "is a note without text",
    "no_mention": "is a note in which no term was found",
    "in_range": "is a lab inside its reference range",
    "no_range": "is a lab without a reference range",
    "no_value": "is a lab whose value is neither a number nor positive or negative",
}
_VOCABULARY_CODE = re.compile(r"^([A-Za-z][A-Za-z0-9_.:-]*)/([^/\s][^/]*)(?://.*)?$")
_TOP = 20


class Found(NamedTuple):
    """What a collector gives back: rows of (event, concept, ...), and an outcome for events without rows."""

    rows: pl.DataFrame
    outcomes: pl.DataFrame


def collect_evidence(
    window: pl.DataFrame,
    ontology: Ontology,
    *,
    blinded: Iterable[int] = (),
    track: Callable[[list[str]], Iterable[str]] = iter,
) -> Evidence:
    """Collect the evidence of all samples.

    Args:
        window: Events before each sample's prediction time: sample_id, time, modality, code, numeric_value,
            text_value, parent_codes, and where there are any unit, ref_low, ref_high.
        ontology: Where the concepts come from.
        blinded: SCTIDs that define the label; they and their descendants give no evidence.
        track: Wraps the list of distinct notes, for a progress bar.

    Raises:
        InputError: If the window lacks a column.
    """
    events = _events(window)
    codes, resolved = _resolve(events, ontology)
    events = events.join(codes, on="code", how="left").with_columns(route=_route())
    by_route = {name: events.filter(pl.col("route") == name) for name in ("code", "lab", "note")}
    labs, notes = (
        collect_labs(by_route["lab"], resolved, ontology),
        collect_notes(by_route["note"], ontology, track),
    )
    coded = _collect_codes(by_route["code"], resolved)
    rows = pl.concat([coded.rows, labs.rows, notes.rows], how="diagonal_relaxed")
    outcomes = pl.concat([coded.outcomes, labs.outcomes, notes.outcomes], how="diagonal_relaxed")

    hidden, unknown = blinded_closure(ontology, blinded)
    is_hidden = pl.col("concept").is_in(hidden.tolist())
    kept = rows.filter(~is_hidden)
    place = ontology.indices(kept["concept"].to_numpy())
    kept = kept.with_columns(depth=pl.Series(ontology.depth[place], dtype=pl.Int32))
    outcome = _outcome_of(events, rows, kept, outcomes)
    found = kept.join(
        events.select("event", "sample_id", "modality", "time", pl.col("code").alias("source")), on="event"
    )
    report = _report(outcome, found)
    report["labs"] = _lab_notes(by_route["lab"], labs.rows)
    report["text_not_read"] = events.filter(
        (pl.col("route") != "note")
        & pl.col("text_value").is_not_null()
        & ~pl.col("code").str.starts_with("IMAGE//")
    ).height
    report["blinded"] = {
        "concepts": len(hidden),
        "not_in_ontology": unknown,
        "rows_dropped": rows.height - kept.height,
        "dropped": _named(
            rows.filter(is_hidden).join(events.select("event", "modality"), on="event"), ontology
        ),
        "modalities": _by_modality(rows.filter(is_hidden), outcome),
        "codes": _defining_codes(resolved, [*hidden.tolist(), *unknown]),
    }
    return Evidence(found, report, hidden, events.select("sample_id", "modality").unique())


def _defining_codes(resolved: pl.DataFrame, hidden: list[int]) -> list[str]:
    """Event codes that stand for a hidden concept: whoever reads the codes themselves must leave them out too."""
    mapped = resolved.filter(pl.col("concept").is_in(hidden))["code"].unique().to_list()
    return sorted({*mapped, *(f"SNOMED/{sctid}" for sctid in hidden)})


def blinded_closure(
    ontology: Ontology, blinded: Iterable[int]
) -> tuple[np.ndarray[Any, np.dtype[np.int64]], list[int]]:
    """Give the blinded concepts with all their descendants, and those that the ontology does not hold.

    Args:
        ontology: The ontology.
        blinded: SCTIDs.
    """
    wanted = sorted({int(sctid) for sctid in blinded})
    known = [sctid for sctid in wanted if sctid in ontology]
    below = [np.asarray(ontology.descendants(sctid, include_self=True), dtype=np.int64) for sctid in known]
    hidden = np.unique(np.concatenate(below)) if below else np.empty(0, np.int64)
    return hidden, [sctid for sctid in wanted if sctid not in ontology]


def vocabulary_code(code: str) -> tuple[str, str] | None:
    """Read "LOINC/6690-2//10*9/L" as ("LOINC", "6690-2"); None for a code of no vocabulary ("IMAGE//CXR").

    Args:
        code: A MEDS code or parent code.
    """
    match = _VOCABULARY_CODE.match(code.strip())
    return (match[1], match[2].strip()) if match else None


def _events(window: pl.DataFrame) -> pl.DataFrame:
    missing = [name for name in WINDOW if name not in window.columns]
    if missing:
        raise InputError(
            "the window of events lacks a column", column=missing[0], remedy=f"It needs {WINDOW}"
        )
    optional = [
        pl.col(name).cast(kind) if name in window.columns else pl.lit(None, dtype=kind).alias(name)
        for name, kind in WINDOW_OPTIONAL.items()
    ]
    return (
        window.select(*WINDOW, *optional)
        .with_columns(pl.col("numeric_value").cast(pl.Float32))
        .with_row_index("event")
    )


def _route() -> pl.Expr:
    text, image = pl.col("text_value").is_not_null(), pl.col("code").str.starts_with("IMAGE//")
    number = pl.col("numeric_value").is_not_null()
    return (
        pl.when(image)
        .then(pl.lit("code"))
        .when(pl.col("code").str.starts_with("NOTE//") | (text & ~pl.col("coded")))
        .then(pl.lit("note"))
        .when(pl.col("coded") & (pl.col("loinc") | number))
        .then(pl.lit("lab"))
        .otherwise(pl.lit("code"))
    )


def _resolve(events: pl.DataFrame, ontology: Ontology) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Map each distinct code once: (code, coded, loinc) and (code, concept, weight).

    The parent codes speak first, since a cohort's author wrote them; the code itself if they map to nothing.
    """
    codes: list[tuple[str, bool, bool]] = []
    resolved: list[tuple[str, int, float]] = []
    for code, parents in events.select("code", "parent_codes").unique("code").sort("code").iter_rows():
        above = [found for parent in parents or () if (found := vocabulary_code(parent))]
        own = vocabulary_code(code)
        references = [*above, *([own] if own else [])]
        concepts = _concepts(ontology, above) or _concepts(ontology, [own] if own else [])
        codes.append((code, bool(references), any(system.upper() == "LOINC" for system, _ in references)))
        resolved.extend((code, concept, 1 / len(concepts)) for concept in concepts)
    return (
        pl.DataFrame(codes, {"code": pl.String, "coded": pl.Boolean, "loinc": pl.Boolean}, orient="row"),
        pl.DataFrame(resolved, {"code": pl.String, "concept": pl.Int64, "weight": pl.Float32}, orient="row"),
    )


def _concepts(ontology: Ontology, references: list[tuple[str, str]]) -> list[int]:
    return sorted({sctid for system, value in references for sctid in ontology.concepts_of(value, system)})


def _collect_codes(events: pl.DataFrame, resolved: pl.DataFrame) -> Found:
    rows = events.select("event", "code").join(resolved, on="code").drop("code")
    rows = rows.with_columns(polarity=pl.lit("present"))
    outcome = pl.when(pl.col("coded")).then(pl.lit("unmapped")).otherwise(pl.lit("no_code"))
    return Found(rows, events.select("event", outcome=outcome))


def _outcome_of(
    events: pl.DataFrame, rows: pl.DataFrame, kept: pl.DataFrame, other: pl.DataFrame
) -> pl.DataFrame:
    """Give each event the first outcome that fits: evidence, blinded, or what its collector said."""
    return (
        events.select("event", "sample_id", "modality", "code")
        .join(other, on="event", how="left")
        .with_columns(
            pl.when(pl.col("event").is_in(kept["event"].unique().implode()))
            .then(pl.lit("evidence"))
            .when(pl.col("event").is_in(rows["event"].unique().implode()))
            .then(pl.lit("blinded"))
            .otherwise(pl.col("outcome"))
            .alias("outcome")
        )
    )


def _report(outcome: pl.DataFrame, found: pl.DataFrame) -> dict[str, Any]:
    modalities: dict[str, Any] = {}
    for name in sorted(outcome["modality"].unique()):
        mine, rows = outcome.filter(pl.col("modality") == name), found.filter(pl.col("modality") == name)
        by_outcome = dict(mine.group_by("outcome").len().iter_rows())
        unmapped = mine.filter(pl.col("outcome") == "unmapped")["code"]
        top = unmapped.value_counts().sort(["count", "code"], descending=[True, False])
        modalities[name] = {
            "events": mine.height,
            "outcomes": {key: by_outcome[key] for key in OUTCOMES if key in by_outcome},
            "coverage": by_outcome.get("evidence", 0) / mine.height,
            "samples": mine["sample_id"].n_unique(),
            "samples_with_evidence": rows["sample_id"].n_unique(),
            "evidence_rows": rows.height,
            "concepts": rows["concept"].n_unique(),
            "polarities": dict(rows["polarity"].value_counts().sort("polarity").iter_rows()),
            "codes": mine["code"].n_unique(),
            "codes_unmapped": top.height,
            "top_unmapped": [{"code": code, "events": n} for code, n in top.head(_TOP).iter_rows()],
        }
    return {"events": outcome.height, "evidence_rows": found.height, "modalities": modalities}


def _lab_notes(labs: pl.DataFrame, rows: pl.DataFrame) -> dict[str, Any]:
    def by_code(frame: pl.DataFrame) -> dict[str, int]:
        return dict(frame.group_by("code").len().sort("code").iter_rows())

    observable = rows.filter(~pl.col("interpreted"))["event"].unique()
    return {
        "events": labs.height,
        "unit_missing": by_code(
            labs.filter(pl.col("unit").is_null() & pl.col("numeric_value").is_not_null())
        ),
        "abnormal_without_a_finding": by_code(labs.filter(pl.col("event").is_in(observable.implode()))),
        **strange_units(labs),
    }


def _named(rows: pl.DataFrame, ontology: Ontology) -> list[dict[str, Any]]:
    """Name the concepts of some rows, with how many there are in all and in each modality."""
    counts = rows["concept"].value_counts().sort(["count", "concept"], descending=[True, False])
    each: dict[int, dict[str, int]] = {}
    for concept, modality, n in rows.group_by("concept", "modality").len().sort("modality").iter_rows():
        each.setdefault(concept, {})[modality] = n
    return [
        {"concept": c, "term": ontology.term(c), "rows": n, "modalities": each[c]}
        for c, n in counts.iter_rows()
    ]


def _by_modality(hidden: pl.DataFrame, outcome: pl.DataFrame) -> dict[str, dict[str, int]]:
    """Count what blinding took out of each modality; `events_left_empty` gave nothing but blinded concepts."""
    rows = hidden.join(outcome, on="event")
    return {
        name: {
            "rows": mine.height,
            "concepts": mine["concept"].n_unique(),
            "events": mine["event"].n_unique(),
            "events_left_empty": mine.filter(pl.col("outcome") == "blinded")["event"].n_unique(),
            "samples": mine["sample_id"].n_unique(),
        }
        for (name,), mine in sorted(rows.partition_by("modality", as_dict=True).items())
    }
