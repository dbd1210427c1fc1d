"""A figure with its interval as text, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def with_interval(
    figure: Mapping[str, Any] | None, digits: int = 3, *, signed: bool = False, narrow: bool = False
) -> str:
    """Write a figure: "0.812 (0.790 to 0.834)", or why it is undefined or has no interval; "-" where there is none.

    Args:
        figure: value, low and high, as of `mhdiff.evaluate.bootstrap.estimate`, and a `reason` where one is missing.
        digits: After the point.
        signed: Whether a plus is written.
        narrow: Whether the reason why there is no interval is left out, as in the column of a table.
    """
    if figure is None:
        return "-"
    reason = figure.get("reason")
    if figure["value"] is None:
        return f"undefined ({reason or 'no reason given'})"
    form = f"{{:{'+' if signed else ''}.{digits}f}}"
    value = form.format(figure["value"])
    if figure["low"] is None:
        return f"{value} ({'no interval' if narrow or not reason else reason})"
    return f"{value} ({form.format(figure['low'])} to {form.format(figure['high'])})"
