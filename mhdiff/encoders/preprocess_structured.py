"""Labs on a common scale, with the statistics of the training fold, and whether they were measured at all.

    zscore     v = clip((x - mean) / std, -8, 8)
    quantile   v = clip(Phi^-1(F(x)), -8, 8), F the training fold's distribution function between its quantiles

of the latest value in the window; 0, the mean or the median, where it was not measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import polars as pl
import torch
from torch import Tensor

from mhdiff.encoders.one_unit import Units
from mhdiff.encoders.preprocess import EventReader, State
from mhdiff.encoders.preprocess_codes import CodeTable
from mhdiff.encoders.scales import Scale, scale_from_state, scale_of
from mhdiff.encoders.specs import LabSpec
from ontology.errors import InputError

__all__ = ["LIMIT", "CodeTable", "LabTable"]

LIMIT = 8.0  # standard deviations; farther away, a unit is more often wrong than a patient so ill
How = Literal["zscore", "quantile"]


class LabTable(EventReader):
    """One column a lab, in one unit.

    Events are frames with `sample_id`, `code`, `numeric_value` and `time`, of this modality only, and perhaps
    `column`, what the window calls the analyte. Other codes that differ in their unit only share a column where the
    units convert, in the unit that most samples of the training fold have; where they do not, each has its own.

    Args:
        min_samples: In how many samples of the training fold a lab must have been measured to get a column.
        scale: `zscore` or `quantile`; the latter for values that are far from normal.
    """

    def __init__(self, min_samples: int = 2, scale: How = "zscore") -> None:
        if scale not in get_args(How):
            raise InputError(
                f"there is no scale of labs called '{scale}'", remedy=f"Use {' or '.join(get_args(How))}"
            )
        self.min_samples, self.scale = min_samples, scale
        self.names: list[str] = []
        self.units = Units({})
        self.fitted: Scale | None = None
        self.report: dict[str, int] = {}

    @property
    def spec(self) -> LabSpec:
        """What the encoder must know."""
        if not self.names:
            raise InputError(
                "the laboratory table was not fitted", remedy="Call fit with the labs of the training fold"
            )
        return LabSpec(tuple(self.names))

    def fit(self, events: pl.DataFrame) -> LabTable:
        """Learn the columns, their units and their statistics.

        Args:
            events: The labs of the training fold.

        Returns:
            This object.

        Raises:
            InputError: If no lab was measured often enough.
        """
        named = _named(events)
        self.units = Units.fit(_numbers(named))
        numbers = _latest(self.units.read(_numbers(named)))
        every = numbers.group_by("code").len().sort("code")
        table = every.filter(pl.col("len") >= self.min_samples)
        if table.is_empty():
            raise InputError(
                f"no lab was measured in {self.min_samples} samples of the training fold",
                remedy="Take the modality out of the task, or check its prefixes",
            )
        self.names = table["code"].to_list()
        values = numbers.group_by("code").agg("numeric_value")
        of = dict(values.iter_rows())
        self.fitted = scale_of(self.scale, [np.sort(np.asarray(of[name])) for name in self.names])
        self.report = {
            "labs": len(self.names),
            "labs measured too seldom": every.height - table.height,
            "events without a number": events.height - _numbers(events).height,
            **self.units.told(_numbers(named)),
        }
        return self

    def learn(self, events: pl.DataFrame, sample_ids: Sequence[int]) -> None:
        """Fit, see `fit`.

        Args:
            events: The labs of the training fold.
            sample_ids: Not read.
        """
        self.fit(events)

    def tensors(self, events: pl.DataFrame, sample_ids: Sequence[int]) -> dict[str, Tensor]:
        """Give one row a sample, see `transform`.

        Args:
            events: The labs.
            sample_ids: The samples.
        """
        return self.transform(events, sample_ids)

    def transform(self, events: pl.DataFrame, sample_ids: Sequence[int]) -> dict[str, Tensor]:
        """Give one row a sample.

        Args:
            events: The labs of these samples, and perhaps of others.
            sample_ids: The samples, in the order of the rows.

        Returns:
            `value` and `measured`, float32 `[samples, labs]`.
        """
        columns = {name: i for i, name in enumerate(self.spec.names)}
        assert self.fitted is not None
        events = _named(events).filter(
            pl.col("sample_id").is_in(pl.Series(sample_ids, dtype=pl.Int64).implode())
        )
        read = self.units.read(events.with_columns(pl.col("numeric_value").cast(pl.Float64)))
        known = read.filter(pl.col("code").is_in(pl.Series(self.names).implode()))
        latest = _latest(known)
        row_of = {sample: row for row, sample in enumerate(sample_ids)}
        rows = np.array([row_of[s] for s in latest["sample_id"].to_list()], dtype=np.int64)
        cols = np.array([columns[c] for c in latest["code"].to_list()], dtype=np.int64)
        z = self.fitted(latest["numeric_value"].to_numpy(), cols)
        value, measured = np.zeros((2, len(sample_ids), len(columns)), dtype=np.float32)
        value[rows, cols] = np.clip(z, -LIMIT, LIMIT)
        measured[rows, cols] = 1
        self.report = {
            "events": events.height,
            "events of labs without a column": events.height - known.height,
            "events without a number": known.height - _numbers(known).height,
            "values beyond 8 standard deviations": int((np.abs(z) > LIMIT).sum()),
            "samples without a lab": len(sample_ids) - len(set(rows.tolist())),
            **self.units.told(events),
        }
        return {"value": torch.from_numpy(value), "measured": torch.from_numpy(measured)}

    def column_of(self, event: dict[str, object]) -> str:
        """Give the name of the column that an event is read into, if there is such a column.

        Args:
            event: With `code`, and perhaps `column`.
        """
        return self.units.way(str(event.get("column") or event["code"])).column

    def state(self) -> State:
        """Give the columns, their units and their statistics."""
        return {
            "kind": "LabTable",
            "min_samples": self.min_samples,
            "scale": self.scale,
            "names": self.names,
            "units": self.units.state(),
            **({} if self.fitted is None else self.fitted.state()),
        }

    @classmethod
    def from_state(cls, state: State) -> LabTable:
        """Make the table again.

        Args:
            state: What `state` gave; one without a scale and units is of a version that had neither.
        """
        table = cls(state["min_samples"], state.get("scale", "zscore"))
        table.names, table.units = list(state["names"]), Units(dict(state.get("units", {})))
        table.fitted = scale_from_state(table.scale, state)
        return table


def _named(events: pl.DataFrame) -> pl.DataFrame:
    """Call events what the window calls them, where it does."""
    if "column" not in events.columns:
        return events
    return events.with_columns(code=pl.coalesce("column", "code"))


def _numbers(events: pl.DataFrame) -> pl.DataFrame:
    """Events whose value is a finite number."""
    return events.with_columns(pl.col("numeric_value").cast(pl.Float64)).filter(
        pl.col("numeric_value").is_not_null() & pl.col("numeric_value").is_finite()
    )


def _latest(events: pl.DataFrame) -> pl.DataFrame:
    """The latest number of every sample and code; of several at one time the largest, in any row order."""
    return (
        _numbers(events)
        .sort("sample_id", "code", "time", "numeric_value", nulls_last=False)
        .group_by("sample_id", "code", maintain_order=True)
        .last()
        .select("sample_id", "code", "numeric_value")
    )
