"""From values of fields to MEDS events: who a participant is, visits, measurements, choices, diagnoses, death.

UK Biobank states days and no times of day, so everything is at the end of its day: of the visit for what was measured
or asked there, of the episode's first day for a diagnosis. Dates that stand for "unknown" (1900-01-01 and others up to
1909-09-09, 2037-07-07; data-codings 272 and 819) are no dates.
"""

from __future__ import annotations

from datetime import date
from typing import Final

import polars as pl

from mhdiff.cohort import meds
from mhdiff.cohort.account import Account
from mhdiff.cohort.cohort import UNKNOWN_SITE
from mhdiff.cohort.measurements.harmonise import BASE, OWN
from mhdiff.cohort.reference_ranges import fill_ranges
from mhdiff.cohort.typed import TIME
from mhdiff.cohort.uk_biobank import fields as f

_LAST = pl.duration(days=1) - pl.duration(microseconds=1)
_FIRST_REAL, _FUTURE = date(1910, 1, 1), date(2037, 1, 1)
_SEXES: Final = {"0": "F", "1": "M", "Female": "F", "Male": "M"}
_IMAGED = 2  # the first visit with imaging; 3 is its repeat
_ICD = r"^[A-Z]\d{2}[0-9X]?\d*$"


def day(text: pl.Expr) -> pl.Expr:
    """Give the end of a day that is written as 2014-05-02, null where it stands for an unknown one.

    Args:
        text: The value.
    """
    found = text.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    real = (found >= _FIRST_REAL) & (found < _FUTURE)
    return pl.when(real).then(found).cast(TIME) + _LAST


def people(values: pl.DataFrame, subjects: pl.Series) -> pl.DataFrame:
    """Give sex, birth and site of participants: the centre of the first visit with imaging, else of the first visit.

    Args:
        values: Their values.
        subjects: Their eids.
    """
    first = values.filter(pl.col("index") == 0).unique(["subject_id", "field", "instance"], keep="first")
    sex = _of(first, f.SEX).with_columns(
        sex=pl.col("value").replace_strict(_SEXES, default=None, return_dtype=pl.String)
    )
    year, month = (
        _of(first, field).select("subject_id", pl.col("value").cast(pl.Int32, strict=False).alias(name))
        for field, name in ((f.YEAR, "year"), (f.MONTH, "month"))
    )
    known = pl.col("month").is_between(1, 12)
    born = (
        year.filter(pl.col("year").is_between(1900, 2030))
        .join(month, on="subject_id", how="left")
        .select(
            "subject_id",
            time=pl.datetime("year", pl.when(known).then("month").otherwise(1), 1).cast(TIME),
            code=pl.lit(meds.BIRTH),
        )
    )
    centre = (
        first.filter(pl.col("field") == f.CENTRE)
        .with_columns(imaged=pl.col("instance") == _IMAGED)
        .sort("subject_id", "imaged", pl.col("instance"), descending=[False, True, False])
        .unique("subject_id", keep="first", maintain_order=True)
    )
    names = {str(number): name for number, name in f.CENTRES.items()}
    site = pl.col("value").replace_strict(names, default=None, return_dtype=pl.String).fill_null(UNKNOWN_SITE)
    sites = pl.DataFrame({"subject_id": subjects}).join(
        centre.select("subject_id", site=site), on="subject_id", how="left"
    )
    return pl.concat(
        [
            sites.select(
                "subject_id", code=pl.concat_str(pl.lit("SITE//"), pl.col("site").fill_null(UNKNOWN_SITE))
            ),
            sex.drop_nulls("sex").select("subject_id", code=pl.concat_str(pl.lit("GENDER//"), "sex")),
            born,
        ],
        how="diagonal",
    )


def _of(values: pl.DataFrame, field: int) -> pl.DataFrame:
    own = values.filter(pl.col("field") == field)
    return own.unique("subject_id", keep="first", maintain_order=True)


def visits(values: pl.DataFrame) -> pl.DataFrame:
    """Give subject_id, instance, time and line of every visit.

    Args:
        values: Values of participants.
    """
    found = values.filter(pl.col("field") == f.VISITED, pl.col("index") == 0)
    made = found.select("subject_id", "instance", line="row", time=day(pl.col("value")))
    return made.drop_nulls("time").unique(["subject_id", "instance"], keep="first", maintain_order=True)


def measured(values: pl.DataFrame, seen: pl.DataFrame, table: str, account: Account) -> pl.DataFrame:
    """Give numbers and choices, each at its visit.

    Args:
        values: Values of participants.
        seen: What `visits` gave.
        table: The main dataset's name in accounts.
        account: Filled.
    """
    asked = values.filter(pl.col("field").is_in([*f.NUMBERS, *f.CHOICES]))
    rows = asked.join(
        seen.select("subject_id", "instance", "time"), on=["subject_id", "instance"], how="left"
    )
    number = pl.col("value").cast(pl.Float64, strict=False)
    numeric = pl.col("field").is_in(list(f.NUMBERS))
    wrong = rows.filter(numeric & ~number.is_finite().fill_null(False))
    for field, n, line in (
        wrong.group_by("field").agg(pl.len(), pl.col("row").min()).sort("field").iter_rows()
    ):
        account.refuse("the value is no number", table, line, f"field {field}", n)
    timeless = rows.filter(pl.col("time").is_null())
    if timeless.height:
        account.dropped.add("value: its visit has no date", timeless["row"].sort()[0], n=timeless.height)
    rows = rows.filter(pl.col("time").is_not_null())
    codes = {field: f"{f.code_of(field)}//{kind.unit}" for field, kind in f.NUMBERS.items()}
    numbers = rows.filter(numeric & number.is_finite().fill_null(False)).select(
        "subject_id", "time", code=pl.col("field").replace_strict(codes, return_dtype=pl.String), numeric_value=number
    )  # fmt: skip
    texts = {
        f"{field} {value}": f"UKB/{field}//{name}"
        for field, (_, known) in f.CHOICES.items()
        for value, name in known.items()
    }
    said = pl.concat_str(
        pl.col("field").cast(pl.String), pl.lit(" "), number.cast(pl.Int64, strict=False).cast(pl.String)
    )
    chosen = rows.filter(~numeric).select(
        "subject_id", "time", code=said.replace_strict(texts, default=None, return_dtype=pl.String)
    )
    silent = int(chosen["code"].null_count())
    if silent:
        account.dropped.add("choice: prefers not to answer, does not know, or another value", n=silent)
    return pl.concat([numbers, chosen.drop_nulls("code").unique(maintain_order=True)], how="diagonal")


