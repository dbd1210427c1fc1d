"""Which modality of which patient is strange given the others: `strange.parquet`, by `mhdiff predict --strange`.

    score = -log p(z~_m | z~ of the other modalities that are there)      nats, of the standardised latent
    odd:    score above the q-quantile of the tuning samples' scores of that modality

One row a sample and modality that it has, of the tuning and the held-out split:

    sample_id subject_id site split modality
    score           higher is stranger
    stranger_than   share of the tuning samples whose score is below; of a tuning sample, itself among them
    threshold       the quantile; null with fewer than 20 tuning samples, where nobody is called odd
    odd             whether the score is above it

Of patients like the tuning ones 1 - q are odd in each modality by definition: a flag is a reason to look, no finding.
What the others tell is in the score, so whoever has the modality alone is judged by its own law, with the same
threshold.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import torch

from mhdiff import console
from mhdiff.diffusion.prior_base import Prior
from mhdiff.evaluate.stored import write_predictions
from mhdiff.training.corrupted import surprises
from mhdiff.training.data import MultimodalData
from mhdiff.training.module import Diagnosis
from mhdiff.training.run import open_run
from ontology.errors import InputError

FILE = "strange.parquet"
#: With fewer tuning samples that have a modality there is no threshold for it.
FEWEST = 20


def refuse_without_density(prior: Prior) -> None:
    """Refuse a prior that has no density of a modality given the others.

    Args:
        prior: The prior.

    Raises:
        InputError: If it has none.
    """
    if not prior.judges_modalities:
        raise InputError(
            f"{type(prior).__name__} has no likelihood of a modality given the others, so nobody is strange to it",
            remedy="Train with DiffusionPrior (hierarchy full or no_shared), VAEPrior or GaussianImputer, see "
            "docs/prior.md",
        )


def strange(module: Diagnosis, data: MultimodalData, quantile: float = 0.95) -> pl.DataFrame:
    """Score every modality of the tuning and held-out samples.

    Args:
        module: A built module.
        data: A data module that is set up.
        quantile: q, in (0, 1).

    Returns:
        The frame that this module describes.

    Raises:
        InputError: If the prior has no such density, or q is no share.
    """
    _check(quantile)
    refuse_without_density(module.net.prior)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    module.to(device).eval()
    parts = []
    with torch.no_grad(), module.net.guidance.unchanging():
        for _, batch in data.dataset(["tuning", "held_out"]).batches(
            4 * data.batch_size, "looking for strange ones"
        ):
            moved = batch.to(device)
            output = module.net.run(module.net.features(moved), moved, moved.evidence.weight, compact=True)
            scores, there = surprises(module.net, output).double().cpu(), batch.present
            row, column = there.nonzero(as_tuple=True)
            parts.append(
                pl.DataFrame(
                    {
                        "sample_id": batch.sample_id[row].numpy(),
                        "modality": [data.modalities[k] for k in column.tolist()],
                        "score": scores[there].numpy(),
                    }
                )
            )
    meta = data.samples.select("sample_id", "subject_id", "site", "split")
    frame = pl.concat(parts).join(meta, on="sample_id", how="left", maintain_order="left")
    return _judged(frame, data.modalities, quantile).select(
        *meta.columns, "modality", "score", "stranger_than", "threshold", "odd"
    )


def _judged(frame: pl.DataFrame, modalities: list[str], quantile: float) -> pl.DataFrame:
    """Add what the tuning samples make of the scores."""
    parts = []
    for name in modalities:
        own = frame.filter(pl.col("modality") == name).sort("sample_id")
        usual = np.sort(own.filter(pl.col("split") == "tuning")["score"].to_numpy())
        enough = len(usual) >= FEWEST
        below = np.searchsorted(usual, own["score"].to_numpy()) / max(len(usual), 1)
        threshold = float(np.quantile(usual, quantile)) if enough else None
        parts.append(
            own.with_columns(
                pl.Series("stranger_than", below, dtype=pl.Float64) if enough else _none("stranger_than"),
                pl.lit(threshold, dtype=pl.Float64).alias("threshold"),
                pl.lit(value=False).alias("odd")
                if threshold is None
                else (pl.col("score") > threshold).alias("odd"),
            )
        )
    return pl.concat(parts)


def _check(quantile: float) -> None:
    if not 0.0 < quantile < 1.0:
        raise InputError(f"--quantile {quantile} is outside (0, 1)", remedy="The default is 0.95")


def _none(name: str) -> pl.Expr:
    return pl.lit(None, dtype=pl.Float64).alias(name)


def strange_run(run: str | Path, quantile: float = 0.95) -> Path:
    """Write `strange.parquet` of a finished run, and say how many held-out samples are odd in which modality.

    Args:
        run: The run's folder.
        quantile: q, in (0, 1).

    Returns:
        The file, which replaces one of before.

    Raises:
        InputError: See `strange`.
    """
    _check(quantile)
    module, data = open_run(run)
    frame = strange(module, data, quantile)
    path = Path(run) / FILE
    write_predictions(frame, path)
    held_out = frame.filter(pl.col("split") == "held_out")
    for name in data.modalities:
        own = held_out.filter(pl.col("modality") == name)
        if own.height and own["threshold"].null_count():
            console.say(f"{name}: fewer than {FEWEST} tuning samples have it, so there is no threshold")
        elif own.height:
            console.say(f"{name}: {own['odd'].sum()} of {own.height} held-out samples are odd")
    return path
