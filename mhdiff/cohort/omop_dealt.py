"""The first step of an OMOP import: a file's rows dealt to shards of whole persons, in one streaming pass.

.work/dealt/<file>/shard=<n>/*.parquet      rows in the shape of `STAGED`, in the file's order
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
import polars.selectors as cs

from mhdiff.cohort.omop_tables import STAGED, TABLES, stage
from mhdiff.cohort.table_files import reading

NOBODY, BAD = -1, -2  # shards of rows of nobody in PERSON, and of rows with a value of the wrong type
#: Up to how many numbers a person ids are looked up by a table of all numbers.
_SPARSE: Final = 16


@dataclass(frozen=True)
class Deal:
    """A file that is to be dealt.

    Attributes:
        number: Its place among all files.
        rank: Its table's place in `TABLES`.
        file: The file.
        work: The folder `.work`.
    """

    number: int
    rank: int
    file: Path
    work: Path

    @property
    def folder(self) -> Path:
        """Where its rows are dealt to."""
        return self.work / "dealt" / f"{self.number:05d}"

    def files(self, shard: int | None = None, *, persons: bool = False) -> list[Path]:
        """Give the files of its rows, in the file's order.

        Args:
            shard: Which shard's; None for all of persons and of nobody, in no order.
            persons: Whether rows of nobody are left out of all.
        """
        files = sorted(self.folder.glob("shard=*/*.parquet" if shard is None else f"shard={shard}/*.parquet"))
        out = {f"shard={other}" for other in (BAD, NOBODY)[: 1 + persons] if other != shard}
        return [file for file in files if file.parent.name not in out]

    def rows(self, shard: int | None = None) -> pl.LazyFrame:
        """Give its rows.

        Args:
            shard: See `files`.
        """
        return dealt(self.files(shard))


def dealt(files: list[Path]) -> pl.LazyFrame:
    """Read files that were dealt, one after the other; a column that their table has not was not dealt.

    Args:
        files: The files.
    """
    schema = STAGED | {"bad": pl.String()}
    if not files:
        return pl.LazyFrame(schema=schema)
    return pl.scan_parquet(files, schema=schema, missing_columns="insert", hive_partitioning=False)


def deal(task: Deal) -> None:
    """Write a file's rows by shard, where that is not done yet.

    Args:
        task: The file.

    Raises:
        InputError: If it cannot be read or lacks a column.
    """
    if task.folder.is_dir():
        return
    table = TABLES[task.rank]
    people = pl.read_parquet(task.work / "people.parquet", columns=["subject_id", "shard"])
    rows = _placed(stage(task.file, table, looked_at=True), people).with_columns(
        shard=pl.when(pl.col("bad").is_not_null()).then(BAD).otherwise(pl.col("shard").fill_null(NOBODY))
    )
    rows = rows.drop(cs.by_dtype(pl.Null))  # each column is moved a second time, whatever it holds
    with unfinished(task.folder) as folder:
        by_shard = pl.PartitionBy(folder, key="shard", include_key=False)
        with reading(task.file):
            rows.sink_parquet(by_shard, compression="uncompressed", statistics=False, mkdir=True)


def _placed(rows: pl.LazyFrame, people: pl.DataFrame) -> pl.LazyFrame:
    """Give rows the shard of their person, null for nobody's.

    Ids that are numbered through are looked up by their number: with a million persons a join takes as long again as
    reading the rows.
    """
    ids = people["subject_id"].to_numpy()
    least, width = (int(ids.min()), int(ids.max()) - int(ids.min()) + 1) if len(ids) else (0, 1)
    if width > _SPARSE * len(ids):
        return rows.join(people.lazy(), on="subject_id", how="left", maintain_order="left")
    numbered = pl.DataFrame({"place": pl.int_range(width, eager=True)})
    # Half as wide, the table of a million persons stays near the processor.
    placed = people.select(place=pl.col("subject_id") - least, shard=pl.col("shard").cast(pl.Int32))
    shards = numbered.join(placed, on="place", how="left", maintain_order="left")["shard"]
    place = pl.when(pl.col("subject_id").is_between(least, least + width - 1)).then(
        pl.col("subject_id") - least
    )
    return rows.with_columns(
        shard=place.map_batches(shards.gather, return_dtype=pl.Int32(), is_elementwise=True)
    )


@contextmanager
def unfinished(target: Path) -> Iterator[Path]:
    """Give a folder that is moved to its place at the end of the block, so that what is there is whole.

    Args:
        target: Its place.
    """
    folder = target.with_name(f"{target.name}.unfinished")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    yield folder
    folder.rename(target)
