r"""Samplers: from noise at t = 1 to a latent at t = 0.

    Heun            dz / dphi = v by the trapezoidal rule
    DDIM            z_s = alpha_s z_0 + sqrt(sigma_s^2 - tau^2) eps + tau xi,
                    tau = eta (sigma_s / sigma_t) sqrt(1 - alpha_t^2 / alpha_s^2)
    EulerMaruyama   z_s = z_t + h (z_t / 2 + score) + sqrt(h) xi,  h = u(t) - u(s)

Heun is of order 2 and asks the denoiser twice a step; the others, of order 1 (weakly, with noise), ask once.
`mhdiff.diffusion.multistep` has a sampler of order 2 that asks once.

- z_0, eps, v, score: the denoiser's views of z_t; phi, u: the schedule's angle and clock;
- xi ~ N(0, I); eta = 0 is deterministic, eta = 1 the ancestral sampler.

In the angle phi the probability-flow equation has no singularity, and v is 0 for a unit Gaussian. Heun walks a grid
in phi, DDIM one uniform in sigma / (alpha + sigma), the time of rectified flow, in which its step is a
straight line; Euler-Maruyama one uniform in sqrt(u), which for VP is nearly uniform in t and leaves no step long in u.
So a walk is the same for all schedules but for where it starts, at the schedule's `end`. `mhdiff.diffusion.effort` says
which sampler is the best for how many evaluations.

The samplers of order 2 walk a grid that is `eased`, w(s) = (s + (1 - cos(pi s)) / 2) / 2 for uniform s: its steps at
the ends are half as long as uniform ones. A direction in which latents vary little, by l << 1, bends within
sqrt(l) of data, and one in which they vary much within 1 / sqrt(l) of noise; standardised latents have both, since
their coordinates hang together.

A block that is observed stays at t = 0 and as it is: the rest is drawn given it. A block that is not present stays at
the noisy end, is read as 0 and comes back as 0.

A walk keeps a graph where the caller's gradients are on: with the noise held fixed, a draw is a differentiable function
of what it is given, which is what an explanation of an imputed diagnosis follows. That graph holds all evaluations, so
whoever wants draws as data walks under `torch.no_grad()`; `sample`, which is given nothing, does so itself.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mhdiff.diffusion.condition import Condition
from mhdiff.diffusion.denoiser import Denoiser, per_block
from mhdiff.diffusion.noise import Noise, Source
from ontology.errors import InputError


def noise(like: Tensor, generator: Source) -> Tensor:
    """Standard normal numbers.

    Args:
        like: A tensor of the wanted shape, type and device.
        generator: Source of the random numbers.
    """
    if isinstance(generator, Noise):
        return generator(like)
    return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=like.device)


def told(condition: Condition | None, observed: Tensor | None) -> Condition | None:
    """The condition with these blocks observed; where `observed` is None, as it is.

    Args:
        condition: What is known.
        observed: True for the blocks that are given.
    """
    return condition if observed is None else replace(condition or Condition(), observed=observed)


def rows_of(condition: Condition | None, rows: slice) -> Condition | None:
    """The condition of some rows, its tensors copied.

    Args:
        condition: What is known of all rows.
        rows: Which.
    """
    if condition is None:
        return None
    parts = (condition.label, condition.present, condition.observed)
    return Condition(*(None if part is None else part[rows].clone() for part in parts))


def eased(shares: Float[Tensor, "*times"]) -> Float[Tensor, "*times"]:
    """(s + (1 - cos(pi s)) / 2) / 2: a grid on [0, 1] that is finer at both ends.

    Args:
        shares: A uniform grid.
    """
    return (shares + (1 - torch.cos(math.pi * shares)) / 2) / 2


class Sampler(ABC):
    """Walks a noisy latent to t = 0.

    Rows are walked `at_once` at a time, which bounds the memory, and on a processor's caches is a third faster.

    Args:
        denoiser: The model that is sampled from.
        steps: Number of steps.
    """

    #: How often the denoiser is asked in one step.
    evaluations_per_step: int = 1
    #: How many rows are walked together.
    at_once: int = 4096

    def __init__(self, denoiser: Denoiser, steps: int = 25) -> None:
        if steps < 1:
            raise InputError(f"a sampler cannot take {steps} steps", remedy="Give 1 or more.")
        self.denoiser, self.steps = denoiser, steps

    @property
    def evaluations(self) -> int:
        """How often the network is run for a draw."""
        return self.steps * self.evaluations_per_step * self.denoiser.passes

    def shares(self, like: Tensor) -> Float[Tensor, " steps+1"]:
        """The grid from 1 to 0 that `times` spreads over the schedule."""
        return torch.linspace(1.0, 0.0, self.steps + 1, dtype=like.dtype, device=like.device)

    def times(self, like: Tensor) -> Float[Tensor, " steps+1"]:
        """The grid from the schedule's end to 0; here uniform in sigma / (alpha + sigma)."""
        return self.denoiser.schedule.times_by_noise(self.shares(like))

    def __call__(
        self,
        z_1: Float[Tensor, "batch *blocks dim"],
        observed: Bool[Tensor, "batch *blocks"] | None = None,
        generator: Source = None,
        condition: Condition | None = None,
    ) -> Float[Tensor, "batch *blocks dim"]:
        """Walk from noise to t = 0.

        Args:
            z_1: Standard normal noise; the clean values where `observed`.
            observed: True where a block is given; by default as the condition says.
            generator: Source of the random numbers of a stochastic sampler.
            condition: What else is known. The denoiser is told of `observed` too.
        """
        condition = told(condition, observed)
        firsts = range(0, max(len(z_1), 1), self.at_once)
        parts = [slice(first, first + self.at_once) for first in firsts]
        return torch.cat([self.draw(z_1[rows], generator, rows_of(condition, rows)) for rows in parts])

    def draw(
        self,
        z_1: Float[Tensor, "batch *blocks dim"],
        generator: Source = None,
        condition: Condition | None = None,
    ) -> Float[Tensor, "batch *blocks dim"]:
        """Walk some rows from noise to t = 0.

        Args:
            z_1: Standard normal noise; the clean values where the condition says `observed`.
            generator: Source of the random numbers.
            condition: What else is known.
        """
        given = None if condition is None else condition.observed
        absent = None if condition is None or condition.present is None else ~condition.present
        z = z_1 if absent is None else z_1.masked_fill(absent[..., None], 0.0)
        times = []
        for time in self.times(z_1).unbind():
            t = per_block(time, z)
            if given is not None:
                t = t.masked_fill(given, 0.0)
            if absent is not None:
                t = t.masked_fill(absent, self.denoiser.schedule.end)
            times.append(t)
        z = self.walk(z, times, generator, condition)
        return z if absent is None else z.masked_fill(absent[..., None], 0.0)

    def walk(
        self,
        z: Float[Tensor, "batch *blocks dim"],
        times: Sequence[Float[Tensor, "batch *blocks"]],
        generator: Source = None,
        condition: Condition | None = None,
    ) -> Float[Tensor, "batch *blocks dim"]:
        """Step through times that do not increase.

        Args:
            z: Latent at the first of them.
            times: The times of each block.
            generator: Source of the random numbers.
            condition: What else the denoiser is told.
        """
        for t, s in pairwise(times):
            z = self.step(z, t, s, generator, condition)
        return z

    @torch.no_grad()
    def sample(
        self,
        shape: tuple[int, ...],
        like: Tensor,
        generator: Source = None,
        condition: Condition | None = None,
    ) -> Float[Tensor, "batch *blocks dim"]:
        """Draw noise and walk it to t = 0.

        Args:
            shape: Shape of the draw.
            like: A tensor of the wanted type and device.
            generator: Source of the random numbers.
            condition: What else is known; no block is observed.
        """
        return self(noise(like.new_empty(shape), generator), generator=generator, condition=condition)

    def impute(
        self,
        values: Float[Tensor, "batch *blocks dim"],
        observed: Bool[Tensor, "batch *blocks"],
        generator: Source = None,
        condition: Condition | None = None,
    ) -> Float[Tensor, "batch *blocks dim"]:
        """Draw the blocks that are not observed, given those that are.

        Args:
            values: The clean values where `observed`; what stands elsewhere is not read.
            observed: True where a block is given.
            generator: Source of the random numbers.
            condition: What else is known.
        """
        z_1 = torch.where(observed[..., None], values, noise(values, generator))
        return self(z_1, observed, generator, condition)

    @abstractmethod
    def step(
        self,
        z_t: Float[Tensor, "batch *blocks dim"],
        t: Float[Tensor, "batch *blocks"],
        s: Float[Tensor, "batch *blocks"],
        generator: Source = None,
        condition: Condition | None = None,
    ) -> Float[Tensor, "batch *blocks dim"]:
        """One step from t to s <= t; where s = t the latent stays as it is.

        Args:
            z_t: Latent at t.
            t: Times before the step.
            s: Times after the step.
            generator: Source of the random numbers.
            condition: What else the denoiser is told.
        """


