r"""From a patient's latents to probabilities: denoise what was fused, or complete it with what is missing.

.. math::
    p &= \mathrm{softmax}(\mathrm{head}(\mathrm{E}[z \mid z_t]) / T) && \text{by denoising at } t \\
    p &= \mathrm{softmax}(\mathrm{head}(\mathrm{E}[z \mid \bar z_t]) / T), \quad
         \bar z = \mathrm{E}[z \mid \text{present}] && \text{by the conditional mean} \\
    p &= \tfrac{1}{K} \sum_k \mathrm{softmax}(\mathrm{head}(\mathrm{E}[z \mid z^k_t]) / T) && \text{by imputing}

with :math:`z^k` drawn from the complete patients' law of z given the latents of the modalities that are there. The head
was trained on denoised latents, so a completed latent is denoised as well, at a time of its own; t = 0 leaves it as it
is.

Imputed are the probabilities' inputs, and the probabilities are what is averaged: averaged logits would be surer than
any draw. The standard deviation over draws is told beside it. The conditional mean is one evaluation of the prior,
without random numbers and without spread. Completed is either the shared latent itself (`via: shared`), or the missing
modalities' latents, which are then fused with those that are there (`via: fusion`).

A complete patient has nothing to draw: every block is known, and K draws are K times the same. Draws of the shared
latent given the modalities would throw away what the concepts of this patient said to the fusion, and noise put on a
known latent is no noise that the patient has. So complete patients are denoised.

All patients are drawn with the same random numbers, so what one gets does not depend on who else is in the batch, nor
on the device: they come from the processor.

Settling and predicting want numbers and keep no graph. `log_probabilities` is the same computation where gradients are
on: with its random numbers fixed it is a smooth function of the patient, which explanations attribute
(`mhdiff.explain.settled`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from mhdiff.batch import Batch, EvidenceBatch
from mhdiff.diffusion.effort import Effort, measured
from mhdiff.diffusion.latents import Latents
from mhdiff.diffusion.prior_base import Prior
from mhdiff.model import MHDiff, Output
from ontology.errors import InputError


@dataclass(frozen=True)
class Way:
    """One way to diagnose.

    Attributes:
        time: How much of the latent is taken for noise, in [0, 1]; None: as the prior is set.
        draws: Number of imputations K; 0 draws nothing.
        steps: Effort of a draw, see `Prior.impute`.
        via: Whether the shared latent is imputed, or the missing modalities are, and fused.
        temperature: T, which logits are divided by.
        mean: Impute the conditional mean, in one evaluation, in place of draws.
    """

    time: float | None = None
    draws: int = 0
    steps: int = 8
    via: Literal["shared", "fusion"] = "shared"
    temperature: float = 1.0
    mean: bool = False

    def __post_init__(self) -> None:
        if (
            self.draws < 0
            or self.steps < 1
            or not self.temperature > 0
            or self.via not in ("shared", "fusion")
            or (self.time is not None and not 0.0 <= self.time <= 1.0)
            or (self.mean and self.draws)
        ):
            raise InputError(
                f"{self} is no way to diagnose",
                remedy="Give time in [0, 1], draws >= 0, steps >= 1, temperature > 0, via shared or fusion, and no "
                "draws beside mean",
            )

    @property
    def imputes(self) -> bool:
        """Whether what is missing is filled in, by draws or by their mean."""
        return self.mean or self.draws > 0

    def by(self, prior: Prior) -> Way:
        """Give what this way comes to with a prior: it may impute nothing, or have no model of the shared latent.

        Args:
            prior: The prior.
        """
        if self.imputes and not prior.imputes:
            return replace(self, draws=0, mean=False)
        return replace(self, via="fusion") if self.imputes and not prior.draws_shared else self


@dataclass(frozen=True)
class Inference:
    """How patients are diagnosed.

    Attributes:
        complete: Those of whom every modality is there.
        incomplete: The others.
        seed: Of the imputations.
    """

    complete: Way = Way()
    incomplete: Way = Way()
    seed: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Inference:
        """Undo `as_dict`.

        Args:
            document: What `as_dict` gave.

        Raises:
            InputError: If it is nothing that `as_dict` gives.
        """
        try:
            complete, incomplete = (Way(**document[group]) for group in ("complete", "incomplete"))
            return cls(complete, incomplete, int(document["seed"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"this does not say how complete and incomplete patients are diagnosed: {document}",
                remedy="It was changed, or another version wrote it: settle or export the run again",
            ) from error


@dataclass(frozen=True)
class Diagnosed:
    """What is said of a batch.

    Attributes:
        probabilities: Of the classes.
        spread: Their standard deviation over imputations; 0 where nothing was imputed.
        output: What the model made of it, before the way of diagnosing.
        effort: What imputing cost, from the latents to the logits; None where nothing was imputed.
    """

    probabilities: Float64[Tensor, "batch classes"]
    spread: Float64[Tensor, "batch classes"]
    output: Output
    effort: Effort | None = None


@torch.no_grad()
def diagnose(
    net: MHDiff, features: dict[str, Tensor], batch: Batch, inference: Inference | None = None
) -> Diagnosed:
    """Diagnose a batch.

    Args:
        net: The model, in evaluation mode.
        features: What its `features` gave for the batch.
        batch: The batch; what `present` hides is not looked at.
        inference: How; by default by denoising at the prior's own time.
    """
    output = net.run(features, batch, batch.evidence.weight)
    probabilities = torch.zeros_like(output.logits, dtype=torch.float64)
    spread = torch.zeros_like(probabilities)
    inference, effort = inference or Inference(), None
    for rows, way in _by_group(batch, inference):
        asked, found = way.by(net.prior), partial(_tempered, net, output, batch, rows, way, inference.seed)
        if asked.imputes:
            drawn = asked.draws * net.prior.evaluations_to_impute(asked.steps) or 1
            logits, effort = measured(found, drawn, int(rows.sum()), output.logits.device)
        else:
            logits = found()
        each = logits.softmax(-1)
        probabilities[rows] = each.mean(dim=0)
        if len(each) > 1:
            spread[rows] = each.std(dim=0)
    return Diagnosed(probabilities, spread, output, effort)


def log_probabilities(
    net: MHDiff, features: dict[str, Tensor], batch: Batch, inference: Inference
) -> Float64[Tensor, "batch classes"]:
    """Give the logarithms of what `diagnose` says, differentiable in the features and in the evidence's weights.

    Args:
        net: The model, in evaluation mode.
        features: What its `features` gave for the batch, perhaps moved towards a baseline.
        batch: The batch; what `present` hides is not looked at.
        inference: How.
    """
    output = net.run(features, batch, batch.evidence.weight)
    found = torch.zeros_like(output.logits, dtype=torch.float64)
    for rows, way in _by_group(batch, inference):
        logits = _tempered(net, output, batch, rows, way, inference.seed)
        found[rows] = logits.log_softmax(-1).logsumexp(dim=0) - math.log(len(logits))
    return found


def _by_group(batch: Batch, inference: Inference) -> Iterator[tuple[Bool[Tensor, " batch"], Way]]:
    """Those who have everything and those who do not, where there are any, and how they are diagnosed."""
    complete = batch.present.all(dim=1)
    for rows, way in ((complete, inference.complete), (~complete, inference.incomplete)):
        if bool(rows.any()):
            yield rows, way


def _tempered(
    net: MHDiff, output: Output, batch: Batch, rows: Bool[Tensor, " batch"], way: Way, seed: int
) -> Float64[Tensor, "draws rows classes"]:
    """The logits after temperature."""
    (logits,) = logits_of(net, output, batch, rows, [way], seed)
    return logits.double() / way.temperature


def logits_of(
    net: MHDiff, output: Output, batch: Batch, rows: Bool[Tensor, " batch"], ways: Sequence[Way], seed: int
) -> list[Float[Tensor, "draws rows classes"]]:
    """Give the logits of some patients by each of some ways; before its temperature, and not yet averaged.

    Ways that differ in time or temperature alone share their imputations, and those that differ in `via` their draws.

    Args:
        net: The model, in evaluation mode.
        output: What it made of the batch.
        batch: The batch.
        rows: Which patients.
        ways: How.
        seed: Of the imputations.
    """
    fused = output.latents
    latents = Latents(fused.shared[rows], fused.modality[rows], fused.present[rows])
    drawn: dict[tuple[bool, int, int], Tensor] = {}
    whole: dict[tuple[bool, int, int, str], Latents] = {}
    found: list[Tensor] = []
    for way in (way.by(net.prior) for way in ways):
        effort = (way.mean, way.draws, way.steps)
        completed = latents
        if way.imputes:
            if effort not in drawn:
                drawn[effort] = _imputed(net.prior, latents, way, seed)
            if (*effort, way.via) not in whole:
                completing = _as_drawn if way.via == "shared" else partial(_fused_again, net, batch, rows)
                whole[*effort, way.via] = completing(latents, drawn[effort])
            completed = whole[*effort, way.via]
        logits = net.diagnose(completed, way.time)
        found.append(logits.unflatten(0, (max(way.draws, 1), len(latents.shared))))
    return found


def _imputed(prior: Prior, latents: Latents, way: Way, seed: int) -> Float[Tensor, "draws rows blocks dim"]:
    """All blocks as complete patients have them, on the scale of the latents."""
    if way.mean:
        blocks = prior.conditional_mean(latents)[None]
    else:
        generator = torch.Generator().manual_seed(seed)
        blocks = prior.impute(latents, way.draws, way.steps, generator, common=True)
    return prior.destandardise(blocks).to(latents.modality.dtype)


def _as_drawn(latents: Latents, blocks: Float[Tensor, "draws rows blocks dim"]) -> Latents:
    """The imputed blocks as they are, as complete patients, the draws outermost."""
    flat = blocks.flatten(0, 1)
    return Latents(flat[:, 0], flat[:, 1:], torch.ones_like(flat[:, 1:, 0], dtype=torch.bool))


def _fused_again(
    net: MHDiff,
    batch: Batch,
    rows: Bool[Tensor, " batch"],
    latents: Latents,
    blocks: Float[Tensor, "draws rows blocks dim"],
) -> Latents:
    """Fuse what is there with what was imputed in the missing modalities' place."""
    draws, count = blocks.shape[:2]
    modality = torch.where(latents.present[..., None], latents.modality, blocks[:, :, 1:]).flatten(0, 1)
    there = latents.present[:, :, None]
    evidence = EvidenceBatch(  # none of what is missing
        batch.evidence.concept[rows].masked_fill(~there, -1),
        batch.evidence.weight[rows],
        batch.evidence.polarity[rows],
    )
    concept, weight, polarity = (
        part.expand(draws, *part.shape).flatten(0, 1)
        for part in (evidence.concept, evidence.weight, evidence.polarity)
    )
    repeated = EvidenceBatch(concept, weight, polarity)
    every = torch.ones(draws * count, latents.present.shape[1], dtype=torch.bool, device=there.device)
    return net.fuse(modality, repeated, net.guidance.find(repeated), every, False).latents


def with_temperature(way: Way, temperature: float) -> Way:
    """Give the same way with another temperature.

    Args:
        way: A way.
        temperature: T.
    """
    return replace(way, temperature=temperature)
