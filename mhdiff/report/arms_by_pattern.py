"""The arms of an ablation when modalities are missing: every pattern of what is offered, beside the ceiling."""

from __future__ import annotations

from itertools import product
from typing import Any

from mhdiff.report.answers import METRIC, direction
from mhdiff.report.arms import pair
from mhdiff.report.documents import Document
from mhdiff.report.figures import Forest, Row, score_axis
from mhdiff.report.results import level, offered
from mhdiff.report.roles import compared, main_arm
from mhdiff.report.table import Cell, Table
from mhdiff.report.text import count, figure, listed, plural, signed_figure, words

_LOSSES = (("gap", "Below the ceiling"), ("drop", "Lost"), ("excess_drop", "Lost beyond the ceiling"))


def by_pattern(ablation: Document) -> dict[str, Any] | None:
    """Give the tables of patterns; None where only one pattern was predicted.

    Args:
        ablation: ablation.json; that of an earlier version has no patterns.

    Returns:
        The main arm as a `forest`; by pattern a row and by arm a column, `scores` and what is `lost`; `differences` of
        the main arm; the `whole`: all of every arm; `told`, who did better where.
    """
    if len(ablation.get("patterns") or {}) < 2:
        return None
    return {
        "forest": _forest(ablation),
        "scores": _scores(ablation),
        "lost": _lost(ablation),
        "differences": _differences(ablation),
        "whole": _whole(ablation),
        "told": _told(ablation),
        "rare": rare(ablation),
    }


def rare(ablation: Document) -> str:
    """Say which classes are told apart as rare.

    Args:
        ablation: ablation.json.
    """
    document = ablation.get("rare") or {}
    found = [f"{words(name)} (n+ {count(n)})" for name, n in (document.get("n_positive") or {}).items()]
    return f"Rare classes: {', '.join(found)}." if found else str(document.get("reason", ""))


def _main(ablation: Document, pattern: Document) -> Document:
    """Give the main arm under a pattern, or the first that has figures."""
    arms = pattern["arms"]
    own: Document = arms.get(main_arm(ablation)) or {}
    return own if own.get("metrics") else next((a for a in arms.values() if a["metrics"]), own)


def _forest(ablation: Document) -> Forest:
    rows = []
    for name, pattern in ablation["patterns"].items():
        row = pattern["arms"].get(main_arm(ablation)) or {}
        best = (row.get("ceiling") or {}).get(METRIC)
        extra = {"ceiling": figure(best)} if best else {}
        failed = not row.get("metrics")
        rows.append(
            Row(
                offered(name),
                None if failed else row["metrics"][METRIC],
                ceiling=best,
                state="failed" if failed else "",
                reason=row.get("reason") or "",
                extra=extra | {"n": count(row.get("n"))},
            )
        )
    known = any(row.ceiling for row in rows)
    return Forest(
        score_axis(e for row in rows for e in (row.estimate, row.ceiling)),
        rows,
        columns=("AUROC", "ceiling", "n") if known else ("AUROC", "n"),
        id="patterns-main",
        caption=f"{words(main_arm(ablation))}: macro AUROC under every pattern, with {level(ablation)} intervals.",
        first="Offered",
    )


def _score(row: Document, metric: str) -> str | Cell:
    if not row.get("metrics"):
        return Cell(f"failed: {row.get('reason')}", kind="failed")
    return figure(row["metrics"][metric])


def _scores(ablation: Document) -> Table:
    best = any(_main(ablation, p).get("ceiling") for p in ablation["patterns"].values())
    rows: list[list[str | Cell]] = []
    for name, pattern in ablation["patterns"].items():
        own = _main(ablation, pattern)
        ceiling = [figure((own.get("ceiling") or {}).get(METRIC))] if best else []
        rows.append(
            [
                offered(name),
                count(own.get("n")),
                *ceiling,
                *(_score(row, METRIC) for row in pattern["arms"].values()),
            ]
        )
    heads = ["Offered", "n", *(["Ceiling"] if best else []), *map(words, ablation["arms"])]
    reason = _main(ablation, next(iter(ablation["patterns"].values()))).get("ceiling_reason")
    known = (
        "The ceiling is the exact posterior on the same patients."
        if best
        else f"No ceiling: {reason or 'none is known'}."
    )
    caption = f"Macro AUROC with {level(ablation)} intervals, by what was offered. {known}"
    return Table("missing-auroc", caption, tuple(heads), rows, ("n",))


