r"""Standardisation of latents with running statistics of the training fold.

    z~  = (z - m) / s,    m <- m + w (m_b - m),    w = n_b / (n + n_b)
    s^2 <- (1 - w) s^2 + w s_b^2 + w (1 - w) (m_b - m)^2

- m_b, s_b, n_b: mean, standard deviation and number of the rows of a batch, over all processes;
- n: rows seen, counted up to `memory`: until then m and s are those of all rows seen, later those of about
  the last `memory` rows, so that latents of an encoder that has moved on are forgotten;
- after `warmup` batches the statistics are frozen. They move in training mode only. What moves on after that is no
  longer standard; `recount` takes the statistics of given rows instead.

With blocks each block has statistics and a count of its own: a modality that few patients have is standardised
by those few.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, distributed, nn

_SMALLEST_VARIANCE = 1e-6


class Standardiser(nn.Module):
    """z -> (z - m) / s and back.

    Args:
        dim: Width of the latents.
        warmup: Number of batches after which the statistics are frozen; 0 leaves m = 0 and s = 1.
        memory: Largest number of rows that the statistics remember.
        blocks: Number of blocks of a latent; None for a latent without.
    """

    mean: Tensor
    variance: Tensor
    rows: Tensor
    batches: Tensor

    def __init__(self, dim: int, warmup: int = 500, memory: int = 4096, blocks: int | None = None) -> None:
        super().__init__()
        self.warmup, self.memory = warmup, memory
        self._calls = 0  # of this process: what is frozen need not be asked of the device
        shape = () if blocks is None else (blocks,)
        self.register_buffer("mean", torch.zeros(*shape, dim))
        self.register_buffer("variance", torch.ones(*shape, dim))
        self.register_buffer("rows", torch.zeros(shape))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    @property
    def std(self) -> Float[Tensor, "*blocks dim"]:
        """The standard deviation s, at least 1e-3."""
        return self.variance.clamp(min=_SMALLEST_VARIANCE).sqrt()

    @property
    def warming(self) -> bool:
        """Whether `observe` still moves the statistics, as far as this process knows without asking the device."""
        return self.training and self._calls < self.warmup

    @torch.no_grad()
    def observe(self, z: Float[Tensor, "batch *blocks dim"], counted: Bool[Tensor, "batch *blocks"]) -> None:
        """Take in a batch, unless in evaluation mode or frozen.

        Args:
            z: Latents.
            counted: True for the rows, or the blocks of them, that count.
        """
        if not self.warming:
            return
        self._calls += 1
        moves = (self.batches < self.warmup).to(self.mean.dtype)
        self.batches += (self.batches < self.warmup).to(self.batches.dtype)
        # Sums of deviations from the present mean: the same on all processes, and short numbers.
        away = (z.detach().to(self.mean.dtype) - self.mean).masked_fill(~counted[..., None], 0.0)
        number = counted.sum(dim=0).to(away.dtype)[..., None]
        sums = moves * torch.cat((number, away.sum(dim=0), away.square().sum(dim=0)), dim=-1)
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(sums)
        count = sums[..., :1]
        first, second = (sums[..., 1:] / count.clamp(min=1)).chunk(2, dim=-1)
        w = count / (self.rows[..., None] + count).clamp(min=1)
        blend = (1 - w) * self.variance + w * (second - first**2) + w * (1 - w) * first**2
        self.variance.copy_(torch.where(count > 0, blend, self.variance))
        self.mean += w * first
        self.rows.copy_((self.rows + count[..., 0]).clamp(max=self.memory))

    @torch.no_grad()
    def recount(self, z: Float[Tensor, "rows *blocks dim"], counted: Bool[Tensor, "rows *blocks"]) -> None:
        """Take the mean and the variance of these rows, in whatever mode, and nothing of what was seen before.

        A block that fewer than two rows have keeps its own.

        Args:
            z: Latents, of the training fold.
            counted: True for the rows, or the blocks of them, that count.
        """
        number = counted.sum(dim=0)[..., None]
        keep = counted[..., None]
        mean = z.to(self.mean.dtype).masked_fill(~keep, 0.0).sum(dim=0) / number.clamp(min=1)
        away = (z.to(self.mean.dtype) - mean).masked_fill(~keep, 0.0)
        variance = away.square().sum(dim=0) / number.clamp(min=1)
        self.mean.copy_(torch.where(number > 1, mean, self.mean))
        self.variance.copy_(torch.where(number > 1, variance, self.variance))

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._calls = 0

    def forward(self, z: Float[Tensor, "batch *blocks dim"]) -> Float[Tensor, "batch *blocks dim"]:
        """Standardise, in the type of the statistics."""
        return (z.to(self.mean.dtype) - self.mean) / self.std

    def inverse(self, z: Float[Tensor, "batch *blocks dim"]) -> Float[Tensor, "batch *blocks dim"]:
        """Back to the scale of the latents."""
        return z * self.std + self.mean