class Heun(Sampler):
    """The probability-flow equation by Heun's method, in the angle."""

    evaluations_per_step = 2

    def times(self, like: Tensor) -> Float[Tensor, " steps+1"]:
        """The grid from the schedule's end to 0, eased in the angle."""
        return self.denoiser.schedule.times_by_angle(eased(self.shares(like)))

    def step(
        self,
        z_t: Tensor,
        t: Tensor,
        s: Tensor,
        generator: Source = None,
        condition: Condition | None = None,
    ) -> Tensor:
        """One step, see `Sampler.step`."""
        schedule = self.denoiser.schedule
        h = (schedule.angle(s) - schedule.angle(t))[..., None]
        v_t = self.denoiser(z_t, t, condition).v
        return z_t + h * (v_t + self.denoiser(z_t + h * v_t, s, condition).v) / 2


class DDIM(Sampler):
    """Denoise, then noise again to the next time.

    Args:
        denoiser: The model that is sampled from.
        steps: Number of steps.
        eta: 0 is deterministic, 1 is ancestral sampling.
    """

    def __init__(self, denoiser: Denoiser, steps: int = 25, eta: float = 0.0) -> None:
        super().__init__(denoiser, steps)
        self.eta = eta

    def step(
        self,
        z_t: Tensor,
        t: Tensor,
        s: Tensor,
        generator: Source = None,
        condition: Condition | None = None,
    ) -> Tensor:
        """One step, see `Sampler.step`."""
        estimate = self.denoiser(z_t, t, condition)
        alpha_s, sigma_s = self.denoiser.schedule(s[..., None])
        if self.eta == 0.0:
            return alpha_s * estimate.z_0 + sigma_s * estimate.eps
        tiny = torch.finfo(z_t.dtype).tiny
        kept = (1 - (estimate.alpha / alpha_s) ** 2).clamp(min=0.0).sqrt()
        tau = self.eta * sigma_s / estimate.sigma.clamp(min=tiny) * kept
        rest = (sigma_s**2 - tau**2).clamp(min=0.0).sqrt()
        return alpha_s * estimate.z_0 + rest * estimate.eps + tau * noise(z_t, generator)


class EulerMaruyama(Sampler):
    """The reverse-time stochastic equation by the method of Euler and Maruyama, in the clock."""

    def times(self, like: Tensor) -> Float[Tensor, " steps+1"]:
        """The grid from the schedule's end to 0, uniform in the root of the clock."""
        share, schedule = self.shares(like), self.denoiser.schedule
        return schedule.time_of_clock(share**2 * schedule.clock(torch.full_like(share, schedule.end)))

    def step(
        self,
        z_t: Tensor,
        t: Tensor,
        s: Tensor,
        generator: Source = None,
        condition: Condition | None = None,
    ) -> Tensor:
        """One step, see `Sampler.step`."""
        schedule = self.denoiser.schedule
        h = (schedule.clock(t) - schedule.clock(s))[..., None]
        estimate = self.denoiser(z_t, t, condition)
        sigma = estimate.sigma.masked_fill(h <= 0, 1.0)  # what stays has no score, and no gradient through it
        moved = z_t + h * (z_t / 2 - estimate.eps / sigma) + h.sqrt() * noise(z_t, generator)
        return torch.where(h > 0, moved, z_t)
