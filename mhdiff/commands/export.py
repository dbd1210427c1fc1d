"""`mhdiff export`: a finished run as a folder to share, with a model card."""

from __future__ import annotations

import argparse
from pathlib import Path

from mhdiff import console
from mhdiff.commands import Verb


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="folder of a run made by mhdiff fit")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder to write; an older export is replaced"
    )


def _run(arguments: argparse.Namespace) -> None:
    from mhdiff.pretrained import save_pretrained

    folder = save_pretrained(arguments.run, arguments.out)
    if not (arguments.run / "metrics.json").is_file():
        console.say(f"the model card has no figures: mhdiff evaluate {arguments.run}, then export again")
    console.out(str(folder))


VERB = Verb(
    "write a run as a folder to share: weights, preprocessing, concept graph, model card", _configure, _run
)
