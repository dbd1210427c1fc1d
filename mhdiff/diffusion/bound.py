r"""A bound on the log-density by denoising, cheap enough for a training step.

    log p(z | y) >= C - integral E_eps ||v_hat(alpha z + sigma eps, t, y) - v||^2 d log sigma

- v, v_hat: see `mhdiff.diffusion.denoiser`. It is the variational bound of Kingma et al. (NeurIPS 2021, eq. 17), whose
  integral over the signal-to-noise ratio of the squared error of z_0 becomes this one in v, since
  d(alpha^2 / sigma^2) = -2 sigma^-2 d log sigma and ||z_0 - z_0_hat||^2 = sigma^2 ||v - v_hat||^2;
- C: does not depend on z, and is left out;
- the integral: the midpoint rule from sigma = `QUIETEST` to 1. Below that a latent is as good as known;
- E_eps: over eps and -eps, the same for all rows, so that the luck of the noise is the same for all that is compared:
  the term linear in eps cancels, which is what a single draw errs by.

`mhdiff.diffusion.likelihood` integrates the probability flow instead, to 1e-3 nats a dimension, for a hundred times
`times` evaluations and as many products of the Jacobian.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from mhdiff.diffusion.condition import Condition
from mhdiff.diffusion.denoiser import Denoiser, Estimate, per_block

QUIETEST = 0.1


@torch.no_grad()
def denoising_bound(
    denoiser: Denoiser,
    z: Float[Tensor, "n *blocks dim"],
    condition: Condition | None = None,
    times: int = 8,
    generator: torch.Generator | None = None,
) -> Float[Tensor, " n"]:
    """Give the bound without its constant, in nats, of the blocks that are present.

    Args:
        denoiser: The model.
        z: Clean latents; all blocks that are present are noised.
        condition: What else is known; no block is observed.
        times: Number of noise levels, of two evaluations each.
        generator: Source of eps.
    """
    schedule, rows = denoiser.schedule, len(z)
    shares = (torch.arange(times, dtype=z.dtype, device=z.device) + 0.5) / times
    sigma = (math.log(QUIETEST) * (1 - shares)).exp()
    levels = schedule.time_of_angle(sigma.asin()).clamp(schedule.start, schedule.end)
    eps = torch.randn((times, 1, *z.shape[1:]), generator=generator, dtype=z.dtype, device=z.device)
    eps = torch.cat((eps, -eps)).expand(-1, *z.shape).flatten(0, 1)
    clean, known = z.repeat(2 * times, *(1,) * (z.ndim - 1)), _repeated(condition, 2 * times)
    t = per_block(levels.repeat(2).repeat_interleave(rows), clean)
    absent = None if known is None or known.present is None else ~known.present
    if absent is not None:
        t = t.masked_fill(absent, schedule.end)
    a, s = schedule(t[..., None])
    z_t, v = a * clean + s * eps, a * eps - s * clean
    if absent is not None:
        z_t = z_t.masked_fill(absent[..., None], 0.0)
    estimate: Estimate = denoiser(z_t, t, known)
    error = (estimate.v - v).square().sum(dim=-1)
    if absent is not None:
        error = error.masked_fill(absent, 0.0)
    total = error.reshape(2 * times, rows, -1).sum(dim=(0, 2))
    return total * (math.log(QUIETEST) / (2 * times))


def _repeated(condition: Condition | None, count: int) -> Condition | None:
    """The condition of all rows, so many times over."""
    if condition is None:
        return None
    label, present = condition.label, condition.present
    return Condition(
        None if label is None else label.repeat(count), None if present is None else present.repeat(count, 1)
    )
