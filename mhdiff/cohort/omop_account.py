"""What became of the rows of OMOP tables: counted table by table and shard by shard, added up for the report.

A count is a row of `COUNTS`, so that shards can be made in any order and in any process: their sum, the first lines
and the most frequent items are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import polars as pl

from mhdiff.cohort.import_report import ImportReport, presentable
from mhdiff.cohort.omop_events import LEFT_OUT
from mhdiff.cohort.omop_tables import TABLES, Table

_LISTED, _LINES = 20, 5
_BY_SOURCE_VALUE = "by source value"
_WORDS, _NONE = "(words, not shown)", "(no source value)"
_CODE_LIKE = r"^[A-Za-z0-9][A-Za-z0-9._:+/-]{0,19}$"  # a code and no words: free text is never repeated
_UNCODED = "no concept: concept_id and source concept_id are 0 or empty"
#: kind is read, dropped, changed, written, named (then `item` is what is named) or refused (`item` is the number of the
#: deal); lines are the first few.
COUNTS: Final[dict[str, pl.DataType]] = {
    "kind": pl.String(),
    "what": pl.String(),
    "item": pl.String(),
    "n": pl.Int64(),
    "lines": pl.List(pl.Int64()),
}
_CHANGED: Final = {
    "dated": "no time of day, put at the end of the day",
    "limit": "operator < or >: the limit is kept as the value",
    "posthumous": "after the person's death, kept",
    "negated": "answered no or unknown: code OBSERVATION//NOT_AFFIRMED//...",
    "odd": "the value is no finite number, left empty",
    "mapped": "no standard concept, the source concept is its code",
}


def counted(kind: str, counts: Mapping[str, int]) -> pl.DataFrame:
    """Give counts without lines, those that are not 0.

    Args:
        kind: See `COUNTS`.
        counts: What was counted -> how many.
    """
    rows = [(kind, what, None, n, None) for what, n in counts.items() if n]
    return pl.DataFrame(rows, schema=COUNTS, orient="row")


def account(made: pl.DataFrame, kept: pl.DataFrame, staged: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Count what was read, dropped and changed, and name concepts that nobody knows.

    Args:
        made: What `omop_events.events` gave.
        kept: Those of them without a reason.
        staged: What it was made of.
        table: What it is.

    Returns:
        Columns of `COUNTS`.
    """
    found = []
    if not table.fixed or table.name == "observation_period":
        found.append(counted("read", {f"{table.what} rows": staged.height}))
    silent = (LEFT_OUT, *(("no date", _UNCODED) if table.optional else ()))
    dropped = made.select("row", "reason").filter(pl.col("reason").is_not_null())
    dropped = dropped.filter(~pl.col("reason").is_in(list(silent)))
    found.append(
        dropped.group_by("reason")
        .agg(n=pl.len(), lines=pl.col("row").bottom_k(_LINES).sort())
        .select(what=pl.concat_str(pl.lit(f"{table.what}: "), "reason"), n=pl.col("n").cast(pl.Int64), lines="lines")
        .select(pl.lit("dropped").alias("kind"), "what", pl.lit(None, pl.String).alias("item"), "n", "lines")
    )  # fmt: skip
    coded = not table.fixed and not table.optional and table.name != "note"
    bare = staged["concept"] == 0
    mapped = bare & (staged["source_concept"] != 0)
    changed = {
        "dated": kept["dated"].sum() if table.name != "observation_period" else 0,
        "limit": kept["limit"].sum(),
        "posthumous": kept["posthumous"].sum(),
        "negated": _negated(kept) if table.name == "observation" else 0,
        "odd": (staged["number"].is_not_null() & ~staged["number"].is_finite()).sum(),
        "mapped": mapped.sum() if coded else 0,
    }
    found.append(
        counted("changed", {f"{table.what}: {_CHANGED[name]}": int(n or 0) for name, n in changed.items()})
    )
    if coded:
        found += _unknown(kept, staged.select("source_value").filter(bare & ~mapped), table)
    return pl.concat(found)


def _negated(rows: pl.DataFrame) -> int:
    return int(rows["code"].str.starts_with("OBSERVATION//NOT_AFFIRMED//").sum() or 0)


def _unknown(kept: pl.DataFrame, without: pl.DataFrame, table: Table) -> list[pl.DataFrame]:
    """Name the source values of rows without a concept, where they look like codes, and concepts not in CONCEPT."""
    source = without.select(
        item=pl.when(pl.col("source_value").str.contains(_CODE_LIKE))
        .then("source_value")
        .when(pl.col("source_value").is_not_null())
        .then(pl.lit(_WORDS))
        .otherwise(pl.lit(_NONE))
    )
    missing = kept.select(item="base").filter(pl.col("item").str.starts_with("OMOP/"))
    titles = (
        f"{table.what}s without a concept, {_BY_SOURCE_VALUE}",
        f"{table.what}s whose concept is not in CONCEPT",
    )
    return [
        items.group_by("item")
        .len("n")
        .select(
            pl.lit("named").alias("kind"),
            pl.lit(title).alias("what"),
            "item",
            pl.col("n").cast(pl.Int64),
            pl.lit(None, COUNTS["lines"]).alias("lines"),
        )
        for title, items in zip(titles, (source, missing), strict=True)
    ]  # fmt: skip


def told(counts: Sequence[pl.DataFrame], report: ImportReport) -> dict[str, int]:
    """Add counts up and put them into the report.

    Args:
        counts: Columns of `COUNTS`.
        report: Filled.

    Returns:
        What was written, by kind.
    """
    table = pl.concat([pl.DataFrame(schema=COUNTS), *counts]).group_by("kind", "what", "item").agg(
        pl.col("n").sum(), pl.col("lines").list.explode(empty_as_null=False, keep_nulls=False).bottom_k(_LINES).sort()
    ).sort("kind", "what", pl.col("n").neg(), "item")  # fmt: skip
    of = {str(key[0]): rows for key, rows in table.partition_by("kind", as_dict=True).items()}
    none = table.clear()
    order = [f"{t.what} rows" for t in TABLES]
    read = dict(of.get("read", none).select("what", "n").iter_rows())
    report.read |= {
        what: read[what] for what in sorted(read, key=lambda w: order.index(w) if w in order else 99)
    }
    for kind, tally in (("dropped", report.dropped), ("changed", report.changed)):
        for what, n, lines in of.get(kind, none).select("what", "n", "lines").iter_rows():
            for i, line in enumerate(lines or [None]):
                tally.add(what, line, n=n - max(len(lines), 1) + 1 if i == 0 else 1)
    for (title,), rows in (
        of.get("named", none).partition_by("what", as_dict=True, maintain_order=True).items()
    ):
        report.name(str(title), _shown(rows, by_source_value=str(title).endswith(_BY_SOURCE_VALUE)))
    return dict(of.get("written", none).sort("what").select("what", "n").iter_rows())


def _shown(rows: pl.DataFrame, *, by_source_value: bool) -> dict[str, int]:
    """The most frequent items; a source value that stands in few rows may be a name or a record's number."""
    if by_source_value:
        counts = dict(rows.select("item", "n").iter_rows())
        plain = {item: counts.pop(item) for item in (_WORDS, _NONE) if item in counts}
        return presentable(counts, _CODE_LIKE, most=_LISTED) | plain
    items = dict(rows.head(_LISTED).select("item", "n").iter_rows())
    if rows.height > _LISTED:
        items["(others)"] = int(rows["n"][_LISTED:].sum())
    return items
