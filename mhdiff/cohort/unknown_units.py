"""Units of a source that nobody knows: they stay in the code of what was measured, unconverted, and are counted.

A unit is known where `measurements.in_ucum` reads it. One that stands in few rows, or is no code, is not named: what is
written in a column of units may be anything.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from mhdiff.cohort.import_report import ImportReport, presentable

TITLE: Final = "numbers in a unit that nobody knows, by unit"


def name_unknown_units(numbers: pl.DataFrame, report: ImportReport) -> None:
    """Count the numbers whose unit nobody knows.

    Args:
        numbers: Columns unit and n, how many numbers are in it; a unit may be there several times.
        report: Filled.
    """
    from mhdiff.cohort.measurements import in_ucum

    counts = numbers.drop_nulls("unit").group_by("unit").agg(pl.col("n").sum())
    report.name(TITLE, presentable({unit: n for unit, n in counts.iter_rows() if in_ucum(unit) is None}))
