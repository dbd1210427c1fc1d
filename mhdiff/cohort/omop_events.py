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

from mhdiff.cohort.omop_tables import Table

_NOT_AFFIRMED = (
    r"(?i)^\s*(no|none|never|negative|absent|denied|false|unknown|refused|"
    r"not (detected|present|found|done|known|asked))\b"
)
_TAG = r"\s*\((qualifier value|finding|disorder|situation|observable entity|procedure|substance)\)\s*$"
LEFT_OUT: Final = "left out"
_LIMITS: Final = {4171756: "<", 4171754: "<=", 4171755: ">=", 4172704: ">"}
#: What an event is before the shards are written; `base` is its code without the unit.
COLUMNS: Final = (
    *("row", "id", "subject_id", "time", "code", "numeric_value", "text_value", "ref_low", "ref_high"),
    *("source_code", "base", "unit", "dated", "limit", "posthumous", "reason"),
)


def code_of(vocabulary: pl.Expr, code: pl.Expr) -> pl.Expr:
    """Give VOCABULARY/CODE; a blank in the vocabulary's name becomes `_`, and `//`, which parts a unit off, `/`.

    Args:
        vocabulary: vocabulary_id of OMOP.
        code: concept_code of OMOP.
    """
    name = vocabulary.str.strip_chars().str.replace_all(r"\s+", "_")
    return pl.concat_str(name, pl.lit("/"), code.str.strip_chars().str.replace_all("/+", "/"))


def events(
    staged: pl.DataFrame,
    table: Table,
    concepts: pl.DataFrame,
    people: pl.DataFrame,
    out: pl.Series | None = None,
) -> pl.DataFrame:
    """Give a table's rows the columns of `COLUMNS`, in their order; a row with a `reason` is to be dropped.

    Args:
        staged: Rows in the shape of `omop_tables.STAGED`.
        table: What it is.
        concepts: concept_id, code, name of every concept that is in use and in CONCEPT.
        people: subject_id and died of the shard's persons; none where the rows are nobody's.
        out: Where a row is left out for the reason `LEFT_OUT`, which is counted elsewhere; None for nowhere.
    """
    # A look-up by `replace_strict` takes a fraction of a join, which moves all columns.
    bare = concepts.select("concept_id", unit=_slashed(pl.col("code").str.replace(r"^[^/]*/", "")))
    rows = staged.lazy().with_columns(
        died=_looked_up("subject_id", people, "subject_id", "died"),
        concept_code=_held(staged["concept"], concepts),
        source_concept_code=_held(staged["source_concept"], concepts),
        value_concept_name=_of_concept(staged["value_concept"], concepts, "name"),
        unit_concept_unit=_of_concept(staged["unit_concept"], bare, "unit"),
    )
    number = pl.when(pl.col("number").is_finite()).then(pl.col("number"))
    said = pl.col("unit_concept_unit")
    written = pl.when(said.is_null()).then(pl.col("unit")).str.strip_chars()  # null first: patterns are slow
    unit = pl.coalesce(said, _slashed(pl.when(written != "").then(written)))
    rows = rows.with_columns(
        base=_base(table),
        numeric_value=number,
        unit=pl.when(number.is_not_null()).then(unit),
        text_value=pl.coalesce(
            "value_concept_name",
            pl.col("text"),
            pl.when(number.is_null()).then(pl.col("value_source")),
        ),
    )
    if table.name != "note":
        rows = rows.with_columns(pl.col("text_value").str.replace(_TAG, ""))
    made = rows.with_columns(
        code=_full(table),
        source_code=pl.when((pl.col("concept") != 0) & (pl.col("source_concept") != pl.col("concept"))).then(
            "source_concept_code"
        ),
        limit=pl.col("operator").is_in(list(_LIMITS)) & pl.col("numeric_value").is_not_null(),
        posthumous=(pl.col("time") > pl.col("died")).fill_null(False),
        reason=_reason(table, nobody=people.is_empty()),
    )
    found = made.select(COLUMNS).collect()
    if out is None:
        return found
    return found.with_columns(reason=pl.when(out).then(pl.lit(LEFT_OUT)).otherwise("reason"))


def _slashed(text: pl.Expr) -> pl.Expr:
    return text.str.replace_all("/+", "/")


def _looked_up(column: str, table: pl.DataFrame, key: str, what: str) -> pl.Expr:
    """Give a column of a table by its key; null for a key that it does not hold."""
    held = table.select(key, what).drop_nulls()
    if held.is_empty():
        return pl.lit(None, table.schema[what])
    ids, values = held.get_columns()
    return pl.col(column).replace_strict(ids, values, default=None, return_dtype=values.dtype)


def _held(ids: pl.Series, concepts: pl.DataFrame) -> pl.Expr:
    """Give the code of a concept, null for 0."""
    unknown = ids.unique().to_frame("concept_id").filter(pl.col("concept_id") != 0)
    unknown = unknown.join(concepts, on="concept_id", how="anti")
    named = unknown.select(
        "concept_id", code=pl.concat_str(pl.lit("OMOP/"), pl.col("concept_id").cast(pl.String))
    )
    known = pl.concat([concepts.select("concept_id", "code"), named])
    return _of_concept(ids, known, "code")


def _of_concept(ids: pl.Series, concepts: pl.DataFrame, what: str) -> pl.Expr:
    """Give a column of the concepts, null for 0: to look up nothing but zeros would take as long."""
    if not (ids != 0).any():
        return pl.lit(None, concepts.schema[what])
    return _looked_up(ids.name, concepts, "concept_id", what)


def _base(table: Table) -> pl.Expr:
    if table.fixed:
        return pl.lit(table.fixed)
    coded = pl.coalesce("concept_code", "source_concept_code")
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


def _reason(table: Table, *, nobody: bool) -> pl.Expr:
    wordless = pl.lit(table.name == "note") & (pl.col("text_value").fill_null("").str.strip_chars() == "")
    return (
        pl.when(pl.lit(nobody))
        .then(pl.lit("the person is not in PERSON"))
        .when(pl.col("time").is_null())
        .then(pl.lit("no date"))
        .when(pl.col("base").is_null())
        .then(pl.lit("no concept: concept_id and source concept_id are 0 or empty"))
        .when(wordless)
        .then(pl.lit("no text"))
    )
