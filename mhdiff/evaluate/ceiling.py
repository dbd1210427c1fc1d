"""The ceiling: on a known-answer cohort the exact posterior, evaluated as if it were a model on the same patients."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import yaml

from mhdiff.evaluate.patterns import parse_pattern
from mhdiff.evaluate.predictions import check_probabilities, probability_columns
from ontology.errors import InputError


def truth_of(run: Path) -> Path | None:
    """Give the file of exact posteriors of the cohort that a run was trained on, if it is a known-answer one.

    Args:
        run: The run's folder.
    """
    config = run / "config.yaml"
    settings = yaml.safe_load(config.read_text(encoding="utf-8")) if config.is_file() else None
    if not isinstance(settings, dict) or not isinstance(settings.get("data"), dict):
        return None
    truth = Path(str(settings["data"].get("cohort"))) / "truth" / "posterior.parquet"
    return truth if truth.is_file() else None


def check_ceiling(ceiling: pl.DataFrame, classes: Sequence[str], modalities: Sequence[str]) -> pl.DataFrame:
    """Check exact posteriors; patterns with modalities that the predictions never use are left out.

    Args:
        ceiling: Exact posteriors: subject_id, pattern, p_0 ...
        classes: Names of the classes.
        modalities: The modalities of the predictions, in the task's order.

    Raises:
        InputError: If a column is missing or a patient has two posteriors for one pattern.
    """
    for name in ("subject_id", "pattern"):
        if name not in ceiling.columns:
            raise InputError(
                "the exact posteriors lack a column", column=name, remedy="Synthesize the cohort again"
            )
    columns = check_probabilities(ceiling, classes)

    def canonical(name: str) -> str | None:
        try:
            return "+".join(parse_pattern(name, modalities)) or "none"
        except InputError:
            return None

    renamed = {name: canonical(name) for name in ceiling["pattern"].unique().to_list()}
    frame = ceiling.with_columns(
        pl.col("pattern").replace_strict(renamed, return_dtype=pl.String)
    ).drop_nulls("pattern")
    twice = frame.filter(frame.select("subject_id", "pattern").is_duplicated())
    if twice.height:
        raise InputError(
            f"a patient has two exact posteriors for pattern '{twice['pattern'][0]}'",
            column="subject_id",
        )
    return frame.select(pl.col("subject_id").cast(pl.Int64), "pattern", pl.col(columns).cast(pl.Float64))


def with_posterior(rows: pl.DataFrame, posterior: pl.DataFrame, pattern: str) -> pl.DataFrame:
    """Put each patient's exact posterior in the place of the model's probabilities.

    Args:
        rows: Predictions.
        posterior: subject_id and the probabilities, of one pattern; or of each row's own, with the column pattern.
        pattern: Its name, for the message.

    Raises:
        InputError: If a patient has no posterior.
    """
    columns = probability_columns(rows)
    keys = [key for key in ("subject_id", "pattern") if key in posterior.columns]
    joined = rows.drop(columns).join(posterior, on=keys, how="left")
    lost = joined.filter(pl.col("p_0").is_null())
    if lost.height:
        raise InputError(
            f"{lost['subject_id'].n_unique()} patients have no exact posterior for pattern '{pattern}'",
            column="subject_id",
            remedy="Give the posteriors of the cohort that was predicted",
        )
    return joined
