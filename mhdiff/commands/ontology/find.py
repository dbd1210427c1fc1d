"""`mhdiff ontology search | ancestors | path`: finding concepts, and ways between them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from mhdiff import console
from mhdiff.commands import Verb
from mhdiff.commands.ontology.common import (
    announce_index,
    concept,
    configure_ontology,
    open_ontology,
    print_concepts,
)
from ontology.errors import InputError

if TYPE_CHECKING:
    from ontology import Ontology, Step


def _configure_search(parser: argparse.ArgumentParser) -> None:
    configure_ontology(parser)
    parser.add_argument(
        "words", nargs="+", metavar="WORD", help="beginnings of words, in any order, or an identifier"
    )
    parser.add_argument("--inactive", action="store_true", help="look among inactive concepts too")
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="how many at most (default: 20)")


def _search(args: argparse.Namespace) -> None:
    ontology = open_ontology(args.ontology)
    announce_index(ontology)
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
    parser.add_argument("a", metavar="FROM", help="an SCTID, a code or a term written out")
    parser.add_argument("b", metavar="TO", nargs="?", help="the same; without it, the ways up to the roots")
    parser.add_argument(
        "--relation", action="append", metavar="NAME", help="walk this relation only; may be repeated"
    )
    parser.add_argument(
        "--limit", type=int, default=1, metavar="N", help="how many paths of the same length (default: 1)"
    )


def _path(args: argparse.Namespace) -> None:
    if args.limit < 1:
        raise InputError(f"--limit is {args.limit}", remedy="Give a whole number from 1 on")
    ontology = open_ontology(args.ontology)
    a = concept(ontology, args.a)
    if args.b is None:
        if args.relation:
            raise InputError("--relation needs TO: the ways up to the roots are those of is a")
        found, document = ontology.paths_to_roots(a, args.limit), {"from": a}
    else:
        b = concept(ontology, args.b)
        found, document = ontology.paths(a, b, args.relation, args.limit), {"from": a, "to": b}
        document["connected"] = a == b or bool(found.total)
    if args.json:
        paths = [[_step(ontology, step) for step in path] for path in found.shown]
        console.out_json(
            {**document, "steps": paths[0] if paths else [], "paths": paths, "total": found.total}
        )
        return
    for number, path in enumerate(found.shown):
        if number:
            console.out("")
        for step in path:
            console.out(_arrow(ontology, step))
    if found.more:
        console.say(f"{found.more:,} more, see --limit")
    if not found.total:
        console.out(
            "a root" if args.b is None else "the same concept" if document["connected"] else "no path"
        )


def _step(ontology: Ontology, step: Step) -> dict[str, Any]:
    terms = {"source_term": ontology.term(step.source), "target_term": ontology.term(step.target)}
    return {**step._asdict(), **terms}


def _arrow(ontology: Ontology, step: Step) -> str:
    source, target = ontology.term(step.source), ontology.term(step.target)
    if step.forward:
        return f"{source} --{step.relation_name}--> {target}"
    return f"{target} <--{step.relation_name}-- {source}"


VERBS = {
    "search": Verb("find concepts by the words of their terms", _configure_search, _search),
    "ancestors": Verb("every concept above one, the deepest first", _configure_ancestors, _ancestors),
    "path": Verb(
        "shortest paths between two concepts over any relation, or up to the roots", _configure_path, _path
    ),
}
