"""What is asked of all shards of a cohort at once, in one streaming pass each."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import polars as pl


def used_codes(folder: Path) -> list[str]:
    """Give every code of a cohort's events, sorted.

    Args:
        folder: The cohort's folder.
    """
    rows = pl.scan_parquet(folder / "data" / "*.parquet").select(pl.col("code").unique())
    return rows.collect(engine="streaming")["code"].sort().to_list()


def kinds_of_events(folder: Path) -> dict[str, int]:
    """Count the events by what stands before the first slash of their codes.

    Args:
        folder: The cohort's folder.
    """
    kinds: Counter[str] = Counter()
    rows = pl.scan_parquet(folder / "data" / "*.parquet").group_by("code").len()
    for code, n in rows.collect(engine="streaming").iter_rows():
        kinds[code.split("/")[0]] += n
    return {f"{kind} events": n for kind, n in sorted(kinds.items())}
