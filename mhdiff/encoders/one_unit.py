"""Codes that differ in their unit only, in one column: in the unit that most samples of the training fold have.

For what the table of analytes (`configs/analytes.yaml`) does not know: nothing is known of its molar mass, so units
convert by their dimensions alone, and units that do not convert stay columns of their own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import polars as pl

from mhdiff.cohort.measurements.conversion import Conversion, convert
from mhdiff.cohort.measurements.harmonise import BASE, OWN
from mhdiff.cohort.measurements.written import in_ucum


class Way(NamedTuple):
    """Which column a code is read into, and how."""

    column: str
    conversion: Conversion = Conversion(1.0)


class Units:
    """The unit of each code's column.

    Args:
        units: Unit by code without its unit, of the codes that training saw.
    """

    def __init__(self, units: Mapping[str, str]) -> None:
        self.units = dict(units)
        self._ways: dict[str, Way] = {}

    @classmethod
    def fit(cls, numbers: pl.DataFrame) -> Units:
        """Choose the units: of equally many samples the first by the alphabet.

        Args:
            numbers: sample_id and code of the training fold's numbers.
        """
        seen = numbers.select("sample_id", "code").unique().group_by("code").len()
        named = (
            seen.with_columns(base=pl.col("code").str.extract(BASE), own=pl.col("code").str.extract(OWN))
            .drop_nulls(["base", "own"])
            .sort(["base", "len", "own"], descending=[False, True, False])
            .unique("base", keep="first", maintain_order=True)
        )
        return cls(dict(named.select("base", "own").iter_rows()))

    def way(self, code: str) -> Way:
        """Say how a code is read.

        Args:
            code: With its unit: "LOINC/1-8//mg/dL".
        """
        if code not in self._ways:
            self._ways[code] = self._find(code)
        return self._ways[code]

    def _find(self, code: str) -> Way:
        own = re.match(OWN, code)
        base = re.sub(BASE, r"\1", code)
        unit = self.units.get(base)
        if own is None or unit is None or own[1] == unit:
            return Way(code)
        written, wanted = in_ucum(own[1]), in_ucum(unit)
        found = convert(written, wanted) if written and wanted else None
        return Way(code) if found is None else Way(f"{base}//{unit}", found)

    def read(self, events: pl.DataFrame) -> pl.DataFrame:
        """Give events the code of their column, and their numbers its unit.

        Args:
            events: code and numeric_value (Float64), and others.
        """
        other = {c: w for c in events["code"].unique().to_list() if (w := self.way(c)).column != c}
        if not other:
            return events
        ways = pl.DataFrame(
            [(c, w.column, *w.conversion) for c, w in other.items()],
            {"code": pl.String, "to": pl.String, "scale": pl.Float64, "offset": pl.Float64},
            orient="row",
        )
        return (
            events.join(ways, on="code", how="left", maintain_order="left")
            .with_columns(
                code=pl.coalesce("to", "code"),
                numeric_value=pl.when(pl.col("to").is_null())
                .then("numeric_value")
                .otherwise(pl.col("numeric_value") * pl.col("scale") + pl.col("offset")),
            )
            .drop("to", "scale", "offset")
        )

    def told(self, events: pl.DataFrame) -> dict[str, int]:
        """Count the events that are brought to another unit; nothing is said where there is none.

        Args:
            events: Before they were read.
        """
        other = [c for c in events["code"].unique().to_list() if self.way(c).column != c]
        n = events.filter(pl.col("code").is_in(other)).height if other else 0
        return {"events brought to the unit of their column": n} if n else {}

    def state(self) -> dict[str, str]:
        """Give the units, as plain data."""
        return dict(self.units)
