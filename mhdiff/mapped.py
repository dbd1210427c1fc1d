"""One step for many tasks: here, in other processes, or on a Ray cluster. A step leaves files; only errors come back.

All machines must see the same files under the same paths. A step writes its result under another name and moves it into
place at its end, so one whose machine died is started again elsewhere and finds nothing half-written.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from mhdiff.processes import processes
from ontology.errors import InputError

T = TypeVar("T")
#: Runs a step for every task, and gives each task as it ends.
Mapper = Callable[[Callable[[Any], None], Sequence[Any]], Iterator[Any]]
#: How often a task is started again after its machine died.
RETRIES = 5
#: How long an end is waited for of tasks that were called off.
LAST_SECONDS = 60.0


def here(step: Callable[[T], None], tasks: Sequence[T], *, workers: int = 1) -> Generator[T, None, None]:
    """Run a step for every task in this process.

    Args:
        step: The step.
        tasks: The tasks.
        workers: How many at once, in threads: for steps that hold Python's lock seldom.

    Yields:
        The tasks, in their order.
    """
    if workers <= 1:
        for task in tasks:
            step(task)
            yield task
        return
    pool = ThreadPoolExecutor(workers)
    try:
        running = [(task, pool.submit(step, task)) for task in tasks]
        for task, future in running:
            future.result()
            yield task
    finally:
        pool.shutdown(cancel_futures=True)


def apart(workers: int) -> Mapper:
    """Run steps in processes of this machine.

    They do more than as many threads of one process, which wait for each other. A script that asks for them needs the
    guard `if __name__ == "__main__"`, as multiprocessing says.

    Args:
        workers: How many.

    Raises:
        InputError: If there are none.
    """
    if workers < 1:
        raise InputError(f"{workers} processes do nothing", remedy="Give a number from 1 on")

    def run(step: Callable[[T], None], tasks: Sequence[T]) -> Iterator[T]:
        try:
            with processes(min(workers, max(len(tasks), 1))) as pool:
                waiting = [(task, pool.submit(_attempt, step, os.getcwd(), task)) for task in tasks]
                for task, future in waiting:
                    if (error := future.result()) is not None:
                        raise error
                    yield task
        except BrokenProcessPool as error:
            raise InputError(
                "a process died (killed, or out of memory)",
                remedy="Give fewer --workers, and start the same command again",
            ) from error

    return run


def on_ray(address: str | None = None, cpus: float = 1, gpus: float = 0) -> Mapper:
    """Run steps as tasks of a Ray cluster, in the folder that this process works in.

    Args:
        address: Of the cluster, or `auto` for the one this machine belongs to; None starts one here.
        cpus: Processors that a task takes.
        gpus: GPUs that a task takes.

    Raises:
        InputError: If Ray is not installed.
    """
    need_ray()

    def run(step: Callable[[T], None], tasks: Sequence[T]) -> Iterator[T]:
        import ray

        given = (step, os.getcwd())
        for task, outcome in results(_attempt, tasks, given, address=address, cpus=cpus, gpus=gpus):
            if isinstance(outcome, InputError):
                raise outcome
            if isinstance(outcome, ray.exceptions.RayTaskError):
                raise outcome.as_instanceof_cause()
            if isinstance(outcome, ray.exceptions.RayError):
                raise InputError(
                    f"a task was lost {RETRIES + 1} times ({type(outcome).__name__})",
                    remedy="See whether the machines have memory enough, and start the same command again",
                ) from outcome
            yield task

    return run


def _attempt(step: Callable[[T], None], folder: str, task: T) -> InputError | None:
    os.chdir(folder)
    try:
        step(task)
    except InputError as error:
        return error
    return None


def need_ray() -> None:
    """Refuse to go on without Ray.

    Raises:
        InputError: If it is not installed.
    """
    try:
        import ray  # noqa: F401
    except ModuleNotFoundError as error:
        raise InputError("ray is not installed", remedy="pip install 'mh-diff[ray]'") from error


def results(
    step: Callable[..., Any],
    tasks: Sequence[T],
    given: tuple[Any, ...] = (),
    *,
    address: str | None,
    cpus: float,
    gpus: float = 0,
) -> Iterator[tuple[T, Any]]:
    """Give each task, as it ends, with what the step gave on the cluster, or the `RayError` that ended it.

    Args:
        step: The step, a function that is importable by name on all machines.
        tasks: The tasks, its last argument.
        given: Its other arguments.
        address: See `on_ray`; a cluster that this process has joined already is taken as it is, and left running.
        cpus: Processors that a task takes; they are its threads too.
        gpus: GPUs that a task takes.

    Raises:
        InputError: If there is no such cluster.
    """
    import ray

    mine = not ray.is_initialized()
    if mine:
        try:
            ray.init(address=address, log_to_driver=True, include_dashboard=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise InputError(
                f"there is no Ray cluster at {address}: {error}",
                remedy="Start one with ray start --head, or leave --address out",
            ) from error
    there = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=RETRIES)(step)
    running = {there.remote(*given, task): task for task in tasks}
    try:
        while running:
            (ready,), _ = ray.wait(list(running), num_returns=1)
            task = running.pop(ready)
            try:
                outcome = ray.get(ready)
            except ray.exceptions.RayError as error:
                outcome = error
            yield task, outcome
    finally:
        for left in running:
            ray.cancel(left, force=True)
        if running:  # until they have ended: whoever asked may remove what they write to
            ray.wait(list(running), num_returns=len(running), timeout=LAST_SECONDS)
        if mine:
            ray.shutdown()
