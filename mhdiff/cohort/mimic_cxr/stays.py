"""From MIMIC-IV's rows of some subjects to MEDS events: who they are, stays, diagnoses, procedures, laboratory values.

Times, so that nothing is known too early: a diagnosis is coded after the stay and stands at its discharge; a procedure
of a day at the day's end; a laboratory value when its result was stored, not when the specimen was drawn; birth at the
first moment of anchor_year - anchor_age, which is at most a year off (of those over 89 it is a nominal one).
"""

from __future__ import annotations

from typing import Final

import polars as pl

from mhdiff.cohort import meds
from mhdiff.cohort.account import Account
from mhdiff.cohort.mimic_cxr.hospital import icd
from mhdiff.cohort.mimic_cxr.labitems import UNITS, Items
from mhdiff.cohort.mimic_cxr.marks import without_marks
from mhdiff.cohort.typed import TIME

SITE: Final = "Beth Israel Deaconess"
_OLDEST = 91  # what anchor_age says of everybody over 89
_LAST = pl.duration(days=1) - pl.duration(microseconds=1)
SCHEMA: Final = {
    **meds.EVENTS,
    "ref_low": pl.Float32(),
    "ref_high": pl.Float32(),
    "source_code": pl.String(),
}
#: Tables that `stay_events` reads.
STAYS: Final = ("admissions", "icustays", "diagnoses_icd", "procedures_icd")
Tables = dict[str, pl.DataFrame]


def person_events(tables: Tables, subjects: pl.Series, account: Account) -> pl.DataFrame:
    """Give site, sex, race, birth and death.

    Args:
        tables: Rows of some subjects by table; patients and admissions may be missing.
        subjects: All subject_ids, also those of whom the hospital's tables know nothing.
        account: Filled.
    """
    made = [pl.DataFrame({"subject_id": subjects}).with_columns(code=pl.lit(f"SITE//{SITE}"))]
    people = tables.get("patients")
    if people is not None:
        account.read["subjects with a row in patients"] += people.height
        sex = people.filter(pl.col("gender").is_in(["F", "M"]))
        made.append(sex.select("subject_id", code=pl.concat_str(pl.lit("GENDER//"), "gender")))
        if n := people.height - sex.height:
            account.changed.add("patients: gender neither F nor M, none is written", n=n)
        if n := people.filter(pl.col("anchor_age") >= _OLDEST).height:
            account.changed.add("patients: over 89, the age is a nominal one", n=n)
        born = births(people)
        if n := people.height - born.height:
            account.changed.add(
                "patients: no age from 0 to 120, so no birth, and no event is held against it", n=n
            )
        made.append(born.select("subject_id", time="born", code=pl.lit(meds.BIRTH)))
    stays = tables.get("admissions")
    died = _deaths(people, stays)
    made.append(died.select("subject_id", "time", code=pl.lit("MEDS_DEATH")))
    if stays is not None:
        races = stays.drop_nulls("race").group_by("subject_id").agg(pl.col("race").unique())
        one = races.filter(pl.col("race").list.len() == 1)
        if n := races.height - one.height:
            account.changed.add("admissions: a subject's rows disagree on race, none is written", n=n)
        made.append(
            one.select("subject_id", code=pl.concat_str(pl.lit("RACE//"), pl.col("race").list.first()))
        )
    return pl.concat(made, how="diagonal")


def births(people: pl.DataFrame) -> pl.DataFrame:
    """Give subject_id and born, where the age is known.

    Args:
        people: Rows of patients.
    """
    year = pl.col("anchor_year") - pl.col("anchor_age")
    known = people.filter(pl.col("anchor_age").is_between(0, 120), year.is_between(1, 9999))
    return known.select("subject_id", born=pl.datetime(year, 1, 1).cast(TIME))


def _deaths(people: pl.DataFrame | None, stays: pl.DataFrame | None) -> pl.DataFrame:
    """The moment of a death in hospital, else the end of the day of death."""
    parts = [pl.DataFrame(schema={"subject_id": pl.Int64, "time": TIME})]
    if stays is not None:
        parts.append(stays.drop_nulls("deathtime").select("subject_id", time="deathtime"))
    if people is not None:
        parts.append(
            people.drop_nulls("dod").select("subject_id", time=pl.col("dod").dt.truncate("1d") + _LAST)
        )
    return pl.concat(parts).unique("subject_id", keep="first", maintain_order=True)


