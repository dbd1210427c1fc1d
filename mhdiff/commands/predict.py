"""`mhdiff predict`: the predictions of a finished run, for every pattern of present modalities."""

from __future__ import annotations

import argparse
from pathlib import Path

from mhdiff import console
from mhdiff.commands import Verb


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="folder of a run made by mhdiff fit")


def _run(arguments: argparse.Namespace) -> None:
    from mhdiff.training.run import predict_run

    console.out(str(predict_run(arguments.run)))


VERB = Verb("write predictions.parquet of a finished run", _configure, _run)