def diagnoses(values: pl.DataFrame, table: str, account: Account) -> pl.DataFrame:
    """Give subject_id, time and code of ICD-10 diagnoses: entry k of 41270 is dated by entry k of 41280.

    Args:
        values: Values of participants.
        table: The main dataset's name in accounts.
        account: Filled.
    """
    codes = _listed(values.filter(pl.col("field") == f.ICD10))
    dates = values.filter(pl.col("field") == f.ICD10_DATES).select(
        "subject_id", "instance", "index", time=day(pl.col("value"))
    )
    rows = codes.join(dates, on=["subject_id", "instance", "index"], how="left")
    wrong = ~pl.col("value").str.contains(_ICD)
    if (bad := rows.filter(wrong)).height:
        account.refuse(
            "the value is no ICD-10 code", table, bad["row"].sort()[0], f"field {f.ICD10}", bad.height
        )
    rows = rows.filter(~wrong)
    undated = rows.filter(pl.col("time").is_null())
    if undated.height:
        account.dropped.add(
            "diagnosis: no date, or one that stands for an unknown one",
            undated["row"].sort()[0],
            n=undated.height,
        )
    return rows.drop_nulls("time").select("subject_id", "time", code=icd10(pl.col("value")))


def _listed(codes: pl.DataFrame) -> pl.DataFrame:
    """The platform exports an array as one value, ['I10', 'G30'] or I10|G30: its entries are numbered here."""
    several = pl.col("value").str.contains(r"[|\[,]")
    bare = pl.col("value").str.replace_all(r"[\[\]'\" ]", "").str.replace_all(",", "|", literal=True)
    split = codes.filter(several).with_columns(bare.str.split("|"))
    numbered = split.with_columns(index=pl.int_ranges(0, pl.col("value").list.len(), dtype=pl.Int64)).explode(
        "value", "index"
    )
    return pl.concat([codes.filter(~several), numbered.select(codes.columns)])


def icd10(code: pl.Expr) -> pl.Expr:
    """Give ICD10/G30.9 for G309: hospital data leave the point out, and fill three-character codes with X.

    Args:
        code: The value.
    """
    text = code.str.replace(r"X$", "").str.replace(r"^([A-Z]\d{2})(\d+)$", "$1.$2")
    return pl.concat_str(pl.lit("ICD10/"), text)


def later(values: pl.DataFrame, table: str, account: Account) -> pl.DataFrame:
    """Give deaths with their causes, and the dates of algorithmically defined outcomes.

    Args:
        values: Values of participants.
        table: The main dataset's name in accounts.
        account: Filled.
    """
    dated = values.filter(pl.col("field").is_in([f.DIED, *f.OUTCOMES])).with_columns(
        time=day(pl.col("value"))
    )
    unknown = dated.filter(pl.col("time").is_null())
    if unknown.height:
        account.dropped.add(
            "outcome: its date stands for an unknown one", unknown["row"].sort()[0], n=unknown.height
        )
    dated = dated.drop_nulls("time")
    dead = dated.filter(pl.col("field") == f.DIED).unique("subject_id", keep="first", maintain_order=True)
    causes = values.filter(pl.col("field").is_in([f.CAUSE, f.CAUSES]), pl.col("value").str.contains(_ICD))
    named = causes.join(dead.select("subject_id", "time"), on="subject_id")
    outcomes = dated.filter(pl.col("field") != f.DIED)
    return pl.concat(
        [
            named.select("subject_id", "time", code=icd10(pl.col("value"))).unique(maintain_order=True),
            dead.select("subject_id", "time", code=pl.lit("MEDS_DEATH")),
            outcomes.select(
                "subject_id",
                "time",
                code=pl.concat_str(pl.lit("UKB_OUTCOME//"), pl.col("field").cast(pl.String)),
            ),
        ]
    )


def ranged(events: pl.DataFrame, births: pl.DataFrame, ranges: pl.DataFrame) -> pl.DataFrame:
    """Give measurements the reference ranges of a table of the user's own, by unit, sex and age.

    Args:
        events: All events of some participants, in the columns of `meds.EVENTS`.
        births: Their subject_id and born.
        ranges: What `reference_ranges.read_ranges` gave.
    """
    prefix = "GENDER//"
    sexes = events.filter(pl.col("code").str.starts_with(prefix)).select(
        "subject_id", gender=pl.col("code").str.strip_prefix(prefix)
    )
    known = events.with_columns(
        base=pl.col("code").str.extract(BASE),
        unit=pl.col("code").str.extract(OWN),
        **dict.fromkeys(("ref_low", "ref_high"), pl.lit(None, pl.Float64)),
    )
    for one in (sexes, births):
        known = known.join(
            one.unique("subject_id", keep="first"), on="subject_id", how="left", maintain_order="left"
        )
    return fill_ranges(known, ranges).select(*events.columns, "ref_low", "ref_high")
