"""Running cells on many machines: under Ray, or as a Slurm array. What comes out is what local processes give.

All machines must see the same files under the same paths: the ablation's folder, cohort, graph, ontology and the code.
A cell appears in its folder whole or not at all, so whatever dies with a machine is trained again elsewhere, and the
same command goes on after the driver itself was killed.

- Ray: a cell is a task. One whose machine died is started again on another, up to `mapped.RETRIES` times; an error of
  the training itself is not, and is told as a failed cell.
- Slurm: a cell is a task of an array, by submitit. One that is preempted or runs into its time limit is queued again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mhdiff import console
from mhdiff.ablate.cells import Cell
from mhdiff.ablate.threads import Threaded
from mhdiff.ablate.workers import Failure, Task, attempt, run_cells
from mhdiff.mapped import need_ray, results
from ontology.errors import InputError

Runner = Callable[[Task, Sequence[Cell]], Iterator[tuple[Cell, Failure | None]]]
_EXTRA = "pip install 'mh-diff[{0}]'"


def here(workers: int = 1, threads: int | None = None) -> Runner:
    """Run cells in processes of this machine.

    Args:
        workers: How many.
        threads: How many threads each cell computes with; None: its worker's share.
    """
    return partial(run_cells, workers=workers, threads=threads)


def on_ray(address: str | None = None, cpus: float = 1, gpus: float = 0) -> Runner:
    """Run cells as tasks of a Ray cluster.

    Args:
        address: Of the cluster, or `auto` for the one this machine belongs to; None starts one here.
        cpus: Processors that a cell takes; they are its threads too.
        gpus: GPUs that a cell takes.

    Raises:
        InputError: If Ray is not installed.
    """
    need_ray()

    def run(task: Task, cells: Sequence[Cell]) -> Iterator[tuple[Cell, Failure | None]]:
        import ray

        given = (Threaded(task, max(1, int(cpus))),)
        for cell, outcome in results(attempt, cells, given, address=address, cpus=cpus, gpus=gpus):
            if isinstance(outcome, ray.exceptions.RayError):
                lines = str(outcome).strip().splitlines()
                outcome = Failure(f"{type(outcome).__name__}: {lines[0] if lines else ''}", str(outcome))
            if isinstance(outcome, InputError):
                raise outcome
            yield cell, outcome

    return run


@dataclass(frozen=True)
class _Job:
    """A cell as a job that may be queued again."""

    task: Task

    def __call__(self, cell: Cell) -> Failure | InputError | None:
        return attempt(self.task, cell)

    def checkpoint(self, cell: Cell) -> Any:
        """Say what is queued when this is preempted: the same again.

        Args:
            cell: The cell.
        """
        import submitit

        return submitit.helpers.DelayedSubmission(self, cell)


def on_slurm(
    folder: Path, parallel: int, parameters: Mapping[str, Any], cluster: str | None = None
) -> Runner:
    """Run cells as an array of Slurm jobs.

    Args:
        folder: Where submission files and logs go.
        parallel: How many tasks of the array run at once.
        parameters: Of submitit's executor, such as timeout_min, mem_gb, gpus_per_node, slurm_partition, and
            cpus_per_task, which are the threads of a cell too, 1 by default.
        cluster: `local` runs the jobs here, to try it.

    Raises:
        InputError: If submitit is not installed, there is no Slurm here, or it does not know a parameter.
    """
    try:
        import submitit
    except ModuleNotFoundError as error:
        raise InputError("submitit is not installed", remedy=_EXTRA.format("slurm")) from error

    def run(task: Task, cells: Sequence[Cell]) -> Iterator[tuple[Cell, Failure | None]]:
        if not cells:
            return
        try:
            executor = submitit.AutoExecutor(folder=folder, cluster=cluster or "slurm")
            executor.update_parameters(slurm_array_parallelism=parallel, **parameters)
            threads = max(1, int(parameters.get("cpus_per_task", 1)))
            jobs = executor.map_array(_Job(Threaded(task, threads)), list(cells))
        except (RuntimeError, NameError, ValueError, submitit.core.utils.FailedJobError) as error:
            raise InputError(
                f"Slurm did not take the jobs: {error}",
                remedy="Start this where sbatch is at hand; --slurm takes the names of submitit's parameters",
            ) from error
        cell_of = {id(job): cell for job, cell in zip(jobs, cells, strict=True)}
        console.say(f"{len(jobs)} jobs, {jobs[0].job_id} and following; logs in {folder}")
        left = list(jobs)
        try:
            for job in submitit.helpers.as_completed(jobs, poll_frequency=5 if cluster is None else 0.2):
                left.remove(job)
                try:
                    outcome = job.result()
                except Exception as error:
                    outcome = Failure(f"{type(error).__name__}: job {job.job_id} gave no result", str(error))
                if isinstance(outcome, InputError):
                    raise outcome
                yield cell_of[id(job)], outcome
        finally:
            for job in left:
                job.cancel(check=False)

    return run
