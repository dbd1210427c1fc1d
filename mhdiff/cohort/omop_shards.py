"""The second step of an OMOP import, after `omop_dealt`: the rows of a shard made events, sorted and written.

    .work/{people,concepts,ranges,images,shared}.parquet        what every shard needs
    .work/dealt/<file>/shard=<n>/*.parquet                      rows in the shape of `STAGED`, in the file's order
    .work/told/<shard>/{counts,codes,pairs}.parquet             what became of its rows, its codes, who is one person
    .work/told/<shard>/{used,subjects}.parquet                  the codes, with how often, and the persons of its events

A file is read once and dealt in one streaming pass; a shard is read once, sorted and written, and nothing of another
shard is opened for it. Steps share files only, so they may run in any order and on any machine that sees the folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from mhdiff.cohort import meds
from mhdiff.cohort.omop_account import COUNTS, account, counted
from mhdiff.cohort.omop_dealt import Deal, dealt, unfinished
from mhdiff.cohort.omop_events import events
from mhdiff.cohort.omop_people import same_person, static_events
from mhdiff.cohort.omop_refused import Rows, ranks_of
from mhdiff.cohort.omop_tables import STAGED, TABLES
from mhdiff.cohort.reference_ranges import fill_ranges

#: Columns by which a code is described.
DESCRIBED: Final = ("code", "base", "unit", "source_code")
_ROWS, _IDS = 1 << 22, 1 << 40  # rows of a shard and ids that fit into one number
_PAIRS: Final = {"one": pl.Int64(), "other": pl.Int64()}
_SEEN: Final[dict[str, dict[str, pl.DataType]]] = {
    "used": {"code": pl.String(), "n": pl.UInt32()},
    "subjects": {"subject_id": pl.Int64()},
}
_EVENT: Final = (*meds.EVENTS, *meds.EVENTS_OPTIONAL)
_KEPT: Final = ("subject_id", "time", *DESCRIBED, "numeric_value", "text_value", "ref_low", "ref_high")


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
    shared = pl.read_parquet(work / "shared.parquet")
    for ranks in map(ranks_of, dict.fromkeys(table.name for table in TABLES)):
        files = [
            [(d.number, f) for d in task.deals if d.rank == rank for f in d.files(task.shard)]
            for rank in ranks
        ]
        # In chunks, since small ones stay near the processor.
        staged = [dealt([f for _, f in own]).select(*STAGED).collect() for own in files]
        if staged[0].is_empty():
            continue
        out, found = (None, []) if people.is_empty() else Rows(ranks, staged, files[0]).unfit(people, shared)
        told += found
        for rank, own in zip(ranks, staged, strict=True):
            table = TABLES[rank]
            made = events(own, table, concepts, people, out)
            kept = (
                made.filter(pl.col("reason").is_null()) if made["reason"].null_count() < made.height else made
            )
            told.append(account(made, kept, own, table))
            if not kept["id"].is_sorted():  # a database has no order of rows; none must be seen in the cohort
                kept = kept.sort("id", maintain_order=True)
            (fixed if table.fixed else coded).append((rank, kept.select(_KEPT)))
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
    with unfinished(task.told) as folder:
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
    seen = {"used": codes.select("code", n="len"), "subjects": every.select(pl.col("subject_id").unique())}
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
