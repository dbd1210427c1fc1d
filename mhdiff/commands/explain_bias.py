"""`mhdiff explain-bias`: which pairs of concepts, by which paths, made up the bias between two modalities."""

from __future__ import annotations

import argparse
from pathlib import Path

from mhdiff import console
from mhdiff.commands import Verb


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="folder of a run made by mhdiff fit")
    parser.add_argument(
        "--sample", type=int, default=None, help="sample_id; by default a held-out one with every modality"
    )
    parser.add_argument(
        "--modalities",
        nargs=2,
        metavar=("A", "B"),
        help="tell the bias between these two (or within one, named twice); by default every two",
    )
    parser.add_argument(
        "--top", type=int, default=5, metavar="N", help="pairs of concepts told one by one (default: 5)"
    )
    parser.add_argument(
        "--steps", type=int, default=32, help="points on the path of integrated gradients (default: 32)"
    )
    parser.add_argument(
        "--ontology", metavar="DIR", help="where names come from; by default the ontology that the run names"
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the same as a page too")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _run(arguments: argparse.Namespace) -> None:
    from mhdiff.commands.explain import choose
    from mhdiff.explain.bias_lines import lines
    from mhdiff.explain.bias_told import explain_bias
    from mhdiff.explain.patient import node_names
    from mhdiff.names import NodeNames
    from mhdiff.training.run import open_run
    from ontology import Ontology

    module, data = open_run(arguments.run)
    names = node_names(data)
    if arguments.ontology:
        ontology = Ontology.open(arguments.ontology)
        data.graph.check_ontology(ontology)
        names = NodeNames(names.sctids, ontology)
    sample = choose(data) if arguments.sample is None else arguments.sample
    document = explain_bias(module, data, sample, names, arguments.modalities, arguments.top, arguments.steps)
    if arguments.html:
        from mhdiff.report.page import render
        from ontology.files import atomic_write

        atomic_write(arguments.html, render({"d": document}, "bias.html.jinja"))
        console.say(f"wrote {arguments.html}")
    if arguments.json:
        console.out_json(document)
    else:
        console.out("\n".join(lines(document)))


VERB = Verb(
    "which pairs of concepts and ontology paths carried the bias between modalities", _configure, _run
)
