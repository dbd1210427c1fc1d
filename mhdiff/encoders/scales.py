"""Scales of laboratory values, fitted on the training fold: one column each.

zscore     (x - mean) / std
quantile   Phi^-1(F(x)), with scikit-learn's QuantileTransformer for F
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.preprocessing import QuantileTransformer

Vector = np.ndarray[Any, np.dtype[np.float64]]
QUANTILES = 101  # every hundredth, or fewer where there are fewer values


class Scale(ABC):
    """Brings values of several columns to a common scale."""

    @abstractmethod
    def __call__(self, values: Vector, columns: np.ndarray[Any, np.dtype[np.int64]]) -> Vector:
        """Scale values.

        Args:
            values: Shape (n,).
            columns: The column of each.

        Returns:
            Shape (n,).
        """

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Give what was fitted, as plain data."""


class ZScore(Scale):
    """Mean 0 and standard deviation 1.

    Args:
        mean: One a column.
        std: One a column.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean, self.std = list(mean), list(std)

    def __call__(self, values: Vector, columns: np.ndarray[Any, np.dtype[np.int64]]) -> Vector:
        """Scale values, see `Scale`."""
        scaled: Vector = (values - np.array(self.mean)[columns]) / np.array(self.std)[columns]
        return scaled

    def state(self) -> dict[str, Any]:
        """Give means and standard deviations."""
        return {"mean": self.mean, "std": self.std}


class Quantile(Scale):
    """A standard normal distribution, whatever the values' own.

    Args:
        quantiles: Of each column, ascending, at equal steps from its smallest value to its largest.
    """

    def __init__(self, quantiles: Sequence[Sequence[float]]) -> None:
        self.quantiles = [list(one) for one in quantiles]

    def __call__(self, values: Vector, columns: np.ndarray[Any, np.dtype[np.int64]]) -> Vector:
        """Scale values, see `Scale`."""
        scaled = np.zeros(len(values))
        for column in np.unique(columns).tolist():
            here = columns == column
            scaled[here] = _transformer(self.quantiles[column]).transform(values[here, None])[:, 0]
        return scaled

    def state(self) -> dict[str, Any]:
        """Give the quantiles."""
        return {"quantiles": self.quantiles}


def _transformer(quantiles: Sequence[float]) -> QuantileTransformer:
    """Give scikit-learn's transformer as it would be after a fit that found these quantiles."""
    made = QuantileTransformer(n_quantiles=len(quantiles), output_distribution="normal")
    made.n_quantiles_, made.n_features_in_ = len(quantiles), 1
    made.quantiles_ = np.asarray(quantiles, dtype=np.float64)[:, None]
    made.references_ = np.linspace(0, 1, len(quantiles), endpoint=True)
    return made


def scale_of(how: str, values: Sequence[Vector]) -> Scale:
    """Fit a scale.

    Args:
        how: `zscore` or `quantile`.
        values: The training fold's values of each column, ascending, so that their sum does not depend on the order
            of rows.
    """
    if how == "quantile":
        fitted = [
            QuantileTransformer(
                n_quantiles=min(QUANTILES, len(one)), output_distribution="normal", subsample=None
            ).fit(one[:, None])
            for one in values
        ]
        return Quantile([one.quantiles_[:, 0].tolist() for one in fitted])
    spread = [float(one.std()) for one in values]
    return ZScore(
        [float(one.mean()) for one in values],
        [s if math.isfinite(s) and s > 1e-12 else 1.0 for s in spread],
    )


def scale_from_state(how: str, state: Mapping[str, Any]) -> Scale:
    """Make a scale again.

    Args:
        how: `zscore` or `quantile`.
        state: What `Scale.state` gave.
    """
    return Quantile(state["quantiles"]) if how == "quantile" else ZScore(state["mean"], state["std"])
