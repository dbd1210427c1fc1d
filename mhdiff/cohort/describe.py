"""Who is in a cohort, in numbers that name nobody: `mhdiff.cohort.suppress` says which are shown.

All tables count people, and one who has several labels, or several ages, counts with each of them; of samples, of
which a person may have many, only the modalities they have are told.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import polars as pl

from mhdiff.cohort import meds
from mhdiff.cohort.cohort import Cohort
from mhdiff.cohort.coverage import coverage, span
from mhdiff.cohort.people import people, sexes
from mhdiff.cohort.suppress import FEW, HIDDEN, SMALL, Told, cell, one_way, ordered, protect, two_way
from mhdiff.cohort.task import Task
from mhdiff.cohort.unit_coverage import OUTCOMES

BANDS = ((0, 17), (18, 39), (40, 59), (60, 79), (80, None))
UNKNOWN = "not stated"
MOST_ROWS = 30  # of a table; what is rarer is put together
REST = "all others"
_NATURAL = ("split", "age")  # are in an order of their own


def describe(cohort: Cohort, task: Task | None = None) -> dict[str, Any]:
    """Describe a cohort, and a task on it.

    Args:
        cohort: The cohort.
        task: Its labels, samples and modality patterns are described too.
    """
    who = cohort.sites.join(cohort.splits.unique("subject_id", keep="first"), on="subject_id", how="left")
    document: dict[str, Any] = {
        "name": cohort.name,
        "kind": cohort.kind,
        "fingerprint": cohort.fingerprint,
        "events": cohort.scan().select(pl.len()).collect().item(),
        "codes": len(cohort.codes),
        "subjects": cell(len(who)),
    }
    first = _first_times(cohort, who)
    columns = {"split": who["split"].fill_null("none"), "site": who["site"], **_sex_and_age(cohort, first)}
    for name, values in columns.items():
        told = one_way(_counts(values, name))
        document[f"subjects_by_{name}"] = told if name in _NATURAL else ordered(told)
    document |= {"span": span(cohort), "labels": cohort.label_names}
    document["coverage"] = coverage(cohort, None if task is None else task.measures)
    if task is not None:
        document["task"] = _describe_task(cohort, task)
    return document


def _first_times(cohort: Cohort, who: pl.DataFrame) -> pl.DataFrame:
    """Give everybody's first event after birth, as a sample of its own."""
    timed = cohort.scan().filter(pl.col("time").is_not_null(), pl.col("code") != meds.BIRTH)
    first = timed.group_by("subject_id").agg(pl.col("time").min().alias("prediction_time")).collect()
    return who.join(first, on="subject_id", how="left").with_columns(sample_id=pl.col("subject_id"))


def _sex_and_age(cohort: Cohort, samples: pl.DataFrame) -> dict[str, pl.Series]:
    known = samples.select("sample_id").join(people(cohort, samples), on="sample_id", how="left")
    stated = sexes(cohort)
    if samples["subject_id"].n_unique() == samples.height:  # everybody, also those without any time
        known = samples.join(stated, on="subject_id", how="left").select("sample_id", "sex").join(
            known.drop("sex"), on="sample_id", how="left"
        )  # fmt: skip
    band: Any = pl.lit(UNKNOWN)
    for low, high in BANDS:
        inside = pl.col("age").is_between(low, high if high is not None else 1000)
        band = (
            pl.when(inside).then(pl.lit(f"{low}-{high}" if high is not None else f"{low}+")).otherwise(band)
        )
    told = known.select("sample_id", pl.col("sex").fill_null(UNKNOWN), age=band).sort("sample_id")
    order = samples.select("sample_id").join(told, on="sample_id", how="left", maintain_order="left")
    return {"sex": order["sex"], "age": order["age"]}


def _counts(values: pl.Series, name: str) -> dict[str, int]:
    """Count, in the order of age for ages and of frequency for everything else."""
    counted = dict(values.value_counts().iter_rows())
    return {key: counted[key] for key in _order(counted, name)} | _rest(counted, name)


def _order(counted: dict[str, int], name: str) -> list[str]:
    if name == "age":
        bands = [f"{low}-{high}" if high is not None else f"{low}+" for low, high in BANDS]
        return [band for band in (*bands, UNKNOWN) if band in counted]
    if name == "split":
        splits = (*meds.SPLITS, *sorted(set(counted) - set(meds.SPLITS)))
        return [split for split in splits if split in counted]
    frequent = sorted(counted, key=lambda key: (key == UNKNOWN, -counted[key], key))
    return frequent if len(frequent) <= MOST_ROWS else frequent[: MOST_ROWS - 1]


