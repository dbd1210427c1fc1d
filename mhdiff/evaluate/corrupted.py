"""What corruption costs, and whether it is noticed: by corruption the metrics, the difference to clean, the flags.

The frame has the columns of `mhdiff.evaluate.predictions` and: corruption ("noise:3", or "none" for the records as they
are), seed, changed (whether the sample's input is another one), acts_on (the modalities that the corruption changes,
joined by "+"), and one column for each score by which strange records are flagged, higher for stranger ones. It holds
held-out samples only. Thresholds come from the clean tuning rows of `predictions.parquet`: nobody tunes on spoilt
records. Differences are spoilt minus clean, paired over patients. Of several models each has thresholds of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mhdiff.evaluate.bootstrap import Resamples, bootstrap
from mhdiff.evaluate.compare import reason_for, refuse_different_patients
from mhdiff.evaluate.flagging import flagging
from mhdiff.evaluate.metrics import OVERALL, undefined_reasons
from mhdiff.evaluate.predictions import MODEL, Scored, check_predictions, to_scored
from mhdiff.evaluate.several import at_own_thresholds, reasons_of
from ontology.errors import InputError

CLEAN = "none"
SCORE = "score_"
ACTS_ON = "acts_on"
SAME = 0.01  # by how much a record's probability may differ between two files of one model
_NEEDED = ("corruption", "seed", "changed")
_AGAIN = "The run writes it: mhdiff evaluate RUN --corrupt all"


def read_corruptions(path: Path) -> pl.DataFrame:
    """Read predictions of spoilt records.

    Args:
        path: The file.

    Raises:
        InputError: If it cannot be read, or is no such file.
    """
    try:
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(
            "there are no readable predictions of spoilt records", path=path, remedy=_AGAIN
        ) from error
    if lost := [name for name in (*_NEEDED, ACTS_ON) if name not in frame.columns]:
        raise InputError(
            "a column is missing: the file is of an earlier version, or not of spoilt records",
            path=path,
            column=lost[0],
            remedy=_AGAIN,
        )
    return frame


def summarise_corruptions(
    frame: pl.DataFrame,
    predictions: pl.DataFrame,
    classes: Sequence[str],
    *,
    path: str | Path | None = None,
    replicates: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Evaluate predictions of spoilt records.

    Args:
        frame: See the module; one pattern of modalities.
        predictions: Clean predictions, whose tuning rows give the thresholds.
        classes: Names of the classes, in the order of p_0, p_1, ...
        path: Where the frame came from, for the messages.
        replicates: How many bootstrap resamples of patients.
        seed: Seed of the resamples.

    Returns:
        By corruption {modalities, n, n_subjects, changed, metrics, difference, flags}; flags hold one AUROC a score.

    Raises:
        InputError: If a frame is unusable, spoilt and clean rows are not of the same patients, or the two frames are
            not of the same model.
    """
    names = [name for name in frame["corruption"].unique(maintain_order=True) if name != CLEAN]
    rows = {name: frame.filter(pl.col("corruption") == name).sort("sample_id") for name in [CLEAN, *names]}
    if rows[CLEAN].is_empty():
        raise InputError("the clean records are missing", path=path, column="corruption", remedy=_AGAIN)
    pattern = rows[CLEAN]["pattern"][0]
    clean = check_predictions(predictions, classes).filter(pl.col("pattern") == pattern)
    tuning = clean.filter(pl.col("split") == "tuning")
    called = {
        name: at_own_thresholds(check_predictions(part, classes, path=path), tuning, classes)
        for name, part in rows.items()
    }
    scored, tuned = {name: one for name, (one, _) in called.items()}, reasons_of(called[CLEAN][1])
    _refuse_another(scored[CLEAN], clean, path)
    for name in names:
        refuse_different_patients(scored[name], scored[CLEAN], (name, CLEAN))
    resamples = Resamples.of(scored[CLEAN].subjects, replicates, seed)
    results = bootstrap({name: [one] for name, one in scored.items()}, resamples, accelerated=True)
    absent = undefined_reasons(scored[CLEAN], classes)
    reasons = {metric: reason_for(metric, absent, tuned) for metric in OVERALL}
    scores = [column for column in frame.columns if column.startswith(SCORE)]
    document: dict[str, Any] = {}
    for name in names:
        changed = rows[name]["changed"].to_numpy()
        models = None if MODEL not in frame.columns else rows[name][MODEL].to_numpy()[changed]
        on = rows[name][ACTS_ON][0]
        document[name] = {
            "pattern": pattern,
            "modalities": on.split("+") if on else [],
            "n": len(changed),
            "n_subjects": int(resamples.subjects.size),
            "changed": int(changed.sum()),
            "metrics": {m: results[name].overall(m, reasons[m]) for m in OVERALL},
            "difference": {m: (results[name] - results[CLEAN]).overall(m, reasons[m]) for m in OVERALL},
            "flags": {
                column.removeprefix(SCORE): flagging(
                    rows[CLEAN][column].to_numpy()[changed].astype(np.float64),
                    rows[name][column].to_numpy()[changed].astype(np.float64),
                    scored[name].subjects[changed],
                    replicates,
                    seed,
                    models,
                )
                for column in scores
            },
        }
    return document


def _refuse_another(spoilt: Scored, clean: pl.DataFrame, path: str | Path | None) -> None:
    """Refuse the clean rows of another model, whose thresholds would be used."""
    held_out = to_scored(clean.filter(pl.col("split") == "held_out"))
    refuse_different_patients(spoilt, held_out, ("corruptions", "predictions"))
    apart = np.abs(spoilt.probabilities - held_out.probabilities).max()
    if apart > SAME:
        raise InputError(
            f"the clean records have other probabilities than in the predictions, by up to {apart:.2f}: they are of "
            "another model",
            path=path,
            remedy="Give two files of one run; of an earlier version: delete this one and evaluate with --corrupt",
        )
