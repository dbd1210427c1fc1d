"""`mhdiff ontology shapes`: house rules in SHACL, checked by pyshacl."""

from __future__ import annotations

import argparse
from collections import Counter

from mhdiff import console
from mhdiff.commands import Verb
from mhdiff.commands.ontology.common import configure_ontology, open_ontology
from mhdiff.config import find
from ontology.errors import InputError


def _configure(parser: argparse.ArgumentParser) -> None:
    configure_ontology(parser)
    parser.add_argument(
        "shapes", metavar="SHAPES", help="a file with SHACL shapes, such as configs/shapes/house_rules.ttl"
    )
    parser.add_argument(
        "--select", metavar="ECL", help="check only the concepts of this expression, with what they lead to"
    )
    parser.add_argument(
        "--limit", type=int, default=0, metavar="N", help="print N results at most; 0 prints all (default)"
    )
    parser.add_argument("--strict", action="store_true", help="exit with 2 for warnings and notes too")


def _run(args: argparse.Namespace) -> None:
    from ontology.shapes import check_shapes

    shapes = find(args.shapes)
    if args.limit < 0:
        raise InputError(f"--limit {args.limit} is less than 0", remedy="0 prints all")
    ontology = open_ontology(args.ontology)
    focus = None
    if args.select:
        from ontology.ecl import select

        focus = select(ontology, args.select).tolist()
    console.say(f"checking {_many(len(ontology) if focus is None else len(focus), 'concept')}")
    report = check_shapes(ontology, shapes, focus=focus)
    for iri in report.imports:
        console.say(f"not read: {iri}, which the shapes import; nothing is ever fetched")
    if not report.shapes:
        console.say("not one shape has a target: nothing was asked of any concept")
    counts = {name.lower(): n for name, n in Counter(v.severity for v in report.violations).items()}
    failed = len(report.violations) if args.strict else report.count("Violation")
    shown = report.violations[: args.limit] if args.limit else report.violations
    if args.json:
        console.out_json({
            "conforms": not failed, "concepts": report.concepts, "graph": report.graph, "shapes": report.shapes,
            "counts": counts, "imports": report.imports, "results": [v.as_dict() for v in shown],
        })  # fmt: skip
    else:
        for v in shown:
            what = " ".join(part for part in (v.path, f"= {v.value}" if v.value else "") if part)
            console.out(f"{v.severity:<9} {v.focus}  {v.fsn}")
            console.out(f"          {v.message}{f'  [{what}]' if what else ''}  {v.shape} ({v.constraint})")
        if len(shown) < len(report.violations):
            console.out(f"... and {len(report.violations) - len(shown):,} more")
        said = ", ".join(_many(n, name) for name, n in counts.items()) or "no violation"
        console.out(f"{_many(report.concepts, 'concept')}, {_many(report.shapes, 'shape')}: {said}")
    if failed:
        raise InputError(
            f"the ontology does not conform to {args.shapes}: {_many(failed, 'result')}",
            remedy="Mend the concepts, or change the rules",
        )


def _many(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


VERBS = {"shapes": Verb("check house rules, written as SHACL shapes", _configure, _run)}
