"""`mhdiff evaluate`: metrics of a run on held-out patients, for every pattern of present modalities."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from mhdiff import console
from mhdiff.commands import Verb


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="folder of a run made by mhdiff fit")
    parser.add_argument("--replicates", type=int, default=1000, help="bootstrap resamples of patients")
    parser.add_argument("--seed", type=int, default=0, help="seed of the resamples")
    parser.add_argument("--json", action="store_true", help="print metrics.json")


def _run(arguments: argparse.Namespace) -> None:
    document = evaluate(arguments.run, arguments.replicates, arguments.seed)
    if arguments.json:
        console.out_json(document)
    else:
        console.out(table(document))


def evaluate(run: Path, replicates: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Evaluate a run and write its metrics.json.

    Args:
        run: The run's folder.
        replicates: Bootstrap resamples of patients.
        seed: Seed of the resamples.
    """
    import polars as pl
    import yaml

    from mhdiff.evaluate.summary import summarise
    from mhdiff.training.run import predict_run
    from ontology.files import atomic_write

    predictions = pl.read_parquet(predict_run(run))
    facts = json.loads((run / "run.json").read_text())
    config = yaml.safe_load((run / "config.yaml").read_text())
    truth = Path(config["data"]["cohort"]) / "truth" / "posterior.parquet"
    ceiling = pl.read_parquet(truth) if truth.exists() else None
    document = summarise(
        predictions,
        facts["classes"],
        ceiling=ceiling,
        replicates=replicates,
        seed=seed,
        modalities=facts["modalities"],
    )
    document |= {"task": facts["task"], "held_out": config["data"]["split"]}
    atomic_write(run / "metrics.json", json.dumps(document, indent=1))
    return document


def table(document: dict[str, Any]) -> str:
    """Write the metrics as text: one line a pattern, AUROC beside its ceiling.

    Args:
        document: What `summarise` gave.
    """
    lines = [
        f"task {document['task']}, held out: {document['n_subjects']} patients, {document['n_samples']} samples; "
        f"{100 * document['level']:.0f}% intervals by bootstrap over patients",
    ]
    full = next(iter(document["patterns"].values()))
    for name, figure in full["metrics"].items():
        lines.append(f"  {name:12} {_figure(figure)}")
    lines.append(f"\n{'modalities offered':28} {'AUROC':24} {'ceiling':24} {'Brier':24} n")
    for name, pattern in document["patterns"].items():
        ceiling = (pattern.get("ceiling") or {}).get("auroc")
        lines.append(
            f"{name:28} {_figure(pattern['metrics']['auroc']):24} {_figure(ceiling):24} "
            f"{_figure(pattern['metrics']['brier']):24} {pattern['n']}"
        )
    lines.append("\nby class, everything offered: n of the class, AUROC, average precision")
    for name, figures in full["per_class"].items():
        lines.append(
            f"  {name:16} {figures['n_positive']:5d}  {_figure(figures['auroc'])}  {_figure(figures['auprc'])}"
        )
    return "\n".join(lines)


def _figure(figure: dict[str, Any] | None) -> str:
    if figure is None:
        return "-"
    if figure["value"] is None:
        return f"undefined ({figure.get('reason', 'no reason given')})"
    if figure["low"] is None:
        return f"{figure['value']:.3f} (no interval)"
    return f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"


VERB = Verb("metrics with intervals and n on patients that training never saw", _configure, _run)
