"""`mhdiff ontology select | map | similarity`: questions in ECL, about codes, and about how near concepts are."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from mhdiff import console
from mhdiff.commands import Verb
from mhdiff.commands.ontology.common import concept, configure_ontology, named, open_ontology, print_concepts
from ontology.errors import InputError

if TYPE_CHECKING:
    from ontology import Ontology
    from ontology.rules import Patient


def _configure_select(parser: argparse.ArgumentParser) -> None:
    configure_ontology(parser)
    parser.add_argument("expression", metavar="ECL", help="an expression constraint, such as '<< 404684003'")
    parser.add_argument(
        "--limit", type=int, default=0, metavar="N", help="print N at most; 0 prints all (default)"
    )


def _select(args: argparse.Namespace) -> None:
    from ontology.ecl import select

    ontology = open_ontology(args.ontology)
    found = select(ontology, args.expression).tolist()
    console.say(f"{len(found):,} concepts")
    print_concepts(ontology, found[: args.limit] if args.limit > 0 else found, args.json)


def _configure_map(parser: argparse.ArgumentParser) -> None:
    configure_ontology(parser)
    parser.add_argument("code", metavar="CODE", help="a code, or with --to a concept")
    parser.add_argument(
        "--system", default="SNOMED", metavar="NAME", help="the code's system (default: SNOMED)"
    )
    parser.add_argument("--to", metavar="NAME", help="give the codes of the concept CODE in this system")
    parser.add_argument(
        "--age", type=float, metavar="YEARS", help="for rules by age: a whole number is of completed years"
    )
    parser.add_argument("--sex", choices=("male", "female"), help="for rules by sex")


def _patient(args: argparse.Namespace) -> Patient:
    from ontology.rules import Patient

    age = args.age
    return Patient(age=int(age) if age is not None and age == int(age) else age, sex=args.sex)


def _map(args: argparse.Namespace) -> None:
    ontology, patient = open_ontology(args.ontology), _patient(args)
    document = _codes(ontology, args, patient) if args.to else _concepts(ontology, args, patient)
    if args.json:
        console.out_json(document)
        return
    for line in _lines(document):
        console.out(line)


def _codes(ontology: Ontology, args: argparse.Namespace, patient: Patient) -> dict[str, Any]:
    from ontology.mapping import map_concept

    sctid = concept(ontology, args.code)
    choices = map_concept(ontology, sctid, args.to, patient=patient)
    return {
        **named(ontology, sctid),
        "system": args.to,
        "groups": [
            {
                "origin": c.origin,
                "group": c.group,
                "decided": c.decided,
                "targets": [t.as_dict() for t in c.targets],
            }
            for c in choices
        ],
    }


def _concepts(ontology: Ontology, args: argparse.Namespace, patient: Patient) -> dict[str, Any]:
    from ontology.mapping import map_code
    from ontology.normalise import normalise

    found = normalise(ontology, args.code, args.system, patient=patient)
    return {
        "code": found.code,
        "system": found.system,
        "status": found.status,
        "targets": [
            {**named(ontology, t.sctid), "kind": t.kind, "confidence": t.confidence,
             "path": [ontology.identifier(step) for step in t.path]}
            for t in found.targets
        ],
        "rows": [
            {"concept": ontology.identifier(row.sctid), **row.as_dict()}
            for row in map_code(ontology, args.code, args.system, patient=patient)
        ],
    }  # fmt: skip


def _lines(document: dict[str, Any]) -> list[str]:
    said = {True: "holds", False: "does not hold", None: "not decided"}
    if "groups" in document:
        lines = [f"{document.get('code', document['sctid'])}  {document['term']}"]
        for group in document["groups"]:
            lines.append(
                f"  group {group['group']} of {group['origin']}{'' if group['decided'] else ', not decided'}"
            )
            lines += [
                f"    {t['code'] or 'no code':<10} {t['rule']}  ({said[t['holds']]})  {t['advice']}".rstrip()
                for t in group["targets"]
            ]
        return lines if document["groups"] else [*lines, f"  no map to {document['system']}"]
    lines = [f"{document['code']} ({document['system']}): {document['status']}"]
    for target in document["targets"]:
        code = target.get("code", target["sctid"])
        lines.append(f"  {code}  {target['term']}  ({target['kind']}, confidence {target['confidence']:.2f})")
    for row in document["rows"]:
        lines.append(f"  row of {row['origin']}: {row['concept']} {row['rule']} ({said[row['holds']]})")
    return lines


def _configure_similarity(parser: argparse.ArgumentParser) -> None:
    configure_ontology(parser)
    parser.add_argument("a", metavar="A", help="an SCTID, a code or a term written out")
    parser.add_argument("b", metavar="B", help="the same")


def _similarity(args: argparse.Namespace) -> None:
    from ontology.ancestry import least_common_ancestors
    from ontology.similarity import METRICS, similarities

    ontology = open_ontology(args.ontology)
    a, b = concept(ontology, args.a), concept(ontology, args.b)
    values = similarities(ontology, [a], [b], metrics=tuple(METRICS))
    shared = [int(sctid) for sctid in least_common_ancestors(ontology, a, b)]
    figures = {name: float(value[0]) for name, value in values.items()}
    if args.json:
        console.out_json({
            "a": named(ontology, a), "b": named(ontology, b), "similarity": figures,
            "least_common_ancestors": [named(ontology, sctid) for sctid in shared],
        })  # fmt: skip
        return
    for name, figure in figures.items():
        console.out(f"{name:<15} {figure:.4f}")
    for sctid in shared:
        console.out(f"common ancestor {ontology.identifier(sctid)}  {ontology.term(sctid)}")
    if not shared:
        raise InputError("the two have no common ancestor, so every similarity is 0")


VERBS = {
    "select": Verb("the concepts that an expression constraint (ECL) selects", _configure_select, _select),
    "map": Verb(
        "a code to active concepts, along history and maps; or a concept to codes (--to)",
        _configure_map,
        _map,
    ),
    "similarity": Verb(
        "how similar two concepts are, and what they have in common", _configure_similarity, _similarity
    ),
}
