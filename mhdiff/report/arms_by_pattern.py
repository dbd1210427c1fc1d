"""The arms of an ablation under every pattern of offered modalities, as a table."""

from __future__ import annotations

from typing import Any

from mhdiff.report.collect import Document
from mhdiff.report.results import offered
from mhdiff.report.text import count, figure, signed_figure, words

_LOSSES = (("gap", "Below the ceiling"), ("drop", "Lost"), ("excess_drop", "Lost beyond the ceiling"))


def by_pattern(ablation: Document, metric: str = "auroc") -> dict[str, Any] | None:
    """Give a table with a row for each pattern and arm; None where only one pattern was predicted.

    Args:
        ablation: ablation.json; that of an earlier version has no patterns.
        metric: Which metric.

    Returns:
        The columns that any row fills, the rows, and a sentence on the rare classes.
    """
    patterns = ablation.get("patterns") or {}
    if len(patterns) < 2:
        return None
    rows: list[dict[str, Any]] = []
    for name, pattern in patterns.items():
        for arm, row in pattern["arms"].items():
            told = row["metrics"] or {}
            cells = {"AUROC": figure(told[metric]) if told else row.get("reason") or ""}
            cells |= {
                title: signed_figure(row[key][metric]) if row.get(key) else "" for key, title in _LOSSES
            }
            cells["Rare classes"] = figure(told["rare_auroc"]) if "rare_auroc" in told else ""
            rows.append({"pattern": offered(name), "arm": words(arm), "n": count(row["n"]), "cells": cells})
    columns = [title for title in rows[0]["cells"] if any(row["cells"][title] for row in rows)]
    rare = ablation.get("rare") or {}
    found = [f"{words(name)} (n+ {count(n)})" for name, n in (rare.get("n_positive") or {}).items()]
    return {
        "columns": columns,
        "rows": [row | {"figures": [row["cells"][title] for title in columns]} for row in rows],
        "rare": f"Rare classes: {', '.join(found)}." if found else rare.get("reason", ""),
    }
