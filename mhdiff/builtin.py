"""The built-in data: terminology, ontology, known-answer cohort and graph, made where they are not there yet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mhdiff import console
from ontology.errors import InputError


@dataclass
class Builtin:
    """How large and how hard the built-in cohort is; see `mhdiff.cohort.synthetic.Settings` for the rest.

    Attributes:
        patients: Number of patients.
        seed: Seed of the cohort.
        signal: Strength of the ontology's signal, from 0 (none) to 1.
        image_size: Height and width of a radiograph in pixels.
    """

    patients: int = 600
    seed: int = 1
    signal: float = 1.0
    image_size: int = 96

    def prepare(self, ontology: str | None, cohort: str, graph: str, task: str) -> None:
        """Make what is missing.

        Args:
            ontology: Folder of the ontology.
            cohort: Folder of the cohort.
            graph: Folder of the graph.
            task: Name of the task.

        Raises:
            InputError: If no folder is named for the ontology.
        """
        if ontology is None:
            raise InputError("data.builtin needs a folder for the ontology", remedy="Set data.ontology")
        if not (Path(ontology) / "ontology.json").exists():
            build_ontology(Path(ontology))
        if not (Path(cohort) / "metadata" / "dataset.json").exists():
            synthesize_cohort(Path(cohort), self)
        if not (Path(graph) / "graph.json").exists():
            build_cohort_graph(Path(ontology), Path(cohort), task, Path(graph))


def build_ontology(out: Path) -> None:
    """Write the built-in terminology as RF2 beside `out`, load it and save the ontology.

    Args:
        out: Folder of the ontology.
    """
    from ontology import load_rf2
    from ontology.builtin import write_rf2

    console.say("writing the built-in terminology as RF2 and loading it")
    load_rf2(write_rf2(out.parent / "rf2")).save(out)


def synthesize_cohort(out: Path, builtin: Builtin) -> None:
    """Draw the known-answer cohort.

    Args:
        out: Folder of the cohort.
        builtin: Its size, seed and signal.
    """
    from mhdiff.cohort.synthetic import Settings, synthesize

    settings = Settings(
        patients=builtin.patients, seed=builtin.seed, signal=builtin.signal, image_size=builtin.image_size
    )
    synthesize(out, settings)


def build_cohort_graph(ontology: Path, cohort: Path, task: str, out: Path) -> None:
    """Build and save the graph of a cohort.

    Args:
        ontology: Folder of the ontology.
        cohort: Folder of the cohort.
        task: Name of the task or path of its YAML.
        out: Folder of the graph.
    """
    from mhdiff.cohort import Cohort, Task
    from mhdiff.cohort_graph import graph_of_cohort
    from ontology import Ontology

    console.say("collecting the evidence and building the graph")
    graph_of_cohort(Ontology.open(ontology), Cohort.open(cohort), Task.load(task)).save(out)
