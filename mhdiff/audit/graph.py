"""Does a graph that was built earlier still show what the task hides today? Evidence outlives its task."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from mhdiff.audit.finding import FAILURE, WARNING, Check, Finding, cases
from mhdiff.audit.material import Material

_MOMENT = pl.Datetime("us")


def check(material: Material, folder: str | Path) -> Check:
    """Hold a graph's evidence against the task's prediction times and blinded concepts.

    Args:
        material: What is audited.
        folder: What `mhdiff graph build` wrote.

    Raises:
        InputError: If it is no graph.
    """
    from graph_builders import PatientGraph

    graph = PatientGraph.open(folder)
    evidence = graph.evidence.table.join(graph.samples.select("sample_id", "subject_id"), on="sample_id")
    found = [*_late(material, graph.samples, evidence), *_named(material, evidence)]
    if graph.meta["cohort"]["fingerprint"] != material.cohort.fingerprint:
        told = "it was built from another state of the cohort: build it again"
        found.append(Finding("stale_graph", WARNING, told))
    table = graph.meta.get("analytes")
    if table and table["sha256"] != material.task.measures.digest_for(material.cohort.codes["code"]):
        told = "its numbers were read by another table of analytes than the task has: build it again"
        found.append(Finding("stale_graph", WARNING, told))
    return Check(
        "graph",
        "Does the graph show what the task hides?",
        f"{evidence.height:,} pieces of evidence of {graph.samples.height:,} samples",
        found,
    )


def _late(material: Material, samples: pl.DataFrame, evidence: pl.DataFrame) -> list[Finding]:
    """Samples are numbered in the order of patient and time, so a sample is the one of its number today."""
    today = material.samples.select("sample_id", "subject_id", t=pl.col("prediction_time").cast(_MOMENT))
    strangers = samples.join(today, on=["sample_id", "subject_id"], how="anti")
    found = []
    if strangers.height:
        told = f"{strangers.height:,} of its samples are none of the task's: build it again"
        found.append(Finding("stale_graph", FAILURE, told))
    late = evidence.join(today, on=["sample_id", "subject_id"]).filter(pl.col("time") > pl.col("t"))
    if late.height:
        rows = late.select("subject_id", "source").unique().sort("subject_id", "source")
        told = f"in the graph, {late.height:,} pieces of evidence of {late['sample_id'].n_unique():,} samples"
        found.append(
            Finding("after_prediction_time", FAILURE, told, cases((s, None, c) for s, c in rows.iter_rows()))
        )
    return found


def _named(material: Material, evidence: pl.DataFrame) -> list[Finding]:
    hidden = set(material.hidden)
    if material.ontology is not None:
        from graph_builders.collect import blinded_closure

        hidden |= set(blinded_closure(material.ontology, hidden)[0].tolist())
    shown = evidence.filter(pl.col("concept").is_in(sorted(hidden)))
    if shown.is_empty():
        return []
    rows = shown.select("subject_id", "source").unique().sort("subject_id", "source")
    told = f"{shown.height:,} pieces of evidence for {shown['concept'].n_unique():,} blinded concepts: build it again"
    return [Finding("stale_graph", FAILURE, told, cases((s, None, c) for s, c in rows.iter_rows()))]
