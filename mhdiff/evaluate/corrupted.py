"""What corruption costs, and whether it is noticed: by corruption the metrics, the difference to clean, the flags.

The frame has the columns of `mhdiff.evaluate.predictions` and: corruption ("noise:3", or "none" for the records as they
are), seed, changed (whether the sample's input is another one), and one column for each score by which strange records
are flagged, higher for stranger ones. It holds held-out samples only. Thresholds come from the clean tuning rows of
`predictions.parquet`: nobody tunes on spoilt records. Differences are spoilt minus clean, paired over patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from mhdiff.evaluate.bootstrap import Resamples, bootstrap
from mhdiff.evaluate.compare import reason_for, refuse_different_patients, tuned_thresholds
from mhdiff.evaluate.flagging import flagging
from mhdiff.evaluate.metrics import OVERALL, undefined_reasons
from mhdiff.evaluate.predictions import check_predictions, to_scored

CLEAN = "none"
SCORE = "score_"


def summarise_corruptions(
    frame: pl.DataFrame,
    tuning: pl.DataFrame,
    classes: Sequence[str],
    acts_on: dict[str, list[str]],
    *,
    replicates: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Evaluate predictions of spoilt records.

    Args:
        frame: See the module; one pattern of modalities.
        tuning: Clean predictions of tuning samples.
        classes: Names of the classes, in the order of p_0, p_1, ...
        acts_on: By corruption, the modalities that it changes.
        replicates: How many bootstrap resamples of patients.
        seed: Seed of the resamples.

    Returns:
        By corruption {modalities, n, n_subjects, changed, metrics, difference, flags}; flags hold one AUROC a score.

    Raises:
        InputError: If a frame is unusable, or spoilt and clean rows are not of the same patients.
    """
    names = [name for name in frame["corruption"].unique(maintain_order=True) if name != CLEAN]
    rows = {name: frame.filter(pl.col("corruption") == name).sort("sample_id") for name in [CLEAN, *names]}
    pattern = rows[CLEAN]["pattern"][0]
    tuned = tuned_thresholds(tuning.filter(pl.col("pattern") == pattern), classes)
    scored = {name: to_scored(check_predictions(part, classes), tuned.values) for name, part in rows.items()}
    for name in names:
        refuse_different_patients(scored[name], scored[CLEAN], (name, CLEAN))
    resamples = Resamples.of(scored[CLEAN].subjects, replicates, seed)
    results = bootstrap({name: [one] for name, one in scored.items()}, resamples, accelerated=True)
    absent = undefined_reasons(scored[CLEAN], classes)
    reasons = {metric: reason_for(metric, absent, tuned.reasons) for metric in OVERALL}
    scores = [column for column in frame.columns if column.startswith(SCORE)]
    document: dict[str, Any] = {}
    for name in names:
        changed = rows[name]["changed"].to_numpy()
        document[name] = {
            "pattern": pattern,
            "modalities": acts_on.get(name, []),
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
                )
                for column in scores
            },
        }
    return document
