"""Out-of-fold predictions: for each seed those of all folds together, so that each patient is predicted once.

Where folds are dealt several times there is such a set for every seed and repetition, and a seed's figures are the mean
over its sets: the patients are the same, and resampled together.

Thresholds come from each cell's own tuning split. On a known-answer cohort the exact posteriors of the same patients
are pooled beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from mhdiff.ablate.cells import Cell
from mhdiff.ablate.config import Ablation
from mhdiff.evaluate.ceiling import check_ceiling, truth_of, with_posterior
from mhdiff.evaluate.compare import refuse_different_patients, tuned_thresholds
from mhdiff.evaluate.predictions import Scored, to_scored
from mhdiff.evaluate.several import joined
from ontology.errors import InputError


@dataclass(frozen=True)
class Pooled:
    """One arm's pooled predictions under one pattern.

    Args:
        runs: One set a seed and repetition, seed by seed; none if the arm has no figures.
        untuned: By class, why it has no threshold.
        reason: Why there are no figures.
        by_fold: For each seed its predictions fold by fold, those of one repetition after those of another.
        sizes: Patients that each of these folds trains on and holds out. Everybody is held out once in a repetition,
            so those that a fold trains on are the others without its tuning patients.
    """

    runs: list[Scored]
    untuned: dict[str, str]
    reason: str = ""
    by_fold: tuple[tuple[Scored, ...], ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()

    @property
    def by_seed(self) -> list[list[Scored]]:
        """The sets of each seed, one a repetition."""
        each = len(self.runs) // len(self.by_fold) if self.runs else 1
        return [self.runs[start : start + each] for start in range(0, len(self.runs), each)]


@dataclass(frozen=True)
class Truth:
    """The exact posteriors behind the cells.

    Args:
        frames: By path, the checked posteriors, or why there are none that can be used.
        of: By key of a cell, the path of its cohort's.
    """

    frames: dict[Path, pl.DataFrame | str]
    of: dict[str, Path]

    @classmethod
    def read(cls, folders: Mapping[str, Path]) -> Truth:
        """Read the posteriors of known-answer cohorts.

        Args:
            folders: By key, the folder of each cell's run.
        """
        paths = {key: truth_of(folder) for key, folder in folders.items()}
        of = {key: path for key, path in paths.items() if path is not None}
        return cls({path: pl.read_parquet(path) for path in of.values()}, of)

    def checked(self, classes: Sequence[str], modalities: Sequence[str]) -> Truth:
        """Check the posteriors against what was predicted; one that does not fit becomes its reason.

        Args:
            classes: Names of the classes.
            modalities: The modalities, in the task's order.
        """
        fit: dict[Path, pl.DataFrame | str] = {}
        for path, frame in self.frames.items():
            try:
                fit[path] = frame if isinstance(frame, str) else check_ceiling(frame, classes, modalities)
            except InputError as error:
                fit[path] = str(error)
        return Truth(fit, self.of)

    def ceiling(self, rows: pl.DataFrame, key: str, pattern: str) -> pl.DataFrame | str:
        """Give held-out rows with exact probabilities, or why there are none.

        Args:
            rows: The held-out rows of a cell under the pattern.
            key: The cell.
            pattern: The pattern.
        """
        frame = self.frames.get(self.of[key]) if key in self.of else None
        if frame is None:
            return "no exact posterior was given"
        if isinstance(frame, str):
            return frame
        posterior = frame.filter(pl.col("pattern") == pattern).drop("pattern")
        if posterior.is_empty():
            return f"the exact posteriors hold no pattern '{pattern}'"
        try:
            return with_posterior(rows, posterior, pattern)
        except InputError as error:
            return str(error)


def pool(
    ablation: Ablation,
    arm: str,
    cells: Sequence[Cell],
    frames: Mapping[str, pl.DataFrame],
    failures: Mapping[str, str],
    classes: Sequence[str],
    pattern: str | None,
) -> Pooled:
    """Pool an arm's held-out predictions over its folds, seed by seed and repetition by repetition.

    Args:
        ablation: What was run.
        arm: The arm.
        cells: All cells.
        frames: By key, the checked predictions of the cells that did not fail.
        failures: By key, why a cell failed.
        classes: Names of the classes.
        pattern: Which pattern of modalities.
    """
    own = [cell for cell in cells if cell.arm == arm]
    failed = [cell for cell in own if cell.key in failures]
    if failed:
        places = ", ".join(c.place for c in failed)
        return Pooled(
            [], {}, f"{len(failed)} of {len(own)} cells failed ({places}): {failures[failed[0].key]}"
        )
    runs: list[Scored] = []
    by_fold: list[tuple[Scored, ...]] = []
    tuned: list[int] = []
    untuned: dict[str, str] = {}
    first = own[0]
    for seed in ablation.seeds_of(arm):
        tuned, folds = [], list[Scored]()
        for repeat in ablation.repetitions:
            parts: list[Scored] = []
            for cell in (c for c in own if (c.seed, c.repeat) == (seed, repeat)):
                frame = frames[cell.key].filter(pl.col("pattern") == pattern)
                tuning = frame.filter(pl.col("split") == "tuning")
                limits = tuned_thresholds(tuning, classes)
                tuned.append(tuning["subject_id"].n_unique())
                untuned |= limits.reasons
                held_out = frame.filter(pl.col("split") == "held_out")
                if held_out.is_empty():
                    return Pooled([], {}, f"{cell.place} holds nobody out under pattern '{pattern}'")
                parts.append(to_scored(held_out, limits.values))
            try:
                runs.append(joined(parts))
                refuse_different_patients(
                    runs[0], runs[-1], (_set(first.seed, first.repeat), _set(seed, repeat))
                )
            except InputError as error:
                return Pooled([], {}, str(error))
            folds += parts
        by_fold.append(tuple(folds))
    everybody = len(np.unique(runs[0].subjects))
    tested = [len(np.unique(part.subjects)) for part in by_fold[0]]
    sizes = tuple((everybody - n - m, n) for n, m in zip(tested, tuned, strict=True))
    return Pooled(runs, untuned, by_fold=tuple(by_fold), sizes=sizes)


def pool_ceiling(
    arm: str,
    seed: int,
    cells: Sequence[Cell],
    frames: Mapping[str, pl.DataFrame],
    pattern: str,
    truth: Truth,
) -> Scored | str:
    """Pool the exact posteriors of an arm's held-out patients, or say why there are none.

    Args:
        arm: The arm.
        seed: One of its seeds; the patients of the others are the same, and those of all repetitions.
        cells: All cells.
        frames: By key, the checked predictions.
        pattern: Which pattern of modalities.
        truth: The posteriors, checked.
    """
    parts: list[Scored] = []
    for cell in (c for c in cells if c.arm == arm and c.seed == seed and not c.repeat):
        rows = frames[cell.key].filter(pl.col("pattern") == pattern, pl.col("split") == "held_out")
        exact = truth.ceiling(rows, cell.key, pattern)
        if isinstance(exact, str):
            return exact
        parts.append(to_scored(exact))
    return joined(parts)


def _set(seed: int, repeat: int | None) -> str:
    return f"seed {seed}" if repeat is None else f"repetition {repeat + 1} seed {seed}"
