"""The two steps of an OMOP import that run apart: a file's rows dealt to shards of whole persons, and a shard written.

    .work/{people,concepts,ranges,images}.parquet               what every shard needs
    .work/dealt/<file>/shard=<n>/*.parquet                      rows in the shape of `STAGED`, in the file's order
    .work/told/<shard>/{counts,codes,pairs}.parquet             what became of its rows, its codes, who is one person
    .work/told/<shard>/{used,subjects}.parquet                  the codes and the persons of its events

A file is read once and dealt in one streaming pass; a shard is read once, sorted and written, and nothing of another
shard is opened for it. Steps share files only, so they may run in any order and on any machine that sees the folder.
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

from mhdiff.cohort import meds
from mhdiff.cohort.omop_account import COUNTS, account, counted
from mhdiff.cohort.omop_events import events
from mhdiff.cohort.omop_people import same_person, static_events
from mhdiff.cohort.omop_tables import STAGED, TABLES, stage
from mhdiff.cohort.reference_ranges import fill_ranges
from mhdiff.cohort.table_files import reading

NOBODY, BAD = -1, -2  # shards of rows of nobody in PERSON, and of rows with a value of the wrong type
#: Columns by which a code is described.
DESCRIBED: Final = ("code", "base", "unit", "source_code")
#: Up to how many numbers a person ids are looked up by a table of all numbers.
_SPARSE: Final = 16
_ROWS, _IDS = 1 << 22, 1 << 40  # rows of a shard and ids that fit into one number
_PAIRS: Final = {"one": pl.Int64(), "other": pl.Int64()}
_SEEN: Final[dict[str, dict[str, pl.DataType]]] = {
    "used": {"code": pl.String()},
    "subjects": {"subject_id": pl.Int64()},
}
_EVENT: Final = (*meds.EVENTS, *meds.EVENTS_OPTIONAL)
_KEPT: Final = ("subject_id", "time", *DESCRIBED, "numeric_value", "text_value", "ref_low", "ref_high")


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

    def files(self, shard: int | None = None) -> list[Path]:
        """Give the files of its rows, in the file's order.

        Args:
            shard: Which shard's; None for all of persons and of nobody, in no order.
        """
        files = sorted(self.folder.glob("shard=*/*.parquet" if shard is None else f"shard={shard}/*.parquet"))
        return [file for file in files if shard == BAD or file.parent.name != f"shard={BAD}"]

    def rows(self, shard: int | None = None) -> pl.LazyFrame:
        """Give its rows.

        Args:
            shard: See `files`.
        """
        return _rows(self.files(shard))


def _rows(files: list[Path]) -> pl.LazyFrame:
    """Read files that were dealt, one after the other; a column that their table has not was not dealt."""
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
    with _unfinished(task.folder) as folder:
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
def _unfinished(target: Path) -> Iterator[Path]:
    """Give a folder that is moved to its place at the end of the block, so that what is there is whole."""
    folder = target.with_name(f"{target.name}.unfinished")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    yield folder
    folder.rename(target)


@dataclass(frozen=True)
class Make:
    """A shard that is to be written.

    Attributes:
        shard: Its number, or `NOBODY`: then only its rows are accounted for.
        folder: Folder of the cohort.
        deals: Every file.
    """

    shard: int
    folder: Path
    deals: tuple[Deal, ...]

    @property
    def told(self) -> Path:
        """Where it says what became of its rows."""
        return self.folder / ".work" / "told" / str(self.shard)


def make(task: Make) -> None:
    """Write a shard, where that is not done yet: the events of its persons, sorted, and what became of their rows.

    Args:
        task: The shard.
    """
    if task.told.is_dir():
        return
    work = task.folder / ".work"
    people = pl.scan_parquet(work / "people.parquet").filter(pl.col("shard") == task.shard).collect()
    concepts = pl.read_parquet(work / "concepts.parquet")
    told: list[pl.DataFrame] = []
    coded: list[tuple[int, pl.DataFrame]] = []  # by the table's place
    fixed: list[tuple[int, pl.DataFrame]] = []
    for rank, table in enumerate(TABLES):
        files = [file for one in task.deals if one.rank == rank for file in one.files(task.shard)]
        staged = _rows(files).select(*STAGED).collect()  # in chunks, since small ones stay near the processor
        if staged.is_empty():
            continue
        made = events(staged, table, concepts, people)
        kept = made.filter(pl.col("reason").is_null()) if made["reason"].null_count() < made.height else made
        told.append(account(made, kept, staged, table))
        rows, again = _once(kept, table.what)
        if not rows["id"].is_sorted():  # a database has no order of rows; none must be seen in the cohort
            rows = rows.sort("id", maintain_order=True)
        told.append(again)
        (fixed if table.fixed else coded).append((rank, rows.select(_KEPT)))
    codes, pairs = pl.DataFrame(schema=dict.fromkeys(DESCRIBED, pl.String())), pl.DataFrame(schema=_PAIRS)
    seen = {name: pl.DataFrame(schema=schema) for name, schema in _SEEN.items()}
    if not people.is_empty():
        if coded:
            pairs = same_person(pl.concat([rows for _, rows in coded]), people)
        rows = pl.concat(
            [codes, *(rows for _, rows in sorted((*coded, *fixed), key=lambda one: one[0]))], how="diagonal"
        )
        ranges = work / "ranges.parquet"
        if ranges.is_file() and not rows.is_empty():
            born = people.select("subject_id", "born", "gender")
            rows = rows.join(born, on="subject_id", how="left", maintain_order="left")
            rows = fill_ranges(rows, pl.read_parquet(ranges))
        mark = (
            pl.col("code").hash()
            ^ pl.col("base").hash(1)
            ^ pl.col("unit").hash(2)
            ^ pl.col("source_code").hash(3)
        )
        codes = rows.select(DESCRIBED).filter(
            mark.is_first_distinct()
        )  # a tenth of the time of comparing the texts
        images = pl.scan_parquet(work / "images.parquet").filter(
            pl.col("subject_id").is_in(people["subject_id"].implode())
        )
        rows = pl.concat([rows, images.collect()], how="diagonal_relaxed")
        counts, seen = _write(task, rows, static_events(people, concepts))
        told.append(counts)
    with _unfinished(task.told) as folder:
        pl.concat([pl.DataFrame(schema=COUNTS), *told]).write_parquet(folder / "counts.parquet")
        codes.write_parquet(folder / "codes.parquet")
        pairs.write_parquet(folder / "pairs.parquet")
        for name, frame in seen.items():
            frame.write_parquet(folder / f"{name}.parquet")


def _write(
    task: Make, rows: pl.DataFrame, static: pl.DataFrame
) -> tuple[pl.DataFrame, dict[str, pl.DataFrame]]:
    """Sort the events and write them; rows of one person and time keep the order of the tables.

    Returns:
        What was written, counted, and the frames of `_SEEN`.
    """
    some = [name for name in _EVENT if name in rows.columns and rows[name].null_count() < rows.height]
    held = [name for name in _EVENT if name in static.columns or name in some]
    every = pl.concat([static, rows.select(some)], how="diagonal", rechunk=True).select(held)
    codes = every.group_by("code").len()  # before they are sorted: texts out of order take five times as long
    # Columns of nothing come back here: they have not been moved.
    every = meds.conform(every[_order(every)], meds.EVENTS | meds.EVENTS_OPTIONAL)
    meds.write_shard(task.folder, task.shard, every, in_order=True)
    number = every["numeric_value"].is_not_null()
    ranged = int(((every["ref_low"].is_not_null() | every["ref_high"].is_not_null()) & number).sum())
    kinds = codes.group_by(pl.col("code").str.extract(r"^([^/]+)")).agg(pl.col("len").sum())
    written = {f"{kind} events": int(n) for kind, n in kinds.iter_rows()}
    read = {"values with a reference range": ranged, "values without one": int(number.sum()) - ranged}
    seen = {"used": codes.select("code"), "subjects": every.select(pl.col("subject_id").unique())}
    return pl.concat([counted("written", written), counted("read", read)]), seen


def _order(events: pl.DataFrame) -> pl.Series:
    """Give the places of the events by subject and time, no time first; rows of one subject and time as they are."""
    by_time = events.select("subject_id", "time", place=pl.int_range(pl.len(), dtype=pl.UInt32)).sort(
        "time", nulls_last=False, maintain_order=True
    )
    if events.height > _ROWS or int(events["subject_id"].abs().max() or 0) > _IDS:  # type: ignore[arg-type]
        return by_time.sort("subject_id", maintain_order=True)["place"]
    # One number for subject and place: it sorts in half the time that a stable sort takes.
    key = (pl.col("subject_id") * _ROWS + pl.int_range(pl.len())).sort() & (_ROWS - 1)
    return by_time["place"].gather(by_time.select(key).to_series())


def _once(rows: pl.DataFrame, what: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Drop rows whose key a row of the same person and table has already; count them."""
    keys = rows["id"].drop_nulls()
    if keys.n_unique() == keys.len():
        return rows, pl.DataFrame(schema=COUNTS)
    again = (
        rows["id"].is_not_null() & ~rows.select(pl.struct("id", "subject_id").is_first_distinct()).to_series()
    )
    lines = rows.filter(again)["row"].bottom_k(5).sort().to_list()
    entry = ("dropped", f"{what}: its id is there twice", None, int(again.sum()), lines)
    found = pl.DataFrame([entry] if lines else [], schema=COUNTS, orient="row")
    return rows.filter(~again), found
