"""Running an ablation: every cell once, whatever happens to the others, and the result table at the end.

    OUT/plan.json          what is to be run: marks the folder as ours
    OUT/encoders/<key>/    a run and its embeddings, where arms share encoders; appears whole or not at all
    OUT/cells/<key>/       predictions.parquet and run.json of a finished cell; appears whole or not at all
    OUT/failed/<key>.txt   why a cell failed, the last time it was tried
    OUT/ablation.json      the result

Running it again trains only what is missing: cells that failed, were killed, or were added to the
configuration.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from mhdiff import __version__, console
from mhdiff.ablate.cells import Cell, code_fingerprint, plan
from mhdiff.ablate.config import Ablation
from mhdiff.ablate.pool import Truth
from mhdiff.ablate.summary import summarise_ablation
from mhdiff.ablate.workers import Failure, FitCell, refused, run_cells
from mhdiff.evaluate.predictions import check_predictions
from ontology.errors import InputError
from ontology.files import atomic_directory, atomic_write

MARKER = "plan.json"
PREDICTIONS, EMBEDDINGS = "predictions.parquet", "embeddings"
EmbedCell = Callable[[Path, list[str], Path], None]
Prepare = Callable[[Path, list[str], tuple[str, ...], tuple[str, ...]], None]


class UnusablePredictions(Exception):
    """A training ended, but what it wrote cannot be evaluated."""


@dataclass(frozen=True)
class _Train:
    """Train one cell into its own folder; a class so that worker processes can be handed it."""

    fit_cell: FitCell
    base: Path
    folder: Path
    patterns: tuple[str, ...]

    def __call__(self, cell: Cell) -> None:
        overrides = list(cell.overrides)
        if cell.encoders is not None:
            overrides.append(f"--data.embeddings={_embeddings(self.folder.parent, cell.encoders)}")
        with atomic_directory(self.folder / cell.key) as work:
            started = time.perf_counter()
            self.fit_cell(self.base, overrides, work, self.patterns)
            seconds = time.perf_counter() - started
            try:
                check_predictions(_read_predictions(work))
            except InputError as error:  # the model's defect, not the user's input
                raise UnusablePredictions(str(error)) from error
            record = _record(work) or {}
            record.setdefault("seconds", seconds)
            cell_document = asdict(cell) | {"version": __version__}
            atomic_write(work / "run.json", json.dumps(record, indent=2))
            atomic_write(work / "cell.json", json.dumps(cell_document, indent=2))


@dataclass(frozen=True)
class _Embed:
    """Train encoders that arms share, and write what they give."""

    embed_cell: EmbedCell
    base: Path
    folder: Path

    def __call__(self, cell: Cell) -> None:
        with atomic_directory(self.folder / cell.key) as work:
            self.embed_cell(self.base, list(cell.overrides), work)


def _embeddings(out: Path, key: str) -> Path:
    return out / "encoders" / key / EMBEDDINGS


def run(
    ablation: Ablation,
    out: str | Path,
    fit_cell: FitCell,
    *,
    workers: int = 1,
    prepare: Prepare | None = None,
    embed_cell: EmbedCell | None = None,
) -> dict[str, Any]:
    """Run an ablation, or what is left of it, and write its result.

    Args:
        ablation: What to run.
        out: Folder of the ablation; may hold an earlier, unfinished run of it.
        fit_cell: Trains one cell: given the base configuration, the overrides, an empty folder and the patterns to
            offer beside the fullest, it writes predictions.parquet and, if it can, run.json with the number of
            parameters and the seconds.
        workers: How many processes train at once.
        prepare: Called once for each arm before anything is trained, with base configuration, overrides, names of
            patterns and of rare classes: refuses wrong ones, and makes the data that are not there yet, so that they
            can be fingerprinted.
        embed_cell: Trains encoders that arms share: given the base configuration, the overrides and an empty folder, it
            writes their outputs into the folder's `embeddings`.

    Returns:
        The document that is also written to OUT/ablation.json. Failed cells and arms are in it as failed.

    Raises:
        InputError: If the input is wrong, `out` is somebody else's folder, or another process works in it.
    """
    folder = Path(out)
    if workers < 1:
        raise InputError(f"{workers} workers cannot train anything", remedy="Give 1 or more")
    _refuse_foreign(folder)
    if prepare is not None:
        first: dict[str, Cell] = {}
        for cell in plan(ablation).cells:
            first.setdefault(cell.arm, cell)
        for cell in first.values():
            _refuse_early(prepare, ablation, cell)
    planned = plan(ablation)
    cells, data = planned.cells, planned.data
    if planned.encoders and embed_cell is None:
        raise InputError("this ablation shares encoders, and nothing was given that trains them")
    with _claimed(folder):
        store = folder / "cells"
        description = {
            "name": ablation.name,
            "base": str(ablation.base),
            "data": data,
            "code": code_fingerprint(),
            "version": __version__,
            "encoders": [asdict(cell) for cell in planned.encoders.values()],
            "cells": [asdict(cell) for cell in cells],
        }
        atomic_write(folder / MARKER, json.dumps(description, indent=2))
        distinct = {cell.key: cell for cell in cells}
        todo = [cell for key, cell in distinct.items() if not _done(store / key)]
        done = len(distinct) - len(todo)
        console.say(f"Ablation '{ablation.name}': {len(distinct)} trainings, {done} of them already done")
        failures: dict[str, Failure] = {}
        if embed_cell is not None:
            needed = [
                planned.encoders[key]
                for key in dict.fromkeys(cell.encoders for cell in todo)
                if key is not None and not (_embeddings(folder, key) / "embeddings.json").is_file()
            ]
            work = _Embed(embed_cell, ablation.base, folder / "encoders")
            lost = dict(_outcomes(work, needed, workers, folder, ablation.folds))
            for cell in todo:
                if cell.encoders in lost:
                    failures[cell.key] = Failure(f"its encoders failed: {lost[cell.encoders].message}")
            todo = [cell for cell in todo if cell.key not in failures]
        train = _Train(fit_cell, ablation.base, store, ablation.offered)
        failures |= dict(_outcomes(train, todo, workers, folder, ablation.folds))
        document = summarise_ablation(
            ablation,
            cells,
            predictions={
                cell.key: _read_predictions(store / cell.key) for cell in cells if cell.key not in failures
            },
            records={cell.key: _record(store / cell.key) or {} for cell in cells},
            failures={key: failure.message for key, failure in failures.items()},
            truth=Truth.read({cell.key: store / cell.key for cell in cells}),
        )
        document |= {"data": data, "code": code_fingerprint(), "version": __version__}
        atomic_write(folder / "ablation.json", json.dumps(document, indent=2))
    return document


def _outcomes(
    task: Callable[[Cell], None], todo: Sequence[Cell], workers: int, folder: Path, folds: int | None
) -> Iterator[tuple[str, Failure]]:
    """Run cells, say how each ended, and yield those that failed by their key."""
    for count, (cell, failure) in enumerate(run_cells(task, todo, workers), start=1):
        note = folder / "failed" / f"{cell.key}.txt"
        note.unlink(missing_ok=True)
        if failure is not None:
            atomic_write(note, f"{failure.message}\n\n{failure.detail}")
        state = "done" if failure is None else f"FAILED: {failure.message}"
        fold = "" if cell.fold is None else f", fold {cell.fold + 1} of {folds}"
        console.say(f"[{count}/{len(todo)}] {cell.arm}{fold}, seed {cell.seed}: {state}")
        if failure is not None:
            yield cell.key, failure


def _refuse_early(prepare: Prepare, ablation: Ablation, cell: Cell) -> None:
    try:
        rare = ablation.rare if isinstance(ablation.rare, tuple) else ()
        prepare(ablation.base, list(cell.overrides), ablation.named, rare)
    except SystemExit as error:
        raise refused(cell) from error


def _refuse_foreign(folder: Path) -> None:
    if folder.is_file():
        raise InputError(
            "a file stands where the folder should go", path=folder, remedy="Choose another --out"
        )
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).exists():
        raise InputError(
            f"the folder is not empty and holds no {MARKER}, so nothing is written into it",
            path=folder,
            remedy="Choose another --out or empty the folder yourself",
        )


@contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    """Hold the folder for this process, and clear away what a killed one left behind."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / MARKER).exists():
        atomic_write(folder / MARKER, "{}")
    for place in ("cells", "encoders"):
        (folder / place).mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(
                "another process is running this ablation", path=folder, remedy="Wait for it, or end it first"
            ) from error
        for pattern in (".*.new-*", ".*.old-*"):
            for place in ("cells", "encoders"):
                for leftover in (folder / place).glob(pattern):
                    shutil.rmtree(leftover)
        yield


def _done(folder: Path) -> bool:
    """Whether a cell has usable predictions; what is left of one that was damaged is cleared away."""
    if not (folder / "cell.json").is_file() or not (folder / PREDICTIONS).is_file():
        if folder.is_dir():
            shutil.rmtree(folder)
        return False
    try:
        check_predictions(_read_predictions(folder))
    except (InputError, UnusablePredictions) as error:
        console.say(f"A stored cell cannot be used and is trained again: {error}")
        shutil.rmtree(folder)
        return False
    return True


def _read_predictions(folder: Path) -> pl.DataFrame:
    file = folder / PREDICTIONS
    try:
        return pl.read_parquet(file)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UnusablePredictions(f"{file.name} is missing or unreadable: {error}") from error


def _record(folder: Path) -> dict[str, Any] | None:
    try:
        document = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # optional: without it the table has no number of parameters
    return document if isinstance(document, dict) else None
