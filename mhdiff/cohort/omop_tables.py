"""Tables of the OMOP common data model, CDM 5.3 and 5.4, as files of CSV or Parquet hold them.

A table is a file `person.csv`, `PERSON.csv.gz`, `person.parquet`, or a folder `person/` of such parts; names of files
and columns in any case. Every table is brought to one shape (`STAGED`) in one streaming pass and written as Parquet, so
that no table need fit into memory. A row with a value that is not of its column's type is refused: many of them mean
that columns are shifted or that it is another table.

Dates: where a time of day is not known, OMOP writes midnight or leaves the datetime empty. Such a row is put at the
last microsecond of its day, since whoever predicts at noon cannot know what was found at four o'clock.

See the Common Data Model's specification, https://ohdsi.github.io/CommonDataModel/cdm54.html.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import polars as pl

from mhdiff.cohort.refused import Refused
from mhdiff.cohort.table_files import need, reading, scan

_FORMATS = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M")
_DATES = ("%Y-%m-%d", "%Y%m%d")
_NAMED = 5  # rows whose lines are told
LAST_OF_DAY: Final = pl.duration(days=1) - pl.duration(microseconds=1)

#: What a table is brought to: the value's own text, not yet any code.
STAGED: Final[dict[str, pl.DataType]] = {
    "row": pl.Int64(),  # line of the source file where no value holds a line break; the header is line 1
    "id": pl.Int64(),
    "subject_id": pl.Int64(),
    "time": pl.Datetime("us"),
    "dated": pl.Boolean(),  # only the day is known
    "concept": pl.Int64(),
    "source_concept": pl.Int64(),
    "source_value": pl.String(),
    "number": pl.Float64(),
    "text": pl.String(),
    "value_concept": pl.Int64(),
    "value_source": pl.String(),
    "unit_concept": pl.Int64(),
    "unit": pl.String(),
    "ref_low": pl.Float64(),
    "ref_high": pl.Float64(),
    "operator": pl.Int64(),
}
#: Text -> the rows in which it is asked for; where it is not, it is left out, since texts are what takes time and room.
_ASKED: Final = {
    "source_value": pl.col("concept") == 0,
    "value_source": pl.col("number").is_null() | ~pl.col("number").is_finite(),
}


@dataclass(frozen=True)
class Table:
    """One kind of row of a table.

    Attributes:
        name: Name of the table.
        what: What its rows are called in reports.
        date: Column of the date.
        columns: Column of `STAGED` -> column of the table, for all but row, time and dated.
        datetime: Column of the datetime.
        fixed: The code that every row gets; None where the concept is the code.
        optional: Whether a row without a concept or a time says nothing, and is not counted as dropped.
        begins: Whether a row without a time of day stands for the day's beginning.
        personal: Whether its rows are of persons.
    """

    name: str
    what: str
    date: str
    columns: Mapping[str, str] = field(default_factory=dict)
    datetime: str = ""
    fixed: str | None = None
    optional: bool = False
    begins: bool = False
    personal: bool = True

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns without which the table cannot be read."""
        concept = () if self.fixed else (self.columns["concept"],)
        person = "person_id" if self.personal else ""
        return tuple(name for name in (person, self.date, *concept) if name)


def _coded(name: str, kind: str, date: str, **more: str) -> Table:
    columns = {
        "id": f"{name}_id",
        "concept": f"{kind}_concept_id",
        "source_concept": f"{kind}_source_concept_id",
        "source_value": f"{kind}_source_value",
        **more,
    }
    return Table(
        name,
        name.removesuffix("_occurrence").removesuffix("_exposure"),
        f"{date}_date",
        columns,
        f"{date}_datetime",
    )


_VALUE = {"number": "value_as_number", "value_concept": "value_as_concept_id", "unit_concept": "unit_concept_id",
          "unit": "unit_source_value", "value_source": "value_source_value"}  # fmt: skip
