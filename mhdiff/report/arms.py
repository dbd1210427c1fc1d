"""The arms of an ablation and their differences: on common axes, and as tables with every test beside its interval."""

from __future__ import annotations

from mhdiff.report.answers import METRIC
from mhdiff.report.documents import Document
from mhdiff.report.figures import Forest, Row, difference_axis, score_axis
from mhdiff.report.results import level
from mhdiff.report.roles import compared, is_null, main_arm
from mhdiff.report.table import Cell, Table
from mhdiff.report.text import (
    METRICS,
    MINUS,
    NONE,
    count,
    figure,
    number,
    probability,
    signed_figure,
    span,
    words,
)

QUESTIONS = {
    "guidance": "does guidance help?",
    "control": "is it the meaning?",
    "floor": "a control against no guidance",
    "channel": "through which channel?",
    "other": "another question",
}


def pair(difference: Document) -> str:
    """Write the two arms of a comparison as a difference.

    Args:
        difference: One entry of ablation.json's differences.
    """
    return f"{words(difference['arm'])} {MINUS} {words(difference['reference'])}"


def role(ablation: Document, name: str) -> tuple[str, str]:
    """Give the style of an arm, and what it is in words.

    Args:
        ablation: ablation.json.
        name: The arm.
    """
    if is_null(name, ablation["arms"][name]):
        return "null", "null: the ontology's meaning removed"
    told = ["the configuration as it is"] if name == main_arm(ablation) else []
    if name == ablation["reference"]:
        return "reference", "; ".join(["reference", *told])
    return "model", "".join(told)


def arms(ablation: Document) -> Forest:
    """The arms' macro AUROC with their size; a failed arm keeps its row.

    Args:
        ablation: ablation.json.
    """
    rows = []
    for name, arm in ablation["arms"].items():
        failed = arm.get("status") == "failed"
        kind, note = role(ablation, name)
        seeds = [v[METRIC] for v in (arm.get("by_seed") or {}).values() if v.get(METRIC) is not None]
        if len(seeds) > 1:
            what = "draws" if kind == "null" else "seeds"
            note += (
                "; " if note else ""
            ) + f"{len(seeds)} {what}, {number(min(seeds))} to {number(max(seeds))}"
        rows.append(
            Row(
                words(name),
                None if failed else arm["metrics"][METRIC],
                note=note,
                kind=kind,
                state="failed" if failed else "",
                reason=arm.get("reason") or "",
                extra={"parameters": count(arm.get("parameters")), "n": count(arm["n"])},
            )
        )
    return Forest(
        score_axis(r.estimate for r in rows),
        rows,
        columns=("AUROC", "parameters", "n"),
        id="arms-auroc",
        caption=f"Macro AUROC of each arm on patients that its trainings never saw, with {level(ablation)} intervals.",
        first="Arm",
    )


def differences(ablation: Document) -> Forest:
    """Paired differences of macro AUROC against a zero line.

    Args:
        ablation: ablation.json.
    """
    rows = []
    for d in compared(ablation, METRIC):
        undefined = d.get("value") is None
        rows.append(
            Row(
                pair(d),
                None if undefined else d,
                kind="null" if is_null(d["arm"], ablation["arms"][d["arm"]]) else "model",
                state="failed" if undefined else "",
                reason=d.get("reason") or "",
                note="" if d["asks"] == "other" else QUESTIONS[d["asks"]],
                extra={"n": count(d.get("n"))},
            )
        )
    return Forest(difference_axis(r.estimate for r in rows), rows, signed=True, columns=("difference", "n"))


def certainty(ablation: Document) -> Table:
    """Every comparison of macro AUROC with all that says how sure it is.

    Args:
        ablation: ablation.json.
    """
    rows: list[list[str | Cell]] = []
    for d in compared(ablation, METRIC):
        folds = d.get("folds") or {}
        tested = signed_figure(folds) if folds.get("value") is not None else folds.get("reason") or NONE
        alone = (
            span({"value": d["value"], "low": d["patients_low"], "high": d["patients_high"]}, sign=True)
            if d.get("patients_low") is not None
            else ""
        )
        told: str | Cell = (
            Cell(f"failed: {d.get('reason')}", kind="failed") if d.get("value") is None else signed_figure(d)
        )
        rows.append(
            [
                pair(d),
                QUESTIONS[d["asks"]],
                told,
                alone,
                count(d["draws"]) if d.get("draws") else "",
                *(_p(d.get(key)) for key in ("rank_p", "rank_p_holm")),
                tested,
                *(_p(folds.get(key)) for key in ("p", "p_holm")),
                count(d.get("n")),
            ]
        )
    heads = (
        "First minus second", "Question", "AUROC", "Over patients alone", "Draws", "Rank p", "Rank p, Holm",
        "Over folds", "p", "p, Holm", "n",
    )  # fmt: skip
    caption = (
        f"Differences of macro AUROC with {level(ablation)} intervals over patients, the luck of a null's draw "
        "included where "
        "there are several; the rank among the draws; the corrected resampled t over folds (Nadeau and Bengio). Holm's "
        f"adjustment is over {count((ablation.get('families') or {}).get('differences'))} comparisons."
    )
    kept = [
        i
        for i, head in enumerate(heads)
        if head == "n" or any(str(r[i]) not in ("", NONE, QUESTIONS["other"]) for r in rows)
    ]
    return Table(
        "differences",
        caption,
        tuple(heads[i] for i in kept),
        [[row[i] for i in kept] for row in rows],
        ("Draws", "Rank p", "Rank p, Holm", "p", "p, Holm", "n"),
    )


def _p(value: float | None) -> str:
    return "" if value is None else probability(value)


def other_metrics(ablation: Document) -> Table:
    """The differences on every other metric.

    Args:
        ablation: ablation.json.
    """
    names = [m for m in METRICS if m != METRIC and any(d["metric"] == m for d in ablation["differences"])]
    by_pair: dict[str, dict[str, Document]] = {}
    for m in names:
        for d in compared(ablation, m):
            by_pair.setdefault(pair(d), {})[m] = d
    rows: list[list[str | Cell]] = [
        [name, *(signed_figure(found.get(m)) for m in names)] for name, found in by_pair.items()
    ]
    caption = (
        f"Differences on the other metrics, {level(ablation)} intervals; for ECE and Brier below 0 is better."
    )
    return Table(
        "differences-metrics", caption, ("First minus second", *(METRICS[m][0] for m in names)), rows
    )


def every_metric(ablation: Document) -> Table:
    """All metrics of every arm, and its overrides.

    Args:
        ablation: ablation.json.
    """
    names = [m for m in METRICS if any(m in (arm.get("metrics") or {}) for arm in ablation["arms"].values())]
    rows: list[list[str | Cell]] = []
    for name, arm in ablation["arms"].items():
        figures: list[str | Cell] = [figure((arm.get("metrics") or {}).get(m)) for m in names]
        if arm.get("status") == "failed":
            figures = [Cell(f"failed: {arm.get('reason')}", kind="failed"), *([NONE] * (len(names) - 1))]
        changed = " ".join(arm.get("overrides") or []) or "none: the base configuration as it is"
        rows.append([words(name), *figures, Cell(changed, kind="code")])
    caption = (
        f"All metrics of every arm with {level(ablation)} intervals; sensitivity and specificity at thresholds from "
        "each training's own tuning split."
    )
    return Table("arms", caption, ("Arm", *(METRICS[m][0] for m in names), "Overrides"), rows)
