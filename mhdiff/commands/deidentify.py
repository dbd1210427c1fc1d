"""`mhdiff cohort deidentify`, a copy without identifiers; `deidentify-check`, how many are found in marked notes."""

from __future__ import annotations

import argparse

from mhdiff import console
from mhdiff.commands import Verb


def _rules(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rules",
        metavar="FILE",
        help="YAML: kinds, names, keep, presidio, or a task with `deidentify`; all kinds if not given",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cohort", metavar="DIR", help="the cohort's folder, which stays as it is")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write the copy to")
    _rules(parser)


def _run(args: argparse.Namespace) -> None:
    from mhdiff.cohort import Cohort
    from mhdiff.cohort.deidentify import Rules
    from mhdiff.cohort.deidentify.rewrite import deidentify, text

    rules = Rules.load(args.rules)
    with console.steps(f"de-identifying {args.cohort}"):
        report = deidentify(Cohort.open(args.cohort), args.out, rules)
    console.say(f"wrote {args.out}")
    if args.json:
        console.out_json(report)
    else:
        console.out(text(report))


def _configure_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "notes",
        metavar="FILE",
        help="marked notes, one JSON object a line: text, identifiers [{start, end, kind}]",
    )
    _rules(parser)


def _check(args: argparse.Namespace) -> None:
    from mhdiff.cohort.deidentify import Deidentifier, Rules
    from mhdiff.cohort.deidentify.marked import measure, read_marked, text

    document = measure(read_marked(args.notes), Deidentifier(Rules.load(args.rules)))
    if args.json:
        console.out_json(document)
    else:
        console.out(text(document))


VERB = Verb("a copy of a cohort with names, dates and other identifiers out of its texts", _configure, _run)
CHECK = Verb("recall and precision of de-identification on notes that are marked", _configure_check, _check)
