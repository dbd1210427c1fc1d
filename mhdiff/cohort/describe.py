"""Who is in a cohort, in numbers that name nobody: every count from 1 to 4 is written "<5"."""

from __future__ import annotations

from typing import Any

import polars as pl

from mhdiff.cohort.cohort import Cohort
from mhdiff.cohort.people import sexes
from mhdiff.cohort.task import Task

SMALL = 5


def cell(count: int) -> int | str:
    """Give a count, or "<5" where it could point to a person.

    Args:
        count: Number of people, samples or words.
    """
    return f"<{SMALL}" if 0 < count < SMALL else count


def describe(cohort: Cohort, task: Task | None = None) -> dict[str, Any]:
    """Describe a cohort, and a task on it.

    Args:
        cohort: The cohort.
        task: Its labels, samples and modality patterns are described too.
    """
    stated = sexes(cohort)
    sites = cohort.sites.join(cohort.splits, on="subject_id", how="left")
    document: dict[str, Any] = {
        "name": cohort.name,
        "kind": cohort.kind,
        "fingerprint": cohort.fingerprint,
        "events": cohort.scan().select(pl.len()).collect().item(),
        "codes": len(cohort.codes),
        "subjects": len(sites),
        "subjects_by_split": _counts(sites["split"]),
        "subjects_by_site": _counts(sites["site"]),
        "subjects_by_sex": {**_counts(stated["sex"]), "not stated": cell(len(sites) - len(stated))},
        "labels": cohort.label_names,
    }
    if task is not None:
        document["task"] = _describe_task(cohort, task)
    return document


def _describe_task(cohort: Cohort, task: Task) -> dict[str, Any]:
    samples, window = task.samples(cohort), task.window(cohort)
    labels: dict[str, dict[str, Any]] = {}
    for split in ("train", "tuning", "held_out"):
        part = samples.filter(pl.col("split") == split)
        labels[split] = {}
        for index, name in enumerate(task.classes):
            own = part.filter(pl.col("label") == index)
            labels[split][name] = {"samples": cell(len(own)), "subjects": cell(own["subject_id"].n_unique())}
    held: dict[int, set[str]] = {i: set() for i in samples["sample_id"]}
    for sample, modality in window.events.select("sample_id", "modality").unique().iter_rows():
        held[sample].add(modality)
    patterns = pl.Series(
        "pattern", ["+".join(m for m in task.modalities if m in own) or "none" for own in held.values()]
    )
    report = window.report
    return {
        "name": task.name,
        "classes": list(task.classes),
        "samples": len(samples),
        "subjects": samples["subject_id"].n_unique(),
        "samples_by_site": _counts(samples["site"]),
        "labels_by_split": labels,
        "modality_patterns": _counts(patterns),
        "samples_with": {m: cell(n) for m, n in report["samples_with"].items()},
        "events": report["events"],
        "left_out": report["left_out"],
        "blinded": {
            "notes": cell(report["blinded"]["notes"]),
            "words": {word: cell(n) for word, n in report["blinded"]["words"].items()},
        },
    }


def _counts(values: pl.Series) -> dict[str, int | str]:
    counted = values.fill_null("none").value_counts().rows()
    return {str(value): cell(n) for value, n in sorted(counted, key=lambda row: (-row[1], str(row[0])))}


def text(document: dict[str, Any]) -> str:
    """Give the description for a person to read.

    Args:
        document: What `describe` gives.
    """
    lines = [
        f"{document['name']} ({document['kind']}), fingerprint {document['fingerprint'][:12]}",
        f"{document['subjects']} subjects, {document['events']} events, {document['codes']} codes",
        *(
            f"Subjects by {what}: {_join(document[f'subjects_by_{what}'])}"
            for what in ("split", "site", "sex")
        ),
        f"Labels: {', '.join(document['labels']) or 'none'}",
    ]
    if task := document.get("task"):
        lines += ["", f"Task {task['name']}: {task['samples']} samples of {task['subjects']} subjects"]
        for split, classes in task["labels_by_split"].items():
            parts = [f"{name} {n['samples']} ({n['subjects']} subjects)" for name, n in classes.items()]
            lines.append(f"  {split:<9} " + ", ".join(parts))
        for title, key in (
            ("Samples by site", "samples_by_site"),
            ("Modality patterns", "modality_patterns"),
            ("Samples with", "samples_with"),
            ("Events", "events"),
            ("Left out", "left_out"),
        ):
            lines.append(f"  {title}: {_join(task[key])}")
        blinded = task["blinded"]
        lines.append(f"  Blinded: {blinded['notes']} notes; {_join(blinded['words'])}")
    return "\n".join(lines)


def _join(counts: dict[str, int | str]) -> str:
    return ", ".join(f"{name} {n}" for name, n in counts.items()) or "nothing"
