"""A window's numbers in one unit an analyte:  v' = scale v + offset,  left out where  v' < low or v' > high.

What a number's code and unit say decides, never another number, so nothing here is learned from patients:

    an analyte of the table, in a unit that converts   LOINC/2345-7//mmol/L becomes LOINC/2345-7//mg/dL, range too
    an analyte of the table, in no unit or another one kept apart under the code that it has, and counted
    any other code, its unit written in another way     LOINC/1-8//mg/dl becomes LOINC/1-8//mg/dL
    any other code, in a unit that nobody knows         kept apart under the code that it has, and counted

`column` is what a table of laboratory values calls the number: codes of one analyte, such as glucose by mass and by
amount, have one.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import polars as pl

from mhdiff.cohort.measurements.analytes import Analyte, Analytes
from mhdiff.cohort.measurements.conversion import Conversion
from mhdiff.cohort.measurements.written import in_ucum

BASE: Final = r"^([^/]+/[^/]+)(?://.*)?$"
OWN: Final = r"^[^/]+/[^/]+//(.+)$"
#: What a unit looks like; anything else is not repeated in a report, for it may be words about a patient.
_UNIT_LIKE = re.compile(r"[!-~°µμ³²]{1,20}")
REPORT: Final = (
    *("converted", "respelled", "kept_apart", "unit_unknown", "unit_missing", "range_left_out", "impossible"),
)


class Reading(NamedTuple):
    """How numbers of one code and unit are read.

    Attributes:
        code: The code that they have.
        unit: The unit that goes with it.
        what: A name of `REPORT`; None where there is nothing to report.
        said: What is reported.
        new_code: The code that they get; None for none.
        new_unit: The unit that they get.
        column: What a table of laboratory values calls them.
        parents: Parents of the new code.
        scale: By which a value is multiplied.
        offset: What is then added.
        range_scale: The same for its reference range.
        range_offset: The same for its reference range.
        range_lost: Whether the range cannot be converted.
        low: Lowest value that can be.
        high: Highest value that can be.
        name: Name of the analyte.
    """

    code: str
    unit: str | None
    what: str | None = None
    said: str | None = None
    new_code: str | None = None
    new_unit: str | None = None
    column: str | None = None
    parents: list[str] | None = None
    scale: float = 1.0
    offset: float = 0.0
    range_scale: float = 1.0
    range_offset: float = 0.0
    range_lost: bool = False
    low: float | None = None
    high: float | None = None
    name: str | None = None


_TEXT, _NUMBER = pl.String(), pl.Float64()
_SCHEMA: Final = {
    **dict.fromkeys(("code", "unit", "what", "said", "new_code", "new_unit", "column"), _TEXT),
    "parents": pl.List(pl.String()),
    **dict.fromkeys(("scale", "offset", "range_scale", "range_offset"), _NUMBER),
    "range_lost": pl.Boolean(),
    "low": _NUMBER,
    "high": _NUMBER,
    "name": _TEXT,
}


class Read(NamedTuple):
    """Events as they are read.

    Attributes:
        events: Those that can be, in their order, with `column`.
        report: Numbers of events by what they measure, under each name of `REPORT`.
    """

    events: pl.DataFrame
    report: dict[str, dict[str, int]]


def harmonise(events: pl.DataFrame, codes: pl.DataFrame, analytes: Analytes) -> Read:
    """Bring numbers to one unit an analyte, and leave out those that cannot be.

    Args:
        events: Columns of `mhdiff.cohort.window`; `unit` is the unit of the range, and of the value where its code ends
            in none.
        codes: The cohort's codes: code, parent_codes.
        analytes: The table; an empty one, of a run from before there were any, leaves everything as it is.
    """
    unchanged = Read(events.with_columns(column=pl.lit(None, pl.String)), {name: {} for name in REPORT})
    if not analytes.rows:
        return unchanged
    numbered = events.with_columns(numeric=pl.col("numeric_value").is_finite().fill_null(False))
    pairs = numbered.filter("numeric").select("code", "unit").unique().sort("code", "unit")
    parents = _Parents(codes)
    rows = [
        parents.given_to(row) for code, unit in pairs.iter_rows() if (row := reading(code, unit, analytes))
    ]
    if not rows:
        return unchanged
    readings = pl.DataFrame(rows, _SCHEMA, orient="row").with_columns(numeric=pl.lit(True))
    read = numbered.join(
        readings, on=["code", "unit", "numeric"], how="left", nulls_equal=True, maintain_order="left"
    )
    value = pl.col("numeric_value").cast(pl.Float64)
    read = read.with_columns(
        _line(value, "scale", "offset").cast(events.schema["numeric_value"]).alias("numeric_value"),
        *(
            pl.when(pl.col("range_lost").fill_null(False))
            .then(None)
            .otherwise(_line(pl.col(end), "range_scale", "range_offset"))
            .alias(end)
            for end in ("ref_low", "ref_high")
        ),
    )
    beyond = (pl.col("numeric_value") < pl.col("low")) | (pl.col("numeric_value") > pl.col("high"))
    read = read.with_columns(impossible=beyond.fill_null(False))
    kept = read.filter(~pl.col("impossible"))
    had_range = (events["ref_low"].is_not_null() | events["ref_high"].is_not_null()).alias("had_range")
    lost = read.with_columns(had_range).filter("range_lost", "had_range")
    told: dict[str, dict[str, int]] = {name: {} for name in REPORT}
    for what, said, n in read.group_by("what", "said").len().drop_nulls().sort("what", "said").iter_rows():
        told[what][said] = n
    for what, rows_of in (("range_left_out", lost), ("impossible", read.filter("impossible"))):
        told[what] = dict(rows_of.group_by("name").len().sort("name").iter_rows())
    return Read(
        kept.with_columns(
            code=pl.coalesce("new_code", "code"),
            unit=pl.coalesce("new_unit", "unit"),
            parent_codes=pl.coalesce("parents", "parent_codes"),
        ).select(*events.columns, "column"),
        told,
    )


def _line(value: pl.Expr, scale: str, offset: str) -> pl.Expr:
    """Give scale v + offset, and v itself where that is the same, so that no value is rounded for nothing."""
    changes = (pl.col(scale) != 1) | (pl.col(offset) != 0)
    return pl.when(changes).then(value * pl.col(scale) + pl.col(offset)).otherwise(value)


def reading(code: str, unit: str | None, analytes: Analytes) -> Reading | None:
    """Say how numbers of a code with a unit are read; None where they are as they should be.

    Args:
        code: A MEDS code, with its unit or without.
        unit: The unit that the cohort's table of codes gives it.
        analytes: The table.
    """
    if not re.match(BASE, code):
        return None
    base, own = _base(code), _own(code)
    stated, analyte = own or unit, analytes.by_code.get(base)
    if stated is None:
        return Reading(code, unit, "unit_missing", analyte.name) if analyte else None
    written = in_ucum(stated)
    if analyte is not None:
        way = analyte.conversion(stated)
        if way is not None:
            return _converted(code, unit, stated, analyte, way)
        what = "unit_unknown" if written is None else "kept_apart"
        return Reading(code, unit, what, f"{analyte.name}: {shown_unit(stated)}, not {analyte.unit}")
    if written is None:
        return Reading(code, unit, "unit_unknown", f"{base}: {shown_unit(stated)}")
    if own is None or written == own:
        return None
    return Reading(
        code, unit, "respelled", f"{base}: {shown_unit(own)} as {written}",
        new_code=f"{base}//{written}", new_unit=None if unit is None else in_ucum(unit),
    )  # fmt: skip


def _converted(code: str, unit: str | None, stated: str, analyte: Analyte, way: Conversion) -> Reading:
    of_range = way if unit is None else analyte.conversion(unit)
    what = "converted" if way.changes else "respelled" if stated != analyte.unit else None
    said = f"{analyte.name}: {shown_unit(stated)} {'to' if way.changes else 'as'} {analyte.unit}"
    ends = of_range or Conversion(1.0)
    return Reading(
        code, unit, what, said if what else None,
        new_code=f"{_base(code)}//{analyte.unit}", new_unit=analyte.unit, column=analyte.column,
        scale=way.scale, offset=way.offset, range_scale=ends.scale, range_offset=ends.offset,
        range_lost=of_range is None, low=analyte.low, high=analyte.high, name=analyte.name,
    )  # fmt: skip


def _base(code: str) -> str:
    """Give a code without its unit."""
    return re.sub(BASE, r"\1", code)


def _own(code: str) -> str | None:
    """Give the unit that a code ends in."""
    return found[1] if (found := re.match(OWN, code)) else None


def shown_unit(unit: str) -> str:
    """Give a unit as it may be shown: what looks like none may be words about a patient.

    Args:
        unit: As the source writes it.
    """
    return unit if _UNIT_LIKE.fullmatch(unit) else "(words, not shown)"


class _Parents:
    """The parents of codes that differ in their unit only, put together: none is lost by which a code is blinded."""

    def __init__(self, codes: pl.DataFrame) -> None:
        self.of_base: dict[str, list[str]] = {}
        for code, parents in codes.select("code", "parent_codes").sort("code").iter_rows():
            held = self.of_base.setdefault(_base(code), [])
            held += [parent for parent in parents or () if parent not in held]

    def given_to(self, reading: Reading) -> Reading:
        if reading.new_code is None:
            return reading
        return reading._replace(parents=self.of_base.get(_base(reading.code)) or None)


def with_rewritten(codes: pl.DataFrame, analytes: Analytes) -> pl.DataFrame:
    """Give a cohort's codes with those that windows have in their place, described like them.

    Args:
        codes: The cohort's codes: code, description, parent_codes, unit.
        analytes: The table.
    """
    parents, known = _Parents(codes), set(codes["code"].to_list())
    added: dict[str, tuple[str | None, list[str] | None]] = {}
    for code, unit, description in codes.select("code", "unit", "description").sort("code").iter_rows():
        row = reading(code, unit, analytes) if analytes.rows else None
        if row is not None and row.new_code and row.new_code not in known and row.new_code not in added:
            added[row.new_code] = (description, parents.given_to(row).parents)
    new = pl.DataFrame(
        [(code, *rest) for code, rest in added.items()],
        {"code": pl.String, "description": pl.String, "parent_codes": pl.List(pl.String)},
        orient="row",
    )
    return pl.concat([codes, new], how="diagonal")
