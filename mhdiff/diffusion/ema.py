r"""The exponential moving average of a module's parameters.

    w_k = d_k w_{k-1} + (1 - d_k) theta_k,    d_k = min(d, (1 + k) / (10 + k)),    k = 1, 2, ...

- theta_k: the parameters after optimiser step k; w_0 = theta_0;
- d: the decay that is reached; it is warmed up, so that an average over few steps is not mostly the start;
- buffers are copied, not averaged.
"""

import copy
from typing import Self

import torch
from torch import Tensor, nn

from ontology.errors import InputError


class EMA(nn.Module):
    """Keeps an averaged copy, which needs no gradient and stays in evaluation mode.

    Args:
        module: The module that is averaged; not held.
        decay: d, in [0, 1).
    """

    updates: Tensor

    def __init__(self, module: nn.Module, decay: float = 0.999) -> None:
        super().__init__()
        if not 0.0 <= decay < 1.0:
            raise InputError(f"an EMA cannot decay by {decay}", remedy="Give 0.999, or another in [0, 1).")
        self.decay = decay
        self.averaged = copy.deepcopy(module).requires_grad_(False).eval()
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Take in the parameters after an optimiser step.

        Args:
            module: The module of `__init__`, as it is now.
        """
        self.updates += 1
        k = self.updates.to(torch.float32)
        share = 1 - ((1 + k) / (10 + k)).clamp(max=self.decay)  # stays on the device: no wait for the GPU
        for mean, value in zip(self.averaged.parameters(), module.parameters(), strict=True):
            mean.lerp_(value.detach(), share.to(mean.dtype))
        for kept, new in zip(self.averaged.buffers(), module.buffers(), strict=True):
            kept.copy_(new)
