"""Modalities missing by a mechanism, what is kept while ever more is withheld, and what their absence alone says."""

from __future__ import annotations

from typing import Any

from mhdiff.report.collect import Sources
from mhdiff.report.documents import Document
from mhdiff.report.figures import Forest, Row, score_axis
from mhdiff.report.results import level
from mhdiff.report.table import Cell, Table
from mhdiff.report.text import METRICS, count, figure, percent, plural, signed_figure, words

REGIMES = {
    "mcar": "at random (MCAR)",
    "mar": "by what is known (MAR)",
    "mnar_label": "by the label (MNAR)",
    "mnar_value": "by what is hidden (MNAR)",
}
LOST = (("drop", "Lost"), ("irreducible_drop", "Lost by the ceiling"), ("excess_drop", "The model's own"))


def describe(found: Sources) -> dict[str, Any]:
    """Everything about modalities that are missing in another way than a pattern for all.

    Args:
        found: What the report is made from.
    """
    return {"regimes": _regimes(found), "robustness": _robustness(found), "presence": _presence(found)}


def _regimes(found: Sources) -> Table | None:
    regimes = found.metrics.get("regimes")
    if not regimes:
        return None
    rows: list[list[str | Cell]] = []
    for name, row in regimes.items():
        head: list[str | Cell] = [Cell(REGIMES.get(name, words(name)), str(row.get("driver") or ""))]
        if row["metrics"] is None:
            rows.append([*head, Cell(f"undefined: {row['reason']}"), *([""] * 8)])
            continue
        ceiling = (row.get("ceiling") or {}).get("auroc")
        lost = [
            signed_figure(row[key]["auroc"]) if row.get(key) else str(row.get(f"{key}_reason", ""))
            for key, _ in LOST
        ]
        told = [figure(row["metrics"][m]) for m in ("auroc", "auprc", "brier")]
        rows.append([*head, percent(row["hidden"]), *told, figure(ceiling), *lost, count(row["n"])])
    heads = (
        "Missing",
        "Hidden",
        "AUROC",
        "AUPRC",
        "Brier",
        "Ceiling's AUROC",
        *(title for _, title in LOST),
        "n",
    )
    rate = next(iter(regimes.values())).get("rate")
    caption = (
        f"Each sample hides a set of its own, at a share of {percent(rate)} of what it has; its last modality is "
        "never hidden. "
        f"AUROC lost: everything offered minus this, with {level(found.metrics)} intervals."
    )
    kept = [
        i for i in range(len(heads)) if i < 6 or any(str(row[i]) not in ("", "\N{EN DASH}") for row in rows)
    ]
    right = ("Hidden", "n") if all(row["metrics"] is not None for row in regimes.values()) else ("n",)
    return Table(
        "mechanisms", caption, tuple(heads[i] for i in kept), [[row[i] for i in kept] for row in rows], right
    )


def _robustness(found: Sources) -> dict[str, Any] | None:
    document: Document | None = found.metrics.get("robustness")
    if not document:
        return None
    if document.get("levels") is None:
        return {"forest": None, "reason": document.get("reason") or "no reason was given"}
    rows = [
        Row(
            "nothing withheld" if not row["withheld"] else f"{row['withheld']} withheld",
            row["auroc"],
            note=f"mean over {plural(row['patterns'], 'pattern')}",
        )
        for row in document["levels"]
    ]
    names = [m for m in METRICS if m in document["relative"]]
    areas: list[list[str | Cell]] = [["relative", *(figure(document["relative"][m]) for m in names)]]
    if document.get("effective"):
        areas.append(["effective", *(signed_figure(document["effective"][m]) for m in names)])
    why = document.get("effective_reason", "")
    return {
        "forest": Forest(
            score_axis(r.estimate for r in rows),
            rows,
            columns=("AUROC",),
            id="robustness-levels",
            caption="Macro AUROC while ever more modalities are withheld.",
            first="Withheld",
        ),
        "table": Table(
            "robustness",
            "Relative: the mean height of the curve. Effective: what is kept beyond the ceiling, which falls "
            "because the "
            "information is gone; 0 is then the most to be hoped "
            f"for.{f' No effective robustness: {why}.' if why else ''}",
            ("Robustness", *(METRICS[m][0] for m in names)),
            areas,
        ),
        "reason": "",
    }


def _presence(found: Sources) -> str:
    document: Document | None = found.metrics.get("presence_only")
    if not document:
        return ""
    if document["metrics"] is None:
        return f"What the set of a sample's modalities says by itself is not known: {document['reason']}."
    own = found.metrics["patterns"][next(iter(found.metrics["patterns"]))]["metrics"]["auroc"]
    return (
        f"From which modalities a sample has, and nothing in them, the AUROC is {figure(document['metrics']['auroc'])} "
        f"({plural(document['sets'], 'set')} of modalities, counted on "
        f"{plural(document['n_tuning'], 'tuning sample')}); the "
        f"model's is {figure(own)}. A model that is no better has learned who was examined, and not what was found."
    )
