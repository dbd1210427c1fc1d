r"""A denoiser whose condition is held, so that samplers and likelihoods ask it like any other.

    v = v(untold) + w (v(label) - v(untold))        w = 0: the label is not read;  w = 1: given the label

- w: the guidance, between classes and beyond (Ho and Salimans, "Classifier-free diffusion guidance", 2021);
- observed blocks stand at t = 0 with their clean values whatever the time is, and absent ones are 0;
- v is 0 where a block is not generated: such blocks do not move along the flow and add nothing to its divergence.

`block_density` is the log-density of the generated blocks given the observed ones, in nats: the flow of
`mhdiff.diffusion.likelihood`, minus the normal that it counts for the blocks that stand still.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mhdiff.diffusion.condition import Condition
from mhdiff.diffusion.denoiser import Denoiser, Estimate, per_block
from mhdiff.diffusion.likelihood import log_likelihood

_ROWS = 256


class Bound(Denoiser):
    """A denoiser of blocks with a condition for each row.

    Args:
        denoiser: The denoiser that is asked.
        clean: Values of the observed blocks.
        condition: For each row the label, the blocks that are there and the observed ones among them.
        guidance: w.
        block: If given, the latent is this block alone, [batch, dim], and the others are held.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        clean: Float[Tensor, "batch blocks dim"],
        condition: Condition,
        guidance: float = 1.0,
        block: int | None = None,
    ) -> None:
        super().__init__(denoiser.schedule)
        there = torch.ones_like(clean[..., 0], dtype=torch.bool)
        self.inner, self.guidance, self.block = denoiser, guidance, block
        self.there = there if condition.present is None else condition.present
        self.given = ~there if condition.observed is None else condition.observed & self.there
        self.clean = clean.masked_fill(~self.given[..., None], 0.0)
        self.label = condition.label if guidance != 0.0 else None

    def forward(
        self,
        z_t: Float[Tensor, "batch *blocks dim"],
        t: Float[Tensor, "batch *times"],
        condition: Condition | None = None,
    ) -> Estimate:
        """Estimate the clean latent, see `Denoiser.forward`; `condition` is the one that is held."""
        alpha, sigma = self.schedule(per_block(t, z_t)[..., None])
        free = (self.there & ~self.given)[..., None]
        if self.block is None:
            times, z = per_block(t, z_t), z_t
        else:
            times = t[:, None].expand(self.there.shape)
            column = torch.full((1,), self.block, dtype=torch.int64, device=z_t.device)
            z = torch.zeros_like(self.clean).index_copy(1, column, z_t[:, None])
        z = torch.where(free, z, self.clean)
        v = self._v(z, times.masked_fill(self.given, 0.0)).masked_fill(~free, 0.0)
        return Estimate(z_t, v if self.block is None else v[:, self.block], alpha, sigma)

    def _v(self, z: Tensor, times: Tensor) -> Tensor:
        if self.label is None:
            return self.inner(z, times, Condition(None, self.there, self.given)).v
        told = self.inner(z, times, Condition(self.label, self.there, self.given)).v
        if self.guidance == 1.0:
            return told
        untold = self.inner(z, times, Condition(None, self.there, self.given)).v
        return untold + self.guidance * (told - untold)


def block_density(
    denoiser: Denoiser,
    z: Float[Tensor, "batch blocks dim"],
    there: Bool[Tensor, "batch blocks"],
    given: Bool[Tensor, "batch blocks"],
    block: int | None = None,
    generator: torch.Generator | None = None,
) -> Float[Tensor, " batch"]:
    """Log-density in nats of the blocks that are there and not given, given the others; without gradient.

    Args:
        denoiser: The denoiser of blocks.
        z: Clean blocks.
        there: The blocks that are there.
        given: The observed ones among them.
        block: The one block of which the density is wanted, where it is but one: exact up to wider blocks.
        generator: Source of the random numbers of an estimate.
    """
    with torch.inference_mode(False), torch.no_grad():
        # Copies: a tensor made in inference mode cannot enter a graph.
        z, there, given = z.clone(), there.clone(), given.clone()
        z = z.masked_fill(~there[..., None], 0.0)
        parts = []
        for rows, here, known in zip(z.split(_ROWS), there.split(_ROWS), given.split(_ROWS), strict=True):
            bound = Bound(denoiser, rows, Condition(None, here, known), block=block)
            latent = rows if block is None else rows[:, block]
            parts.append(log_likelihood(bound, latent, chunk=_ROWS, generator=generator))
            if block is None:
                still = rows.masked_fill((here & ~known)[..., None], 0.0).square().sum(dim=(1, 2)) / 2
                count = (~(here & ~known)).sum(dim=1) * rows.shape[2]
                parts[-1] = parts[-1] + still + count * (math.log(2 * math.pi) / 2)
        density = torch.cat(parts) if parts else z.new_zeros(0)
        asked = (there & ~given).any(dim=1) if block is None else (there & ~given)[:, block]
        return density.masked_fill(~asked, 0.0)
