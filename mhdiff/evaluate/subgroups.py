r"""Figures by subgroup (sex, age band, site) and the gap of each to everybody else, with intervals.

All groups stand on the same resamples of ALL patients, so a gap's interval holds how much both sides vary, and a
replicate in which a group has nobody, or a class of it is missing, counts as undefined there. fairlearn's MetricFrame
gives the same figures on the samples as they are, and is what the tests hold these against; its own bootstrap resamples
rows, which is wrong where a patient has several, and its `difference()` is the greatest gap between any two groups,
which noise alone makes positive: its interval never holds 0. So gaps here are signed, each group minus the rest.
A sample whose group is unknown is a group of its own, never dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mhdiff.evaluate.bootstrap import Figures, Resamples, bootstrap
from mhdiff.evaluate.metrics import OVERALL, WeightedMetrics, undefined_reasons
from mhdiff.evaluate.predictions import Scored
from ontology.errors import InputError

UNKNOWN = "unknown"


def subgroups(
    scored: Scored,
    groups: Sequence[str | None],
    classes: Sequence[str],
    resamples: Resamples,
    *,
    metrics: Sequence[str] = OVERALL,
    figures: Callable[[Scored], Figures] = WeightedMetrics,
    accelerated: bool = False,
) -> dict[str, dict[str, Any]]:
    """Compute overall metrics in each subgroup, and their gaps.

    Args:
        scored: The predictions.
        groups: The group of each sample, in the order of `scored`; None where it is unknown.
        classes: Names of the classes.
        resamples: The draws of all patients.
        metrics: Which overall metrics.
        figures: What computes them.
        accelerated: Whether intervals are BCa's or percentiles.

    Returns:
        By group in alphabetical order: `n`, `n_subjects`, `n_positive` by class, `metrics` and `gap` (group minus
        everybody else), each {value, low, high, undefined} by metric, with a reason where undefined.

    Raises:
        InputError: If there is not one group a sample.
    """
    if len(groups) != len(scored.samples):
        raise InputError(
            f"{len(groups)} groups for {len(scored.samples)} samples",
            remedy="Give one group a sample, or None",
        )
    own = np.array([UNKNOWN if g is None else str(g) for g in groups], dtype=object)
    document: dict[str, dict[str, Any]] = {}
    for name in sorted(set(own)):
        inside = own == name
        sides = {"in": _part(scored, inside)}
        if not inside.all():
            sides["out"] = _part(scored, ~inside)
        results = bootstrap(
            {side: [part] for side, part in sides.items()},
            resamples,
            figures=figures,
            accelerated=accelerated,
        )
        absent = {side: "; ".join(undefined_reasons(part, classes).values()) for side, part in sides.items()}
        part = sides["in"]
        row: dict[str, Any] = {
            "n": len(part.samples),
            "n_subjects": len(np.unique(part.subjects)),
            "n_positive": {c: int((part.labels == i).sum()) for i, c in enumerate(classes)},
            "metrics": {m: results["in"].overall(m, absent["in"]) for m in metrics},
        }
        if "out" in results:
            gap = results["in"] - results["out"]
            why = "; ".join(
                f"{text} ({'in' if side == 'in' else 'outside'} group {name})"
                for side, text in absent.items()
                if text
            )
            row["gap"] = {m: gap.overall(m, why) for m in metrics}
        else:
            row["gap"], row["gap_reason"] = None, f"everybody is in group {name}"
        document[name] = row
    return document


def _part(scored: Scored, which: np.ndarray) -> Scored:
    return Scored(
        scored.samples[which],
        scored.subjects[which],
        scored.labels[which],
        scored.probabilities[which],
        scored.called[which],
    )
