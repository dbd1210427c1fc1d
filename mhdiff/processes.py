"""Processes of this machine that work for one: each with its share of the cores, and none outlives who started it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import Any

_THREADS = ("POLARS_MAX_THREADS", "OMP_NUM_THREADS")


@contextmanager
def processes(
    workers: int, start: Callable[..., None] | None = None, *given: Any
) -> Iterator[ProcessPoolExecutor]:
    """Give processes that begin anew, since polars cannot be forked; what they have not begun is dropped at the end.

    Args:
        workers: How many.
        start: What each does first; importable by name.
        given: Its arguments.
    """
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start, (start, given))
    try:
        with _share_of_the_cores(workers):
            for _ in range(workers):  # a process begins with what it is given
                pool.submit(_nothing)
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _nothing() -> None:
    """Begin."""


@contextmanager
def _share_of_the_cores(workers: int) -> Iterator[None]:
    """Let the processes that start inside have their share of the cores each, where nothing else was asked for."""
    share = str(max(1, (os.cpu_count() or 1) // workers))
    set_here = [name for name in _THREADS if name not in os.environ]
    os.environ.update(dict.fromkeys(set_here, share))
    try:
        yield
    finally:
        for name in set_here:
            del os.environ[name]


def _start(start: Callable[..., None] | None, given: tuple[Any, ...]) -> None:
    """Leave Ctrl-C to the parent, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    if start is not None:
        start(*given)


def _end_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
