"""An outcome: labels from what happens to a subject later, for cohorts that bring none with them.

    outcome:
      concepts: [444814009]        # what is predicted, with all descendants in the ontology; blinded by themselves
      index: {every_days: 730, since: 2004-01-01}  # when is predicted; `since` is optional; or
                                   # {event: [VISIT//END], nth: 3}; or {date: 2015-01-01}
      history_days: 365            # at least so long under observation before it
      washout_days: 365            # no outcome so long before it; null: none ever before; 0: it may come again
      gap_days: 0                  # what happens so soon after it is no prediction
      horizon_days: 730            # and so long after that it is looked for

With t the prediction_time, an outcome at time e gives the second class of the task if t + gap < e <= t + gap +
horizon. Without one the label is the first class if the subject was under observation to the end of the horizon, and
no label if not: who left or died cannot be known to have stayed well. Under observation is between
OBSERVATION_PERIOD//START and //END, or, in a cohort without them, between a subject's first and last event.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from mhdiff.cohort import meds
from ontology.errors import InputError

if TYPE_CHECKING:
    from mhdiff.cohort.cohort import Cohort
    from mhdiff.cohort.task import Task
    from ontology import Ontology

START, END, DEATH = "OBSERVATION_PERIOD//START", "OBSERVATION_PERIOD//END", "MEDS_DEATH"
_MOST_DAYS: Final = 100_000  # 273 years; beyond the calendar nothing can be added
#: Why a prediction that could be made gets no label, in the order in which it is asked.
REASONS: Final = (
    "not under observation at the prediction time",
    "dead by the prediction time",
    "under observation for less than history_days before",
    "outcome already before the prediction time",
    "outcome within the gap",
    "died before the horizon's end, without the outcome",
    "observation ends before the horizon's end, without the outcome",
)


@dataclass(frozen=True)
class Outcome:
    """What is predicted, when, and how far ahead.

    Attributes:
        concepts: SCTIDs; with their descendants they are the outcome.
        horizon_days: Length of the window that is looked at.
        every_days: Predict from the end of the history on, at steps of this length.
        since: Of these steps, none before this day: records are thin before a hospital's system began, and then the
            year tells who has an outcome.
        event: Or at the nth time of an event whose code begins with one of these.
        nth: Which one, from 1.
        day: Or at the beginning of this day.
        history_days: Least time under observation before.
        washout_days: Time before in which there may be no outcome; None for ever.
        gap_days: Time after in which there may be none.
    """

    concepts: tuple[int, ...]
    horizon_days: float
    every_days: float | None = None
    since: date | None = None
    event: tuple[str, ...] = ()
    nth: int = 1
    day: date | None = None
    history_days: float = 0
    washout_days: float | None = None
    gap_days: float = 0

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Outcome:
        """Make an outcome of plain data.

        Args:
            content: The mapping as in the YAML file.

        Raises:
            ValueError: If a key is unknown, missing or of the wrong kind; the message says which.
        """
        known = ("concepts", "index", "horizon_days", "history_days", "washout_days", "gap_days")
        if not isinstance(content, dict):
            raise ValueError("'outcome' must be a mapping")
        if unknown := [str(key) for key in content if key not in known]:
            raise ValueError(f"'outcome' has the unknown key '{unknown[0]}'; it knows {', '.join(known)}")
        concepts = content.get("concepts")
        if not isinstance(concepts, list) or not concepts or not all(type(c) is int for c in concepts):
            raise ValueError("'outcome.concepts' must list SCTIDs as whole numbers")
        index = content.get("index")
        if not isinstance(index, dict) or set(index) not in (
            {"every_days"},
            {"every_days", "since"},
            {"event"},
            {"event", "nth"},
            {"date"},
        ):
            raise ValueError(
                "'outcome.index' must be {every_days: N, since: DAY}, {event: [PREFIX], nth: N} or {date: DAY}"
            )
        event, nth, day = index.get("event"), index.get("nth", 1), index.get("date")
        prefixes = event if isinstance(event, list) else []
        if "event" in index and (not prefixes or not all(isinstance(p, str) and p for p in prefixes)):
            raise ValueError("'outcome.index.event' must list prefixes of codes")
        if type(nth) is not int or nth < 1:
            raise ValueError("'outcome.index.nth' must be a whole number from 1")
        for key in ("date", "since"):
            if key in index and type(index[key]) is not date:
                raise ValueError(f"'outcome.index.{key}' must be a day such as 2015-01-01")
        washout = content.get("washout_days")
        return cls(
            tuple(concepts),
            _days(content.get("horizon_days"), "horizon_days", positive=True),
            every_days=_days(index["every_days"], "index.every_days", positive=True)
            if "every_days" in index
            else None,
            since=index.get("since"),
            event=tuple(prefixes),
            nth=nth,
            day=day,
            history_days=_days(content.get("history_days", 0), "history_days"),
            washout_days=None if washout is None else _days(washout, "washout_days"),
            gap_days=_days(content.get("gap_days", 0), "gap_days"),
        )


def _days(value: Any, name: str, *, positive: bool = False) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 <= value <= _MOST_DAYS or (positive and value == 0):
        raise ValueError(f"'outcome.{name}' must be a number of days{' above 0' if positive else ''}")
    return float(value)


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
        task: A task with `outcome` and two classes.
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
    codes = outcome_codes(cohort, outcome.concepts, ontology)
    events = cohort.scan().filter(pl.col("time").is_not_null())
    happened = events.filter(pl.col("code").is_in(list(codes))).select("subject_id", e="time").collect()
    seen = _observed(events)
    asked = _asked(outcome, events, seen)
    rows = _judge(outcome, asked, seen, happened, _deaths(events))
    kept = rows.filter(pl.col("reason").is_null())
    names = pl.when(pl.col("positive")).then(pl.lit(task.classes[1])).otherwise(pl.lit(task.classes[0]))
    labels = kept.select("subject_id", pl.col("t").alias("prediction_time"), names.alias("categorical_value"))
    report = _report(task, rows, labels, codes, happened)
    if empty := [name for name, n in report["classes"].items() if not n["samples"]]:
        counts = ", ".join(f"{n} {reason}" for reason, n in report["excluded"].items())
        raise InputError(
            f"no prediction of task '{task.name}' has the class '{empty[0]}' ({rows.height} could be made; "
            f"{counts or 'none excluded'})",
            path=cohort.path,
            remedy="Change the outcome's index, horizon_days or washout_days",
        )
    return Labelled(labels.sort("subject_id", "prediction_time"), report)


def outcome_codes(cohort: Cohort, concepts: tuple[int, ...], ontology: Ontology) -> dict[str, str | None]:
    """Give the codes of a cohort that stand for a concept or a descendant of it, with their descriptions.

    Args:
        cohort: The cohort.
        concepts: SCTIDs.
        ontology: The ontology.

    Raises:
        InputError: If the ontology holds none of the concepts, or no code stands for one.
    """
    from graph_builders.collect import blinded_closure, vocabulary_code

    closure, unknown = blinded_closure(ontology, concepts)
    if not len(closure):
        raise InputError(
            f"'{ontology.name}' holds none of the outcome's concepts: {', '.join(map(str, unknown))}",
            remedy="Find them with: mhdiff ontology search",
        )
    wanted = set(closure.tolist())
    found: dict[str, str | None] = {}
    for code, description, parents in cohort.codes.select("code", "description", "parent_codes").iter_rows():
        references = [vocabulary_code(reference) for reference in (*(parents or ()), code)]
        meant = {c for r in references if r is not None for c in ontology.concepts_of(r[1], r[0])}
        if meant & wanted:
            found[code] = description
    if not found:
        raise InputError(
            f"no code of the cohort is one of the outcome's {len(wanted)} concepts",
            path=cohort.path,
            remedy="See `mhdiff cohort info` and the concepts of the task's outcome",
        )
    return found


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
        return times.filter(nth)
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
    outcome: Outcome, asked: pl.DataFrame, seen: pl.DataFrame, happened: pl.DataFrame, deaths: pl.DataFrame
) -> pl.DataFrame:
    """Give subject_id, t, positive, and the reason of `REASONS` why there is no label."""
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
            positive=((pl.col("e") > opened) & (pl.col("e") <= closed)).any(),
        )
    )
    keys = ["subject_id", "t"]
    rows = (
        asked.join(within, on=keys, how="left")
        .join(near, on=keys, how="left")
        .join(deaths, on="subject_id", how="left")
    )
    rows = rows.with_columns(pl.col("prior", "soon", "positive").fill_null(False))
    short = pl.col("t") - pl.col("start") < timedelta(days=outcome.history_days)
    open_end = ~pl.col("positive") & (pl.col("end") < closed)
    dies = ~pl.col("positive") & (pl.col("died") <= closed).fill_null(False)
    conditions = (
        pl.col("start").is_null(), (pl.col("died") <= pl.col("t")).fill_null(False), short, pl.col("prior"),
        pl.col("soon"), dies, open_end,
    )  # fmt: skip
    reason = pl.coalesce(pl.when(c).then(pl.lit(r)) for c, r in zip(conditions, REASONS, strict=True))
    return rows.with_columns(reason=reason).select("subject_id", "t", "positive", "reason")


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
        "excluded": {reason: counted[reason] for reason in REASONS if reason in counted},
        "classes": classes,
    }
