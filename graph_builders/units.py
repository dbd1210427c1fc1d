"""Units of laboratory values: which are written as UCUM has them, and which differ from the code's usual one.

UCUM is the Unified Code for Units of Measure (https://ucum.org), case sensitive. What is checked is the form: prefixes
and atoms of clinical use, whole-number exponents, products, quotients, brackets and {annotations}. A unit that is not
understood is reported and changes nothing: a value is compared with the range that was given in the same unit.
"""

from __future__ import annotations

import re
from typing import Any

import polars as pl

_PREFIX = "da|[YZEPTGMkhdcmunpfazy]"
_METRIC = (
    "mol|rad|osm|kat|cal|bar|Ohm|Cel|erg|dyn|REM|RAD|bit|sr|Hz|Pa|Wb|lm|lx|Bq|Gy|Sv|eq|eV|pc|Np|Ci|Oe|By|Bd|ar|st|"
    "m|s|g|K|C|cd|N|J|W|A|V|F|S|T|H|L|l|t|U|B|u|P|R|G|St"
)
_PLAIN = "10[*^]|%|''|'|deg|gon|circ|sph|min|mo_[sjg]|mo|wk|a_[tjg]|a|h|d|g%"
_BRACKET = r"m?\[[^\[\]\s]+\]"
_UNIT = rf"(?:(?:{_PLAIN})|(?:{_PREFIX})?(?:{_METRIC}|{_BRACKET}))(?:[+-]?\d+)?"
_NOTE = r"\{[!-z|~]*\}"
_PART = rf"(?:{_UNIT}(?:{_NOTE})?|{_NOTE}|\d+(?:{_NOTE})?)"
_UCUM = re.compile(rf"/?{_PART}(?:[./]{_PART})*")
_INNERMOST = re.compile(r"\(([^()]*)\)")


def is_ucum(unit: str) -> bool:
    """Say whether a unit is written as UCUM has it: "10*9/L", "mm[Hg]", "mL/min/{1.73_m2}".

    Args:
        unit: The unit.
    """
    while inner := _INNERMOST.search(unit):
        if not _UCUM.fullmatch(inner[1]):
            return False
        unit = f"{unit[: inner.start()]}1{unit[inner.end() :]}"
    return _UCUM.fullmatch(unit) is not None


def count_units(labs: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Count the units of laboratory values, and those that are not in the unit of their range.

    The unit is the event's own, or where there is none what follows // in its code. Codes that differ in that part
    only are one code.

    Args:
        labs: Events with code, numeric_value, unit, ref_low and ref_high.

    Returns:
        code, unit, n; and code, own (what its code ends in), range_unit (what its range is in), n.
    """
    own = pl.col("code").str.extract(r"^[^/]+/[^/]+//(.+)$")
    named = labs.filter(pl.col("numeric_value").is_not_null()).select(
        code=pl.col("code").str.extract(r"^([^/]+/[^/]+)(?://|$)").fill_null(pl.col("code")),
        unit=pl.coalesce("unit", own),
        own=own,
        range_unit=pl.when(pl.col("ref_low").is_not_null() | pl.col("ref_high").is_not_null()).then("unit"),
    )
    number = pl.len().cast(pl.Int64).alias("n")
    return (
        named.filter(pl.col("unit").is_not_null()).group_by("code", "unit").agg(number),
        named.filter(pl.col("own") != pl.col("range_unit")).group_by("code", "own", "range_unit").agg(number),
    )


def strange_units(units: pl.DataFrame, ranges: pl.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """List the units that are not understood, and those that are not the ones a code usually has.

    The usual unit is the one of most events, of equally many the first by the alphabet.

    Args:
        units: code, unit, n.
        ranges: code, own, range_unit, n.

    Returns:
        `unit_unrecognised` with code, unit, events; `unit_differs` with code, unit, usual, events;
        `unit_not_of_range` with code, unit (what its code ends in), range_unit (what its range is in), events.
    """
    usual = (
        units.rename({"n": "events"})
        .sort(["code", "events", "unit"], descending=[False, True, False])
        .with_columns(usual=pl.col("unit").first().over("code"))
    )
    strange = [unit for unit in usual["unit"].unique() if not is_ucum(unit)]
    return {
        "unit_unrecognised": usual.filter(pl.col("unit").is_in(strange))
        .select("code", "unit", "events")
        .to_dicts(),
        "unit_differs": usual.filter(pl.col("unit") != pl.col("usual"))
        .select("code", "unit", "usual", "events")
        .to_dicts(),
        "unit_not_of_range": ranges.sort("code", "own", "range_unit")
        .rename({"own": "unit", "n": "events"})
        .to_dicts(),
    }
