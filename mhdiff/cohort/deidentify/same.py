"""Whether a graph and a run read notes as the task says today: both keep the rules, and other ones are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from mhdiff.cohort.task import Task, task_file
from ontology.errors import InputError

#: Of a model that was exported: it is read with lists of names of another place.
NOT_STORED: Final = object()


def check_rules(task: Task, named: str, graph: Path | str, report: dict[str, Any], stored: object) -> None:
    """Refuse a graph or a run whose notes were de-identified in another way.

    Args:
        task: The task.
        named: Its name or file, for messages.
        graph: The graph's folder, for messages.
        report: The report of the graph's evidence.
        stored: The rules that the run keeps, None for none, or `NOT_STORED`.

    Raises:
        InputError: If they differ from the task's.
    """
    here = None if task.deidentify is None else task.deidentify.describe()
    if report.get("window", {}).get("deidentified", {}).get("rules") != here:
        raise InputError(
            "the graph was built from notes that were de-identified in another way than the task now says",
            path=graph,
            remedy="Build it again: mhdiff graph build --ontology ... --cohort ... --task ... --out ...",
        )
    if stored is not NOT_STORED and stored != here:
        raise InputError(
            "the run was trained on notes that were de-identified in another way than the task now says",
            path=task_file(named),
            remedy="Put the task and its lists back as they were, or train again",
        )
