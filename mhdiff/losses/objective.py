r"""What a training step minimises: the sum of the losses by their weights.

    L = sum_k w_k(epoch) L_k

Each loss draws from a generator of its own, seeded by run, step, batch, process and the loss's name: adding a loss,
taking one away or only logging one changes no other's random numbers, and a resumed run draws what it would have drawn.

A loss whose weight is 0 is not computed. Where that holds in this epoch or step alone, the parameters that no other
loss trains get a gradient of 0, because several processes wait for the gradients of all, and are set aside before the
optimiser steps; where it holds always, they are not trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mhdiff.losses.base import Loss, LossContext, seed_of
from mhdiff.losses.classification import Classification
from mhdiff.model import MHDiff
from mhdiff.training.spec import DataSpec
from ontology.errors import InputError


class Objective(nn.Module):
    """The weighted sum of losses.

    Args:
        losses: The losses; their names differ, and one that trains is a `Classification`.
        seed: Of their random numbers.
    """

    def __init__(self, losses: Sequence[Loss], seed: int = 0) -> None:
        super().__init__()
        names = [loss.name for loss in losses]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise InputError(
                f"model.losses has {', '.join(twice)} more than once",
                remedy="Keep one of each, and set its weight",
            )
        if not any(isinstance(loss, Classification) and not loss.idle for loss in losses):
            raise InputError(
                "model.losses holds nothing that trains the diagnosis",
                remedy="Add one such as mhdiff.losses.CrossEntropy, with a weight above 0",
            )
        self.losses = nn.ModuleDict({loss.name: loss for loss in losses if loss.log_only or not loss.idle})
        self.seed = seed

    def build(self, spec: DataSpec, net: MHDiff) -> None:
        """Build every loss, and leave untrained what none of them trains.

        Args:
            spec: The data.
            net: The model.

        Raises:
            InputError: If a loss has no meaning for these data, this model or without another loss.
        """
        taught = any(loss.teaches_prior and not loss.idle for loss in self._members())
        for loss in self._members():
            if loss.needs_taught_prior and not taught:
                raise InputError(
                    f"model.losses has '{loss.name}' and nothing that teaches the prior",
                    remedy="Add mhdiff.losses.PriorLoss, with a weight above 0",
                )
            loss.build(spec, net)
            if loss.idle:
                loss.requires_grad_(False)
        if not taught:
            net.prior.requires_grad_(False)

    @property
    def classification(self) -> Classification:
        """The first of the losses that train the diagnosis."""
        return next(x for x in self._members() if isinstance(x, Classification) and not x.idle)

    def forward(self, context: LossContext, rank: int = 0) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
        """Compute the losses of a step.

        Args:
            context: The step; its generator is not read.
            rank: Which process this is.

        Returns:
            What is minimised, and by name what is logged: each loss as it is, weighted where it trains,
            `classification` for whichever trains the diagnosis, and `loss`, the sum.
        """
        device = context.output.logits.device
        total = context.output.logits.new_zeros((), dtype=torch.float32)
        told: dict[str, Tensor] = {}
        for loss in self._members():
            weight = 0.0 if loss.log_only else loss.weight(context.epoch)
            if loss.rests(context.step, context.epoch):
                if not loss.idle:
                    told[f"{loss.name}/weighted"] = torch.zeros_like(total)
                    total = total + resting(list(loss.owned(context.net)), total)
                continue
            generator = self._generator(loss.name, context, rank, device)
            own = replace(context, generator=generator, natural=self.classification.natural)
            if loss.log_only:
                with torch.no_grad():
                    told[loss.name] = loss(own).detach()
                continue
            value = loss(own)
            told[loss.name], told[f"{loss.name}/weighted"] = value.detach(), weight * value.detach()
            total = total + weight * value
        if (name := self.classification.name) in told:
            told["classification"] = told[name]
        return total, told | {"loss": total.detach()}

    def resting(self, net: MHDiff, step: int, epoch: int) -> list[nn.Parameter]:
        """Give the parameters that learn from nothing in a step, because the losses that own them rest.

        Args:
            net: The model.
            step: Optimiser steps taken so far.
            epoch: The epoch.
        """
        active = [x for x in self._members() if not x.idle and not x.rests(step, epoch)]
        rests = [x for x in self._members() if not x.idle and x.rests(step, epoch)]
        if any(x.trains_prior for x in active):
            rests = [x for x in rests if not x.teaches_prior]
        return [p for loss in rests for p in loss.owned(net) if p.requires_grad]

    def teaches_prior(self, step: int, epoch: int) -> bool:
        """Whether the prior may follow the latents in a step: always, but where what teaches it rests.

        Args:
            step: Optimiser steps taken so far.
            epoch: The epoch.
        """
        teachers = [x for x in self._members() if x.teaches_prior and not x.idle]
        return not teachers or any(not x.rests(step, epoch) for x in teachers)

    def _members(self) -> list[Loss]:
        return [loss for loss in self.losses.values() if isinstance(loss, Loss)]

    def _generator(self, name: str, context: LossContext, rank: int, device: torch.device) -> torch.Generator:
        seed = seed_of(self.seed, context.step, context.batch_index, rank, name)
        return torch.Generator(device).manual_seed(seed)


def resting(parameters: Sequence[nn.Parameter], like: Tensor) -> Float[Tensor, ""]:
    """0, with a gradient of 0 for the parameters.

    Args:
        parameters: What waits for a gradient.
        like: A tensor of the wanted type and device.
    """
    return sum((0.0 * p.sum().to(like) for p in parameters if p.requires_grad), like.new_zeros(()))
