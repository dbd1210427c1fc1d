"""Columns of a CSV in their types, row by row: a value that is not of its column's type refuses its row alone.

Tables of a registry hold hundreds of millions of rows, and one of them may be broken. Nothing here holds a table in
memory: `typed` is lazy, and `refused` counts what is in it in one streaming pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import polars as pl

from mhdiff.cohort.account import Account
from mhdiff.cohort.table_files import need, reading, scan

TIME: Final = pl.Datetime("us")
_TIMES = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M")
_DAYS = ("%Y-%m-%d", "%Y%m%d")
_WHAT = {pl.Int64(): "number without a fraction", pl.Float64(): "number", TIME: "date or time"}


def typed(
    file: Path,
    columns: Mapping[str, pl.DataType],
    needed: Sequence[str],
    filled: Sequence[str] = (),
    only: pl.Series | None = None,
) -> pl.LazyFrame:
    """Give a table's `row` (its line), its columns in their types, and `bad`: the first column that is wrong, or null.

    Args:
        file: A CSV, plain or gzipped, or Parquet.
        columns: Column -> type; a column that the table lacks is null.
        needed: Columns that the table must have.
        filled: Columns that must not be empty.
        only: Rows of other subjects are not looked at, beyond their subject_id.

    Raises:
        InputError: If a needed column is missing, or the file is no table.
    """
    frame = scan(file)
    held = frame.collect_schema().names()
    need(file, held, tuple(needed))
    if only is not None:
        subject = _read(pl.col("subject_id").cast(pl.String).str.strip_chars(), pl.Int64())
        frame = frame.filter(subject.is_null() | subject.is_in(only.implode()))
    values, wrong = [pl.col("row").cast(pl.Int64)], []
    for name, dtype in columns.items():
        if name not in held:
            values.append(pl.lit(None, dtype=dtype).alias(name))
            continue
        text = pl.col(name).cast(pl.String).str.strip_chars()
        text = pl.when(text != "").then(text)
        value = _read(text, dtype)
        values.append(value.alias(name))
        missing = value.is_null() if name in filled else text.is_not_null() & value.is_null()
        wrong.append(pl.when(missing).then(pl.lit(name)))
    return frame.select(*values, (pl.coalesce(wrong) if wrong else pl.lit(None)).alias("bad"))


def _read(text: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if dtype == pl.String():
        return text
    if dtype == pl.Int64():  # whoever exports with pandas writes 8840.0 where a column has gaps
        return text.str.replace(r"\.0+$", "").cast(dtype, strict=False)
    if dtype == TIME:
        return pl.coalesce(
            *(text.str.to_datetime(form, time_unit="us", strict=False) for form in _TIMES),
            *(text.str.to_date(form, strict=False).cast(dtype) for form in _DAYS),
        )
    value = text.cast(dtype, strict=False)
    return pl.when(value.is_finite()).then(value)


def sink(
    file: Path,
    table: str,
    rows: pl.LazyFrame,
    target: Path,
    account: Account,
    columns: Mapping[str, pl.DataType],
) -> None:
    """Write a table's sound rows as Parquet, and count the others.

    Args:
        file: Where the rows come from, for messages.
        table: What it is called in accounts: a name that holds nothing of a patient.
        rows: What `typed` gave, perhaps with fewer rows.
        target: The Parquet file.
        account: Filled.
        columns: As for `typed`.
    """
    with reading(file):
        rows.sink_parquet(target)
    whole = pl.scan_parquet(target)
    account.rows[table] += int(whole.select(pl.len()).collect().item())
    refused(whole, table, account, columns)


def refused(rows: pl.LazyFrame, table: str, account: Account, columns: Mapping[str, pl.DataType]) -> None:
    """Count the rows whose `bad` names a column.

    Args:
        rows: What `typed` gave.
        table: What it is called in accounts.
        account: Filled.
        columns: As for `typed`.
    """
    found = (
        rows.filter(pl.col("bad").is_not_null())
        .group_by("bad")
        .agg(pl.len(), pl.col("row").min())
        .sort("bad")
        .collect(engine="streaming")
    )
    for column, n, line in found.iter_rows():
        what = _WHAT.get(columns[column], "text")
        account.refuse(f"the value is missing or no {what}", table, line, column, n)
