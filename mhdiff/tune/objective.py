r"""What a trial of a search comes to: trained and judged on inner folds.

.. math:: value = \tfrac{1}{FS} \sum_{f,s} metric(\text{inner fold } f, \text{seed } s)

A training chooses its epoch, temperature and way to diagnose on a tuning part of what its inner fold leaves, and is
judged on the inner fold. The held-out patients of the outer split are in no training and no judgement.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna

from mhdiff.ablate.cells import CellMaker
from mhdiff.ablate.store import Train, done, read_predictions
from mhdiff.ablate.workers import FitCell, attempt
from mhdiff.tune.score import score
from mhdiff.tune.search import Search
from mhdiff.tune.space import options_of, suggest
from mhdiff.tune.study import FAILURE
from ontology.errors import InputError


class TrialFailed(Exception):
    """A training of a trial failed."""


@dataclass(frozen=True)
class Objective:
    """What a trial comes to.

    Args:
        search: The search.
        out: Its folder.
        fit_cell: Trains one cell, see `mhdiff.ablate.run`.
    """

    search: Search
    out: Path
    fit_cell: FitCell

    def __call__(self, trial: optuna.Trial) -> float:
        """Train on every inner fold, and give the mean.

        Args:
            trial: Chooses the settings.

        Raises:
            TrialFailed: If a training failed.
            InputError: If the input is wrong, which it is for every trial.
            optuna.TrialPruned: If it fell behind.
        """
        search = self.search
        chosen = {name: suggest(trial, name, entry) for name, entry in search.space.items()}
        if FAILURE in trial.user_attrs:  # settings that were given up before
            raise TrialFailed(trial.user_attrs[FAILURE])
        options = [*search.common, *options_of(chosen)]
        maker = CellMaker(search.base)
        train = Train(self.fit_cell, search.base, self.out / "cells", ())
        found: list[list[float]] = []
        for fold in range(search.inner):
            split = f"--data.split=nested:{fold}/{search.inner}:{search.split}"
            found.append([])
            for seed in search.seeds:
                cell = maker.cell(f"trial {trial.number}", fold, seed, [*options, split])
                folder = self.out / "cells" / cell.key
                if not done(folder):
                    failure = attempt(train, cell)
                    if isinstance(failure, InputError):
                        raise failure
                    if failure is not None:
                        raise TrialFailed(f"inner fold {fold + 1}, seed {seed}: {failure.message}")
                found[-1].append(score(read_predictions(folder), search.metric, folder))
            trial.set_user_attr("folds", [float(np.mean(values)) for values in found])
            trial.report(float(np.mean(found)), fold)
            if fold + 1 < search.inner and trial.should_prune():
                raise optuna.TrialPruned
        return float(np.mean(found))
