"""Predictions of some samples as the rows that `mhdiff.evaluate.predictions` describes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from mhdiff.evaluate.patterns import pattern_name
from mhdiff.training.data import MultimodalData

Numbers = np.ndarray[Any, np.dtype[Any]]


def prediction_rows(
    sample_id: Int64[Numbers, " n"],
    label: Int64[Numbers, " n"],
    pattern: str,
    probabilities: Float64[Numbers, "n classes"],
    spread: Float64[Numbers, " n"],
    present: Sequence[str],
) -> pl.DataFrame:
    """Give one row a sample under one pattern.

    Args:
        sample_id: The samples.
        label: Their classes.
        pattern: Name of the pattern.
        probabilities: Of the classes.
        spread: The largest standard deviation of them over imputations; 0 where nothing was imputed.
        present: What each sample has, see `names_of`.
    """
    said = {f"p_{i}": probabilities[:, i] for i in range(probabilities.shape[1])}
    return pl.DataFrame(
        {
            "sample_id": sample_id,
            "pattern": [pattern] * len(sample_id),
            "label": label,
            "present": list(present),
            **said,
            "spread": spread,
        }
    )


def names_of(present: Bool[Tensor, "n modality"], data: MultimodalData) -> list[str]:
    """Name what each sample has of the modalities that the model uses, as patterns are named.

    Args:
        present: Which of them.
        data: The data module.
    """
    return [
        pattern_name([m for m, has in zip(data.modalities, row, strict=True) if has], data.offered)
        for row in present.tolist()
    ]


def prediction_frame(rows: Sequence[pl.DataFrame], samples: pl.DataFrame) -> pl.DataFrame:
    """Put rows together with whose samples they are.

    Args:
        rows: Those of some samples and patterns.
        samples: sample_id, subject_id, site and split of every sample.
    """
    meta = samples.select("sample_id", "subject_id", "site", "split")
    return pl.concat(rows).join(meta, on="sample_id", how="left").sort("pattern", "sample_id")
