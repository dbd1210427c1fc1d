r"""Modalities missing by a mechanism: which of its modalities each sample is offered, seeded.

A modality m that sample i has is hidden with probability

    r_im = expit(a + SLOPE x_im),   a such that the mean of r_im over what is there is `rate`,

x the driver, standardised over the samples; of those that would be hidden altogether one, chosen fairly, stays:

    mcar         x = 0: missing completely at random
    mar          x is always known of a sample, whatever is hidden: its age, else its sex, else its site
    mnar_label   x is 1 outside the most frequent class of the tuning split: the ill are examined less
    mnar_value   x is how telling the hidden modality itself is: max_c of the exact posterior given it alone; on
                 known-answer cohorts only

(Rubin 1976). A pattern withholds one set of modalities from everybody; here every sample has a set of its own, and is
diagnosed as in the pattern of that set, whose predictions are there already: a regime is a choice among stored rows.
Draws and drivers are per split, in the order of sample_id, so that two runs on the same held-out samples get the same;
several models are one run here, and a sample that tunes two of them is offered the same to both.
Thresholds and temperature come from tuning samples under the same regime.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Bool, Float64
from scipy.optimize import brentq
from scipy.special import expit

from mhdiff.evaluate.patterns import pattern_name
from mhdiff.evaluate.predictions import MODEL, probability_columns
from ontology.errors import InputError

REGIMES = ("mcar", "mar", "mnar_label", "mnar_value")
RATE = 0.5
SLOPE = 2.0  # of the log-odds of being hidden, for one standard deviation of the driver
_FEWEST = 2  # samples of a split that a driver can be standardised over


@dataclass(frozen=True)
class Regime:
    """One regime on stored predictions.

    Args:
        name: One of `REGIMES`.
        driver: What decides who is hidden from.
        rows: The rows chosen, one a sample, each still named by its pattern; None where it cannot be.
        hidden: Share of what the held-out samples have that was hidden.
        reason: Why there are no rows.
    """

    name: str
    driver: str
    rows: pl.DataFrame | None
    hidden: float | None = None
    reason: str = ""


def regimes(
    frame: pl.DataFrame,
    modalities: Sequence[str],
    classes: Sequence[str],
    truth: pl.DataFrame | None = None,
    *,
    rate: float = RATE,
    seed: int = 0,
) -> list[Regime]:
    """Choose the rows of every regime.

    Args:
        frame: Checked predictions under all patterns, with the column `present`.
        modalities: The task's modalities, in its order.
        classes: Names of the classes.
        truth: Checked exact posteriors: subject_id, pattern, p_0 ...
        rate: Which share of what is there is hidden, on average and before one is let stay.
        seed: Of the draws.

    Raises:
        InputError: If the rate is not inside (0, 1).
    """
    if not 0 < rate < 1:
        raise InputError(
            f"{rate} is no share of the modalities to hide", remedy="Give a number between 0 and 1"
        )
    return [_regime(name, frame, modalities, classes, truth, rate, seed) for name in REGIMES]


def _regime(
    name: str,
    frame: pl.DataFrame,
    modalities: Sequence[str],
    classes: Sequence[str],
    truth: pl.DataFrame | None,
    rate: float,
    seed: int,
) -> Regime:
    if "present" not in frame.columns or frame["present"].null_count():
        return Regime(name, "", None, reason="the predictions do not say which modalities each sample has")
    chosen, drivers, shares = [], [], {}
    for number, split in enumerate(("tuning", "held_out")):
        every = frame.filter(pl.col("split") == split)
        samples = every.unique("sample_id", keep="first").sort("sample_id")
        if samples.is_empty():
            continue
        tuning = frame.filter(pl.col("split") == "tuning")
        x, driver = _driver(name, samples, tuning if tuning.height else every, modalities, classes, truth)
        if x is None:
            return Regime(name, "", None, reason=driver)
        present = _present(samples["present"].to_list(), modalities)
        rng = np.random.default_rng([seed, REGIMES.index(name), number])
        hidden = hide(present, x, rng.random(present.shape), rate)
        names = [
            pattern_name([m for m, off in zip(modalities, row, strict=True) if not off], modalities)
            for row in hidden
        ]
        wanted = samples.select("sample_id").with_columns(pattern=pl.Series(names, dtype=pl.String))
        rows = wanted.join(every, on=["sample_id", "pattern"], how="inner")
        if rows.height < every.unique([k for k in ("sample_id", MODEL) if k in every.columns]).height:
            lost = sorted(set(names) - set(every["pattern"].unique()))
            why = f"pattern {', '.join(lost[:3])} was not predicted" if lost else "samples lack patterns"
            return Regime(name, driver, None, reason=f"{why}, and the regime offers it to somebody")
        chosen.append(rows.select(every.columns))
        drivers.append(driver)
        shares[split] = float(hidden[present].mean()) if present.any() else 0.0
    return Regime(name, drivers[-1], pl.concat(chosen).sort("sample_id"), shares.get("held_out"))


def hide(
    present: Bool[np.ndarray, "n modalities"],
    x: Float64[np.ndarray, "n modalities"],
    uniform: Float64[np.ndarray, "n modalities"],
    rate: float,
) -> Bool[np.ndarray, "n modalities"]:
    """Say what is hidden: never the last of what a sample has.

    Args:
        present: What each sample has.
        x: The driver.
        uniform: Draws in [0, 1).
        rate: The mean probability over what is there.
    """
    if not present.any():
        return np.zeros_like(present)
    at = x[present]
    a = brentq(lambda a: float(expit(a + SLOPE * at).mean()) - rate, -500.0, 500.0)
    u = uniform / expit(a + SLOPE * x)  # below 1 is hidden; among those the largest is a fair choice
    hidden = present & (u < 1)
    rescued = np.where(present, u, -1.0).argmax(axis=1)
    lost = present.any(axis=1) & (hidden == present).all(axis=1)
    hidden[lost, rescued[lost]] = False
    return hidden


def _driver(
    name: str,
    samples: pl.DataFrame,
    tuning: pl.DataFrame,
    modalities: Sequence[str],
    classes: Sequence[str],
    truth: pl.DataFrame | None,
) -> tuple[Float64[np.ndarray, "n modalities"] | None, str]:
    """Give the standardised driver and its name, or None and why there is none."""
    shape = (samples.height, len(modalities))
    if name == "mcar":
        return np.zeros(shape), "chance"
    if name == "mnar_label":
        labels = tuning.unique("sample_id")["label"].to_numpy()
        commonest = int(np.bincount(labels).argmax())
        ill = (samples["label"].to_numpy() != commonest).astype(float)
        return _wide(ill, shape), f"the label, every class but {classes[commonest]}"
    if name == "mnar_value":
        if truth is None:
            return None, "how telling a hidden modality is, is known on known-answer cohorts only"
        alone = [_telling(samples, truth, m) for m in modalities]
        return np.stack([_standard(v) for v in alone], axis=1), "how telling the hidden modality is"
    for column in ("age", "sex", "site"):
        values = _known(samples, column)
        if values is not None and np.ptp(values) > 0:
            return _wide(values, shape), column
    return None, "neither age, sex nor site is known of the samples, or none of them differs"


def _known(samples: pl.DataFrame, column: str) -> Float64[np.ndarray, " n"] | None:
    """Give a column as numbers; where unknown its mean. Of names: 1 for the most frequent, else 0."""
    if column not in samples.columns or samples[column].null_count() == samples.height:
        return None
    series = samples[column]
    if not series.dtype.is_numeric():
        counts = series.drop_nulls().value_counts().sort(["count", column], descending=[True, False])
        series = (series == counts[column][0]).cast(pl.Float64)
    values = series.cast(pl.Float64)
    return values.fill_null(values.mean()).to_numpy().astype(np.float64)


def _telling(samples: pl.DataFrame, truth: pl.DataFrame, modality: str) -> Float64[np.ndarray, " n"]:
    columns = probability_columns(truth)
    posterior = truth.filter(pl.col("pattern") == modality).with_columns(best=pl.max_horizontal(columns))
    told = samples.select("subject_id").join(
        posterior.select("subject_id", "best"), on="subject_id", how="left", maintain_order="left"
    )
    return told["best"].fill_null(told["best"].mean() or 0.0).to_numpy().astype(np.float64)


def _standard(values: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    spread = values.std()
    return (values - values.mean()) / spread if len(values) >= _FEWEST and spread > 0 else values * 0.0


def _wide(values: Float64[np.ndarray, " n"], shape: tuple[int, int]) -> Float64[np.ndarray, "n modalities"]:
    return np.broadcast_to(_standard(values)[:, None], shape).copy()


def _present(names: Sequence[str], modalities: Sequence[str]) -> Bool[np.ndarray, "n modalities"]:
    return np.array([[m in set(name.split("+")) for m in modalities] for name in names], dtype=bool)
