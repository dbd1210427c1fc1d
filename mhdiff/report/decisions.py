r"""Decision curves: the net benefit of acting on a class's probability, beside acting on everybody and on nobody.

The line of everybody is prevalence - (1 - prevalence) t / (1 - t); it falls without end, so it is cut off where the
figure ends. What a threshold is worth is in `mhdiff.evaluate.decision`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from mhdiff.report.collect import Sources
from mhdiff.report.documents import Document
from mhdiff.report.figures import Plot, nice, numbers
from mhdiff.report.results import level
from mhdiff.report.table import Cell, Table
from mhdiff.report.text import count, figure, number, percent, signed, signed_figure, words

BOX = (46.0, 10.0, 288.0, 150.0)
DEEPEST = 0.5  # how far below 0 the line of everybody is followed, in shares of what lies above


def describe(found: Sources) -> dict[str, Any] | None:
    """Every class's decision curve, as a plot and as rows of one table.

    Args:
        found: What the report is made from.
    """
    curves = found.metrics.get("decision_curves")
    if not curves:
        return None
    rows: list[list[str | Cell]] = []
    for name, points in curves.items():
        for p in points:
            model, gain, everybody = figure(p["model"]), signed_figure(p["gain"]), number(p["all"])
            rows.append([words(name), percent(p["threshold"]), model, everybody, number(p["nobody"]), gain])
    table = Table(
        "decision-curves",
        f"Net benefit, in true positives a patient, with {level(found.metrics)} intervals; gain is over the "
        "better of acting "
        "on everybody and on nobody.",
        ("Class", "Threshold", "Model", "Everybody", "Nobody", "Gain"),
        rows,
        ("Threshold", "Everybody", "Nobody"),
    )
    per_class = next(iter(found.metrics["patterns"].values()))["per_class"]
    plots = [
        _plot(name, points, (per_class.get(name) or {}).get("n_positive")) for name, points in curves.items()
    ]
    return {"plots": plots, "table": table}


def _plot(name: str, points: list[Document], positives: int | None) -> dict[str, Any]:
    highest = max([*numbers(p["model"] for p in points), *(p["all"] for p in points), 0.0])
    step = nice((highest or 0.01) / 3)
    top = step * -(-highest // step) or step
    own = numbers(p["model"] for p in points)
    bottom = min([0.0, *own, max(-DEEPEST * top, min([0.0, *(p["all"] for p in points)]))])
    plot = Plot((0.0, max(p["threshold"] for p in points)), (bottom, top), BOX)
    model = [(p["threshold"], p["model"]["value"]) for p in points if p["model"]["value"] is not None]
    ends = [
        (
            plot.point(p["threshold"], max(p["model"]["low"], bottom)),
            plot.point(p["threshold"], max(p["model"]["high"], bottom)),
        )
        for p in points
        if p["model"]["low"] is not None
    ]
    shown = [(x, y) for x, y in model if y >= bottom]
    first, last = points[0], points[-1]
    return {
        "name": words(name),
        "n": "" if positives is None else f"n+ {count(positives)}",
        "model": plot.line(_above(model, bottom)),
        "dots": [plot.point(x, y) for x, y in shown],
        "ends": ends,
        "everybody": plot.line(_above([(p["threshold"], p["all"]) for p in points], bottom)),
        "nobody": plot.point(0, 0)[1],
        "ticks": [
            (plot.point(0, t)[1], number(t, 2 if step < 0.1 else 1)) for t in _ticks(bottom, top, step)
        ],
        "thresholds": [(plot.point(p["threshold"], bottom)[0], percent(p["threshold"])) for p in points],
        "told": f"net benefit of the model {signed(first['model']['value'])} at a threshold of "
        "{percent(first['threshold'])}, "
        f"{signed(last['model']['value'])} at {percent(last['threshold'])}; of everybody {signed(first['all'])} and "
        f"{signed(last['all'])}; of nobody 0",
    }


def _ticks(bottom: float, top: float, step: float) -> list[float]:
    first = -int(-bottom / step + 1e-9)
    return [i * step for i in range(first, round(top / step) + 1)]


def _above(points: list[tuple[float, float]], bottom: float) -> list[tuple[float, float]]:
    """Cut a line off where it falls below the figure."""
    kept: list[tuple[float, float]] = []
    for (x0, y0), (x1, y1) in pairwise(points):
        if y0 >= bottom:
            kept.append((x0, y0))
        if (y0 < bottom) != (y1 < bottom):
            kept.append((x0 + (x1 - x0) * (bottom - y0) / (y1 - y0), bottom))
    return kept + [p for p in points[-1:] if p[1] >= bottom]
