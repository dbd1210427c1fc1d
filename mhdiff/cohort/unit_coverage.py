"""What becomes of a cohort's numbers and their units, by analyte, in numbers that name nobody.

Every number has one outcome; values that cannot be are told as that alone, whatever their unit:

    n_analyte = as_stated + converted + respelled + kept_apart + unit_unknown + unit_missing + impossible

It is what windows do to them (`mhdiff.cohort.measurements.harmonise`), counted over all events and not over samples.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import numpy as np
import polars as pl

from mhdiff.cohort.cohort import Cohort
from mhdiff.cohort.measurements.analytes import Analytes
from mhdiff.cohort.measurements.harmonise import reading
from mhdiff.cohort.suppress import HIDDEN, SMALL, Told, protect

#: Outcome -> in words.
OUTCOMES: Final = {
    "as_stated": "in its unit",
    "converted": "converted",
    "respelled": "spelled anew",
    "kept_apart": "not convertible",
    "unit_unknown": "unknown unit",
    "unit_missing": "without a unit",
    "impossible": "cannot be",
}
MOST_ROWS = 100  # of the table; what is rarer is put together
REST = "all others"


def unit_coverage(cohort: Cohort, analytes: Analytes, hidden: Collection[str] = ()) -> dict[str, Any]:
    """Count numbers by analyte and by what becomes of their unit.

    Args:
        cohort: The cohort.
        analytes: The table of units and limits.
        hidden: Vocabularies whose number of events is hidden elsewhere, and so must not follow from this table.

    Returns:
        `analytes`: rows of analyte, unit, codes, events and each of `OUTCOMES`, the most frequent first. Codes that are
        of no analyte have a row for each vocabulary. `all`: the sums of events and outcomes. `table`: SHA-256 of the
        table. Numbers of fewer than five people are hidden, and others by which they could be reckoned.
    """
    numbers = cohort.scan().filter(pl.col("numeric_value").is_finite())
    codes = _readings(cohort, numbers, analytes)
    told = numbers.join(codes.lazy(), on="code", how="inner").with_columns(outcome=_outcome())
    whom, odd = pl.col("subject_id"), pl.col("outcome") != "as_stated"
    held = (
        told.group_by("row")
        .agg(events=pl.len(), people=whom.n_unique(), odd=whom.filter(odd).n_unique())
        .collect()
    )
    rows = _rows(held)
    place = {name: i for i, name in enumerate(rows)}
    told = told.with_columns(
        row=pl.col("row").replace_strict(place, default=place.get(REST, -1), return_dtype=pl.Int64)
    )
    table, people = _counted(told, len(rows))
    codes = codes.with_columns(row=pl.when(pl.col("row").is_in(rows)).then("row").otherwise(pl.lit(REST)))
    shown = _protected(table, people, _secret(codes, rows, hidden))
    names, all_of = ("events", *OUTCOMES), shown[-1]
    units = {row.name: row.unit for row in analytes.rows}
    per_row = dict(codes["row"].value_counts().iter_rows())
    document = [
        {
            "analyte": name,
            "unit": units.get(name),
            "codes": per_row[name],
            **dict(zip(names, own, strict=True)),
        }
        for name, own in zip(rows, shown, strict=False)
    ]
    # What is hidden stands last and by name: its place would tell its size.
    order = sorted(range(len(rows)), key=lambda i: _place(rows[i], shown[i][0]))
    return {
        "analytes": [document[i] for i in order],
        "all": dict(zip(names, all_of, strict=True)),
        "table": analytes.digest,
    }


def _place(name: str, events: Told) -> tuple[bool, int, str]:
    return isinstance(events, str), 0 if isinstance(events, str) else -events, name


def _readings(cohort: Cohort, numbers: pl.LazyFrame, analytes: Analytes) -> pl.DataFrame:
    """Give code, vocabulary, row, what, scale, offset, low and high of every code that has numbers."""
    units = cohort.codes.unique("code", keep="first").select("code", "unit")
    used = numbers.select("code").unique().collect().join(units, on="code", how="left").sort("code")
    found = []
    for code, unit in used.iter_rows():
        read = reading(code, unit, analytes)
        base, _, own = code.partition("//")
        analyte, vocabulary = analytes.by_code.get(base), code.partition("/")[0]
        what = "as_stated" if own or unit else "unit_missing"
        row = analyte.name if analyte else f"{vocabulary}, of no analyte"
        bounds = (1.0, 0.0, None, None) if read is None else (read.scale, read.offset, read.low, read.high)
        found.append((code, vocabulary, row, (read and read.what) or what, *bounds))
    text = dict.fromkeys(("code", "vocabulary", "row", "what"), pl.String())
    return pl.DataFrame(
        found, text | dict.fromkeys(("scale", "offset", "low", "high"), pl.Float64()), orient="row"
    )


def _outcome() -> pl.Expr:
    """Give a number's outcome: as a window rounds and judges it."""
    value = pl.col("numeric_value").cast(pl.Float64) * pl.col("scale") + pl.col("offset")
    rounded = value.cast(pl.Float32)
    beyond = (rounded < pl.col("low")) | (rounded > pl.col("high"))
    return pl.when(beyond.fill_null(False)).then(pl.lit("impossible")).otherwise("what")


