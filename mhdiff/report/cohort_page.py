"""A cohort as one page: who is in it, what their records are made of, and a task's labels and modalities."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from mhdiff.cohort.suppress import FEW, HIDDEN, Told
from mhdiff.cohort.unit_coverage import OUTCOMES
from mhdiff.report.page import render
from mhdiff.report.section import Section
from mhdiff.report.table import Cell, Table
from mhdiff.report.text import count, percent, words
from mhdiff.report.upset import upset
from ontology.files import atomic_write

WHO = ("split", "site", "sex", "age")
_SECTIONS = (Section("who", "Who is in it"), Section("records", "What the records are made of"))
_TASK = (
    Section("labels", "Who has which label"),
    Section("modalities", "Which modalities are there together"),
    Section("window", "What the task reads"),
)
_LAST = (Section("repeat", "To repeat it"),)


def write_cohort(document: dict[str, Any], cohort: Path, out: Path, task: str | None = None) -> Path:
    """Write the page, whole or not at all.

    Args:
        document: What `mhdiff.cohort.describe.describe` gives.
        cohort: The cohort's folder, for the command.
        out: The HTML file.
        task: The task as it was named, for the command.

    Returns:
        The file.
    """
    atomic_write(out, render(context(document, cohort, out, task), "cohort.html.jinja"))
    return out


def context(document: dict[str, Any], cohort: Path, out: Path, task: str | None) -> dict[str, Any]:
    """Give everything that the template shows.

    Args:
        document: What `mhdiff.cohort.describe.describe` gives.
        cohort: The cohort's folder.
        out: The HTML file that will be written.
        task: The task as it was named.
    """
    own = document.get("task")
    command = [
        "mhdiff",
        "cohort",
        "info",
        str(cohort),
        *(["--task", task] if task else []),
        "--html",
        str(out),
    ]
    return {
        "title": f"Cohort: {document['name']}",
        "sections": _SECTIONS + (_TASK if own else ()) + _LAST,
        "headline": _headline(document),
        "missing": [],
        "few": FEW,
        "hidden": HIDDEN,
        "who": [_one_way(name, document[f"subjects_by_{name}"]) for name in WHO],
        "when": document["span"],
        "vocabularies": _vocabularies(document["coverage"]["vocabularies"]),
        "numbers": _numbers(document["coverage"]["numbers"]),
        "units": _units(document["coverage"]["units"]),
        "task": own,
        "labels": [_two_way(own, name) for name in WHO] if own else [],
        "picture": upset(own["modality_patterns"], own["samples_with"]) if own else "",
        "patterns": _counts("patterns", "The same in figures.", "Pattern", own["modality_patterns"]) if own else None,
        "events": _counts("events", "Events by modality.", "Modality", own["events"]) if own else None,
        "left_out": _counts("left-out", "Pairs of a sample and an event that it is not shown.", "Why", own["left_out"])
        if own
        else None,
        "blinded": _counts("blinded", "Words that were taken out of notes.", "Word", own["blinded"]["words"])
        if own
        else None,
        "fingerprints": [("cohort (SHA-256)", document["fingerprint"])],
        "commands": [("this page", shlex.join(command))],
    }  # fmt: skip


def _headline(document: dict[str, Any]) -> str:
    subjects, events, codes = (count(document[what]) for what in ("subjects", "events", "codes"))
    told = f"{subjects} patients, {events} events of {codes} codes"
    if task := document.get("task"):
        told += f"; {count(task['samples'])} samples of {count(task['subjects'])} patients for {words(task['name'])}"
    return f"{told}."


def _one_way(name: str, counts: dict[str, Told]) -> Table:
    whole = max([1, *(n for n in counts.values() if isinstance(n, int))])
    rows: list[list[str | Cell]] = [
        [row, Cell(count(n), meter=round(100 * n / whole, 2) if isinstance(n, int) else None)]
        for row, n in counts.items()
    ]
    return Table(
        f"who-{name}",
        f"Patients by {name}.",
        (name.capitalize(), "Patients"),
        rows,
        ("Patients",),
        whole=True,
    )


def _two_way(task: dict[str, Any], name: str) -> Table:
    heads = [*task["classes"], "all"]
    rows: list[list[str | Cell]] = [
        [row, *(count(cells[head]) for head in heads)] for row, cells in task[f"labels_by_{name}"].items()
    ]
    rows.append(["all", *(count(n) for n in task["labels"].values()), ""])
    told = f"Patients by {name} and label; somebody of several labels counts with each."
    return Table(f"labels-{name}", told, (name.capitalize(), *heads), rows, tuple(heads))


def _vocabularies(rows: list[dict[str, Any]]) -> Table:
    heads = ("Vocabulary", "Events", "Codes", "Patients", "With a name", "With parents")
    cells: list[list[str | Cell]] = [
        [Cell(row["vocabulary"], kind="code"), count(row["events"]), count(row["codes"]), count(row["people"]),
         percent(row["described"] / row["codes"]), percent(row["placed"] / row["codes"])]
        for row in rows
    ]  # fmt: skip
    return Table("vocabularies", "Events by the vocabulary of their code.", heads, cells, heads[1:])


def _numbers(found: dict[str, Any]) -> list[tuple[str, str]]:
    facts = [
        ("events with a number", count(found["events"])),
        ("with a unit", percent(found["with_unit"])),
        ("with a unit of UCUM", percent(found["with_ucum_unit"])),
        ("with a reference range", percent(found["with_range"])),
        ("codes with numbers", count(found["codes"])),
        ("of them without a unit", count(found["codes_without_unit"])),
    ]
    if found["strange_units"]:
        told = ", ".join(f"{unit} {count(n)}" for unit, n in found["strange_units"].items())
        facts.append(("units that UCUM does not know", told))
    return facts


def _units(found: dict[str, Any]) -> Table | None:
    if not found["analytes"]:
        return None
    heads = ("Analyte", "Unit", "Codes", "Numbers", *(words.capitalize() for words in OUTCOMES.values()))
    rows: list[list[str | Cell]] = [
        [row["analyte"], Cell(row["unit"], kind="code") if row["unit"] else "", count(row["codes"]),
         *(count(row[name]) for name in ("events", *OUTCOMES))]
        for row in found["analytes"]
    ]  # fmt: skip
    rows.append(["all", "", "", *(count(found["all"][name]) for name in ("events", *OUTCOMES))])
    return Table(
        "units",
        "Numbers by what becomes of their unit when they are read.",
        heads,
        rows,
        heads[2:],
        whole=True,
    )


def _counts(id: str, caption: str, first: str, counts: dict[str, Told]) -> Table | None:
    if not counts:
        return None
    rows: list[list[str | Cell]] = [[name, count(n)] for name, n in counts.items()]
    return Table(id, caption, (first, "Count"), rows, ("Count",))
