"""Draws of a loss: from the global generators never the loss's own, and another for every micro-batch."""

from __future__ import annotations

import torch

from mhdiff.losses.base import drawing_from


def test_global_draws_are_not_the_generators_own():
    generator = torch.Generator().manual_seed(7)
    with drawing_from(generator, torch.device("cpu")):
        theirs = torch.rand(16)
    assert not (theirs == torch.rand(16, generator=generator)).any()


def test_global_draws_follow_the_seed_and_leave_the_global_state():
    drawn = []
    for seed in (7, 7, 8):
        before = torch.get_rng_state()
        with drawing_from(torch.Generator().manual_seed(seed), torch.device("cpu")):
            drawn.append(torch.rand(16))
        assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
