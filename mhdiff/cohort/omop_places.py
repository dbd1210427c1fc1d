"""Which shard a person of a registry goes to.

Persons of one day of birth and sex meet in one shard, where `omop_people.same_person` looks whether two ids are one
person. Whose day of birth is not known is compared with nobody and may be anywhere: such persons are dealt in turn, in
the order of their ids. By their year alone they would fall into a hundred places, and without it into three.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

from mhdiff.cohort.omop_dealt import Deal
from mhdiff.cohort.omop_tables import TABLES, stage
from mhdiff.cohort.table_files import reading, scan

_DIED: Final = {"subject_id": pl.Int64(), "died": pl.Datetime("us")}


def placed(people: pl.DataFrame, deals: Sequence[Deal], rows_a_shard: int) -> pl.DataFrame:
    """Give the persons their shard, and when they died.

    Args:
        people: `omop_people.People.table`, in the order of subject_id.
        deals: Every file, of which the rows are counted.
        rows_a_shard: How many rows a shard has, about.

    Returns:
        The persons with `died` and `shard`, in their order.

    Raises:
        InputError: If a file cannot be read.
    """
    total, died = 0, [pl.DataFrame(schema=_DIED)]
    for one in deals:
        with reading(one.file):
            total += scan(one.file).select(pl.len()).collect(engine="streaming").item()
            if TABLES[one.rank].fixed == "MEDS_DEATH":
                rows = stage(one.file, TABLES[one.rank]).filter(pl.col("bad").is_null())
                died.append(rows.select("subject_id", died="time").drop_nulls().collect(engine="streaming"))
    deaths = pl.concat(died).join(people.select("subject_id", "born"), on="subject_id", how="inner")
    later = deaths.filter((pl.col("died") >= pl.col("born")).fill_null(True))  # an earlier one is refused
    first = later.group_by("subject_id").agg(pl.col("died").min())
    held = people.join(first, on="subject_id", how="left", maintain_order="left")
    return held.with_columns(shard=(_place() % max(1, -(-total // rows_a_shard))).cast(pl.Int64))


def _place() -> pl.Expr:
    """Give a number that decides on a person's shard."""
    day = pl.col("born").dt.timestamp("ms") // 86_400_000
    sex = pl.when(pl.col("gender") == "F").then(1).when(pl.col("gender") == "M").then(2).otherwise(0)
    known = pl.col("exact") & pl.col("born").is_not_null()
    return pl.when(known).then(3 * day + sex).otherwise((~known).cum_sum().cast(pl.Int64))