def _lost(ablation: Document) -> Table:
    patterns = list(ablation["patterns"].items())[1:]
    least = any(_main(ablation, p).get("irreducible_drop") for _, p in patterns)
    rows: list[list[str | Cell]] = []
    for name, pattern in patterns:
        ceiling = (_main(ablation, pattern).get("irreducible_drop") or {}).get(METRIC)
        cells: list[str | Cell] = []
        for row in pattern["arms"].values():
            lost = (row.get("drop") or {}).get(METRIC)
            beyond = (row.get("excess_drop") or {}).get(METRIC)
            failed = Cell(f"failed: {row.get('reason')}", kind="failed") if not row.get("metrics") else None
            note = f"beyond: {signed_figure(beyond)}" if beyond else ""
            cells.append(
                failed or Cell(signed_figure(lost) if lost else str(row.get("drop_reason") or ""), note)
            )
        rows.append([offered(name), *([signed_figure(ceiling)] if least else []), *cells])
    heads = ("Offered", *(["Nobody can keep"] if least else []), *map(words, ablation["arms"]))
    caption = (
        f"Macro AUROC lost: everything offered minus this pattern, on the same patients, with {level(ablation)} "
        "intervals."
        + (
            " What nobody can keep is the ceiling's own loss; what an arm loses beyond it stands below."
            if least
            else ""
        )
    )
    return Table("missing-lost", caption, heads, rows)


def _differences(ablation: Document) -> Table | None:
    main = main_arm(ablation)
    columns: dict[str, dict[str, Document]] = {}
    for name, pattern in ablation["patterns"].items():
        for d in compared(ablation, METRIC, pattern["differences"]):
            if main in (d["arm"], d["reference"]):
                columns.setdefault(pair(d), {})[name] = d
    if not columns:
        return None
    rows: list[list[str | Cell]] = []
    for name in ablation["patterns"]:
        cells: list[str | Cell] = []
        for found in columns.values():
            told: Document = found.get(name) or {}
            undefined = told and told.get("value") is None
            failed = Cell(f"failed: {told.get('reason')}", kind="failed")
            cells.append(failed if undefined else signed_figure(told or None))
        rows.append([offered(name), *cells])
    size = (ablation.get("families") or {}).get("patterns")
    caption = f"Paired differences of macro AUROC, with {level(ablation)} intervals over patients" + (
        f"; {count(size)} comparisons, for which the intervals are not adjusted." if size else "."
    )
    return Table("missing-differences", caption, ("Offered", *columns), rows)


def _told(ablation: Document) -> list[str]:
    """Say in how many patterns each comparison of the main arm shows what."""
    main = main_arm(ablation)
    found: dict[str, list[tuple[str, str]]] = {}
    for name, pattern in ablation["patterns"].items():
        for d in compared(ablation, METRIC, pattern["differences"]):
            if d["arm"] == main:
                found.setdefault(d["reference"], []).append((name, direction(d)))
    told = []
    for other, seen in found.items():
        parts = []
        for kind, said in (("better", "better"), ("worse", "worse"), ("unknown", "not comparable")):
            where = [offered(name) for name, how in seen if how == kind]
            if where:
                parts.append(
                    f"{said} in {len(where)} ({listed(where[:4])}{' and others' if len(where) > 4 else ''})"
                )
        rest = sum(how == "none" for _, how in seen)
        parts += [f"no difference shown in {rest}"] if rest else []
        told.append(
            f"{words(main)} against {words(other)}, of {plural(len(seen), 'pattern')}: {'; '.join(parts)}."
        )
    return told


def _whole(ablation: Document) -> Table:
    rows: list[dict[str, str | Cell]] = []
    for name, pattern in ablation["patterns"].items():
        for arm, row in pattern["arms"].items():
            told = row["metrics"] or {}
            cells: dict[str, str | Cell] = {"Offered": offered(name), "Arm": words(arm), "n": count(row["n"])}
            cells["AUROC"] = _score(row, METRIC)
            cells |= {
                title: signed_figure(row[key][METRIC]) if row.get(key) else "" for key, title in _LOSSES
            }
            for kind, curve in product(("rare", "common"), ("AUROC", "AUPRC")):
                found = told.get(f"{kind}_{curve.lower()}")
                cells[f"{curve} of {kind} classes"] = figure(found) if found else ""
            cells |= {
                title: figure(told.get(key)) if told else ""
                for key, title in (("ece", "ECE"), ("brier", "Brier"))
            }
            rows.append(cells)
    columns = [title for title in rows[0] if any(str(row[title]) for row in rows)]
    caption = (
        f"Every arm under every pattern, with {level(ablation)} intervals. Lost: everything offered minus this "
        "pattern; what the "
        f"ceiling loses too is not the arm's. {rare(ablation)}"
    )
    return Table(
        "patterns-arms", caption.strip(), tuple(columns), [[row[c] for c in columns] for row in rows], ("n",)
    )
