"""`mhdiff demo`: the whole way once, on the built-in terminology and the known-answer cohort."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from mhdiff import console
from mhdiff.commands import Verb


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", type=Path, default=Path("runs/demo"), help="folder for everything that it makes"
    )
    parser.add_argument(
        "--patients", type=int, default=None, help="size of the cohort, where not the config's"
    )
    parser.add_argument("--epochs", type=int, default=None, help="epochs of training, where not the config's")
    parser.add_argument("--workers", type=int, default=1, help="processes that train cells of the ablation")


def _run(arguments: argparse.Namespace) -> None:
    demo(arguments.out, arguments.patients, arguments.epochs, arguments.workers)


def demo(out: Path, patients: int | None = None, epochs: int | None = None, workers: int = 1) -> Path:
    """Go the whole way; what is there already is used again.

    Args:
        out: Folder for everything.
        patients: Size of the cohort; None for that of configs/demo.yaml.
        epochs: Epochs of training and of the ablation's cells; None for those of the configs.
        workers: Processes that train cells of the ablation.

    Returns:
        The report.
    """
    import yaml

    from mhdiff.ablate import Ablation, run
    from mhdiff.builtin import Builtin, build_cohort_graph, build_ontology, synthesize_cohort
    from mhdiff.commands.evaluate import evaluate
    from mhdiff.commands.evaluate_text import table
    from mhdiff.commands.explain import choose, explain
    from mhdiff.config import find
    from mhdiff.report import write_report
    from mhdiff.stages import Stages
    from mhdiff.training.run import fit, fit_cell, open_run

    config, ablation_config = find("demo"), find("ablations/demo.yaml")
    settings = yaml.safe_load(config.read_text())["data"]["builtin"]
    builtin = Builtin(**(settings | ({"patients": patients} if patients else {})))
    ontology, cohort, graph, model = (out / name for name in ("ontology", "cohort", "graph", "model"))
    here = [
        f"--data.ontology={ontology}",
        f"--data.cohort={cohort}",
        f"--data.graph={graph}",
        f"--data.builtin.patients={builtin.patients}",
        *([f"--trainer.max_epochs={epochs}"] if epochs else []),
    ]
    out.mkdir(parents=True, exist_ok=True)
    stages = Stages(out / "stages.json", 8)
    with stages.stage("terminology: readable tables -> RF2 -> ontology"):
        if not (ontology / "ontology.json").exists():
            build_ontology(ontology)
    with stages.stage(f"cohort: {builtin.patients} patients with a known answer"):
        if not (cohort / "metadata" / "dataset.json").exists():
            synthesize_cohort(cohort, builtin)
    with stages.stage("graph: evidence and the ontology around it"):
        if not (graph / "graph.json").exists():
            build_cohort_graph(ontology, cohort, "pneumonia", graph)
    with stages.stage("training"):
        fit(["--config", str(config), *here, "--out", str(model)])
    with stages.stage("evaluation on held-out patients, every pattern of missing modalities"):
        metrics = evaluate(model)
        shutil.copyfile(model / "metrics.json", out / "metrics.json")
    with stages.stage("ablation: what the ontology's guidance is worth"):
        ablation = Ablation.load(ablation_config).with_overrides(here)
        document = run(ablation, out / "ablation", fit_cell, workers=workers)
        shutil.copyfile(out / "ablation" / "ablation.json", out / "ablation.json")
    with stages.stage("one patient explained"):
        module, data = open_run(model)
        explain(module, data, choose(data), model)
    with stages.stage("report"):
        report = write_report(
            model, out / "report.html", ablation=out / "ablation.json", stages=out / "stages.json"
        )
    failed = [cell for cell in document["cells"] if cell["status"] == "failed"]
    if failed:
        console.say(
            f"{len(failed)} of {len(document['cells'])} cells of the ablation failed; the report names them"
        )
    console.out(table(metrics))
    console.out(f"\nreport: {report}")
    return report


VERB = Verb("the whole way once on the built-in terminology and cohort", _configure, _run)
