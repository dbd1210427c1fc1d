"""Does anything from after prediction_time reach the inputs? What is dated after it, and what cannot be dated.

Whoever cuts at prediction_time can be right and still be deceived by the dates: a diagnosis without one, a laboratory
value of midnight that was taken at noon, a note that tells the end of the story.
"""

from __future__ import annotations

import polars as pl

from mhdiff.audit.finding import FAILURE, WARNING, Check, Finding, cases
from mhdiff.audit.material import Material
from mhdiff.cohort.outcome import DEATH, outcomes
from ontology.errors import InputError

_DAY = r"\b(?:19|20)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])\b"


def check(material: Material) -> Check:
    """Look for events from the future.

    Args:
        material: What is audited.
    """
    times = material.samples.select("sample_id", "prediction_time")
    events = material.inputs.join(times, on="sample_id", how="left")
    found = [
        *_late(events),
        *_undated(events, material),
        *_midnight(events),
        *_told(material, times),
        *_dead(material),
        *_happened(material),
    ]
    return Check(
        "time",
        "Does anything from after the prediction reach the inputs?",
        f"{events.height:,} events of {material.samples.height:,} samples; "
        f"facts without a time are {', '.join(material.thresholds.static)}",
        found,
    )


def _late(events: pl.DataFrame) -> list[Finding]:
    late = events.filter(pl.col("time") > pl.col("prediction_time"))
    if late.is_empty():
        return []
    told = f"{late.height:,} events of {late['sample_id'].n_unique():,} samples"
    return [Finding("after_prediction_time", FAILURE, told, _rows(late))]


def _undated(events: pl.DataFrame, material: Material) -> list[Finding]:
    static = pl.any_horizontal(
        pl.lit(False), *(pl.col("code").str.starts_with(p) for p in material.thresholds.static)
    )
    bare = events.filter(pl.col("time").is_null() & ~static)
    if bare.is_empty():
        return []
    told = (
        f"{bare.height:,} events of {bare['sample_id'].n_unique():,} samples, {_codes(bare)}. An event without a time "
        "passes every window: give it one, or name its prefix under `static` if it is a fact like sex"
    )
    return [Finding("undated", FAILURE, told, _rows(bare))]


def _midnight(events: pl.DataFrame) -> list[Finding]:
    """A day without an hour that was written as its first moment; ours are written as the last."""
    day = pl.col("time").dt.truncate("1d")
    same = events.filter(
        pl.col("time") == day,
        pl.col("prediction_time").dt.truncate("1d") == day,
        pl.col("prediction_time") > pl.col("time"),
    )
    if same.is_empty():
        return []
    told = (
        f"{same.height:,} events of {same['sample_id'].n_unique():,} samples, {_codes(same)}. If they are days without "
        "an hour they may be from later that day: date them to its end"
    )
    return [Finding("day_without_hour", WARNING, told, _rows(same))]


def _told(material: Material, times: pl.DataFrame) -> list[Finding]:
    days = (
        material.notes.select(
            "sample_id", "subject_id", "code", day=pl.col("text_value").str.extract_all(_DAY)
        )
        .explode("day")
        .drop_nulls("day")
        .with_columns(pl.col("day").str.to_date("%Y-%m-%d", strict=False))
        .join(times, on="sample_id")
        .filter(pl.col("day") > pl.col("prediction_time").dt.date())
    )
    if days.is_empty():
        return []
    told = (
        f"{days['sample_id'].n_unique():,} samples, {_codes(days)}. An appointment may be meant, or the note was "
        "written later than it says"
    )
    return [Finding("later_date_in_note", WARNING, told, _rows(days))]


def _dead(material: Material) -> list[Finding]:
    died = material.cohort.scan().filter(pl.col("code") == DEATH).group_by("subject_id")
    late = material.samples.join(died.agg(died=pl.col("time").min()).collect(), on="subject_id")
    late = late.filter(pl.col("died") <= pl.col("prediction_time"))
    if late.is_empty():
        return []
    told = f"{late.height:,} samples of {late['subject_id'].n_unique():,} patients"
    return [Finding("predicted_after_death", FAILURE, told, _rows(late.with_columns(code=pl.lit(DEATH))))]


def _happened(material: Material) -> list[Finding]:
    """Labels of an older event table: the outcome has been there already, which the task excludes."""
    outcome = material.task.outcome
    if outcome is None or outcome.washout_days is not None:
        return []
    if material.ontology is None:
        told = "whether the outcome had happened before: give --ontology"
        return [Finding("not_checked", WARNING, told)]
    try:
        found, _ = outcomes(material.cohort, outcome, material.ontology, material.task.path)
    except InputError as error:
        return [Finding("not_checked", WARNING, f"whether the outcome had happened before: {error.problem}")]
    first = found.sort("e").group_by("subject_id").agg(first=pl.col("e").first(), code=pl.col("code").first())
    late = material.samples.join(first, on="subject_id").filter(pl.col("first") <= pl.col("prediction_time"))
    if late.is_empty():
        return []
    told = f"{late.height:,} samples. Make the labels again: mhdiff cohort label"
    return [Finding("predicted_after_outcome", FAILURE, told, _rows(late))]


def _codes(events: pl.DataFrame) -> str:
    """Name the most frequent codes, which are no words of a patient."""
    counts = events["code"].value_counts().sort(["count", "code"], descending=[True, False])
    shown = [f"{code} {n:,}" for code, n in counts.head(3).iter_rows()]
    more = f" and {counts.height - 3} codes more" if counts.height > 3 else ""
    return f"codes {', '.join(shown)}{more}"


def _rows(events: pl.DataFrame) -> pl.DataFrame:
    each = events.select("subject_id", "code").unique().sort("subject_id", "code")
    return cases((subject, None, code) for subject, code in each.iter_rows())
