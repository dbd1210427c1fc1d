r"""The adversarial loss: pairs of modalities that the prior generates shall not be told from real ones.

    L   = L_D + L_G + R_1
    L_D = E softplus(-D(z)) + E softplus(D(z^))       D learns; z^ without gradient
    L_G = E softplus(-D(z^))                          the prior learns; D without gradient
    R_1 = k (gamma / 2) E ||grad_z D(z)||^2           every k-th step; D learns

- z = (z_i, z_j): latents of two modalities of a patient who has both, standardised, without gradient;
- z^: the same pair of the same patient, drawn by the prior: one of the patient's modalities, taken at random, is given
  and the others are generated from noise by DDIM in `steps` steps, with gradient. What a pair is of, and who has it, is
  therefore the same on both sides;
- D: `mhdiff.losses.discriminator`. It never receives a label, and neither does the prior's draw.

The prior is what learns to deceive, and not the encoders: as with the denoising loss, encoders could win by collapsing,
for two constants are a perfect pair. It is one backward pass and one optimiser: each side sees the other's part as
constants, so the weight of the loss scales the prior's part alone (Adam does not care about the scale of D's).

Goodfellow et al. (NeurIPS 2014), the non-saturating form; Mescheder et al., "Which training methods for GANs do
actually converge?" (ICML 2018), eq. 9; every k-th step as in Karras et al., "Analyzing and improving the image quality
of StyleGAN" (CVPR 2020).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import softplus

from mhdiff.diffusion.condition import Condition
from mhdiff.diffusion.denoiser import Denoiser, per_block
from mhdiff.losses.base import Loss, LossContext
from mhdiff.losses.discriminator import PairDiscriminator
from mhdiff.losses.schedule import Schedule
from mhdiff.model import MHDiff
from mhdiff.training.spec import DataSpec
from ontology.errors import InputError


class Adversarial(Loss):
    """A discriminator over real and generated cross-modal pairs, and the prior's answer to it.

    Args:
        weight: See `Loss`.
        log_only: Refused: a discriminator that does not learn tells nothing.
        width: Of the discriminator.
        depth: Of the discriminator.
        spectral: Whether its layers are held to a largest singular value of 1.
        steps: Steps in which the prior draws.
        r1: gamma; 0 leaves the penalty out.
        r1_every: k.
    """

    name = "adv"
    needs_taught_prior = trains_prior = True

    def __init__(
        self,
        weight: float | Schedule = 0.1,
        log_only: bool = False,
        width: int = 64,
        depth: int = 2,
        spectral: bool = False,
        steps: int = 4,
        r1: float = 1.0,
        r1_every: int = 4,
    ) -> None:
        super().__init__(weight, log_only)
        if log_only:
            raise InputError(
                "mhdiff.losses.Adversarial cannot be only logged: its discriminator would never learn",
                remedy="Give it a weight, or take it out of model.losses",
            )
        if min(steps, r1_every) < 1 or not r1 >= 0.0:
            raise InputError(
                f"steps is {steps}, r1 is {r1} and r1_every is {r1_every}",
                remedy="Give 1 or more steps, r1 of 0 or more, and r1_every of 1 or more",
            )
        self.width, self.depth, self.spectral = width, depth, spectral
        self.steps, self.r1, self.r1_every = steps, r1, r1_every

    def build(self, spec: DataSpec, net: MHDiff) -> None:
        """Make the discriminator, see `Loss.build`."""
        if len(spec.modalities) < 2:
            raise InputError(
                "mhdiff.losses.Adversarial judges pairs of modalities, and there is one",
                remedy="Take it out of model.losses",
            )
        prior = net.prior
        if not (
            isinstance(getattr(prior, "denoiser", None), Denoiser)
            and getattr(prior, "models_modalities", False)
        ):
            raise InputError(
                "mhdiff.losses.Adversarial trains a diffusion prior over the modalities, and model.prior "
                f"({type(prior).__name__}) is none",
                remedy="Take DiffusionPrior with hierarchy: full or no_shared, or mhdiff.losses.Contrastive instead",
            )
        self.discriminator = PairDiscriminator(
            len(spec.modalities), net.dim, self.width, self.depth, self.spectral
        )

    def forward(self, context: LossContext) -> Float[Tensor, ""]:
        """Compute it, see `Loss.forward`."""
        latents, prior = context.latents, context.net.prior
        here = latents.present
        with torch.autocast(here.device.type, enabled=False):
            blocks = prior.blocks(latents).detach().float()  # type: ignore[operator]
            made = self.draw(prior, blocks, here, context.generator).masked_fill(~here[..., None], 0.0)
            return self.of(blocks[:, 1:].masked_fill(~here[..., None], 0.0), made, here, context.step)

    def of(
        self,
        real: Float[Tensor, "batch modality dim"],
        made: Float[Tensor, "batch modality dim"],
        here: Bool[Tensor, "batch modality"],
        step: int = 0,
    ) -> Float[Tensor, ""]:
        """Compute it from real latents and generated ones.

        Args:
            real: z.
            made: z^; the gradient of L_G reaches it.
            here: Which latents there are.
            step: Decides whether R_1 counts.
        """
        judge = self.discriminator
        both = here[:, judge.first] & here[:, judge.second]
        # A mean over each patient's pairs, then over the patients; one without a pair counts as 0.
        share = both.float() / both.sum(dim=-1, keepdim=True).clamp(min=1) / max(len(both), 1)
        penalised = self.r1 > 0.0 and step % self.r1_every == 0
        pairs = judge.pairs(real).detach().requires_grad_(penalised)
        with torch.set_grad_enabled(torch.is_grad_enabled() or penalised):
            told = judge(pairs)
        loss = (share * (softplus(-told) + softplus(judge(judge.pairs(made.detach()))))).sum()
        fixed = {name: p.detach() for name, p in judge.named_parameters()}
        deceived = functional_call(judge, fixed, (judge.pairs(made),))
        loss = loss + (share * softplus(-deceived)).sum()
        if penalised:
            # No pair meets another, so the gradient of the sum holds the gradient of each.
            (slope,) = torch.autograd.grad(told.sum(), pairs, create_graph=torch.is_grad_enabled())
            penalty = (share * slope.square().sum(dim=-1)).sum()
            loss = loss + self.r1_every * self.r1 / 2 * penalty
        return loss

    def draw(
        self,
        prior: nn.Module,
        blocks: Float[Tensor, "batch block dim"],
        here: Bool[Tensor, "batch modality"],
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "batch modality dim"]:
        """Draw z^ of every modality that is there, one of them given; what stands in the others is arbitrary.

        Args:
            prior: Knows its denoiser, and as `span` which of the blocks that speaks of.
            blocks: The shared latent and the modalities, standardised.
            here: Which modalities there are.
            generator: Source of the random numbers.
        """
        chance = torch.rand(here.shape, generator=generator, device=here.device).masked_fill(~here, -1.0)
        given = torch.zeros_like(here).scatter(1, chance.argmax(dim=1, keepdim=True), True) & here
        known, span, denoiser = here.any(dim=1, keepdim=True), prior.span, prior.denoiser
        observed = torch.cat([torch.zeros_like(known), given], 1)[:, span]  # type: ignore[index]
        present = torch.cat([known, here], 1)[:, span]  # type: ignore[index]
        z = clean = blocks[:, span].masked_fill(~present[..., None], 0.0)  # type: ignore[index]
        noise = torch.randn(z.shape, generator=generator, dtype=z.dtype, device=z.device)
        z = torch.where(observed[..., None], clean, noise)
        for start, end in pairwise(torch.linspace(1.0, 0.0, self.steps + 1, device=z.device).unbind()):
            t, s = (per_block(time, z).masked_fill(observed, 0.0) for time in (start, end))
            estimate = denoiser(z, t, Condition(present=present, observed=observed))  # type: ignore[operator]
            alpha, sigma = denoiser.schedule(s[..., None])  # type: ignore[union-attr,operator]
            z = torch.where(observed[..., None], clean, alpha * estimate.z_0 + sigma * estimate.eps)
        return z[:, -here.shape[1] :]
