r"""Denoisers: from a noisy latent and its time to what is known of the clean one.

    v   = alpha eps - sigma z_0                     with alpha^2 + sigma^2 = 1:
    z_0 = alpha z_t - sigma v,    eps = sigma z_t + alpha v,    score = grad log p(z_t) = -eps / sigma

- z_t = alpha z_0 + sigma eps, see `mhdiff.diffusion.schedule`;
- v, z_0, eps, score: their expectations given z_t. All four are views of one number, and v is the one that is
  kept, since only the score divides by sigma;
- network: v_hat = -F(z_t, log(sigma / alpha)), i.e. z_0 = alpha z_t + sigma F: input scale 1, skip alpha,
  output scale sigma, which is EDM's preconditioning carried over to latents of unit variance.

A latent is [batch, dim] or [batch, blocks, dim]; t is [batch], or [batch, blocks] with a time for each block:
a block that is observed stands at t = 0.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mhdiff.diffusion.condition import Condition
from mhdiff.diffusion.schedule import VPSchedule


@dataclass(frozen=True)
class Estimate:
    """What a denoiser knows, in four views.

    Attributes:
        z_t: The noisy latent.
        v: E[v | z_t].
        alpha: Signal scale, to be broadcast against `z_t`.
        sigma: Noise scale, likewise.
    """

    z_t: Float[Tensor, "batch *blocks dim"]
    v: Float[Tensor, "batch *blocks dim"]
    alpha: Float[Tensor, "batch *blocks 1"]
    sigma: Float[Tensor, "batch *blocks 1"]

    @property
    def z_0(self) -> Float[Tensor, "batch *blocks dim"]:
        """E[z_0 | z_t], the posterior mean."""
        return self.alpha * self.z_t - self.sigma * self.v

    @property
    def eps(self) -> Float[Tensor, "batch *blocks dim"]:
        """E[eps | z_t]."""
        return self.sigma * self.z_t + self.alpha * self.v

    @property
    def score(self) -> Float[Tensor, "batch *blocks dim"]:
        """The gradient of log p(z_t); infinite where sigma is 0."""
        return -self.eps / self.sigma


def per_block(
    t: Float[Tensor, "*times"], z: Float[Tensor, "batch *blocks dim"]
) -> Float[Tensor, "batch *blocks"]:
    """One time for all, for each row or for each block -> one for each block."""
    return t.reshape(*t.shape, *(1,) * (z.ndim - 1 - t.ndim)).expand(z.shape[:-1])


class Denoiser(nn.Module, ABC):
    """A model of p(z_0) through its denoising posterior.

    Args:
        schedule: The noise schedule.
    """

    def __init__(self, schedule: VPSchedule | None = None) -> None:
        super().__init__()
        self.schedule = schedule or VPSchedule()

    @abstractmethod
    def forward(
        self,
        z_t: Float[Tensor, "batch *blocks dim"],
        t: Float[Tensor, "batch *times"],
        condition: Condition | None = None,
    ) -> Estimate:
        """Estimate the clean latent.

        Args:
            z_t: Noisy latent.
            t: Times, one per row or per row and block.
            condition: What else is known.
        """


class VDenoiser(Denoiser):
    """A network that predicts v.

    Args:
        backbone: F, called with the latent and log(sigma / alpha) of each block.
        schedule: The noise schedule.
    """

    def __init__(self, backbone: nn.Module, schedule: VPSchedule | None = None) -> None:
        super().__init__(schedule)
        self.backbone = backbone

    def forward(
        self,
        z_t: Float[Tensor, "batch *blocks dim"],
        t: Float[Tensor, "batch *times"],
        condition: Condition | None = None,
    ) -> Estimate:
        """Estimate the clean latent, see `Denoiser.forward`."""
        times = per_block(t, z_t)
        alpha, sigma = self.schedule(times[..., None])
        v = -self.backbone(z_t, -self.schedule.log_snr(times) / 2, condition)
        # Under autocast the backbone may answer in bfloat16.
        return Estimate(z_t, v.to(z_t.dtype), alpha, sigma)


class GaussianDenoiser(Denoiser):
    r"""The exact denoiser of N(mu, C), over all blocks side by side.

    z_0 = mu + C A r,   eps = S r,   r = (A C A + S^2)^-1 (z_t - A mu),   A = diag(alpha), S = diag(sigma)

    The linear-Gaussian prior, and the known answer of samplers and likelihoods.

    Args:
        mean: mu.
        covariance: C; positive definite.
        schedule: The noise schedule.
    """

    mean: Tensor
    covariance: Tensor

    def __init__(
        self,
        mean: Float[Tensor, " dim"],
        covariance: Float[Tensor, "dim dim"],
        schedule: VPSchedule | None = None,
    ) -> None:
        super().__init__(schedule)
        self.register_buffer("mean", mean)
        self.register_buffer("covariance", covariance)

    def forward(
        self,
        z_t: Float[Tensor, "batch *blocks dim"],
        t: Float[Tensor, "batch *times"],
        condition: Condition | None = None,
    ) -> Estimate:
        """Estimate the clean latent, see `Denoiser.forward`.

        A block that is not there counts as pure noise at the value 0: it says nothing of the others, and its v is 0.
        A label is not read.
        """
        alpha, sigma = self.schedule(per_block(t, z_t)[..., None])
        a, s, z = (x.expand(z_t.shape).flatten(1) for x in (alpha, sigma, z_t))
        absent = torch.zeros_like(z, dtype=torch.bool)
        if condition is not None and condition.present is not None:
            absent = ~condition.present.repeat_interleave(z.shape[1] // condition.present.shape[1], dim=1)
            a, s, z = a.masked_fill(absent, 0.0), s.masked_fill(absent, 1.0), z.masked_fill(absent, 0.0)
        marginal = a[:, :, None] * self.covariance * a[:, None, :] + torch.diag_embed(s * s)
        r = torch.linalg.solve(marginal, z - a * self.mean)
        z_0 = self.mean + (a * r) @ self.covariance
        v = (a * s * r - s * z_0).masked_fill(absent, 0.0)
        return Estimate(z_t, v.reshape(z_t.shape), alpha, sigma)
