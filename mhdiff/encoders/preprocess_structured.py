"""Labs as z-scores and codes as multi-hot weights, both with the statistics of the training fold.

v = clip((x - mean) / std, -8, 8) of the latest value in the window, 0 where it was not measured
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import polars as pl
import torch
from torch import Tensor

from mhdiff.encoders.preprocess import EventReader, State
from mhdiff.encoders.specs import CodeSpec, LabSpec
from ontology.errors import InputError

LIMIT = 8.0  # standard deviations; farther away, a unit is more often wrong than a patient so ill


class LabTable(EventReader):
    """One column a lab: an event code, which holds its unit, so that units never mix.

    Events are frames with `sample_id`, `code`, `numeric_value` and `time`, of this modality only.

    Args:
        min_samples: In how many samples of the training fold a lab must have been measured to get a column.
    """

    def __init__(self, min_samples: int = 2) -> None:
        self.min_samples = min_samples
        self.names: list[str] = []
        self.mean: list[float] = []
        self.std: list[float] = []
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
        """Learn the columns, means and standard deviations.

        Args:
            events: The labs of the training fold.

        Returns:
            This object.

        Raises:
            InputError: If no lab was measured often enough.
        """
        numbers = _latest(events)
        every = (
            numbers.group_by("code")
            .agg(
                pl.len().alias("n"),
                pl.col("numeric_value").mean().alias("mean"),
                pl.col("numeric_value").std(ddof=0).alias("std"),
            )
            .sort("code")
        )
        table = every.filter(pl.col("n") >= self.min_samples)
        if table.is_empty():
            raise InputError(
                f"no lab was measured in {self.min_samples} samples of the training fold",
                remedy="Take the modality out of the task, or check its prefixes",
            )
        self.names = table["code"].to_list()
        self.mean = table["mean"].to_list()
        self.std = [s if math.isfinite(s) and s > 1e-12 else 1.0 for s in table["std"].to_list()]
        self.report = {
            "labs": len(self.names),
            "labs measured too seldom": every.height - table.height,
            "events without a number": events.height - _numbers(events).height,
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
        events = events.filter(pl.col("sample_id").is_in(pl.Series(sample_ids, dtype=pl.Int64).implode()))
        known = events.filter(pl.col("code").is_in(pl.Series(self.names).implode()))
        latest = _latest(known)
        row_of = {sample: row for row, sample in enumerate(sample_ids)}
        rows = np.array([row_of[s] for s in latest["sample_id"].to_list()], dtype=np.int64)
        cols = np.array([columns[c] for c in latest["code"].to_list()], dtype=np.int64)
        z = (latest["numeric_value"].to_numpy() - np.array(self.mean)[cols]) / np.array(self.std)[cols]
        value, measured = np.zeros((2, len(sample_ids), len(columns)), dtype=np.float32)
        value[rows, cols] = np.clip(z, -LIMIT, LIMIT)
        measured[rows, cols] = 1
        self.report = {
            "events": events.height,
            "events of labs without a column": events.height - known.height,
            "events without a number": known.height - _numbers(known).height,
            "values beyond 8 standard deviations": int((np.abs(z) > LIMIT).sum()),
            "samples without a lab": len(sample_ids) - len(set(rows.tolist())),
        }
        return {"value": torch.from_numpy(value), "measured": torch.from_numpy(measured)}

    def state(self) -> State:
        """Give the columns and their statistics."""
        return {
            "kind": "LabTable",
            "min_samples": self.min_samples,
            "names": self.names,
            "mean": self.mean,
            "std": self.std,
        }

    @classmethod
    def from_state(cls, state: State) -> LabTable:
        """Make the table again.

        Args:
            state: What `state` gave.
        """
        table = cls(state["min_samples"])
        table.names, table.mean, table.std = list(state["names"]), list(state["mean"]), list(state["std"])
        return table


class CodeTable(EventReader):
    """One column a code that training saw often enough; the others share column 0, which so is trained too.

    Events are frames with `sample_id` and `code`, of this modality only.

    Args:
        min_samples: In how many samples of the training fold a code must occur to get a column of its own.
    """

    def __init__(self, min_samples: int = 2) -> None:
        self.min_samples = min_samples
        self.codes: list[str] | None = None
        self.report: dict[str, int] = {}

    @property
    def spec(self) -> CodeSpec:
        """What the encoder must know."""
        return CodeSpec(1 + len(self._fitted))

    @property
    def _fitted(self) -> list[str]:
        if self.codes is None:
            raise InputError(
                "the code table was not fitted", remedy="Call fit with the codes of the training fold"
            )
        return self.codes

    def fit(self, events: pl.DataFrame) -> CodeTable:
        """Learn the vocabulary.

        Args:
            events: The codes of the training fold.

        Returns:
            This object.

        Raises:
            InputError: If there is no code at all.
        """
        if events.is_empty():
            raise InputError(
                "the training fold holds no code",
                remedy="Take the modality out of the task, or check its prefixes",
            )
        seen = events.select("sample_id", "code").unique().group_by("code").len().sort("code")
        self.codes = seen.filter(pl.col("len") >= self.min_samples)["code"].to_list()
        self.report = {
            "codes": len(self.codes),
            "codes too seldom, sharing column 0": seen.height - len(self.codes),
        }
        return self

    def learn(self, events: pl.DataFrame, sample_ids: Sequence[int]) -> None:
        """Fit, see `fit`.

        Args:
            events: The codes of the training fold.
            sample_ids: Not read.
        """
        self.fit(events)

    def tensors(self, events: pl.DataFrame, sample_ids: Sequence[int]) -> dict[str, Tensor]:
        """Give one row a sample, see `transform`.

        Args:
            events: The codes.
            sample_ids: The samples.
        """
        return self.transform(events, sample_ids)

    def transform(self, events: pl.DataFrame, sample_ids: Sequence[int]) -> dict[str, Tensor]:
        """Give one row a sample.

        Args:
            events: The codes of these samples, and perhaps of others.
            sample_ids: The samples, in the order of the rows.

        Returns:
            `weight`, float32 `[samples, 1 + codes]`, 0 or 1.
        """
        columns = {code: i + 1 for i, code in enumerate(self._fitted)}
        row_of = {sample: row for row, sample in enumerate(sample_ids)}
        weight = torch.zeros(len(sample_ids), 1 + len(columns))
        counted = unknown = 0
        for sample, code in events.select("sample_id", "code").unique().iter_rows():
            if sample in row_of:
                column = columns.get(code, 0)
                weight[row_of[sample], column] = 1
                counted, unknown = counted + 1, unknown + (column == 0)
        self.report = {
            "codes": counted,
            "codes unknown to training": unknown,
            "samples without a code": int((weight.sum(dim=1) == 0).sum()),
        }
        return {"weight": weight}

    def state(self) -> State:
        """Give the vocabulary."""
        return {"kind": "CodeTable", "min_samples": self.min_samples, "codes": self._fitted}

    @classmethod
    def from_state(cls, state: State) -> CodeTable:
        """Make the table again.

        Args:
            state: What `state` gave.
        """
        table = cls(state["min_samples"])
        table.codes = list(state["codes"])
        return table


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
