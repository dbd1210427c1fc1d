"""Rows of OMOP tables that are refused though their values are of their types: a key held twice, a time before birth.

A row is refused as a whole: a visit that begins before its person's birth has no end either. Of a key that two persons
hold the first row stays; so it does of a key that one person holds twice, and a row that says the same once more is
dropped. Keys are unique in all of a table, and its persons are in many shards: who shares one with another person is
found between the two steps of the import (`shared_keys`), all else in a shard (`Rows.unfit`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from mhdiff.cohort.omop_account import COUNTS
from mhdiff.cohort.omop_dealt import Deal, dealt
from mhdiff.cohort.omop_tables import TABLES, stage
from mhdiff.cohort.refused import Refused
from mhdiff.cohort.table_files import reading

KEY: Final = "the key is there twice"
EARLY: Final = "the time is before the birth"
_REMEDY: Final = {
    KEY: "Keep one row a key",
    EARLY: "Correct it, or the birth in PERSON",
}
_LINES: Final = 5
#: Keys are looked up in a table of as many bytes as their range is wide, if that is no more than these.
_WIDE: Final = 1 << 29
_AT_ONCE: Final = 1 << 23  # keys that are sorted at once
_PLACES: Final = {"deal": pl.Int64(), "row": pl.Int64()}


def shared_keys(deals: Sequence[Deal]) -> pl.DataFrame:
    """Find the rows whose key is that of an earlier row of another person.

    Args:
        deals: Every file, dealt.

    Returns:
        The file's number (`deal`) and `row`, of the first kind of row of each table, sorted.
    """
    found = [pl.DataFrame(schema=_PLACES)]
    for table in dict.fromkeys(one.name for one in TABLES):
        own = [one for one in deals if one.rank == ranks_of(table)[0]]
        if own and "id" in TABLES[own[0].rank].columns and not _unique(own):
            found += _shared(own)
    return pl.concat(found).sort("deal", "row")


def ranks_of(table: str) -> list[int]:
    """Give the places in `TABLES` of the kinds of rows of a table.

    Args:
        table: Its name.
    """
    return [rank for rank, one in enumerate(TABLES) if one.name == table]


def _unique(deals: Sequence[Deal]) -> bool:
    """Whether no key is there twice, where that can be seen at once: keys that are numbered through are marked."""
    seen, least, count = np.zeros(0, np.bool_), 0, 0
    for keys in (keys for one in deals for keys in _keys(one) if len(keys)):
        low, high = int(keys.min()), int(keys.max())
        least = least if len(seen) else low
        before, after = max(0, least - low), max(0, high - least + 1 - len(seen))
        room = _WIDE - before - len(seen) - after
        if room < 0:
            return False
        if before or after:
            after += min(room, len(seen))  # so that it seldom grows
            seen = np.pad(seen, (before, after))
            least -= before
        seen[keys - least] = True
        count += len(keys)
    return int(np.count_nonzero(seen)) == count


def _keys(one: Deal) -> Iterator[np.ndarray[Any, np.dtype[np.int64]]]:
    """Give the keys of a file, piece by piece."""
    frames = (dealt([file]) for file in one.files())
    if one.file.suffix.lower() == ".parquet":  # its columns stand apart: less to read than of what was dealt
        rows = stage(one.file, TABLES[one.rank])
        count = int(rows.select(pl.len()).collect().item())
        frames = (rows.slice(start, _AT_ONCE) for start in range(0, count, _AT_ONCE))
    with reading(one.file):
        for frame in frames:
            for keys in frame.select("id").collect()["id"].get_chunks():  # small ones stay near the processor
                yield keys.drop_nulls().to_numpy()


def _shared(deals: Sequence[Deal]) -> list[pl.DataFrame]:
    """Compare the keys of persons' rows, some million at a time."""
    frames = [
        dealt(one.files(persons=True))
        .select("id", "subject_id", "row", deal=pl.lit(one.number, pl.Int64))
        .drop_nulls("id")
        for one in deals
    ]
    rows = pl.concat(frames)
    parts = max(1, -(-int(rows.select(pl.len()).collect(engine="streaming").item()) // _AT_ONCE))
    found = []
    for part in range(parts):
        own = rows.filter(pl.col("id").hash(0) % parts == part).collect(engine="streaming")
        twice = own.filter(own["id"].is_duplicated()).sort("deal", "row")
        other = pl.col("subject_id") != pl.col("subject_id").first().over("id")
        found.append(twice.filter(other).select(list(_PLACES)))
    return found


@dataclass(frozen=True)
class Rows:
    """The rows of a table in a shard.

    Attributes:
        ranks: The kinds of rows of the table, by their places in `TABLES`.
        staged: The rows in the shape of `omop_tables.STAGED`, for each of the kinds; all in the same order.
        files: The files that they were read from, in their order, and the number of the deal that each belongs to.
    """

    ranks: Sequence[int]
    staged: Sequence[pl.DataFrame]
    files: Sequence[tuple[int, Path]]

    def unfit(
        self, people: pl.DataFrame, shared: pl.DataFrame
    ) -> tuple[pl.Series | None, list[pl.DataFrame]]:
        """Say which rows are left out, and count them.

        Args:
            people: subject_id and born of the shard's persons.
            shared: What `shared_keys` found.

        Returns:
            Where a row is left out, None if nowhere; and columns of `omop_account.COUNTS`.
        """
        table = TABLES[self.ranks[0]]
        out = self._shared(shared)
        again, same = self._again(out)
        out = out | again
        early = self._early(people) & ~out
        counts = [
            self._counted("dropped", f"{table.what}: the same row twice", same),
            self._counted("refused", KEY, again & ~same),
            self._counted("refused", EARLY, early),
        ]
        out = out | early
        return (out if out.any() else None), counts

    def _shared(self, shared: pl.DataFrame) -> pl.Series:
        taken = shared.filter(pl.col("deal").is_in([deal for deal, _ in self.files]))
        if taken.is_empty():
            return pl.repeat(False, self.staged[0].height, eager=True)
        every = self._deals(pl.int_range(self.staged[0].height, eager=True))
        places = self.staged[0].select("row", deal=every)
        held = places.join(
            taken.with_columns(out=True), on=["deal", "row"], how="left", maintain_order="left"
        )
        return held["out"].fill_null(False)

    def _again(self, out: pl.Series) -> tuple[pl.Series, pl.Series]:
        """Where a person's key is there again, and where all of the row is."""
        keys = self.staged[0]["id"]
        held = keys.drop_nulls()
        if held.n_unique() == held.len():
            none = pl.repeat(False, len(out), eager=True)
            return none, none
        twice = (keys.is_duplicated() & keys.is_not_null() & ~out).arg_true()
        kinds = [
            frame[twice].drop("row").select(pl.all().name.suffix(f" {kind}"))
            for kind, frame in enumerate(self.staged)
        ]
        rows = pl.concat(kinds, how="horizontal")
        again = ~rows.select(pl.struct("id 0", "subject_id 0").is_first_distinct()).to_series()
        same = ~rows.select(pl.struct(pl.all()).is_first_distinct()).to_series()
        return _marked(twice.filter(again), len(out)), _marked(twice.filter(same), len(out))

    def _early(self, people: pl.DataFrame) -> pl.Series:
        """Where any of the row's times is before the birth."""
        last = people["born"].max()
        found = np.zeros(self.staged[0].height, np.bool_)
        ids, days = people.select("subject_id", "born").drop_nulls().get_columns()
        for frame in self.staged if last is not None else ():
            # few are, and only their persons are looked up
            some = (frame["time"] < last).fill_null(False).arg_true()
            if len(some):
                birth = (
                    frame["subject_id"]
                    .gather(some)
                    .replace_strict(ids, days, default=None, return_dtype=days.dtype)
                )
                found[some.filter((frame["time"].gather(some) < birth).fill_null(False)).to_numpy()] = True
        return pl.Series(found)

    def _counted(self, kind: str, what: str, where: pl.Series) -> pl.DataFrame:
        """Count rows; those that are refused by the number of their deal, which says the file."""
        places = where.arg_true()
        if not len(places):
            return pl.DataFrame(schema=COUNTS)
        item = (
            self._deals(places)
            if kind == "refused"
            else pl.repeat(None, len(places), dtype=pl.Int64, eager=True)
        )
        return (
            pl.DataFrame({"row": self.staged[0]["row"].gather(places), "item": item})
            .group_by("item")
            .agg(n=pl.len(), lines=pl.col("row").bottom_k(_LINES).sort())
            .select(
                pl.lit(kind).alias("kind"), pl.lit(what).alias("what"), pl.col("item").cast(pl.String),
                pl.col("n").cast(pl.Int64), "lines",
            )
        )  # fmt: skip

    def _deals(self, places: pl.Series) -> pl.Series:
        """Give the deals of some rows."""
        heights = pl.collect_all([dealt([file]).select(pl.len()) for _, file in self.files])
        ends = np.cumsum([frame.item() for frame in heights])
        deals = np.array([deal for deal, _ in self.files], dtype=np.int64)
        return pl.Series(deals[np.searchsorted(ends, places.to_numpy(), side="right")])


def _marked(places: pl.Series, n: int) -> pl.Series:
    """Give n truth values, true at some places."""
    found = np.zeros(n, np.bool_)
    found[places.to_numpy()] = True
    return pl.Series(found)


def refuse(counts: pl.DataFrame, shared: pl.DataFrame, deals: Sequence[Deal], refused: Refused) -> None:
    """Refuse the rows that were found, in the order of the files.

    Args:
        counts: Columns of `omop_account.COUNTS`, of all shards.
        shared: What `shared_keys` found.
        deals: Every file.
        refused: Filled.

    Raises:
        InputError: If more are refused than it bears.
    """
    every = [counts.filter(kind="refused").select("what", pl.col("item").cast(pl.Int64), "n", "lines")]
    if not shared.is_empty():
        of = shared.group_by(item="deal").agg(
            n=pl.len().cast(pl.Int64), lines=pl.col("row").bottom_k(_LINES).sort()
        )
        every.append(of.select(pl.lit(KEY).alias("what"), "item", "n", "lines"))
    lines = pl.col("lines").list.explode(empty_as_null=False, keep_nulls=False).bottom_k(_LINES).sort()
    found = pl.concat(every).group_by("item", "what").agg(pl.col("n").sum(), lines).sort("item", "what")
    by_number = {one.number: one for one in deals}
    for number, what, n, first in found.iter_rows():
        one = by_number[number]
        table = TABLES[one.rank]
        column = table.columns["id"] if what == KEY else table.date
        for place, row in enumerate(first):
            more = n - len(first) if place == 0 else 0
            refused.add(what, one.file, row, column, n=1 + more, remedy=_REMEDY[what])
    refused.check()
