"""`mhdiff cohort audit`: does a task on a cohort leak its label? Exit 2, each finding named, when one fails."""

from __future__ import annotations

import argparse
from pathlib import Path

from mhdiff import console
from mhdiff.commands import Verb
from ontology.errors import InputError


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cohort", metavar="DIR", help="the cohort's folder")
    parser.add_argument("--task", required=True, metavar="NAME|FILE", help="the task that is audited")
    parser.add_argument(
        "--ontology",
        metavar="DIR",
        help="what `mhdiff ontology build` wrote; without it blinded concepts are not checked",
    )
    parser.add_argument(
        "--split", default="stored", metavar="SPEC", help="stored, fold:I/K, site:NAME, after:DAY ..."
    )
    parser.add_argument("--split-seed", type=int, default=0, metavar="N", help="seed of the split")
    parser.add_argument("--graph", metavar="DIR", help="a graph of the cohort, held against the task too")
    parser.add_argument(
        "--thresholds", metavar="FILE", help="YAML: those that differ from configs/audit.yaml"
    )
    parser.add_argument("--html", metavar="FILE", help="write the audit as a page")
    parser.add_argument(
        "--cases",
        metavar="FILE",
        help="write whose records are meant as CSV: it holds subject ids, keep it with the data",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _run(args: argparse.Namespace) -> None:
    from mhdiff.audit import Thresholds, audit
    from mhdiff.audit.finding import FAILURE
    from mhdiff.cohort import Cohort, Task
    from mhdiff.report.text import plural
    from ontology import Ontology
    from ontology.files import atomic_write

    limits, task = Thresholds.load(args.thresholds), Task.load(args.task)
    cohort = Cohort.open(args.cohort)
    ontology = None if args.ontology is None else Ontology.open(args.ontology)
    options = {"split": args.split, "split_seed": args.split_seed, "graph": args.graph}
    found = audit(cohort, task, ontology=ontology, thresholds=limits, **options)
    if args.html:
        from mhdiff.report.audit_page import write_audit

        write_audit(found, Path(args.html))
        console.say(f"wrote {args.html}")
    if args.cases:
        atomic_write(args.cases, found.cases().write_csv())
        console.say(f"wrote {args.cases}; it holds subject ids")
    if args.json:
        console.out_json(found.to_dict())
    else:
        console.out(found.text())
    if failures := found.findings(FAILURE):
        names = ", ".join(dict.fromkeys(f.name for f in failures))
        raise InputError(
            f"{plural(len(failures), 'failure')}, told on stdout: {names}",
            path=args.cohort,
            remedy="What each means and what to do: docs/audit.md",
        )


VERB = Verb("leakage tests of a task on a cohort; exit 2 when one fails", _configure, _run)
