"""With how many threads a cell computes. Their number decides the last bits of a sum, so it is said and not found.

A cell's threads follow from the number of workers that were asked for, never from how many cells are left, and are the
same whether it is trained in this process, in another one or on another machine. A finished cell notes them in its
run.json, so that a folder which goes on with other workers can keep to them.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from mhdiff.ablate.cells import Cell

#: The entry of a cell's run.json.
THREADS = "threads"
_OUTSIDE = "OMP_NUM_THREADS"


def share(workers: int) -> int:
    """Give a worker's share of the threads: what OMP_NUM_THREADS says, or the processors divided.

    Args:
        workers: How many workers there are.
    """
    given = os.environ.get(_OUTSIDE, "")
    return int(given) if given.isdigit() and int(given) else max(1, (os.cpu_count() or 1) // max(workers, 1))


@contextmanager
def computing_with(threads: int) -> Iterator[None]:
    """Hold torch, BLAS and OpenMP of this process to a number of threads, and put back what was before.

    Args:
        threads: The number.
    """
    torch: Any = sys.modules.get("torch")  # a task that trains has loaded it by now, with its module
    with threadpool_limits(threads):
        before = None if torch is None else torch.get_num_threads()
        if torch is not None:
            torch.set_num_threads(threads)
        try:
            yield
        finally:
            if torch is not None:
                torch.set_num_threads(before)


@contextmanager
def starting_with(threads: int) -> Iterator[None]:
    """Let processes that are started here begin with a number of threads, unless one was set outside.

    Args:
        threads: The number.
    """
    before = os.environ.get(_OUTSIDE)
    os.environ[_OUTSIDE] = before or str(threads)
    try:
        yield
    finally:
        if before is None:
            del os.environ[_OUTSIDE]


@dataclass(frozen=True)
class Threaded:
    """A task that computes with a number of threads; a class so that other processes can be handed it.

    Args:
        task: The task.
        threads: The number.
    """

    task: Callable[[Cell], None]
    threads: int

    def __call__(self, cell: Cell) -> None:
        """Do the task.

        Args:
            cell: The cell.
        """
        with computing_with(self.threads):
            self.task(cell)


def in_use() -> int | None:
    """Give the number of threads that torch computes with now; None where nothing has loaded it."""
    torch: Any = sys.modules.get("torch")
    return None if torch is None else int(torch.get_num_threads())


def noted(folder: Path) -> int | None:
    """Give the number of threads that most finished cells computed with; None where none says so.

    Args:
        folder: OUT of an ablation or a search.
    """
    found: Counter[int] = Counter()
    for path in (folder / "cells").glob("*/run.json"):
        try:
            number = json.loads(path.read_text(encoding="utf-8")).get(THREADS)
        except (OSError, ValueError, AttributeError):
            continue  # a damaged cell is trained again
        if isinstance(number, int):
            found[number] += 1
    return found.most_common(1)[0][0] if found else None


def going_on(before: int | None, workers: int) -> int | None:
    """Settle with how many threads a folder goes on here: as its cells so far, where there are as many processors.

    Args:
        before: Threads of the cells that it has; None where there are none.
        workers: How many train at once.

    Returns:
        The number; None where nothing was trained yet.
    """
    if before is None or before * workers <= (os.cpu_count() or 1):
        return before
    return share(workers)
