"""The run against others on the same patients: paired differences under every pattern, and DeLong's test by class."""

from __future__ import annotations

from typing import Any

from mhdiff.report.collect import Sources
from mhdiff.report.documents import Document
from mhdiff.report.figures import Forest, Row, difference_axis
from mhdiff.report.results import level, offered
from mhdiff.report.table import Cell, Table
from mhdiff.report.text import (
    METRICS,
    NONE,
    count,
    percent,
    probability,
    signed,
    signed_figure,
    words,
)


def describe(found: Sources) -> list[dict[str, Any]] | None:
    """Every comparison of `mhdiff evaluate --against`.

    Args:
        found: What the report is made from.
    """
    compared: dict[str, Document] | None = found.metrics.get("against")
    if not compared:
        return None
    return [_comparison(i + 1, document) for i, document in enumerate(compared.values())]


def better(found: Sources) -> list[str]:
    """Say which of the other runs did better with everything offered, as the interval shows.

    Args:
        found: What the report is made from.
    """
    told = []
    for document in (found.metrics.get("against") or {}).values():
        name, full = next(iter(document["patterns"].items()))
        auroc = full["difference"]["auroc"]
        if auroc.get("high") is not None and auroc["high"] < 0:
            gain = f"{signed(-auroc['value'])} ({level(document)} interval {signed(-auroc['high'])} to "
            gain += f"{signed(-auroc['low'])})"
            told.append(
                f"{document['second']} did better than this run: AUROC {gain}, {offered(name)} offered."
            )
    return told


def _comparison(place: int, document: Document) -> dict[str, Any]:
    sure, rival = level(document), document["second"]
    name, full = next(iter(document["patterns"].items()))
    rows = [
        Row(offered(pattern), part["difference"]["auroc"], extra={"n": count(part["n"])})
        for pattern, part in document["patterns"].items()
    ]
    metrics = [m for m in METRICS if m in full["difference"]]
    by_pattern: list[list[str | Cell]] = [
        [offered(pattern), *(signed_figure(part["difference"][m]) for m in metrics)]
        for pattern, part in document["patterns"].items()
    ]
    robust = document.get("robustness") or {}
    effective, why = robust.get("effective"), robust.get("effective_reason") or robust.get("reason")
    told = f"This run minus {rival}, paired, with {sure} intervals over patients."
    return {
        "name": rival,
        "forest": Forest(
            difference_axis(row.estimate for row in rows),
            rows,
            signed=True,
            columns=("difference", "n"),
            id=f"against-{place}-auroc",
            caption=f"Macro AUROC: {told}",
            first="Offered",
        ),
        "table": Table(
            f"against-{place}",
            f"{told} For calibration errors and Brier below 0 is better.",
            ("Offered", *(METRICS[m][0] for m in metrics)),
            by_pattern,
        ),
        "classes": _classes(place, name, full, document),
        "bands": _bands(place, full, told),
        "effective": f"Effective robustness beyond the other: AUROC {signed_figure(effective['auroc'])}."
        if effective
        else f"No effective robustness: {why or 'no reason was given'}.",
    }


def _classes(place: int, pattern: str, full: Document, document: Document) -> Table:
    delong = document.get("delong") or {}
    tests = delong.get("classes") or {}
    rows: list[list[str | Cell]] = []
    for name, row in full["per_class"].items():
        test = tests.get(name) or {}
        p = [NONE if test.get(key) is None else probability(test[key]) for key in ("p", "p_holm")]
        figures = [signed_figure(row[m]) for m in ("auroc", "auprc", "f1")]
        rows.append([Cell(words(name), test.get("reason", "")), count(row["n_positive"]), *figures, *p])
    why = "" if tests else f" No test: {delong.get('reason') or 'no reason was given'}."
    caption = f"By class, {offered(pattern)} offered; DeLong's test of the AUROC, adjusted by Holm.{why}"
    heads = ("Class", "n+", "AUROC", "AUPRC", "F1", "p (DeLong)", "p, Holm")
    return Table(f"against-{place}-classes", caption, heads, rows, ("n+", "p (DeLong)", "p, Holm"))


def _bands(place: int, full: Document, told: str) -> Table:
    rows: list[list[str | Cell]] = []
    for band in full["by_frequency"]:
        names = ", ".join(f"{words(name)} (n+ {count(n)})" for name, n in band["n_positive"].items())
        share = f"{percent(band['over'])} to {percent(band['up_to'])}"
        rows.append([Cell(share, names), *(signed_figure(band[m]) for m in ("auroc", "auprc", "f1"))])
    caption = f"Rare and common classes, by their share of samples. {told}"
    return Table(f"against-{place}-frequency", caption, ("Share of samples", "AUROC", "AUPRC", "F1"), rows)
