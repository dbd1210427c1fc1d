"""Running cells: here, or in several processes, so that one that fails or dies takes nothing else with it.

Whoever asks for several workers gets processes even where one cell is left: how a cell is computed must not depend on
how many others there still are.

A worker process is given one cell at a time through a pipe. What it sends back is the outcome; a pipe that
closes without one means that the process died (killed, or out of memory), and the cell is reported as
failed for that.
Wrong input is nobody's accident and the same for all cells: it stops everything at once.
"""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from mhdiff.ablate.cells import Cell
from mhdiff.ablate.threads import Threaded, share, starting_with
from ontology.errors import InputError

FitCell = Callable[[Path, list[str], Path, tuple[str, ...]], None]
Task = Callable[[Cell], None]
#: What Lightning makes of SIGTERM while it trains, by name: torch is not loaded for it.
_TERMINATED = "SIGTERMException"


@dataclass(frozen=True)
class Failure:
    """Why a cell has no predictions.

    Args:
        message: One line.
        detail: The traceback, or nothing where the process died.
    """

    message: str
    detail: str = ""


def attempt(task: Task, cell: Cell) -> Failure | InputError | None:
    """Run one cell and catch what it raises.

    Args:
        task: What to do with a cell.
        cell: The cell.

    Returns:
        None when it worked, the failure, or the input error that must stop the ablation.

    Raises:
        SystemExit: If the process was told to end.
    """
    try:
        task(cell)
    except InputError as error:
        return error
    except SystemExit as error:
        if type(error).__name__ == _TERMINATED:
            raise  # whoever ends the process means all of it, and not this cell
        if error.code == 2:  # how argument parsers refuse; they have said why on stderr
            return refused(cell)
        return Failure(f"the training left with exit code {error.code}")
    except Exception as error:
        return Failure(f"{type(error).__name__}: {error}", traceback.format_exc())
    return None


def refused(cell: Cell) -> InputError:
    """Name the arm whose overrides an argument parser refused; the parser has said why on stderr.

    Args:
        cell: A cell of the arm.
    """
    return InputError(
        f"arm '{cell.arm}' was refused: {' '.join(cell.overrides)}", remedy="Correct its overrides"
    )


def run_cells(
    task: Task, cells: Sequence[Cell], workers: int, threads: int | None = None
) -> Iterator[tuple[Cell, Failure | None]]:
    """Run cells and yield each with its outcome as it ends.

    Args:
        task: What to do with a cell; with several workers it must be importable by name.
        cells: The cells, in the order in which to start them.
        workers: How many processes; 1 runs everything here.
        threads: How many threads each cell computes with; None: a worker's share, and what this process has with 1.

    Raises:
        InputError: As soon as a cell meets wrong input; the others are stopped.
    """
    if workers > 1 and threads is None:
        threads = share(workers)
    if threads is not None:
        task = Threaded(task, threads)
    if workers <= 1 or threads is None:
        for cell in cells:
            outcome = attempt(task, cell)
            if isinstance(outcome, InputError):
                raise outcome
            yield cell, outcome
        return
    pool = [_Worker(task, threads) for _ in range(min(workers, len(cells)))]
    waiting = list(reversed(cells))
    try:
        for worker in pool:
            worker.give(waiting.pop())
        while any(worker.cell for worker in pool):
            for connection in wait([worker.connection for worker in pool if worker.cell]):
                worker = next(w for w in pool if w.connection is connection)
                cell, outcome = worker.take()
                if isinstance(outcome, InputError):
                    raise outcome
                if waiting:
                    if not worker.alive:
                        pool[pool.index(worker)] = worker = _Worker(task, threads)
                    worker.give(waiting.pop())
                yield cell, outcome
    finally:
        for worker in pool:
            worker.stop()


class _Worker:
    """One process and the pipe to it."""

    def __init__(self, task: Task, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, far = context.Pipe()
        self.process: SpawnProcess = context.Process(target=_serve, args=(far, task), daemon=True)
        with starting_with(threads):
            self.process.start()
        far.close()
        self.cell: Cell | None = None
        self.alive = True

    def give(self, cell: Cell) -> None:
        self.cell = cell
        try:
            self.connection.send(cell)
        except OSError:
            self.alive = False  # it died before its cell; the closed pipe says so in take()

    def take(self) -> tuple[Cell, Failure | InputError | None]:
        cell, self.cell = self.cell, None
        if cell is None:
            raise RuntimeError("a worker without a cell was asked for its outcome")
        try:
            return cell, self.connection.recv()
        except (EOFError, OSError):
            self.alive = False
            self.process.join(10)
            return cell, Failure(
                f"the process died with exit code {self.process.exitcode} (killed, or out of memory)"
            )

    def stop(self) -> None:
        self.connection.close()
        if self.cell is not None:
            self.process.terminate()
        self.process.join(10)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def _serve(connection: Connection, task: Task) -> None:
    """Run cells until the pipe closes."""
    while True:
        try:
            cell = connection.recv()
        except (EOFError, OSError):
            return
        connection.send(attempt(task, cell))
