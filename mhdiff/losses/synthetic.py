r"""Synthetic latents of rare classes: more of them than there are patients, for the head alone.

    L = w_B / B sum_j a_j CE(head(z^_j), y_j),      z^_j = E[z_0 | z_t of z~_j],      z~_j ~ p(z | y_j)
    a_j = [s(z~_j | y_j) >= q],   sum_j a_j <= rho B

- y_j: one of the rare classes, each as likely: those with a share of less than `rare` of the training patients, and at
  least one of them, since of a class without any the prior has learned nothing; z~_j: a draw of the prior's average;
- rho: `ratio`, synthetic latents for each of the B patients of a step. Each counts like a patient: the sum is divided
  by B, as the mean over patients is;
- s: `Prior.plausibility`, for a diffusion prior a bound on log p(z | y) by denoising at 8 noise levels: one forward
  pass over sixteen times the step's rows (the probability flow would take hundreds of passes and as many backward).
  Each row is judged by its own class, draws and patients by the same noise;
- q: the quantile `keep_above` of s over the patients of the step with nothing hidden, each with its own label. A draw
  that is less likely than nearly all patients is left out; at 0 one that is less likely than each of them;
- w_B: the share of the step's patients of whom anything is known: where nothing is, there is nothing to stand beside.

`oversample` candidates are drawn for each that is wanted, and the first that pass are taken; where too few pass, fewer
are used. The head sees of a draw what it sees of a patient: its posterior mean at the prior's time. No gradient reaches
the prior or anything before it.

It moves the head's idea of how frequent rare classes are, as any oversampling does: look at calibration. A draw knows
of its class what the prior has learned from the same few patients: it can smooth them, and adds no evidence.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn.functional import cross_entropy

from mhdiff.diffusion import Latents, Prior
from mhdiff.losses.base import Loss, LossContext, drawing_from
from mhdiff.losses.schedule import Schedule
from mhdiff.model import MHDiff
from mhdiff.training.spec import DataSpec
from ontology.errors import InputError


class SyntheticLatents(Loss):
    """Cross-entropy of the head on the prior's draws of rare classes.

    Args:
        weight: See `Loss`.
        log_only: See `Loss`.
        start: First epoch, from 0, in which anything is drawn: before, the prior has little to say.
        rare: Share of the training patients below which a class is rare, in (0, 1].
        ratio: rho, above 0.
        keep_above: Quantile of the real latents' plausibility that a draw must reach, in [0, 1).
        steps: Effort of a draw, two evaluations a step.
        guidance: How much the class says, see `Prior.sample`.
        oversample: Candidates for each draw that is wanted, 1 or more.
    """

    name = "synthetic"
    needs_taught_prior = True
    rare_classes: Tensor

    def __init__(
        self,
        weight: float | Schedule = 1.0,
        log_only: bool = False,
        start: int = 5,
        rare: float = 0.1,
        ratio: float = 0.25,
        keep_above: float = 0.1,
        steps: int = 4,
        guidance: float = 1.0,
        oversample: float = 2.0,
    ) -> None:
        super().__init__(weight, log_only)
        if (
            start < 0
            or not 0.0 < rare <= 1.0
            or not ratio > 0.0
            or not 0.0 <= keep_above < 1.0
            or steps < 1
            or not guidance >= 0.0
            or not oversample >= 1.0
        ):
            raise InputError(
                f"mhdiff.losses.SyntheticLatents cannot have start {start}, rare {rare}, ratio {ratio}, keep_above "
                f"{keep_above}, steps {steps}, guidance {guidance} and oversample {oversample}",
                remedy="Give start >= 0, rare in (0, 1], ratio > 0, keep_above in [0, 1), steps >= 1, guidance >= 0 "
                "and oversample >= 1",
            )
        self.start, self.rare, self.ratio, self.keep_above = start, rare, ratio, keep_above
        self.steps, self.guidance, self.oversample = steps, guidance, oversample

    def build(self, spec: DataSpec, net: MHDiff) -> None:
        """Find the rare classes, see `Loss.build`."""
        prior = net.prior
        if not (prior.models_label and prior.classes and prior.models_shared):
            raise InputError(
                "mhdiff.losses.SyntheticLatents draws shared latents of a class, and model.prior "
                f"({type(prior).__name__}) models none",
                remedy="Take VAEPrior, or DiffusionPrior with hierarchy: full or flat, or leave the loss out",
            )
        if len(spec.counts) != len(spec.classes):
            raise InputError(
                "mhdiff.losses.SyntheticLatents needs the number of training patients of each class, and the data do "
                "not say it",
                remedy="Give DataSpec.counts, or take the loss out of model.losses",
            )
        total = max(sum(spec.counts), 1)
        rare = [i for i, n in enumerate(spec.counts) if 0 < n < self.rare * total]
        if not rare:
            told = ", ".join(f"{c} {n / total:.3f}" for c, n in zip(spec.classes, spec.counts, strict=True))
            raise InputError(
                f"no class is rarer than {self.rare} among the training patients ({told})",
                remedy="Raise init_args.rare of mhdiff.losses.SyntheticLatents, or take it out of model.losses",
            )
        self.register_buffer("rare_classes", torch.tensor(rare), persistent=False)

    def forward(self, context: LossContext) -> Float[Tensor, ""]:
        """Compute it, see `Loss.forward`; 0, and nothing is drawn, before `start`."""
        logits, prior = context.output.logits, context.net.prior
        if context.epoch < self.start:
            return logits.new_zeros((), dtype=torch.float32)
        real, label = context.latents, context.batch.label
        size, wanted = len(label), self.wanted(len(label))
        with torch.no_grad(), torch.autocast(logits.device.type, enabled=False):
            candidates = math.ceil(self.oversample * wanted)
            told = self._classes(candidates, context.generator)
            z = prior.sample(candidates, self.steps, told, self.guidance, context.generator)
            shared = prior.standardise(Latents(real.shared.detach().float(), real.modality, real.present))
            kept = self._kept(prior, z, told, shared, label, real.known, wanted, context.generator)
            seen = prior.denoise(_as_latents(prior, z))
        with drawing_from(context.generator, logits.device):  # dropout
            scores = context.natural(context.net.head(seen).float())
        each = cross_entropy(scores, told, reduction="none")
        known = real.known.float().mean()
        return known * each.masked_fill(~kept, 0.0).sum() / max(size, 1)

    def wanted(self, size: int) -> int:
        """Give the largest number of synthetic latents of a step, at least 1.

        Args:
            size: B, its patients.
        """
        return max(round(self.ratio * size), 1)

    def _classes(self, count: int, generator: torch.Generator | None) -> Int64[Tensor, " candidates"]:
        rare = self.rare_classes
        return rare[torch.randint(len(rare), (count,), generator=generator, device=rare.device)]

    def _kept(
        self,
        prior: Prior,
        z: Float[Tensor, "candidates dim"],
        told: Int64[Tensor, " candidates"],
        real: Float[Tensor, "batch dim"],
        label: Int64[Tensor, " batch"],
        known: Bool[Tensor, " batch"],
        wanted: int,
        generator: torch.Generator | None,
    ) -> Bool[Tensor, " candidates"]:
        """The first `wanted` draws that are as plausible as `keep_above` of the real latents are not."""
        score = prior.plausibility(torch.cat((real, z)), torch.cat((label, told)), generator)
        of_real, of_draw = score.split((len(real), len(z)))
        least = of_real.masked_fill(~known, torch.nan).nanquantile(self.keep_above)
        passed = of_draw >= least  # of nobody real the quantile is NaN, and nothing passes
        return passed & (passed.cumsum(0) <= wanted)


def _as_latents(prior: Prior, z: Float[Tensor, "candidates dim"]) -> Latents:
    """Shared latents on their own scale, of patients of whom all is there."""
    nothing = z.new_zeros(len(z), prior.modalities, prior.dim)
    every = torch.ones(nothing.shape[:2], dtype=torch.bool, device=z.device)
    return Latents(prior.scale.inverse(z), nothing, every)
