"""Logistic regression and gradient boosting of scikit-learn, on the table of `mhdiff.baselines.table`.

Logistic regression reads what is not known as the training mean, on one scale, and is told which modalities there are;
its settings are `looks` strengths of the L2 penalty. Gradient boosting (histograms, as LightGBM) reads gaps as gaps;
its settings are `looks` numbers of rounds, evenly spaced, of one fit. Both have their library's defaults otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mhdiff.baselines.estimator import Estimator
from mhdiff.baselines.table import Rows, Table
from ontology.errors import InputError


class LogisticRegression(Estimator):
    """Multinomial logistic regression with an L2 penalty.

    Args:
        looks: How many strengths of the penalty are tried, C from 1e-3 to 1e2.
        copies: See `Estimator`.
        words: See `Estimator`.
        grid: See `Estimator`.
    """

    def design(self, table: Table, rows: Rows, present: Bool[Tensor, "n modality"]) -> Any:
        """Give the table without gaps, see `Estimator.design`."""
        return table.without_gaps(rows, present)

    def fits(
        self, x: Any, label: Int[np.ndarray, " n"], weight: Float[np.ndarray, " n"], seed: int
    ) -> Iterator[tuple[dict[str, float], Any]]:
        """Fit with each strength, see `Estimator.fits`."""
        from sklearn.linear_model import LogisticRegression as Model

        strengths = np.logspace(-3, 2, self.looks) if self.looks > 1 else np.ones(1)
        for c in strengths.tolist():
            model = Model(C=c, max_iter=1000, random_state=seed).fit(x, label, sample_weight=weight)
            self.fitted = int(model.coef_.size + model.intercept_.size)
            yield {"C": c}, model.predict_proba

    def size(self, chosen: dict[str, float]) -> int:
        """Give the number of coefficients, see `Estimator.size`."""
        return self.fitted


class GradientBoosting(Estimator):
    """Gradient boosting of trees on histograms.

    Args:
        looks: How many numbers of rounds are tried, evenly spaced up to `rounds`.
        copies: See `Estimator`.
        words: See `Estimator`; trees read a dense table, so fewer.
        grid: See `Estimator`.
        rounds: Number of rounds that are fitted; each adds a tree for every class.
    """

    def __init__(
        self, looks: int = 10, copies: int = 5, words: int = 300, grid: int = 8, rounds: int = 100
    ) -> None:
        super().__init__(looks, copies, words, grid)
        if rounds < looks:
            raise InputError(
                f"estimator.init_args.rounds ({rounds}) is less than looks ({looks})",
                remedy="Fit as many rounds as are looked at, or more",
            )
        self.rounds = rounds

    def design(self, table: Table, rows: Rows, present: Bool[Tensor, "n modality"]) -> Any:
        """Give the table with gaps, see `Estimator.design`."""
        return table.with_gaps(rows, present)

    def fits(
        self, x: Any, label: Int[np.ndarray, " n"], weight: Float[np.ndarray, " n"], seed: int
    ) -> Iterator[tuple[dict[str, float], Any]]:
        """Fit once and give each number of rounds, see `Estimator.fits`."""
        from sklearn.ensemble import HistGradientBoostingClassifier as Model

        model = Model(max_iter=self.rounds, early_stopping=False, random_state=seed)
        model.fit(x, label, sample_weight=weight)
        self.leaves = [sum(tree.get_n_leaf_nodes() for tree in trees) for trees in model._predictors]
        for rounds in (
            np.linspace(self.rounds / self.looks, self.rounds, self.looks).round().astype(int).tolist()
        ):
            yield {"rounds": rounds}, _Staged(model, rounds)

    def size(self, chosen: dict[str, float]) -> int:
        """Give the number of leaves, see `Estimator.size`."""
        return int(sum(self.leaves[: int(chosen["rounds"])]))


class _Staged:
    """The probabilities of a boosted model after some of its rounds."""

    def __init__(self, model: Any, rounds: int) -> None:
        self.model, self.rounds = model, rounds

    def __call__(self, x: Any) -> Any:
        return next(islice(self.model.staged_predict_proba(x), self.rounds - 1, None))
