"""From a window of events to evidence: each event has exactly one outcome, and the outcomes add up.

Codes and image labels go through the ontology's maps (n concepts for one code: weight 1/n), notes through the
concept recogniser, labs through LOINC and their reference range. Blinded concepts are dropped with all their
descendants. What could not be used is counted by reason, and the codes that map to nothing are named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl

from graph_builders.collect_labs import collect_labs, interpretations
from graph_builders.collect_notes import collect_notes
from graph_builders.evidence import OBSERVED, Evidence, conform
from graph_builders.tally import Tally
from ontology.errors import InputError

if TYPE_CHECKING:
    from ontology import Ontology
    from ontology.recognise import Recogniser

WINDOW = ("sample_id", "time", "modality", "code", "numeric_value", "text_value", "parent_codes")
WINDOW_OPTIONAL: dict[str, pl.DataType] = {
    "unit": pl.String(),
    "ref_low": pl.Float32(),
    "ref_high": pl.Float32(),
}

_VOCABULARY_CODE = re.compile(r"^([A-Za-z][A-Za-z0-9_.:-]*)/([^/\s][^/]*)(?://.*)?$")

#: Codes of events whose text_value names a file: an image, or a signal over time such as an ECG.
FILE_CODES = ("IMAGE//", "SIGNAL//")


class Found(NamedTuple):
    """What a collector gives back: rows of (event, concept, ...), and an outcome for events without rows."""

    rows: pl.DataFrame
    outcomes: pl.DataFrame


class Part(NamedTuple):
    """The evidence of some samples, to be joined with that of others.

    Attributes:
        table: Rows with the columns of `graph_builders.evidence.SCHEMA`, in order.
        observed: The (sample_id, modality) pairs that were seen, in order.
        tally: What became of the events.
    """

    table: pl.DataFrame
    observed: pl.DataFrame
    tally: Tally


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
    collector = Collector(ontology, blinded)
    return collector.join([collector.collect(window, track)])


class Collector:
    """Collects evidence window by window; what does not depend on the window is made once.

    Args:
        ontology: Where the concepts come from.
        blinded: SCTIDs that define the label; they and their descendants give no evidence.
    """

    def __init__(self, ontology: Ontology, blinded: Iterable[int] = ()) -> None:
        self.ontology = ontology
        self.hidden, self.unknown = blinded_closure(ontology, blinded)

    @cached_property
    def recogniser(self) -> Recogniser:
        """Finds the concepts of notes."""
        from ontology.recognise import Recogniser

        return Recogniser(self.ontology)

    @cached_property
    def interpretations(self) -> pl.DataFrame:
        """The finding that an observable above or below its range is."""
        return interpretations(self.ontology)

    def collect(self, window: pl.DataFrame, track: Callable[[list[str]], Iterable[str]] = iter) -> Part:
        """Collect the evidence of a window's samples.

        Args:
            window: As for `collect_evidence`; all events of each of its samples.
            track: Wraps the list of distinct notes, for a progress bar.

        Raises:
            InputError: If the window lacks a column.
        """
        ontology = self.ontology
        events = _events(window)
        codes, resolved = _resolve(events, ontology)
        events = events.join(codes, on="code", how="left").with_columns(route=_route())
        by_route = {name: events.filter(pl.col("route") == name) for name in ("code", "lab", "note")}
        labs = collect_labs(by_route["lab"], resolved, self.interpretations)
        notes = collect_notes(by_route["note"], lambda: self.recogniser, track)
        coded = _collect_codes(by_route["code"], resolved)
        rows = pl.concat([coded.rows, labs.rows, notes.rows], how="diagonal_relaxed")
        outcomes = pl.concat([coded.outcomes, labs.outcomes, notes.outcomes], how="diagonal_relaxed")

        is_hidden = pl.col("concept").is_in(self.hidden.tolist())
        kept = rows.filter(~is_hidden)
        place = ontology.indices(kept["concept"].to_numpy())
        kept = kept.with_columns(depth=pl.Series(ontology.depth[place], dtype=pl.Int32))
        found = kept.join(
            events.select("event", "sample_id", "modality", "time", pl.col("code").alias("source")),
            on="event",
        )
        observable = labs.rows.filter(~pl.col("interpreted"))["event"].unique()
        tally = Tally.of(
            _outcome_of(events, rows, kept, outcomes),
            found,
            rows.filter(is_hidden),
            by_route["lab"],
            by_route["lab"].filter(pl.col("event").is_in(observable.implode())),
            events.filter((pl.col("route") != "note") & pl.col("text_value").is_not_null() & ~names_a_file()),
            # Whoever reads the codes themselves must leave out those that stand for a hidden concept, too.
            resolved.filter(pl.col("concept").is_in([*self.hidden.tolist(), *self.unknown])),
        )
        observed = events.select("sample_id", "modality").unique().sort("sample_id", "modality")
        return Part(conform(found), observed, tally)

    def join(self, parts: Sequence[Part]) -> Evidence:
        """Join the evidence of several windows: what one window of all their events would have given.

        Args:
            parts: What `collect` gave, at least one; each sample in one of them, samples ascending.

        Raises:
            InputError: If the samples do not ascend from part to part.
        """
        report = Tally.sum(part.tally for part in parts).report(self.ontology, self.hidden, self.unknown)
        seen = [part.observed["sample_id"] for part in parts if part.observed.height]
        if any(before[-1] >= after[0] for before, after in pairwise(seen)):
            raise InputError("the parts of the evidence are not in the order of their samples")
        table, observed = (pl.concat(frames) for frames in zip(*(part[:2] for part in parts), strict=True))
        return Evidence.stored(table, report, self.hidden, observed.cast(OBSERVED))  # type: ignore[arg-type]


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


def names_a_file() -> pl.Expr:
    """Say whether an event's text_value is the name of a file in the cohort's folder, and so no text to read."""
    return pl.any_horizontal(pl.col("code").str.starts_with(prefix) for prefix in FILE_CODES)


def _route() -> pl.Expr:
    text, image = pl.col("text_value").is_not_null(), names_a_file()
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
