"""`mhdiff explain`: what spoke for a diagnosis, for one patient of a run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mhdiff import console
from mhdiff.commands import Verb

if TYPE_CHECKING:
    from mhdiff.training.data import MultimodalData
    from mhdiff.training.module import Diagnosis


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="folder of a run made by mhdiff fit")
    parser.add_argument(
        "--sample", type=int, default=None, help="sample_id; by default a held-out one with every modality"
    )
    parser.add_argument("--steps", type=int, default=32, help="points on the path of integrated gradients")
    parser.add_argument("--json", action="store_true", help="print the explanation as JSON")


def _run(arguments: argparse.Namespace) -> None:
    from mhdiff.training.run import open_run

    module, data = open_run(arguments.run)
    sample = choose(data) if arguments.sample is None else arguments.sample
    document = explain(module, data, sample, arguments.run, arguments.steps)
    if arguments.json:
        console.out_json(document)
    else:
        console.out("\n".join(lines(document)))


def choose(data: MultimodalData) -> int:
    """Choose whom to explain: the first held-out sample with the most modalities, and evidence in the most of them.

    Whether the model is right about it plays no part.

    Args:
        data: A data module that is set up.
    """
    dataset = data.dataset(["held_out"])
    with_evidence = (dataset.evidence.mask.any(-1) & dataset.present).sum(1)
    rank = dataset.present.sum(1) * (len(data.modalities) + 1) + with_evidence
    return int(dataset.sample_ids[int(rank.argmax())])


def explain(
    module: Diagnosis, data: MultimodalData, sample: int, run: Path, steps: int = 32
) -> dict[str, Any]:
    """Explain one sample's diagnosis, as the run makes it, and write RUN/explanations/<sample>.json.

    Args:
        module: A trained module.
        data: Its data module.
        sample: The sample.
        run: The run's folder.
        steps: Points on the path of integrated gradients, to begin with.
    """
    from mhdiff.evaluate.patterns import all_patterns
    from mhdiff.explain.patient import explain_sample
    from mhdiff.training.settle import settled
    from ontology.files import atomic_write

    inference = settled(run, module, data, all_patterns(data.offered))
    explanation = explain_sample(module, data, sample, steps, inference)
    atomic_write(run / "explanations" / f"{sample}.json", explanation.to_json())
    return explanation.to_dict()


def lines(document: dict[str, Any]) -> list[str]:
    """Write an explanation as text.

    Args:
        document: What `explain` gave.
    """
    from mhdiff.explain.way import sentence

    result = [
        f"sample {document['sample_id']}: predicted {document['predicted']} "
        f"({document['probabilities'][document['predicted']]:.2f}), true {document['label']}",
        sentence(document["way"]),
        f"log odds attributed jointly, completeness gap {document['completeness_gap']:.2%}",
        "",
        "modality      attribution  Shapley (probability)",
    ]
    for m in document["modalities"]:
        told = f"{m['attribution']:+11.3f}  {m['shapley']:+.3f}" if m["present"] else "     absent"
        result.append(f"  {m['name']:10} {told}")
    for title, key, name in (
        ("words", "words", "text"),
        ("labs", "labs", "name"),
        ("codes", "codes", "name"),
        ("concepts", "concepts", "fsn"),
    ):
        rows = [row for row in document[key] if row["attribution"] is not None]
        rows = sorted(rows, key=lambda row: -abs(row["attribution"]))[:6]
        result += ["", title] + [f"  {row['attribution']:+.3f}  {row[name]}" for row in rows]
    result += ["", "paths that carried the bias"]
    for path in document["paths"]:
        result.append(
            f"  {path['bias']:+.3f}  {path['from_modality']} - {path['to_modality']} "
            f"({path['share']:.0%} of the pair's bias)"
        )
        walk = path["a"]
        for step in path["steps"]:
            arrow = f"-[{step['relation']}]->" if step["forward"] else f"<-[{step['relation']}]-"
            walk += f" {arrow} {step['to']}"
        result.append(f"          {walk}")
    return [*result, "", document["warning"]]


VERB = Verb("which modality, pixels, words, labs and ontology paths spoke for one patient", _configure, _run)
