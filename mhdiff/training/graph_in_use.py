"""The graph that is trained on: opened, and held against the cohort, the task and the ontology in use."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from graph_builders import PatientGraph
from ontology.errors import InputError

if TYPE_CHECKING:
    from mhdiff.cohort import Cohort, Task
    from ontology import Ontology


def open_graph(
    path: str, cohort: Cohort, task: Task, ontology: Callable[[], Ontology] | None = None
) -> PatientGraph:
    """Open a graph that was built from what is in use.

    Args:
        path: The graph's folder.
        cohort: The cohort in use.
        task: The task in use.
        ontology: Opens the ontology in use; None where none was given.

    Raises:
        InputError: If there is no graph, or it was built from another cohort, task or ontology.
    """
    graph = PatientGraph.open(path)
    built_from = {"cohort": graph.meta["cohort"]["fingerprint"], "task": graph.meta["task"]}
    for what, here in (("cohort", cohort.fingerprint), ("task", task.name)):
        if built_from[what] != here:
            raise InputError(
                f"the graph was built from another {what} ({built_from[what][:12]}) than the one given ({here[:12]})",
                path=path,
                remedy="Build it again: mhdiff graph build --ontology ... --cohort ... --task ... --out ...",
            )
    if ontology is not None:
        graph.check_ontology(ontology())
    return graph