def _rest(counted: dict[str, int], name: str) -> dict[str, int]:
    left = sum(counted.values()) - sum(counted[key] for key in _order(counted, name))
    return {REST: left} if left else {}


def _describe_task(cohort: Cohort, task: Task) -> dict[str, Any]:
    samples, window = task.samples(cohort), task.window(cohort)
    report, classes = window.report, list(task.classes)
    labelled = samples.unique(["subject_id", "label"])
    whole = one_way({name: labelled.filter(pl.col("label") == i).height for i, name in enumerate(classes)})
    columns = {
        "split": samples["split"].fill_null("none"),
        "site": samples["site"],
        **_sex_and_age(cohort, samples),
    }
    patterns = _patterns(samples, window.events, list(task.modalities))
    with_it = patterns["samples_with"]
    return {
        "name": task.name,
        "classes": classes,
        "samples": len(samples),
        "subjects": cell(samples["subject_id"].n_unique()),
        "labels": whole,
        **{
            f"labels_by_{name}": _by_label(
                samples.with_columns(value=values), name, classes, list(whole.values())
            )
            for name, values in columns.items()
        },
        **patterns,
        "events": {m: n if isinstance(with_it[m], int) else with_it[m] for m, n in report["events"].items()},
        "left_out": {reason: cell(n) for reason, n in report["left_out"].items()},
        **(
            {"no_image_fits": {m: cell(n) for m, n in report["no_image_fits"].items()}}
            if task.choices
            else {}
        ),
        **(
            {"not_included": {r: cell(n) for r, n in task.not_included(cohort).items()}}
            if task.include
            else {}
        ),
        "blinded": {
            "notes": cell(report["blinded"]["notes"]),
            "words": ordered({word: cell(n) for word, n in report["blinded"]["words"].items()}),
        },
    }


def _by_label(
    samples: pl.DataFrame, name: str, classes: Sequence[str], whole: Sequence[Told]
) -> dict[str, dict[str, Told]]:
    """People by a value and their label; somebody of several values, such as ages, is put to the first."""
    first = samples.sort("sample_id").unique(["subject_id", "label"], keep="first", maintain_order=True)
    counted = dict(first["value"].value_counts().iter_rows())
    few = [value for value, n in counted.items() if n < SMALL]
    rows = [row for row in _order(counted, name) if name != "site" or len(few) < 2 or row not in few]
    shown = first.with_columns(
        pl.when(pl.col("value").is_in(rows)).then("value").otherwise(pl.lit(REST)).alias("value")
    )
    rows += [REST] if set(shown["value"]) - set(rows) else []
    table = np.zeros((len(rows), len(classes)), dtype=np.int64)
    for value, label, n in shown.group_by("value", "label").len().iter_rows():
        table[rows.index(value), label] = n
    cells, margins = two_way(table, whole)
    order = rows if name in _NATURAL else list(ordered(dict(zip(rows, margins, strict=True))))
    told = {
        row: {**dict(zip(classes, own, strict=True)), "all": margin}
        for row, own, margin in zip(rows, cells, margins, strict=True)
    }
    return {row: told[row] for row in order}


def _patterns(samples: pl.DataFrame, events: pl.DataFrame, modalities: list[str]) -> dict[str, Any]:
    """Samples by the modalities that they have, and by each; what few people have is hidden in both."""
    held: dict[int, set[str]] = {i: set() for i in samples["sample_id"]}
    for sample, modality in events.select("sample_id", "modality").unique().iter_rows():
        held[sample].add(modality)
    names = ["+".join(m for m in modalities if m in held[i]) or "none" for i in samples["sample_id"]]
    counted = (
        samples.select("subject_id", pattern=pl.Series(names, dtype=pl.String))
        .group_by("pattern")
        .agg(pl.len().alias("n"), pl.col("subject_id").n_unique().alias("people"))
        .sort(["n", "pattern"], descending=[True, False])
    )
    patterns = counted["pattern"].to_list()
    own = np.array([[m in pattern.split("+") for pattern in patterns] for m in modalities], dtype=np.float64)
    k, m = len(patterns), len(modalities)
    relations = np.zeros((m + 1, k + m + 1))
    relations[:m, :k], relations[m, :k] = own, 1
    relations[np.arange(m + 1), k + np.arange(m + 1)] = -1
    n = counted["n"].to_numpy()
    values = np.array([*n, *(own @ n), n.sum()], dtype=np.int64)
    with_it = [
        len({s for i, s in samples.select("sample_id", "subject_id").iter_rows() if one in held[i]})
        for one in modalities
    ]
    whom = np.array([*counted["people"], *with_it, samples["subject_id"].n_unique()], dtype=np.int64)
    told = protect(values, whom, relations, fixed=[k + m], margins=range(k, k + m))
    return {
        "modality_patterns": ordered(dict(zip(patterns, told[:k], strict=True))),
        "samples_with": dict(zip(modalities, told[k : k + m], strict=True)),
    }


