"""From a cohort, a task and an ontology to the patients' graph: the one place where the three meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mhdiff import console

if TYPE_CHECKING:
    from graph_builders import PatientGraph, View
    from mhdiff.cohort import Cohort, Task
    from ontology import Ontology


def graph_of_cohort(ontology: Ontology, cohort: Cohort, task: Task, view: View | None = None) -> PatientGraph:
    """Collect the evidence of every sample and build the graph.

    Args:
        ontology: The ontology.
        cohort: The cohort.
        task: The task: which events may be read, and what is blinded.
        view: Which part of the ontology to keep.
    """
    from graph_builders import PatientGraph, View, collect_evidence

    view = view or View()
    view.types(ontology)  # an unknown relation is refused before any event is read
    samples, window = task.samples(cohort), task.window(cohort)
    console.say(f"{samples.height} samples, {window.events.height} events before their prediction times")
    evidence = collect_evidence(
        window.events,
        ontology,
        blinded=task.blinded.concepts,
        track=lambda notes: console.progress(notes, f"reading {len(notes)} notes"),
    )
    evidence.report["window"] = window.report
    if task.blinded.concepts and not evidence.report["blinded"]["concepts"]:
        console.say(
            f"warning: '{ontology.name}' has none of the {len(task.blinded.concepts)} concepts that task "
            f"'{task.name}' blinds: concepts that name the label may be among the evidence"
        )
    return PatientGraph.build(
        ontology,
        evidence,
        samples,
        list(task.modalities),
        view,
        cohort={"fingerprint": cohort.fingerprint, "kind": cohort.kind},
        task=task.name,
    )
