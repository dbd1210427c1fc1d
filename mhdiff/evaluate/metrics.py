r"""The metrics, each as a function of non-negative weights on the samples, for many weightings at once.

A figure and its bootstrap replicates come from one code path: weights of 1 give the figure, the number of
times that a patient was drawn gives a replicate. For class c against the rest, with weights w
and scores s = p_c,

    AUROC_c = \sum_{i in c} w_i ( W^-(s < s_i) + W^-(s = s_i) / 2 ) / (W^+ W^-)
    AUPRC_c = \sum_{i in c} w_i / W^+ * W^+(s >= s_i) / ( W^+(s >= s_i) + W^-(s >= s_i) )

(the latter is average precision), where W^-(.) is the weight of the negatives that satisfy the condition:
with negatives sorted once, a cumulative sum of their weights answers it for all replicates. Sensitivity at a
specificity of .9 is the highest on the ROC curve of these very samples with a specificity of at least that, calls
being s >= t; only scores of positives need to be tried for t. Everything else is linear in w and is one matrix product.

Macro figures are plain means over ALL classes. A class without a positive (or a negative) has no AUROC,
AUPRC, F1 and sensitivity, and then the macro figure is undefined too: NaN here, None with a reason in a
summary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from mhdiff.evaluate.calibration import BINS, ece_columns
from mhdiff.evaluate.predictions import Scored

PER_CLASS = ("auroc", "auprc", "f1", "sensitivity", "specificity")
OVERALL = ("auroc", "auprc", "accuracy", "f1", "sensitivity", "specificity", "ece", "brier")
THRESHOLDED = ("sensitivity", "specificity")
CALIBRATION_ERRORS = ("ece", "ece_adaptive", "ece_classwise", "ece_classwise_adaptive")
LOWER_IS_BETTER = (*CALIBRATION_ERRORS, "brier")
SPECIFICITY = 0.9
AT_SPECIFICITY = "sensitivity_at_90"


@dataclass(frozen=True)
class Metrics:
    """Values of every metric for R weightings of the samples.

    Args:
        overall: By metric, one value a weighting.
        per_class: By metric, one row a weighting and one column a class.
    """

    overall: dict[str, Float64[np.ndarray, " replicates"]]
    per_class: dict[str, Float64[np.ndarray, "replicates classes"]]

    def __sub__(self, other: Metrics) -> Metrics:
        return Metrics(
            {name: values - other.overall[name] for name, values in self.overall.items()},
            {name: values - other.per_class[name] for name, values in self.per_class.items()},
        )


def concatenate(parts: Sequence[Metrics]) -> Metrics:
    """Join blocks of replicates.

    Args:
        parts: Blocks, in order.
    """
    return Metrics(
        {name: np.concatenate([p.overall[name] for p in parts]) for name in parts[0].overall},
        {name: np.concatenate([p.per_class[name] for p in parts]) for name in parts[0].per_class},
    )


def average(parts: Sequence[Metrics]) -> Metrics:
    """Average runs (seeds) replicate by replicate; undefined in one run is undefined.

    Args:
        parts: One for each run, on the same weightings.
    """
    return Metrics(
        {name: np.mean([p.overall[name] for p in parts], axis=0) for name in parts[0].overall},
        {name: np.mean([p.per_class[name] for p in parts], axis=0) for name in parts[0].per_class},
    )


class WeightedMetrics:
    """All of a set of predictions that does not depend on the weights: sorted scores and linear columns.

    Args:
        scored: The predictions.
    """

    def __init__(self, scored: Scored) -> None:
        labels, probabilities = scored.labels, scored.probabilities
        self.classes = probabilities.shape[1]
        true = np.eye(self.classes)[labels]
        guess = np.eye(self.classes)[probabilities.argmax(axis=1)]
        correct = (true * guess).sum(axis=1, keepdims=True)
        brier = ((probabilities - true) ** 2).sum(axis=1, keepdims=True)
        self._linear = np.concatenate(
            [
                np.ones_like(correct),
                correct,
                brier,
                ece_columns(probabilities, labels),
                true,
                guess,
                true * guess,
                true * scored.called,
                (1 - true) * (1 - scored.called),
            ],
            axis=1,
        )
        self._ranks = [Ranks(probabilities[:, c], labels == c) for c in range(self.classes)]

    def __call__(self, weights: Float64[np.ndarray, "replicates n"]) -> Metrics:
        """Compute every metric under every weighting.

        Args:
            weights: How often each sample counts, one row a replicate.
        """
        sums = weights @ self._linear
        n, hits, brier = sums[:, 0], sums[:, 1], sums[:, 2]
        bins, rest = sums[:, 3 : 3 + BINS], sums[:, 3 + BINS :]
        positive, guessed, both, called_true, spared = np.split(rest, 5, axis=1)
        negative = n[:, None] - positive
        ranked = [ranks(weights) for ranks in self._ranks]
        per_class = {
            "auroc": np.stack([auroc for auroc, _, _ in ranked], axis=1),
            "auprc": np.stack([auprc for _, auprc, _ in ranked], axis=1),
            "f1": np.where(positive > 0, _ratio(2 * both, positive + guessed), np.nan),
            "sensitivity": _ratio(called_true, positive),
            "specificity": _ratio(spared, negative),
            AT_SPECIFICITY: np.stack([at for _, _, at in ranked], axis=1),
        }
        overall = {name: values.mean(axis=1) for name, values in per_class.items()}
        overall |= {
            "accuracy": _ratio(hits, n),
            "ece": _ratio(np.abs(bins).sum(axis=1), n),
            "brier": _ratio(brier, n),
        }
        return Metrics({name: overall[name] for name in (*OVERALL, AT_SPECIFICITY)}, per_class)


class Ranks:
    """AUROC, average precision and sensitivity at a fixed specificity of one class by weighted ranks."""

    def __init__(self, scores: Float64[np.ndarray, " n"], positive: np.ndarray) -> None:
        order = np.argsort(scores, kind="stable")
        self._positive = order[positive[order]]
        self._negative = order[~positive[order]]
        p, q = scores[self._positive], scores[self._negative]
        self._below = np.searchsorted(q, p, side="left")  # negatives with a lower score
        self._up_to = np.searchsorted(q, p, side="right")  # ... lower or equal
        self._own_below = np.searchsorted(p, p, side="left")  # positives with a lower score

    def __call__(
        self, weights: Float64[np.ndarray, "replicates n"]
    ) -> tuple[
        Float64[np.ndarray, " replicates"],
        Float64[np.ndarray, " replicates"],
        Float64[np.ndarray, " replicates"],
    ]:
        """Give AUROC, average precision and sensitivity at `SPECIFICITY` under every weighting.

        Args:
            weights: How often each sample counts, one row a replicate.
        """
        w = weights[:, self._positive]
        negative, positive = _cumulative(weights[:, self._negative]), _cumulative(w)
        w_neg, w_pos = negative[:, -1], positive[:, -1]
        below = negative[:, self._below]
        wins = np.einsum("rp,rp->r", w, below + negative[:, self._up_to]) / 2
        hits = w_pos[:, None] - positive[:, self._own_below]
        alarms = w_neg[:, None] - below
        precision = hits / np.maximum(hits + alarms, 1e-300)  # 0 / 0 only where w = 0
        auprc = _ratio(np.einsum("rp,rp->r", w, precision), w_pos)
        spared = below >= (SPECIFICITY - 1e-12) * w_neg[:, None]
        called = _ratio(np.einsum("rp,rp->r", w, spared), w_pos)
        there = w_neg > 0
        return _ratio(wins, w_pos * w_neg), np.where(there, auprc, np.nan), np.where(there, called, np.nan)


def _cumulative(weights: Float64[np.ndarray, "replicates k"]) -> Float64[np.ndarray, "replicates k+1"]:
    sums = np.zeros((weights.shape[0], weights.shape[1] + 1))
    np.cumsum(weights, axis=1, out=sums[:, 1:])
    return sums


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    return np.divide(top, bottom, out=np.full(np.shape(top), np.nan), where=bottom > 0)


def undefined_reasons(scored: Scored, classes: Sequence[str]) -> dict[str, str]:
    """Say for each class that has no AUROC why: nobody has it, or everybody.

    Args:
        scored: The predictions.
        classes: Names of the classes.
    """
    counts = np.bincount(scored.labels, minlength=len(classes))
    return {
        name: f"no sample {'of class' if count == 0 else 'outside class'} {name} among {len(scored.labels)}"
        for name, count in zip(classes, counts, strict=True)
        if count in (0, len(scored.labels))
    }
