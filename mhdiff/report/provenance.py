"""What it cost, what it was made from, and the commands that make it again."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from mhdiff.config import find
from mhdiff.report.collect import Document, Sources
from mhdiff.report.text import count, duration, words
from ontology.errors import InputError

COMMAND_LENGTH = 100  # longer commands are broken before an option


def cost(found: Sources) -> dict[str, Any]:
    """Time and memory by stage, and what else is known.

    Args:
        found: What the report is made from.
    """
    stages = found.stages or []
    longest = max((s["seconds"] for s in stages), default=0.0) or 1.0
    most = max((s["peak_mib"] for s in stages), default=0.0) or 1.0
    rows = [
        {
            "name": s["name"],
            "time": duration(s["seconds"]),
            "memory": f"{count(round(s['peak_mib']))} MiB",
            "time_at": round(100 * s["seconds"] / longest, 2),
            "memory_at": round(100 * s["peak_mib"] / most, 2),
        }
        for s in stages
    ]
    facts = [
        ("parameters", count(found.facts.get("parameters"))),
        ("training", duration(found.facts.get("seconds"))),
    ]
    if stages:
        facts.append(("all stages before this report", duration(sum(s["seconds"] for s in stages))))
        facts.append(("peak memory", f"{count(round(most))} MiB"))
    return {"rows": rows, "facts": facts}


def fingerprints(found: Sources) -> list[tuple[str, str]]:
    """What identifies data, code and result.

    Args:
        found: What the report is made from.
    """
    facts = found.facts
    trained = facts.get("fingerprints") or {}
    rows = [(f"{words(what)} (SHA-256)", str(value)) for what, value in trained.items()]
    if found.graph and found.graph.get("fingerprint"):
        rows.append(("graph (SHA-256)", str(found.graph["fingerprint"])))
    ablation = found.ablation or {}
    if ablation.get("code"):
        rows.append(("ablation's code", str(ablation["code"])))
    if isinstance(ablation.get("data"), dict):
        rows += [(f"ablation's {what}", str(value)) for what, value in ablation["data"].items()]
    rows.append(("git", str(facts.get("git") or "not known: the code was not run from a git checkout")))
    rows += [(name, str(version)) for name, version in (facts.get("versions") or {}).items()]
    seed = (found.config or {}).get("seed_everything")
    if seed is not None:
        rows.append(("seed of training", str(seed)))
    return rows


def commands(found: Sources, out: Path, ablation: Path | None, stages: Path | None) -> list[tuple[str, str]]:
    """The commands that make this report again, each with what it does.

    Args:
        found: What the report is made from.
        out: The report's file.
        ablation: The ablation.json it was given.
        stages: The stages.json it was given.
    """
    run, config, metrics = found.run, found.config or {}, found.metrics
    data: Document = config.get("data") or {}
    lines: list[tuple[str, list[str]]] = []
    if data and not data.get("builtin"):
        build = [
            "mhdiff",
            "graph",
            "build",
            "--cohort",
            str(data.get("cohort")),
            "--task",
            str(data.get("task")),
        ]
        build += ["--ontology", str(data.get("ontology") or "ONTOLOGY"), "--out", str(data.get("graph"))]
        lines.append(("the graph, from ontology and cohort", build))
    if config:
        made = "terminology, cohort and graph where they are not there, then " if data.get("builtin") else ""
        again = str(run.with_name(f"{run.name}-again"))
        fit = ["mhdiff", "fit", "-c", str(run / "config.yaml"), "--out", again]
        lines.append((f"{made}training, in a new folder", fit))
    evaluate = ["mhdiff", "evaluate", str(run)]
    for option in ("replicates", "seed"):
        if metrics.get(option) is not None:
            evaluate += [f"--{option}", str(metrics[option])]
    lines.append(("the metrics", evaluate))
    if found.ablation is not None and ablation is not None:
        lines.append(("the ablation", _ablate(found, ablation)))
    if found.explanation is not None:
        sample = str(found.explanation["sample_id"])
        lines.append(("the explained patient", ["mhdiff", "explain", str(run), "--sample", sample]))
    report = ["mhdiff", "report", str(run), "--out", str(out)]
    report += ["--ablation", str(ablation)] if ablation else []
    report += ["--stages", str(stages)] if stages else []
    lines.append(("this file", report))
    return [(what, _folded(parts)) for what, parts in lines]


def _ablate(found: Sources, path: Path) -> list[str]:
    """Rebuild the ablation's command: its options are the overrides that every cell shares."""
    ablation = found.ablation or {}
    name = f"ablations/{ablation.get('name')}.yaml"
    try:
        find(name)
    except InputError:
        config = f"{ablation.get('name') or 'ABLATION'}.yaml"
    else:
        config = f"configs/{name}"
    folder = path.parent if (path.parent / "plan.json").is_file() else path.parent / "ablation"
    own = {option for arm in ablation["arms"].values() for option in arm.get("overrides") or []}
    cells = [set(cell.get("overrides") or []) for cell in ablation.get("cells") or []]
    shared = set.intersection(*cells) if cells else set()
    kept = sorted(o for o in shared - own if not o.startswith(("--seed_everything", "--data.split")))
    settings = [part for o in kept for part in ("--set", o.removeprefix("--"))]
    return ["mhdiff", "ablate", "-c", config, "--out", str(folder), *settings]


def _folded(parts: list[str]) -> str:
    """Join a command; a long one gets a line an option."""
    text = shlex.join(parts)
    if len(text) <= COMMAND_LENGTH:
        return text
    lines = [""]
    for part in parts:
        if part.startswith("-") and lines[-1]:
            lines.append("   ")
        lines[-1] += (" " if lines[-1].strip() else " " if lines[-1] else "") + shlex.quote(part)
    return " \\\n".join(line.rstrip() for line in lines)
