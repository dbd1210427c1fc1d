"""From a cohort, a task and an ontology to the patients' graph: the one place where the three meet."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import polars as pl

from mhdiff import console
from mhdiff.cohort.suppress import cell
from mhdiff.evidence_stream import CHUNK, stream_evidence
from ontology.errors import InputError
from ontology.progress import step

if TYPE_CHECKING:
    from graph_builders import PatientGraph, Recipe, View
    from graph_builders.features_terms import MeanPooled
    from mhdiff.cohort import Cohort, Task
    from ontology import Ontology


def graph_of_cohort(
    ontology: Ontology,
    cohort: Cohort,
    task: Task,
    view: View | None = None,
    recipe: Recipe | None = None,
    split: str = "stored",
    split_seed: int = 0,
    workers: int = 1,
    chunk: int = CHUNK,
    scratch: Path | None = None,
) -> PatientGraph:
    """Collect the evidence of every sample and build the graph.

    Args:
        ontology: The ontology.
        cohort: The cohort.
        task: The task: which events may be read, and what is blinded.
        view: Which part of the ontology to keep, where there is no recipe.
        recipe: The view, and the edits and features that follow.
        split: Whose training samples count where the recipe prunes: `stored`, `site:<name>`, `after:<date>` or
            `fold:<i>/<k>`.
        split_seed: Seed of the folds.
        workers: How many processes read events.
        chunk: How many subjects' events are read at once.
        scratch: An empty folder for what is on its way; a temporary one of the system by default.

    Raises:
        InputError: If something named is not in the ontology, the cohort or the task.
    """
    from graph_builders import PatientGraph, Recipe

    recipe = recipe or (Recipe(view) if view else Recipe())
    recipe.view.check(ontology)  # what is not there is refused before any event is read
    encoders = {str(name): text_encoder(str(name)) for kind, name in recipe.features if kind == "term"}
    training = training_samples(cohort, task, split, split_seed) if recipe.prunes else []
    samples = task.samples(cohort)
    with nullcontext(scratch) if scratch else TemporaryDirectory(prefix="mhdiff-") as folder:
        evidence = stream_evidence(ontology, cohort, task, samples, Path(folder), workers, chunk)
    for reason, n in task.not_included(cohort).items():
        console.say(f"{cell(n)} predictions {reason}")
    console.say(f"{samples.height} samples, {evidence.report['events']} events before their prediction times")
    hidden = task.blinded_in(ontology)
    if hidden and not evidence.report["blinded"]["concepts"]:
        console.say(
            f"warning: '{ontology.name}' has none of the {len(hidden)} concepts that task "
            f"'{task.name}' blinds: concepts that name the label may be among the evidence"
        )
    with console.steps("building the graph"):
        graph = PatientGraph.build(
            ontology,
            evidence,
            samples,
            list(task.modalities),
            recipe.view,
            cohort={"fingerprint": cohort.fingerprint, "kind": cohort.kind},
            task=task.name,
            analytes=task.measures.digest_for(cohort.codes["code"]),
        )
        graph = recipe.apply(graph, ontology, training, encoders.__getitem__)
        step("what the graph looks like")
        return graph.named(ontology)


def training_samples(cohort: Cohort, task: Task, split: str, seed: int) -> list[int]:
    """Give the samples that a split trains on.

    Args:
        cohort: The cohort.
        task: The task.
        split: `stored`, `site:<name>`, `after:<date>` or `fold:<i>/<k>`.
        seed: Seed of the folds.

    Raises:
        InputError: If there is no such split, or it trains on nothing.
    """
    from mhdiff.cohort.splits import assign

    groups = None if split == "stored" else cohort.groups
    samples = assign(task.samples(cohort), split, seed, groups=groups)
    training = samples.filter(pl.col("split") == "train")["sample_id"].to_list()
    if not training:
        raise InputError(f"split '{split}' leaves no sample to train on", path=cohort.path)
    return training


def text_encoder(name: str) -> MeanPooled:
    """Load a text encoder for the terms of concepts, onto a GPU where there is one.

    Args:
        name: Its folder or hub id.

    Raises:
        InputError: If it cannot be loaded.
    """
    import torch
    from transformers import AutoTokenizer

    from graph_builders.features_terms import MeanPooled
    from mhdiff.encoders.hub import load_model, load_pretrained

    tokenizer = load_pretrained(AutoTokenizer.from_pretrained, name, local_files_only=False)
    model = load_model(name, local_files_only=False)
    return MeanPooled(model.to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer, name)
