r"""Figures by how frequent a class is: the plain mean over the classes of a band, with an interval.

Bands are of the share of samples that have the class, in the counts that are given (the training split's, so that a
band does not depend on who is evaluated). A replicate's figure is the mean of the classes' in that replicate. One class
of the band without a figure makes the band undefined, with its name as the reason: the mean is never over those that
are left. Rare classes of an ablation (`mhdiff.ablate.rare`) are the lowest such band.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int64

from mhdiff.evaluate.bootstrap import Estimate, Result
from mhdiff.evaluate.metrics import PER_CLASS, Metrics, undefined_reasons
from mhdiff.evaluate.predictions import Scored
from ontology.errors import InputError

EDGES = (0.01, 0.05, 0.2)


def mean_over_classes(result: Result, metric: str, places: Sequence[int], reason: str = "") -> Estimate:
    """Estimate the mean of a metric over some classes.

    Args:
        result: The figures and their replicates.
        metric: A metric that each class has.
        places: Which classes, at least one.
        reason: Why it is undefined, if it is.
    """

    def mean(metrics: Metrics) -> Metrics:
        return Metrics({metric: metrics.per_class[metric][:, list(places)].mean(axis=1)}, {})

    draws, without = (None if m is None else mean(m) for m in (result.draws, result.without))
    return Result(mean(result.point), draws, without).overall(metric, reason)


def by_frequency(
    result: Result,
    scored: Scored,
    classes: Sequence[str],
    counts: Int64[np.ndarray, " classes"],
    *,
    edges: Sequence[float] = EDGES,
    metrics: Sequence[str] = PER_CLASS,
) -> list[dict[str, Any]]:
    """Tabulate metrics by band of class frequency, the rarest first.

    Args:
        result: Figures of `scored` and their replicates.
        scored: The evaluated samples.
        classes: Names of the classes.
        counts: How many samples have each class, by which classes are put into bands.
        edges: Ends of the bands, ascending in (0, 1); a band holds the shares up to and with its end.
        metrics: Which metrics of a class.

    Returns:
        One row a band that holds a class: `over` and `up_to` (shares), `n_positive` by class among the evaluated, and
        each metric as {value, low, high, undefined}, with a reason where undefined.

    Raises:
        InputError: If the edges do not ascend inside (0, 1), or counts do not fit the classes.
    """
    inner = np.asarray(edges, dtype=float)
    if (np.diff(inner) <= 0).any() or (inner <= 0).any() or (inner >= 1).any():
        raise InputError(
            f"{list(edges)} are no ends of bands", remedy="Give ascending shares between 0 and 1"
        )
    if len(counts) != len(classes) or counts.sum() <= 0:
        raise InputError(
            f"{len(counts)} counts that sum to {counts.sum()} for {len(classes)} classes",
            remedy="Count the samples of each class, in the classes' order",
        )
    band = np.searchsorted(inner, counts / counts.sum(), side="left")
    ends = [0.0, *inner, 1.0]
    absent = undefined_reasons(scored, classes)
    rows: list[dict[str, Any]] = []
    for b in np.unique(band):
        places = np.flatnonzero(band == b).tolist()
        why = "; ".join(absent[classes[i]] for i in places if classes[i] in absent)
        rows.append(
            {
                "over": float(ends[b]),
                "up_to": float(ends[b + 1]),
                "n_positive": {classes[i]: int((scored.labels == i).sum()) for i in places},
                **{m: mean_over_classes(result, m, places, why) for m in metrics},
            }
        )
    return rows
