"""From values of fields to MEDS events: visits, measurements, choices, diagnoses, death.

UK Biobank states days and no times of day, so everything is at the end of its day: of the visit for what was measured
or asked there, of the episode's first day for a diagnosis. Dates that stand for "unknown" (1900-01-01 and others up to
1909-09-09, 2037-07-07; data-codings 272 and 819) are no dates.
"""

from __future__ import annotations

from datetime import date
from typing import Final

import polars as pl

from mhdiff.cohort.account import Account
from mhdiff.cohort.measurements.harmonise import BASE, OWN
from mhdiff.cohort.reference_ranges import fill_ranges
from mhdiff.cohort.typed import TIME
from mhdiff.cohort.uk_biobank import fields as f

_LAST = pl.duration(days=1) - pl.duration(microseconds=1)
_FIRST_REAL, _FUTURE = date(1910, 1, 1), date(2037, 1, 1)
_DATES: Final = (f.VISITED, f.ICD10_DATES, f.DIED, *f.OUTCOMES)
_ICD = r"^[A-Z]\d{2}[0-9X]?\d*$"


def day(text: pl.Expr) -> pl.Expr:
    """Give the end of a day that is written as 2014-05-02, null where it stands for an unknown one.

    Args:
        text: The value.
    """
    found = _date(text)
    real = (found >= _FIRST_REAL) & (found < _FUTURE)
    return pl.when(real).then(found).cast(TIME) + _LAST


def _date(text: pl.Expr) -> pl.Expr:
    return text.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)


def refuse_dates(values: pl.DataFrame, table: str, account: Account) -> None:
    """Count the values that are no dates and should be; what they were to date is left out, and counted by itself.

    Args:
        values: Values of participants.
        table: The main dataset's name in accounts.
        account: Filled.
    """
    wrong = values.filter(pl.col("field").is_in(_DATES), _date(pl.col("value")).is_null())
    refuse(wrong, "the value is no date", table, account)


def refuse(values: pl.DataFrame, reason: str, table: str, account: Account) -> None:
    """Refuse values, field by field.

    Args:
        values: Those that are broken.
        reason: What is wrong.
        table: The main dataset's name in accounts.
        account: Filled.
    """
    counted = values.group_by("field").agg(pl.len(), pl.col("row").min()).sort("field")
    for field, n, line in counted.iter_rows():
        account.refuse(reason, table, line, f"field {field}", n)


def drop(values: pl.DataFrame, reason: str, account: Account) -> None:
    """Count values that are left out, with the first line.

    Args:
        values: The values.
        reason: Why.
        account: Filled.
    """
    if values.height:
        account.dropped.add(reason, values["row"].min(), n=values.height)  # type: ignore[arg-type]


def visits(values: pl.DataFrame) -> pl.DataFrame:
    """Give subject_id, instance, time and line of every visit.

    Args:
        values: Values of participants.
    """
    found = values.filter(pl.col("field") == f.VISITED, pl.col("index") == 0)
    made = found.select("subject_id", "instance", line="row", time=day(pl.col("value")))
    return made.drop_nulls("time").unique(["subject_id", "instance"], keep="first", maintain_order=True)


def count_visits(values: pl.DataFrame, account: Account) -> None:
    """Count the visits whose day stands for an unknown one, which `visits` leaves out.

    Args:
        values: Values of participants.
        account: Filled.
    """
    stated = values.filter(pl.col("field") == f.VISITED, pl.col("index") == 0)
    drop(stated.filter(_unknown()), "visit: its date stands for an unknown one", account)


def _unknown() -> pl.Expr:
    """A date that stands for an unknown one."""
    return _date(pl.col("value")).is_not_null() & day(pl.col("value")).is_null()


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
    refuse(
        rows.filter(numeric & ~number.is_finite().fill_null(False)), "the value is no number", table, account
    )
    drop(rows.filter(pl.col("time").is_null()), "value: its visit has no date", account)
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
    refuse(rows.filter(wrong), "the value is no ICD-10 code", table, account)
    rows = rows.filter(~wrong)
    undated = rows.filter(pl.col("time").is_null())
    drop(undated, "diagnosis: no date, or one that stands for an unknown one", account)
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
    stated = values.filter(pl.col("field").is_in([f.DIED, *f.OUTCOMES]))
    drop(stated.filter(_unknown()), "outcome: its date stands for an unknown one", account)
    dated = stated.with_columns(time=day(pl.col("value"))).drop_nulls("time")
    deaths = dated.filter(pl.col("field") == f.DIED)
    dead = deaths.unique("subject_id", keep="first", maintain_order=True)
    first = deaths.join(dead.select("subject_id", at="time"), on="subject_id")
    drop(first.filter(pl.col("time") != pl.col("at")), "death: a second record has another date", account)
    causes = values.filter(pl.col("field").is_in([f.CAUSE, f.CAUSES]))
    sound = pl.col("value").str.contains(_ICD)
    refuse(causes.filter(~sound), "the value is no ICD-10 code", table, account)
    alive = causes.filter(sound).join(dead, on="subject_id", how="anti")
    drop(alive, "cause of death: the death has no date", account)
    named = causes.filter(sound).join(dead.select("subject_id", "time"), on="subject_id")
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
