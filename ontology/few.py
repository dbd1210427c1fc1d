"""`Few`: the beginning of a list that may be long, and how long it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T", covariant=True)


@dataclass(frozen=True)
class Few(Generic[T]):
    """The first of a list that may be long, and how long it is.

    Attributes:
        shown: The first.
        total: How many there are.
    """

    shown: tuple[T, ...] = ()
    total: int = 0

    @property
    def more(self) -> int:
        """How many are not shown."""
        return self.total - len(self.shown)
