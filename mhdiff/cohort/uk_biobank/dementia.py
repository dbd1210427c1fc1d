"""AD, MCI-like or healthy: what is known of a participant at a brain scan and in the years after it.

With t the visit of the scan, H = 3 years, and the first that fits:

    ad               Alzheimer's disease (field 42020, or ICD-10 F00, G30) by t + H
    other_dementia   any other dementia (42018, 42022, 42024, or F01-F03, F05.1, G31.0) by t + H, or one without a date
    mci_like         mild cognitive disorder or an unexplained cognitive symptom (F06.7, R41.3, R41.8) by t + H
    neurological     another disease of the brain by t (G10-G14, G20-G23, G31, G35, G40, I60-I64, C70-C71, S06)
    died             died by t + H without one of these
    short_follow_up  the record ends before t + H
    healthy          none of these

The record ends with the last diagnosis of anybody in the dataset. A task chooses among the values; docs/uk-biobank.md
says what they are worth: nobody was examined for MCI, AD is coded late and misses those who see no hospital, and an
expert confirmed 71 % of the participants coded as AD (Wilkinson et al. 2019, doi:10.1007/s10654-019-00499-1).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import polars as pl

HORIZON: Final = timedelta(days=3 * 365.25)
VALUES: Final = ("ad", "other_dementia", "mci_like", "neurological", "died", "short_follow_up", "healthy")
_AD: Final = ("UKB_OUTCOME//42020", "ICD10/F00", "ICD10/G30")
_DEMENTIA: Final = (
    "UKB_OUTCOME//42018", "UKB_OUTCOME//42022", "UKB_OUTCOME//42024", "ICD10/F01", "ICD10/F02", "ICD10/F03",
    "ICD10/F05.1", "ICD10/G31.0",
)  # fmt: skip
_MCI: Final = ("ICD10/F06.7", "ICD10/R41.3", "ICD10/R41.8")
_BRAIN: Final = (
    *(f"ICD10/G{n}" for n in (10, 11, 12, 13, 14, 20, 21, 22, 23, 31, 35, 40)),
    *(f"ICD10/I{n}" for n in range(60, 65)),
    "ICD10/C70", "ICD10/C71", "ICD10/S06",
)  # fmt: skip


def label(
    events: pl.DataFrame, scans: pl.DataFrame, undated: list[int], ends: datetime | None
) -> pl.DataFrame:
    """Give subject_id, prediction_time and categorical_value of every scan.

    Args:
        events: subject_id, time and code of diagnoses, deaths and outcomes.
        scans: subject_id and time.
        undated: Participants with a dementia whose date stands for an unknown one.
        ends: When the record ends; None where there is no diagnosis at all.
    """
    dated = events.drop_nulls("time")
    rows = scans.select("subject_id", t="time").unique().sort("subject_id", "t")
    for name, prefixes in (
        ("ad", _AD), ("other", _DEMENTIA), ("mci", _MCI), ("brain", _BRAIN), ("died", ("MEDS_DEATH",)),
    ):  # fmt: skip
        begins = pl.any_horizontal(pl.col("code").str.starts_with(prefix) for prefix in prefixes)
        first = dated.filter(begins).group_by("subject_id").agg(pl.col("time").min().alias(name))
        rows = rows.join(first, on="subject_id", how="left", maintain_order="left")
    until = pl.col("t") + HORIZON
    by = {name: (pl.col(name) <= until).fill_null(False) for name in ("ad", "other", "mci", "died")}
    short = pl.lit(True) if ends is None else until > ends
    value = (
        pl.when(by["ad"]).then(pl.lit("ad"))
        .when(by["other"] | pl.col("subject_id").is_in(undated)).then(pl.lit("other_dementia"))
        .when(by["mci"]).then(pl.lit("mci_like"))
        .when((pl.col("brain") <= pl.col("t")).fill_null(False)).then(pl.lit("neurological"))
        .when(by["died"]).then(pl.lit("died"))
        .when(short).then(pl.lit("short_follow_up"))
        .otherwise(pl.lit("healthy"))
    )  # fmt: skip
    return rows.select("subject_id", prediction_time="t", categorical_value=value)
