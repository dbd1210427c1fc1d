"""`mhdiff graph view`: one patient's graph as an HTML file to search, filter and walk."""

from __future__ import annotations

import argparse

from mhdiff import console
from mhdiff.commands import Verb


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("graph", metavar="DIR", help="what `mhdiff graph build` wrote")
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--sample", type=int, metavar="ID", help="the sample_id to show")
    who.add_argument(
        "--subject", type=int, metavar="ID", help="the subject_id to show, where it has one sample"
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="the HTML file to write")
    parser.add_argument(
        "--ontology", metavar="DIR", help="names and synonyms: the ontology that the graph was built from"
    )
    parser.add_argument(
        "--cohort", metavar="DIR", help="values of labs and names of codes: the cohort that it was built from"
    )
    parser.add_argument(
        "--max-nodes",
        type=int,
        default=2000,
        metavar="N",
        help="concepts drawn at most (default: 2000): evidence first, then what is fewest steps from evidence",
    )
    parser.add_argument("--json", action="store_true", help="print what is drawn as one JSON document")


def _run(args: argparse.Namespace) -> None:
    from graph_builders import PatientGraph
    from mhdiff.cohort import Cohort
    from mhdiff.picture.page import write_picture
    from mhdiff.picture.patient import draw_patient, find_sample
    from ontology import Ontology

    graph = PatientGraph.open(args.graph)
    sample = find_sample(graph, args.sample, args.subject)
    ontology = Ontology.open(args.ontology) if args.ontology else None
    cohort = Cohort.open(args.cohort) if args.cohort else None
    picture = draw_patient(graph, sample, ontology, cohort, args.max_nodes)
    write_picture(picture, args.out)
    console.say(f"wrote {args.out}")
    if args.json:
        console.out_json(picture.to_dict())
        return
    counts = picture.counts
    subject = "" if picture.facts["subject_id"] is None else f", subject {picture.facts['subject_id']}"
    lines = [
        f"sample {sample}{subject}, ontology {picture.facts['ontology']}",
        "nodes",
        *(f"  {count:>9,}  {kind}" for kind, count in counts["nodes"].items()),
        "edges",
        *(f"  {count:>9,}  {kind}" for kind, count in counts["edges"].items()),
        *picture.notes,
    ]
    for line in lines:
        console.out(line)


VERB = Verb("one patient's graph as an HTML file to search, filter and walk", _configure, _run)
