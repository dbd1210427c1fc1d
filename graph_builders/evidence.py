"""Evidence: one table of which concept was observed, affirmed or denied, in which sample's which modality.

A row is one observation of one concept: (sample, modality, concept, polarity, weight) and where it came from.
Rows are in a canonical order, so the same evidence gives the same table whatever order it was found in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from ontology.errors import InputError
from ontology.recognise import POLARITIES

SCHEMA: dict[str, pl.DataType] = {
    "sample_id": pl.Int64(),
    "modality": pl.String(),
    "concept": pl.Int64(),  # SCTID
    "polarity": pl.String(),  # one of ontology.recognise.POLARITIES
    "weight": pl.Float32(),  # 1/n where one code or phrase means n concepts
    "depth": pl.Int32(),  # of the concept in its ontology: how specific it is
    "source": pl.String(),  # code of the event
    "start": pl.Int32(),  # characters of the note that were matched
    "end": pl.Int32(),
    "text": pl.String(),  # the matched words
    "time": pl.Datetime("us"),
}
_REQUIRED = ("sample_id", "modality", "concept")
_DEFAULTS: dict[str, Any] = {"polarity": "present", "weight": 1.0}

# So many rows, and what belongs to the last one's sample, are merged at once.
_ROWS = 1 << 19

#: (sample_id, modality) pairs that were observed, whether or not they gave a concept.
OBSERVED: dict[str, pl.DataType] = {"sample_id": pl.Int64(), "modality": pl.String()}


@dataclass(frozen=True, eq=False)
class Evidence:
    """The evidence of a cohort's samples.

    Args:
        table: Rows with the columns of `SCHEMA`. sample_id, modality and concept must be there; polarity
            defaults to "present", weight to 1, the rest to null.
        report: What was used and what was not, by modality and reason (plain values, goes to JSON).
        blinded: SCTIDs that must not appear anywhere, descendants included.
        observed: The (sample_id, modality) pairs that were seen; by default those of the table.

    Raises:
        InputError: If a column is missing or has another type, or a polarity has no known name.
    """

    table: pl.DataFrame
    report: dict[str, Any] = field(default_factory=dict)
    blinded: np.ndarray[Any, np.dtype[np.int64]] = field(default_factory=lambda: np.empty(0, np.int64))
    observed: pl.DataFrame | None = None

    def __post_init__(self) -> None:
        table = conform(self.table)
        pairs = table.select(list(OBSERVED))
        if self.observed is not None:
            pairs = pl.concat([pairs, self.observed.select(list(OBSERVED)).cast(OBSERVED)])  # type: ignore[arg-type]
        object.__setattr__(self, "table", table)
        object.__setattr__(self, "observed", pairs.unique().sort(list(OBSERVED)))
        object.__setattr__(self, "blinded", np.unique(np.asarray(self.blinded, dtype=np.int64)))

    @classmethod
    def stored(
        cls,
        table: pl.DataFrame,
        report: dict[str, Any],
        blinded: np.ndarray[Any, np.dtype[np.int64]],
        observed: pl.DataFrame,
    ) -> Evidence:
        """Take tables as evidence that were evidence when they were written: they are not put in order again.

        Args:
            table: The table of some evidence.
            report: Its report.
            blinded: Its blinded concepts.
            observed: Its observed pairs.

        Raises:
            InputError: If a table has other columns than evidence has.
        """
        for frame, schema in ((table, SCHEMA), (observed, OBSERVED)):
            if dict(frame.schema) != schema:
                raise InputError("the evidence table has other columns than evidence has")
        evidence = object.__new__(cls)
        names = {"table": table, "report": report, "blinded": blinded, "observed": observed}
        for name, value in names.items():
            object.__setattr__(evidence, name, value)
        return evidence

    @cached_property
    def merged(self) -> pl.DataFrame:
        """One row for each (sample_id, modality, concept, polarity).

        A concept that is written five times is not five times as true: the weight is the largest one, and
        `count` says how many rows there were.
        """
        return pl.concat(self.merged_parts())

    def merged_parts(self) -> Iterator[pl.DataFrame]:
        """Give `merged` some samples at a time, in order: what is made of one part needs no memory for the others."""
        keys = ["sample_id", "modality", "concept", "polarity"]
        samples, start = self.table["sample_id"], 0
        while True:
            end = min(start + _ROWS, len(samples))
            if end < len(samples):
                end = int(samples.search_sorted(samples[end - 1], side="right"))
            part = self.table[start:end].group_by(keys)
            number = pl.len().cast(pl.Int64).alias("count")
            yield part.agg(pl.col("weight").max(), pl.col("depth").max(), number).sort(keys)
            if end >= len(samples):
                return
            start = end

    def lifted(
        self, old: np.ndarray[Any, Any], new: np.ndarray[Any, Any], depth: np.ndarray[Any, Any]
    ) -> Evidence:
        """Give the evidence with some concepts replaced by ones above them.

        What is denied is not replaced: who has no bacterial pneumonia may have pneumonia.

        Args:
            old: SCTIDs [K], each once.
            new: What stands for each [K].
            depth: The depth of each of `new` [K].
        """
        names = {"concept": old, "instead": new, "lower": depth}
        moves = pl.DataFrame(names, {"concept": pl.Int64, "instead": pl.Int64, "lower": pl.Int32})
        moved = self.table.join(moves, on="concept", how="left", maintain_order="left")
        up = pl.col("instead").is_not_null() & (pl.col("polarity") != "absent")
        table = moved.with_columns(
            concept=pl.when(up).then("instead").otherwise("concept"),
            depth=pl.when(up).then("lower").otherwise("depth"),
        )
        return replace(self, table=table)

    @property
    def concepts(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The SCTIDs that occur, each once, ascending."""
        return self.table["concept"].unique().sort().to_numpy()


def conform(table: pl.DataFrame) -> pl.DataFrame:
    """Give a table the columns, types and row order of evidence.

    Args:
        table: Any frame with at least sample_id, modality and concept.

    Raises:
        InputError: If it cannot be done.
    """
    missing = [name for name in _REQUIRED if name not in table.columns]
    if missing:
        raise InputError(
            "the evidence table lacks a column", column=missing[0], remedy=f"It needs {_REQUIRED}"
        )
    try:
        full = table.select(
            (pl.col(name) if name in table.columns else pl.lit(_DEFAULTS.get(name))).cast(kind).alias(name)
            for name, kind in SCHEMA.items()
        )
    except pl.exceptions.PolarsError as error:
        raise InputError(f"the evidence table has a column of another type ({error})") from error
    for name in (*_REQUIRED, *_DEFAULTS):
        if full[name].null_count():
            raise InputError("a value of the evidence table is empty", column=name)
    unknown = sorted(set(full["polarity"].unique()) - set(POLARITIES))
    if unknown:
        raise InputError(
            f"'{unknown[0]}' is no polarity", column="polarity", remedy=f"Known ones: {', '.join(POLARITIES)}"
        )
    return full.sort(list(SCHEMA))
