"""How the benchmarks measure: every figure in a process of its own, peers and ours in turn, medians of several runs.

A module with figures has a table of works, `{name: function}`; `run` starts the module again as a child for one of
them, `child` runs it there and prints seconds, processor seconds and peak memory as one line of JSON. Works that are
compared alternate, so that a machine's better and worse moments fall on both.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ONE_CORE = "MHDIFF_BENCH_ONE_CORE"
Result = dict[str, Any]


class Stopwatch:
    """Takes the wall and processor time of a block: `with Stopwatch() as watch: ...`, then `watch.result()`."""

    def __enter__(self) -> Stopwatch:
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds, self.cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu

    def result(self, **more: Any) -> Result:
        """Give what was measured, the process's peak memory, and more."""
        mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {"seconds": self.seconds, "cpu": self.cpu, "mib": mib, **more}


def repeated(work: Callable[[], object], runs: int = 5) -> list[float]:
    """Time a short work several times within one process.

    Args:
        work: The work.
        runs: How often.
    """
    times = []
    for _ in range(runs):
        with Stopwatch() as watch:
            work()
        times.append(watch.seconds)
    return times


def child(works: Mapping[str, Callable[..., Result]], arguments: Sequence[str]) -> None:
    """Do one work in this process, and print what was measured.

    Args:
        works: The module's works.
        arguments: The name of the work, then its arguments.
    """
    if os.environ.get(ONE_CORE) and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # before any pool of threads is made
    name, *rest = arguments
    print(json.dumps(works[name](*map(Path, rest))))


def run(module: str, work: str, *arguments: Path, one_core: bool = False) -> Result:
    """Do one work in a process of its own.

    Args:
        module: The module with the work, such as "benchmarks.bench_build".
        work: Its name there.
        arguments: Its arguments, paths.
        one_core: Whether the process may use a single core only.

    Raises:
        RuntimeError: If it fails; with what it wrote to stderr.
    """
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    if one_core:
        environment |= {ONE_CORE: "1", "POLARS_MAX_THREADS": "1"}
    command = [sys.executable, "-m", module, "--child", work, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"{work} failed: {done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def alternate(runs: int, **works: Callable[[], Result]) -> dict[str, list[Result]]:
    """Do several works in turn, several times.

    Args:
        runs: How often each.
        works: What to do, by name.
    """
    found: dict[str, list[Result]] = {name: [] for name in works}
    for _ in range(runs):
        for name, work in works.items():
            found[name].append(work())
    return found


def median(results: Sequence[Result] | Sequence[float], key: str = "seconds") -> float:
    """Give the median of a key over several results, or of numbers."""
    return statistics.median(r[key] if isinstance(r, dict) else r for r in results)


def spread(results: Sequence[Result] | Sequence[float], key: str = "seconds", digits: int = 2) -> str:
    """Write the median of several results, then the least and the greatest."""
    values = sorted(float(r[key] if isinstance(r, dict) else r) for r in results)
    return f"{statistics.median(values):,.{digits}f} ({values[0]:,.{digits}f} to {values[-1]:,.{digits}f})"


@dataclass(frozen=True)
class Limit:
    """What a figure is held against.

    Attributes:
        least: What has to be met.
        reach: What to reach for.
        unit: "s", "x scan", "GiB".
        more_is_better: Whether a greater value is the better one.
    """

    least: float
    reach: float
    unit: str = "s"
    more_is_better: bool = False

    def verdict(self, value: float) -> str:
        """Say "reached", "met" or "NOT met"."""
        sign = -1 if self.more_is_better else 1
        if sign * value <= sign * self.reach:
            return "reached"
        return "met" if sign * value <= sign * self.least else "NOT met"


@dataclass(frozen=True)
class Figure:
    """One row of the table.

    Attributes:
        work: What was done.
        measured: What was measured, in words: seconds with their range.
        value: The number that is held against the limit; None where there is none.
        limit: The limit.
    """

    work: str
    measured: str
    value: float | None = None
    limit: Limit | None = None

    def row(self) -> str:
        """Give the row of the Markdown table."""
        value, limit = self.value, self.limit
        if value is None or limit is None:
            return f"| {self.work} | {self.measured} | | | |"
        return (
            f"| {self.work} | {self.measured} | {_short(value)} {limit.unit} "
            f"| {_short(limit.least)}, {_short(limit.reach)} | {limit.verdict(value)} |"
        )


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(figures: Sequence[Figure]) -> str:
    """Give the Markdown table."""
    head = "| work | median (least to greatest) | figure | at least, reach for | |\n|---|---|---|---|---|"
    return "\n".join([head, *(figure.row() for figure in figures)])
