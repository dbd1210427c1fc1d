"""The law of a sampler of a Gaussian without sampling: what comes out is affine in all the noise that goes in."""

import torch

from mhdiff.diffusion import Condition, repaint, sampler


def law_of(walk, z_1, monkeypatch, observed=None, condition=None):
    """Mean and covariance, over all noise, of what a sampler gives.

    Args:
        walk: The sampler, of an exact Gaussian denoiser.
        z_1: One row, [1, *blocks, dim]; only its observed blocks are read.
        monkeypatch: pytest's.
        observed: Observed blocks of the row, [1, *blocks].
        condition: Condition of the row.
    """
    shape, width = z_1.shape[1:], z_1[0].numel()
    calls = []

    def run(rows, draw):
        calls.clear()

        def noise(like, generator):
            calls.append(like)
            return draw(len(calls) - 1, like)

        with monkeypatch.context() as patch:
            for module in (sampler, repaint):
                patch.setattr(module, "noise", noise)
            start = z_1.expand(rows, *shape).clone()
            free = torch.ones(shape, dtype=torch.bool)
            if observed is not None:
                free = ~observed[0, ..., None].expand(shape)
            start[:, free] = 0.0
            if rows > 1:
                start.flatten(1)[1 : 1 + width][free.flatten(), free.flatten()] = 1.0
            given = None if observed is None else observed.expand(rows, *observed.shape[1:])
            known = condition and Condition(
                *(
                    part if part is None else part.expand(rows, *part.shape[1:])
                    for part in vars(condition).values()
                )
            )
            return walk(start, given, condition=known).flatten(1)

    run(1, lambda k, like: torch.zeros_like(like))
    rows = 1 + width * (len(calls) + 1)

    def unit(k, like):
        drawn = torch.zeros(rows, width, dtype=like.dtype)
        drawn[1 + width * (k + 1) : 1 + width * (k + 2)] = torch.eye(width, dtype=like.dtype)
        return drawn.reshape(like.shape)

    out = run(rows, unit)
    matrix = out[1:] - out[0]
    return out[0], matrix.T @ matrix
