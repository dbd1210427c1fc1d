"""Calibration: the reliability diagram before and after temperature scaling, and its figures as tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from mhdiff.report.collect import Sources
from mhdiff.report.documents import Document
from mhdiff.report.figures import Plot
from mhdiff.report.pooled import span
from mhdiff.report.results import fullest, offered
from mhdiff.report.table import Cell, Table
from mhdiff.report.text import LOWER_IS_BETTER, METRICS, NONE, count, figure, number, plural, words

NO_SCALING = "not scaled"


def calibration(found: Sources) -> dict[str, Any]:
    """The reliability diagram and what temperature scaling changes.

    Args:
        found: What the report is made from.
    """
    name, full = fullest(found.metrics)
    document = full.get("calibration") or {}
    before = [b for b in document.get("reliability") or [] if b["n"]]
    temperature = document.get("temperature")
    after = _rescaled(found, name, _each(temperature)) if temperature else []
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
    return {
        "before": points(before),
        "after": points(after),
        "histogram": histogram,
        "ticks": ticks,
        "errors": _errors(full),
        "bins": _bins(before, after),
        "classes": _by_class(full),
        "told": _temperature(temperature),
        "reason": document.get("reason", ""),
        "most": count(total),
    }


def _errors(full: Document) -> Table:
    """The calibration errors beside what they were for probabilities that are right, and after temperature scaling."""
    document = full.get("calibration") or {}
    floor, scaled = document.get("floor") or {}, document.get("scaled") or {}
    rows: list[list[str | Cell]] = []
    for m in LOWER_IS_BETTER:
        if m not in full["metrics"]:
            continue
        name, note = METRICS[m]
        right = floor.get(m)
        least = f"{number(right['mean'])}; up to {number(right['high'])}" if right else NONE
        after = figure(scaled[m]) if m in scaled else (NONE if scaled else NO_SCALING)
        rows.append([Cell(name, note), figure(full["metrics"][m]), least, after])
    return Table(
        "calibration-errors",
        "Calibration on the held-out samples. Were the probabilities right, an error would still not be 0 at "
        "this n: it "
        "would be as in the third column, on average and up to its 95% quantile. One that is not above that shows no "
        "miscalibration. Kinds of ECE answer different questions and are not compared with each other.",
        ("Error", "As predicted", "Were they right", "After scaling"),
        rows,
    )


def _bins(before: list[Document], after: list[Document]) -> Table:
    rows: list[list[str | Cell]] = [
        [
            f"{number(b['low'], 2)} to {number(b['high'], 2)}{title}",
            count(b["n"]),
            number(b["confidence"]),
            number(b["accuracy"]),
        ]
        for title, table in (("", before), (", scaled", after))
        for b in table
    ]
    heads = ("Bin", "n", "Mean confidence", "Share right")
    return Table("reliability", "Bins of confidence that hold a sample.", heads, rows, heads[1:])


def _by_class(full: Document) -> Table | None:
    """Slope, intercept and calibration errors of each class; None for metrics.json of an earlier version."""
    if not all("calibration_slope" in row for row in full["per_class"].values()):
        return None
    names = ("calibration_slope", "calibration_intercept", "ece_classwise", "ece_classwise_adaptive")
    rows: list[list[str | Cell]] = [
        [words(name), count(row["n_positive"]), *(figure(row.get(m)) for m in names)]
        for name, row in full["per_class"].items()
    ]
    rows.append(["mean over classes", "", *(figure(full["metrics"].get(m)) for m in names)])
    return Table(
        "calibration-classes",
        "Each class against the rest. A slope below 1: probabilities too extreme; an intercept below 0: too high. The "
        "mean of the intercepts is not told, since they cancel.",
        ("Class", "n+", "Slope", "Intercept", "ECE", "ECE, adaptive"),
        rows,
        ("n+",),
    )


def _temperature(temperature: Document | None) -> str:
    if not temperature:
        return ""
    values = _each(temperature)
    on = f"{plural(temperature['n'], 'tuning sample')} offered {offered(temperature['tuned_on'])}"
    if len(values) > 1:
        told = (
            f"The temperatures of the {len(values)} models are {span(values)} (above 1 means overconfident), "
        )
        told += f"each fitted on its own tuning split, {on} in all."
    else:
        value = values[0]
        leaning = "overconfident" if value > 1.005 else "underconfident" if value < 0.995 else "well scaled"
        told = f"The temperature is {number(value)} (above 1 means overconfident), fitted on {on}: "
        told += f"there the model was {leaning}."
    if temperature.get("at_bound"):
        told += " It lies at the end of what was searched: the tuning samples are perfectly separated."
    return told


def _each(temperature: Document) -> list[float]:
    """Give the temperature of every model."""
    return list(temperature.get("values") or [temperature["value"]])


def _rescaled(found: Sources, pattern: str, temperatures: list[float]) -> list[Document]:
    """Tabulate the held-out predictions again after temperature scaling, as metrics.json did before it."""
    if found.predictions is None:
        return []
    from mhdiff.evaluate.calibration import apply_temperature, reliability
    from mhdiff.evaluate.predictions import by_model, probability_columns

    split = found.metrics.get("split", "held_out")
    rows = found.predictions.filter((pl.col("split") == split) & (pl.col("pattern") == pattern))
    if rows.is_empty():
        return []
    models = by_model(rows)
    if len(models) != len(temperatures):
        return []
    parts = [part.select(probability_columns(rows)).to_numpy().astype(np.float64) for part in models]
    scaled = [apply_temperature(part, value) for part, value in zip(parts, temperatures, strict=True)]
    labels = np.concatenate([part["label"].to_numpy() for part in models]).astype(np.int64)
    return [dict(b) for b in reliability(np.concatenate(scaled), labels) if b["n"]]
