"""An outcome: labels from what happens to a subject later, for cohorts that bring none with them.

    outcome:
      concepts: [444814009]        # what is predicted, with all descendants in the ontology; blinded by themselves
                                   # and, or, united with them, ecl, concept_set, codes, answers: outcome_classes
      index: {every_days: 730, since: 2004-01-01}  # when is predicted; `since` is optional; or
                                   # {event: [VISIT//END], nth: 3, after_days: 1}; or {date: 2015-01-01}
      history_days: 365            # at least so long under observation before it
      washout_days: 365            # no outcome so long before it; null: none ever before; 0: it may come again
      gap_days: 0                  # what happens so soon after it is no prediction
      horizon_days: 730            # and so long after that it is looked for
      complete_at: [HOSPITAL_DISCHARGE] # optional: who leaves by one of these in the horizon was observed to its end

Days may be fractions: .25 is six hours. With t the prediction_time, an outcome at time e gives the second class of the
task if t + gap < e <= t + gap + horizon. Without one the label is the first class if the subject was under observation
to the end of the horizon, and no label if not: who left or died cannot be known to have stayed well. Under observation
is between OBSERVATION_PERIOD//START and //END, or, in a cohort without them, between a subject's first and last event.

In the place of `concepts`, `classes` may say what records each class (`mhdiff.cohort.outcome_classes`). Then any number
of classes is possible, and who has none of them in the horizon gets no label, unless one is `otherwise: true`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from mhdiff.cohort import meds
from mhdiff.cohort.inclusion import REASONS as NOT_INCLUDED
from mhdiff.cohort.inclusion import judge
from mhdiff.cohort.outcome_classes import Recorded, not_cut_short, recorded
from mhdiff.cohort.outcome_concepts import codes_of
from mhdiff.cohort.outcome_question import Outcome
from mhdiff.cohort.suppress import cell
from ontology.errors import InputError

if TYPE_CHECKING:
    from mhdiff.cohort.cohort import Cohort
    from mhdiff.cohort.task import Task
    from ontology import Ontology

START, END, DEATH = "OBSERVATION_PERIOD//START", "OBSERVATION_PERIOD//END", "MEDS_DEATH"
#: Why a prediction that could be made gets no label, in the order in which it is asked.
REASONS: Final = (
    "not under observation at the prediction time",
    "dead by the prediction time",
    "under observation for less than history_days before",
    "outcome already before the prediction time",
    "outcome within the gap",
    "died before the horizon's end, without the outcome",
    "observation ends before the horizon's end, without the outcome",
    "no class recorded within the horizon",
)


@dataclass(frozen=True)
class Labelled:
    """Labels, and how they came about.

    Attributes:
        labels: subject_id, prediction_time, categorical_value.
        report: Plain counts: predictions, excluded by reason, classes, codes that are the outcome.
    """

    labels: pl.DataFrame
    report: dict[str, Any]


def label(cohort: Cohort, task: Task, ontology: Ontology) -> Labelled:
    """Give every subject of a cohort its labels for a task with an outcome.

    Args:
        cohort: The cohort.
        task: A task with `outcome`.
        ontology: Says which codes are the outcome: by its maps and its hierarchy.

    Raises:
        InputError: If the task has no outcome, no code of the cohort is one, or a class stays empty.
    """
    outcome = task.outcome
    if outcome is None:
        raise InputError(
            f"task '{task.name}' has no 'outcome', so its labels must come from an adapter",
            remedy="Add an outcome to the task file: see docs/omop.md",
        )
    events = cohort.scan().filter(pl.col("time").is_not_null())
    happened, codes = outcomes(cohort, outcome, ontology, task.path)
    seen = _observed(events)
    asked = _asked(outcome, events, seen)
    rows = _judge(outcome, asked, seen, happened, _deaths(events), _over(outcome, events))
    if task.include is not None:
        left = judge(task.include, task, cohort, rows.rename({"t": "prediction_time"}))["not_included"]
        rows = rows.with_columns(reason=pl.coalesce(left.alias("reason"), "reason"))
    kept = rows.filter(pl.col("reason").is_null())
    others = outcome.otherwise or 0
    names = (
        pl.col("rank").fill_null(others).replace_strict(dict(enumerate(task.classes)), return_dtype=pl.String)
    )
    labels = kept.select("subject_id", pl.col("t").alias("prediction_time"), names.alias("categorical_value"))
    report = _report(task, rows, labels, codes, happened)
    if empty := [name for name, n in report["classes"].items() if not n["samples"]]:
        counts = ", ".join(f"{cell(n)} {reason}" for reason, n in report["excluded"].items())
        raise InputError(
            f"no prediction of task '{task.name}' has the class '{empty[0]}' ({rows.height} could be made; "
            f"{counts or 'none excluded'})",
            path=cohort.path,
            remedy="Change the outcome's index, horizon_days or washout_days",
        )
    return Labelled(labels.sort("subject_id", "prediction_time"), report)


def outcomes(
    cohort: Cohort, outcome: Outcome, ontology: Ontology, path: Path | None = None
) -> tuple[pl.DataFrame, dict[str, str | None]]:
    """Find the events that are the outcome, or a class of it.

    Args:
        cohort: The cohort.
        outcome: What is predicted.
        ontology: The ontology.
        path: The task's file, for messages.

    Returns:
        subject_id, code, e (its time) and rank (place of the class); and code -> description of the codes.

    Raises:
        InputError: If no event can be one, or an expression cannot be evaluated.
    """

    def find(name: str, own: Recorded) -> dict[str, str | None]:
        return codes_of(cohort, own, ontology, f"outcome.classes.{name}" if name else "outcome", path)

    if outcome.classes:
        return recorded(cohort, outcome.classes, find)
    if outcome.own is not None:
        if outcome.concepts:
            _held(ontology, outcome.concepts)
        not_cut_short(cohort, outcome.own, path)
        events, codes = recorded(cohort, {"": outcome.own}, find)
        return events.with_columns(rank=pl.lit(1, pl.Int64)), codes
    codes = outcome_codes(cohort, outcome.concepts, ontology)
    events = cohort.scan().filter(pl.col("time").is_not_null(), pl.col("code").is_in(list(codes))).collect()
    return events.select("subject_id", "code", e="time", rank=pl.lit(1, pl.Int64)), codes


def outcome_codes(cohort: Cohort, concepts: tuple[int, ...], ontology: Ontology) -> dict[str, str | None]:
    """Give the codes of a cohort that stand for a concept or a descendant of it, with their descriptions.

    Args:
        cohort: The cohort.
        concepts: SCTIDs.
        ontology: The ontology.

    Raises:
        InputError: If the ontology holds none of the concepts, or no code stands for one.
    """
    n = _held(ontology, concepts)
    found = codes_of(cohort, Recorded(concepts), ontology, "outcome")
    if not found:
        raise InputError(
            f"no code of the cohort is one of the outcome's {n} concepts",
            path=cohort.path,
            remedy="See `mhdiff cohort info` and the concepts of the task's outcome",
        )
    return found


def _held(ontology: Ontology, concepts: tuple[int, ...]) -> int:
    """Give how many concepts of an ontology are meant; none is an error."""
    from graph_builders.collect import blinded_closure

    closure, unknown = blinded_closure(ontology, concepts)
    if not len(closure):
        raise InputError(
            f"'{ontology.name}' holds none of the outcome's concepts: {', '.join(map(str, unknown))}",
            remedy="Find them with: mhdiff ontology search",
        )
    return len(closure)


def _observed(events: pl.LazyFrame) -> pl.DataFrame:
    """Give subject_id, start, end of each period under observation."""
    ends = events.filter(pl.col("code").is_in([START, END])).select("subject_id", "time", "code").collect()
    if ends.is_empty():
        real = events.filter(~pl.col("code").is_in([meds.BIRTH, DEATH]))
        return real.group_by("subject_id").agg(start=pl.col("time").min(), end=pl.col("time").max()).collect()
    place = pl.int_range(pl.len()).over("subject_id").alias("place")
    sides = [
        ends.filter(pl.col("code") == code)
        .sort("subject_id", "time")
        .select("subject_id", place, pl.col("time").alias(name))
        for code, name in ((START, "start"), (END, "end"))
    ]
    return sides[0].join(sides[1], on=["subject_id", "place"]).drop("place")


def _deaths(events: pl.LazyFrame) -> pl.DataFrame:
    dead = events.filter(pl.col("code") == DEATH).group_by("subject_id")
    return dead.agg(died=pl.col("time").min()).collect()


def _over(outcome: Outcome, events: pl.LazyFrame) -> pl.DataFrame:
    """Give subject_id and over, the times after which nothing is to be waited for."""
    ends = pl.any_horizontal(
        pl.lit(False), *(pl.col("code").str.starts_with(prefix) for prefix in outcome.complete_at)
    )
    return events.filter(ends).select("subject_id", over="time").collect()


def _asked(outcome: Outcome, events: pl.LazyFrame, seen: pl.DataFrame) -> pl.DataFrame:
    """Give subject_id and t, the times at which a prediction could be made."""
    if outcome.day is not None:
        day = datetime.combine(outcome.day, datetime.min.time())
        subjects = events.select(pl.col("subject_id").unique()).collect()
        return subjects.with_columns(t=pl.lit(day, pl.Datetime("us")))
    if outcome.event:
        begins = pl.any_horizontal(pl.col("code").str.starts_with(prefix) for prefix in outcome.event)
        times = (
            events.filter(begins).select("subject_id", t="time").unique().sort("subject_id", "t").collect()
        )
        nth = pl.int_range(1, pl.len() + 1).over("subject_id") == outcome.nth
        return times.filter(nth).with_columns(t=pl.col("t") + timedelta(days=outcome.after_days))
    assert outcome.every_days is not None
    first = pl.col("start") + timedelta(days=outcome.history_days)
    step = timedelta(days=outcome.every_days)
    steps = (pl.col("end") - first).dt.total_microseconds() // (step // timedelta(microseconds=1))
    rows = seen.filter(first <= pl.col("end")).with_columns(first=first, place=pl.int_ranges(0, steps + 1))
    times = rows.explode("place").select(
        "subject_id", t=(pl.col("first") + pl.col("place") * pl.lit(step)).cast(pl.Datetime("us"))
    )
    since = datetime.combine(outcome.since or date.min, datetime.min.time())
    return times.filter(pl.col("t") >= since).unique()


def _judge(
    outcome: Outcome,
    asked: pl.DataFrame,
    seen: pl.DataFrame,
    happened: pl.DataFrame,
    deaths: pl.DataFrame,
    over: pl.DataFrame,
) -> pl.DataFrame:
    """Give subject_id, t, the rank of the class, null for none, and the reason of `REASONS` why there is no label."""
    asked = asked.sort("subject_id", "t")
    within = asked.join(seen, on="subject_id").filter(
        pl.col("start") <= pl.col("t"), pl.col("t") <= pl.col("end")
    )
    within = within.group_by("subject_id", "t").agg(pl.col("start").min(), pl.col("end").max())
    opened = pl.col("t") + timedelta(days=outcome.gap_days)
    closed = opened + timedelta(days=outcome.horizon_days)
    before = pl.col("e") <= pl.col("t")
    if outcome.washout_days is not None:
        before &= pl.col("e") > pl.col("t") - timedelta(days=outcome.washout_days)
    near = (
        asked.join(happened, on="subject_id")
        .group_by("subject_id", "t")
        .agg(
            prior=before.any(),
            soon=((pl.col("e") > pl.col("t")) & (pl.col("e") <= opened)).any(),
            rank=pl.col("rank").filter((pl.col("e") > opened) & (pl.col("e") <= closed)).max(),
        )
    )
    keys = ["subject_id", "t"]
    rows = (
        asked.join(within, on=keys, how="left")
        .join(near, on=keys, how="left")
        .join(deaths, on="subject_id", how="left")
        .join(
            asked.join(over, on="subject_id")
            .filter(pl.col("over") > pl.col("t"), pl.col("over") <= closed)
            .select(*keys, complete=True)
            .unique(),
            on=keys,
            how="left",
        )
    )
    rows = rows.with_columns(pl.col("prior", "soon", "complete").fill_null(False))
    short = pl.col("t") - pl.col("start") < timedelta(days=outcome.history_days)
    none = pl.col("rank").is_null()
    open_end = none & (pl.col("end") < closed) & ~pl.col("complete")
    dies = none & (pl.col("died") <= closed).fill_null(False)
    conditions = (
        pl.col("start").is_null(), (pl.col("died") <= pl.col("t")).fill_null(False), short, pl.col("prior"),
        pl.col("soon"), dies, open_end, none & pl.lit(outcome.otherwise is None),
    )  # fmt: skip
    reason = pl.coalesce(pl.when(c).then(pl.lit(r)) for c, r in zip(conditions, REASONS, strict=True))
    return rows.with_columns(reason=reason).select("subject_id", "t", "rank", "reason")


def _report(
    task: Task, rows: pl.DataFrame, labels: pl.DataFrame, codes: dict[str, str | None], happened: pl.DataFrame
) -> dict[str, Any]:
    counted = dict(rows["reason"].drop_nulls().value_counts().iter_rows())
    classes = {}
    for name in task.classes:
        own = labels.filter(pl.col("categorical_value") == name)
        classes[name] = {"samples": own.height, "patients": own["subject_id"].n_unique()}
    return {
        "task": task.name,
        "labels": task.labels,
        "codes": codes,
        "outcomes": {"events": happened.height, "patients": happened["subject_id"].n_unique()},
        "predictions": {
            "asked": rows.height,
            "patients": rows["subject_id"].n_unique(),
            "labelled": labels.height,
        },
        "excluded": {reason: counted[reason] for reason in (*NOT_INCLUDED, *REASONS) if reason in counted},
        "classes": classes,
    }
