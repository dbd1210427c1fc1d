"""patient.csv -> stays: whose they are and when. A subject is a hospital stay.

eICU says when a thing was in minutes from the admission to the unit, and of a hospital stay the year in which it ended
and the clock at its beginning. The order of a patient's hospital stays within a year is not known, so the events of a
patient cannot be put on one line of time: what came first might have come last. So

    subject          = patienthealthsystemstayid; those of one patient (uniquepid) are one group, in one split
    hospital         = 1 January of hospitaldischargeyear + hospitaladmittime24      the day is invented
    unit             = hospital - hospitaladmitoffset                                of each stay in a unit
    any other time   = unit + its own offset
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import polars as pl

from mhdiff.cohort import meds
from mhdiff.cohort.import_report import ImportReport
from mhdiff.cohort.omop_tables import whole
from mhdiff.cohort.table_files import find, need, reading, scan
from mhdiff.cohort.values import subject_number
from ontology.errors import InputError

REMEDY: Final = "Give the folder with eICU's tables: patient.csv or patient.csv.gz and others"
LABEL: Final = "hospital_mortality"
FAR: Final = 5_256_000  # minutes: ten years
_COLUMNS: Final = (
    *(
        "patientunitstayid",
        "patienthealthsystemstayid",
        "uniquepid",
        "gender",
        "age",
        "hospitalid",
        "unittype",
    ),
    *("hospitaladmittime24", "hospitaladmitoffset", "hospitaldischargeyear", "hospitaldischargeoffset"),
    *("hospitaldischargestatus", "hospitaldischargelocation", "unitdischargeoffset", "unitdischargelocation"),
)
_SEXES: Final = {"Female": "F", "Male": "M"}


class Stays(NamedTuple):
    """The stays in units.

    Attributes:
        table: stay (patientunitstayid), subject_id, unit and hospital (times), born, gender, patient, site, and when
            the unit and the hospital were left, how and where to.
        events: Events of who somebody is and of the stays themselves.
        groups: subject_id, group: hospital stays of one patient.
        labels: Whether the patient died in hospital, asked 24 hours after the first admission to a unit.
    """

    table: pl.DataFrame
    events: pl.DataFrame
    groups: pl.DataFrame
    labels: pl.DataFrame


def read_stays(root: Path, report: ImportReport) -> Stays:
    """Read the stays.

    Args:
        root: Folder of the tables.
        report: Filled.

    Raises:
        InputError: If patient.csv is missing or lacks a column, or too many rows are refused.
    """
    if not root.is_dir():
        raise InputError("there is no such folder", path=root, remedy=REMEDY)
    files = find([root], "patient")
    if not files:
        raise InputError("there is no table 'patient'", path=root, remedy=REMEDY)
    file = files[0]
    need(file, scan(file).collect_schema().names(), _COLUMNS)
    with reading(file):
        rows = (
            scan(file)
            .select("row", *(pl.col(c).cast(pl.String).str.strip_chars() for c in _COLUMNS))
            .collect()
        )
    rows = rows.with_columns(pl.when(pl.col(c) != "").then(pl.col(c)).alias(c) for c in _COLUMNS)
    empty = pl.all_horizontal(pl.col(c).is_null() for c in _COLUMNS)
    for row in rows.filter(empty)["row"]:
        report.dropped.add("patient row: empty", row)
    rows = rows.filter(~empty)
    report.refused.read(file, rows.height)
    table = _checked(rows, file, report)
    report.refused.check()
    if table.is_empty():
        raise InputError("there is no usable row", path=file, remedy=REMEDY)
    report.read |= {
        "stays in units": table.height,
        "hospital stays": table["subject_id"].n_unique(),
        "patients": table["patient"].n_unique(),
    }
    first = table.unique("subject_id", keep="first", maintain_order=True)
    group = pl.col("subject_id").min().over("patient")
    return Stays(
        table, _events(table, first, report), first.select("subject_id", group=group), _labels(first, report)
    )


def _checked(rows: pl.DataFrame, file: Path, report: ImportReport) -> pl.DataFrame:
    """Refuse rows that have no place in time or belong to nobody, and read the others."""
    clock = pl.col("hospitaladmittime24").str.to_time("%H:%M:%S", strict=False)
    year = whole("hospitaldischargeyear")
    years = pl.when(pl.col("age").str.starts_with(">")).then(pl.lit("90")).otherwise(pl.col("age"))
    rows = rows.with_columns(
        stay=whole("patientunitstayid"), admitted=whole("hospitaladmitoffset"), left=whole("unitdischargeoffset"),
        home=whole("hospitaldischargeoffset"), clock=clock, year=year, years=years.cast(pl.Float64, strict=False),
    )  # fmt: skip
    far = pl.max_horizontal(pl.col(c).abs() for c in ("admitted", "left", "home")) > FAR
    for column, bad, reason in (
        ("patientunitstayid", pl.col("stay").is_null(), "the stay has no number"),
        ("patientunitstayid", ~pl.col("stay").is_first_distinct(), "the stay is there twice"),
        (
            "patienthealthsystemstayid",
            pl.col("patienthealthsystemstayid").is_null(),
            "there is no hospital stay",
        ),
        ("uniquepid", pl.col("uniquepid").is_null(), "there is no patient"),
        ("hospitaladmitoffset", pl.col("admitted").is_null(), "the offset is no number of minutes"),
        ("unitdischargeoffset", pl.col("left").is_null(), "the offset is no number of minutes"),
        ("hospitaldischargeoffset", pl.col("home").is_null(), "the offset is no number of minutes"),
        ("hospitaladmitoffset", far, "the offset is more than ten years"),
        ("hospitaladmittime24", pl.col("clock").is_null(), "the time of day is none"),
        ("hospitaldischargeyear", ~pl.col("year").is_between(1990, 2100), "the year is none"),
        ("age", pl.col("age").is_not_null() & ~pl.col("years").is_between(0, 130), "the age is none"),
    ):
        wrong = bad.fill_null(True)
        report.refused.add_lines(reason, file, rows.filter(wrong)["row"], column, remedy="Correct the row")
        rows = rows.filter(~wrong)
    hospital = pl.datetime(pl.col("year"), 1, 1, time_unit="us").dt.combine(pl.col("clock"), time_unit="us")
    if old := rows["age"].str.starts_with(">").sum():
        report.changed.add("age: '> 89' is read as 90", n=int(old))
    ids = {text: subject_number(text) for text in rows["patienthealthsystemstayid"].unique()}
    return (
        rows.with_columns(hospital=hospital)
        .with_columns(unit=_after("hospital", -pl.col("admitted")))
        .select(
            "row", "stay", "unit", "hospital",
            subject_id=pl.col("patienthealthsystemstayid").replace_strict(ids, return_dtype=pl.Int64),
            patient="uniquepid",
            gender=pl.col("gender").replace_strict(_SEXES, default=None, return_dtype=pl.String),
            years=pl.col("years"),
            site=pl.col("hospitalid").fill_null("unknown"),
            kind="unittype", unit_left=_after("unit", pl.col("left")), unit_to="unitdischargelocation",
            hospital_left=_after("unit", pl.col("home")), hospital_to="hospitaldischargelocation",
            status="hospitaldischargestatus",
        )
        .with_columns(born=pl.col("hospital") - pl.duration(days=((pl.col("years") + 0.5) * 365.25).round()))
        .sort("subject_id", "unit", "stay")
    )  # fmt: skip


def _after(start: str, minutes: pl.Expr) -> pl.Expr:
    return pl.col(start) + pl.duration(minutes=minutes)


def _events(table: pl.DataFrame, first: pl.DataFrame, report: ImportReport) -> pl.DataFrame:
    """Give sex, site, birth, death, and the stays as events; a place is a word of the source's dictionary."""
    for row in first.filter(pl.col("gender").is_null())["row"]:
        report.changed.add("gender: neither female nor male, none is written", row)
    never = pl.lit(None, pl.Datetime("us"))
    died = first.filter(pl.col("status") == "Expired")
    frames = [
        first.select("subject_id", time=never, code=_code("SITE", "site")),
        first.drop_nulls("gender").select("subject_id", time=never, code=_code("GENDER", "gender")),
        first.drop_nulls("born").select(
            "subject_id", time=pl.col("born").dt.truncate("1d"), code=pl.lit(meds.BIRTH)
        ),
        first.select("subject_id", time="hospital", code=pl.lit("HOSPITAL_ADMISSION")),
        table.select("subject_id", time="unit", code=_code("ICU_ADMISSION", "kind")),
        table.select("subject_id", time="unit_left", code=_code("ICU_DISCHARGE", "unit_to")),
        first.select("subject_id", time="hospital_left", code=_code("HOSPITAL_DISCHARGE", "hospital_to")),
        died.select("subject_id", time="hospital_left", code=pl.lit("MEDS_DEATH")),
    ]
    return pl.concat(frames)


def _code(kind: str, column: str) -> pl.Expr:
    place = pl.col(column).fill_null("not stated").str.replace_all("/+", " or ")
    return pl.concat_str(pl.lit(f"{kind}//"), place)


def _labels(first: pl.DataFrame, report: ImportReport) -> pl.DataFrame:
    """Give died or survived of those who are in hospital 24 hours after their first admission to a unit."""
    asked = first.with_columns(asked=pl.col("unit") + pl.duration(hours=24))
    for reason, out in (
        ("neither alive nor expired at discharge", ~pl.col("status").is_in(["Alive", "Expired"])),
        ("left the hospital or died within 24 hours of the unit", pl.col("hospital_left") <= pl.col("asked")),
    ):
        for row in asked.filter(out.fill_null(True))["row"]:
            report.dropped.add(f"{LABEL}: {reason}", row)
        asked = asked.filter(~out.fill_null(True))
    value = pl.when(pl.col("status") == "Expired").then(pl.lit("died")).otherwise(pl.lit("survived"))
    return asked.select("subject_id", prediction_time="asked", categorical_value=value)
