"""Tables of MIMIC-IV, staged: only subjects with radiographs, columns in their types, as Parquet in the order of old.

labevents has 158 million rows; none of these tables is ever in memory as a whole. Staged files keep the order of
subjects that the source has, so that a shard of subjects reads the row groups that hold them and no others.
See https://mimic.mit.edu/docs/iv/modules/hosp/ and /icu/icustays/.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl

from mhdiff.cohort.account import Account
from mhdiff.cohort.mimic_cxr.sources import Sources
from mhdiff.cohort.typed import TIME, sink, typed

_INT, _TEXT, _NUMBER = pl.Int64(), pl.String(), pl.Float64()


class Staged(NamedTuple):
    """How a table is read.

    Attributes:
        columns: Column -> type.
        filled: Columns that must not be empty.
        key: The column that must not hold a value twice; "" where there is none.
    """

    columns: Mapping[str, pl.DataType]
    filled: tuple[str, ...]
    key: str = ""


TABLES: Final = {
    "patients": Staged(
        {"subject_id": _INT, "gender": _TEXT, "anchor_age": _INT, "anchor_year": _INT, "dod": TIME},
        ("subject_id", "anchor_year"), "subject_id",
    ),
    "admissions": Staged(
        {"subject_id": _INT, "hadm_id": _INT, "admittime": TIME, "dischtime": TIME, "deathtime": TIME,
         "admission_type": _TEXT, "discharge_location": _TEXT, "race": _TEXT},
        ("subject_id", "hadm_id", "admittime"), "hadm_id",
    ),
    "icustays": Staged(
        {"subject_id": _INT, "stay_id": _INT, "first_careunit": _TEXT, "last_careunit": _TEXT, "intime": TIME,
         "outtime": TIME},
        ("subject_id", "stay_id", "intime"), "stay_id",
    ),
    "diagnoses_icd": Staged(
        {"subject_id": _INT, "hadm_id": _INT, "seq_num": _INT, "icd_code": _TEXT, "icd_version": _INT},
        ("subject_id", "hadm_id", "icd_code", "icd_version"),
    ),
    "procedures_icd": Staged(
        {"subject_id": _INT, "hadm_id": _INT, "chartdate": TIME, "icd_code": _TEXT, "icd_version": _INT},
        ("subject_id", "chartdate", "icd_code", "icd_version"),
    ),
    "labevents": Staged(
        {"labevent_id": _INT, "subject_id": _INT, "itemid": _INT, "charttime": TIME, "storetime": TIME,
         "value": _TEXT, "valuenum": _NUMBER, "valueuom": _TEXT, "ref_range_lower": _NUMBER,
         "ref_range_upper": _NUMBER},
        ("labevent_id", "subject_id", "itemid", "charttime"), "labevent_id",
    ),
}  # fmt: skip


def stage(sources: Sources, name: str, subjects: pl.Series, target: Path, account: Account) -> None:
    """Write a table's rows of some subjects as Parquet, with the columns of `TABLES` and their line as `row`.

    Args:
        sources: Where the tables are.
        name: A key of `TABLES`.
        subjects: The subject_ids, sorted.
        target: The Parquet file.
        account: Filled.
    """
    file, table = sources.tables[name], TABLES[name]
    rows = typed(file, table.columns, table.filled, table.filled, only=subjects)
    sink(file, sources.name(name), rows, target, account, table.columns)
    account.read[f"{name} rows"] += account.rows[sources.name(name)]


def rows_of(staged: Path, name: str, first: int, last: int, table: str, account: Account) -> pl.DataFrame:
    """Give the sound rows of the subjects from one to another; a key that is there twice is refused.

    Args:
        staged: What `stage` wrote.
        name: A key of `TABLES`.
        first: The first subject_id.
        last: The last one.
        table: What the table is called in accounts.
        account: Filled.
    """
    rows = (
        pl.scan_parquet(staged)
        .filter(pl.col("subject_id").is_between(first, last), pl.col("bad").is_null())
        .collect(engine="streaming")
        .sort("subject_id", "row")
    )
    key = TABLES[name].key
    if not key:
        return rows
    again = ~rows[key].is_first_distinct()
    if again.any():
        line = rows.filter(again)["row"].sort()[0]
        account.refuse(f"{key} is there twice", table, line, key, int(again.sum()))
    return rows.filter(~again)


def icd(code: pl.Expr, version: pl.Expr, *, procedure: bool) -> pl.Expr:
    """Give the code as its system writes it, since MIMIC leaves the point out: ICD10CM/J18.9, ICD9CM/486.

    Args:
        code: icd_code, such as J189.
        version: icd_version, 9 or 10.
        procedure: Whether it is a procedure's: ICD9Proc/96.04, ICD10PCS/0BH17EZ.
    """
    text = code.str.strip_chars().str.to_uppercase()
    if procedure:
        nine = pl.concat_str(pl.lit("ICD9Proc/"), text.str.replace(r"^(\d{2})(\d+)$", "$1.$2"))
        return pl.when(version == 9).then(nine).when(version == 10).then("ICD10PCS/" + text)
    nine = pl.when(text.str.starts_with("E")).then(text.str.replace(r"^(E\d{3})(\d+)$", "$1.$2"))
    nine = nine.otherwise(text.str.replace(r"^([V\d]\d{2})(\d+)$", "$1.$2"))
    ten = text.str.replace(r"^([A-Z][0-9A-Z]{2})([0-9A-Z]+)$", "$1.$2")
    return (
        pl.when(version == 9)
        .then(pl.concat_str(pl.lit("ICD9CM/"), nine))
        .when(version == 10)
        .then(pl.concat_str(pl.lit("ICD10CM/"), ten))
    )
