"""Two processes train by the losses what one would, and neither waits for a gradient that does not come."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

from mhdiff.explain.model import take_rows
from mhdiff.losses import (
    Adversarial,
    ClassBalanced,
    Contrastive,
    CrossEntropy,
    ExpectedGradients,
    Focal,
    LinearWarmup,
    LogitAdjusted,
    PriorLoss,
    SyntheticLatents,
)
from mhdiff.training.shared import leave_mapped, share_of_step
from tests import loss_parts as parts
from tests import small_model as small
from tests.mhdiff.training.test_ddp import group

SIZE, CUTS = 6, (slice(0, 4), slice(4, 6))


class Step(nn.Module):
    """What DDP wraps: a step without masking, whose share of it each sample has."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, batch, step, rank=0):
        made = parts.context(self.module, batch, step=step, epoch=step)
        return self.module.objective(made, rank)[0] * share_of_step(len(batch), torch.device("cpu"))


def plain():
    """Losses that are plain means over patients and draw nothing; without dropout."""
    losses = [CrossEntropy(label_smoothing=0.1), ClassBalanced(), Focal(weight=0.5), LogitAdjusted()]
    return parts.module(losses).eval()


def everything():
    later = LinearWarmup(1.0, 0, 2)
    return parts.module(
        [
            CrossEntropy(),
            PriorLoss(weight=later),
            Adversarial(spectral=True, r1_every=2),
            Contrastive(weight=later),
            ExpectedGradients(every=2),
            ExpectedGradients(target="agreement", log_only=True),
            parts.made(SyntheticLatents),
        ]
    ).train()


def wrapped(module):
    step = Step(module)
    leave_mapped(step)
    return DistributedDataParallel(step)


def apart(rank, world, place):
    with group(rank, world, place):
        mine = take_rows(small.batch(SIZE), torch.arange(SIZE)[CUTS[rank]])
        one = wrapped(plain())
        one(mine, 0).backward()
        gradients = {n: p.grad for n, p in one.module.named_parameters() if p.requires_grad}
        every = wrapped(everything())
        optimiser = every.module.module.configure_optimizers()
        for step in range(3):  # DDP refuses a second step where a parameter had no gradient in the first
            optimiser.zero_grad()
            every(mine, step, rank).backward()
            assert not [n for n, p in every.named_parameters() if p.requires_grad and p.grad is None]
            optimiser.step()
        state = {n: p.detach() for n, p in every.module.named_parameters()}
        torch.save((gradients, state), Path(place) / f"told{rank}")


@pytest.mark.slow
def test_two_processes(tmp_path):
    alone = Step(plain())
    alone(small.batch(SIZE), 0).backward()
    multiprocessing.spawn(apart, (2, str(tmp_path)), nprocs=2)
    (first, one), (second, two) = (torch.load(tmp_path / f"told{rank}") for rank in (0, 1))
    for name, p in alone.named_parameters():
        if p.requires_grad:
            torch.testing.assert_close(first[name], p.grad, rtol=1e-4, atol=1e-6)
            assert torch.equal(first[name], second[name])
    assert all(torch.equal(one[name], two[name]) for name in one)
    start = dict(Step(everything()).named_parameters())
    assert any(not torch.equal(one[n], p) for n, p in start.items() if "discriminator" in n)
