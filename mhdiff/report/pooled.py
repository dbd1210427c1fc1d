"""Runs that `mhdiff evaluate` pooled: how they are told, how they are made again, and what only each of them has."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from mhdiff.report.documents import Document, Missing
from mhdiff.report.text import number, plural


def runs_of(facts: Document) -> list[Document]:
    """Give the runs behind a folder, in their order; none where it is a run itself.

    Args:
        facts: run.json.
    """
    return list((facts.get("pooled") or {}).get("runs") or [])


def evaluation(facts: Document, folder: Path) -> list[str]:
    """Give the command that makes metrics.json.

    Args:
        facts: run.json.
        folder: The run's folder, or that of pooled runs.
    """
    made_from = (facts.get("pooled") or {}).get("from")
    return ["mhdiff", "evaluate", *(map(str, made_from) if made_from else [])] + (
        ["--out", str(folder)] if made_from else [str(folder)]
    )


def of_each(facts: Document, part: str, verb: str) -> Missing:
    """Say that a part is each run's own.

    Args:
        facts: run.json.
        part: What the reader will not find.
        verb: The command that shows it of one run.
    """
    runs = runs_of(facts)
    told = f"{plural(len(runs), 'run')} {'was' if len(runs) == 1 else 'were'} pooled; each has its own"
    return Missing(part, told, f"{verb} {shlex.quote(str(runs[0]['folder']))}")


def trainings(facts: Document) -> list[tuple[str, list[str]]]:
    """Give the commands that train the runs again; none for an arm, whose ablation does.

    Args:
        facts: run.json.
    """
    made_from = list((facts.get("pooled") or {}).get("from") or [])
    if "--arm" in made_from:
        return []
    return [
        (
            f"training of {run}, in a new folder",
            ["mhdiff", "fit", "-c", f"{run}/config.yaml", "--out", f"{run}-again"],
        )
        for run in map(str, made_from)
    ]


def ablation_of(facts: Document) -> Path | None:
    """Give the folder of the ablation whose arm was pooled.

    Args:
        facts: run.json.
    """
    made_from = list((facts.get("pooled") or {}).get("from") or [])
    return Path(str(made_from[0])) if "--arm" in made_from else None


def who(facts: Document) -> str:
    """Name what predicted, as a headline does.

    Args:
        facts: run.json.
    """
    runs = runs_of(facts)
    return "the model" if len(runs) < 2 else f"{len(runs)} models, each on the patients held out from it,"


def notes(facts: Document) -> list[str]:
    """Say how several models were evaluated as one.

    Args:
        facts: run.json.
    """
    runs = len(runs_of(facts))
    if runs < 2:
        return []
    return [
        f"{runs} trainings pooled, whose times are added up: each patient is predicted by the one that never saw "
        "them, at thresholds from its own tuning split"
    ]


def span(values: list[Any]) -> str:
    """Write numbers of several models as the smallest and the largest.

    Args:
        values: The numbers; None where a model has none.
    """
    known = sorted(value for value in values if value is not None)
    if not known:
        return number(None)
    low, high = number(known[0]), number(known[-1])
    return low if low == high else f"{low} to {high}"
