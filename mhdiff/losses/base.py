"""What a loss is: one number of a training step, with a name, a weight, and whose parameters learn from it.

A loss is a mean over the patients of the batch. A patient who has no part in it, because what it speaks of is absent,
counts as 0; so the mean does not depend on how a step's patients are shared out over processes, and no wait for the
device is needed to find out how many there are. Losses that compare patients with each other say so.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mhdiff.batch import Batch
from mhdiff.diffusion.prior import Latents
from mhdiff.losses.schedule import Constant, Schedule
from mhdiff.model import MHDiff, Output
from mhdiff.training.spec import DataSpec


def _as_they_are(logits: Tensor) -> Tensor:
    return logits


@dataclass(frozen=True)
class LossContext:
    """All that a loss may look at.

    Attributes:
        net: The model.
        batch: The patients, as the model was shown them: what masking hides is not in `batch.present`.
        output: What the model made of them.
        features: What each encoder's `differentiable` gave.
        present: Which modalities the patients really have.
        generator: Source of the random numbers, for this loss and step alone; None is the global one.
        step: Optimiser steps taken so far.
        epoch: The epoch, counted from 0.
        batch_index: Place of the batch in the epoch; several make one step where gradients are accumulated.
        natural: Turns the model's scores into those that the diagnosis is trained on, see `Classification.natural`.
    """

    net: MHDiff
    batch: Batch
    output: Output
    features: dict[str, Tensor]
    present: Bool[Tensor, "batch modality"]
    generator: torch.Generator | None = None
    step: int = 0
    epoch: int = 0
    batch_index: int = 0
    natural: Callable[[Tensor], Tensor] = _as_they_are

    @property
    def latents(self) -> Latents:
        """What the prior learns from: the latents of the complete patients, where masking has hidden some."""
        return self.output.complete or self.output.latents


class Loss(nn.Module, ABC):
    """One term of what is minimised.

    Args:
        weight: Its weight, or a schedule. With a constant 0 it is not computed and draws no random numbers.
        log_only: Compute and log it, and train nothing by it.
    """

    #: Under which name it is logged.
    name: str
    #: Whether it is what the prior learns from, and whether it can only be had beside such a one.
    teaches_prior, needs_taught_prior = False, False
    #: Whether the prior's weights learn from it, beside what teaches it.
    trains_prior = False

    def __init__(self, weight: float | Schedule = 1.0, log_only: bool = False) -> None:
        super().__init__()
        self.weight = weight if isinstance(weight, Schedule) else Constant(weight)
        self.log_only = log_only

    def build(self, spec: DataSpec, net: MHDiff) -> None:
        """Make parameters and buffers, when the data and the model are known. By default there are none.

        Args:
            spec: The data.
            net: The model.

        Raises:
            InputError: If the loss has no meaning for these data or this model.
        """
        return None

    def due(self, step: int) -> bool:
        """Whether it is computed in a step; a loss that costs much may take turns.

        Args:
            step: Optimiser steps taken so far.
        """
        return True

    def rests(self, step: int, epoch: int) -> bool:
        """Whether it is not computed in a step.

        Args:
            step: Optimiser steps taken so far.
            epoch: The epoch.
        """
        return not self.due(step) or not (self.log_only or self.weight(epoch))

    def owned(self, net: MHDiff) -> Iterable[nn.Parameter]:
        """Parameters that learn from this loss alone: where it rests, nothing else gives them a gradient.

        Args:
            net: The model.
        """
        return self.parameters()

    @property
    def idle(self) -> bool:
        """Whether it never trains anything."""
        return self.log_only or self.weight.never

    @abstractmethod
    def forward(self, context: LossContext) -> Float[Tensor, ""]:
        """Compute it, without its weight.

        Args:
            context: The step.
        """


@contextmanager
def drawing_from(generator: torch.Generator | None, device: torch.device) -> Iterator[None]:
    """Let whatever draws from the global generators draw from a seed made of this one's, and leave them as they were.

    A seed made of it, and not the same: what is drawn inside would else repeat what the loss draws for itself.

    Args:
        generator: Its seed is read; None changes nothing.
        device: Where the model is.
    """
    if generator is None:
        yield
        return
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed_of("global", generator.initial_seed()))
        yield


def seed_of(*parts: object) -> int:
    """Give a seed that is another one for other parts, and the same on every machine.

    Args:
        parts: What the seed belongs to; their words are hashed.
    """
    digest = hashlib.sha256(" ".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:7], "big")
