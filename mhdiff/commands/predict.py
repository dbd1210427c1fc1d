"""`mhdiff predict`: the predictions of a finished run, for every pattern of present modalities."""

from __future__ import annotations

import argparse
from pathlib import Path

from mhdiff import console
from mhdiff.commands import Verb


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="folder of a run made by mhdiff fit")
    parser.add_argument(
        "--strange",
        action="store_true",
        help="also write strange.parquet: how surprising each modality of a sample is to the prior given its others",
    )
    parser.add_argument(
        "--quantile",
        type=float,
        default=0.95,
        help="with --strange: share of the tuning samples that are not called odd in a modality (default .95)",
    )


def _run(arguments: argparse.Namespace) -> None:
    from mhdiff.training.run import predict_run

    written = []
    if arguments.strange:  # first, since a prior may have no density to look with
        from mhdiff.training.strange import strange_run

        written.append(strange_run(arguments.run, arguments.quantile))
    for path in (predict_run(arguments.run), *written):
        console.out(str(path))


VERB = Verb("write predictions.parquet of a finished run", _configure, _run)