def text(document: dict[str, Any]) -> str:
    """Give the description for a person to read.

    Args:
        document: What `describe` gives.
    """
    when, numbers = document["span"], document["coverage"]["numbers"]
    lines = [
        f"{document['name']} ({document['kind']}), fingerprint {document['fingerprint'][:12]}",
        f"{document['subjects']} subjects, {document['events']} events, {document['codes']} codes",
        *(
            f"Subjects by {what}: {_join(document[f'subjects_by_{what}'])}"
            for what in ("split", "site", "sex", "age")
        ),
        "Years: " + (f"{when['from']} to {when['to']}, days of a record {when['days'][0]} / {when['days'][1]} / "
                     f"{when['days'][2]} (quartiles)" if when["from"] else "of fewer than 5 subjects"),
        "Events: " + _join({row["vocabulary"]: row["events"] for row in document["coverage"]["vocabularies"]}),
        f"Numbers: {numbers['events']}; with a unit {_share(numbers['with_unit'])}, one of UCUM "
        f"{_share(numbers['with_ucum_unit'])}, with a range {_share(numbers['with_range'])}; units that UCUM does not "
        f"know: {_join(numbers['strange_units'])}",
        *_unit_lines(document["coverage"]["units"]),
        f"Labels: {', '.join(document['labels']) or 'none'}",
    ]  # fmt: skip
    if task := document.get("task"):
        lines += ["", f"Task {task['name']}: {task['samples']} samples of {task['subjects']} subjects"]
        lines.append(f"  Subjects by label: {_join(task['labels'])}")
        for name in ("split", "site", "sex", "age"):
            lines.append(f"  Subjects by {name} and label:")
            rows = task[f"labels_by_{name}"]
            lines += [f"    {row:<16} {_join(cells)}" for row, cells in rows.items()]
        for title, key in (
            ("Samples by modality pattern", "modality_patterns"),
            ("Samples with", "samples_with"),
            ("Events", "events"),
            ("Left out", "left_out"),
            ("Samples with images of which none fits", "no_image_fits"),
            ("Predictions", "not_included"),
        ):
            lines += [f"  {title}: {_join(task[key])}"] if key in task else []
        blinded = task["blinded"]
        lines.append(f"  Blinded: {blinded['notes']} notes; {_join(blinded['words'])}")
    if {FEW, HIDDEN} & set(chain.from_iterable(_cells(document))):
        lines += [
            "",
            f"{FEW}: of one to four people. {HIDDEN}: of one to four, or such a number could be reckoned from it.",
        ]
    return "\n".join(lines)


def _unit_lines(units: dict[str, Any]) -> list[str]:
    """Tell analytes that something is done to in a line each, and all others together."""
    if not units["analytes"]:
        return []
    plain, lines = {}, []
    for row in [*units["analytes"], {"analyte": "all", "unit": None, **units["all"]}]:
        name = f"{row['analyte']} ({row['unit']})" if row["unit"] else row["analyte"]
        told = {words: row[outcome] for outcome, words in OUTCOMES.items() if row[outcome]}
        if row["as_stated"] == row["events"] and list(told) == [OUTCOMES["as_stated"]]:
            plain[name] = row["events"]
        else:
            lines.append(f"  {name}: {row['events']}; {_join(told)}")
    alone = [f"  in their unit alone: {_join(plain)}"] if plain else []
    return ["Numbers by what becomes of their unit:", *lines, *alone]


def _cells(value: Any) -> list[set[str]]:
    if isinstance(value, dict):
        return [found for one in value.values() for found in _cells(one)]
    if isinstance(value, list):
        return [found for one in value for found in _cells(one)]
    return [{value}] if isinstance(value, str) else []


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _join(counts: dict[str, Told]) -> str:
    return ", ".join(f"{name} {n}" for name, n in counts.items()) or "nothing"
