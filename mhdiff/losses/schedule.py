r"""Weights that change from epoch to epoch.

    constant   w(e) = w
    linear     w(e) = w u(e)
    cosine     w(e) = w_first + (w_last - w_first) (1 - cos(pi u(e))) / 2
    u(e) = clip((e - begin) / (end - begin), 0, 1)

- e: the epoch, counted from 0; a weight is the same in all steps of an epoch, so that a resumed run has the weights of
  the uninterrupted one.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

from ontology.errors import InputError


class Schedule(ABC):
    """A weight by epoch."""

    @abstractmethod
    def __call__(self, epoch: int) -> float:
        """Give the weight.

        Args:
            epoch: The epoch, counted from 0.
        """

    @property
    @abstractmethod
    def never(self) -> bool:
        """Whether the weight is 0 in every epoch."""


class Constant(Schedule):
    """The same weight always.

    Args:
        weight: w, not negative.
    """

    def __init__(self, weight: float) -> None:
        self.weight = _checked(weight)

    def __call__(self, epoch: int) -> float:
        """Give the weight, see `Schedule`."""
        return self.weight

    @property
    def never(self) -> bool:
        """Whether the weight is 0, see `Schedule`."""
        return self.weight == 0.0


class LinearWarmup(Schedule):
    """0 up to `begin`, then a straight line, `weight` from `end` on.

    Args:
        weight: What is reached.
        begin: Last epoch with weight 0.
        end: First epoch with the whole weight.
    """

    def __init__(self, weight: float, begin: int = 0, end: int = 10) -> None:
        self.weight, self.begin, self.end = _checked(weight), begin, end
        _check_order(begin, end)

    def __call__(self, epoch: int) -> float:
        """Give the weight, see `Schedule`."""
        return self.weight * _share(epoch, self.begin, self.end)

    @property
    def never(self) -> bool:
        """Whether it leads from 0 to 0, see `Schedule`."""
        return self.weight == 0.0


class Cosine(Schedule):
    """Half a period of a cosine from `first` to `last`.

    Args:
        first: Weight up to `begin`.
        last: Weight from `end` on.
        begin: Last epoch with the first weight.
        end: First epoch with the last weight.
    """

    def __init__(self, first: float = 1.0, last: float = 0.0, begin: int = 0, end: int = 10) -> None:
        self.first, self.last, self.begin, self.end = _checked(first), _checked(last), begin, end
        _check_order(begin, end)

    def __call__(self, epoch: int) -> float:
        """Give the weight, see `Schedule`."""
        u = _share(epoch, self.begin, self.end)
        if u in (0.0, 1.0):
            return self.last if u else self.first
        return self.first + (self.last - self.first) * (1 - math.cos(math.pi * u)) / 2

    @property
    def never(self) -> bool:
        """Whether it leads from 0 to 0, see `Schedule`."""
        return self.first == self.last == 0.0


def _share(epoch: int, begin: int, end: int) -> float:
    return min(max((epoch - begin) / (end - begin), 0.0), 1.0)


def _checked(weight: float) -> float:
    if not (weight >= 0.0 and math.isfinite(weight)):
        raise InputError(f"{weight} is no weight of a loss", remedy="Give a number that is not negative")
    return float(weight)


def _check_order(begin: int, end: int) -> None:
    if not 0 <= begin < end:
        raise InputError(
            f"a weight cannot change from epoch {begin} to epoch {end}", remedy="Give 0 <= begin < end"
        )
