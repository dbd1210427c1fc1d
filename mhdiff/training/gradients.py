r"""Gradients between backward and step: clipped in groups, and never silently not finite.

.. math:: g \leftarrow g \cdot \min\left(1, \frac{c}{\lVert g_G \rVert}\right)

with G the group that a parameter belongs to and c `trainer.gradient_clip_val`. With one norm over everything (Pascanu
et al., "On the difficulty of training recurrent neural networks", 2013) a loss that trains only its own parameters
would scale the update of all others: the prior's gradient stops at the latents, and a discriminator's is its own.

A norm that is not finite makes every weight of its group NaN at the next step. Which gradients are finite is noted on
the device at each step, and read now and then and before a checkpoint is written: to wait for the device at each step
would cost more than what it guards against.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from ontology.errors import InputError

#: Optimiser steps between two looks at what was noted.
EVERY = 50


class GradientGuard:
    """Clips the gradients of a model in groups, and remembers the first step at which one was not finite.

    Args:
        named: Name and parameter of everything that learns.
        apart: Group -> its parameters; the rest is one more group. A parameter of several groups belongs to the first.
    """

    def __init__(
        self, named: Iterable[tuple[str, nn.Parameter]], apart: Mapping[str, Iterable[nn.Parameter]]
    ) -> None:
        group = {id(p): name for name, own in reversed(list(apart.items())) for p in own}
        self.names, self.parameters, self.groups = [], [], []
        for name, parameter in named:
            if parameter.requires_grad:
                self.names.append(name)
                self.parameters.append(parameter)
                self.groups.append(group.get(id(parameter), ""))
        self._broken: Tensor | None = None

    def clip(self, limit: float | None, note: bool = True) -> None:
        """Note what is not finite, and scale each group whose norm exceeds the limit down to it.

        Args:
            limit: c; None or 0 scales nothing.
            note: Whether a gradient that is not finite is a fault; a scaler of float16 skips such steps by itself.
        """
        here = [i for i, p in enumerate(self.parameters) if p.grad is not None]
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        if not gradients:
            return
        norms = torch.stack([n.float() for n in torch._foreach_norm(gradients)])
        if note:
            broken = torch.zeros(len(self.names), dtype=torch.bool, device=norms.device)
            broken[here] = ~norms.isfinite()
            before = self._broken
            self._broken = broken if before is None else torch.where(before.any(), before, broken)
        if not limit:
            return
        for name in dict.fromkeys(self.groups[i] for i in here):
            own = [k for k, i in enumerate(here) if self.groups[i] == name]
            scale = (limit / (norms[own].norm() + 1e-6)).clamp(max=1.0)
            torch._foreach_mul_([gradients[k] for k in own], scale)

    def check(self) -> None:
        """Look at what was noted.

        Raises:
            InputError: If a gradient was not finite; it names the first parameter.
        """
        if self._broken is None or not bool(self._broken.any()):
            return
        found = [self.names[int(i)] for i in self._broken.nonzero()[:, 0]]
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        raise InputError(
            f"training went wrong: the gradient of {found[0]}{more} is not finite",
            remedy="Lower model.learning_rate, or set --trainer.precision=32-true; the last checkpoint is from before",
        )


def set_aside(parameters: Sequence[nn.Parameter]) -> None:
    """Take the gradient of what rests away, so that neither decay nor momentum moves it in this step.

    Args:
        parameters: What nothing trains in this step; their gradient was 0 for the other processes' sake.
    """
    for parameter in parameters:
        parameter.grad = None
