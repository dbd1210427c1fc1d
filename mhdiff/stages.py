"""Wall time and peak memory of each stage of a long command, kept beside its results."""

from __future__ import annotations

import contextlib
import json
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

from mhdiff import console
from ontology.files import atomic_write


@dataclass
class Stage:
    """One stage.

    Attributes:
        name: What was done.
        seconds: Wall time.
        peak_mib: Peak resident memory of the process in MiB: of this stage on Linux, so far elsewhere.
    """

    name: str
    seconds: float
    peak_mib: float


class Stages:
    """Announce stages, time them, and write them down after each.

    Args:
        path: The JSON file.
        total: How many stages there will be.
    """

    def __init__(self, path: Path, total: int) -> None:
        self.path, self.total = path, total
        self.done: list[Stage] = []

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what is done in the block.

        Args:
            name: What is done.
        """
        console.say(f"[{len(self.done) + 1}/{self.total}] {name}")
        start = time.monotonic()
        with Peak() as peak:
            yield
        stage = Stage(name, round(time.monotonic() - start, 2), round(peak.mib, 1))
        self.done.append(stage)
        console.say(f"      {stage.seconds:.1f} s, peak {stage.peak_mib:.0f} MiB")
        atomic_write(self.path, json.dumps([asdict(s) for s in self.done], indent=1))


class Peak:
    """Peak resident memory of the process while a block runs, on Linux; elsewhere so far. Blocks may be nested.

    Attributes:
        mib: In MiB, once the block has ended.
    """

    _open: ClassVar[list[Peak]] = []

    def __init__(self) -> None:
        self.mib = 0.0

    def __enter__(self) -> Peak:
        self._take()
        _reset_peak()
        self._open.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._take()
        self._open.remove(self)

    def _take(self) -> None:
        for block in self._open:
            block.mib = max(block.mib, _peak_mib())


def _reset_peak() -> None:
    if sys.platform == "linux":
        with contextlib.suppress(
            OSError
        ):  # not permitted in some containers: the peak is then the one so far
            Path("/proc/self/clear_refs").write_text("5")


def _peak_mib() -> float:
    if sys.platform == "linux":
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    unit = 1024 if sys.platform == "linux" else 1024 * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
