"""A lab is evidence when it lies outside its reference range: value > high -> above, value < low -> below.

LOINC gives the observable; the ontology's "interprets" and "has interpretation" give the finding that an
observable above or below its range is. Where there is no such finding, the observable itself stands for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import polars as pl

if TYPE_CHECKING:
    from ontology import Ontology

_POSITIVE = r"(?i)^\s*(positive|detected|reactive|abnormal|present|\+{1,4})\s*$"
_NEGATIVE = r"(?i)^\s*(negative|not detected|undetected|non-?reactive|normal|absent|-)\s*$"


class LabsFound(NamedTuple):
    """Rows of (event, concept, polarity, weight, interpreted), and an outcome for the other events."""

    rows: pl.DataFrame
    outcomes: pl.DataFrame


def collect_labs(events: pl.DataFrame, resolved: pl.DataFrame, table: pl.DataFrame) -> LabsFound:
    """Turn lab events into evidence.

    Args:
        events: event, code, numeric_value, text_value, ref_low, ref_high (the range in the value's unit).
        resolved: code, concept (the observable), weight.
        table: concept (the observable), status, finding, as `interpretations` gives them.
    """
    judged = events.select("event", "code", status=_status())
    mapped = judged.select("event", "code", "status").join(resolved, on="code")
    abnormal = mapped.filter(pl.col("status").is_in(["above", "below", "abnormal"]))
    exact = table.rename({"finding": "exact"})
    loose = table.filter(pl.col("status") == "abnormal").select("concept", loose="finding")
    rows = (
        abnormal.join(exact, on=["concept", "status"], how="left")
        .join(loose, on="concept", how="left")
        .select(
            "event",
            pl.coalesce("exact", "loose", "concept").alias("concept"),
            pl.lit("present").alias("polarity"),
            "weight",
            pl.coalesce("exact", "loose").is_not_null().alias("interpreted"),
        )
    )
    known = pl.col("code").is_in(resolved["code"].unique().implode())
    outcome = pl.when(known).then(pl.col("status")).otherwise(pl.lit("unmapped"))
    return LabsFound(rows, judged.select("event", outcome=outcome))


def _status() -> pl.Expr:
    # The range is compared in the value's own precision: 4.1 as float32 is below 4.1 as float64.
    value = pl.col("numeric_value").cast(pl.Float32).fill_nan(None)
    low = pl.col("ref_low").cast(pl.Float32).fill_nan(None)
    high = pl.col("ref_high").cast(pl.Float32).fill_nan(None)
    text = pl.col("text_value")
    return (
        pl.when(value > high)
        .then(pl.lit("above"))
        .when(value < low)
        .then(pl.lit("below"))
        .when(value.is_not_null() & (low.is_not_null() | high.is_not_null()))
        .then(pl.lit("in_range"))
        .when(value.is_not_null())
        .then(pl.lit("no_range"))
        .when(text.str.contains(_POSITIVE))
        .then(pl.lit("abnormal"))
        .when(text.str.contains(_NEGATIVE))
        .then(pl.lit("in_range"))
        .otherwise(pl.lit("no_value"))
    )


def interpretations(ontology: Ontology) -> pl.DataFrame:
    """Give the finding that an abnormal observable is, once for each observable and status.

    Args:
        ontology: Knows which finding interprets which observable.
    """
    rows = [
        (observable, status, finding)
        for (observable, status), finding in ontology.find_interpretations().items()
    ]
    schema = {"concept": pl.Int64, "status": pl.String, "finding": pl.Int64}
    return pl.DataFrame(rows, schema, orient="row").unique(["concept", "status"]).sort("concept", "status")
