r"""Conditional draws from a denoiser that was never given a clean block (RePaint, Lugmayr et al. 2022).

    down:   z_s <- a step of the sampler from t to s, all blocks at one time;
            then z_s <- alpha_s z + sigma_s xi where observed
    up:     z_t <- rho z_s + sqrt(1 - rho^2) xi,    rho = alpha_t / alpha_s

- z: the clean values; xi ~ N(0, I), fresh each time.

One way down does not let the drawn blocks agree with the given ones, since these were noised without regard to those.
So the grid is cut in stretches of `jump` steps, counted from data, and each is walked down `resamplings` times, with a
way up between. The draw is conditional in the limit of many resamplings and short steps; a denoiser that was trained
with observed blocks needs none of this and asks `resamplings` times less (`Sampler.impute`). A stretch that reaches
back to pure noise forgets what it has agreed on, and one that hardly reaches back agrees on little: 10 of 250 steps in
the paper; of a draw's few steps a quarter (`DiffusionPrior`), since by this law the error is

    jump as part of 24 steps    1/24    1/8     1/4     1/3     1/2
    mean                        .057    .063    .076    .097    .153
    covariance                  .139    .132    .111    .097    .083

with 10 resamplings; of 16 steps .063 and .171 with a jump of 1, .081 and .145 with 4, .159 and .116 with 8.

The greatest error of the mean and covariance of one block of a four-dimensional Gaussian given the other, with
ancestral steps and its exact denoiser (1: no resampling; the last column: natively, for as many evaluations as 10):

    steps   jump     1       5       10      native
    20      5       .192    .12     .126    .013
    40      5       .187    .091    .094    .007
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from mhdiff.diffusion.condition import Condition
from mhdiff.diffusion.denoiser import per_block
from mhdiff.diffusion.noise import Source
from mhdiff.diffusion.sampler import Sampler, noise
from ontology.errors import InputError


class RePaint(Sampler):
    """Holds the observed blocks at their noised values while a sampler walks.

    Args:
        sampler: Takes the steps; ancestral ones (`DDIM` with eta = 1) in the paper.
        jump: Steps in a stretch.
        resamplings: How often each stretch is walked; 1 is no resampling.
    """

    def __init__(self, sampler: Sampler, jump: int = 5, resamplings: int = 10) -> None:
        super().__init__(sampler.denoiser, sampler.steps)
        if jump < 1 or resamplings < 1:
            raise InputError(
                f"there is no resampling {resamplings} times in stretches of {jump} steps",
                remedy="Give jump >= 1 and resamplings >= 1.",
            )
        self.sampler, self.jump, self.resamplings = sampler, jump, resamplings
        self.evaluations_per_step = sampler.evaluations_per_step * resamplings

    def times(self, like: Tensor) -> Float[Tensor, " steps+1"]:
        """The grid of the sampler."""
        return self.sampler.times(like)

    def step(
        self,
        z_t: Tensor,
        t: Tensor,
        s: Tensor,
        generator: Source = None,
        condition: Condition | None = None,
    ) -> Tensor:
        """One step of the sampler, see `Sampler.step`."""
        return self.sampler.step(z_t, t, s, generator, condition)

    def _stretches(self, times: Tensor) -> Iterator[Tensor]:
        """The parts of the grid, each from its noisy end to its clean one, both included."""
        last = len(times) - 1
        first = last % self.jump or self.jump  # the noisiest stretch is the one that may be short
        for end in range(first, last + 1, self.jump):
            yield times[max(end - self.jump, 0) : end + 1]

    def draw(
        self,
        z_1: Float[Tensor, "batch *blocks dim"],
        generator: Source = None,
        condition: Condition | None = None,
    ) -> Float[Tensor, "batch *blocks dim"]:
        """Walk from noise to t = 0, see `Sampler.draw`. The denoiser is not told which blocks are observed."""
        if condition is None or condition.observed is None:
            return self.sampler.draw(z_1, generator, condition)
        given, condition = condition.observed, replace(condition, observed=None)
        absent = None if condition.present is None else ~condition.present
        held = given[..., None]

        def at(time: Tensor) -> Tensor:
            t = per_block(time, z_1)
            return t if absent is None else t.masked_fill(absent, self.denoiser.schedule.end)

        def hold(z: Tensor, time: Tensor) -> Tensor:
            alpha, sigma = self.denoiser.schedule(time)
            return torch.where(held, alpha * z_1 + sigma * noise(z, generator), z)

        z = z_1 if absent is None else z_1.masked_fill(absent[..., None], 0.0)
        times = self.times(z_1)
        z = hold(z, times[0])
        for stretch in self._stretches(times):
            for again in range(self.resamplings):
                if again:
                    rho = self.denoiser.schedule(stretch[0])[0] / self.denoiser.schedule(stretch[-1])[0]
                    z = rho * z + (1 - rho**2).sqrt() * noise(z, generator)
                for t, s in pairwise(stretch.unbind()):
                    z = hold(self.step(z, at(t), at(s), generator, condition), s)
        return z if absent is None else z.masked_fill(absent[..., None], 0.0)
