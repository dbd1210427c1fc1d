"""The report of an ablation: whether guidance helps, by how much, how surely, in which classes, against what, and how.

An ablation that does not ask about guidance (other models, priors, losses, layers) is told in the same order: the main
arm and the others held against each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mhdiff.report import guidance, provenance
from mhdiff.report.answers import METRIC, direction, doubts, sentence
from mhdiff.report.controls import channels
from mhdiff.report.documents import Document, Missing, checked, needed, read_json
from mhdiff.report.results import level
from mhdiff.report.roles import asks_guidance, compared, main_arm
from mhdiff.report.section import Section
from mhdiff.report.text import duration, figure, plural, words

ABLATION, PLAN = "ablation.json", "plan.json"
SAID = {
    "better": "did better",
    "worse": "did worse",
    "none": "could not be told apart from it",
    "unknown": "could not be compared",
}
GUIDED = (Section("controls", "Against which controls"), Section("channels", "Through which channel"))


@dataclass
class AblationSources:
    """What the page is made from.

    Args:
        folder: The ablation's folder.
        ablation: ablation.json.
        plan: plan.json; empty where there is none.
        facts: run.json of one of its trainings; empty where there is none.
        missing: What could not be read, and why.
    """

    folder: Path
    ablation: Document
    plan: Document = field(default_factory=dict)
    facts: Document = field(default_factory=dict)
    missing: list[Missing] = field(default_factory=list)


def is_ablation(folder: Path) -> bool:
    """Say whether a folder is that of an ablation.

    Args:
        folder: The folder.
    """
    return not (folder / "run.json").is_file() and any((folder / name).is_file() for name in (ABLATION, PLAN))


def collect_ablation(folder: Path) -> AblationSources:
    """Read an ablation's folder.

    Args:
        folder: The folder.

    Raises:
        InputError: If ablation.json is not there, cannot be read, or lacks what a page needs.
    """
    again = f"Finish it: mhdiff ablate -c ABLATION.yaml --out {folder}"
    document = checked(needed(folder / ABLATION, again), folder / ABLATION, again)
    found = AblationSources(folder, document)
    plan, reason = read_json(folder / PLAN)
    if isinstance(plan, dict):
        found.plan = plan
    else:
        found.missing.append(
            Missing("the plan of the trainings", reason or f"{PLAN} holds no JSON object", again)
        )
    for cell in document.get("cells") or []:
        facts, _ = read_json(folder / "cells" / str(cell.get("key")) / "run.json")
        if isinstance(facts, dict):
            found.facts = facts
            break
    else:
        found.missing.append(Missing("versions of the code", "no training's run.json can be read", again))
    found.missing += _gaps(document, folder)
    return found


def _gaps(ablation: Document, folder: Path) -> list[Missing]:
    """Name what this ablation does not tell, with what would bring it."""
    again = f"mhdiff ablate -c ABLATION.yaml --out {folder}"
    rows, found, guided = compared(ablation, METRIC), [], asks_guidance(ablation)
    if guided and not any(d["asks"] == "control" for d in rows):
        found.append(
            Missing("controls", "no guided arm is compared with a null graph",
                    "add an arm [--data.null=permuted, --data.null_seed={seed}] and a contrast with it")
        )  # fmt: skip
    if guided and channels(ablation) is None:
        found.append(
            Missing("channels", "no two arms differ in the channel alone",
                    "add arms [--model.guidance.channels=tokens] and [--model.guidance.channels=bias]")
        )  # fmt: skip
    if not ablation.get("differences_per_class"):
        found.append(Missing("differences by class", f"{ABLATION} has none", again))
    if len(ablation.get("patterns") or {}) < 2:
        found.append(
            Missing(
                "missing modalities",
                "one pattern was predicted",
                "add `patterns: all` to the ablation's YAML",
            )
        )
    if not any(cell.get("peak_mib") is not None for cell in ablation.get("cells") or []):
        found.append(
            Missing(
                "memory of each arm",
                "these trainings are of a version that did not write down their peak memory",
                "run the ablation again into another folder",
            )
        )
    return found


def context(found: AblationSources, out: Path, tables: Path | None = None) -> dict[str, Any]:
    """Give everything that the template shows.

    Args:
        found: What was read.
        out: The HTML file that will be written.
        tables: The folder of tables that will be written.
    """
    ablation = found.ablation
    rows = compared(ablation, METRIC)
    described = guidance.describe(ablation)
    assert described is not None
    guided = asks_guidance(ablation)
    question = "Does guidance help here?" if guided else f"How does {described['main']} compare?"
    sections = [
        Section("help", question),
        Section("size", "By how much"),
        Section("certainty", "How sure is that"),
        Section("classes", "In which classes"),
        *(GUIDED if guided else ()),
        Section("patterns", "When modalities are missing"),
        Section("metrics", "Every metric"),
        Section("cost", "Cost"),
        Section("repeat", "To repeat it"),
    ]
    return {
        "title": f"MH-Diff: ablation {words(ablation.get('name') or found.folder.name)}",
        "sections": sections,
        "headline": headline(ablation, described),
        "missing": found.missing,
        "why": {m.part: m for m in found.missing},
        "guided": guided,
        "ablation": described,
        "comparisons": [sentence(d, level(ablation)) for d in rows],
        "doubts": [doubt for d in rows for doubt in doubts(d)],
        "encoders": _encoders(found),
        "fingerprints": provenance.ablation_fingerprints(ablation, found.plan, found.facts),
        "commands": provenance.ablation_commands(found.folder, ablation, found.plan, out, tables),
    }


def _encoders(found: AblationSources) -> str:
    """Say what the encoders took that arms share, since no arm's time has it."""
    shared = found.plan.get("encoders") or []
    if not shared:
        return ""
    seconds = []
    for cell in shared:
        for facts in (found.folder / "encoders" / str(cell.get("key"))).glob("**/run.json"):
            document, _ = read_json(facts)
            if isinstance(document, dict) and document.get("seconds") is not None:
                seconds.append(document["seconds"])
    took = f", {duration(sum(seconds))} in all" if len(seconds) == len(shared) else ""
    return f"The encoders that all arms share were trained {plural(len(shared), 'time')}{took}; no arm's time has them."


