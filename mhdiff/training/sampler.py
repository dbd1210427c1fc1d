"""The order of the training samples: a function of seed and epoch alone, so that a resumed run sees the same."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler


class EpochShuffle(Sampler[int]):
    """Shuffle anew each epoch. Lightning calls `set_epoch`, and puts a DistributedSampler in place under DDP.

    Args:
        length: Number of rows.
        seed: Seed of the run.
    """

    def __init__(self, length: int, seed: int) -> None:
        self.length, self.seed, self.epoch = length, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes.

        Args:
            epoch: Its number, from 0.
        """
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        yield from torch.randperm(self.length, generator=generator).tolist()

    def __len__(self) -> int:
        return self.length
