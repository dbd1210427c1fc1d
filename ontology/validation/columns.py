"""What each column of an RF2 file must hold, and every value that is something else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

import polars as pl

from ontology import sctid
from ontology.identifiers import (
    ACCEPTABLE,
    CASES,
    EXISTENTIAL,
    FULLY_DEFINED,
    INFERRED,
    KINDS,
    PREFERRED,
    PRIMITIVE,
    STATED,
    UNIVERSAL,
)
from ontology.rf2_files import COLUMNS, COMPONENTS, MEMBER, RF2File, promised_kind
from ontology.rf2_table import ACTIVE, ID, NUMBER, TEXT, TIME, fast_rows
from ontology.validation.findings import FILE, LINE, Findings
from ontology.validation.lines import texts

CONCEPT, DESCRIPTION, RELATIONSHIP = 0, 1, 2
"""What a component is, by the last digit of its SCTID's partition."""
OWN = {
    "concept": CONCEPT,
    "description": DESCRIPTION,
    "relationship": RELATIONSHIP,
    "stated relationship": RELATIONSHIP,
    "concrete values": RELATIONSHIP,
}
# The old defining, qualifying and additional characteristics stay in the inactive rows of every release.
_CHARACTERISTICS = (INFERRED, STATED, 900000000000006009, 900000000000225001, 900000000000227009)
_VALUES = {
    "definitionStatusId": ("definition-status", (PRIMITIVE, FULLY_DEFINED)),
    "caseSignificanceId": ("case-significance", tuple(CASES)),
    "characteristicTypeId": ("characteristic-type", _CHARACTERISTICS),
    "modifierId": ("modifier", (EXISTENTIAL, UNIVERSAL)),
    "acceptabilityId": ("acceptability", (PREFERRED, ACCEPTABLE)),
}
_DATES = ("sourceEffectiveTime", "targetEffectiveTime")
_UUID = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
_LANGUAGE = r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$"
_CONCRETE = r'^(#[-+]?[0-9]+(\.[0-9]+)?|".*"|true|false)$'
_PATTERN = re.compile(r"_([ics]*)Refset_")


class Table(NamedTuple):
    """The rows of a file, typed, with `FILE` and `LINE`; a value that is wrong is null.

    `mentioned` are the identifiers in rows that are wrong: nothing more is said of them, since their row is at fault.
    """

    rows: pl.DataFrame
    mentioned: set[int]


def held(file: RF2File) -> dict[str, str]:
    """Say what each column of a file holds, in the words of `rf2_table`.

    Args:
        file: The file.
    """
    known = {"effectiveTime": TIME, "active": ACTIVE, "moduleId": ID}
    if file.kind in COMPONENTS:
        known |= {c: ID for c in COLUMNS[file.kind] if c.endswith("Id") or c == "id"}
        known |= {"relationshipGroup": NUMBER}
    else:
        known |= {"refsetId": ID, "referencedComponentId": ID}
        if file.kind == "language":
            known |= {"acceptabilityId": ID}
    return {column: known.get(column, TEXT) for column in file.header}


def letters(file: RF2File) -> dict[str, str]:
    """Give the kinds of a reference set's own columns that its name promises: i number, c component, s text.

    Args:
        file: The file.

    Returns:
        Nothing where the name promises another number of columns than there are.
    """
    own = [column for column in file.header if column not in MEMBER]
    found = _PATTERN.search(file.entry.filename)
    return dict(zip(own, found[1], strict=True)) if found and len(found[1]) == len(own) else {}


def read_table(file: RF2File, findings: Findings, released: int) -> Table:
    """Read a file, noting whatever is wrong with a line or a value.

    Args:
        file: The file.
        findings: Where problems are noted.
        released: The release's date, YYYYMMDD; 0 where it is not known.

    Raises:
        InputError: If the file cannot be read at all.
    """
    what = held(file)
    rows, mentioned = fast_rows(file, what), set[int]()
    if rows is None:
        text, mentioned = texts(file, file.entry.read(), findings)
        text = text.with_columns(pl.lit(findings.number(file.path), pl.UInt16()).alias(FILE))
        rows = _typed(text, what, findings, mentioned)
    else:
        rows = rows.with_row_index(LINE, 2).with_columns(
            pl.lit(findings.number(file.path), pl.UInt16()).alias(FILE)
        )
        _unreleased(rows, rows["effectiveTime"].is_null(), findings)
    findings.rows[str(file.path)] = rows.height
    for wrong in _wrong_values(file, rows, findings, released):
        mentioned |= _ids(wrong)
    return Table(rows, mentioned)


def _typed(text: pl.DataFrame, what: dict[str, str], findings: Findings, mentioned: set[int]) -> pl.DataFrame:
    """Parse the columns; what cannot be parsed is noted and becomes null."""
    columns, faults = {}, pl.Series([False] * text.height, dtype=pl.Boolean)
    for column, kind in what.items():
        values = text[column]
        if kind == TEXT:
            wrong = (values == "") if column == "id" else None
            columns[column] = values
            fault = "identifier"
        elif kind == TIME:
            wrong = ~values.str.contains(r"^([0-9]{8})?$")
            columns[column] = values.cast(pl.Int32, strict=False)
            fault = "effective-time"
            _unreleased(text, values == "", findings)
        elif kind == ACTIVE:
            wrong = ~values.is_in(["0", "1"])
            columns[column] = values.cast(pl.Int8, strict=False)
            fault = "active"
        else:
            number = values.cast(pl.Int64, strict=False)
            low, high = (1, 10**18) if kind == ID else (0, 2**31)
            wrong = number.is_null() | (number < low) | (number >= high)
            columns[column] = number if kind == ID else number.set(wrong, None).cast(pl.Int32)
            fault = "identifier" if kind == ID else "number"
        if wrong is not None and wrong.any():
            findings.add(fault, text.filter(wrong), column)
            if kind != TEXT:
                columns[column] = columns[column].set(wrong, None)
            faults = faults | wrong
    rows = pl.DataFrame([*columns.values(), text[FILE], text[LINE]])
    mentioned |= _ids(rows.filter(faults))
    return rows


