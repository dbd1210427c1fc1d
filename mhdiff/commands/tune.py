"""`mhdiff tune`: search settings on inner folds, without a look at the patients that will be tested on."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from mhdiff.commands import Verb, where


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-c", "--config", required=True, help="search YAML, such as configs/searches/demo.yaml"
    )
    parser.add_argument(
        "--out", required=True, type=Path, help="folder of the search; an unfinished one goes on"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override for all trials, such as --set trainer.max_epochs=2; may be repeated",
    )
    parser.add_argument("--split", help="the outer split, in place of the file's, such as fold:1/5")
    parser.add_argument("--trials", type=int, help="how many trials, in place of the file's number")
    where.configure(parser, "trials", dry=False)
    parser.add_argument("--json", action="store_true", help="print search.json on stdout")


def _run(arguments: argparse.Namespace) -> None:
    os.environ.setdefault("PL_DISABLE_FORK", "1")
    from dataclasses import replace

    from mhdiff import console
    from mhdiff.training.run import fit_cell
    from mhdiff.tune import Search, run
    from ontology.errors import InputError

    search = Search.load(arguments.config)
    common = tuple(entry if entry.startswith("--") else f"--{entry}" for entry in arguments.set)
    search = replace(search, common=(*search.common, *common))
    if arguments.split is not None:
        search = replace(search, split=arguments.split)
    if arguments.trials is not None:
        if arguments.trials < 1:
            raise InputError(f"{arguments.trials} trials are none", remedy="Give --trials 1 or more")
        search = replace(search, trials=arguments.trials)
    document = run(
        search,
        arguments.out,
        fit_cell,
        workers=arguments.workers,
        runner=where.runner(arguments),
        prepare=_prepare,
        resolve=_resolve,
    )
    if arguments.json:
        console.out_json(document)
    else:
        console.out(table(document, arguments.out))
    if document["best"] is None:
        raise SystemExit(1)


def _prepare(base: Path, overrides: list[str]) -> None:
    from mhdiff.training.cli import parse

    parse(["--config", str(base), *overrides]).datamodule.prepare_data()


def _resolve(base: Path, overrides: list[str]) -> str:
    from mhdiff.training.cli import config_text, parse

    return config_text(parse(["--config", str(base), *overrides]))


def table(document: dict[str, Any], out: Path, most: int = 10) -> str:
    """Write the best trials as text, and how many were stopped or failed.

    Args:
        document: What `mhdiff.tune.run` returned.
        out: The search's folder.
        most: How many trials are told.
    """
    trials = document["trials"]
    states = {state: sum(row["state"] == state for row in trials) for state in ("complete", "pruned", "fail")}
    lines = [
        f"{document['metric']} on {document['inner']} inner folds of '{document['split']}', seeds {document['seeds']}; "
        f"{states['complete']} trials complete, {states['pruned']} stopped, {states['fail']} failed"
    ]
    for row in [row for row in trials if row["value"] is not None][:most]:
        folds = " ".join(f"{value:.4f}" for value in row["folds"])
        settings = ", ".join(f"{name}={value}" for name, value in row["settings"].items())
        lines.append(f"  {row['value']:.4f}  ({folds})  trial {row['number']}: {settings}")
    lines += [f"  failed   trial {row['number']}: {row['failure']}" for row in trials if row["failure"]]
    if document["best"] is not None:
        lines.append(
            "The best of many flatters itself. What it is worth: "
            f"mhdiff fit -c {out / 'best.yaml'} --out RUN; mhdiff evaluate RUN"
        )
    return "\n".join(lines)


VERB = Verb("search settings on inner folds: grid, random or TPE", _configure, _run)
