"""Is one set of predictions better than another: the paired, patient-clustered difference.

Both sets are weighted by the same resamples, so what makes a patient hard for both cancels. The difference
is always first minus second.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from mhdiff.evaluate.bootstrap import Estimate, Resamples, bootstrap
from mhdiff.evaluate.metrics import OVERALL, THRESHOLDED, undefined_reasons
from mhdiff.evaluate.patterns import modalities_of, order_patterns
from mhdiff.evaluate.predictions import Scored, check_predictions, to_scored
from mhdiff.evaluate.thresholds import Thresholds, youden
from ontology.errors import InputError


def refuse_different_patients(
    first: Scored, second: Scored, names: tuple[str, str] = ("first", "second")
) -> None:
    """Refuse to pair predictions that are not for the same samples of the same patients.

    Args:
        first: Predictions.
        second: Predictions.
        names: What to call them in the message.

    Raises:
        InputError: If samples, patients or labels differ.
    """
    only = np.setxor1d(first.samples, second.samples)
    if only.size:
        raise InputError(
            f"'{names[0]}' and '{names[1]}' are predictions for different patients: "
            f"{only.size} samples are in one only, such as {only[0]}",
            remedy="Compare runs on the same held-out patients",
        )
    for what, a, b in (
        ("patients", first.subjects, second.subjects),
        ("labels", first.labels, second.labels),
    ):
        if not np.array_equal(a, b):
            raise InputError(
                f"'{names[0]}' and '{names[1]}' give the same samples different {what}",
                remedy="Compare runs on the same cohort and task",
            )


def tuned_thresholds(tuning: pl.DataFrame, classes: Sequence[str]) -> Thresholds:
    """Choose thresholds on checked tuning rows of one pattern; none of them if there are no rows.

    Args:
        tuning: Rows whose split is "tuning".
        classes: Names of the classes.
    """
    if tuning.is_empty():
        return Thresholds.none(classes, "no tuning predictions to choose a threshold on")
    rows = to_scored(tuning)
    return youden(rows.probabilities, rows.labels, classes)


def reason_for(metric: str, absent: dict[str, str], thresholds: dict[str, str]) -> str:
    """Say why an overall metric is undefined.

    Args:
        metric: The metric.
        absent: By class, why it cannot be ranked.
        thresholds: By class, why it has no threshold.
    """
    return "; ".join([*absent.values(), *(thresholds.values() if metric in THRESHOLDED else ())])


def paired_difference(
    first: pl.DataFrame,
    second: pl.DataFrame,
    classes: Sequence[str],
    *,
    pattern: str | None = None,
    replicates: int = 1000,
    seed: int = 0,
    accelerated: bool = False,
) -> dict[str, Estimate]:
    """Estimate first minus second for every metric on the held-out patients.

    Args:
        first: A predictions frame; its thresholds come from its own tuning rows.
        second: Another one for the same patients.
        classes: Names of the classes.
        pattern: Which pattern of modalities; the fullest that `first` has, if not given.
        replicates: How many resamples of patients.
        seed: Seed of the resamples.
        accelerated: Whether intervals are BCa's or percentiles.

    Returns:
        By metric {value, low, high, undefined, n, n_subjects}, and a reason where something is undefined.

    Raises:
        InputError: If a frame is unusable, or the two are for different patients.
    """
    runs: dict[str, Scored] = {}
    missing: dict[str, str] = {}
    for name, given in (("first", first), ("second", second)):
        frame = check_predictions(given, classes)
        if pattern is None:
            names = frame["pattern"].unique().to_list()
            pattern = order_patterns(names, modalities_of(names))[0]
        frame = frame.filter(pl.col("pattern") == pattern)
        limits = tuned_thresholds(frame.filter(pl.col("split") == "tuning"), classes)
        held_out = frame.filter(pl.col("split") == "held_out")
        if held_out.is_empty():
            raise InputError(
                f"'{name}' has no held-out predictions under pattern '{pattern}'", column="split"
            )
        runs[name], missing = to_scored(held_out, limits.values), missing | limits.reasons
    one, two = runs["first"], runs["second"]
    refuse_different_patients(one, two)
    resamples = Resamples.of(one.subjects, replicates, seed)
    results = bootstrap({"first": [one], "second": [two]}, resamples, accelerated=accelerated)
    difference = results["first"] - results["second"]
    absent = undefined_reasons(one, classes)
    size = {"n": len(one.samples), "n_subjects": int(resamples.subjects.size)}
    return {name: difference.overall(name, reason_for(name, absent, missing)) | size for name in OVERALL}
