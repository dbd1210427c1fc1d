"""What is being done, told to whoever waits: loaders name their steps, the command line shows them.

Nobody listens by default, and then a step costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str, float | None], None]


def _nobody(what: str, done: float | None) -> None:
    """Take no notice."""


_listener: ContextVar[Listener] = ContextVar("listener", default=_nobody)


def step(what: str, done: float | None = None) -> None:
    """Say which step begins.

    Args:
        what: The step, as a person reads it: "reading sct2_Concept_Snapshot.txt".
        done: How much of the whole was done before it, from 0 to 1; None where nobody knows.
    """
    _listener.get()(what, done)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Hear the steps of what is done inside the block.

    Args:
        listener: Called with each step and how much is done.
    """
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
