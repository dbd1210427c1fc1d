"""`mhdiff evaluate`: metrics of a run on held-out patients, for every pattern of present modalities."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mhdiff import console
from mhdiff.commands import Verb
from mhdiff.commands.figures import with_interval
from ontology.errors import InputError

if TYPE_CHECKING:
    import polars as pl


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="folder of a run made by mhdiff fit")
    parser.add_argument("--replicates", type=int, default=1000, help="bootstrap resamples of patients")
    parser.add_argument("--seed", type=int, default=0, help="seed of the resamples")
    parser.add_argument(
        "--corrupt",
        "--corruptions",
        nargs="+",
        default=[],
        metavar="NAME[:SEVERITY]",
        help="spoil held-out records as well: noise, blur, occlusion, wrong_note, shuffled_words, truncated_note, "
        "unit_error, missing_labs, wrong_codes or all; severity 1 to 5, by default 3",
    )
    parser.add_argument(
        "--latents",
        action="store_true",
        help="judge the prior's draws as well: distances to real latents, 50 evaluations against 1,000, privacy",
    )
    parser.add_argument("--json", action="store_true", help="print metrics.json")


def _run(arguments: argparse.Namespace) -> None:
    document = evaluate(
        arguments.run, arguments.replicates, arguments.seed, arguments.corrupt, arguments.latents
    )
    if arguments.json:
        console.out_json(document)
    else:
        console.out(table(document))


def evaluate(
    run: Path,
    replicates: int = 1000,
    seed: int = 0,
    corrupt: Sequence[str] = (),
    latents: bool = False,
) -> dict[str, Any]:
    """Evaluate a run and write its metrics.json.

    Args:
        run: The run's folder.
        replicates: Bootstrap resamples of patients.
        seed: Seed of the resamples.
        corrupt: How records are spoilt, see `mhdiff.corruption`; those that were predicted before are told again.
        latents: Whether the prior's draws are judged; where they were before, that is told again.
    """
    import polars as pl
    import yaml

    if replicates < 0 or seed < 0:
        raise InputError(
            f"cannot evaluate with --replicates {replicates} and --seed {seed}",
            remedy="Give 0 or more of both",
        )
    from mhdiff.corruption import corruptions
    from mhdiff.evaluate.ceiling import truth_of
    from mhdiff.evaluate.summary import summarise
    from mhdiff.training.run import predict_run
    from ontology.files import atomic_write

    corruptions(corrupt)  # a wrong name or severity is refused before anything is predicted
    predictions = pl.read_parquet(predict_run(run))
    facts = json.loads((run / "run.json").read_text())
    config = yaml.safe_load((run / "config.yaml").read_text())
    truth = truth_of(run)
    ceiling = pl.read_parquet(truth) if truth is not None else None
    document = summarise(
        predictions,
        facts["classes"],
        ceiling=ceiling,
        replicates=replicates,
        seed=seed,
        modalities=facts.get("offered", facts["modalities"]),
    )
    document |= {"task": facts["task"], "held_out": config["data"]["split"]}
    if spoilt := _corrupted(run, corrupt, predictions, facts, replicates, seed):
        document["corruptions"] = spoilt
    if judged := _latents(run, latents, replicates, seed):
        document["latents"] = judged
    atomic_write(run / "metrics.json", json.dumps(document, indent=1))
    return document


def _latents(run: Path, wanted: bool, replicates: int, seed: int) -> dict[str, Any]:
    from mhdiff.training.judge import FILE, judge_run

    if wanted:
        return judge_run(run, replicates=replicates, seed=seed)
    path = run / FILE
    if not path.is_file():
        return {}
    document = dict(json.loads(path.read_text(encoding="utf-8")))
    settings = [document.get("replicates"), document.get("seed")]
    if settings != [replicates, seed]:
        console.say(
            f"{path} is of {settings[0]} replicates and seed {settings[1]}, and is told as it is: add --latents to "
            "judge the draws again"
        )
    return document


def _corrupted(
    run: Path,
    corrupt: Sequence[str],
    predictions: pl.DataFrame,
    facts: dict[str, Any],
    replicates: int,
    seed: int,
) -> dict[str, Any]:
    import polars as pl

    from mhdiff.corruption import corruptions
    from mhdiff.evaluate.corrupted import summarise_corruptions
    from mhdiff.training.corrupted import FILE, acting_on, predict_run_corrupted

    if corrupt:
        every = any(text.partition(":")[0] == "all" for text in corrupt)
        predict_run_corrupted(run, corruptions(corrupt), every)
    if not (run / FILE).is_file():
        return {}
    frame = pl.read_parquet(run / FILE)
    names = frame["corruption"].unique(maintain_order=True).to_list()[1:]
    return summarise_corruptions(
        frame,
        predictions.filter(pl.col("split") == "tuning"),
        facts["classes"],
        acting_on(run, facts["modalities"], names),
        replicates=replicates,
        seed=seed,
    )


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
        ranks = "  ".join(_figure(figures[metric]) for metric in ("auroc", "auprc"))
        lines.append(f"  {name:16} {figures['n_positive']:5d}  {ranks}")
    if "corruptions" in document:
        lines += corruption_lines(document["corruptions"])
    if "latents" in document:
        from mhdiff.commands.latents_text import latent_lines

        lines += latent_lines(document["latents"])
    return "\n".join(lines)


def corruption_lines(spoilt: dict[str, Any]) -> list[str]:
    """Write what corruption costs: one line each, and one for each score by which it is flagged.

    Args:
        spoilt: What `summarise_corruptions` gave.
    """
    columns = ("AUROC", "AUROC minus clean", "Brier minus clean", "AUROC of the flag")
    lines = [f"\n{'records spoilt by':20} {' '.join(f'{name:26}' for name in columns)} changed"]
    for name, row in spoilt.items():
        flags = list(row["flags"].items())
        told = [row["metrics"]["auroc"], row["difference"]["auroc"], row["difference"]["brier"]]
        told += [figure for _, figure in flags[:1]]
        figures = " ".join(f"{_brief(figure):26}" for figure in told)
        lines.append(f"{name:20} {figures} {row['changed']} of {row['n']}")
        lines += [f"{'flagged by ' + score:>100} {_brief(figure)}" for score, figure in flags[1:]]
    scores = [score for row in spoilt.values() for score in row["flags"]]
    lines.append(
        f"the flag is {scores[0] if scores else 'none'}: it tells changed records from the same records unchanged"
    )
    return lines


def _brief(figure: dict[str, Any]) -> str:
    return "undefined" if figure["value"] is None else _figure(figure)


def _figure(figure: dict[str, Any] | None) -> str:
    return with_interval(figure, narrow=True)


VERB = Verb("metrics with intervals and n on patients that training never saw", _configure, _run)
