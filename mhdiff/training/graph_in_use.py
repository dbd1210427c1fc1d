"""The graph that is trained on: opened, and held against the cohort, the task and the ontology in use."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import polars as pl

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


def check_samples(graph: PatientGraph, samples: pl.DataFrame, path: str) -> None:
    """Refuse a graph whose samples are numbered otherwise: evidence would go to other patients.

    Args:
        graph: The graph in use.
        samples: The task's samples: sample_id, subject_id and prediction_time.
        path: The graph's folder, for messages.

    Raises:
        InputError: If a sample is not the graph's of its number, as after a change of whom the task includes.
    """
    keys = ["sample_id", "subject_id", "prediction_time"]
    known, asked = (
        table.select(*keys[:2], pl.col(keys[2]).cast(pl.Datetime("us"))) for table in (graph.samples, samples)
    )
    strangers = asked.join(known, on=keys, how="anti").height
    if strangers:
        raise InputError(
            f"{strangers} samples of the task are not those of the graph: the task was another one when it was built",
            path=path,
            remedy="Build it again: mhdiff graph build --ontology ... --cohort ... --task ... --out ...",
        )
