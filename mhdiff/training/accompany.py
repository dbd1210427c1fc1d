"""What goes with a run's predictions, so that every figure can be computed from them alone, see `evaluate.stored`."""

from __future__ import annotations

import polars as pl

from mhdiff.cohort.people import people
from mhdiff.evaluate.ceiling import check_ceiling
from mhdiff.evaluate.predictions import probability_columns
from mhdiff.evaluate.stored import EXACT, About
from mhdiff.training.data import MultimodalData
from ontology.errors import InputError


def accompanied(frame: pl.DataFrame, data: MultimodalData) -> tuple[pl.DataFrame, About]:
    """Add sex, age and, on a known-answer cohort, the exact posterior to predictions, and say what they are of.

    Args:
        frame: The predictions.
        data: The data module that they were made with.
    """
    told = frame.join(people(data.cohort, data.samples), on="sample_id", how="left", maintain_order="left")
    exact, reason = _exact(frame, data)
    if exact is not None:
        told = told.join(exact, on=["subject_id", "pattern"], how="left", maintain_order="left")
    about = About(
        data.task.name,
        tuple(data.spec.classes),
        tuple(data.offered),
        data.split,
        tuple(data.spec.counts),
        reason,
    )
    return told, about


def _exact(frame: pl.DataFrame, data: MultimodalData) -> tuple[pl.DataFrame | None, str]:
    """Give subject_id, pattern, q_0 ... of those who are predicted, or why there are none."""
    truth = data.cohort.path / "truth" / "posterior.parquet"
    if not truth.is_file():
        return None, "no exact posterior was given"
    try:
        posterior = check_ceiling(pl.read_parquet(truth), data.spec.classes, data.offered)
    except InputError as error:
        return None, f"the cohort's exact posteriors cannot be used: {error}"
    columns = probability_columns(posterior)
    return posterior.rename({name: name.replace("p_", EXACT, 1) for name in columns}), ""
