"""Who a participant is: sex, birth and site. What cannot be read is refused, and what is not there is counted."""

from __future__ import annotations

from typing import Final

import polars as pl

from mhdiff.cohort import meds
from mhdiff.cohort.account import Account
from mhdiff.cohort.cohort import UNKNOWN_SITE
from mhdiff.cohort.import_report import presentable
from mhdiff.cohort.typed import TIME
from mhdiff.cohort.uk_biobank import fields as f
from mhdiff.cohort.uk_biobank.events import refuse

_SEXES: Final = {"0": "F", "1": "M", "Female": "F", "Male": "M"}
_IMAGED = 2  # the first visit with imaging; 3 is its repeat
_YEARS: Final = (1900, 2030)


def people(values: pl.DataFrame, subjects: pl.Series, table: str, account: Account) -> pl.DataFrame:
    """Give sex, birth and site of participants: the centre of the first visit with imaging, else of the first visit.

    Args:
        values: Their values.
        subjects: Their eids.
        table: The main dataset's name in accounts.
        account: Filled.
    """
    first = values.filter(pl.col("index") == 0).unique(
        ["subject_id", "field", "instance"], keep="first", maintain_order=True
    )
    born = _births(first, table, account)
    if n := len(subjects) - born["subject_id"].n_unique():
        account.changed.add("participant: without a birth, so no event is held against it", n=n)
    return pl.concat([_sites(first, subjects, account), _sexes(first, table, account), born], how="diagonal")


def _sexes(first: pl.DataFrame, table: str, account: Account) -> pl.DataFrame:
    stated = _of(first, f.SEX).with_columns(
        sex=pl.col("value").replace_strict(_SEXES, default=None, return_dtype=pl.String)
    )
    refuse(stated.filter(pl.col("sex").is_null()), "the value is no sex", table, account)
    return stated.drop_nulls("sex").select("subject_id", code=pl.concat_str(pl.lit("GENDER//"), "sex"))


def _births(first: pl.DataFrame, table: str, account: Account) -> pl.DataFrame:
    number = pl.col("value").str.replace(r"\.0+$", "").cast(pl.Int32, strict=False)
    years = _of(first, f.YEAR).with_columns(year=number)
    months = _of(first, f.MONTH).with_columns(month=number)
    real = pl.col("year").is_between(*_YEARS).fill_null(False)
    known = pl.col("month").is_between(1, 12).fill_null(False)
    refuse(years.filter(~real), "the value is no year of birth", table, account)
    refuse(months.filter(~known), "the value is no month", table, account)
    own = months.filter(known).select("subject_id", "month")
    found = years.filter(real).join(own, on="subject_id", how="left")
    if n := int(found["month"].null_count()):
        account.changed.add("birth: its month is not known, put at the beginning of the year", n=n)
    return found.select(
        "subject_id",
        time=pl.datetime("year", pl.col("month").fill_null(1), 1).cast(TIME),
        code=pl.lit(meds.BIRTH),
    )


def _sites(first: pl.DataFrame, subjects: pl.Series, account: Account) -> pl.DataFrame:
    names = {str(number): name for number, name in f.CENTRES.items()}
    centre = (
        first.filter(pl.col("field") == f.CENTRE)
        .with_columns(imaged=pl.col("instance") == _IMAGED)
        .sort("subject_id", "imaged", pl.col("instance"), descending=[False, True, False])
        .unique("subject_id", keep="first", maintain_order=True)
        .with_columns(site=pl.col("value").replace_strict(names, default=None, return_dtype=pl.String))
    )
    strange = centre.filter(pl.col("site").is_null())
    if strange.height:
        reason = "site: the centre is not known, site 'unknown'"
        account.changed.add(reason, strange["row"].min(), n=strange.height)  # type: ignore[arg-type]
        counts = dict(strange["value"].value_counts().iter_rows())
        account.named["centres that are not known"] = presentable(counts, r"\d{5}")
    if n := len(subjects) - centre.height:
        account.changed.add("site: no centre is stated, site 'unknown'", n=n)
    sites = pl.DataFrame({"subject_id": subjects}).join(
        centre.select("subject_id", "site"), on="subject_id", how="left"
    )
    return sites.select(
        "subject_id", code=pl.concat_str(pl.lit("SITE//"), pl.col("site").fill_null(UNKNOWN_SITE))
    )


def _of(values: pl.DataFrame, field: int) -> pl.DataFrame:
    own = values.filter(pl.col("field") == field)
    return own.unique("subject_id", keep="first", maintain_order=True)