def _ids(rows: pl.DataFrame) -> set[int]:
    numbers = [c for c in rows.columns if rows.schema[c] == pl.Int64()]
    return {value for column in numbers for value in rows[column].drop_nulls().to_list()}


def _unreleased(rows: pl.DataFrame, blank: pl.Series, findings: Findings) -> None:
    if blank.any():
        findings.add(
            "no-effective-time",
            rows.filter(blank).with_columns(_blank=pl.lit("")),
            "effectiveTime",
            value="_blank",
        )


def _wrong_values(
    file: RF2File, rows: pl.DataFrame, findings: Findings, released: int
) -> Iterator[pl.DataFrame]:
    """Note values that their column may not hold, and give the rows whose meaning is unsure for it."""
    _own_ids(file, rows, findings)
    _dates(rows, findings, released)
    for column, (kind, allowed) in _VALUES.items():
        if column in rows.columns and rows.schema[column] == pl.Int64():
            yield _unlike(rows, column, ~pl.col(column).is_in(list(allowed)), kind, findings)
    if "modifierId" in rows.columns:
        _unlike(
            rows, "modifierId", (pl.col("modifierId") == UNIVERSAL) & _ACTIVE, "universal-modifier", findings
        )
    if file.kind == "description":
        yield _unlike(rows, "typeId", ~pl.col("typeId").is_in(list(KINDS)), "description-type", findings)
        bare = pl.col("term").str.strip_chars() == ""
        _unlike(rows, "term", bare & _ACTIVE, "empty-term", findings)
        untrimmed = (pl.col("term") != pl.col("term").str.strip_chars()) | pl.col("term").str.contains(
            "  ", literal=True
        )
        _unlike(rows, "term", untrimmed & ~bare & _ACTIVE, "untrimmed-term", findings)
        _unlike(
            rows, "languageCode", ~pl.col("languageCode").str.contains(_LANGUAGE), "language-code", findings
        )
    if file.kind == "concrete values":
        _unlike(rows, "value", ~pl.col("value").str.contains(_CONCRETE), "concrete-value", findings)
    for column, letter in letters(file).items():
        if letter == "i" and rows.schema[column] == pl.String():
            _unlike(rows, column, ~pl.col(column).str.contains(r"^[0-9]{1,9}$"), "number", findings)
    for column in _DATES:
        if column in rows.columns:
            _unlike(rows, column, ~pl.col(column).str.contains(r"^([0-9]{8})?$"), "effective-time", findings)


_ACTIVE = pl.col("active").fill_null(1) == 1


def _unlike(rows: pl.DataFrame, column: str, wrong: pl.Expr, kind: str, findings: Findings) -> pl.DataFrame:
    found = rows.filter(wrong)
    findings.add(kind, found, column)
    return found


def _own_ids(file: RF2File, rows: pl.DataFrame, findings: Findings) -> None:
    """Check the identifier that each row gives to its component or member."""
    if file.kind not in OWN:
        if "id" in rows.columns:
            _unlike(
                rows, "id", (pl.col("id") != "") & ~pl.col("id").str.contains(_UUID), "member-id", findings
            )
        return
    some = rows.filter(pl.col("id").is_not_null())
    values = some["id"].to_numpy()
    right = sctid.check_digits(values)
    findings.add("check-digit", some.filter(pl.Series(~right)), "id")
    apart = values // 10 % 100
    foreign = right & (apart != OWN[file.kind]) & (apart != 10 + OWN[file.kind])
    findings.add("partition", some.filter(pl.Series(foreign)), "id")


def _dates(rows: pl.DataFrame, findings: Findings, released: int) -> None:
    times = rows["effectiveTime"].drop_nulls().unique().to_list()
    unreal = [t for t in times if not real_date(t)]
    late = [t for t in times if released and t > released and t not in unreal]
    if unreal:
        findings.add("effective-time", rows.filter(pl.col("effectiveTime").is_in(unreal)), "effectiveTime")
    if late:
        found = rows.filter(pl.col("effectiveTime").is_in(late)).with_columns(_released=pl.lit(str(released)))
        findings.add("later-than-release", found, "effectiveTime", detail="_released")


def real_date(number: int) -> bool:
    """Say whether YYYYMMDD is a day of the calendar.

    Args:
        number: The date.
    """
    try:
        date(number // 10000, number // 100 % 100, number % 100)
    except ValueError:
        return False
    return True


def check_header(file: RF2File, findings: Findings) -> None:
    """Hold the columns of a file, and their order, against what its kind and its name promise.

    Args:
        file: The file.
        findings: Where problems are noted.
    """
    kind = promised_kind(file.entry.filename)
    expected = COLUMNS.get(kind or file.kind, MEMBER)
    own = [column for column in file.header if column not in MEMBER]
    found = _PATTERN.search(file.entry.filename)
    detail = ""
    if file.kind in COMPONENTS and file.header != expected:
        detail = f"expected {', '.join(expected)}"
    elif file.kind not in COMPONENTS and file.header[: len(MEMBER)] != MEMBER:
        detail = f"expected first {', '.join(MEMBER)}"
    elif file.kind not in COMPONENTS and found and len(found[1]) != len(own):
        detail = f"the name promises {len(found[1])} columns of its own ({found[1]}), here are {len(own)}"
    if detail:
        findings.one("header-order", file.path, file.header_line, detail=detail)
