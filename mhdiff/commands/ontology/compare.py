"""`mhdiff ontology diff`: what changed between two ontologies, or two releases of one."""

from __future__ import annotations

import argparse

from mhdiff import console
from mhdiff.commands import Verb
from mhdiff.commands.ontology.common import BUILTIN, open_ontology


def _configure(parser: argparse.ArgumentParser) -> None:
    for name, help_ in (("old", "the ontology before"), ("new", "the ontology after")):
        parser.add_argument(
            name, metavar=name.upper(),
            help=f"{help_}: what `mhdiff ontology build` wrote, or the word {BUILTIN}",
        )  # fmt: skip
    parser.add_argument(
        "--limit",
        type=int,
        default=5,
        metavar="N",
        help="rows of each kind to print; 0 prints all (default: 5)",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="folder for the tables as Parquet, with what takes each old concept's place",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _diff(args: argparse.Namespace) -> None:
    from ontology.difference import diff

    old, new = open_ontology(args.old), open_ontology(args.new)
    found = diff(old, new)
    if args.out:
        console.say(f"wrote {found.save(args.out)}")
    if args.json:
        console.out_json(found.as_dict(max(args.limit, 0)))
        return
    console.out(f"{old.name} ({len(old):,} concepts) -> {new.name} ({len(new):,} concepts)")
    for what, count in found.counts().items():
        console.out(f"{count:>9,} {what}")
        for example in found.examples(what, max(args.limit, 0)):
            console.out(f"          {example}")
    if not found:
        console.out("no difference")


VERBS = {"diff": Verb("what changed between two ontologies or releases", _configure, _diff)}
