"""Spoilt laboratory values: in another unit than the code says, and not measured.

A value in a wrong unit is v' = f v: f is the conversion between the two units in which a test is usually reported
where we know it, such as 0.0555 from mg/dL to mmol/L of glucose, and otherwise a slip of the decimal point, 10 or
1/10. The finding that the value then is, above or below its range, is the one that the graph's evidence names for that
test on that side of its range in any patient: it is a fact of the terminology and tells nothing of a patient. A side
that nobody is on gives no evidence.
"""

from __future__ import annotations

from typing import ClassVar

import polars as pl

from mhdiff.corruption.base import EventCorruption, Record, Source
from mhdiff.encoders.preprocess_structured import LabTable

#: LOINC code -> (mass unit, factor from it to the molar or SI unit), by molar mass.
CONVERSIONS: dict[str, tuple[str, float]] = {
    "2345-7": ("mg/dL", 0.0555),  # glucose, to mmol/L
    "2339-0": ("mg/dL", 0.0555),
    "2160-0": ("mg/dL", 88.42),  # creatinine, to umol/L
    "3094-0": ("mg/dL", 0.357),  # urea nitrogen, to mmol/L
    "17861-6": ("mg/dL", 0.2495),  # calcium, to mmol/L
    "2777-1": ("mg/dL", 0.3229),  # phosphate, to mmol/L
    "1975-2": ("mg/dL", 17.10),  # bilirubin, to umol/L
    "2093-3": ("mg/dL", 0.02586),  # cholesterol, to mmol/L
    "2571-8": ("mg/dL", 0.01129),  # triglycerides, to mmol/L
    "3084-1": ("mg/dL", 59.48),  # urate, to umol/L
    "718-7": ("g/dL", 0.6206),  # haemoglobin, to mmol/L
    "1988-5": ("mg/L", 0.1),  # C-reactive protein, to mg/dL
    "1751-7": ("g/dL", 10.0),  # albumin, to g/L
}
_PAIR = ("sample_id", "code")
_FACTS = ("concept", "polarity", "weight", "depth")


def factor(code: str, draw: float) -> float:
    """Give what a test's values are multiplied with when they are reported in the other unit.

    Args:
        code: A MEDS code, "LOINC/2345-7//mg/dL".
        draw: In [0, 1): which way the decimal point slips where the conversion is not known.
    """
    test, _, unit = code.partition("/")[2].partition("//")
    mass, known = CONVERSIONS.get(test, ("", 0.0))
    if known:
        return known if unit == mass else 1.0 / known
    return 10.0 if draw < 0.5 else 0.1


class UnitError(EventCorruption):
    """Reports tests in a wrong unit; the amount is the probability of each of a sample's tests."""

    name = "unit_error"
    reads = LabTable
    levels: ClassVar = (0.05, 0.1, 0.2, 0.4, 0.8)

    def record(self, record: Record, source: Source) -> Record:
        """Spoil some samples' labs, see `EventCorruption.record`."""
        pairs = record.events.filter(pl.col("numeric_value").is_not_null()).select(_PAIR).unique()
        hit = [
            (sample, code, factor(code, self.draw(code, "way")))
            for sample, code in pairs.sort(_PAIR).iter_rows()
            if self.draw(sample, code) < self.amount
        ]
        factors = pl.DataFrame(
            hit, {"sample_id": pl.Int64, "code": pl.String, "factor": pl.Float64}, orient="row"
        )
        marked = record.events.join(factors, on=_PAIR, how="left", maintain_order="left")
        events = marked.with_columns(
            numeric_value=pl.when(pl.col("factor").is_null())
            .then("numeric_value")
            .otherwise(pl.col("numeric_value").cast(pl.Float64) * pl.col("factor"))
            .cast(record.events.schema["numeric_value"])
        )
        wrong = events.filter(pl.col("factor").is_not_null())
        found = (
            wrong.with_columns(side=_side())
            .join(_meaning(source), on=["code", "side"])
            .rename({"code": "source"})
            .with_columns(start=None, end=None, text=None)
        )
        columns = record.evidence.schema
        found = found.select(pl.col(name).cast(kind) for name, kind in columns.items()).unique()
        right = record.evidence.join(factors, left_on=["sample_id", "source"], right_on=_PAIR, how="anti")
        return Record(events.select(record.events.columns), pl.concat([right, found]).sort(list(columns)))


def _side() -> pl.Expr:
    """Say on which side of its range a value is."""
    value = pl.col("numeric_value")
    return (
        pl.when(value > pl.col("ref_high"))
        .then(pl.lit("high"))
        .when(value < pl.col("ref_low"))
        .then(pl.lit("low"))
        .otherwise(pl.lit("within"))
    )


def _meaning(source: Source) -> pl.DataFrame:
    """Give the concepts that a test on a side of its range stands for: code, side, concept, polarity, weight, depth."""
    key = ["sample_id", "code", "time"]
    single = source.events.filter(pl.col("numeric_value").is_not_null()).filter(pl.len().over(key) == 1)
    named = source.evidence.rename({"source": "code"}).select(*key, *_FACTS)
    return (
        single.with_columns(side=_side())
        .join(named, on=key, nulls_equal=True)
        .select("code", "side", *_FACTS)
        .unique()
    )


class MissingLabs(EventCorruption):
    """Takes tests away; the amount is the probability of each of a sample's tests. One test always stays."""

    name = "missing_labs"
    reads = LabTable
    levels: ClassVar = (0.1, 0.3, 0.5, 0.7, 0.9)

    def record(self, record: Record, source: Source) -> Record:
        """Spoil some samples' labs, see `EventCorruption.record`."""
        pairs = record.events.select(_PAIR).unique().sort(_PAIR)
        drawn = pairs.with_columns(
            u=pl.Series([self.draw(*pair) for pair in pairs.iter_rows()], dtype=pl.Float64)
        )
        last = pl.col("u") == pl.col("u").max().over("sample_id")
        kept = drawn.filter((pl.col("u") >= self.amount) | last).select(_PAIR)
        return Record(
            record.events.join(kept, on=_PAIR, how="semi", maintain_order="left"),
            record.evidence.join(
                kept, left_on=["sample_id", "source"], right_on=_PAIR, how="semi", maintain_order="left"
            ),
        )
