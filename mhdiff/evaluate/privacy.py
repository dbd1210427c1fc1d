r"""Do generated latents give patients of the training fold away? Two attacks, each beside people it cannot harm.

    d(x) = min_j |x - t_j|                           distance to the nearest training latent
    closer = P(d(made) < q_05),  q_05: the 5% quantile of d(held-out);      1/20 where nothing is copied
    ratio  = median d(made) / median d(held-out);                           1 where nothing is copied
    membership = P(s(train) > s(held-out)) + P(=) / 2                       .5 where nothing is given away

- t: latents of the training patients, held-out: those of patients that training never saw;
- s: what an attacker can compute of a person's latent: its log-likelihood by the prior, or minus its distance to the
  nearest generated latent. Intervals are by bootstrap over patients, of both groups.

Membership beside a control. Encoders have been fitted to the training patients too, and a latent may tell by its length
alone that its encoder knew the patient. `typicality` is the score -|x|^2 / 2, which knows nothing of the prior: what it
reaches is the encoders' doing, and what the others reach beyond it is the prior's.

Neither attack is a proof of privacy: it is what these attacks find, at this n. Nearest distances after Yale et al.
(Neurocomputing 2020); membership by distance to generated data after Chen et al., "GAN-Leaks" (CCS 2020).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from mhdiff.evaluate.bootstrap import Estimate, Resamples, estimate
from mhdiff.evaluate.discrepancy import squared_distances
from mhdiff.evaluate.metrics import Ranks

_AT_ONCE = 1024
_QUANTILE = 0.05
#: Fewer held-out patients have no 5% quantile worth the name.
FEWEST = 20


def nearest(
    x: Float64[np.ndarray, "n dim"], reference: Float64[np.ndarray, "m dim"]
) -> Float64[np.ndarray, " n"]:
    """Give the distance of each row to the nearest row of a reference.

    Args:
        x: Rows.
        reference: Where the nearest is looked for, at least one row.
    """
    parts = []
    for start in range(0, len(x), _AT_ONCE):
        block = x[start : start + _AT_ONCE]
        closest = squared_distances(block, reference).argmin(axis=1)
        # The difference itself: the expanded square of a copy is rounding, not 0.
        parts.append(np.sqrt(((block - reference[closest]) ** 2).sum(axis=1)))
    return np.concatenate(parts) if parts else np.zeros(0)


def proximity(
    made: Float64[np.ndarray, "n dim"],
    train: Float64[np.ndarray, "m dim"],
    held_out: Float64[np.ndarray, "k dim"],
    subjects: Int64[np.ndarray, " k"],
    replicates: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Compare how near draws and held-out patients are to training patients.

    Args:
        made: Draws.
        train: Latents of training patients.
        held_out: Latents of held-out patients, best of the same classes as the draws.
        subjects: Whose held-out row it is.
        replicates: Resamples of draws and of held-out patients.
        seed: Of the resamples.

    Returns:
        `closer` and `ratio` with intervals, the number of draws that are `copies` (at distance 0 but for rounding),
        and n of each; None with a `reason` where there are fewer than `FEWEST` held-out patients.
    """
    resamples = Resamples.of(subjects, replicates, seed) if len(held_out) else None
    patients = 0 if resamples is None else resamples.subjects.size
    size: dict[str, Any] = {"n_made": len(made), "n_train": len(train), "n_held_out": len(held_out)}
    if resamples is None or patients < FEWEST or not len(train) or not len(made):
        reason = (
            f"{len(made)} draws, {len(train)} training latents and {patients} held-out patients are too few"
        )
        return size | {"closer": None, "ratio": None, "copies": None, "reason": reason}
    d_made, d_held = nearest(made, train), nearest(held_out, train)
    place = resamples.place(subjects)
    chance = np.random.default_rng([seed, 1])
    closer, ratio = [], []
    for counts in resamples.blocks():
        for row in counts:
            drawn = np.repeat(d_held, row[place].astype(np.int64))
            again = chance.choice(d_made, len(d_made))
            closer.append(float((again < np.quantile(drawn, _QUANTILE)).mean()))
            ratio.append(_over(np.median(again), np.median(drawn)))
    scale = np.sqrt((train**2).sum(axis=1).mean())
    return size | {
        "closer": estimate(float((d_made < np.quantile(d_held, _QUANTILE)).mean()), np.array(closer)),
        "ratio": estimate(_over(np.median(d_made), np.median(d_held)), np.array(ratio)),
        "copies": int((d_made <= 1e-6 * scale).sum()),
    }


def membership(
    train: Float64[np.ndarray, " m"],
    held_out: Float64[np.ndarray, " k"],
    train_subjects: Int64[np.ndarray, " m"],
    held_out_subjects: Int64[np.ndarray, " k"],
    replicates: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Estimate how well a score tells training from held-out patients.

    Args:
        train: Score of training patients; higher is taken for a member.
        held_out: Score of held-out patients.
        train_subjects: Whose row each is.
        held_out_subjects: The same of the held-out ones, none of whom is a training patient.
        replicates: Resamples of patients.
        seed: Of the resamples.

    Returns:
        AUROC {value, low, high, undefined, n, n_held_out}, with a reason where a group is empty.
    """
    size = {"n": len(train) + len(held_out), "n_held_out": len(held_out)}
    if not len(train) or not len(held_out):
        return estimate(float("nan"), None, "no patients of one of the two groups") | size
    ranks = Ranks(np.concatenate([train, held_out]), np.arange(size["n"]) < len(train))
    value = float(ranks(np.ones((1, size["n"])))[0][0])
    # Each group is resampled by itself: how many members there are is the attacker's design, not luck.
    groups = [
        Resamples.of(whose, replicates, seed + number)
        for number, whose in enumerate((train_subjects, held_out_subjects))
    ]
    places = [
        group.place(whose) for group, whose in zip(groups, (train_subjects, held_out_subjects), strict=True)
    ]
    draws = [
        ranks(np.concatenate([a[:, places[0]], b[:, places[1]]], axis=1))[0]
        for a, b in zip(groups[0].blocks(), groups[1].blocks(), strict=True)
    ]
    return estimate(value, np.concatenate(draws) if draws else None) | size


def _over(top: float, bottom: float) -> float:
    return float(top / bottom) if bottom > 0 else float("nan")