def stay_events(tables: Tables, account: Account) -> pl.DataFrame:
    """Give admissions, discharges, stays in the ICU, diagnoses and procedures.

    Args:
        tables: Rows of some subjects by table; each may be missing.
        account: Filled.
    """
    made = [pl.DataFrame(schema={"subject_id": pl.Int64, "time": TIME, "code": pl.String})]
    stays, icu = tables.get("admissions"), tables.get("icustays")
    if stays is not None:
        made += [
            _coded(stays, "admittime", "HOSPITAL_ADMISSION", "admission_type", account),
            _coded(stays, "dischtime", "HOSPITAL_DISCHARGE", "discharge_location", account),
        ]
    if icu is not None:
        made += [
            _coded(icu, "intime", "ICU_ADMISSION", "first_careunit", account),
            _coded(icu, "outtime", "ICU_DISCHARGE", "last_careunit", account),
        ]
    found = tables.get("diagnoses_icd")
    if found is not None:
        schema: dict[str, pl.DataType] = {"hadm_id": pl.Int64(), "dischtime": TIME}
        ends = stays.select(*schema) if stays is not None else pl.DataFrame(schema=schema)
        rows = found.join(ends, on="hadm_id", how="left", maintain_order="left")
        code = icd(pl.col("icd_code"), pl.col("icd_version"), procedure=False)
        made.append(
            _known(
                rows.select("row", "subject_id", time="dischtime", code=code),
                "diagnosis",
                "its stay has no discharge",
                account,
            )
        )
    done = tables.get("procedures_icd")
    if done is not None:
        code = icd(pl.col("icd_code"), pl.col("icd_version"), procedure=True)
        time = pl.col("chartdate").dt.truncate("1d") + _LAST
        made.append(
            _known(done.select("row", "subject_id", time=time, code=code), "procedure", "no date", account)
        )
    return pl.concat(made, how="diagonal")


def _coded(rows: pl.DataFrame, time: str, kind: str, place: str, account: Account) -> pl.DataFrame:
    lost = rows.filter(pl.col(time).is_null())
    if lost.height:
        what = kind.lower().replace("_", " ")
        account.dropped.add(f"{what}: no time", lost["row"].sort()[0], n=lost.height)
    name = pl.col(place).str.to_uppercase().fill_null("UNKNOWN")
    return rows.drop_nulls(time).select(
        "subject_id", time=time, code=pl.concat_str(pl.lit(f"{kind}//"), name)
    )


def _known(rows: pl.DataFrame, what: str, timeless: str, account: Account) -> pl.DataFrame:
    for reason, wrong in (
        (timeless, pl.col("time").is_null()),
        ("icd_version is neither 9 nor 10", pl.col("code").is_null()),
    ):
        lost = rows.filter(wrong)
        if lost.height:
            account.dropped.add(f"{what}: {reason}", lost["row"].sort()[0], n=lost.height)  # type: ignore[arg-type]
        rows = rows.filter(~wrong)
    return rows.drop("row")


def lab_events(rows: pl.DataFrame, items: Items, account: Account) -> pl.DataFrame:
    """Give the laboratory values, each with its laboratory's own range.

    Args:
        rows: Rows of labevents.
        items: What the items are.
        account: Filled.
    """
    unit = pl.col("valueuom").replace(UNITS).str.replace_all("/+", "/")
    late = pl.max_horizontal("charttime", "storetime")
    made = rows.join(items.table.select("itemid", "base"), on="itemid", how="left", maintain_order="left")
    made = made.with_columns(
        base=pl.col("base").fill_null(
            pl.concat_str(pl.lit("MIMIC_LABITEM/"), pl.col("itemid").cast(pl.String))
        ),
        unit=pl.when(pl.col("valuenum").is_not_null()).then(unit),
        time=late,
        text=pl.when(pl.col("valuenum").is_null()).then(_unmarked(rows["value"])),
    )
    empty = made.filter(pl.col("valuenum").is_null() & pl.col("text").is_null())
    if empty.height:
        account.dropped.add(
            "lab: neither a number nor a text that is left", empty["row"].sort()[0], n=empty.height
        )  # type: ignore[arg-type]
    for what, where in (
        ("lab: no time of storage, the time of drawing is put", pl.col("storetime").is_null()),
        (
            "lab: a limit such as <5 is kept as the value",
            pl.col("value").str.contains(r"^\s*[<>]") & pl.col("valuenum").is_not_null(),
        ),
    ):
        if n := made.filter(where).height:
            account.changed.add(what, n=n)
    code = (
        pl.when(pl.col("unit").is_not_null())
        .then(pl.concat_str("base", pl.lit("//"), "unit"))
        .otherwise("base")
    )
    measured = pl.col("valuenum").is_not_null()
    return made.filter(measured | pl.col("text").is_not_null()).select(
        "subject_id", "time", code.alias("code"),
        pl.col("valuenum").alias("numeric_value"), pl.col("text").alias("text_value"),
        pl.when(measured).then("ref_range_lower").alias("ref_low"),
        pl.when(measured).then("ref_range_upper").alias("ref_high"),
        pl.concat_str(pl.lit("MIMIC_LABITEM/"), pl.col("itemid").cast(pl.String)).alias("source_code"),
    )  # fmt: skip


def _unmarked(values: pl.Series) -> pl.Series:
    """Texts without de-identification marks; null where nothing is left."""
    clean = {text: without_marks(text)[0].strip() or None for text in values.drop_nulls().unique()}
    return pl.Series("text", [None if text is None else clean[text] for text in values], dtype=pl.String)
