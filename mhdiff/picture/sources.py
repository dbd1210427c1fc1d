"""Where a patient's evidence came from: the words of a note or the code of an event, with value and time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from mhdiff.cohort.measurements import harmonise, with_rewritten
from mhdiff.cohort.measurements.analytes import shipped

if TYPE_CHECKING:
    from mhdiff.cohort import Cohort

_TEXT = 300  # characters of a source's text
Key = tuple[int, str, str]


def tell_sources(
    table: pl.DataFrame, cohort: Cohort | None, subject: int | None
) -> dict[Key, list[dict[str, Any]]]:
    """Tell by concept, modality and polarity what the evidence was found in, the earliest first.

    Args:
        table: One sample's rows of `Evidence.table`.
        cohort: Where values, units, ranges and descriptions come from; without one there are none.
        subject: The sample's subject.
    """
    values, described = _values(table, cohort, subject)
    found: dict[Key, list[dict[str, Any]]] = {}
    for row in table.sort("time", "source", "start", nulls_last=True).iter_rows(named=True):
        text = row["text"]
        told = {
            "code": row["source"],
            "description": described.get(row["source"]),
            "text": text if text is None or len(text) <= _TEXT else f"{text[:_TEXT]}…",
            "characters": None if row["start"] is None else [row["start"], row["end"]],
            "value": values.get((row["source"], row["time"])),
            "time": None if row["time"] is None else row["time"].isoformat(sep=" ", timespec="minutes"),
        }
        kept = {name: value for name, value in told.items() if value is not None}
        rows = found.setdefault((row["concept"], row["modality"], row["polarity"]), [])
        if kept not in rows:
            rows.append(kept)
    return found


def _values(
    table: pl.DataFrame, cohort: Cohort | None, subject: int | None
) -> tuple[dict[tuple[str, Any], str], dict[str, str]]:
    """Read the subject's numbers by code and time, and what codes are called."""
    if cohort is None or subject is None:
        return {}, {}
    wanted = pl.col("code").is_in(table["source"].unique().implode())
    codes = cohort.codes.unique("code", keep="first")
    numbers = (
        cohort.scan()
        .filter((pl.col("subject_id") == subject) & pl.col("numeric_value").is_not_null())
        .collect()
        .join(codes.select("code", "unit", "ref_low", "ref_high", "parent_codes"), on="code")
    )
    events = harmonise(numbers, codes, shipped()).events.filter(wanted)  # as evidence was found in them
    codes = with_rewritten(codes, shipped()).filter(wanted)
    values: dict[tuple[str, Any], str] = {}
    for event in events.iter_rows(named=True):
        said = f"{event['numeric_value']:.6g} {event['unit'] or ''}".strip()
        low, high = (_plain(event[name]) for name in ("ref_low", "ref_high"))
        if low or high:
            said += (
                f" (reference {low} to {high})"
                if low and high
                else f" (reference {low or 'to'} {high or 'up'})"
            )
        key = (event["code"], event["time"])
        values[key] = f"{values[key]}; {said}" if key in values else said
    return values, {code: text for code, text in codes.select("code", "description").iter_rows() if text}


def _plain(number: float | None) -> str:
    return "" if number is None else f"{number:.6g}"
