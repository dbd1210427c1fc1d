r"""Do generated latents give patients of the training fold away? Two attacks, each beside people it cannot harm.

    d(x) = min_j |x - t_j|                           distance to the nearest training latent
    share_closer_than_q05 = P(d(made) < q_05);       1/20 where nothing is copied; q_05: 5% quantile of d(held-out)
    ratio = median d(made) / median d(held-out);     1 where nothing is copied
    membership = P(s(train) > s(held-out)) + P(=) / 2;     .5 where nothing is given away

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
    classes: tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " k"]] | None = None,
) -> dict[str, Any]:
    """Compare how near draws and held-out patients are to training patients.

    Args:
        made: Draws.
        train: Latents of training patients.
        held_out: Latents of held-out patients.
        subjects: Whose held-out row it is.
        replicates: Resamples of draws and of held-out patients.
        seed: Of the resamples.
        classes: Classes of the draws and of the held-out rows: those are weighted so that each class counts for as much
            among them as among the draws. A class lies where it lies, and a rare one is farther from everybody. Draws
            of a class without held-out patients are compared with nobody. None: all count alike.

    Returns:
        `share_closer_than_q05` and `ratio` with intervals, the number of draws that are `copies` (at distance 0 but for
        rounding), and n of each. The first two are None with a `reason` where there are fewer than `FEWEST` held-out
        patients, and `copies`, which needs none, where there are no draws or no training patients.
    """
    size: dict[str, Any] = {"n_made": len(made), "n_train": len(train), "n_held_out": len(held_out)}
    size |= {"n_compared": 0, "share_closer_than_q05": None, "ratio": None, "copies": None}
    d_made = nearest(made, train) if len(train) else np.zeros(0)
    if len(d_made):
        scale = np.sqrt((train**2).sum(axis=1).mean())
        size["copies"] = int((d_made <= 1e-6 * scale).sum())
    of_made, of_held = classes or (np.zeros(len(made), np.int64), np.zeros(len(held_out), np.int64))
    asked, kept = np.isin(of_held, of_made), np.isin(of_made, of_held)
    held_out, subjects, of_held = held_out[asked], subjects[asked], of_held[asked]
    d_made, of_made = d_made[kept] if len(d_made) else d_made, of_made[kept]
    patients = len(np.unique(subjects))
    size |= {"n_held_out": len(held_out), "n_compared": len(d_made)}
    if patients < FEWEST or not len(d_made):
        return size | {
            "reason": f"{len(d_made)} draws, {len(train)} training latents and {patients} held-out patients are too "
            "few"
        }
    order = np.argsort(d_held := nearest(held_out, train), kind="stable")
    held = _Weighted(d_held[order], of_held[order])
    resamples = Resamples.of(subjects, replicates, seed)
    place = resamples.place(subjects)[order]
    chance = np.random.default_rng([seed, 1])
    closer, ratio = [], []
    for counts in resamples.blocks():
        for row in counts[:, place]:
            there = np.isin(of_made, held.classes[row > 0])  # a replicate may lack a rare class
            picked = chance.choice(np.flatnonzero(there), len(d_made))
            low, middle = held.quantiles(row, of_made[picked])
            closer.append(float((d_made[picked] < low).mean()))
            ratio.append(_over(np.median(d_made[picked]), middle))
    low, middle = held.quantiles(np.ones(len(d_held)), of_made)
    return size | {
        "share_closer_than_q05": estimate(float((d_made < low).mean()), np.array(closer)),
        "ratio": estimate(_over(np.median(d_made), middle), np.array(ratio)),
    }


class _Weighted:
    """Distances of held-out patients, ascending, of whom each class can be given another weight."""

    def __init__(self, values: Float64[np.ndarray, " k"], classes: Int64[np.ndarray, " k"]) -> None:
        self.values, self.classes = values, classes

    def quantiles(
        self, counts: Float64[np.ndarray, " k"], like: Int64[np.ndarray, " n"]
    ) -> tuple[float, float]:
        """Give the 5% quantile and the median.

        Args:
            counts: How often each patient counts.
            like: Classes of the draws, whose shares the classes of the patients are given.
        """
        width = int(max(self.classes.max(), like.max())) + 1
        share = np.bincount(like, minlength=width)
        here = np.bincount(self.classes, counts, minlength=width)
        weight = counts * np.divide(share, here, out=np.zeros(width), where=here > 0)[self.classes]
        reached = np.cumsum(weight) / weight.sum()
        at = np.searchsorted(reached, (_QUANTILE - 1e-12, 0.5 - 1e-12))
        return float(self.values[at[0]]), float(self.values[at[1]])


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
