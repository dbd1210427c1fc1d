"""What adapters ask of the events of a shard, and of all shards of a cohort at once, in one streaming pass each."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import polars as pl

from mhdiff.cohort import meds
from mhdiff.cohort.account import Account
from mhdiff.cohort.import_report import told_kinds


def from_birth(events: pl.DataFrame, born: pl.DataFrame, table: str, account: Account) -> pl.DataFrame:
    """Give the events that are not before their subject's birth; the others are refused.

    Args:
        events: subject_id, time and more.
        born: subject_id and born; whose birth is not known has no event before it.
        table: Where the events come from, for the account.
        account: Filled.
    """
    early = (pl.col("time") < pl.col("born")).fill_null(False)
    rows = events.join(born, on="subject_id", how="left", maintain_order="left")
    if n := rows.filter(early).height:
        account.refuse("the event is before the birth", table, n=n)
    return rows.filter(~early).drop("born")


def used_codes(folder: Path) -> list[str]:
    """Give every code of a cohort's events, sorted.

    Args:
        folder: The cohort's folder.
    """
    rows = meds.scan_shards(folder, "code").select(pl.col("code").unique())
    return rows.collect(engine="streaming")["code"].sort().to_list()


def kinds_of_events(folder: Path, *, ours: bool = True) -> dict[str, int]:
    """Count the events by what stands before the first slash of their codes.

    Args:
        folder: The cohort's folder.
        ours: Whether an adapter of ours made the codes; others may be any words, and are told by `told_kinds`.
    """
    kinds: Counter[str] = Counter()
    rows = meds.scan_shards(folder, "code").group_by("code").len()
    for code, n in rows.collect(engine="streaming").iter_rows():
        kinds[code.split("/")[0]] += n
    told = sorted(kinds.items()) if ours else told_kinds(kinds).items()
    return {f"{kind} events": n for kind, n in told}
