"""`mhdiff ablate`: arms x folds x seeds of one configuration, compared on the same patients."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from mhdiff.commands import Verb
from mhdiff.commands.ablate_patterns import pattern_lines
from mhdiff.commands.figures import with_interval


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-c", "--config", required=True, help="ablation YAML, such as configs/ablations/demo.yaml"
    )
    parser.add_argument(
        "--out", required=True, type=Path, help="folder of the ablation; an unfinished one is resumed"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override for all cells, such as --set trainer.max_epochs=2; may be repeated",
    )
    parser.add_argument("--workers", type=int, default=1, help="how many processes train at once (default 1)")
    parser.add_argument("--json", action="store_true", help="print ablation.json on stdout")


def _run(arguments: argparse.Namespace) -> None:
    os.environ.setdefault("PL_DISABLE_FORK", "1")
    from mhdiff import console
    from mhdiff.ablate import Ablation, run
    from mhdiff.training.run import fit_cell

    common = [entry if entry.startswith("--") else f"--{entry}" for entry in arguments.set]
    ablation = Ablation.load(arguments.config).with_overrides(common)
    document = run(ablation, arguments.out, fit_cell, workers=arguments.workers, prepare=_prepare)
    if arguments.json:
        console.out_json(document)
    else:
        console.out(table(document))
    failed = [cell for cell in document["cells"] if cell["status"] == "failed"]
    if failed:
        console.say(f"{len(failed)} of {len(document['cells'])} cells failed; see {arguments.out / 'failed'}")
        raise SystemExit(1)


def _prepare(base: Path, overrides: list[str], patterns: tuple[str, ...], rare: tuple[str, ...]) -> None:
    from mhdiff.ablate.rare import check_rare
    from mhdiff.cohort import Task
    from mhdiff.evaluate.patterns import asked_patterns
    from mhdiff.training.cli import parse

    data = parse(["--config", str(base), *overrides]).datamodule
    asked_patterns(patterns, data.offered)  # a wrong name is refused before anything is trained
    check_rare(rare, Task.load(data.task_name).classes)
    data.prepare_data()


def table(document: dict[str, Any], metric: str = "auroc") -> str:
    """Write the arms and their differences as text.

    Args:
        document: What `mhdiff.ablate.run` returned.
        metric: Which metric to show.
    """
    level = f"{100 * document['level']:.0f}% interval over patients"
    folds = f"{document['folds']} folds" if document["folds"] else "one split"
    lines = [f"{metric}, {level}, pattern {document['pattern']}, {folds}, seeds {document['seeds']}"]
    width = max(map(len, document["arms"]))
    for name, arm in document["arms"].items():
        own = "" if arm["seeds"] == document["seeds"] else f"  seeds {arm['seeds']}"
        lines.append(
            f"  {name:<{width}}  {with_interval(arm['metrics'][metric])}  n={arm['n_subjects']}{own}"
        )
    for row in document["differences"]:
        if row["metric"] == metric:
            of = f" over {row['draws']} draws of the null" if row.get("draws", 1) > 1 else ""
            if row.get("rank_p") is not None:
                of += f", rank p {row['rank_p']:.3f}"
            remark = f"; {row['remark']}" if row.get("remark") else ""
            lines.append(
                f"  {row['arm']} - {row['reference']}: {with_interval(row, signed=True)}{of}{remark}"
            )
    if len(document["patterns"]) > 1 or document["rare"]:
        lines += pattern_lines(document, metric)
    return "\n".join(lines)


VERB = Verb("run an ablation: arms x folds x seeds, compared on the same patients", _configure, _run)
