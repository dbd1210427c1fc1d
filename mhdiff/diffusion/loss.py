r"""The denoising loss.

    L = E_{t, eps} w(t) ||v_hat(z_t, t) - v||^2 / d,  z_t = alpha z_0 + sigma eps,  v = alpha eps - sigma z_0

    weighting      t                     w(t)                               is the same as
    v              uniform               1                                  ||v_hat - v||^2
    eps            uniform               alpha^2                            ||eps_hat - eps||^2
    likelihood     density g^2/sigma^2   alpha^2                            c g^2 ||s_hat - s||^2
    soft-min-snr   uniform               sigma^2 SNR G / (SNR + G), G = 5   ~ min(SNR, G) ||z_0_hat - z_0||^2

- s = -eps / sigma is the score; SNR = alpha^2 / sigma^2;
- g^2 / sigma^2 is minus the slope of the log-SNR, so its importance sampling is a uniform log-SNR; 1 / c is
  the integral of that density, a constant of the schedule. Drawn uniformly, t would need weights of 10 to
  1e5;
- times are stratified over the batch, which keeps the law of each and lowers the variance of the mean;
- with blocks, t is one number a row: the blocks that are generated share it, as they do when they are sampled, and
  those that are observed stand at 0.

The latents are constants here: whoever calls decides on that (`mhdiff.diffusion.prior` stops the gradient).
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mhdiff.diffusion.condition import Condition
from mhdiff.diffusion.denoiser import Denoiser, per_block
from mhdiff.diffusion.schedule import Schedule

Weighting = Literal["v", "eps", "likelihood", "soft-min-snr"]
_SNR_BOUND = 5.0


def draw_times(
    like: Float[Tensor, " batch"],
    schedule: Schedule,
    weighting: Weighting,
    generator: torch.Generator | None = None,
) -> Float[Tensor, " batch"]:
    """Draw the times of a batch, one a row.

    Args:
        like: A tensor of the wanted shape, type and device.
        schedule: The noise schedule.
        weighting: `likelihood` draws a uniform log-SNR, the others a uniform time.
        generator: Source of the random numbers.
    """
    rows = len(like)
    offset = torch.rand(1, generator=generator, dtype=like.dtype, device=like.device)
    strata = torch.arange(rows, dtype=like.dtype, device=like.device) / max(rows, 1)
    u = torch.remainder(offset + strata, 1.0)
    if weighting != "likelihood":
        return schedule.start + (1.0 - schedule.start) * u
    ends = schedule.log_snr(like.new_tensor([schedule.start, 1.0]))
    return schedule.time_of_log_snr(ends[0] + (ends[1] - ends[0]) * u).clamp(schedule.start, 1.0)


def weight(t: Float[Tensor, "*times"], schedule: Schedule, weighting: Weighting) -> Float[Tensor, "*times"]:
    """w(t)."""
    alpha, sigma = schedule(t)
    if weighting == "v":
        return torch.ones_like(t)
    if weighting == "soft-min-snr":
        return _SNR_BOUND * (alpha * sigma) ** 2 / (alpha**2 + _SNR_BOUND * sigma**2)
    return alpha**2


def denoising_loss(
    denoiser: Denoiser,
    z_0: Float[Tensor, "batch *blocks dim"],
    weighting: Weighting = "v",
    keep: Bool[Tensor, "batch *blocks"] | None = None,
    observed: Bool[Tensor, "batch *blocks"] | None = None,
    generator: torch.Generator | None = None,
    condition: Condition | None = None,
) -> Float[Tensor, ""]:
    """Compute L for one batch; 0 if nothing is kept.

    Args:
        denoiser: The model of v.
        z_0: Clean latents; finite also where a block is absent.
        weighting: w(t) and the law of t.
        keep: True where a row or block counts; by default everywhere.
        observed: True where a block stays clean (t = 0) and is a condition for the others; it does not count.
        generator: Source of the random numbers.
        condition: What the denoiser is told besides; by default which blocks are `observed`.
    """
    rows = z_0.flatten(1)[:, 0]
    t = per_block(draw_times(rows, denoiser.schedule, weighting, generator), z_0)
    kept = torch.ones_like(t, dtype=torch.bool) if keep is None else keep
    if observed is not None:
        t, kept = t.masked_fill(observed, 0.0), kept & ~observed
        condition = condition or Condition(observed=observed)
    eps = torch.randn(z_0.shape, generator=generator, dtype=z_0.dtype, device=z_0.device)
    alpha, sigma = denoiser.schedule(t[..., None])
    estimate = denoiser(alpha * z_0 + sigma * eps, t, condition)
    error = (estimate.v - (alpha * eps - sigma * z_0)).square().mean(dim=-1)
    total = (weight(t, denoiser.schedule, weighting) * error).masked_fill(~kept, 0.0).sum()
    return total / kept.sum().clamp(min=1)
