r"""A model together with the way in which its run diagnoses: what is explained is the diagnosis that is made.

.. math::
    F_y(x) = \log \tfrac{1}{K} \sum_k \mathrm{softmax}(l^k(x) / T)_y

- l^k(x): logits of the denoised latent or of the conditional mean (K = 1), or of the k-th imputation given x
  (`mhdiff.inference`);
- T: the settled temperature.

The imputations' random numbers are those of the diagnosis, the same at every point of a path, so F is smooth along it
and its path integral is the difference of its ends: attributions add up as they do without imputing. Which way is taken
depends on what is present alone, which does not change along a path.

Log-probabilities are logits whose normaliser is 0, so log odds and probability made of them are those of the averaged
probabilities. The averaged diagnosis has no other logit: `logit` attributes log p, normaliser included, and not the
head's output.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from mhdiff.batch import Batch
from mhdiff.explain.way import WayTaken
from mhdiff.inference import Diagnosed, Inference, diagnose, log_probabilities
from mhdiff.model import MHDiff


class Settled:
    """What `mhdiff.explain.attribute` explains of a run.

    Args:
        net: The model.
        inference: How it diagnoses.
    """

    def __init__(self, net: MHDiff, inference: Inference) -> None:
        self.net, self.inference = net, inference

    @property
    def training(self) -> bool:
        """Whether the model is in training mode."""
        return self.net.training

    @property
    def encoders(self) -> nn.ModuleDict:
        """The model's encoders."""
        return self.net.encoders

    def train(self, mode: bool = True) -> Any:
        """Switch the model between training and evaluation.

        Args:
            mode: Whether to training.
        """
        self.net.train(mode)
        return self

    def score(
        self,
        features: dict[str, Tensor],
        batch: Batch,
        evidence_weight: Float[Tensor, "batch modality slot"],
    ) -> Float64[Tensor, "batch classes"]:
        """Give the log-probabilities, see `mhdiff.explain.model.Explainable`.

        Args:
            features: What each encoder's `differentiable` gave, perhaps moved towards a baseline.
            batch: The patients.
            evidence_weight: Stands for the weights in the batch's evidence.
        """
        moved = replace(batch, evidence=replace(batch.evidence, weight=evidence_weight))
        return log_probabilities(self.net, features, moved, self.inference)

    def diagnose(self, features: dict[str, Tensor], batch: Batch) -> Diagnosed:
        """Diagnose, as predictions are made.

        Args:
            features: What the model's `features` gave.
            batch: The patients.
        """
        return diagnose(self.net, features, batch, self.inference)

    def way_of(self, found: Diagnosed, batch: Batch) -> WayTaken:
        """Tell how one patient was diagnosed.

        Args:
            found: What `diagnose` said.
            batch: The patient, alone.
        """
        whole = bool(batch.present.all())
        prior = self.net.prior
        way = (self.inference.complete if whole else self.inference.incomplete).by(prior)
        time: float | None = None
        if prior.knows_time:
            time = float(getattr(prior, "denoise_time")) if way.time is None else way.time  # noqa: B009
        if not way.imputes:
            return WayTaken("denoising", way.temperature, time)
        if way.mean:
            return WayTaken("conditional mean", way.temperature, time, via=way.via)
        predicted = int(torch.argmax(found.probabilities[0]))
        return WayTaken(
            "imputation",
            way.temperature,
            time,
            way.draws,
            way.steps,
            way.via,
            self.inference.seed,
            float(found.spread[0, predicted]),
        )
