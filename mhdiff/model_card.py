"""The model card: what a model is for, what it was trained on, how good it is. It holds no patient's data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_USE = """It was made for research on diagnosis from several kinds of record at once. It is **not a medical device, and
nothing that it gives is medical advice**: its probabilities have been measured on the patients named below and on
nobody else. It must not decide about a patient."""

_LOAD = """```python
from mhdiff.pretrained import from_pretrained
from mhdiff.training.run import predict

model = from_pretrained("this folder")
data = model.read(cohort="...", graph="...")  # of your patients, the graph built with the same ontology
frame = predict(model.module, data, splits=["held_out"], inference=model.inference)  # as the figures were made
```"""


def model_card(
    document: Mapping[str, Any],
    facts: Mapping[str, Any],
    description: str,
    splits: Mapping[str, int],
    metrics: Mapping[str, Any] | None,
) -> str:
    """Write the card as Markdown.

    Args:
        document: What pretrained.json says.
        facts: What the run's run.json says.
        description: What the task is.
        splits: Samples by split.
        metrics: What the run's metrics.json says; None where it was not evaluated.
    """
    ontology, cohort = document["ontology"], document["cohort"]
    graph = document["concept_graph"]
    parts = [
        f"# MH-Diff for the task {document['task']}",
        f"{description.strip()}\n" if description else "",
        f"## Intended use\n\n{_USE}",
        "## What it reads and tells\n",
        f"- reads: {', '.join(document['modalities'])}; any of them may be missing",
        f"- tells apart: {', '.join(document['classes'])}",
        f"- parameters: {document['parameters']:,}",
        "\n## What it was trained on\n",
        f"- cohort of kind {cohort['kind']}, fingerprint {cohort['fingerprint']}",
        f"- samples: {', '.join(f'{name} {n}' for name, n in splits.items())}",
        f"- ontology {ontology['name']}, fingerprint {ontology['fingerprint']}",
        *_null(document.get("null")),
        f"- best epoch {facts.get('best_epoch')}, chosen on the tuning samples",
        "\n## How good it is\n",
        *_figures(metrics),
        "\n## What the folder holds\n",
        f"`concept_graph.safetensors` holds identifiers and relations of {graph['num_nodes']:,} concepts of the "
        f"ontology {ontology['name']}: share it only as that ontology's licence allows. `preprocess.json` "
        "holds vocabularies and means of the training samples, and no record of any one of them.",
        f"\n## How to use it\n\n{_LOAD}\n",
    ]
    return "\n".join(part for part in parts if part)


def _null(null: Any) -> list[str]:
    return [f"- **a control**: the graph's meaning was destroyed by {null['transform']}"] if null else []


def _figures(metrics: Mapping[str, Any] | None) -> list[str]:
    if metrics is None:
        return [
            "It was not evaluated before it was exported (`mhdiff evaluate RUN`): nothing is known of it."
        ]
    percent = f"{100 * metrics['level']:.0f}%"
    lines = [
        f"On {metrics['n_subjects']} held-out patients ({metrics['n_samples']} samples) that training never saw, "
        f"with {percent} intervals by bootstrap over patients:\n",
        "| modalities offered | n | AUROC | Brier |",
        "|---|---|---|---|",
    ]
    for name, pattern in metrics["patterns"].items():
        told = pattern["metrics"]
        lines.append(f"| {name} | {pattern['n']} | {_figure(told['auroc'])} | {_figure(told['brier'])} |")
    full = next(iter(metrics["patterns"].values()))
    lines += ["\n| class | n | AUROC | average precision |", "|---|---|---|---|"]
    for name, row in full["per_class"].items():
        lines.append(f"| {name} | {row['n_positive']} | {_figure(row['auroc'])} | {_figure(row['auprc'])} |")
    if spoilt := metrics.get("corruptions"):
        lines += ["\n| records spoilt by | n | Brier minus that of clean records |", "|---|---|---|"]
        lines += [
            f"| {name} | {row['n']} | {_figure(row['difference']['brier'])} |" for name, row in spoilt.items()
        ]
    return lines


def _figure(figure: Mapping[str, Any]) -> str:
    if figure["value"] is None:
        return f"undefined: {figure.get('reason', 'no reason given')}"
    if figure["low"] is None:
        return f"{figure['value']:.3f}, no interval"
    return f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"
