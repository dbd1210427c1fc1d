"""`mhdiff graph`: ontology, cohort and task to the graph that links patients' concepts to modalities."""

from __future__ import annotations

import argparse
from typing import Any

from mhdiff import console
from mhdiff.commands import Verb


def _configure_build(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ontology", required=True, metavar="DIR", help="what `mhdiff ontology build` wrote")
    parser.add_argument("--cohort", required=True, metavar="DIR", help="what `mhdiff cohort import` wrote")
    parser.add_argument("--task", required=True, metavar="NAME|FILE", help="what is predicted, and from what")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write the graph to")
    parser.add_argument(
        "--view",
        choices=("closure", "khop"),
        default="closure",
        help="which part of the ontology: the evidence's ancestors and what they point to, or k hops",
    )
    parser.add_argument("--hops", type=int, default=2, metavar="N", help="how far khop walks (default: 2)")
    parser.add_argument(
        "--relation", action="append", metavar="NAME", help="keep this relation type only; may be repeated"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _build(args: argparse.Namespace) -> None:
    from graph_builders import View
    from mhdiff.cohort import Cohort, Task
    from mhdiff.cohort_graph import graph_of_cohort
    from ontology import Ontology

    view = View(args.view, args.hops, tuple(args.relation) if args.relation else None)
    task, ontology, cohort = Task.load(args.task), Ontology.open(args.ontology), Cohort.open(args.cohort)
    graph = graph_of_cohort(ontology, cohort, task, view)
    graph.save(args.out)
    console.say(f"wrote {args.out}")
    _print(graph.describe(), args.json)


def _configure_info(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("graph", metavar="DIR", help="what `mhdiff graph build` wrote")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _info(args: argparse.Namespace) -> None:
    from graph_builders import PatientGraph

    _print(PatientGraph.open(args.graph).describe(), args.json)


def _print(document: dict[str, Any], as_json: bool) -> None:
    if as_json:
        console.out_json(document)
        return
    for line in _lines(document):
        console.out(line)


def _lines(document: dict[str, Any]) -> list[str]:
    made, coverage = document["ontology"], document["coverage"]
    view = document["view"]
    lines = [
        f"graph     {document['fingerprint'][:12]}, task {document['task']}",
        f"ontology  {made['name']} ({made['fingerprint'][:12]})",
        f"cohort    {document['cohort']['kind']} ({document['cohort']['fingerprint'][:12]})",
        f"view      {view['kind']}" + (f", {view['hops']} hops" if "hops" in view else ""),
        "",
        "nodes",
        *(f"  {count:>9,}  {kind}" for kind, count in document["counts"]["nodes"].items()),
        "edges",
        *(f"  {count:>9,}  {kind}" for kind, count in document["counts"]["edges"].items()),
    ]
    for name, part in coverage.get("modalities", {}).items():
        lines += [
            "",
            f"{name}: {part['events']:,} events of {part['samples']:,} samples, "
            f"{part['coverage']:.1%} gave evidence; {part['samples_with_evidence']:,} samples have any",
            "  outcomes  " + ", ".join(f"{key} {n:,}" for key, n in part["outcomes"].items()),
            "  polarity  " + (", ".join(f"{key} {n:,}" for key, n in part["polarities"].items()) or "none"),
        ]
        if name in document["tokens"]:
            size = document["tokens"][name]
            lines.append(
                f"  concepts  {part['concepts']:,} different; an observation: {size['median']:g} (median), "
                f"{size['p95']:g} (95th percentile), {size['max']:g} at most"
            )
        if part["top_unmapped"]:
            named = ", ".join(f"{row['code']} ({row['events']:,})" for row in part["top_unmapped"][:5])
            lines.append(f"  unmapped  {part['codes_unmapped']:,} codes: {named}")
    blinded, labs = coverage.get("blinded", {}), coverage.get("labs", {})
    if blinded:
        lines += [
            "",
            f"blinded: {blinded['concepts']:,} concepts, {blinded['rows_dropped']:,} rows out",
        ]
        lines += [f"  {row['rows']:>6,}  {row['term']} ({row['concept']})" for row in blinded["dropped"][:5]]
        if blinded["not_in_ontology"]:
            lines.append(f"  not in this ontology: {', '.join(map(str, blinded['not_in_ontology']))}")
    for key, text in (
        ("unit_missing", "labs without a unit"),
        (
            "abnormal_without_a_finding",
            "abnormal labs without a finding in the ontology (the observable stands for them)",
        ),
    ):
        if labs.get(key):
            lines.append(f"{text}: " + ", ".join(f"{code} ({n:,})" for code, n in labs[key].items()))
    if coverage.get("text_not_read"):
        lines.append(
            f"events with a text beside a code, whose text was not read: {coverage['text_not_read']:,}"
        )
    return lines


VERBS = {
    "build": Verb("link a cohort's patients to the concepts of an ontology", _configure_build, _build),
    "info": Verb(
        "what a graph holds, what it was built from, and what of the cohort it covers", _configure_info, _info
    ),
}
