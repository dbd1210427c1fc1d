"""A figure with its interval as text, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def with_interval(figure: Mapping[str, Any], digits: int = 3) -> str:
    """Write a figure: "0.812 (0.790 to 0.834)", without an interval where there is none, or why it is undefined.

    Args:
        figure: value, low and high, as of `mhdiff.evaluate.bootstrap.estimate`; `reason` where there is no value.
        digits: After the point.
    """
    if figure["value"] is None:
        return f"undefined ({figure.get('reason') or 'no reason given'})"
    if figure["low"] is None:
        return f"{figure['value']:.{digits}f} (no interval)"
    return f"{figure['value']:.{digits}f} ({figure['low']:.{digits}f} to {figure['high']:.{digits}f})"
