r"""Are spoilt records noticed: the AUROC of telling a spoilt sample from its clean self by a score.

    AUROC = P( score(spoilt) > score(clean) ) + P( equal ) / 2

over all pairs of a spoilt and a clean record of the samples that were really changed. Scores of several models are on
no common scale: pairs are then those within a model. Interval by bootstrap over
patients, who take their clean and spoilt records with them.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64

from mhdiff.evaluate.bootstrap import Estimate, Resamples, estimate
from mhdiff.evaluate.metrics import Ranks


def flagging(
    clean: Float64[np.ndarray, " n"],
    spoilt: Float64[np.ndarray, " n"],
    subjects: Int64[np.ndarray, " n"],
    replicates: int = 1000,
    seed: int = 0,
    models: Int64[np.ndarray, " n"] | None = None,
) -> Estimate:
    """Estimate how well a score tells spoilt from clean.

    Args:
        clean: Score of each changed sample as it is; higher is stranger.
        spoilt: Its score when spoilt.
        subjects: Whose sample it is: the unit that is resampled.
        replicates: How many resamples of patients.
        seed: Seed of the resamples.
        models: Which model each score is of; None where there is one.

    Returns:
        {value, low, high, undefined, n, n_subjects}, with a reason where no sample was changed.
    """
    size = {"n": len(clean), "n_subjects": len(np.unique(subjects))}
    if not len(clean):
        return estimate(float("nan"), None, "no sample was changed") | size
    spoilt_rows = np.arange(2 * len(clean)) >= len(clean)
    scores, of = (
        np.concatenate([clean, spoilt]),
        np.zeros(len(clean), dtype=np.int64) if models is None else models,
    )
    sets = [np.flatnonzero(np.tile(of == model, 2)) for model in np.unique(of)]
    ranks = [Ranks(scores[rows], spoilt_rows[rows]) for rows in sets]

    def area(weights: Float64[np.ndarray, "replicates rows"]) -> Float64[np.ndarray, " replicates"]:
        parts = [weights[:, rows] for rows in sets]
        pairs = np.array([part.sum(axis=1) ** 2 for part in parts])  # four times as many, as in the other sum
        won = np.array([np.nan_to_num(rank(part)[0]) for rank, part in zip(ranks, parts, strict=True)])
        with np.errstate(invalid="ignore"):
            return (pairs * won).sum(axis=0) / pairs.sum(axis=0)

    value = float(area(np.ones((1, 2 * len(clean))))[0])
    resamples = Resamples.of(subjects, replicates, seed)
    draws = None
    if resamples.subjects.size > 1 and replicates:
        rows = np.tile(resamples.place(subjects), 2)
        draws = np.concatenate([area(counts[:, rows]) for counts in resamples.blocks()])
    return estimate(value, draws) | size
