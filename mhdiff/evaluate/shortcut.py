r"""What can be told from the pattern of what is there alone: whether missingness itself is a shortcut.

    p_c(i) = ( n_{c,g} + pi_c ) / ( n_g + 1 ),   g the modalities that sample i has

n counted on the tuning split, pi the class shares there, so that a set of modalities that nobody had gives those. Of
several models each has its own tuning split. It reads no image, note or value. A model that is no better has learned
who was examined and not what was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float64, Int64

from mhdiff.evaluate.bootstrap import Resamples, bootstrap
from mhdiff.evaluate.metrics import undefined_reasons
from mhdiff.evaluate.predictions import MODEL, Scored, by_model
from mhdiff.evaluate.several import of_the_same

METRICS = ("auroc", "auprc", "brier")


def class_shares(
    seen: Sequence[str], labels: Int64[np.ndarray, " n"], asked: Sequence[str], classes: int
) -> tuple[Float64[np.ndarray, "asked classes"], Float64[np.ndarray, " classes"]]:
    """Give p_c of some samples, counted on others, and pi_c.

    Args:
        seen: The group of each sample that is counted.
        labels: Their classes.
        asked: The group of each sample that is asked about.
        classes: How many classes there are.
    """
    shares = np.bincount(labels, minlength=classes) / len(labels)
    names, place = np.unique(np.asarray(seen, dtype=str), return_inverse=True)
    counts = np.zeros((len(names), classes))
    np.add.at(counts, (place, labels), 1)
    table = dict(zip(names.tolist(), (counts + shares) / (counts.sum(1, keepdims=True) + 1), strict=True))
    return np.array([table.get(name, shares) for name in asked]).reshape(len(asked), classes), shares


def presence_only(
    tuning: pl.DataFrame, held_out: pl.DataFrame, scored: Scored, classes: Sequence[str], resamples: Resamples
) -> dict[str, Any]:
    """Evaluate the class shares among those who have the same modalities.

    Args:
        tuning: Tuning rows; a sample counts once for each model that it tunes.
        held_out: Held-out rows, each sample once.
        scored: The held-out predictions in the order of sample_id, for their labels and patients.
        classes: Names of the classes.
        resamples: The draws of patients.

    Returns:
        {n_tuning, sets, metrics}; `metrics` is None with a reason where it is not known what samples have.
    """
    tuning = tuning.unique([name for name in ("sample_id", MODEL) if name in tuning.columns])
    nothing: dict[str, Any] = {"n_tuning": tuning.height, "sets": None, "metrics": None}
    if "present" not in held_out.columns or held_out["present"].null_count():
        return nothing | {"reason": "the predictions do not say which modalities each sample has"}
    if tuning.is_empty():
        return nothing | {"reason": "no tuning predictions to count on"}
    own = held_out["present"].to_list()
    p = np.full((len(own), len(classes)), np.nan)
    place = np.searchsorted(scored.samples, held_out["sample_id"].to_numpy())
    for part in by_model(held_out.with_columns(place=place)):
        counted = of_the_same(part, tuning)
        if counted.is_empty():
            return nothing | {"reason": "a model has no tuning predictions to count on"}
        seen, asked = (rows["present"].cast(pl.String).to_list() for rows in (counted, part))
        p[part["place"].to_numpy()], _ = class_shares(seen, counted["label"].to_numpy(), asked, len(classes))
    guess = Scored(scored.samples, scored.subjects, scored.labels, p, np.full_like(p, np.nan))
    result = bootstrap({"presence": [guess]}, resamples, accelerated=True)["presence"]
    why = "; ".join(undefined_reasons(guess, classes).values())
    found = {metric: result.overall(metric, why) for metric in METRICS}
    return nothing | {"sets": len(set(own)), "metrics": found}
