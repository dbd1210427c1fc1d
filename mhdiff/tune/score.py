"""What the predictions of one training are worth on its held-out patients, with everything offered that there is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from sklearn.metrics import log_loss, roc_auc_score

from mhdiff.evaluate.predictions import probability_columns
from ontology.errors import InputError


def score(predictions: pl.DataFrame, metric: str, path: Path | None = None) -> float:
    """Score held-out patients under the fullest pattern of modalities.

    Args:
        predictions: The predictions frame.
        metric: `log_loss`, `brier` (of all classes, 0 to 2), `auroc` (mean over the classes, each against the rest) or
            `accuracy`.
        path: Where they came from, for the message.

    Raises:
        InputError: If AUROC is asked for and a class is missing.
    """
    fullest = max(predictions["pattern"].unique(), key=lambda name: (name.count("+"), name))
    rows = predictions.filter(pl.col("split") == "held_out", pl.col("pattern") == fullest)
    p = rows.select(probability_columns(rows)).to_numpy()
    y = rows["label"].to_numpy()
    every = np.arange(p.shape[1])
    if metric == "log_loss":
        return float(log_loss(y, p / p.sum(axis=1, keepdims=True), labels=every))
    if metric == "brier":
        return float(np.square(p - (y[:, None] == every)).sum(axis=1).mean())
    if metric == "accuracy":
        return float((p.argmax(axis=1) == y).mean())
    lacking = [str(c) for c in every if (y == c).all() or not (y == c).any()]
    if lacking:
        raise InputError(
            f"an inner fold has no patient of class {', '.join(lacking)}, and no AUROC",
            path=path,
            remedy="Ask for fewer inner folds, or compare by log_loss",
        )
    return float(np.mean([roc_auc_score(y == c, p[:, c]) for c in every]))
