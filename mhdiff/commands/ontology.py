"""`mhdiff ontology`: terminology files to an ontology on disk, and questions to it."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mhdiff import console
from mhdiff.commands import Verb
from ontology.errors import InputError

if TYPE_CHECKING:
    from ontology import Ontology

_BUILTIN = "builtin"
_FORMATS = ("turtle", "owl", "graphml")


def _configure_build(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help=f"folder of an RF2 release, or the word {_BUILTIN}")
    parser.add_argument("--out", metavar="DIR", help="folder to write; without it the source is only checked")
    parser.add_argument(
        "--strict", action="store_true", help="refuse whatever is otherwise dropped and counted"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _build(args: argparse.Namespace) -> None:
    console.say(f"reading {args.source}")
    ontology = _load(args.source, strict=args.strict)
    if args.out:
        ontology.save(args.out)
        console.say(f"wrote {args.out}")
    _print_info(ontology, args.json)


def _configure_info(parser: argparse.ArgumentParser) -> None:
    _configure_ontology(parser)


def _info(args: argparse.Namespace) -> None:
    _print_info(_open(args.ontology), args.json)


def _configure_show(parser: argparse.ArgumentParser) -> None:
    _configure_ontology(parser)
    parser.add_argument("concept", metavar="CONCEPT", help="an SCTID, or a term written out")


def _show(args: argparse.Namespace) -> None:
    ontology = _open(args.ontology)
    document = _concept_document(ontology, _concept(ontology, args.concept))
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
    _configure_ontology(parser)
    parser.add_argument("words", nargs="+", metavar="WORD", help="beginnings of words, in any order")
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="how many at most (default: 20)")


def _search(args: argparse.Namespace) -> None:
    ontology = _open(args.ontology)
    found = ontology.search(" ".join(args.words), limit=args.limit)
    _print_concepts(ontology, found, args.json)


def _configure_ancestors(parser: argparse.ArgumentParser) -> None:
    _configure_ontology(parser)
    parser.add_argument("concept", metavar="CONCEPT", help="an SCTID, or a term written out")


def _ancestors(args: argparse.Namespace) -> None:
    ontology = _open(args.ontology)
    above = ontology.ancestors(_concept(ontology, args.concept))
    depth = ontology.depth[ontology.indices(above)]
    _print_concepts(ontology, [int(s) for _, s in sorted(zip(-depth, above, strict=True))], args.json)


def _configure_path(parser: argparse.ArgumentParser) -> None:
    _configure_ontology(parser)
    parser.add_argument("a", metavar="FROM", help="an SCTID, or a term written out")
    parser.add_argument("b", metavar="TO", help="an SCTID, or a term written out")
    parser.add_argument(
        "--relation", action="append", metavar="NAME", help="walk this relation only; may be repeated"
    )


def _path(args: argparse.Namespace) -> None:
    ontology = _open(args.ontology)
    a, b = _concept(ontology, args.a), _concept(ontology, args.b)
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


def _configure_recognise(parser: argparse.ArgumentParser) -> None:
    _configure_ontology(parser)
    parser.add_argument(
        "text", nargs="?", metavar="TEXT", help="a note; read from stdin where it is left out"
    )


def _recognise(args: argparse.Namespace) -> None:
    from ontology.recognise import Recogniser

    ontology = _open(args.ontology)
    mentions = Recogniser(ontology)(sys.stdin.read() if args.text is None else args.text)
    if args.json:
        console.out_json(
            [{**mention._asdict(), "term": ontology.term(mention.sctid)} for mention in mentions]
        )
        return
    for m in mentions:
        console.out(
            f"{m.start:>5}-{m.end:<5} {m.polarity:<11} {m.sctid}  {ontology.term(m.sctid)}  ({m.text!r})"
        )


def _configure_export(parser: argparse.ArgumentParser) -> None:
    _configure_ontology(parser)
    parser.add_argument(
        "--format", required=True, choices=_FORMATS, help="SKOS in Turtle, OWL in RDF/XML, or GraphML"
    )
    parser.add_argument(
        "--out", required=True, metavar="FILE", help="file to write; an older one is replaced"
    )


def _export(args: argparse.Namespace) -> None:
    from ontology.export import FORMATS

    ontology = _open(args.ontology)
    path = FORMATS[args.format](ontology, args.out)
    console.say(f"wrote {path}")
    if args.json:
        console.out_json(
            {
                "file": str(path),
                "format": args.format,
                "concepts": len(ontology),
                "relations": len(ontology.relations),
            }
        )


def _configure_builtin(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write the RF2 Snapshot to")


def _builtin(args: argparse.Namespace) -> None:
    from ontology.builtin import write_rf2

    console.say(f"wrote {write_rf2(args.out)}")


def _configure_ontology(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "ontology", metavar="ONTOLOGY", help=f"what `mhdiff ontology build` wrote, or the word {_BUILTIN}"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _load(source: str, *, strict: bool) -> Ontology:
    from ontology import load_rf2

    if source != _BUILTIN:
        return load_rf2(source, strict=strict)
    from ontology.builtin import write_rf2

    with tempfile.TemporaryDirectory() as folder:
        return load_rf2(write_rf2(Path(folder) / _BUILTIN), strict=strict, name=_BUILTIN)


def _open(folder: str) -> Ontology:
    from ontology import Ontology

    return _load(folder, strict=False) if folder == _BUILTIN else Ontology.open(folder)


def _concept(ontology: Ontology, text: str) -> int:
    """Understand an SCTID or a term written out."""
    if text.isascii() and text.isdecimal() and len(text) <= 18:
        return int(ontology.sctids[ontology.index(int(text))])
    found = ontology.search(text, limit=5)
    exact = [
        s for s in found if text.lower() in {t.lower() for t in (*ontology.synonyms(s), ontology.fsn(s))}
    ]
    if len(exact) == 1 or (exact and ontology.term(exact[0]).lower() == text.lower()):
        return exact[0]
    near = ", ".join(f"{sctid} ({ontology.term(sctid)})" for sctid in exact or found)
    raise InputError(
        f"'{text}' is the term of {'several concepts' if exact else 'no concept'} of '{ontology.name}'",
        remedy=f"Give an SCTID; near are: {near}" if near else "Look with: mhdiff ontology search",
    )


def _named(ontology: Ontology, sctid: int) -> dict[str, Any]:
    return {"sctid": int(sctid), "term": ontology.term(int(sctid))}


def _concept_document(ontology: Ontology, sctid: int) -> dict[str, Any]:
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
        "parents": [_named(ontology, s) for s in ontology.parents(sctid)],
        "children": [_named(ontology, s) for s in ontology.children(sctid)],
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


def _print_concepts(ontology: Ontology, sctids: list[int], as_json: bool) -> None:
    if as_json:
        console.out_json([{**_named(ontology, s), "fsn": ontology.fsn(s)} for s in sctids])
        return
    for sctid in sctids:
        console.out(f"{sctid}  {ontology.fsn(sctid)}")


def _print_info(ontology: Ontology, as_json: bool) -> None:
    kinds = ontology.relations.type.tolist()
    names = [ontology.relation_name(t) for t in ontology.relation_types.tolist()]
    counts = {name: kinds.count(i) for i, name in enumerate(names)}
    systems = dict(ontology.maps["system"].value_counts(sort=True).iter_rows())
    if as_json:
        console.out_json(
            {
                "name": ontology.name,
                "fingerprint": ontology.fingerprint,
                "concepts": len(ontology),
                "terms": ontology.terms.height,
                "relations": counts,
                "maps": systems,
                "depth": int(ontology.depth.max()),
                "roots": [_named(ontology, s) for s in ontology.roots[:20]],
                "root_count": len(ontology.roots),
                "report": ontology.report.as_dict(),
            }
        )
        return
    console.out(f"{ontology.name}: {len(ontology):,} concepts, {ontology.terms.height:,} terms")
    console.out(f"fingerprint      {ontology.fingerprint}")
    console.out(f"relations        {', '.join(f'{n:,} {name}' for name, n in counts.items())}")
    console.out(f"maps             {', '.join(f'{n:,} {system}' for system, n in systems.items()) or 'none'}")
    roots = ", ".join(ontology.term(int(s)) for s in ontology.roots[:5])
    more = f" and {len(ontology.roots) - 5:,} more" if len(ontology.roots) > 5 else ""
    console.out(f"hierarchy        {int(ontology.depth.max())} levels below {roots}{more}")
    for line in ontology.report.lines():
        console.out(line)


VERBS = {
    "build": Verb(
        "read an RF2 release, report what was dropped, and save the ontology", _configure_build, _build
    ),
    "info": Verb("counts, and the report of the load", _configure_info, _info),
    "show": Verb("a concept: terms, relations and maps", _configure_show, _show),
    "search": Verb("find concepts by the words of their terms", _configure_search, _search),
    "ancestors": Verb("every concept above one, the deepest first", _configure_ancestors, _ancestors),
    "path": Verb("a shortest path between two concepts, over any relation", _configure_path, _path),
    "recognise": Verb(
        "the concepts that a note names, and what it says of them", _configure_recognise, _recognise
    ),
    "export": Verb(
        "write the ontology for other tools: SKOS (Turtle), OWL or GraphML", _configure_export, _export
    ),
    "builtin": Verb("write the built-in terminology as an RF2 Snapshot", _configure_builtin, _builtin),
}
