"""Rare classes beside common ones: what each arm has of either, and what the comparisons come to."""

from __future__ import annotations

from mhdiff.report.arms import pair
from mhdiff.report.documents import Document
from mhdiff.report.results import level
from mhdiff.report.roles import compared
from mhdiff.report.table import Cell, Table
from mhdiff.report.text import figure, probability, signed_figure, words

_KINDS = (("rare_auroc", "Rare classes"), ("common_auroc", "Common classes"))


def by_frequency(ablation: Document) -> dict[str, Table] | None:
    """Give the tables of rare and common classes, everything offered; None where no class was told apart.

    Args:
        ablation: ablation.json; that of an earlier version has no figures of common classes.

    Returns:
        `arms` and `differences`.
    """
    patterns = ablation.get("patterns") or {}
    fullest = next(iter(patterns.values()), None)
    if fullest is None:
        return None
    told = [row["metrics"] for row in fullest["arms"].values() if row["metrics"]]
    kinds = [(key, title) for key, title in _KINDS if any(key in metrics for metrics in told)]
    if not kinds:
        return None
    return {"arms": _arms(ablation, fullest, kinds), "differences": _differences(ablation, fullest, kinds)}


def _arms(ablation: Document, fullest: Document, kinds: list[tuple[str, str]]) -> Table:
    rows: list[list[str | Cell]] = []
    for arm, row in fullest["arms"].items():
        metrics = row["metrics"] or {}
        failed = None if metrics else Cell(f"failed: {row.get('reason')}", kind="failed")
        rows.append([words(arm), *(failed or figure(metrics.get(key)) for key, _ in kinds)])
    caption = f"Mean AUROC of the rare classes and of the common ones, with {level(ablation)} intervals."
    return Table("frequency-arms", caption, ("Arm", *(title for _, title in kinds)), rows)


def _differences(ablation: Document, fullest: Document, kinds: list[tuple[str, str]]) -> Table:
    found: dict[str, dict[str, Document]] = {}
    for key, _ in kinds:
        for d in compared(ablation, key, fullest["differences"]):
            found.setdefault(pair(d), {})[key] = d
    rows: list[list[str | Cell]] = []
    for name, told in found.items():
        cells: list[str | Cell] = [name]
        for key, _ in kinds:
            own: Document = told.get(key) or {}
            if own.get("value") is None:
                cells += [Cell(f"failed: {own.get('reason')}", kind="failed") if own else "", ""]
                continue
            p = (own.get("folds") or {}).get("p")
            cells += [signed_figure(own), "" if p is None else probability(p)]
        rows.append(cells)
    heads = [head for _, title in kinds for head in (title, f"{title}: p over folds")]
    caption = (
        f"Differences of these, with {level(ablation)} intervals over patients; p of the corrected resampled t over "
        "folds, not adjusted for the number of comparisons."
    )
    return Table("frequency-differences", caption, ("First minus second", *heads), rows)
