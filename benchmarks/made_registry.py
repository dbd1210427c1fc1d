"""A registry in the OMOP common data model, made up: any number of persons and measurements, the same on every machine.

    PERSON       one row a person, born 1925 to 2004
    MEASUREMENT  all 23 columns of CDM 5.4, as a folder of Parquet parts; rows come as they were taken, so that a
                 person's are spread over all parts; each with a unit, most with a range and a time of day
    CONCEPT      laboratory items, units, sexes

Some rows are not usable, and it is known how many: no concept, nobody's, before birth.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

ITEMS, UNITS = 300, ("mg/dL", "mmol/L", "g/L", "U/L", "%", "10*9/L")
PART: Final = 2_500_000  # rows of a part
_BEFORE, _START, _YEARS = 1925, np.datetime64("2008-01-01", "us"), 12
#: Share of the rows that cannot become an event, by the reason for which the import drops or refuses them.
UNUSABLE: Final = {
    "no concept: concept_id and source concept_id are 0 or empty": 2e-3,
    "the person is not in PERSON": 5e-4,
    "the time is before the birth": 5e-4,
}


def write_registry(folder: Path, persons: int, rows: int, seed: int = 0) -> dict[str, int]:
    """Write the tables.

    Args:
        folder: Where to.
        persons: How many persons.
        rows: How many measurements.
        seed: Of everything that is drawn.

    Returns:
        Reason -> rows that cannot become an event.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _concepts().write_parquet(folder / "concept.parquet")
    _persons(persons, seed).write_parquet(folder / "person.parquet")
    parts = folder / "measurement"
    parts.mkdir()
    counts: Counter[str] = Counter()
    size = min(PART, -(-rows // 2))  # two parts at least, whatever the size
    for number, start in enumerate(range(0, rows, size)):
        ids = np.arange(start, min(start + size, rows))
        made = _measurements(ids, rows, persons, np.random.default_rng([seed, 1, number]), counts)
        made.write_parquet(parts / f"{number:03d}.parquet", row_group_size=500_000)
    return dict(counts)


def _concepts() -> pl.DataFrame:
    items = [(1000 + i, f"Laboratory item {i}", "LOINC", f"{1000 + i}-{i % 10}") for i in range(ITEMS)]
    units = [(9000 + i, unit, "UCUM", unit) for i, unit in enumerate(UNITS)]
    sexes = [(8507, "Male", "Gender", "M"), (8532, "Female", "Gender", "F")]
    names = ("concept_id", "concept_name", "vocabulary_id", "concept_code")
    return pl.DataFrame([*items, *units, *sexes], schema=names, orient="row")


def _persons(count: int, seed: int) -> pl.DataFrame:
    draw = np.random.default_rng([seed, 0])
    return pl.DataFrame({
        "person_id": np.arange(1, count + 1),
        "gender_concept_id": draw.choice([8507, 8532], count),
        "year_of_birth": draw.integers(_BEFORE, 2005, count),
        "month_of_birth": draw.integers(1, 13, count),
        "day_of_birth": draw.integers(1, 29, count),
        "race_concept_id": np.zeros(count, np.int64),
        "ethnicity_concept_id": np.zeros(count, np.int64),
        "care_site_id": draw.integers(1, 40, count),
    })  # fmt: skip


def _measurements(
    ids: np.ndarray, rows: int, persons: int, draw: np.random.Generator, counts: Counter[str]
) -> pl.DataFrame:
    n = len(ids)
    item = np.minimum(draw.geometric(0.02, n) - 1, ITEMS - 1)  # some are taken all the time, most seldom
    concept, person = 1000 + item, draw.integers(1, persons + 1, n)
    days = ids * (_YEARS * 365) // rows  # in the order in which they are taken
    time = _START + days.astype("timedelta64[D]")
    time = (time + draw.integers(1, 24 * 60, n).astype("timedelta64[m]")).astype("datetime64[m]")
    which = draw.random(n)
    for (reason, share), low in zip(UNUSABLE.items(), np.cumsum([0, *UNUSABLE.values()]), strict=False):
        hit = (which >= low) & (which < low + share)
        counts[reason] += int(hit.sum())
        if reason.startswith("no concept"):
            concept = np.where(hit, 0, concept)
        elif reason.startswith("the time"):
            time = np.where(hit, np.datetime64(f"{_BEFORE - 5}-06-01T12:00", "m"), time)
        else:
            person = np.where(hit, persons + 7, person)
    middle = 5.0 + item
    value = np.round(middle * np.exp(0.3 * draw.standard_normal(n)), 1)
    nothing = pl.lit(None, pl.Int64)
    return pl.DataFrame({
        "measurement_id": ids + 1,
        "person_id": person,
        "measurement_concept_id": concept,
        "measurement_datetime": time.astype("datetime64[us]"),
        "value_as_number": value,
        "item": item,
        "visit_occurrence_id": person * 10 + draw.integers(0, 10, n),
        "ranged": draw.random(n) < 0.7,
    }).select(
        "measurement_id", "person_id", "measurement_concept_id",
        pl.col("measurement_datetime").dt.date().alias("measurement_date"),
        "measurement_datetime",
        pl.col("measurement_datetime").dt.to_string("%H:%M:%S").alias("measurement_time"),
        measurement_type_concept_id=pl.lit(32856, pl.Int64),
        operator_concept_id=pl.lit(4172703, pl.Int64),
        value_as_number="value_as_number",
        value_as_concept_id=pl.lit(0, pl.Int64),
        unit_concept_id=9000 + pl.col("item") % len(UNITS),
        range_low=pl.when("ranged").then((5.0 + pl.col("item")) * 0.7),
        range_high=pl.when("ranged").then((5.0 + pl.col("item")) * 1.4),
        provider_id=pl.col("visit_occurrence_id") % 997,
        visit_occurrence_id="visit_occurrence_id",
        visit_detail_id=nothing,
        measurement_source_value=pl.concat_str(pl.lit("LAB"), pl.col("item").cast(pl.String)),
        measurement_source_concept_id=pl.lit(0, pl.Int64),
        unit_source_value=(pl.col("item") % len(UNITS)).replace_strict(dict(enumerate(UNITS)), return_dtype=pl.String),
        unit_source_concept_id=pl.lit(0, pl.Int64),
        value_source_value=pl.col("value_as_number").cast(pl.String),
        measurement_event_id=nothing,
        meas_event_field_concept_id=nothing,
    )  # fmt: skip
