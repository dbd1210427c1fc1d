"""Geometry of the figures: where on a common axis a value lies, in percent of the axis's width.

A row of a dot-and-bar figure is an SVG whose coordinates are percentages: it has no aspect ratio, so it fills
any width while dots stay round and text keeps its size.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from mhdiff.report.table import Cell, Table
from mhdiff.report.text import figure, number, signed_figure


@dataclass(frozen=True)
class Axis:
    """A common axis.

    Args:
        low: Value at its left end.
        high: Value at its right end.
        ticks: Values that are marked.
        digits: Decimal places of their labels.
        reference: A value that a stronger line marks (chance, no difference); None for none.
        reference_name: What that line means.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    digits: int = 1
    reference: float | None = None
    reference_name: str = ""

    def at(self, value: float) -> float:
        """Give the place of a value in percent; what lies outside is put at the end.

        Args:
            value: The value.
        """
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(max(share, 0.0), 1.0), 2)

    @property
    def marks(self) -> list[tuple[float, str]]:
        """Place and label of each tick."""
        return [(self.at(tick), number(tick, self.digits)) for tick in self.ticks]

    @property
    def reference_at(self) -> float | None:
        """Place of the reference line, if it lies on the axis."""
        inside = self.reference is not None and self.low <= self.reference <= self.high
        return self.at(self.reference) if inside and self.reference is not None else None


@dataclass(frozen=True)
class Row:
    """One row of a figure.

    Args:
        name: What it is.
        estimate: {value, low, high}; a value of None draws nothing.
        note: A second, smaller line under the name.
        ceiling: The estimate that a tick marks, if any.
        kind: Style of the dot: "model", "null", "reference".
        state: "failed" draws nothing and says why.
        reason: Why.
        extra: Further figures, as text, by column.
        groups: For patterns: (modality, whether it was offered).
    """

    name: str
    estimate: dict[str, Any] | None
    note: str = ""
    ceiling: dict[str, Any] | None = None
    kind: str = "model"
    state: str = ""
    reason: str = ""
    extra: dict[str, str] = field(default_factory=dict)
    groups: list[tuple[str, bool]] = field(default_factory=list)


@dataclass(frozen=True)
class Forest:
    """A figure of rows on one axis.

    Args:
        axis: The axis.
        rows: The rows.
        signed: Whether values are differences.
        columns: Headings of the figures in text, the first that of the value with its interval.
        id: Name of its numbers as a table; without one they are no table.
        caption: What that table shows.
        first: What its rows are.
    """

    axis: Axis
    rows: list[Row]
    signed: bool = False
    columns: tuple[str, ...] = ()
    id: str = ""
    caption: str = ""
    first: str = ""

    def told(self, row: Row) -> str:
        """Write a row's value with its interval, or why there is none.

        Args:
            row: One of the rows.
        """
        if row.state == "failed":
            return f"failed: {row.reason}" if row.reason else "failed"
        return signed_figure(row.estimate) if self.signed else figure(row.estimate)

    @property
    def table(self) -> Table | None:
        """The figure's numbers as a table."""
        if not self.id:
            return None
        keys = list(dict.fromkeys(key for row in self.rows for key in row.extra))
        # A heading of the figure stands for the place of a row's further figures.
        heads = [self.columns[i + 1] if i + 1 < len(self.columns) else key for i, key in enumerate(keys)]
        rows: list[list[str | Cell]] = [
            [Cell(row.name, row.note), self.told(row), *(row.extra.get(key, "") for key in keys)]
            for row in self.rows
        ]
        return Table(self.id, self.caption, (self.first, self.columns[0], *heads), rows, tuple(heads))


def numbers(estimates: Iterable[dict[str, Any] | None]) -> list[float]:
    """Give every value and end of an interval that is a number.

    Args:
        estimates: Estimates, or None.
    """
    return [
        float(e[key])
        for e in estimates
        if e is not None
        for key in ("value", "low", "high")
        if e.get(key) is not None and math.isfinite(e[key])
    ]


def score_axis(estimates: Iterable[dict[str, Any] | None], start: float = 0.5, chance: bool = True) -> Axis:
    """Give an axis for scores that end at 1, beginning at `start` or lower where a figure needs it.

    Args:
        estimates: What will be drawn.
        start: Where it begins if nothing lies lower.
        chance: Whether .5 is marked as chance.
    """
    found = numbers(estimates)
    low = min([start, *(math.floor(10 * x + 1e-9) / 10 for x in found)])
    high = max([1.0, *(math.ceil(10 * x - 1e-9) / 10 for x in found)])
    step = 0.1 if high - low < 0.75 else 0.2 if high - low < 1.5 else 0.5
    ticks = tuple(round(low + i * step, 6) for i in range(int((high - low) / step + 1e-6) + 1))
    return Axis(low, high, ticks, 1, 0.5 if chance else None, "chance" if chance else "")


def difference_axis(estimates: Iterable[dict[str, Any] | None]) -> Axis:
    """Give a symmetric axis around 0.

    Args:
        estimates: Differences.
    """
    reach = max([abs(x) for x in numbers(estimates)], default=0.0) or 0.01
    step = nice(reach / 1.9)
    n = math.ceil(reach / step - 1e-9)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    ticks = tuple(round(i * step, 10) for i in range(-n, n + 1))
    return Axis(-n * step, n * step, ticks, digits, 0.0, "no difference")


def nice(value: float) -> float:
    """Give the next of 1, 2 or 5 times a power of ten that is not below a value.

    Args:
        value: A positive number.
    """
    power = 10.0 ** math.floor(math.log10(value))
    return next((m * power for m in (1, 2, 5) if m * power >= value * (1 - 1e-9)), 10 * power)


def bars(values: list[float | None]) -> list[dict[str, float] | None]:
    """Give the left end and the width, in percent, of bars that grow from a zero in the middle.

    Args:
        values: Signed values; None has no bar.
    """
    reach = max((abs(v) for v in values if v is not None), default=0.0)
    drawn: list[dict[str, float] | None] = []
    for v in values:
        if v is None or reach == 0:
            drawn.append(None)
            continue
        width = round(50 * abs(v) / reach, 2)
        drawn.append(
            {"x": 50.0 if v >= 0 else round(50 - width, 2), "width": width, "sign": math.copysign(1, v)}
        )
    return drawn


@dataclass(frozen=True)
class Plot:
    """A rectangle in an SVG into which points of a plane are put.

    Args:
        x: (left, right) in values.
        y: (bottom, top) in values.
        box: (left, top, right, bottom) in SVG units.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    box: tuple[float, float, float, float]

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Give SVG coordinates of a point.

        Args:
            x: The abscissa.
            y: The ordinate.
        """
        left, top, right, bottom = self.box
        across = (x - self.x[0]) / ((self.x[1] - self.x[0]) or 1)
        up = (y - self.y[0]) / ((self.y[1] - self.y[0]) or 1)
        return round(left + across * (right - left), 2), round(bottom - up * (bottom - top), 2)

    def line(self, points: Iterable[tuple[float, float]]) -> str:
        """Give the `points` of an SVG polyline.

        Args:
            points: Its points, in values.
        """
        return " ".join("{},{}".format(*self.point(x, y)) for x, y in points)
