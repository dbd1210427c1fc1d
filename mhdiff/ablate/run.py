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

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mhdiff import __version__, console
from mhdiff.ablate.cells import Cell, plan
from mhdiff.ablate.clusters import Runner, here
from mhdiff.ablate.code import code_fingerprint
from mhdiff.ablate.config import Ablation
from mhdiff.ablate.pool import Truth
from mhdiff.ablate.store import (
    Embed,
    EmbedCell,
    Train,
    claimed,
    done,
    embeddings_of,
    read_predictions,
    record_of,
    refuse_foreign,
)
from mhdiff.ablate.summary import summarise_ablation
from mhdiff.ablate.workers import Failure, FitCell, Task, refused
from ontology.errors import InputError
from ontology.files import atomic_write

MARKER = "plan.json"
Prepare = Callable[[Path, list[str], tuple[str, ...], tuple[str, ...]], None]


def run(
    ablation: Ablation,
    out: str | Path,
    fit_cell: FitCell,
    *,
    workers: int = 1,
    runner: Runner | None = None,
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
        runner: Where cells are run, see `mhdiff.ablate.clusters`; by default in `workers` processes here.
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
    folder, runner = Path(out), runner or here(workers)
    if workers < 1:
        raise InputError(f"{workers} workers cannot train anything", remedy="Give 1 or more")
    refuse_foreign(folder, MARKER)
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
    with claimed(folder, MARKER):
        store = folder / "cells"
        description = {
            "name": ablation.name,
            "config": None if ablation.source is None else str(ablation.source),
            "base": str(ablation.base),
            "data": data,
            "code": code_fingerprint(),
            "version": __version__,
            "encoders": [asdict(cell) for cell in planned.encoders.values()],
            "cells": [asdict(cell) for cell in cells],
        }
        atomic_write(folder / MARKER, json.dumps(description, indent=2))
        distinct = {cell.key: cell for cell in cells}
        todo = [cell for key, cell in distinct.items() if not done(store / key)]
        ready = len(distinct) - len(todo)
        console.say(f"Ablation '{ablation.name}': {len(distinct)} trainings, {ready} of them already done")
        failures: dict[str, Failure] = {}
        if embed_cell is not None:
            needed = [
                planned.encoders[key]
                for key in dict.fromkeys(cell.encoders for cell in todo)
                if key is not None and not (embeddings_of(folder, key) / "embeddings.json").is_file()
            ]
            work = Embed(embed_cell, ablation.base, folder / "encoders")
            lost = dict(_outcomes(work, needed, runner, folder, ablation))
            for cell in todo:
                if cell.encoders in lost:
                    failures[cell.key] = Failure(f"its encoders failed: {lost[cell.encoders].message}")
            todo = [cell for cell in todo if cell.key not in failures]
        train = Train(fit_cell, ablation.base, store, ablation.offered)
        failures |= dict(_outcomes(train, todo, runner, folder, ablation))
        document = summarise_ablation(
            ablation,
            cells,
            predictions={
                cell.key: read_predictions(store / cell.key) for cell in cells if cell.key not in failures
            },
            records={cell.key: record_of(store / cell.key) or {} for cell in cells},
            failures={key: failure.message for key, failure in failures.items()},
            truth=Truth.read({cell.key: store / cell.key for cell in cells}),
        )
        document |= {"data": data, "code": code_fingerprint(), "version": __version__}
        atomic_write(folder / "ablation.json", json.dumps(document, indent=2))
    return document


def _outcomes(
    task: Task, todo: Sequence[Cell], runner: Runner, folder: Path, ablation: Ablation
) -> Iterator[tuple[str, Failure]]:
    """Run cells, say how each ended, and yield those that failed by their key."""
    for count, (cell, failure) in enumerate(runner(task, todo), start=1):
        note = folder / "failed" / f"{cell.key}.txt"
        note.unlink(missing_ok=True)
        if failure is not None:
            atomic_write(note, f"{failure.message}\n\n{failure.detail}")
        state = "done" if failure is None else f"FAILED: {failure.message}"
        repeat = "" if cell.repeat is None else f", repetition {cell.repeat + 1} of {ablation.repeats}"
        fold = "" if cell.fold is None else f", fold {cell.fold + 1} of {ablation.folds}"
        console.say(f"[{count}/{len(todo)}] {cell.arm}{repeat}{fold}, seed {cell.seed}: {state}")
        if failure is not None:
            yield cell.key, failure


def _refuse_early(prepare: Prepare, ablation: Ablation, cell: Cell) -> None:
    try:
        rare = ablation.rare if isinstance(ablation.rare, tuple) else ()
        prepare(ablation.base, list(cell.overrides), ablation.named, rare)
    except SystemExit as error:
        raise refused(cell) from error
