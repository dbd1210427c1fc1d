"""`mhdiff report`: a self-contained HTML report of an evaluated run, or of an ablation."""

from __future__ import annotations

import argparse
from pathlib import Path

from mhdiff import console
from mhdiff.commands import Verb


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run", type=Path, help="folder of a run that mhdiff evaluate has seen, or of an ablation"
    )
    parser.add_argument(
        "--out", type=Path, default=None, help="the HTML file; report.html in the run's folder if not given"
    )
    parser.add_argument(
        "--ablation", type=Path, default=None, help="ablation.json, or the folder of an ablation, to include"
    )
    parser.add_argument("--stages", type=Path, default=None, help="stages.json to include")
    parser.add_argument(
        "--tables",
        type=Path,
        default=None,
        metavar="DIR",
        help="write every table as CSV, LaTeX and Markdown into this folder",
    )


def _run(arguments: argparse.Namespace) -> None:
    from mhdiff.report import write_report

    out = arguments.out or arguments.run / "report.html"
    written = write_report(
        arguments.run, out, ablation=arguments.ablation, stages=arguments.stages, tables=arguments.tables
    )
    console.out(str(written))


VERB = Verb("a self-contained HTML report of an evaluated run, or of an ablation", _configure, _run)
