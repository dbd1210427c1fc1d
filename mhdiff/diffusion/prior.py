r"""Priors over the fused latent.

    z~  = (z - m) / s                                     standardised with statistics of the training fold
    L   = E w(t) ||v_hat(alpha z~ + sigma eps, t) - v||^2        z~ without gradient
    out = E[z_0 | z_t = alpha(t*) z~]                     denoised at t*, with the averaged (EMA) network
    log p(z) = log p(z~) - sum_i log s_i                  nats

- z: the shared latent that the fusion gives; m, s: see `mhdiff.diffusion.standardise`;
- t*: `denoise_time`; w: `weighting`, see `mhdiff.diffusion.loss`;
- a patient of whom nothing is present has no z: z~ is 0, and `out` is the prior's answer to that, the same
  for all of them.

The gradient stops between the latents and L, because a latent that shrinks is easy to denoise: trained
jointly, the encoders would lower L by collapsing. Through `out` the classifier's gradient does reach them;
the network itself learns from L alone.

`Latents` also carries the latents of the modalities. A prior over the blocks [shared | modality_1 ..
modality_M] reads them, with a time per block, as the denoisers, the loss and the samplers already take it.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from mhdiff.diffusion.backbone import ResidualMLP
from mhdiff.diffusion.denoiser import Denoiser, VDenoiser
from mhdiff.diffusion.ema import EMA
from mhdiff.diffusion.likelihood import log_likelihood
from mhdiff.diffusion.loss import denoising_loss
from mhdiff.diffusion.sampler import sampler_for
from mhdiff.diffusion.schedule import VPSchedule
from mhdiff.diffusion.standardise import Standardiser
from ontology.errors import InputError


@dataclass(frozen=True)
class Latents:
    """What the fusion and the encoders say of a batch of patients.

    Attributes:
        shared: The fused latent z.
        modality: The latent z_m of each modality; anything where it is absent.
        present: Which modalities are present.
    """

    shared: Float[Tensor, "batch dim"]
    modality: Float[Tensor, "batch modalities dim"]
    present: Bool[Tensor, "batch modalities"]

    @property
    def known(self) -> Bool[Tensor, " batch"]:
        """True for a patient of whom anything is present."""
        return self.present.any(dim=1)


class Prior(nn.Module, ABC):
    """A model of the fused latent. What it gives is on the standardised scale.

    Args:
        dim: Width of the latent.
        warmup: Number of calls of `observe` after which the standardisation is frozen.
    """

    def __init__(self, dim: int, warmup: int = 500) -> None:
        super().__init__()
        if dim < 1 or warmup < 0:
            raise InputError(
                f"a prior cannot have width {dim} and a warm-up of {warmup} steps",
                remedy="Give dim >= 1 and warmup >= 0.",
            )
        self.dim = dim
        self.scale = Standardiser(dim, warmup)

    def observe(self, latents: Latents) -> None:
        """Update the running standardisation; only in training, and no longer after `warmup` calls."""
        self.scale.observe(latents.shared, latents.known)

    def standardise(self, latents: Latents) -> Float[Tensor, "batch dim"]:
        """z~, which is 0 for a patient of whom nothing is present."""
        return self.scale(latents.shared.masked_fill(~latents.known[:, None], 0.0)).masked_fill(
            ~latents.known[:, None], 0.0
        )

    def update(self) -> None:
        """Call after each optimiser step. A prior without an average has nothing to do here."""
        return None

    @abstractmethod
    def loss(
        self,
        latents: Latents,
        label: Int64[Tensor, " batch"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, ""]:
        """What the prior's own parameters learn from; no gradient reaches the latents.

        Args:
            latents: A batch.
            label: The patients' classes, for a prior that can be asked for one.
            generator: Source of the random numbers.
        """

    @abstractmethod
    def denoise(self, latents: Latents) -> Float[Tensor, "batch dim"]:
        """The posterior mean of the latent: deterministic, and differentiable in the latents.

        Args:
            latents: A batch.
        """

    @abstractmethod
    def sample(
        self, n: int, steps: int = 25, generator: torch.Generator | None = None
    ) -> Float[Tensor, "n dim"]:
        """Draw latents.

        Args:
            n: How many.
            steps: Effort, in steps of Heun's method (two evaluations each).
            generator: Source of the random numbers.
        """

    @abstractmethod
    def log_likelihood(
        self, latents: Latents, generator: torch.Generator | None = None
    ) -> Float[Tensor, " batch"]:
        """Log-density of the shared latent on its own scale, in nats, without gradient.

        For a patient of whom nothing is present it is the density at the mean of the training fold.

        Args:
            latents: A batch.
            generator: Source of the random numbers of an estimate.
        """

    def _log_volume(self) -> Float[Tensor, ""]:
        """The sum of log s_i: what standardising adds to a log-density."""
        return self.scale.std.log().sum()


class DiffusionPrior(Prior):
    """The variance-preserving diffusion prior.

    Args:
        dim: Width of the latent.
        width: Width of the network.
        depth: Number of residual blocks of the network.
        weighting: Weight of the noise levels in the loss.
        denoise_time: t*, in (0, 1): how much of the latent is taken for noise.
        ema_decay: Decay of the average that denoises, samples and gives likelihoods; warmed up.
        warmup: Number of training steps after which the standardisation is frozen.
        beta_min: Rate of noising at t = 0.
        beta_max: Rate of noising at t = 1.
    """

    def __init__(
        self,
        dim: int,
        width: int = 128,
        depth: int = 3,
        weighting: Literal["v", "eps", "likelihood", "soft-min-snr"] = "v",
        denoise_time: float = 0.1,
        ema_decay: float = 0.999,
        warmup: int = 500,
        beta_min: float = 0.1,
        beta_max: float = 20.0,
    ) -> None:
        super().__init__(dim, warmup)
        if weighting not in ("v", "eps", "likelihood", "soft-min-snr"):
            raise InputError(
                f"there is no weighting '{weighting}'",
                remedy="Choose v, eps, likelihood or soft-min-snr.",
            )
        if not 0.0 < denoise_time < 1.0:
            raise InputError(
                f"a denoise_time of {denoise_time} is outside (0, 1)",
                remedy="0 is data and 1 is noise; the default is 0.1.",
            )
        self.weighting: Literal["v", "eps", "likelihood", "soft-min-snr"] = weighting
        self.denoise_time = denoise_time
        self.denoiser = VDenoiser(ResidualMLP(dim, width, depth), VPSchedule(beta_min, beta_max))
        self.ema = EMA(self.denoiser, ema_decay)

    @property
    def averaged(self) -> Denoiser:
        """The averaged denoiser, which takes no gradient."""
        denoiser = self.ema.averaged
        assert isinstance(denoiser, Denoiser)
        return denoiser

    def update(self) -> None:
        """Take the parameters into the average."""
        self.ema.update(self.denoiser)

    def loss(
        self,
        latents: Latents,
        label: Int64[Tensor, " batch"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, ""]:
        """The denoising loss, see `Prior.loss`."""
        z = self.standardise(latents).detach()
        return denoising_loss(self.denoiser, z, self.weighting, keep=latents.known, generator=generator)

    def denoise(self, latents: Latents) -> Float[Tensor, "batch dim"]:
        """E[z_0 | z_t = alpha z~] at `denoise_time`, see `Prior.denoise`."""
        z = self.standardise(latents)
        t = torch.full_like(z[:, 0], self.denoise_time)
        alpha, _ = self.averaged.schedule(t)
        return self.averaged(alpha[:, None] * z, t).z_0

    def sample(
        self, n: int, steps: int = 25, generator: torch.Generator | None = None
    ) -> Float[Tensor, "n dim"]:
        """Draw latents by the best sampler for 2 * `steps` evaluations, see `Prior.sample`."""
        return sampler_for(self.averaged, 2 * steps).sample((n, self.dim), self.scale.mean, generator)

    def log_likelihood(
        self, latents: Latents, generator: torch.Generator | None = None
    ) -> Float[Tensor, " batch"]:
        """By the probability-flow equation, see `Prior.log_likelihood`."""
        z = self.standardise(latents).detach()
        return log_likelihood(self.averaged, z, generator=generator) - self._log_volume()


class NoPrior(Prior):
    """Standardises and nothing more: the arm without a prior, with a standard normal as its density."""

    def loss(
        self,
        latents: Latents,
        label: Int64[Tensor, " batch"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, ""]:
        """0: there is nothing to learn."""
        return self.scale.mean.new_zeros(())

    def denoise(self, latents: Latents) -> Float[Tensor, "batch dim"]:
        """The standardised latent as it is."""
        return self.standardise(latents)

    def sample(
        self, n: int, steps: int = 25, generator: torch.Generator | None = None
    ) -> Float[Tensor, "n dim"]:
        """Standard normal draws."""
        mean = self.scale.mean
        return torch.randn((n, self.dim), generator=generator, dtype=mean.dtype, device=mean.device)

    def log_likelihood(
        self, latents: Latents, generator: torch.Generator | None = None
    ) -> Float[Tensor, " batch"]:
        """Of a normal with the running mean and variances."""
        z = self.standardise(latents).detach()
        return torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(dim=1) - self._log_volume()
