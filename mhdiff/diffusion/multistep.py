r"""DPM-Solver++ of two steps: order 2 for one evaluation a step (Lu et al. 2022, "2M").

    z_s = rho z_t + (alpha_s - rho alpha_t) D,    rho = sigma_s / sigma_t
    D   = z_0(t) + c (z_0(t) - z_0(t')),          c = (lambda_s - lambda_t) / (2 (lambda_t - lambda_t'))

- lambda = log(alpha / sigma): half the log-SNR, in which the equation for a given z_0 is linear and is solved exactly;
- z_0(t): the posterior mean at t; t' > t > s: the time before. D extrapolates it to the middle of the step.

c = 0 (order 1, which is DDIM's step) in the first step, which has no t', and in the step to t = 0, where lambda is
infinite: there D = z_0(t). One step of order 1 leaves the whole at order 2.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from mhdiff.diffusion.condition import Condition
from mhdiff.diffusion.denoiser import Estimate
from mhdiff.diffusion.noise import Source
from mhdiff.diffusion.sampler import Sampler, eased


class DPMSolver(Sampler):
    """The probability-flow equation by DPM-Solver++(2M)."""

    def times(self, like: Tensor) -> Tensor:
        """The grid from the schedule's end to 0, eased in sigma / (alpha + sigma)."""
        return self.denoiser.schedule.times_by_noise(eased(self.shares(like)))

    def walk(
        self,
        z: Tensor,
        times: Sequence[Tensor],
        generator: Source = None,
        condition: Condition | None = None,
    ) -> Tensor:
        """Step through times that do not increase, see `Sampler.walk`."""
        log_snr = self.denoiser.schedule.log_snr
        z_0, before = None, None
        for t, s in pairwise(times):
            estimate = self.denoiser(z, t, condition)
            data = clean = estimate.z_0
            if z_0 is not None and before is not None:
                last, next_ = log_snr(t) - log_snr(before), log_snr(s) - log_snr(t)
                c = (next_ / (2 * last)).masked_fill((s == 0.0) | (last == 0.0), 0.0)
                data = clean + c[..., None] * (clean - z_0)
            z = self._move(estimate, data, t, s)
            z_0, before = clean, t
        return z

    def step(
        self,
        z_t: Tensor,
        t: Tensor,
        s: Tensor,
        generator: Source = None,
        condition: Condition | None = None,
    ) -> Tensor:
        """One step that knows of none before it, of order 1; see `Sampler.step`."""
        estimate = self.denoiser(z_t, t, condition)
        return self._move(estimate, estimate.z_0, t, s)

    def _move(self, estimate: Estimate, data: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """z_s, with D given."""
        alpha_s, sigma_s = self.denoiser.schedule(s[..., None])
        rho = sigma_s / estimate.sigma.clamp(min=torch.finfo(data.dtype).tiny)
        moved = rho * estimate.z_t + (alpha_s - rho * estimate.alpha) * data
        return torch.where((s < t)[..., None], moved, estimate.z_t)
