"""By which way a patient was diagnosed, as an explanation has it and as a sentence; needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class WayTaken:
    """The settled way to diagnose, as it was taken for one patient.

    Args:
        by: Whether the fused latent was denoised, or what is missing was imputed, by draws or by the conditional mean.
        temperature: T, which logits were divided by.
        time: Where on the way from data, 0, to noise, 1, the latent was denoised; None where it was not, or by a prior
            that knows no time.
        draws: Number of imputations whose probabilities were averaged; 0 for none.
        steps: Effort of each; None without.
        via: `shared`: the complete patient's latent was imputed; `fusion`: the missing modalities were, and fused with
            those that are there; None without imputing.
        seed: Of the imputations; None without.
        spread: Standard deviation of the predicted class's probability over the imputations; None without.
    """

    by: Literal["denoising", "imputation", "conditional mean"]
    temperature: float
    time: float | None = None
    draws: int = 0
    steps: int | None = None
    via: Literal["shared", "fusion"] | None = None
    seed: int | None = None
    spread: float | None = None


def sentence(document: Mapping[str, Any]) -> str:
    """Say it.

    Args:
        document: A `WayTaken` as an explanation's JSON has it.
    """
    at = "" if document["time"] is None else f" at t = {document['time']:g}"
    warm = f"temperature {document['temperature']:.3g}"
    if document["by"] == "denoising":
        return f"diagnosed from the denoised latent{at}, {warm}"
    what = f"complete patient's latent{at and f', denoised{at}'}"
    if document["via"] == "fusion":
        what = f"missing modalities, fused with what is there{at and f' and denoised{at}'}"
    if document["by"] == "conditional mean":
        return f"diagnosed from the conditional mean of the {what}, {warm}"
    return (
        f"diagnosed by the mean probability of {document['draws']} imputations of the {what}, {warm}; "
        f"the predicted class's probability has a standard deviation of {document['spread']:.3f} over them"
    )