#: In the order in which rows of one time are written: a visit comes before what was found in it.
TABLES: Final = (
    Table("observation_period", "observation period start", "observation_period_start_date",
          {"id": "observation_period_id"}, fixed="OBSERVATION_PERIOD//START", begins=True),
    _coded("visit_occurrence", "visit", "visit_start"),
    _coded("visit_detail", "visit_detail", "visit_detail_start"),
    _coded("condition_occurrence", "condition", "condition_start"),
    _coded("drug_exposure", "drug", "drug_exposure_start"),
    _coded("procedure_occurrence", "procedure", "procedure"),
    _coded("device_exposure", "device", "device_exposure_start"),
    _coded("measurement", "measurement", "measurement", **_VALUE, ref_low="range_low", ref_high="range_high",
           operator="operator_concept_id"),
    _coded("observation", "observation", "observation", **_VALUE, text="value_as_string"),
    Table("note", "note", "note_date", {"id": "note_id", "concept": "note_class_concept_id",
          "source_concept": "note_type_concept_id", "text": "note_text"}, "note_datetime"),
    Table("visit_detail", "visit_detail end", "visit_detail_end_date", {"id": "visit_detail_id"},
          "visit_detail_end_datetime", fixed="VISIT_DETAIL//END", optional=True),
    Table("visit_occurrence", "visit end", "visit_end_date", {"id": "visit_occurrence_id"},
          "visit_end_datetime", fixed="VISIT//END", optional=True),
    Table("death", "cause of death", "death_date", {"concept": "cause_concept_id",
          "source_concept": "cause_source_concept_id", "source_value": "cause_source_value"}, "death_datetime",
          optional=True),
    Table("death", "death", "death_date", {}, "death_datetime", fixed="MEDS_DEATH"),
    Table("observation_period", "observation period end", "observation_period_end_date",
          {"id": "observation_period_id"}, fixed="OBSERVATION_PERIOD//END"),
)  # fmt: skip
#: Read for who somebody is and where, not for events.
OTHERS: Final = ("person", "care_site", "location")
VOCABULARY: Final = ("concept", "concept_relationship")


def stage(file: Path, table: Table, *, looked_at: bool = False) -> pl.LazyFrame:
    """Bring a file of a table to the columns of `STAGED` and `bad`, the first column with a value of no such type.

    A row is refused as a whole: a visit whose end is no date has no beginning either, and the other way round.

    A text that the file has no column for, and `bad` where all values are of their type, are of polars' type Null.

    Args:
        file: The file.
        table: What it is.
        looked_at: See `table_files.scan`.

    Raises:
        InputError: If it lacks a column.
    """
    frame = scan(file, looked_at=looked_at)
    held = frame.collect_schema()
    need(file, held.names(), table.needed)
    day, day_bad = _read(held, table.date, pl.Datetime("us"))
    moment, moment_bad = _read(held, table.datetime, pl.Datetime("us"))
    midnight = moment.is_null() | (moment == moment.dt.truncate("1d"))
    kept = pl.coalesce(moment, day)
    made = {
        "row": pl.col("row").cast(pl.Int64),
        "time": pl.when(midnight & ~pl.lit(table.begins))
        .then(kept.dt.truncate("1d") + LAST_OF_DAY)
        .otherwise(kept),
        "dated": midnight & kept.is_not_null(),
    }
    wrong = {table.date: day_bad, table.datetime: moment_bad}
    for name, dtype in STAGED.items():
        if name not in made:
            column = "person_id" if name == "subject_id" else table.columns.get(name, "")
            made[name], bad = _read(held, column, dtype)
            wrong[column] = bad
    for column, dtype in _beside(table):
        if column not in wrong:
            wrong[column] = _read(held, column, dtype)[1]
    zero = [name for name in made if name.endswith("concept")]
    made |= {name: made[name].fill_null(0) for name in zero}
    possible: list[pl.Expr] = [
        pl.when(where).then(pl.lit(name)) for name, where in wrong.items() if where is not None
    ]
    bad = pl.coalesce(possible or [pl.lit(None)])
    rows = frame.select(*(made[name].alias(name) for name in STAGED), bad.alias("bad"))
    texts = [
        name for name, dtype in STAGED.items() if dtype == pl.String() and table.columns.get(name) in held
    ]
    return (
        rows.with_columns(
            pl.when(asked).then(name).alias(name) for name, asked in _ASKED.items() if name in texts
        )
        .with_columns(pl.col(texts).str.strip_chars())
        .with_columns(pl.when(pl.col(name) != "").then(name).alias(name) for name in texts)
    )


