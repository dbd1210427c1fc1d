"""An audit as one page: what failed first, then every check, every shortcut with its interval, and the thresholds."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from mhdiff.audit.finding import ACCEPTED, FAILURE, NAMES, WARNING
from mhdiff.audit.material import SPLITS
from mhdiff.audit.run import Audit
from mhdiff.report.figures import Axis, Forest, Row
from mhdiff.report.page import render
from mhdiff.report.section import Section
from mhdiff.report.table import Cell, Table
from mhdiff.report.text import count, listed, number, plural, probability, words
from ontology.files import atomic_write

SECTIONS = (
    Section("findings", "What was found"),
    Section("checks", "What was looked at"),
    Section("shortcuts", "Shortcuts to the label"),
    Section("features", "Single features"),
    Section("thresholds", "Thresholds"),
    Section("repeat", "To repeat it"),
)
#: Level -> what it is called on the page; a sign goes with each, so that colour says nothing alone.
SIGNS = {
    FAILURE: "\u2715 failure",
    WARNING: "\u25b2 warning",
    ACCEPTED: "\u25cb accepted",
    "passed": "\u2713 passed",
}
_FLAGS = {FAILURE: "high", WARNING: "low", ACCEPTED: "normal", "passed": "normal"}


def write_audit(found: Audit, out: Path) -> Path:
    """Write the page, whole or not at all.

    Args:
        found: The audit.
        out: The HTML file.

    Returns:
        The file.
    """
    atomic_write(out, render(context(found), "audit.html.jinja"))
    return out


def context(found: Audit) -> dict[str, Any]:
    """Give everything that the template shows.

    Args:
        found: The audit.
    """
    material, document = found.material, found.to_dict()
    parts = [f"{n:,} {words(s)}" for s in SPLITS if (n := document["samples_by_split"].get(s))]
    return {
        "title": f"Audit: {words(material.task.name)} on {material.cohort.name}",
        "sections": SECTIONS,
        "headline": _headline(document),
        "missing": [],
        "about": f"{plural(document['samples'], 'sample')} of {plural(document['patients'], 'patient')}: "
        f"{listed(parts)} (split '{material.split}').",
        "ontology": document["ontology"],
        "found": _told_of(found),
        "checks": [{"title": c.title, "examined": c.examined, **_sign(c.status)} for c in found.checks],
        "shortcuts": _shortcuts(document["shortcuts"], material.thresholds.shortcut_fail),
        "limit": number(material.thresholds.shortcut_fail, 2),
        "features": _features(document["features"]),
        "examined": next(c.examined for c in found.checks if c.name == "single_features"),
        "thresholds": _thresholds(document["thresholds"]),
        "fingerprints": [("cohort (SHA-256)", document["fingerprint"])],
        "commands": [("audit again", _command(found))],
    }


def _headline(document: dict[str, Any]) -> str:
    failures, warnings = document["failures"], plural(len(document["warnings"]), "warning")
    if not failures:
        return f"Nothing failed; {warnings}."
    return f"{plural(len(failures), 'failure')} and {warnings}: {listed([words(f) for f in failures])}."


def _told_of(found: Audit) -> list[dict[str, Any]]:
    """Every finding with its sign, failures first."""
    return [
        {"name": words(f.name), "meaning": NAMES[f.name], "detail": f.detail, **_sign(level)}
        for level in (FAILURE, WARNING, ACCEPTED)
        for f in found.findings(level)
    ]


def _sign(level: str) -> dict[str, str]:
    return {"sign": SIGNS[level], "flag": _FLAGS[level]}


def _shortcuts(rows: list[dict[str, Any]], limit: float) -> list[dict[str, Any]]:
    """One figure a shortcut, one row a class."""
    low = min([0.3, *(r["low"] for r in rows if r["low"] is not None)])
    start = int(low * 10) / 10
    ticks = tuple(round(start + i / 10, 1) for i in range(round((1 - start) * 10) + 1))
    axis = Axis(start, 1.0, ticks, 1, limit, "fails above")
    figures = []
    for name in dict.fromkeys(row["shortcut"] for row in rows):
        own = [row for row in rows if row["shortcut"] == name]
        drawn = [
            Row(row["class"], {"value": row["auroc"], "low": row["low"], "high": row["high"]},
                note=SIGNS.get(row["verdict"], ""), kind="model" if row["verdict"] != "nothing" else "null",
                extra={"n": count(row["with_class"])})
            for row in own
        ]  # fmt: skip
        forest = Forest(
            axis, drawn, columns=("AUROC (95% interval)", "n"), id=f"shortcut-{name}",
            caption=f"AUROC of a model that sees only {own[0]['told']}.", first="Class",
        )  # fmt: skip
        figures.append({"title": own[0]["told"], "n": plural(own[0]["samples"], "sample"),
                        "groups": plural(own[0]["values"], "different value"), "forest": forest})  # fmt: skip
    return figures


def _features(rows: list[dict[str, Any]]) -> Table | None:
    if not rows:
        return None
    cells: list[list[str | Cell]] = [
        [Cell(row["name"], note=row["description"] or ""), row["kind"], row["class"], count(row["patients"]),
         number(row["auroc"]), probability(row["p_adjusted"])]
        for row in rows
    ]  # fmt: skip
    heads = ("Feature", "Kind", "Class", "Patients with it", "AUROC", "p, adjusted")
    return Table(
        "features", "Features that are nearly the label by themselves.", heads, cells, heads[3:], whole=True
    )


def _thresholds(values: dict[str, Any]) -> Table:
    rows: list[list[str | Cell]] = []
    for name, value in values.items():
        if isinstance(value, dict):
            told = "; ".join(f"{k}: {v}" for k, v in value.items())
        else:
            told = ", ".join(map(str, value)) if isinstance(value, list) else f"{value:g}"
        rows.append([Cell(name, kind="code"), told or "none"])
    return Table(
        "thresholds", "configs/audit.yaml says why each is what it is.", ("Threshold", "Value"), rows
    )


def _command(found: Audit) -> str:
    m = found.material
    parts = ["mhdiff", "cohort", "audit", str(m.cohort.path), "--task", m.task.name, "--split", m.split]
    parts += ["--split-seed", str(m.split_seed)] if m.split_seed else []
    parts += ["--ontology", "DIR"] if m.ontology is not None else []
    return shlex.join(parts)
