"""`mhdiff graph`: ontology, cohort and task to the graph that links patients' concepts to modalities."""

from __future__ import annotations

import argparse
from typing import Any

from mhdiff import console
from mhdiff.commands import Verb, graph_view
from mhdiff.commands.graph_options import configure, recipe_of
from mhdiff.commands.graph_text import lines_of


def _configure_build(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ontology", required=True, metavar="DIR", help="what `mhdiff ontology build` wrote")
    parser.add_argument("--cohort", required=True, metavar="DIR", help="what `mhdiff cohort import` wrote")
    parser.add_argument("--task", required=True, metavar="NAME|FILE", help="what is predicted, and from what")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write the graph to")
    configure(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _build(args: argparse.Namespace) -> None:
    from mhdiff.cohort import Cohort, Task
    from mhdiff.cohort_graph import graph_of_cohort
    from ontology import Ontology
    from ontology.files import scratch_directory

    recipe = recipe_of(args)
    task, ontology, cohort = Task.load(args.task), Ontology.open(args.ontology), Cohort.open(args.cohort)
    with scratch_directory(args.out) as scratch:
        graph = graph_of_cohort(
            ontology,
            cohort,
            task,
            recipe=recipe,
            split=args.train_split,
            split_seed=args.split_seed,
            workers=args.workers,
            chunk=args.chunk,
            scratch=scratch,
        )
    graph.save(args.out)
    console.say(f"wrote {args.out}")
    _print(graph.describe(), args.json)


def _configure_info(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("graph", metavar="DIR", help="what `mhdiff graph build` wrote")
    parser.add_argument(
        "--verify", action="store_true", help="compare the checksum of every file, whatever its size"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _info(args: argparse.Namespace) -> None:
    from graph_builders import PatientGraph

    _print(PatientGraph.open(args.graph, verify=args.verify or None).describe(), args.json)


def _print(document: dict[str, Any], as_json: bool) -> None:
    if as_json:
        console.out_json(document)
        return
    for line in lines_of(document):
        console.out(line)


VERBS = {
    "build": Verb("link a cohort's patients to the concepts of an ontology", _configure_build, _build),
    "info": Verb(
        "what a graph holds, what it was built from, and what of the cohort it covers", _configure_info, _info
    ),
    "view": graph_view.VERB,
}
