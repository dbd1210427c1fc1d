"""Two plots: the reliability diagram before and after temperature scaling, and the losses by epoch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl

from mhdiff.report.collect import Document, Sources
from mhdiff.report.figures import Plot, nice
from mhdiff.report.results import fullest, offered
from mhdiff.report.text import METRICS, count, figure, number, plural

NO_SCALING = "not scaled"
CURVES = (
    ("train/classification", "training, classification", "a"),
    ("tuning/loss", "tuning", "b"),
    ("train/prior", "training, prior", "c"),
)


def calibration(found: Sources) -> dict[str, Any]:
    """The reliability diagram and what temperature scaling changes.

    Args:
        found: What the report is made from.
    """
    name, full = fullest(found.metrics)
    document = full.get("calibration") or {}
    before = [b for b in document.get("reliability") or [] if b["n"]]
    temperature, scaled = document.get("temperature"), document.get("scaled")
    after = _rescaled(found, name, temperature["value"]) if temperature else []
    plot = Plot((0, 1), (0, 1), (44, 10, 310, 276))
    total = max([b["n"] for b in (*before, *after)], default=1)

    def points(table: list[Document]) -> list[dict[str, Any]]:
        drawn = []
        for b in table:
            x, y = plot.point(b["confidence"], b["accuracy"])
            drawn.append({"x": x, "y": y, "r": round(3 + 6 * (b["n"] / total) ** 0.5, 2), **b})
        return drawn

    share = Plot((0, 1), (0, total), (44, 296, 310, 336))
    histogram = []
    for b in before:
        left, top = share.point(b["low"], b["n"])
        right, bottom = share.point(b["high"], 0)
        box = {"x": left, "y": top, "width": round(right - left - 1.5, 2), "height": round(bottom - top, 2)}
        histogram.append(box | {"n": b["n"]})
    ticks = [(t, plot.point(t, 0)[0], plot.point(0, t)[1]) for t in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)]
    rows = [
        {
            "name": METRICS[m][0],
            "before": figure(full["metrics"].get(m)),
            "after": figure(scaled.get(m)) if scaled else NO_SCALING,
        }
        for m in ("ece", "brier")
    ]
    return {
        "before": points(before),
        "after": points(after),
        "histogram": histogram,
        "ticks": ticks,
        "rows": rows,
        "temperature": temperature,
        "told": _temperature(temperature),
        "reason": document.get("reason", ""),
        "most": count(total),
    }


def _temperature(temperature: Document | None) -> str:
    if not temperature:
        return ""
    value = temperature["value"]
    leaning = "overconfident" if value > 1.005 else "underconfident" if value < 0.995 else "well scaled"
    told = (
        f"The temperature is {number(value)} (above 1 means overconfident), fitted on "
        f"{plural(temperature['n'], 'tuning sample')} offered {offered(temperature['tuned_on'])}: "
        f"there the model was {leaning}."
    )
    if temperature.get("at_bound"):
        told += " It lies at the end of what was searched: the tuning samples are perfectly separated."
    return told


def _rescaled(found: Sources, pattern: str, temperature: float) -> list[Document]:
    """Tabulate the held-out predictions again after temperature scaling, as metrics.json did before it."""
    if found.predictions is None:
        return []
    from mhdiff.evaluate.calibration import apply_temperature, reliability
    from mhdiff.evaluate.predictions import probability_columns

    split = found.metrics.get("split", "held_out")
    rows = found.predictions.filter((pl.col("split") == split) & (pl.col("pattern") == pattern))
    if rows.is_empty():
        return []
    probabilities = rows.select(probability_columns(rows)).to_numpy().astype(np.float64)
    labels = rows["label"].to_numpy().astype(np.int64)
    table = reliability(apply_temperature(probabilities, temperature), labels)
    return [dict(b) for b in table if b["n"]]


def curve(found: Sources) -> dict[str, Any] | None:
    """The losses by epoch.

    Args:
        found: What the report is made from.
    """
    if found.history is None:
        return None
    series = []
    for key, name, style in CURVES:
        points = [
            (float(e["epoch"]) + 1, float(e[key]))
            for e in found.history
            if isinstance(e.get(key), int | float) and np.isfinite(e[key]) and "epoch" in e
        ]
        if points:
            series.append((name, style, points))
    if not series:
        return None
    values = [y for *_, points in series for _, y in points]
    last = max(x for *_, points in series for x, _ in points)
    bottom = min(0.0, *values)
    step = nice((max(values) - bottom) / 4 or 0.25)
    top = bottom + step * math.ceil((max(values) - bottom) / step - 1e-9)
    plot = Plot((1, max(last, 2)), (bottom, top), (44, 10, 350, 170))
    ticks = [bottom + step * i for i in range(round((top - bottom) / step) + 1)]
    epochs = sorted({1.0, float(round((1 + last) / 2)), last})
    best = found.facts.get("best_epoch")
    shown = [
        {
            "name": name,
            "style": style,
            "line": plot.line(points),
            "end": plot.point(*points[-1]),
            "first": number(points[0][1]),
            "last": number(points[-1][1]),
            "dots": [plot.point(*p) for p in points] if len(points) < 3 else [],
        }
        for name, style, points in series
    ]
    return {
        "series": shown,
        "ticks": [(plot.point(1, t)[1], number(t, 2)) for t in ticks],
        "epochs": [(plot.point(x, 0)[0], f"{x:.0f}") for x in epochs],
        "best": plot.point(best + 1, 0)[0] if isinstance(best, int) and best >= 0 else None,
        "told": _curve(found, int(last)),
    }


def _curve(found: Sources, epochs: int) -> str:
    best, loss = found.facts.get("best_epoch"), found.facts.get("best_tuning_loss")
    told = plural(epochs, "epoch")
    if isinstance(best, int) and best >= 0:
        told += f"; the weights of epoch {best + 1} were kept, chosen by the tuning loss ({number(loss)})"
    return told
