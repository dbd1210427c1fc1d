r"""How the learning rate changes from step to step.

    rate(s) = model.learning_rate * f(s)

    constant   f(s) = (s + 1) / W                                 for s < W
               f(s) = 1                                           after
    cosine     f(s) = (s + 1) / W                                 for s < W
               f(s) = last + (1 - last) (1 + cos(pi u)) / 2       after,  u = (s - W) / (T - W)

- s: the optimiser's step, counted from 0 (several batches where gradients are accumulated)
- W: steps of the linear warm-up; the whole rate is reached with step W - 1
- T: how many steps the training has in all, of which `trainer.max_epochs` and `trainer.max_steps` decide

Every group of parameters keeps its own rate and is multiplied by the same f. Cosine decay is that of "SGDR: Stochastic
Gradient Descent with Warm Restarts" (Loshchilov, Hutter, 2017), without restarts.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from ontology.errors import InputError


class RateSchedule(ABC):
    """By which factor the learning rate is multiplied in a step.

    Args:
        warmup: W, steps in which the rate rises to the whole.

    Raises:
        InputError: If there are fewer than 0.
    """

    def __init__(self, warmup: int = 0) -> None:
        if warmup < 0:
            raise InputError(
                f"model.learning_rate_schedule: a warmup of {warmup} steps", remedy="Give 0 or more steps"
            )
        self.warmup = warmup

    def __call__(self, step: int, steps: int) -> float:
        """Give the factor f(s).

        Args:
            step: s, from 0.
            steps: T.
        """
        return (step + 1) / self.warmup if step < self.warmup else self.after(step, steps)

    @abstractmethod
    def after(self, step: int, steps: int) -> float:
        """Give the factor of a step after the warm-up.

        Args:
            step: s, from W.
            steps: T.
        """


class ConstantRate(RateSchedule):
    """The whole rate after the warm-up."""

    def after(self, step: int, steps: int) -> float:
        """Give 1, see `RateSchedule`."""
        return 1.0


class CosineRate(RateSchedule):
    """Half a period of a cosine after the warm-up, down to a share of the rate.

    Args:
        warmup: W, see `RateSchedule`.
        last: The factor at the end of training.

    Raises:
        InputError: If it is not between 0 and 1.
    """

    def __init__(self, warmup: int = 0, last: float = 0.0) -> None:
        super().__init__(warmup)
        if not 0.0 <= last <= 1.0:
            raise InputError(
                f"model.learning_rate_schedule: last is {last}",
                remedy="Give the share of the rate that is left at the end, from 0 to 1",
            )
        self.last = last

    def after(self, step: int, steps: int) -> float:
        """Give the cosine's factor, see `RateSchedule`."""
        u = min((step - self.warmup) / (steps - self.warmup), 1.0)
        return self.last + (1.0 - self.last) * (1.0 + math.cos(math.pi * u)) / 2.0


class _ByStep(LambdaLR):
    """A schedule over a known number of steps, which goes on only where it has as many."""

    def __init__(self, optimizer: Optimizer, schedule: RateSchedule, steps: int) -> None:
        self.steps = steps
        super().__init__(optimizer, lambda step: schedule(step, steps))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on.

        Args:
            state_dict: What `state_dict` gave.

        Raises:
            InputError: If the training had another number of steps.
        """
        if state_dict["steps"] != self.steps:
            raise InputError(
                f"the run was begun as one of {state_dict['steps']} steps and would have {self.steps} now, and "
                "model.learning_rate_schedule makes each step's rate depend on that",
                remedy="Go on with the same trainer.max_epochs, trainer.max_steps, trainer.devices and batches, or "
                "choose another --out",
            )
        super().load_state_dict(state_dict)


def by_step(optimizer: Optimizer, schedule: RateSchedule, steps: float) -> OptimizerLRSchedulerConfig:
    """Let the learning rate of an optimiser follow a schedule, step by step.

    Args:
        optimizer: The optimiser.
        schedule: The schedule.
        steps: T, steps of the optimiser in the whole training.

    Returns:
        What a LightningModule's `configure_optimizers` gives.

    Raises:
        InputError: If there is no such number, or the training ends before the warm-up.
    """
    if not math.isfinite(steps):
        raise InputError(
            "model.learning_rate_schedule needs to know how many steps there will be",
            remedy="Give trainer.max_epochs or trainer.max_steps, or leave the schedule out",
        )
    if schedule.warmup >= steps:
        raise InputError(
            f"model.learning_rate_schedule: a warmup of {schedule.warmup} steps in a training of {steps:.0f}",
            remedy="Take a shorter warmup, or more of trainer.max_epochs",
        )
    scheduler = _ByStep(optimizer, schedule, int(steps))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
