"""Subgroups (sex, age, site): figures of each, and its gap to everybody else."""

from __future__ import annotations

from typing import Any

from mhdiff.report.collect import Sources
from mhdiff.report.documents import Document
from mhdiff.report.figures import Forest, Row, difference_axis, numbers, score_axis
from mhdiff.report.results import level
from mhdiff.report.table import Table
from mhdiff.report.text import METRICS, count, figure, signed_figure

TITLES = {"sex": "By sex", "age": "By age", "sex and age": "By sex and age", "site": "By site"}


def describe(found: Sources) -> list[dict[str, Any]] | None:
    """Every kind of subgroup: AUROC and gap on common axes, and a table of all metrics; or why there is none.

    Args:
        found: What the report is made from.
    """
    kinds = found.metrics.get("subgroups")
    if not kinds:
        return None
    sure = level(found.metrics)
    return [
        {"title": TITLES.get(kind, kind), "reason": part.get("reason", "")}
        | (_groups(kind, part["groups"], sure) if part.get("groups") else {"scores": None})
        for kind, part in kinds.items()
    ]


def _groups(kind: str, groups: Document, sure: str) -> dict[str, Any]:
    name = kind.replace(" ", "-")
    metrics = [m for m in METRICS if all(m in row["metrics"] for row in groups.values())]
    scores = [
        Row(who, row["metrics"]["auroc"], extra={"n": count(row["n_subjects"])})
        for who, row in groups.items()
    ]
    gaps = [
        Row(who, (row["gap"] or {}).get("auroc"), note=row.get("gap_reason", ""))
        for who, row in groups.items()
    ]
    sizes = {who: [who, count(row["n"]), count(row["n_subjects"])] for who, row in groups.items()}
    figures = [[*sizes[who], *(figure(row["metrics"][m]) for m in metrics)] for who, row in groups.items()]
    differences = [
        [*sizes[who], *(signed_figure((row["gap"] or {}).get(m)) for m in metrics)]
        for who, row in groups.items()
    ]
    heads = ("Group", "n", "Patients", *(METRICS[m][0] for m in metrics))
    title = TITLES.get(kind, kind)
    return {
        "defined": bool(numbers(row.estimate for row in scores)),
        "compared": bool(numbers(row.estimate for row in gaps)),
        "scores": Forest(
            score_axis(r.estimate for r in scores),
            scores,
            columns=("AUROC", "patients"),
            id=f"subgroups-{name}-auroc",
            caption=f"Macro AUROC {TITLES.get(kind, kind).lower()}, with {sure} intervals.",
            first="Group",
        ),
        "gaps": Forest(
            difference_axis(r.estimate for r in gaps), gaps, signed=True, columns=("gap in AUROC",)
        ),
        "table": Table(
            f"subgroups-{name}", f"{title}: figures with {sure} intervals.", heads, figures, heads[1:3]
        ),
        "gap_table": Table(
            f"subgroups-{name}-gaps",
            f"{title}: gaps, the group minus everybody else, with {sure} intervals.",
            heads,
            differences,
            heads[1:3],
        ),
    }