def _rows(held: pl.DataFrame) -> list[str]:
    """Name the rows: those that something is done to, and the most frequent; of few people and the rest are one."""
    held = held.sort([pl.col("odd") >= SMALL, "events", "row"], descending=[True, True, False])
    common = held.filter(pl.col("people") >= SMALL)["row"].to_list()[: MOST_ROWS - 1]
    left = [name for name in held["row"] if name not in common]
    return [*common, *(left if len(left) == 1 else [REST] if left else [])]


def _counted(told: pl.LazyFrame, rows: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Give numbers and people, `[rows + 1, 1 + outcomes]`: sums stand in the first column and the last row."""
    shape = (rows + 1, 1 + len(OUTCOMES))
    table, people = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    count = (
        pl.len().cast(pl.Int64).alias("n"),
        pl.col("subject_id").n_unique().cast(pl.Int64).alias("people"),
    )
    frames = [
        told.group_by("row", "outcome").agg(count),
        told.group_by("row").agg(count).with_columns(outcome=pl.lit(None, pl.String)),
        told.group_by("outcome").agg(count).with_columns(row=pl.lit(rows, pl.Int64)),
        told.select(count).with_columns(row=pl.lit(rows, pl.Int64), outcome=pl.lit(None, pl.String)),
    ]
    column = {None: 0} | {name: i for i, name in enumerate(OUTCOMES, start=1)}
    for frame in pl.collect_all(frames):
        for row, outcome, n, whom in frame.select("row", "outcome", "n", "people").iter_rows():
            table[row, column[outcome]], people[row, column[outcome]] = n, whom
    return table, people


def _secret(codes: pl.DataFrame, rows: list[str], hidden: Collection[str]) -> list[list[int]]:
    """Give the rows of each hidden vocabulary, where all that they hold is of it; and all rows, if one is hidden."""
    known = codes.group_by("row").agg(pl.col("vocabulary").unique())
    of_row = dict(known.iter_rows())
    sums = []
    for one in hidden:
        own = [i for i, name in enumerate(rows) if one in of_row[name]]
        if own and all(len(of_row[rows[i]]) == 1 for i in own):
            sums.append(own)
    return [*sums, list(range(len(rows)))] if hidden else []


def _protected(
    table: np.ndarray[Any, Any], people: np.ndarray[Any, Any], secret: list[list[int]]
) -> list[list[Told]]:
    """Give the numbers as they may be shown, `[rows + 1, 1 + outcomes]`.

    First the sums of rows, which have their sum and secrets; then each row by itself, or all of it where its sum is
    hidden. The sum of an outcome is shown only where all that it adds up is: so it tells nothing of a hidden number.
    """
    rows, columns = len(table) - 1, table.shape[1]
    relations = np.zeros((1 + len(secret), rows + 1 + len(secret)))
    relations[0, :rows], relations[0, rows] = 1, -1
    for i, own in enumerate(secret, start=1):  # the numbers of a hidden vocabulary, which nobody shows
        relations[i, own], relations[i, rows + i] = 1, -1
    values = np.array([*table[:, 0], *(table[own, 0].sum() for own in secret)], dtype=np.int64)
    whom = np.array([*people[:, 0], *(SMALL for _ in secret)], dtype=np.int64)
    extra = range(rows + 1, len(values))
    sums = protect(values, whom, relations, margins=[rows], secret=extra)
    one = np.array([[-1.0, *[1.0] * (columns - 1)]])
    shown: list[list[Told]] = [
        [HIDDEN] * columns if isinstance(whole, str) else protect(table[i], people[i], one, fixed=[0])
        for i, whole in enumerate(sums[:rows])
    ]
    last = [
        HIDDEN if any(isinstance(own[c], str) for own in shown) else int(table[rows, c])
        for c in range(columns)
    ]
    return [*shown, [sums[rows], *last[1:]]]
