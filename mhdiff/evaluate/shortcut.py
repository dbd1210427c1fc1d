r"""What can be told from the pattern of what is there alone: whether missingness itself is a shortcut.

    p_c(i) = ( n_{c,g} + pi_c ) / ( n_g + 1 ),   g the modalities that sample i has

n counted on the tuning split, pi the class shares there, so that a set of modalities that nobody had gives those. It
reads no image, note or value. A model that is no better has learned who was examined and not what was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from mhdiff.evaluate.bootstrap import Resamples, bootstrap
from mhdiff.evaluate.metrics import undefined_reasons
from mhdiff.evaluate.predictions import Scored

METRICS = ("auroc", "auprc", "brier")


def presence_only(
    tuning: pl.DataFrame, held_out: pl.DataFrame, scored: Scored, classes: Sequence[str], resamples: Resamples
) -> dict[str, Any]:
    """Evaluate the class shares among those who have the same modalities.

    Args:
        tuning: Tuning rows, each sample once.
        held_out: Held-out rows, each sample once.
        scored: The held-out predictions in the order of sample_id, for their labels and patients.
        classes: Names of the classes.
        resamples: The draws of patients.

    Returns:
        {n_tuning, sets, metrics}; `metrics` is None with a reason where it is not known what samples have.
    """
    nothing: dict[str, Any] = {"n_tuning": tuning.height, "sets": None, "metrics": None}
    if "present" not in held_out.columns or held_out["present"].null_count():
        return nothing | {"reason": "the predictions do not say which modalities each sample has"}
    if tuning.is_empty():
        return nothing | {"reason": "no tuning predictions to count on"}
    width = len(classes)
    shares = np.bincount(tuning["label"].to_numpy(), minlength=width) / tuning.height
    table = {
        str(name): (np.bincount(rows["label"].to_numpy(), minlength=width) + shares) / (rows.height + 1)
        for (name,), rows in tuning.group_by("present")
    }
    own = held_out.sort("sample_id")["present"].to_list()
    p = np.array([table.get(name, shares) for name in own])
    guess = Scored(scored.samples, scored.subjects, scored.labels, p, np.full_like(p, np.nan))
    result = bootstrap({"presence": [guess]}, resamples, accelerated=True)["presence"]
    why = "; ".join(undefined_reasons(guess, classes).values())
    found = {metric: result.overall(metric, why) for metric in METRICS}
    return nothing | {"sets": len(set(own)), "metrics": found}
