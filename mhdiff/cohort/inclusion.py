"""Who is asked about: a task's `include`.

    include:
      age: [0, 18]                 # in years, from the first on and below the second; either may be null
      sex: [F]                     # of GENDER//F
      codes: [SNOMED/233604007]    # at least one of them at or before prediction_time, however long before
      without_codes: [ICD10CM/C*]  # none of them so; codes are whole, and with `*` or `/` at their end beginnings
      modalities: [image, labs]    # an event of each of them in the window

Everything that is said must hold. A prediction without it is no sample, whether its label came from an adapter or from
`mhdiff cohort label`, and is counted by the first that does not hold, in this order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from mhdiff.cohort import meds

if TYPE_CHECKING:
    from mhdiff.cohort.cohort import Cohort
    from mhdiff.cohort.task import Task

_KEYS: Final = ("age", "sex", "codes", "without_codes", "modalities")
_OLDEST: Final = 150
#: Why somebody is not asked about, in the order in which it is asked.
REASONS: Final = (
    "not included: the age is not known",
    "not included: younger than asked for",
    "not included: as old as is not asked for, or older",
    "not included: of another sex than asked for, or of none that is known",
    "not included: without a code that is asked for",
    "not included: with a code that excludes",
    "not included: without a modality that is asked for",
)


@dataclass(frozen=True)
class Include:
    """Who is asked about.

    Attributes:
        youngest: Years from which on; None from birth on.
        oldest: Years below which; None for no limit.
        sex: What follows GENDER// in a code; empty for all.
        codes: One of these at or before the prediction; empty for no such condition.
        without_codes: None of these.
        modalities: An event of each in the window.
    """

    youngest: float | None = None
    oldest: float | None = None
    sex: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    without_codes: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, content: Any, modalities: Sequence[str]) -> Include:
        """Make it of plain data.

        Args:
            content: The mapping as in the YAML file.
            modalities: Those of the task.

        Raises:
            ValueError: If a key is unknown or of the wrong kind; the message says which.
        """
        if not isinstance(content, dict) or not content:
            raise ValueError(f"'include' must be a mapping with one or more of {', '.join(_KEYS)}")
        if unknown := [str(key) for key in content if key not in _KEYS]:
            raise ValueError(f"'include' has the unknown key '{unknown[0]}'; it knows {', '.join(_KEYS)}")
        ages = content.get("age", [None, None])
        if not isinstance(ages, list) or len(ages) != 2 or not all(_years(age) for age in ages):
            raise ValueError("'include.age' must be two numbers of years, of which one may be null: [0, 18]")
        low, high = ages
        if low is not None and high is not None and low >= high:
            raise ValueError("'include.age' has nobody: the first number must be below the second")
        texts = {}
        for key in _KEYS[1:]:
            value = content.get(key, [])
            if not isinstance(value, list) or not all(isinstance(v, str) and v.strip("*/") for v in value):
                raise ValueError(f"'include.{key}' must list texts")
            if key in content and not value:
                raise ValueError(f"'include.{key}' lists nothing")
            texts[key] = tuple(value)
        if strange := [name for name in texts["modalities"] if name not in modalities]:
            raise ValueError(
                f"'include.modalities' names '{strange[0]}', which the task does not have: {', '.join(modalities)}"
            )
        return cls(low, high, **texts)


def _years(age: Any) -> bool:
    number = isinstance(age, (int, float)) and not isinstance(age, bool)
    return age is None or (number and 0 <= age <= _OLDEST)


def judge(include: Include, task: Task, cohort: Cohort, times: pl.DataFrame) -> pl.DataFrame:
    """Say of each prediction why it is not asked for.

    Args:
        include: Who is asked about.
        task: The task, whose window says which modalities are there.
        cohort: The cohort.
        times: Columns subject_id and prediction_time, each pair once.

    Returns:
        subject_id, prediction_time and not_included, one of `REASONS` or null, in the order of `times`.
    """
    rows = times.select("subject_id", "prediction_time").with_row_index("sample_id")
    conditions: list[pl.Expr | None] = [None] * len(REASONS)
    now = pl.col("prediction_time")
    if include.youngest is not None or include.oldest is not None:
        rows = rows.join(_births(cohort), on="subject_id", how="left", maintain_order="left")
        conditions[0] = pl.col("born").is_null()
        if include.youngest is not None:
            conditions[1] = now < _birthday(include.youngest)
        if include.oldest is not None:
            conditions[2] = now >= _birthday(include.oldest)
    if include.sex:
        from mhdiff.cohort.people import sexes

        rows = rows.join(sexes(cohort), on="subject_id", how="left", maintain_order="left")
        conditions[3] = ~pl.col("sex").is_in(include.sex).fill_null(False)
    for place, codes, wanted in ((4, include.codes, True), (5, include.without_codes, False)):
        if codes:
            rows = rows.with_columns(_had(codes, cohort, rows).alias(f"had_{place}"))
            conditions[place] = ~pl.col(f"had_{place}") if wanted else pl.col(f"had_{place}")
    if include.modalities:
        from mhdiff.cohort.window import present

        held = present(task, cohort, rows, include.modalities)
        rows = rows.with_columns(complete=pl.col("sample_id").is_in(held.implode()))
        conditions[6] = ~pl.col("complete")
    said = [
        pl.when(condition).then(pl.lit(reason))
        for condition, reason in zip(conditions, REASONS, strict=True)
        if condition is not None
    ]
    return rows.select(
        "subject_id", "prediction_time", not_included=pl.coalesce(*said, pl.lit(None, pl.String))
    )


def _births(cohort: Cohort) -> pl.DataFrame:
    born = cohort.scan().filter(pl.col("code") == meds.BIRTH).group_by("subject_id")
    return born.agg(born=pl.col("time").min()).collect()


def _birthday(years: float) -> pl.Expr:
    """When somebody is so old; parts of a year are whole months, and a 29 February is the 28th where there is none."""
    return pl.col("born").dt.offset_by(f"{round(years * 12)}mo")


def _had(codes: tuple[str, ...], cohort: Cohort, rows: pl.DataFrame) -> pl.Series:
    """Say of each row whether one of the codes is at or before its time, or has no time."""
    whole = [code for code in codes if not code.endswith(("*", "/"))]
    begins = [code.removesuffix("*") for code in codes if code.endswith(("*", "/"))]
    meant = pl.any_horizontal(
        pl.col("code").is_in(whole), *(pl.col("code").str.starts_with(prefix) for prefix in begins)
    )
    first = (
        cohort.scan()
        .filter(meant)
        .group_by("subject_id")
        .agg(always=pl.col("time").is_null().any(), first=pl.col("time").min())
        .collect()
    )
    joined = rows.join(first, on="subject_id", how="left", maintain_order="left")
    had = pl.col("always").fill_null(False) | (pl.col("first") <= pl.col("prediction_time")).fill_null(False)
    return joined.select(had.alias("had"))["had"]


def counts(judged: pl.DataFrame) -> dict[str, int]:
    """Count the predictions that are not asked for, by reason, in the order of `REASONS`.

    Args:
        judged: What `judge` gave.
    """
    counted = dict(judged["not_included"].drop_nulls().value_counts().iter_rows())
    return {reason: counted[reason] for reason in REASONS if reason in counted}
