"""Reference ranges from a table of the user's own, for measurements whose source states none.

    code,unit,low,high,sex,from_age,to_age
    LOINC/2339-0,mg/dL,70,140,,18,
    LOINC/718-7,g/dL,12,16,F,18,

`low` or `high` may be empty, and so may sex, from_age and to_age (years, to_age not included): the row then holds for
everybody. A measurement that has a range of its own keeps it. No ranges are shipped: they are a laboratory's, and a
value without one says nothing of high or low.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from mhdiff.cohort.table_files import need, scan
from ontology.errors import InputError

_TEXTS, _NUMBERS = ("code", "unit", "sex"), ("low", "high", "from_age", "to_age")
_YEAR = 365.25


def read_ranges(path: str | Path) -> pl.DataFrame:
    """Read a table of ranges.

    Args:
        path: A CSV file, see the module.

    Returns:
        Columns code, unit, sex, low, high, from_age, to_age.

    Raises:
        InputError: If it is missing, lacks a column, or a row says nothing, is no number, or contradicts another one.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError("there is no such table of reference ranges", path=file)
    rows = scan(file).collect()
    need(file, rows.columns, ("code", "unit", "low", "high"))
    made = rows.select(
        pl.col("row").cast(pl.Int64),
        *(_text(rows, name) for name in _TEXTS),
        *(_text(rows, name).cast(pl.Float64, strict=False) for name in _NUMBERS),
        *(_text(rows, name).alias(f"{name}_text") for name in _NUMBERS),
    )
    for problem, column, wrong in (
        *(
            (
                "the value is no number",
                name,
                pl.col(f"{name}_text").is_not_null() & ~pl.col(name).is_finite().fill_null(False),
            )
            for name in _NUMBERS
        ),
        ("there is no code", "code", pl.col("code").is_null()),
        ("the sex is neither F nor M", "sex", ~pl.col("sex").is_in(["F", "M"])),
        ("there is neither low nor high", "low", pl.col("low").is_null() & pl.col("high").is_null()),
        ("low is above high", "low", pl.col("low") > pl.col("high")),
    ):
        found = made.filter(wrong)
        if found.height:
            raise InputError(
                problem, path=file, row=int(found["row"][0]), column=column, remedy="Correct the row"
            )
    _refuse_overlap(made, file)
    return made.select("code", "unit", "sex", "low", "high", "from_age", "to_age")


def _text(rows: pl.DataFrame, name: str) -> pl.Expr:
    if name not in rows.columns:
        return pl.lit(None, dtype=pl.String).alias(name)
    value = pl.col(name).cast(pl.String).str.strip_chars()
    return pl.when(value != "").then(value).alias(name)


def _refuse_overlap(rows: pl.DataFrame, file: Path) -> None:
    pairs = rows.join(rows, on=["code", "unit"], suffix="_other", nulls_equal=True).filter(
        pl.col("row") < pl.col("row_other"),
        (pl.col("sex") == pl.col("sex_other")).fill_null(True),
        (pl.col("from_age") < pl.col("to_age_other")).fill_null(True),
        (pl.col("from_age_other") < pl.col("to_age")).fill_null(True),
    )
    if pairs.height:
        raise InputError(
            f"the row and line {pairs['row'][0]} hold for the same people", path=file,
            row=int(pairs["row_other"][0]), column="code", remedy="Part them by sex or age, or leave one out",
        )  # fmt: skip


def fill_ranges(events: pl.DataFrame, ranges: pl.DataFrame) -> pl.DataFrame:
    """Give the events the ranges that fit code, unit, sex and age, where they have none of their own.

    Args:
        events: base (the code without its unit), unit, numeric_value, time, born, gender, ref_low, ref_high.
        ranges: What `read_ranges` gave.
    """
    numbered = events.with_row_index("place")
    bare = pl.col("ref_low").is_null() & pl.col("ref_high").is_null() & pl.col("numeric_value").is_not_null()
    age = (pl.col("time") - pl.col("born")).dt.total_days() / _YEAR
    fitting = (
        numbered.filter(bare)
        .select("place", "gender", "unit", code="base", age=age)
        .join(ranges, on=["code", "unit"], nulls_equal=True)
        .filter(
            pl.col("sex").is_null() | (pl.col("sex") == pl.col("gender")).fill_null(False),
            pl.col("from_age").is_null() | (pl.col("age") >= pl.col("from_age")).fill_null(False),
            pl.col("to_age").is_null() | (pl.col("age") < pl.col("to_age")).fill_null(False),
        )
        .select("place", pl.col("low").cast(pl.Float64), pl.col("high").cast(pl.Float64))
    )
    return (
        numbered.join(fitting, on="place", how="left", maintain_order="left")
        .with_columns(ref_low=pl.coalesce("ref_low", "low"), ref_high=pl.coalesce("ref_high", "high"))
        .drop("place", "low", "high")
    )
