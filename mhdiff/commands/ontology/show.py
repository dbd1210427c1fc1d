"""`mhdiff ontology show | search | ancestors | path`: questions about single concepts."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from mhdiff import console
from mhdiff.commands import Verb
from mhdiff.commands.ontology.common import concept, configure_ontology, named, open_ontology, print_concepts

if TYPE_CHECKING:
    from ontology import Ontology


def _configure_show(parser: argparse.ArgumentParser) -> None:
    configure_ontology(parser)
    parser.add_argument("concept", metavar="CONCEPT", help="an SCTID, or a term written out")


def _show(args: argparse.Namespace) -> None:
    ontology = open_ontology(args.ontology)
    document = concept_document(ontology, concept(ontology, args.concept))
    if args.json:
        console.out_json(document)
        return
    console.out(f"{document['sctid']}  {document['fsn']}")
    console.out(f"  depth {document['depth']}, {document['descendants']:,} concepts below")
    for synonym in document["synonyms"]:
        console.out(f"  term      {synonym}")
    for key, title in (("parents", "is a"), ("children", "child")):
        for other in document[key]:
            console.out(f"  {title:<9} {other['sctid']}  {other['term']}")
    for row in document["relations"]:
        console.out(f"  {row['relation']}: {row['target']}  {row['term']}  (group {row['group']})")
    for row in document["relations_to_it"]:
        console.out(f"  <- {row['relation']} of {row['source']}  {row['term']}")
    for row in document["maps"]:
        console.out(f"  {row['system']:<9} {row['target']}  {row['rule']}  {row['advice']}".rstrip())


def _configure_search(parser: argparse.ArgumentParser) -> None:
    configure_ontology(parser)
    parser.add_argument("words", nargs="+", metavar="WORD", help="beginnings of words, in any order")
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="how many at most (default: 20)")


def _search(args: argparse.Namespace) -> None:
    ontology = open_ontology(args.ontology)
    found = ontology.search(" ".join(args.words), limit=args.limit)
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


def concept_document(ontology: Ontology, sctid: int) -> dict[str, Any]:
    """Give everything that is said of a concept.

    Args:
        ontology: The ontology.
        sctid: The concept.
    """
    node, relations = ontology.index(sctid), ontology.relations
    outward = [i for i in (relations.source == node).nonzero()[0].tolist() if relations.type[i]]
    inward = [i for i in (relations.target == node).nonzero()[0].tolist() if relations.type[i]]

    def name(row: int) -> str:
        return ontology.relation_name(int(ontology.relation_types[relations.type[row]]))

    def end(nodes: Any, row: int) -> int:
        return int(ontology.sctids[nodes[row]])

    return {
        "sctid": sctid,
        "fsn": ontology.fsn(sctid),
        "term": ontology.term(sctid),
        "semantic_tag": ontology.semantic_tag(sctid),
        "synonyms": ontology.synonyms(sctid),
        "fully_defined": bool(ontology.defined[node]),
        "depth": int(ontology.depth[node]),
        "descendants": len(ontology.descendants(sctid)),
        "parents": [named(ontology, s) for s in ontology.parents(sctid)],
        "children": [named(ontology, s) for s in ontology.children(sctid)],
        "relations": [
            {
                "relation": name(i),
                "target": end(relations.target, i),
                "term": ontology.term(end(relations.target, i)),
                "group": int(relations.group[i]),
            }
            for i in outward
        ],
        "relations_to_it": [
            {
                "relation": name(i),
                "source": end(relations.source, i),
                "term": ontology.term(end(relations.source, i)),
            }
            for i in inward
        ],
        "maps": ontology.maps.filter(ontology.maps["concept"] == node).drop("concept").to_dicts(),
    }


VERBS = {
    "show": Verb("a concept: terms, relations and maps", _configure_show, _show),
    "search": Verb("find concepts by the words of their terms", _configure_search, _search),
    "ancestors": Verb("every concept above one, the deepest first", _configure_ancestors, _ancestors),
    "path": Verb("a shortest path between two concepts, over any relation", _configure_path, _path),
}