def headline(ablation: Document, described: dict[str, Any]) -> str:
    """Say in two sentences what was found.

    Args:
        ablation: ablation.json.
        described: What `mhdiff.report.guidance.describe` gave.
    """
    main = main_arm(ablation)
    arm = ablation["arms"][main]
    score = arm["metrics"][METRIC]
    who = f"On {plural(arm['n_subjects'], 'patient')} that no training saw, " if arm.get("n_subjects") else ""
    if score.get("value") is None:
        return f"{words(main)} has no AUROC: {score.get('reason') or arm.get('reason') or 'no reason was given'}."
    reached = _capital(f"{who}{words(main)} reached a macro AUROC of {figure(score)}.")
    if asks_guidance(ablation) and described["answers"]:
        first = described["answers"][0]
        plain = [
            d
            for d in compared(ablation, METRIC)
            if d["asks"] == "guidance" and words(d["arm"]) == first["arm"]
        ]
        by = f" {_capital(sentence(plain[0], level(ablation)))}" if plain else ""
        doubt = " Not every test bears this out." if any(map(doubts, plain)) else ""
        said = first["verdict"]
        return f"Ontology guidance ({first['arm']}): {said[0].lower()}{said[1:]}{by}{doubt} {reached}"
    own = [d for d in compared(ablation, METRIC) if main in (d["arm"], d["reference"])]
    count = {kind: sum(_theirs(d, main) == kind for d in own) for kind in SAID}
    told = [f"{count[kind]} {said}" for kind, said in SAID.items() if count[kind]]
    return (
        f"{reached} Of {plural(len(own), 'arm')} that it was compared with, {', '.join(told)}."
        if own
        else reached
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _theirs(difference: Document, main: str) -> str:
    """Read a comparison from the other arm's side."""
    found = direction(difference)
    turned = {"better": "worse", "worse": "better"}
    return turned.get(found, found) if difference["arm"] == main else found
