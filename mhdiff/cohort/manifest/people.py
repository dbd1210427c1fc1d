"""Whose a row is and when: subjects, times and births; rows that have neither are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from mhdiff.cohort import meds
from mhdiff.cohort.cohort import UNKNOWN_SITE
from mhdiff.cohort.import_report import ImportReport
from mhdiff.cohort.manifest.columns import Columns
from mhdiff.cohort.text_rows import LINE
from mhdiff.cohort.values import numbers, stated, subject_number, times
from ontology.errors import InputError

SUBJECT, TIME, BORN, SOURCE = "\0subject", "\0time", "\0born", "\0source"
INVENTED: Final = pl.datetime(2020, 1, 1, time_unit="us")
_ISO: Final = (
    "Write it as 2020-03-31 or 2020-03-31 14:05, or declare its form: time: {column: ..., format: ...}"
)
_OLDEST: Final = 130.0  # years


def place_rows(rows: pl.DataFrame, columns: Columns, file: Path, report: ImportReport) -> pl.DataFrame:
    """Give rows their subject and time, and refuse those that have none.

    Args:
        rows: What `read_rows` gave.
        columns: What is declared.
        file: The manifest.
        report: Filled.

    Returns:
        The rows that are left, with `SUBJECT`, `SOURCE` (the source's id), `TIME` and `BORN` (null if not stated),
        sorted by subject, time and line.
    """
    texts = {entry.column for entry in columns.notes}
    rows = rows.with_columns(stated(name).alias(name) for name in columns.used if name not in texts)
    rows = _keyed(rows, columns, file, report)
    rows = _timed(rows, columns, file, report)
    rows = _born(rows, columns, file, report)
    early = pl.col(TIME) < pl.col(BORN)
    report.refused.add_lines(
        "the row's time is before the birth",
        file,
        rows.filter(early)[LINE],
        columns.time.column,
        remedy="Correct one of the two",
    )
    return rows.filter(~early.fill_null(False)).sort(SUBJECT, TIME, LINE)


def _keyed(rows: pl.DataFrame, columns: Columns, file: Path, report: ImportReport) -> pl.DataFrame:
    none = pl.col(columns.subject).is_null()
    report.refused.add_lines(
        "the row has no subject", file, rows.filter(none)[LINE], columns.subject, remedy="Fill the cell"
    )
    rows = rows.filter(~none)
    again = ~pl.struct(*columns.used).is_first_distinct()
    for line in rows.filter(again)[LINE]:
        report.dropped.add("row: another row says the same", line)
    rows = rows.filter(~again)
    if columns.key is not None:
        twice = pl.col(columns.key).is_not_null() & ~pl.col(columns.key).is_first_distinct()
        report.refused.add_lines(
            "the key is there twice", file, rows.filter(twice)[LINE], columns.key, remedy="Keep one row a key"
        )
        rows = rows.filter(~twice)
    ids = rows[columns.subject].unique().sort().to_list()
    table = {source: subject_number(source) for source in ids}
    if len(set(table.values())) < len(table):
        raise InputError(
            "two ids of subjects get one number",
            path=file,
            column=columns.subject,
            remedy="Number the subjects yourself",
        )
    number = pl.col(columns.subject).replace_strict(table, return_dtype=pl.Int64)
    return rows.with_columns(number.alias(SUBJECT), pl.col(columns.subject).alias(SOURCE))


def _timed(rows: pl.DataFrame, columns: Columns, file: Path, report: ImportReport) -> pl.DataFrame:
    when = columns.time
    if when.column is None:
        report.choices.append("No time is declared: every row is on 2020-01-01, which is invented.")
        return rows.with_columns(INVENTED.alias(TIME))
    if when.unit is None:
        return read_time(rows, when.column, TIME, when.form, file, report, needed=True)
    bad = numbers(when.column).is_null()
    report.refused.add_lines(
        "the row has no offset that is a number",
        file,
        rows.filter(bad)[LINE],
        when.column,
        remedy="Write a number of " + when.unit,
    )
    rows = rows.filter(~bad).with_columns(INVENTED.alias(TIME))
    if when.start is not None:
        rows = read_time(rows, when.start, TIME, when.form, file, report, needed=True)
    else:
        report.choices.append(
            "Offsets count from 2020-01-01, which is invented; no calendar is to be trusted."
        )
    micros = {"minutes": 60_000_000, "hours": 3_600_000_000, "days": 86_400_000_000}[when.unit]
    shift = (numbers(when.column) * micros).round().cast(pl.Int64, strict=False).cast(pl.Duration("us"))
    moved = rows.with_columns((pl.col(TIME) + shift).alias(TIME))
    century = pl.duration(days=36_525)
    far = shift.is_null() | (shift.abs() > century)
    report.refused.add_lines(
        "the offset is more than a century", file, moved.filter(far)[LINE], when.column, remedy="See its unit"
    )
    return moved.filter(~far)


def read_time(
    rows: pl.DataFrame,
    column: str,
    name: str,
    form: str | None,
    file: Path,
    report: ImportReport,
    *,
    needed: bool = False,
) -> pl.DataFrame:
    """Read a column of times into another; rows whose time cannot be read are refused.

    Args:
        rows: With the column, text.
        column: The column.
        name: The column to make.
        form: strptime's form, None for ISO 8601.
        file: The manifest.
        report: Filled.
        needed: Whether a row without a time is refused, too.
    """
    when = times(column, form)
    read = rows.with_columns(when.time.alias(name))
    bad = pl.col(name).is_null() & pl.col(column).is_not_null()
    remedy = _ISO if form is None else f"Write it as the declared form {form} says"
    report.refused.add_lines(
        "the time is none, or has a zone", file, read.filter(bad)[LINE], column, remedy=remedy
    )
    if needed:
        none = pl.col(column).is_null()
        report.refused.add_lines(
            "the row has no time", file, read.filter(none)[LINE], column, remedy="Fill the cell"
        )
        bad = bad | none
    days = read.filter(~bad, when.dated)[LINE]
    if len(days):
        report.changed.add(f"{column}: no time of day, put at the end of the day", days[0], len(days))
    return read.filter(~bad)


def _born(rows: pl.DataFrame, columns: Columns, file: Path, report: ImportReport) -> pl.DataFrame:
    """Give every row the subject's birth: the first that is stated, or that follows from the first age."""
    if columns.birth is not None:
        day = times(columns.birth, columns.time.form).time
        day = pl.coalesce(times(columns.birth).time, day).dt.truncate("1d")
        stated_in, remedy = columns.birth, "Write it as 1950-03-31"
    elif columns.age is not None:
        years = numbers(columns.age)
        age = pl.when(years.is_between(0.0, _OLDEST)).then(years)
        exact = age + pl.when(age == age.floor()).then(0.5).otherwise(0.0)  # 40 is from 40 to 41
        day = (pl.col(TIME) - pl.duration(days=(exact * 365.25).round())).dt.truncate("1d")
        stated_in, remedy = columns.age, f"Write years from 0 to {_OLDEST:g}"
    else:
        return rows.with_columns(pl.lit(None, pl.Datetime("us")).alias(BORN))
    rows = rows.with_columns(day.alias(BORN))
    bad = pl.col(BORN).is_null() & pl.col(stated_in).is_not_null()
    report.refused.add_lines(
        f"the {'birth' if columns.birth else 'age'} is none",
        file,
        rows.filter(bad)[LINE],
        stated_in,
        remedy=remedy,
    )
    known = rows.filter(pl.col(BORN).is_not_null()).sort(TIME, LINE)
    first = known.group_by(SUBJECT, maintain_order=True).agg(
        pl.col(BORN).first(), pl.col(LINE).first(), pl.col(BORN).n_unique().alias("n")
    )
    if columns.birth is not None:
        for line in first.filter(pl.col("n") > 1)[LINE]:
            report.changed.add("birth: rows of a subject disagree, the first is used", line)
    return rows.drop(BORN).join(first.select(SUBJECT, BORN), on=SUBJECT, how="left", maintain_order="left")


def static_events(
    rows: pl.DataFrame, columns: Columns, report: ImportReport
) -> tuple[pl.DataFrame, dict[int, str]]:
    """Give sex, site and birth as events, and subject -> site.

    Args:
        rows: What `place_rows` gave.
        columns: What is declared.
        report: Filled.
    """
    sites = dict.fromkeys(rows[SUBJECT].unique().sort().to_list(), UNKNOWN_SITE)
    if columns.site is not None:
        name = pl.col(columns.site).str.replace_all("/+", "/")
        sites |= _agreed(rows.with_columns(name), columns.site, "site", report, first=True)
        if n := sum(site == UNKNOWN_SITE for site in sites.values()):
            report.changed.add("site: not stated, 'unknown'", n=n)
    frames = [_events([(s, f"SITE//{site}") for s, site in sites.items()])]
    if columns.sex is not None:
        sex = pl.col(columns.sex).str.to_lowercase().replace_strict(columns.sexes, default=None)
        strange = rows.filter(pl.col(columns.sex).is_not_null(), sex.is_null())[LINE]
        for line in strange:
            report.dropped.add("sex: neither female nor male as declared", line)
        sexes = _agreed(rows.with_columns(sex), columns.sex, "sex", report, first=False)
        frames.append(_events([(s, f"GENDER//{value}") for s, value in sexes.items()]))
    births = rows.filter(pl.col(BORN).is_not_null()).unique(SUBJECT, keep="first", maintain_order=True)
    born = births.select(subject_id=SUBJECT, time=BORN, code=pl.lit(meds.BIRTH))
    return pl.concat([*frames, born]), sites


def _events(rows: list[tuple[int, str]]) -> pl.DataFrame:
    frame = pl.DataFrame(rows, schema={"subject_id": pl.Int64, "code": pl.String}, orient="row")
    return frame.select("subject_id", pl.lit(None, pl.Datetime("us")).alias("time"), "code")


def _agreed(
    rows: pl.DataFrame, column: str, what: str, report: ImportReport, *, first: bool
) -> dict[int, str]:
    """Give subject -> value; where rows disagree the first, or none."""
    said = rows.filter(pl.col(column).is_not_null())
    per = said.group_by(SUBJECT, maintain_order=True).agg(
        pl.col(column).first(), pl.col(LINE).first(), pl.col(column).n_unique().alias("n")
    )
    for line in per.filter(pl.col("n") > 1)[LINE]:
        if first:
            report.changed.add(f"{what}: rows of a subject disagree, the first is used", line)
        else:
            report.dropped.add(f"{what}: rows of a subject disagree", line)
    return dict((per if first else per.filter(pl.col("n") == 1)).select(SUBJECT, column).iter_rows())
