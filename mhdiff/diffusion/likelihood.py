r"""The log-likelihood of a latent, in nats, by the probability-flow equation.

    log p(z_0) = log N(z_1; 0, I) + integral_{phi(0)}^{phi(1)} div v dphi,    dz / dphi = v

- phi: the schedule's angle; v: the denoiser's, see `mhdiff.diffusion.denoiser`;
- div v = tr dv/dz: exactly, with one product of the Jacobian per coordinate, up to 256 coordinates; beyond by
  Hutchinson's estimate, the mean of x^T (dv/dz) x over probes x of random signs, kept fixed along the path
  (unbiased).

The density at t = 1 is taken for N(z_1; 0, I), which standardised latents come to within alpha(1)^2.
Integrated from the schedule's smallest time to 1 by the classical Runge-Kutta method on a grid uniform in the
angle.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from mhdiff.diffusion.denoiser import Denoiser

_EXACT_UP_TO = 256


def _probes(
    z: Tensor, exact: bool, count: int, generator: torch.Generator | None
) -> Float[Tensor, "probes batch dim"]:
    """Unit vectors, or random signs over the square root of their number: the trace is a plain sum."""
    rows, dim = z.shape
    if exact:
        return torch.eye(dim, dtype=z.dtype, device=z.device)[:, None, :].expand(dim, rows, dim)
    signs = torch.randint(0, 2, (count, rows, dim), generator=generator, device=z.device)
    return (2 * signs - 1).to(z.dtype) / math.sqrt(count)


def _flow(
    denoiser: Denoiser, z: Tensor, t: Tensor, shape: torch.Size, probes: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute v and div v of flattened latents, at one time."""
    with torch.enable_grad():
        z = z.detach().requires_grad_(True)
        v = denoiser(z.reshape(shape), t.expand(shape[:-1])).v.flatten(1)
        (products,) = torch.autograd.grad(v, z, grad_outputs=probes, is_grads_batched=True)
    return v.detach(), (products * probes).sum(dim=(0, 2))


def log_likelihood(
    denoiser: Denoiser,
    z_0: Float[Tensor, "batch *blocks dim"],
    steps: int = 25,
    exact: bool | None = None,
    probes: int = 4,
    chunk: int = 256,
    generator: torch.Generator | None = None,
) -> Float[Tensor, " batch"]:
    """Log-density of each row, all blocks together; without gradient.

    Args:
        denoiser: The model.
        z_0: Clean latents.
        steps: Number of Runge-Kutta steps, of 4 evaluations each.
        exact: Exact trace or Hutchinson's; by default exact up to 256 coordinates.
        probes: Number of Hutchinson's probes.
        chunk: Rows at a time, which bounds the memory.
        generator: Source of the random numbers of the probes.
    """
    with torch.inference_mode(False), torch.no_grad():
        z_0 = z_0.clone()  # a tensor made in inference mode cannot enter a graph
        exact = z_0[0].numel() <= _EXACT_UP_TO if exact is None and len(z_0) else bool(exact)
        parts = [
            _integrate(denoiser, part, steps, _probes(part.flatten(1), exact, probes, generator))
            for part in z_0.split(chunk)
        ]
        return torch.cat(parts)


def _integrate(denoiser: Denoiser, z_0: Tensor, steps: int, probes: Tensor) -> Tensor:
    schedule, shape, z = denoiser.schedule, z_0.shape, z_0.flatten(1)
    ends = schedule.angle(torch.tensor([schedule.start, 1.0], dtype=z.dtype, device=z.device))
    h = (ends[1] - ends[0]) / steps
    total = z.new_zeros(len(z))
    for k in range(steps):
        t = [schedule.time_of_angle(ends[0] + h * (k + part)).clamp(max=1.0) for part in (0.0, 0.5, 1.0)]
        v_1, d_1 = _flow(denoiser, z, t[0], shape, probes)
        v_2, d_2 = _flow(denoiser, z + h / 2 * v_1, t[1], shape, probes)
        v_3, d_3 = _flow(denoiser, z + h / 2 * v_2, t[1], shape, probes)
        v_4, d_4 = _flow(denoiser, z + h * v_3, t[2], shape, probes)
        z = z + h / 6 * (v_1 + 2 * v_2 + 2 * v_3 + v_4)
        total = total + h / 6 * (d_1 + 2 * d_2 + 2 * d_3 + d_4)
    normal = -(z.square().sum(dim=1) + z.shape[1] * math.log(2 * math.pi)) / 2
    return normal + total
