"""Whose a sample is, for figures by subgroup: sex and age. No model is shown this file's columns."""

from __future__ import annotations

import polars as pl

from mhdiff.cohort import meds
from mhdiff.cohort.cohort import Cohort

OLDEST = (
    90  # years; everybody of at least so many has this age, so that no single old person can be picked out
)
_YEAR = 365.2425


def sexes(cohort: Cohort) -> pl.DataFrame:
    """Give columns subject_id and sex, from the static `GENDER//` codes; a subject with two of them has none.

    Args:
        cohort: The cohort.
    """
    stated = cohort.scan().filter(pl.col("code").str.starts_with("GENDER//"))
    return (
        stated.group_by("subject_id")
        .agg(pl.col("code").unique().str.strip_prefix("GENDER//").alias("sex"))
        .filter(pl.col("sex").list.len() == 1)
        .with_columns(pl.col("sex").list.first())
        .sort("subject_id")
        .collect()
    )


def people(cohort: Cohort, samples: pl.DataFrame) -> pl.DataFrame:
    """Give columns sample_id, sex and age: whole years at prediction_time, at most `OLDEST`; null where unknown.

    Args:
        cohort: The cohort.
        samples: Columns sample_id, subject_id and prediction_time.
    """
    births = (
        cohort.scan()
        .filter(pl.col("code") == meds.BIRTH)
        .group_by("subject_id")
        .agg(pl.col("time").min().alias("born"))
        .collect()
    )
    days = (pl.col("prediction_time") - pl.col("born")).dt.total_days()
    years = (days / _YEAR).floor().cast(pl.Int64).clip(upper_bound=OLDEST)
    return (
        samples.select("sample_id", "subject_id", "prediction_time")
        .join(sexes(cohort), on="subject_id", how="left")
        .join(births, on="subject_id", how="left")
        .select("sample_id", "sex", pl.when(days >= 0).then(years).alias("age"))
        .sort("sample_id")
    )
