"""What a cohort's events are made of: vocabularies, units, ranges, and the years that they span.

Years are those of the fifth patient to begin and of the fifth last to end, so that no first or last event is told.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from graph_builders.units import is_ucum
from mhdiff.cohort import meds
from mhdiff.cohort.cohort import Cohort
from mhdiff.cohort.measurements.analytes import Analytes, shipped
from mhdiff.cohort.measurements.harmonise import shown_unit
from mhdiff.cohort.suppress import HIDDEN, SMALL, Told, cell, one_way, ordered
from mhdiff.cohort.unit_coverage import unit_coverage

MOST_UNITS = 10  # that are named of those nobody knows


def span(cohort: Cohort) -> dict[str, Any]:
    """Give the years of a cohort's events, and how long patients are followed.

    Args:
        cohort: The cohort.
    """
    timed = cohort.scan().filter(pl.col("time").is_not_null(), pl.col("code") != meds.BIRTH)
    people = timed.group_by("subject_id").agg(first=pl.col("time").min(), last=pl.col("time").max()).collect()
    if people.height < SMALL:
        return {"from": None, "to": None, "days": None}
    days = (people["last"] - people["first"]).dt.total_days().sort()
    quartiles = [int(days.quantile(q, interpolation="nearest") or 0) for q in (0.25, 0.5, 0.75)]
    return {
        "from": people["first"].sort()[SMALL - 1].year,
        "to": people["last"].sort(descending=True)[SMALL - 1].year,
        "days": quartiles,
    }


def coverage(cohort: Cohort, analytes: Analytes | None = None) -> dict[str, Any]:
    """Count events by vocabulary, and numbers by whether a unit and a range are known.

    Args:
        cohort: The cohort.
        analytes: The table of units and limits; the shipped one where None.

    Returns:
        `vocabularies`: rows of name, events, codes, people, described, placed (codes with parent_codes). `numbers`:
        events with a number, and which share of them has a unit, one that UCUM knows, and a range; codes without a
        unit; units that UCUM does not know, the most frequent first. `units`: see `mhdiff.cohort.unit_coverage`.
    """
    events = cohort.scan(optional=True)
    held = (
        events.group_by("code")
        .agg(
            pl.len().alias("events"),
            pl.col("subject_id").n_unique().alias("whom"),
            pl.col("numeric_value").is_not_null().sum().alias("numbers"),
            (
                pl.col("numeric_value").is_not_null()
                & (pl.col("ref_low").is_not_null() | pl.col("ref_high").is_not_null())
            )
            .sum()
            .alias("ranged"),
        )
        .collect()
    )
    rows = held.join(cohort.codes.unique("code", keep="first"), on="code", how="left").with_columns(
        vocabulary=_vocabulary(),
        unit=pl.coalesce("unit", pl.col("code").str.extract(r"^[^/]+/[^/]+//(.+)$")),
        any_range=pl.col("ref_low").is_not_null() | pl.col("ref_high").is_not_null(),
    )
    people = (
        events.select("subject_id", vocabulary=_vocabulary())
        .unique()
        .group_by("vocabulary")
        .agg(pl.len().alias("people"))
        .collect()
    )
    placed = pl.col("parent_codes").list.len().fill_null(0) > 0
    table = (
        rows.group_by("vocabulary")
        .agg(
            pl.col("events").sum(),
            pl.len().alias("codes"),
            pl.col("description").is_not_null().sum().alias("described"),
            placed.sum().alias("placed"),
        )
        .join(people, on="vocabulary")
        .sort("vocabulary")
    )
    by_name = {row["vocabulary"]: row for row in table.iter_rows(named=True)}
    told = ordered(
        one_way(*({name: row[what] for name, row in by_name.items()} for what in ("events", "people")))
    )
    numbers = _numbers(rows.filter(pl.col("numbers") > 0))
    if any(isinstance(n, str) for n in told.values()):
        numbers["events"] = HIDDEN  # may be those of one vocabulary
    units = unit_coverage(
        cohort,
        shipped() if analytes is None else analytes,
        [name for name, n in told.items() if isinstance(n, str)],
    )
    return {
        "vocabularies": [
            {**by_name[name], "events": n, "people": cell(by_name[name]["people"])}
            for name, n in told.items()
        ],
        "numbers": _not_reckoned(numbers, units["all"]),
        "units": units,
    }


def _vocabulary() -> pl.Expr:
    """Give "LOINC" of "LOINC/6690-2//10*9/L", "NOTE" of "NOTE//CLINICAL", and a code of one word itself."""
    return pl.col("code").str.extract(r"^([^/]+)").fill_null(pl.col("code")).alias("vocabulary")


def _numbers(rows: pl.DataFrame) -> dict[str, Any]:
    known = {unit: is_ucum(unit) for unit in rows["unit"].drop_nulls().unique()}
    strange = (
        rows.filter(pl.col("unit").is_in([unit for unit, fine in known.items() if not fine]))
        .with_columns(pl.col("unit").map_elements(shown_unit, return_dtype=pl.String))
        .group_by("unit")
        .agg(pl.col("numbers").sum(), pl.col("whom").max())  # of so many people at least
        .filter(pl.col("whom") >= SMALL)
        .sort(["numbers", "unit"], descending=[True, False])
    )
    fine = pl.col("unit").is_in([unit for unit, good in known.items() if good])
    whole = int(rows["numbers"].sum())
    ranged = rows.select(pl.when("any_range").then("numbers").otherwise("ranged").sum()).item() or 0

    def share(n: Any) -> float | None:
        return round(int(n) / whole, 3) if whole else None

    return {
        "events": whole,
        "with_unit": share(rows.filter(pl.col("unit").is_not_null())["numbers"].sum()),
        "with_ucum_unit": share(rows.filter(fine)["numbers"].sum()),
        "with_range": share(ranged),
        "codes": rows.height,
        "codes_without_unit": rows.filter(pl.col("unit").is_null()).height,
        "strange_units": dict(strange.select("unit", "numbers").head(MOST_UNITS).iter_rows()),
    }


def _not_reckoned(numbers: dict[str, Any], sums: dict[str, Told]) -> dict[str, Any]:
    """Leave out what would give away a number that the table of units hides."""
    away = {name for name, n in sums.items() if isinstance(n, str)}
    told = dict(numbers)
    counted = isinstance(numbers["events"], int)  # a share of an unknown number tells no count
    if counted and "unit_missing" in away:
        told["with_unit"] = None
    if counted and away & {"unit_missing", "unit_unknown", "respelled"}:
        told["with_ucum_unit"] = None
    if "unit_unknown" in away:
        told["strange_units"] = dict.fromkeys(sorted(numbers["strange_units"]), HIDDEN)
    return told