def _beside(table: Table) -> Iterator[tuple[str, pl.DataType]]:
    """Give the columns that other kinds of rows of the same table read, and as what."""
    for other in TABLES:
        if other.name == table.name and other is not table:
            yield from ((column, pl.Datetime("us")) for column in (other.date, other.datetime))
            yield from ((column, STAGED[name]) for name, column in other.columns.items())


def refuse_bad(staged: pl.LazyFrame, file: Path, refused: Refused, more: int = 0) -> int:
    """Count a file's rows and those with a value that is not of its column's type, which the caller leaves out.

    Args:
        staged: What `stage` gave.
        file: The file that it came from.
        refused: Where they are counted.
        more: How many rows the file has besides.

    Returns:
        How many rows are refused.

    Raises:
        InputError: If they are too many; it names the first.
    """
    with reading(file):
        refused.read(file, more + staged.select(pl.len()).collect(engine="streaming").item())
        found = (
            staged.filter(pl.col("bad").is_not_null())
            .group_by("bad")
            .agg(pl.len(), pl.col("row").bottom_k(_NAMED).sort())
            .collect(engine="streaming")
            .sort(pl.col("row").list.first())
        )
    for column, n, rows in found.iter_rows():
        what = "date or time without a zone" if column.endswith(("date", "datetime")) else "number"
        for place, row in enumerate(rows):
            refused.add(
                f"the value is no {what}",
                file,
                row,
                column,
                n=n - len(rows) + 1 if place == 0 else 1,
                remedy="Correct the row, or see whether its columns are shifted",
            )
    refused.check()
    return int(found["len"].sum())


def whole(column: str) -> pl.Expr:
    """Give a column of identifiers as whole numbers, null where it holds none.

    Args:
        column: Its name.
    """
    return _whole(pl.col(column).cast(pl.String))


def _whole(text: pl.Expr) -> pl.Expr:
    # Whoever exports with pandas writes whole numbers as 8840.0 where a column has gaps.
    return text.str.replace(r"\.0+$", "").cast(pl.Int64, strict=False)


_WHOLE = (pl.Int8(), pl.Int16(), pl.Int32(), pl.Int64(), pl.UInt8(), pl.UInt16(), pl.UInt32())
_SURE: Final[dict[pl.DataType, tuple[pl.DataType, ...]]] = {  # types of which every value can be read
    pl.Int64(): _WHOLE,
    pl.Float64(): (*_WHOLE, pl.Float32(), pl.Float64()),
    pl.Datetime("us"): (pl.Date(), pl.Datetime("us"), pl.Datetime("ms")),
}


def _read(held: pl.Schema, column: str, dtype: pl.DataType) -> tuple[pl.Expr, pl.Expr | None]:
    """Give a column in a type, and where it holds something that is not of that type; None where it cannot."""
    if column not in held:
        return pl.lit(None, dtype=None if dtype == pl.String() else dtype), None
    value = pl.col(column)
    if dtype == pl.String():
        return value.cast(dtype, strict=False), None
    if held[column] in _SURE[dtype]:
        return value.cast(dtype), None
    if held[column] == pl.String():
        value = value.str.strip_chars()
        value = pl.when(value != "").then(value)
        read = pl.coalesce(_spellings(value, dtype))
    elif (dtype == pl.Datetime("us") and not held[column].is_temporal()) or getattr(
        held[column], "time_zone", None
    ):
        read = pl.lit(None, dtype=dtype)
    elif dtype == pl.Int64() and held[column].is_float():
        read = pl.when(value == value.round()).then(value).cast(dtype, strict=False)
    else:
        read = value.cast(dtype, strict=False)
    return read, value.is_not_null() & read.is_null()


def _spellings(text: pl.Expr, dtype: pl.DataType) -> Iterator[pl.Expr]:
    if dtype == pl.Datetime("us"):
        yield from (text.str.to_datetime(f, time_unit="us", strict=False) for f in _FORMATS)
        yield from (text.str.to_date(f, strict=False).cast(dtype) for f in _DATES)
    elif dtype == pl.Int64():
        yield _whole(text)
    else:
        yield text.cast(dtype, strict=False)
