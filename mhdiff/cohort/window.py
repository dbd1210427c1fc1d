"""The window: for each sample, the events e with  prediction_time - window < time(e) <= prediction_time.

Nothing after prediction_time passes, events without a time (static facts) always do, and only events whose
code belongs to a modality of the task. What was left out is counted by reason, per pair of sample and event.
Of images one is taken where the task says which (`mhdiff.cohort.image_choice`).
Notes are de-identified, where the task says so, and then blinded; whatever reads notes reads them from here.
Numbers come in one unit an analyte, without those that cannot be (`mhdiff.cohort.measurements`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from graph_builders.collect import FILE_CODES
from mhdiff.cohort.blind import Blinder, BlindingReport
from mhdiff.cohort.deidentify import Deidentification, Deidentifier
from mhdiff.cohort.image_choice import choose
from mhdiff.cohort.measurements import Analytes, harmonise

if TYPE_CHECKING:
    from mhdiff.cohort.cohort import Cohort
    from mhdiff.cohort.task import Task

COLUMNS = (
    *("sample_id", "subject_id", "time", "modality", "code", "numeric_value", "text_value"),
    *("parent_codes", "unit", "ref_low", "ref_high", "column"),
)


@dataclass(frozen=True)
class Window:
    """What the model may see, and what it may not.

    Attributes:
        events: Columns `COLUMNS`, sorted by sample, then modality in the task's order, then time.
        report: Counts: events by modality, events left out by reason, units, identifiers replaced, words blinded.
    """

    events: pl.DataFrame
    report: dict[str, Any]


def look_back(
    task: Task, cohort: Cohort, samples: pl.DataFrame | None = None, analytes: Analytes | None = None
) -> Window:
    """Cut the cohort's events to the task's window.

    Args:
        task: The task.
        cohort: The cohort.
        samples: Some of the task's samples, where not all are wanted. Neighbours in the order of subjects are read
            fastest: of files that are in that order, only the row groups that hold them.
        analytes: Units and limits of measurements; the task's where None.
    """
    events = cohort.scan(optional=True)
    if samples is None:
        samples = task.samples(cohort)
    else:
        first, last = samples["subject_id"].min(), samples["subject_id"].max()
        events = events.filter(pl.col("subject_id").is_between(first, last))
    samples = samples.select("sample_id", "subject_id", "prediction_time")
    rows, none_fits = choose(_placed(task, events, samples).collect(), task.choices)
    left_out = {
        reason: n for reason, n in rows["reason"].drop_nulls().value_counts().sort("reason").iter_rows()
    }
    kept = rows.filter(pl.col("reason").is_null()).join(
        cohort.codes.select("code", "parent_codes", "unit", code_low="ref_low", code_high="ref_high").unique(
            "code", keep="first"
        ),
        on="code",
        how="left",
        maintain_order="left",
    )
    # A value's own range, where one end of it is known, is all of its range: laboratories differ.
    own = pl.col("ref_low").is_not_null() | pl.col("ref_high").is_not_null()
    kept = kept.with_columns(
        pl.when(own).then(name).otherwise(other).cast(pl.Float64).alias(name)
        for name, other in (("ref_low", "code_low"), ("ref_high", "code_high"))
    )
    order = pl.col("modality").replace_strict(
        {m: i for i, m in enumerate(task.modalities)}, return_dtype=pl.Int64
    )
    kept = kept.sort("sample_id", order, "time", nulls_last=False, maintain_order=True)
    read = harmonise(kept, cohort.codes, task.measures if analytes is None else analytes)
    nameless, removed = _deidentify(task, read.events.select(COLUMNS))
    shown, blinding = _blind(task, nameless)
    counts = dict(shown["modality"].value_counts().iter_rows())
    patients = dict(shown.group_by("modality").agg(pl.col("sample_id").n_unique()).iter_rows())
    report = {
        "task": task.name,
        "samples": len(samples),
        "events": {m: counts.get(m, 0) for m in task.modalities},
        "samples_with": {m: patients.get(m, 0) for m in task.modalities},
        "left_out": left_out,
        **removed,
        "blinded": {"notes": blinding.notes, "words": _descending(blinding.words)},
        "measurements": read.report,
    }
    if task.choices:
        report["no_image_fits"] = none_fits
    return Window(shown, report)


def present(task: Task, cohort: Cohort, samples: pl.DataFrame, modalities: Sequence[str]) -> pl.Series:
    """Give the sample_ids that have an event of each of some modalities in the window.

    Args:
        task: The task.
        cohort: The cohort.
        samples: Columns sample_id, subject_id and prediction_time.
        modalities: Those that are asked for.
    """
    columns = ("sample_id", "prediction_time", "time", "modality", "code", "reason")
    placed = _placed(task, cohort.scan(), samples).filter(pl.col("modality").is_in(modalities))
    wanted = {m: choice for m, choice in task.choices.items() if m in modalities}
    rows, _ = choose(placed.select(columns).collect(), wanted)
    held = rows.filter(pl.col("reason").is_null())
    each = held.group_by("sample_id").agg(pl.col("modality").n_unique().alias("n")).sort("sample_id")
    return each.filter(pl.col("n") == len(set(modalities)))["sample_id"]


def _placed(task: Task, events: pl.LazyFrame, samples: pl.DataFrame) -> pl.LazyFrame:
    """Give the pairs of sample and event with the event's modality and the reason why it is left out."""
    modality: Any = pl.when(False).then(pl.lit(None, dtype=pl.String))
    for name, prefixes in task.modalities.items():
        modality = modality.when(
            pl.any_horizontal(pl.col("code").str.starts_with(prefix) for prefix in prefixes)
            if prefixes
            else pl.lit(False)
        ).then(pl.lit(name))
    return (
        events.with_columns(modality.otherwise(None).alias("modality"))
        .join(samples.lazy(), on="subject_id", how="inner", maintain_order="left")
        .with_columns(_reason(task).alias("reason"))
    )


