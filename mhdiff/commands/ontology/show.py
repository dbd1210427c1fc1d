"""`mhdiff ontology show`: a concept and what stands next to it, as text, as a picture, or as JSON."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from mhdiff import console
from mhdiff.commands import Verb
from mhdiff.commands.ontology.common import concept, configure_ontology, open_ontology
from ontology.errors import InputError

if TYPE_CHECKING:
    from ontology import Ontology

_LIMIT = 20


def _configure_show(parser: argparse.ArgumentParser) -> None:
    configure_ontology(parser)
    parser.add_argument(
        "concept",
        metavar="CONCEPT",
        help="an SCTID, a code or a term written out; inactive ones are shown too",
    )
    parser.add_argument("--svg", metavar="FILE", help="draw it as a picture, too")
    parser.add_argument(
        "--limit", type=int, metavar="N",
        help=f"how many parents, children, relations ... at most; 0 is all (default: {_LIMIT}, with --json all)",
    )  # fmt: skip


def _show(args: argparse.Namespace) -> None:
    from ontology.neighbourhood import neighbourhood
    from ontology.outline import outline

    if args.limit is not None and args.limit < 0:
        raise InputError(f"--limit is {args.limit}", remedy="Give a whole number from 0 on; 0 is all")
    ontology = open_ontology(args.ontology)
    sctid = concept(ontology, args.concept, inactive=True)
    if args.svg:
        from ontology.drawing import svg
        from ontology.writers.iris import put

        path = put(args.svg, svg(ontology, sctid, _LIMIT if args.limit is None else args.limit or None))
        console.say(f"wrote {path}")
    if args.json:
        document = concept_document(ontology, sctid, args.limit or None)
        console.out_json({**document, "svg": args.svg} if args.svg else document)
        return
    console.out(outline(neighbourhood(ontology, sctid, _LIMIT if args.limit is None else args.limit or None)))


def concept_document(ontology: Ontology, sctid: int, limit: int | None = None) -> dict[str, Any]:
    """Give everything that is said of a concept, ready for JSON.

    Args:
        ontology: The ontology.
        sctid: The concept, active or inactive.
        limit: How long each list is at most; None gives all.
    """
    from ontology.neighbourhood import neighbourhood

    return neighbourhood(ontology, sctid, limit).as_dict()


VERBS = {
    "show": Verb("a concept and its neighbours: as text, as a picture (--svg)", _configure_show, _show),
}
