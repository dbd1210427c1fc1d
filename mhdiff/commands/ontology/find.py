"""`mhdiff ontology search | ancestors | path`: finding concepts, and ways between them."""

from __future__ import annotations

import argparse

from mhdiff import console
from mhdiff.commands import Verb
from mhdiff.commands.ontology.common import concept, configure_ontology, open_ontology, print_concepts


def _configure_search(parser: argparse.ArgumentParser) -> None:
    configure_ontology(parser)
    parser.add_argument(
        "words", nargs="+", metavar="WORD", help="beginnings of words, in any order, or an identifier"
    )
    parser.add_argument("--inactive", action="store_true", help="look among inactive concepts too")
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="how many at most (default: 20)")


def _search(args: argparse.Namespace) -> None:
    ontology = open_ontology(args.ontology)
    found = ontology.search(" ".join(args.words), limit=args.limit, inactive=args.inactive)
    print_concepts(ontology, found, args.json)


def _configure_ancestors(parser: argparse.ArgumentParser) -> None:
    configure_ontology(parser)
    parser.add_argument("concept", metavar="CONCEPT", help="an SCTID, or a term written out")


def _ancestors(args: argparse.Namespace) -> None:
    ontology = open_ontology(args.ontology)
    above = ontology.ancestors(concept(ontology, args.concept))
    depth = ontology.depth[ontology.indices(above)]
    print_concepts(ontology, [int(s) for _, s in sorted(zip(-depth, above, strict=True))], args.json)


def _configure_path(parser: argparse.ArgumentParser) -> None:
    configure_ontology(parser)
    parser.add_argument("a", metavar="FROM", help="an SCTID, or a term written out")
    parser.add_argument("b", metavar="TO", help="an SCTID, or a term written out")
    parser.add_argument(
        "--relation", action="append", metavar="NAME", help="walk this relation only; may be repeated"
    )


def _path(args: argparse.Namespace) -> None:
    ontology = open_ontology(args.ontology)
    a, b = concept(ontology, args.a), concept(ontology, args.b)
    steps = ontology.path(a, b, args.relation)
    if args.json:
        named = [
            {
                **step._asdict(),
                "source_term": ontology.term(step.source),
                "target_term": ontology.term(step.target),
            }
            for step in steps
        ]
        console.out_json({"from": a, "to": b, "connected": a == b or bool(steps), "steps": named})
        return
    if not steps:
        console.out("the same concept" if a == b else "no path")
    for step in steps:
        end = step.target if step.forward else step.source
        arrow = f"--{step.relation_name}-->" if step.forward else f"<--{step.relation_name}--"
        begin = step.source if step.forward else step.target
        console.out(f"{ontology.term(begin)} {arrow} {ontology.term(end)}")


VERBS = {
    "search": Verb("find concepts by the words of their terms", _configure_search, _search),
    "ancestors": Verb("every concept above one, the deepest first", _configure_ancestors, _ancestors),
    "path": Verb("a shortest path between two concepts, over any relation", _configure_path, _path),
}