def joined_reports(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Add up the reports of windows on different samples of a task.

    Args:
        reports: At least one.
    """

    def total(*place: str) -> Counter[str]:
        found: Counter[str] = Counter()
        for report in reports:
            for key in place:
                report = report[key]
            found.update(report)
        return found

    return {
        "task": reports[0]["task"],
        "samples": sum(report["samples"] for report in reports),
        "events": dict(total("events")),
        "samples_with": dict(total("samples_with")),
        "left_out": dict(sorted(total("left_out").items())),
        **_deidentified(reports),
        "blinded": {
            "notes": sum(report["blinded"]["notes"] for report in reports),
            "words": _descending(total("blinded", "words")),
        },
        "measurements": {
            name: dict(sorted(total("measurements", name).items())) for name in reports[0]["measurements"]
        },
        **({"no_image_fits": dict(total("no_image_fits"))} if "no_image_fits" in reports[0] else {}),
    }


def _deidentified(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    told = [report["deidentified"] for report in reports if "deidentified" in report]
    if not told:
        return {}
    replaced: Counter[str] = Counter()
    for one in told:
        replaced.update(one["replaced"])
    notes = sum(one["notes"] for one in told)
    return {"deidentified": told[0] | {"notes": notes, "replaced": _descending(replaced)}}


def _descending(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _reason(task: Task) -> pl.Expr:
    """Say why an event is left out; null if it stays."""
    time, now, days = pl.col("time"), pl.col("prediction_time"), task.window_days
    hidden = pl.any_horizontal(
        pl.lit(False), *(pl.col("code").str.starts_with(prefix) for prefix in task.blinded.codes)
    )
    early = pl.lit(False) if days is None else time <= now - timedelta(days=days)
    return (
        pl.when(pl.col("modality").is_null())
        .then(pl.lit("no modality of the task takes its code"))
        .when(time > now)
        .then(pl.lit("after prediction_time"))
        .when(early)
        .then(pl.lit("before the window"))
        .when(hidden)
        .then(pl.lit("its code is blinded"))
        .otherwise(None)
    )


def _deidentify(task: Task, events: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Replace identifiers in every text but paths of images; a note in two windows is read once and counts twice."""
    if task.deidentify is None:
        return events, {}
    deidentifier, report = Deidentifier(task.deidentify), Deidentification()
    known: dict[str, tuple[str, Deidentification]] = {}
    texts: list[str | None] = []
    for code, text in events.select("code", "text_value").iter_rows():
        if text is None or code.startswith(FILE_CODES):
            texts.append(text)
            continue
        if text not in known:
            own = Deidentification()
            known[text] = deidentifier(text, own), own
        clean, own = known[text]
        report.notes += own.notes
        report.replaced.update(own.replaced)
        texts.append(clean)
    told = {
        "rules": task.deidentify.describe(),
        "notes": report.notes,
        "replaced": _descending(report.replaced),
    }
    return events.with_columns(pl.Series("text_value", texts, dtype=pl.String)), {"deidentified": told}


def _blind(task: Task, events: pl.DataFrame) -> tuple[pl.DataFrame, BlindingReport]:
    """Replace the blinded words in every text but the paths of images; a note in two windows counts twice."""
    blinder, report = Blinder(task.blinded.words), BlindingReport()
    texts = [
        text if text is None or code.startswith(FILE_CODES) else blinder(text, report)
        for code, text in events.select("code", "text_value").iter_rows()
    ]
    return events.with_columns(pl.Series("text_value", texts, dtype=pl.String)), report
