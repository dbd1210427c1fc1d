"""The order of the training samples: a function of seed and epoch alone, so that a resumed run sees the same.

Several processes (DDP) share each step's samples out among them: every sample is seen once an epoch, by one process.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch.utils.data import Sampler

from ontology.errors import InputError


class EpochShuffle(Sampler[int]):
    """Shuffle anew each epoch. Lightning calls `set_epoch`.

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


class SharedBatches(Sampler[list[int]]):
    """One process's share of every step's samples.

    All processes take the same number of steps, as DDP needs it, and the sizes of any two batches differ by one sample
    at most. No sample is repeated to make them equal: a DistributedSampler would do that.

    Args:
        sampler: Gives the order of all samples, the same in every process.
        batch_size: Samples a step and process, at most.
        rank: Number of the process.
        world: How many processes there are.

    Raises:
        InputError: If there are not samples enough for every process and step.
    """

    def __init__(self, sampler: EpochShuffle, batch_size: int, rank: int, world: int) -> None:
        self.sampler, self.rank, self.world = sampler, rank, world
        self.steps = math.ceil(len(sampler) / (batch_size * world))
        if len(sampler) < self.steps * world:
            raise InputError(
                f"{len(sampler)} training samples cannot be shared by {world} processes in batches of {batch_size}",
                remedy="Take fewer trainer.devices, or a larger data.batch_size",
            )

    def __iter__(self) -> Iterator[list[int]]:
        shares = torch.tensor(list(self.sampler)).tensor_split(self.steps * self.world)
        yield from (share.tolist() for share in shares[self.rank :: self.world])

    def __len__(self) -> int:
        return self.steps
