"""The tables of eICU that become events, each brought to one shape: `reason` says why a row is refused.

| table | code | time |
|---|---|---|
| lab | LOINC/<code>//<unit>, or EICU_LAB/<name>//<unit> | labresultoffset: when it was drawn |
| diagnosis | ICD9CM/..., ICD10CM/..., each of the row; EICU_DIAGNOSIS//<path> where it has none | diagnosisoffset |
| medication | HICL/<drughiclseqno>, or EICU_DRUG//<name> | drugstartoffset, or drugorderoffset if later |
| treatment | EICU_TREATMENT//<path> | treatmentoffset |
| admissionDx | EICU_ADMISSION_DX//<path> | admitdxenteredoffset |

A row with `out` is dropped, such as a cancelled order.
activeupondischarge and labresultrevisedoffset are not read: they are told by the future.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import polars as pl

from mhdiff.cohort.eicu.labs import factors, lab_table
from mhdiff.cohort.eicu.stays import FAR
from mhdiff.cohort.eicu.units import ucum
from mhdiff.cohort.omop_tables import whole

_NUMBER: Final = r"^[<>]?=?\s*(-?\d+(?:\.\d+)?)\s*$"
_LIMIT: Final = r"^[<>]"
_ICD9: Final = r"^(\d{3}(\.\d{1,2})?|V\d{2}(\.\d{1,2})?|E\d{3}(\.\d)?)$"
_ICD10: Final = r"^[A-Z]\d[0-9A-Z](\.[0-9A-Z]{1,4})?$"
#: What a row becomes.
COLUMNS: Final = (
    *(
        "row",
        "id",
        "subject_id",
        "time",
        "code",
        "numeric_value",
        "base",
        "unit",
        "description",
        "column",
        "reason",
    ),
    *("out", "changed", "stated", "name"),
)


class Table(NamedTuple):
    """A table of eICU.

    Attributes:
        name: Its name.
        id: Column of its key.
        needed: Columns that it must have.
        read: Gives `code` and the rest; the frame has text columns, subject_id and time.
        offset: Gives the minutes after the admission to the unit.
        offset_column: The column that they stand in.
    """

    name: str
    id: str
    needed: tuple[str, ...]
    read: Callable[[pl.LazyFrame], pl.LazyFrame]
    offset: pl.Expr
    offset_column: str


def stage(rows: pl.LazyFrame, table: Table, stays: pl.DataFrame) -> pl.LazyFrame:
    """Bring a table to `COLUMNS`.

    Args:
        rows: Its rows as text, with `row`.
        table: Which it is.
        stays: `Stays.table`.
    """
    text = (pl.col(c).cast(pl.String).str.strip_chars() for c in table.needed)
    rows = rows.select(pl.col("row").cast(pl.Int64), *text)
    rows = rows.with_columns(pl.when(pl.col(c) != "").then(pl.col(c)).alias(c) for c in table.needed)
    rows = rows.with_columns(id=whole(table.id), stay=whole("patientunitstayid"), minutes=table.offset)
    known = stays.lazy().select("stay", "subject_id", "unit", "born").rename({"unit": "admitted"})
    rows = rows.join(known, on="stay", how="left", maintain_order="left")
    near = pl.when(pl.col("minutes").abs() <= FAR).then("minutes")
    rows = rows.with_columns(time=pl.col("admitted") + pl.duration(minutes=near))
    none = {
        name: pl.lit(None, pl.String) for name in ("reason", "column", "out", "changed", "stated", "name")
    }
    none |= {"unit": pl.lit(None, pl.String), "description": pl.lit(None, pl.String)}
    rows = table.read(rows.with_columns(numeric_value=pl.lit(None, pl.Float64), **none))
    reason = (
        pl.when(pl.col("subject_id").is_null())
        .then(pl.lit("the stay is not in the table patient"))
        .when(pl.col("minutes").is_null())
        .then(pl.lit("the offset is no number of minutes"))
        .when(pl.col("time").is_null())
        .then(pl.lit("the offset is more than ten years"))
        .when((pl.col("time") < pl.col("born")).fill_null(False))
        .then(pl.lit("the time is before the birth"))
    )
    column = pl.when(pl.col("subject_id").is_null()).then(pl.lit("patientunitstayid"))
    rows = rows.with_columns(
        reason=pl.coalesce(reason, "reason"),
        column=pl.when(reason.is_null())
        .then("column")
        .otherwise(pl.coalesce(column, pl.lit(table.offset_column))),
    )
    return rows.with_columns(base=pl.coalesce("base", "code")).select(COLUMNS)


def _labs(rows: pl.LazyFrame) -> pl.LazyFrame:
    text = pl.col("labresulttext")
    number = pl.coalesce(
        pl.col("labresult").cast(pl.Float64, strict=False),
        pl.when(pl.col("labresult").is_null()).then(
            text.str.extract(_NUMBER, 1).cast(pl.Float64, strict=False)
        ),
    )
    number = pl.when(number.is_finite()).then(number)
    stated = pl.coalesce("labmeasurenameinterface", "labmeasurenamesystem")
    rows = rows.with_columns(number=number, stated_as=stated).with_columns(stated_unit=ucum("stated_as"))
    rows = rows.join(lab_table().lazy(), on="labname", how="left", maintain_order="left")
    no_unit = pl.col("stated_as").is_null()
    rows = rows.with_columns(stated=pl.when(no_unit).then("lab_unit").otherwise("stated_unit"))
    rows = rows.join(factors().lazy(), on=["labname", "stated"], how="left", maintain_order="left")
    mapped = pl.col("loinc").is_not_null()
    value = pl.col("number") * pl.when(mapped).then("factor").otherwise(pl.lit(1.0))
    fahrenheit = (pl.col("labname") == "Temperature") & value.is_between(86.0, 113.0)
    fraction = (pl.col("labname") == "FiO2") & value.is_between(0.2, 1.0)
    read = pl.when(fahrenheit).then((value - 32.0) / 1.8).when(fraction).then(value * 100.0).otherwise(value)
    slug = pl.col("labname").str.replace_all(r"[^A-Za-z0-9%]+", "_").str.strip_chars("_")
    own = pl.coalesce("stated_unit", ucum("labmeasurenamesystem"))
    rows = rows.with_columns(
        numeric_value=read,
        base=pl.when(mapped)
        .then(pl.concat_str(pl.lit("LOINC/"), "loinc"))
        .otherwise(pl.concat_str(pl.lit("EICU_LAB/"), slug)),
        unit=pl.when(mapped).then("lab_unit").otherwise(own),
        description=pl.col("labname"),
        name=pl.when(~mapped).then("labname"),
    )
    impossible = (pl.col("numeric_value") < pl.col("low")) | (pl.col("numeric_value") > pl.col("high"))
    wrong = pl.col("labresult").is_not_null() & pl.col("number").is_null()
    strange = mapped & pl.col("factor").is_null()
    return rows.with_columns(
        code=pl.when(pl.col("unit").is_null()).then("base").otherwise(pl.concat_str("base", pl.lit("//"), "unit")),
        reason=pl.when(pl.col("labname").is_null()).then(pl.lit("the laboratory value has no name"))
        .when(wrong).then(pl.lit("the value is no number"))
        .when(strange).then(pl.lit("the unit is not known for this laboratory value"))
        .when(impossible.fill_null(False)).then(pl.lit("the value is not possible")),
        column=pl.when(pl.col("labname").is_null()).then(pl.lit("labname"))
        .when(wrong).then(pl.lit("labresult")).when(strange).then(pl.lit("labmeasurenameinterface"))
        .when(impossible.fill_null(False)).then(pl.lit("labresult")),
        out=pl.when(pl.col("number").is_null()).then(pl.lit("no number")),
        changed=pl.when(fahrenheit).then(pl.lit("Fahrenheit, converted"))
        .when(fraction).then(pl.lit("inspired oxygen as a fraction, converted"))
        .when(mapped & no_unit).then(pl.lit("no unit is stated, the usual one of the name is taken"))
        .when(mapped & (pl.col("factor") != 1.0)).then(pl.lit("converted to the unit of its LOINC code"))
        .when(pl.col("labresult").is_null() & text.str.contains(_LIMIT)).then(pl.lit("< or >: the limit is the value")),
        stated=pl.when(strange).then("stated_as"),
    )  # fmt: skip


def _diagnoses(rows: pl.LazyFrame) -> pl.LazyFrame:
    path = pl.concat_str(pl.lit("EICU_DIAGNOSIS//"), _plain(pl.col("diagnosisstring")))
    codes = pl.col("icd9code").str.split(",")
    rows = rows.with_columns(icd=codes).explode("icd").with_columns(pl.col("icd").str.strip_chars())
    rows = rows.with_columns(icd=pl.when(pl.col("icd") != "").then("icd"))
    # "V45.1" is a code of both: eICU writes ICD-9-CM first.
    place = pl.int_range(pl.len()).over("row")
    nine = pl.col("icd").str.contains(_ICD9) & ((place == 0) | ~pl.col("icd").str.contains(_ICD10))
    ten = pl.col("icd").str.contains(_ICD10)
    coded = (
        pl.when(nine).then(pl.concat_str(pl.lit("ICD9CM/"), "icd"))
        .when(ten).then(pl.concat_str(pl.lit("ICD10CM/"), "icd"))
    )  # fmt: skip
    bad = pl.col("icd").is_not_null() & ~nine & ~ten
    return rows.with_columns(
        code=pl.coalesce(coded, pl.when(pl.col("icd").is_null()).then(path)),
        base=pl.lit(None, pl.String),
        description=pl.when(pl.col("icd").is_null()).then("diagnosisstring"),
        reason=pl.when(bad).then(pl.lit("the code is neither ICD-9-CM nor ICD-10-CM")),
        column=pl.when(bad).then(pl.lit("icd9code")),
        out=pl.when(pl.col("icd").is_null() & path.is_null()).then(pl.lit("neither a code nor a name")),
    )


def _drugs(rows: pl.LazyFrame) -> pl.LazyFrame:
    number = whole("drughiclseqno")
    name = _plain(pl.col("drugname").str.to_uppercase())
    code = pl.coalesce(
        pl.concat_str(pl.lit("HICL/"), number.cast(pl.String)), pl.concat_str(pl.lit("EICU_DRUG//"), name)
    )
    return rows.with_columns(
        code=code,
        base=pl.lit(None, pl.String),
        description=pl.col("drugname"),
        out=pl.when(pl.col("drugordercancelled") == "Yes").then(pl.lit("the order was cancelled"))
        .when(code.is_null()).then(pl.lit("neither a number nor a name")),
    )  # fmt: skip


def _plain(text: pl.Expr) -> pl.Expr:
    """Take the slashes, which part a MEDS code, out of a name."""
    return text.str.replace_all("/+", " or ").str.replace_all(r"\s+", " ").str.strip_chars()


def _paths(kind: str, column: str) -> Callable[[pl.LazyFrame], pl.LazyFrame]:
    def read(rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows.with_columns(
            code=pl.concat_str(pl.lit(f"{kind}//"), _plain(pl.col(column))),
            base=pl.lit(None, pl.String),
            description=pl.col(column),
            out=pl.when(pl.col(column).is_null()).then(pl.lit("no name")),
        )

    return read


_ORDERED: Final = pl.max_horizontal(whole("drugstartoffset"), whole("drugorderoffset"))
_LAB: Final = ("labname", "labresult", "labresulttext", "labmeasurenamesystem", "labmeasurenameinterface")


def _table(name: str, key: str, offset: str, columns: tuple[str, ...], read: Callable[[pl.LazyFrame], pl.LazyFrame],
           minutes: pl.Expr | None = None, *more: str) -> Table:  # fmt: skip
    needed = (key, "patientunitstayid", offset, *more, *columns)
    return Table(name, key, needed, read, whole(offset) if minutes is None else minutes, offset)


#: In the order in which events of one time are written.
TABLES: Final = (
    _table("admissiondx", "admissiondxid", "admitdxenteredoffset", ("admitdxpath",),
           _paths("EICU_ADMISSION_DX", "admitdxpath")),
    _table("diagnosis", "diagnosisid", "diagnosisoffset", ("diagnosisstring", "icd9code"), _diagnoses),
    _table("lab", "labid", "labresultoffset", _LAB, _labs),
    _table("medication", "medicationid", "drugstartoffset", ("drugname", "drughiclseqno", "drugordercancelled"),
           _drugs, _ORDERED, "drugorderoffset"),
    _table("treatment", "treatmentid", "treatmentoffset", ("treatmentstring",),
           _paths("EICU_TREATMENT", "treatmentstring")),
)  # fmt: skip
