"""`mhdiff ablate`: arms x folds x seeds of one configuration, compared on the same patients."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mhdiff.commands import Verb, where
from mhdiff.commands.ablate_patterns import pattern_lines
from mhdiff.commands.figures import with_interval

if TYPE_CHECKING:
    from mhdiff.training.data import MultimodalData


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-c", "--config", required=True, help="ablation YAML, such as configs/ablations/demo.yaml"
    )
    parser.add_argument(
        "--out", required=True, type=Path, help="folder of the ablation; an unfinished one is resumed"
    )
    parser.add_argument(
        "--base",
        metavar="CONFIG",
        help="base configuration in the place of the ablation's own, such as your cohort's",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override for all cells, such as --set trainer.max_epochs=2; may be repeated",
    )
    where.configure(parser)
    parser.add_argument("--json", action="store_true", help="print ablation.json on stdout")


def _run(arguments: argparse.Namespace) -> None:
    os.environ.setdefault("PL_DISABLE_FORK", "1")
    from mhdiff import console
    from mhdiff.ablate import Ablation, run
    from mhdiff.training.embed import embed_cell
    from mhdiff.training.run import fit_cell

    common = [entry if entry.startswith("--") else f"--{entry}" for entry in arguments.set]
    ablation = Ablation.load(arguments.config).with_overrides(common)
    if arguments.base is not None:
        ablation = ablation.on_base(arguments.base)
    if arguments.dry_run:
        console.out(where.planned(ablation, arguments))
        return
    runner = where.runner(arguments)
    told: set[str] = set()

    def prepare(base: Path, overrides: list[str], patterns: tuple[str, ...], rare: tuple[str, ...]) -> None:
        data = _prepare(base, overrides, patterns, rare)
        for line in [] if data is None else expectations(data):
            if line not in told:  # once, not for every arm on the same patients
                console.say(line)
                told.add(line)

    document = run(
        ablation,
        arguments.out,
        fit_cell,
        workers=arguments.workers,
        runner=runner,
        prepare=prepare,
        embed_cell=embed_cell,
    )
    if arguments.json:
        console.out_json(document)
    else:
        console.out(table(document))
    failed = [cell for cell in document["cells"] if cell["status"] == "failed"]
    if failed:
        console.say(f"{len(failed)} of {len(document['cells'])} cells failed; see {arguments.out / 'failed'}")
        raise SystemExit(1)


def _prepare(
    base: Path, overrides: list[str], patterns: tuple[str, ...], rare: tuple[str, ...]
) -> MultimodalData | None:
    from mhdiff.ablate.rare import check_rare
    from mhdiff.cohort import Task
    from mhdiff.evaluate.patterns import asked_patterns
    from mhdiff.training.cli import parse

    data = parse(["--config", str(base), *overrides]).datamodule
    asked_patterns(patterns, data.offered)  # a wrong name is refused before anything is trained
    check_rare(rare, Task.load(data.task_name).classes)
    data.prepare_data()
    return data


def expectations(data: MultimodalData) -> list[str]:
    """Say before anything is trained how wide intervals will be, class by class, at the patients that there are.

    Args:
        data: The data module of an arm, whose folders are there; it need not be set up.
    """
    import polars as pl

    from mhdiff.cohort import Cohort, Task
    from mhdiff.cohort.splits import assign
    from mhdiff.evaluate.power import expectation, patients_of

    task = Task.load(data.task_name)
    cohort = Cohort.open(data.cohort_path)
    samples = task.samples(cohort)
    if not data.split.startswith("fold:"):  # of folds everybody is held out once
        cohort_groups = None if data.split == "stored" else cohort.groups
        samples = assign(samples, data.split, data.split_seed, groups=cohort_groups)
        samples = samples.filter(pl.col("split") == "held_out")
    counts = patients_of(samples["label"].to_numpy(), samples["subject_id"].to_numpy(), task.classes)
    return [
        f"what {samples['subject_id'].n_unique()} held-out patients can show, by class:",
        *(f"  {name:16} {expectation(*pair)}" for name, pair in counts.items()),
    ]


def table(document: dict[str, Any], metric: str = "auroc") -> str:
    """Write the arms and their differences as text.

    Args:
        document: What `mhdiff.ablate.run` returned.
        metric: Which metric to show.
    """
    level = f"{100 * document['level']:.0f}% BCa interval over patients"
    times = f"{document['repeats']} x " if document["repeats"] > 1 else ""
    folds = f"{times}{document['folds']} folds" if document["folds"] else "one split"
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
                of += f", rank p {row['rank_p']:.3f} (Holm {row['rank_p_holm']:.3f})"
            of += _over_folds(row["folds"])
            remark = f"; {row['remark']}" if row.get("remark") else ""
            lines.append(
                f"  {row['arm']} - {row['reference']}: {with_interval(row, signed=True)}{of}{remark}"
            )
    if len(document["patterns"]) > 1 or document["rare"]:
        lines += pattern_lines(document, metric)
    return "\n".join(lines)


def _over_folds(test: dict[str, Any]) -> str:
    """Write the corrected t over folds, or why there is none."""
    if test["p"] is None:
        return "" if test["folds"] is None else f"; over folds: {test['reason']}"
    return f"; over {test['folds']} folds p {test['p']:.3f} (Holm {test['p_holm']:.3f})"


VERB = Verb("run an ablation: arms x folds x seeds, compared on the same patients", _configure, _run)
