"""`mhdiff ontology build | info | export | builtin`: files to an ontology on disk, and on to other tools."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mhdiff import console
from mhdiff.commands import Verb
from mhdiff.commands.ontology.common import BUILTIN, configure_ontology, load, named, open_ontology
from ontology.errors import InputError
from ontology.report import LoadReport

if TYPE_CHECKING:
    from ontology import Ontology

_FORMATS = ("turtle", "owl", "graphml", "obo", "obograph", "parquet", "pykeen", "rf2")


def _configure_build(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", nargs="+", metavar="SOURCE",
        help=f"file or folder of any format, or the word {BUILTIN}; of RF2 several, the edition first",
    )  # fmt: skip
    parser.add_argument("--out", metavar="DIR", help="folder to write; without it the source is only checked")
    parser.add_argument("--format", metavar="NAME", help="rf2, owl, rdf, obo, omop ...; found out by default")
    parser.add_argument(
        "--extend", action="append", default=[], metavar="LAYER",
        help="lay a file or folder of any format over it: concepts, terms, relations, maps; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--classify", metavar="REASONER",
        help="infer is-a from OWL axioms, those of the layers or else of the source: hermit, pellet, elk, auto",
    )  # fmt: skip
    parser.add_argument(
        "--as-of", metavar="YYYYMMDD", help="RF2: the state at this effectiveTime, from the Full"
    )
    parser.add_argument(
        "--dialect", action="append", default=[], metavar="NAME",
        help="RF2: language reference set that decides the preferred terms (en-GB, an SCTID); may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--ignore-dependencies",
        action="store_true",
        help="RF2: lay packages over one another whatever versions they need",
    )
    parser.add_argument("--name", metavar="NAME", help="what to call the ontology")
    parser.add_argument(
        "--strict", action="store_true", help="refuse whatever is otherwise dropped and counted"
    )
    parser.add_argument(
        "--lexicon",
        action="store_true",
        help="write the recogniser's dictionary at once; otherwise the first note that is read does it",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _build(args: argparse.Namespace) -> None:
    if args.lexicon and not args.out:
        raise InputError("--lexicon has nowhere to write to", remedy="Give a folder with --out as well")
    options = {"as_of": args.as_of, "dialects": tuple(args.dialect), "name": args.name, "format": args.format}
    if args.ignore_dependencies:
        options["check_dependencies"] = False
    with console.steps(f"reading {', '.join(args.source)}"):
        ontology = load(
            args.source,
            strict=args.strict,
            **{key: value for key, value in options.items() if value or value is False},
        )
    if args.extend:
        from ontology.layers import extend

        for source in args.extend:
            with console.steps(f"laying over {source}"):
                ontology = extend(ontology, source, strict=args.strict, reasoner=args.classify or "")
        if args.name:
            ontology = replace(ontology, name=args.name)
    elif args.classify:
        from ontology.classify import classified

        with console.steps(f"classifying with {args.classify}"):
            ontology, _ = classified(ontology, reasoner=args.classify)
    if args.out:
        with console.steps(f"writing {args.out}"):
            ontology.save(args.out)
        console.say(f"wrote {args.out}")
    if args.lexicon:
        from ontology.lexicon import Lexicon
        from ontology.lexicon_store import FOLDER

        console.say(f"wrote {Lexicon.build(ontology).save(Path(args.out) / FOLDER)}")
    _print_info(ontology, args.json)


def _info(args: argparse.Namespace) -> None:
    _print_info(open_ontology(args.ontology), args.json)


def _configure_export(parser: argparse.ArgumentParser) -> None:
    configure_ontology(parser)
    parser.add_argument("--format", required=True, choices=_FORMATS, help="what to write")
    parser.add_argument(
        "--out", required=True, metavar="PATH", help="file or folder to write; an older one is replaced"
    )

    parser.add_argument(
        "--namespace", type=int, metavar="N", help="rf2: seven digits for components without an SCTID"
    )
    parser.add_argument("--effective-time", metavar="YYYYMMDD", help="rf2: when the rows take effect")
    parser.add_argument("--base", metavar="ONTOLOGY", help="rf2: write a Delta over this built ontology")
    parser.add_argument(
        "--module", type=int, metavar="SCTID", help="rf2: module of the rows; a Delta makes one by default"
    )
    parser.add_argument(
        "--identifiers", metavar="FILE", help="rf2: identifiers.tsv of the release before, whose SCTIDs stay"
    )


def _export(args: argparse.Namespace) -> None:
    from ontology.export import FORMATS
    from ontology.left_out import left_out

    ontology = open_ontology(args.ontology)
    if args.format == "rf2":
        from ontology.writers.rf2 import write

        base = open_ontology(args.base) if args.base else None
        path = write(
            ontology, args.out, base=base, namespace=args.namespace, effective_time=args.effective_time,
            module=args.module, identifiers=args.identifiers,
        )  # fmt: skip
    else:
        path = FORMATS[args.format](ontology, args.out)
    console.say(f"wrote {path}")
    lacking = left_out(ontology, args.format)
    console.say(f"left out: {', '.join(f'{n:,} {what}' for what, n in lacking.items()) or 'nothing'}")
    if args.json:
        console.out_json(
            {
                "file": str(path),
                "format": args.format,
                "concepts": len(ontology),
                "relations": len(ontology.relations),
                "left_out": lacking,
            }
        )


def _configure_builtin(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write the RF2 Snapshot to")


def _builtin(args: argparse.Namespace) -> None:
    from ontology.builtin import write_rf2

    console.say(f"wrote {write_rf2(args.out)}")


def _print_info(ontology: Ontology, as_json: bool) -> None:
    names = [ontology.relation_name(t) for t in ontology.relation_types.tolist()]
    kinds = np.bincount(ontology.relations.type, minlength=len(names)).tolist()
    counts: dict[str, int] = {}
    for name, count in zip(names, kinds, strict=True):
        counts[name] = counts.get(name, 0) + count
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
                "inactive": ontology.inactive.height,
                "layers": list(ontology.layers),
                "depth": int(ontology.depth.max()),
                "roots": [named(ontology, s) for s in ontology.roots[:20]],
                "root_count": len(ontology.roots),
                "report": ontology.report.as_dict(),
            }
        )
        return
    console.out(f"{ontology.name}: {len(ontology):,} concepts, {ontology.terms.height:,} terms")
    if ontology.inactive.height:
        console.out(f"inactive         {ontology.inactive.height:,} concepts, with their terms and history")
    console.out(f"fingerprint      {ontology.fingerprint}")
    console.out(f"relations        {', '.join(f'{n:,} {name}' for name, n in counts.items())}")
    console.out(f"maps             {', '.join(f'{n:,} {system}' for system, n in systems.items()) or 'none'}")
    roots = ", ".join(ontology.term(int(s)) for s in ontology.roots[:5])
    more = f" and {len(ontology.roots) - 5:,} more" if len(ontology.roots) > 5 else ""
    console.out(f"hierarchy        {int(ontology.depth.max())} levels below {roots}{more}")
    for line in ontology.report.lines():
        console.out(line)
    for layer in ontology.layers:
        if inferred := layer.get("classified"):
            told = ", ".join(f"{count:,} {what}" for what, count in inferred.items())
            console.out(f"classified       {layer['name']} by {layer['reasoner']}: {told}")
    for layer in ontology.layers[1:]:
        _print_layer(layer)


def _print_layer(layer: dict[str, Any]) -> None:
    version = f", effective {layer['version']}" if layer.get("version") else ""
    console.out(f"layer            {layer['name']} ({layer.get('format') or 'made in Python'}{version})")
    for what, change in layer.get("changes", {}).items():
        console.out(f"  {change['count']:>9,} {what}")
        for example in change["examples"][:3]:
            console.out(f"            {example}")
    for line in LoadReport.from_dict(layer.get("report", {})).problems():
        console.out(f"  read:     {line}")


VERBS = {
    "build": Verb(
        "read a terminology of any format, report what was dropped, and save the ontology",
        _configure_build,
        _build,
    ),
    "info": Verb("counts, and the report of the load", configure_ontology, _info),
    "export": Verb(
        "write the ontology for other tools: Turtle, OWL, OBO, Parquet, PyKEEN, RF2 ...",
        _configure_export,
        _export,
    ),
    "builtin": Verb("write the built-in terminology as an RF2 Snapshot", _configure_builtin, _builtin),
}
