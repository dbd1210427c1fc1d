"""From staged rows of OMOP tables to MEDS events: which code a row gets, and why a row is left out.

code of a row      VOCABULARY/CODE of its standard concept; of its source concept where the standard one is 0;
                   OMOP/<concept_id> where CONCEPT does not hold it
with a number      VOCABULARY/CODE//unit: the unit's UCUM code, or as the source writes it
source_code        VOCABULARY/CODE of the source concept where it is another one
a note             NOTE//VOCABULARY:CODE of its class, of its type where the class is 0; the type is in source_code
answered "no"      OBSERVATION//NOT_AFFIRMED//VOCABULARY:CODE: an observation is a question and its answer, and
                   "family history of diabetes: no" must not become evidence of it. LOINC's questions keep
                   their code: labs read their text.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from mhdiff.cohort.import_report import ImportReport
from mhdiff.cohort.omop_tables import Table

_LISTED = 20
_CODE_LIKE = r"^[A-Za-z0-9][A-Za-z0-9._:+/-]{0,19}$"  # a code and no words: free text is never repeated
_NOT_AFFIRMED = (
    r"(?i)^\s*(no|none|never|negative|absent|denied|false|unknown|refused|"
    r"not (detected|present|found|done|known|asked))\b"
)
_TAG = r"\s*\((qualifier value|finding|disorder|situation|observable entity|procedure|substance)\)\s*$"
_LIMITS: Final = {4171756: "<", 4171754: "<=", 4171755: ">=", 4172704: ">"}
#: What an event is before the shards are written; `base` is its code without the unit.
COLUMNS: Final = (
    *("row", "id", "subject_id", "time", "code", "numeric_value", "text_value", "ref_low", "ref_high"),
    *("source_code", "base", "unit", "shard", "dated", "limit", "posthumous", "reason"),
)


def code_of(vocabulary: pl.Expr, code: pl.Expr) -> pl.Expr:
    """Give VOCABULARY/CODE; a blank in the vocabulary's name becomes `_`, and `//`, which parts a unit off, `/`.

    Args:
        vocabulary: vocabulary_id of OMOP.
        code: concept_code of OMOP.
    """
    name = vocabulary.str.strip_chars().str.replace_all(r"\s+", "_")
    return pl.concat_str(name, pl.lit("/"), code.str.strip_chars().str.replace_all("/+", "/"))


def events(staged: pl.LazyFrame, table: Table, concepts: pl.DataFrame, people: pl.DataFrame) -> pl.LazyFrame:
    """Give a table's rows the columns of `COLUMNS`; a row with a `reason` is to be dropped.

    Args:
        staged: What `omop_tables.stage` gave.
        table: What it is.
        concepts: concept_id, code, name of every concept that is in use and in CONCEPT.
        people: subject_id, born, died, shard.
    """
    rows = staged.join(people.lazy(), on="subject_id", how="left")
    for name in ("concept", "source_concept", "value_concept", "unit_concept"):
        known = concepts.lazy().select(
            pl.col("concept_id").alias(name),
            pl.col("code").alias(f"{name}_code"),
            pl.col("name").alias(f"{name}_name"),
        )
        rows = rows.join(known, on=name, how="left")
    number = pl.when(pl.col("number").is_finite()).then(pl.col("number"))
    unit = pl.coalesce(
        pl.col("unit_concept_code").str.replace(r"^[^/]*/", ""),
        pl.when(pl.col("unit").str.strip_chars() != "").then(pl.col("unit").str.strip_chars()),
    )
    rows = rows.with_columns(
        base=_base(table),
        numeric_value=number,
        unit=pl.when(number.is_not_null()).then(unit.str.replace_all("/+", "/")),
        text_value=pl.coalesce(
            pl.when(pl.col("value_concept") != 0).then(pl.col("value_concept_name")),
            pl.col("text"),
            pl.when(number.is_null()).then(pl.col("value_source")),
        ),
    )
    if table.name != "note":
        rows = rows.with_columns(pl.col("text_value").str.replace(_TAG, ""))
    return rows.with_columns(
        code=_full(table),
        source_code=pl.when(
            (pl.col("source_concept") != 0)
            & (pl.col("concept") != 0)
            & (pl.col("source_concept") != pl.col("concept"))
        ).then(_held("source_concept")),
        limit=pl.col("operator").is_in(list(_LIMITS)) & pl.col("numeric_value").is_not_null(),
        posthumous=(pl.col("time") > pl.col("died")).fill_null(False),
        reason=_reason(table),
    ).select(COLUMNS)


def _held(name: str) -> pl.Expr:
    return pl.coalesce(f"{name}_code", pl.concat_str(pl.lit("OMOP/"), pl.col(name).cast(pl.String)))


def _base(table: Table) -> pl.Expr:
    if table.fixed:
        return pl.lit(table.fixed)
    coded = (
        pl.when(pl.col("concept") != 0)
        .then(_held("concept"))
        .when(pl.col("source_concept") != 0)
        .then(_held("source_concept"))
    )
    if table.name != "note":
        return coded
    return pl.concat_str(
        pl.lit("NOTE//"), pl.coalesce(coded.str.replace("/", ":", literal=True), pl.lit("UNCLASSIFIED"))
    )


def _full(table: Table) -> pl.Expr:
    measured = (
        pl.when(pl.col("unit").is_not_null())
        .then(pl.concat_str("base", pl.lit("//"), "unit"))
        .otherwise(pl.col("base"))
    )
    if table.name != "observation":
        return measured
    answered = pl.col("text_value").str.contains(_NOT_AFFIRMED) & ~pl.col("base").str.starts_with("LOINC/")
    refused = pl.concat_str(
        pl.lit("OBSERVATION//NOT_AFFIRMED//"), pl.col("base").str.replace("/", ":", literal=True)
    )
    return pl.when(answered).then(refused).otherwise(measured)


def _reason(table: Table) -> pl.Expr:
    wordless = pl.lit(table.name == "note") & (pl.col("text_value").fill_null("").str.strip_chars() == "")
    return (
        pl.when(pl.col("subject_id").is_null() | pl.col("shard").is_null())
        .then(pl.lit("the person is not in PERSON"))
        .when(pl.col("time").is_null())
        .then(pl.lit("no date"))
        .when(pl.col("base").is_null())
        .then(pl.lit("no concept: concept_id and source concept_id are 0 or empty"))
        .when(wordless)
        .then(pl.lit("no text"))
        .when(pl.col("time") < pl.col("born"))
        .then(pl.lit("before birth"))
    )


def account(made: pl.LazyFrame, staged: pl.LazyFrame, table: Table, report: ImportReport) -> None:
    """Count what was read, dropped and changed, and name concepts that nobody knows.

    Args:
        made: What `events` gave, read from disk.
        staged: What it was made of.
        table: What it is.
        report: Filled.
    """
    if not table.fixed or table.name == "observation_period":
        report.read[f"{table.what} rows"] = (
            report.read.get(f"{table.what} rows", 0) + staged.select(pl.len()).collect().item()
        )
    silent = (
        ("no date", "no concept: concept_id and source concept_id are 0 or empty") if table.optional else ()
    )
    dropped = made.filter(pl.col("reason").is_not_null(), ~pl.col("reason").is_in(list(silent)))
    for reason, n, rows in (
        dropped.group_by("reason")
        .agg(pl.len(), pl.col("row").bottom_k(5).sort())
        .sort("reason")
        .collect()
        .iter_rows()
    ):
        for i, row in enumerate(rows):
            report.dropped.add(f"{table.what}: {reason}", row, n=n - len(rows) + 1 if i == 0 else 1)
    kept = made.filter(pl.col("reason").is_null())
    counts = kept.select(
        dated=(pl.col("dated") & ~pl.lit(table.name == "observation_period")).sum(),
        limit=pl.col("limit").sum(),
        posthumous=pl.col("posthumous").sum(),
        negated=pl.col("code").str.starts_with("OBSERVATION//NOT_AFFIRMED//").sum(),
    ).collect()
    for name, what in (
        ("dated", "no time of day, put at the end of the day"),
        ("limit", "operator < or >: the limit is kept as the value"),
        ("posthumous", "after the person's death, kept"),
        ("negated", "answered no or unknown: code OBSERVATION//NOT_AFFIRMED//..."),
    ):
        if n := int(counts[name][0] or 0):
            report.changed.add(f"{table.what}: {what}", n=n)
    odd = (
        staged.select((pl.col("number").is_not_null() & ~pl.col("number").is_finite()).sum()).collect().item()
    )
    if odd:
        report.changed.add(f"{table.what}: the value is no finite number, left empty", n=odd)
    if not table.fixed and not table.optional and table.name != "note":
        _name_unknown(made, staged, table, report)


def _name_unknown(made: pl.LazyFrame, staged: pl.LazyFrame, table: Table, report: ImportReport) -> None:
    """Name the source values of rows without a concept, where they look like codes, and concepts not in CONCEPT."""
    without = staged.filter((pl.col("concept") == 0) & (pl.col("source_concept") == 0)).select(
        pl.when(pl.col("source_value").str.contains(_CODE_LIKE))
        .then("source_value")
        .when(pl.col("source_value").is_not_null())
        .then(pl.lit("(words, not shown)"))
        .otherwise(pl.lit("(no source value)"))
        .alias("item")
    )
    report.name(f"{table.what}s without a concept, by source value", _most_frequent(without))
    mapped = (
        staged.filter((pl.col("concept") == 0) & (pl.col("source_concept") != 0)).select(pl.len()).collect()
    )
    if n := mapped.item():
        report.changed.add(f"{table.what}: no standard concept, the source concept is its code", n=n)
    missing = made.filter(pl.col("reason").is_null(), pl.col("base").str.starts_with("OMOP/")).select(
        item="base"
    )
    report.name(f"{table.what}s whose concept is not in CONCEPT", _most_frequent(missing))


def _most_frequent(items: pl.LazyFrame) -> dict[str, int]:
    counted = items.group_by("item").len().sort(["len", "item"], descending=[True, False]).collect()
    found = dict(counted.head(_LISTED).iter_rows())
    if counted.height > _LISTED:
        found["(others)"] = int(counted["len"][_LISTED:].sum())
    return found
