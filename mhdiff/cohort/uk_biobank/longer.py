"""From a wide table with a column for each field, instance and array index to one row a value.

    eid, 30000-0.0, 30000-1.0   ->   row, subject_id, field, instance, index, value

Values stay text until it is known which field they are of; what is empty is no row.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from mhdiff.cohort.account import Account
from mhdiff.cohort.table_files import reading, scan
from mhdiff.cohort.uk_biobank.columns import EID, MOST_COLUMNS, SUFFIXES, Column, header, wanted
from mhdiff.cohort.uk_biobank.fields import READ
from ontology.errors import InputError

SCHEMA = {
    "row": pl.Int64,
    "subject_id": pl.Int64,
    "field": pl.Int64,
    "instance": pl.Int64,
    "index": pl.Int64,
    "value": pl.String,
}


def find_tables(root: Path) -> dict[Path, list[Column]]:
    """Find the main datasets (one a basket) among the files of a folder, with the columns that are read.

    Args:
        root: The folder.

    Raises:
        InputError: If there is no such folder, or no table with a column eid and a field that is read.
    """
    if not root.is_dir():
        raise InputError("there is no such folder", path=root, remedy="Give the folder with the main dataset")
    found = {}
    for file in sorted(p for p in root.iterdir() if p.is_file() and p.name.lower().endswith(SUFFIXES)):
        if file.suffix == ".parquet":
            with reading(file):
                names = [name.lower() for name in pl.read_parquet_schema(file)]
        else:
            names = header(file)
        columns = wanted(names, READ)
        if columns and any(name in names for name in EID):
            found[file] = columns
    if not found:
        raise InputError(
            "the folder holds no main dataset: a CSV, TSV or Parquet file with a column eid and fields such as 31-0.0",
            path=root,
            remedy="Put there what ukbconv or the Research Analysis Platform exported",
        )
    return found


def stage(file: Path, table: str, columns: Sequence[Column], target: Path, account: Account) -> None:
    """Write the columns that are read as Parquet, as text, with `row` and `subject_id`; null where eid is no number.

    Args:
        file: A main dataset.
        table: Its name in accounts.
        columns: The columns.
        target: The Parquet file.
        account: Filled.
    """
    frame = scan(file, most=MOST_COLUMNS)
    held = frame.collect_schema().names()
    eid = next(name for name in EID if name in held)
    number = (
        pl.col(eid).cast(pl.String).str.strip_chars().str.replace(r"\.0+$", "").cast(pl.Int64, strict=False)
    )
    rows = frame.select(
        pl.col("row").cast(pl.Int64),
        number.alias("subject_id"),
        *(_text(column).alias(column.name) for column in columns),
    )
    with reading(file):
        rows.sink_parquet(target)
    keys = pl.read_parquet(target, columns=["row", "subject_id"])
    account.rows[table] += keys.height
    account.read["rows of main datasets"] += keys.height
    account.read["columns of fields that are not read"] += len(held) - len(columns) - 2  # eid, and `row`
    wrong = keys.filter(pl.col("subject_id").is_null())
    if wrong.height:
        account.refuse("the eid is missing or no number", table, wrong["row"][0], "eid", wrong.height)
    gone = keys.filter(pl.col("subject_id") < 0)
    if gone.height:
        account.dropped.add("participant: withdrawn (a negative eid)", gone["row"][0], n=gone.height)
    sound = keys.filter(pl.col("subject_id") >= 0)
    again = sound.filter(~sound["subject_id"].is_first_distinct())
    if again.height:
        account.refuse("the eid is there twice", table, again["row"][0], "eid", again.height)


def _text(column: Column) -> pl.Expr:
    text = pl.col(column.name).cast(pl.String).str.strip_chars()
    return pl.when(~text.is_in(["", "NA"])).then(text)


def values(staged: Path, columns: Sequence[Column], first: int, last: int) -> pl.DataFrame:
    """Give the values of the participants from one to another, in the columns of `SCHEMA`.

    Args:
        staged: What `stage` wrote.
        columns: The columns.
        first: The first eid.
        last: The last one.
    """
    wide = (
        pl.scan_parquet(staged)
        .filter(pl.col("subject_id").is_between(first, last))
        .collect(engine="streaming")
        .sort("row")
        .unique("subject_id", keep="first", maintain_order=True)
    )
    names = pl.DataFrame(
        [(c.name, c.field, c.instance, c.place) for c in columns],
        schema={"name": pl.String, "field": pl.Int64, "instance": pl.Int64, "index": pl.Int64},
        orient="row",
    )
    long = wide.unpivot(index=["row", "subject_id"], variable_name="name").drop_nulls("value")
    return (
        long.join(names, on="name", how="left")
        .select(list(SCHEMA))
        .sort("subject_id", "field", "instance", "index")
    )
