"""Cells on disk: trained into a folder that appears whole or not at all, found again, and read.

OUT/encoders/<key>/    a run and its embeddings, where arms share encoders
OUT/cells/<key>/       predictions.parquet, run.json and cell.json of a finished cell
"""

from __future__ import annotations

import fcntl
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from mhdiff import __version__, console
from mhdiff.ablate.cells import Cell
from mhdiff.ablate.threads import THREADS, in_use
from mhdiff.ablate.workers import FitCell
from mhdiff.evaluate.predictions import check_predictions
from mhdiff.stages import Peak
from ontology.errors import InputError
from ontology.files import atomic_directory, atomic_write

PREDICTIONS, EMBEDDINGS = "predictions.parquet", "embeddings"
EmbedCell = Callable[[Path, list[str], Path], None]


class UnusablePredictions(Exception):
    """A training ended, but what it wrote cannot be evaluated."""


@dataclass(frozen=True)
class Train:
    """Train one cell into its own folder; a class so that worker processes can be handed it.

    Args:
        fit_cell: Trains a cell, see `mhdiff.ablate.run`.
        base: The base configuration.
        folder: OUT/cells.
        patterns: Patterns that are offered beside the fullest.
    """

    fit_cell: FitCell
    base: Path
    folder: Path
    patterns: tuple[str, ...]

    def __call__(self, cell: Cell) -> None:
        """Train a cell.

        Args:
            cell: The cell.

        Raises:
            UnusablePredictions: If it trained and what it predicted cannot be evaluated.
        """
        overrides = list(cell.overrides)
        if cell.encoders is not None:
            overrides.append(f"--data.embeddings={embeddings_of(self.folder.parent, cell.encoders)}")
        with atomic_directory(self.folder / cell.key) as work:
            started = time.perf_counter()
            with Peak() as peak:
                self.fit_cell(self.base, overrides, work, self.patterns)
            seconds = time.perf_counter() - started
            try:
                check_predictions(read_predictions(work))
            except InputError as error:  # the model's defect, not the user's input
                raise UnusablePredictions(str(error)) from error
            facts = record_of(work) or {}
            facts.setdefault("seconds", seconds)
            facts["peak_mib"] = round(peak.mib, 1)
            if (threads := in_use()) is not None:
                facts[THREADS] = threads
            cell_document = asdict(cell) | {"version": __version__}
            atomic_write(work / "run.json", json.dumps(facts, indent=2))
            atomic_write(work / "cell.json", json.dumps(cell_document, indent=2))


@dataclass(frozen=True)
class Embed:
    """Train encoders that arms share, and write what they give.

    Args:
        embed_cell: Trains and writes them, see `mhdiff.ablate.run`.
        base: The base configuration.
        folder: OUT/encoders.
    """

    embed_cell: EmbedCell
    base: Path
    folder: Path

    def __call__(self, cell: Cell) -> None:
        """Train encoders and write what they give.

        Args:
            cell: Their training.
        """
        with atomic_directory(self.folder / cell.key) as work:
            self.embed_cell(self.base, list(cell.overrides), work)


def embeddings_of(out: Path, key: str) -> Path:
    """Give the folder of embeddings that cells share.

    Args:
        out: The ablation's folder.
        key: Key of the encoders.
    """
    return out / "encoders" / key / EMBEDDINGS


def done(folder: Path) -> bool:
    """Say whether a cell has usable predictions; what is left of one that was damaged is cleared away.

    Args:
        folder: The cell's folder.
    """
    if not (folder / "cell.json").is_file() or not (folder / PREDICTIONS).is_file():
        if folder.is_dir():
            shutil.rmtree(folder)
        return False
    try:
        check_predictions(read_predictions(folder))
    except (InputError, UnusablePredictions) as error:
        console.say(f"A stored cell cannot be used and is trained again: {error}")
        shutil.rmtree(folder)
        return False
    return True


def read_predictions(folder: Path) -> pl.DataFrame:
    """Read what a cell predicted.

    Args:
        folder: The cell's folder.

    Raises:
        UnusablePredictions: If there is nothing that can be read.
    """
    file = folder / PREDICTIONS
    try:
        return pl.read_parquet(file)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UnusablePredictions(f"{file.name} is missing or unreadable: {error}") from error


def record_of(folder: Path) -> dict[str, Any] | None:
    """Read the run.json of a cell; None where there is none.

    Args:
        folder: The cell's folder.
    """
    try:
        document = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # optional: without it the table has no number of parameters
    return document if isinstance(document, dict) else None


def refuse_foreign(folder: Path, marker: str) -> None:
    """Refuse a folder that holds something else.

    Args:
        folder: The folder.
        marker: The file that marks it as ours.

    Raises:
        InputError: If it is a file, or not empty and without the marker.
    """
    if folder.is_file():
        raise InputError(
            "a file stands where the folder should go", path=folder, remedy="Choose another --out"
        )
    if folder.is_dir() and any(folder.iterdir()) and not (folder / marker).exists():
        raise InputError(
            f"the folder is not empty and holds no {marker}, so nothing is written into it",
            path=folder,
            remedy="Choose another --out or empty the folder yourself",
        )


@contextmanager
def claimed(folder: Path, marker: str) -> Iterator[None]:
    """Hold the folder for this process, and clear away what a killed one left behind.

    Args:
        folder: The folder; it is made.
        marker: The file that marks it as ours.

    Raises:
        InputError: If another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / marker).exists():
        atomic_write(folder / marker, "{}")
    for place in ("cells", "encoders"):
        (folder / place).mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(
                "another process is working in this folder",
                path=folder,
                remedy="Wait for it, or end it first",
            ) from error
        for place in ("cells", "encoders"):
            for pattern in (".*.new-*", ".*.old-*"):
                for leftover in (folder / place).glob(pattern):
                    shutil.rmtree(leftover)
        yield
