"""Put labels into a cohort's folder: the folder is replaced at once, by one whose other files are the same ones."""

from __future__ import annotations

import json
import os
import shutil
from typing import Any

import numpy as np

from mhdiff.cohort import meds
from mhdiff.cohort.cohort import Cohort
from mhdiff.cohort.import_report import SMALL_CLASS
from mhdiff.cohort.outcome import label
from mhdiff.cohort.suppress import cell, protect
from mhdiff.cohort.task import Task
from ontology import Ontology
from ontology.files import atomic_directory


def relabel(cohort: Cohort, task: Task, ontology: Ontology) -> dict[str, Any]:
    """Write the labels of a task with an outcome into a cohort.

    Args:
        cohort: The cohort; its folder gets `labels/<task.labels>.parquet` and a new fingerprint.
        task: The task.
        ontology: Says which codes are the outcome.

    Returns:
        The counts of `outcome.label`, which are kept in the cohort's metadata too.

    Raises:
        InputError: If the labels cannot be made; the cohort stays as it is.
    """
    made = label(cohort, task, ontology)
    report = made.report | {"ontology": {"name": ontology.name, "fingerprint": ontology.fingerprint}}
    place = cohort.path.resolve()  # a link to the folder stays one
    with atomic_directory(place, marker=meds.MARKER) as folder:
        shutil.copytree(place, folder, dirs_exist_ok=True, copy_function=link)
        meds.write_labels(folder, task.labels, made.labels)
        document = json.loads((folder / meds.MARKER).read_text(encoding="utf-8"))
        ours = dict(document.get("mhdiff") or {"kind": cohort.kind})
        ours["labels"] = {**ours.get("labels", {}), task.labels: report}
        ours["fingerprint"] = meds.fingerprint(folder)
        document["mhdiff"] = ours
        (folder / meds.MARKER).unlink()  # or the old folder's file would be written through the link
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        (folder / meds.MARKER).write_text(text, encoding="utf-8")
    return report


def link(source: str, target: str) -> None:
    """Link a file, or copy it on a file system without hard links.

    Args:
        source: The file.
        target: Where it should be, too.
    """
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def told(report: dict[str, Any]) -> dict[str, Any]:
    """Give the counts as they may be shown: those of fewer than five patients, and others with them, hidden.

    The cohort's own metadata keep the exact ones, beside the patients themselves.

    Args:
        report: What `relabel` gave.
    """
    asked, excluded, classes = report["predictions"], report["excluded"], report["classes"]
    out, own = len(excluded), len(classes)
    # excluded + labelled = asked, and the classes = labelled
    relations = np.array([[1] * out + [0] * own + [1, -1], [0] * out + [1] * own + [-1, 0]], dtype=float)
    counts = [
        *excluded.values(),
        *(n["samples"] for n in classes.values()),
        asked["labelled"],
        asked["asked"],
    ]
    people = [*counts[:out], *(n["patients"] for n in classes.values()), *counts[-2:]]
    values, whom = np.array(counts, dtype=np.int64), np.array(people, dtype=np.int64)
    shown = protect(values, whom, relations, fixed=[len(counts) - 1], margins=[len(counts) - 2])
    return report | {
        "outcomes": {what: cell(n) for what, n in report["outcomes"].items()},
        "predictions": asked | {"labelled": shown[-2]},
        "excluded": dict(zip(excluded, shown, strict=False)),
        "classes": {
            name: dict.fromkeys(n, n_shown) if isinstance(n_shown, str) else n
            for (name, n), n_shown in zip(classes.items(), shown[out:-2], strict=True)
        },
    }


def text(report: dict[str, Any]) -> str:
    """Give the counts for a person to read.

    Args:
        report: What `told` gave.
    """
    asked, classes = report["predictions"], report["classes"]
    lines = [
        f"Labels {report['labels']} of task {report['task']}, with {report['ontology']['name']}",
        f"Outcome: {report['outcomes']['events']} events of {report['outcomes']['patients']} patients, by "
        f"{len(report['codes'])} codes",
        *(f"  {code}  {description or ''}" for code, description in report["codes"].items()),
        f"Predictions: {asked['asked']} of {asked['patients']} patients, {asked['labelled']} are labelled",
        *(f"  {n:>6}  left out: {reason}" for reason, n in report["excluded"].items()),
        *(f"  {n['samples']:>6}  {name}, of {n['patients']} patients" for name, n in classes.items()),
    ]
    small = [
        f"{name} ({n['patients']})"
        for name, n in classes.items()
        if isinstance(n["patients"], str) or n["patients"] < SMALL_CLASS
    ]
    if small:
        lines.append(f"Classes with fewer than {SMALL_CLASS} patients, or not shown: " + ", ".join(small))
    return "\n".join(lines)
