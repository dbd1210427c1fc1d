"""The losses by epoch, as a plot."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mhdiff.report.collect import Sources
from mhdiff.report.figures import Plot, nice
from mhdiff.report.text import number, plural

CURVES = (
    ("train/classification", "training, classification", "a"),
    ("tuning/loss", "tuning", "b"),
    ("train/prior", "training, prior", "c"),
)


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
