"""What it cost, what it was made from, and the commands that make it again."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path
from typing import Any

from mhdiff.config import find
from mhdiff.report.collect import Sources
from mhdiff.report.documents import Document, read_json
from mhdiff.report.pooled import ablation_of, evaluation, runs_of, trainings
from mhdiff.report.table import Cell, Table
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
    rows: list[list[str | Cell]] = [
        [
            s["name"],
            Cell(duration(s["seconds"]), meter=round(100 * s["seconds"] / longest, 2)),
            Cell(f"{count(round(s['peak_mib']))} MiB", meter=round(100 * s["peak_mib"] / most, 2)),
        ]
        for s in stages
    ]
    facts = [
        ("parameters", count(found.facts.get("parameters"))),
        ("training", duration(found.facts.get("seconds"))),
    ]
    if stages:
        facts.append(("all stages before this report", duration(sum(s["seconds"] for s in stages))))
        facts.append(("peak memory", f"{count(round(most))} MiB"))
    told = "Wall time and peak memory of each stage."
    heads = ("Stage", "Time", "Peak memory")
    return {
        "table": Table("cost", told, heads, rows, heads[1:], whole=True) if rows else None,
        "facts": facts,
    }


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


def commands(
    found: Sources, out: Path, ablation: Path | None, stages: Path | None, tables: Path | None = None
) -> list[tuple[str, str]]:
    """The commands that make this report again, each with what it does.

    Args:
        found: What the report is made from.
        out: The report's file.
        ablation: The ablation.json it was given.
        stages: The stages.json it was given.
        tables: The folder of its tables, if they are written.
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
    again = trainings(found.facts)
    if (folder := ablation_of(found.facts)) is not None:
        plan, _ = read_json(folder / "plan.json")
        document, _ = read_json(folder / "ablation.json")
        if isinstance(document, dict) and isinstance(plan, dict):
            again = [("the ablation whose arm this is", ablation_command(document, folder, plan))]
    lines += again
    if config and not runs_of(found.facts):
        made = "terminology, cohort and graph where they are not there, then " if data.get("builtin") else ""
        anew = str(run.with_name(f"{run.name}-again"))
        fit = ["mhdiff", "fit", "-c", str(run / "config.yaml"), "--out", anew]
        lines.append((f"{made}training, in a new folder", fit))
    evaluate = evaluation(found.facts, run)
    for option in ("replicates", "seed"):
        if metrics.get(option) is not None:
            evaluate += [f"--{option}", str(metrics[option])]
    lines.append(("the metrics", evaluate))
    if found.ablation is not None and ablation is not None:
        path = found.places["ablation"]
        plan, _ = read_json(path.parent / "plan.json")
        folder = path.parent if plan is not None else path.parent / "ablation"
        known = plan if isinstance(plan, dict) else {}
        lines.append(("the ablation", ablation_command(found.ablation, folder, known)))
    if found.explanation is not None:
        sample = str(found.explanation["sample_id"])
        lines.append(("the explained patient", ["mhdiff", "explain", str(run), "--sample", sample]))
    report = ["mhdiff", "report", str(run), "--out", str(out)]
    report += ["--ablation", str(ablation)] if ablation else []
    report += ["--stages", str(stages)] if stages else []
    report += ["--tables", str(tables)] if tables else []
    lines.append(("this file", report))
    return [(what, _folded(parts)) for what, parts in lines]


def ablation_fingerprints(ablation: Document, plan: Document, facts: Document) -> list[tuple[str, str]]:
    """What identifies the data, code and trainings of an ablation.

    Args:
        ablation: ablation.json.
        plan: plan.json.
        facts: run.json of one of its trainings.
    """
    data = ablation.get("data") if isinstance(ablation.get("data"), dict) else {}
    rows = [(f"{what} (SHA-256)", str(value)) for what, value in (data or {}).items()]
    rows += [
        (f"{words(what)}, as trained on (SHA-256)", str(v))
        for what, v in (facts.get("fingerprints") or {}).items()
        if what != "embeddings"  # those of one fold
    ]
    rows.append(("code (SHA-256)", str(ablation.get("code") or plan.get("code") or "not known")))
    rows.append(("git", str(facts.get("git") or "not known: the code was not run from a git checkout")))
    if plan.get("base"):
        rows.append(("base configuration", _shipped_name(Path(str(plan["base"])))))
    if plan.get("encoders"):
        rows.append(("encoders", f"trained {count(len(plan['encoders']))} times and shared by all arms"))
    rows += [(name, str(version)) for name, version in (facts.get("versions") or {}).items()]
    seeds = {
        str(seed)
        for arm in ablation["arms"].values()
        for seed in arm.get("seeds") or ablation.get("seeds") or []
    }
    rows.append(("seeds of trainings", ", ".join(sorted(seeds, key=lambda s: (len(s), s)))))
    return rows


def ablation_commands(
    folder: Path, ablation: Document, plan: Document, out: Path, tables: Path | None
) -> list[tuple[str, str]]:
    """The commands that make an ablation and its report again.

    Args:
        folder: The ablation's folder.
        ablation: ablation.json.
        plan: plan.json.
        out: The report's file.
        tables: The folder of its tables, if they are written.
    """
    report = [
        "mhdiff",
        "report",
        str(folder),
        "--out",
        str(out),
        *(["--tables", str(tables)] if tables else []),
    ]
    first = ablation_command(ablation, folder, plan)
    return [
        ("the ablation; what is there already is not trained again", _folded(first)),
        ("this file", _folded(report)),
    ]


def ablation_command(ablation: Document, folder: Path, plan: Document) -> list[str]:
    """Rebuild an ablation's command: its options are what every cell shares beyond what its YAML says.

    Args:
        ablation: ablation.json.
        folder: Where it was written.
        plan: plan.json, which names the YAML; one of an earlier version does not.
    """
    from mhdiff.ablate import Ablation

    source = Path(str(plan.get("config") or f"{ablation.get('name') or 'ABLATION'}.yaml"))
    name = Path("ablations") / f"{ablation.get('name')}.yaml"
    said: set[str] = set()
    with contextlib.suppress(InputError, OSError):
        shipped = Ablation.load(name)
        if shipped.source == source or (
            not plan.get("config") and plan.get("base") in (None, str(shipped.base))
        ):
            source = Path("configs") / name
    base: list[str] = []
    with contextlib.suppress(InputError, OSError):
        written = Ablation.load(source)
        said = set(written.common)
        used = plan.get("base")
        if used is not None and Path(str(used)).absolute() != written.base.absolute():
            base = ["--base", _shipped_name(Path(str(used)))]
    own = {option for arm in ablation["arms"].values() for option in arm.get("overrides") or []}
    cells = [list(cell.get("overrides") or []) for cell in ablation.get("cells") or []]
    shared = set.intersection(*map(set, cells)) - own - said if cells else set()
    kept = [
        o
        for o in (cells[0] if cells else [])
        if o in shared and not o.startswith(("--seed_everything=", "--data.split="))
    ]
    settings = [part for o in dict.fromkeys(kept) for part in ("--set", o.removeprefix("--"))]
    return ["mhdiff", "ablate", "-c", str(source), *base, "--out", str(folder), *settings]


def _shipped_name(path: Path) -> str:
    """Name a configuration as every machine knows it, if it is a shipped one; else as it is."""
    for parent in path.parents:
        if parent.name == "configs":
            name = Path("configs") / path.relative_to(parent)
            with contextlib.suppress(InputError, OSError):
                if find(name).read_bytes() == path.read_bytes():  # or the same one in another checkout
                    return name.as_posix()
    return str(path)


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
