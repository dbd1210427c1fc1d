"""Where trials are kept and how the next one is chosen: Optuna's storage, sampler and pruner."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from mhdiff.tune.search import METRICS, Search
from mhdiff.tune.space import grid_of
from ontology.errors import InputError

JOURNAL = "journal.log"
#: The attribute of a trial that says why it failed.
FAILURE = "failure"


def open_study(search: Search, folder: Path, worker: int = 0) -> optuna.Study:
    """Open the study; its sampler goes on where the trials so far have left it.

    Args:
        search: The search.
        folder: Its folder.
        worker: Number of the process.

    Raises:
        InputError: If the database cannot be opened.
    """
    storage: BaseStorage | str = (
        JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
        if search.storage is None
        else search.storage
    )
    try:
        study = optuna.create_study(
            storage=storage,
            study_name=search.name,
            direction=METRICS[search.metric],
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=4)
            if search.prune
            else optuna.pruners.NopPruner(),
        )
    except Exception as error:
        if search.storage is None:
            raise
        raise InputError(
            f"the search's database cannot be opened: {error}",
            path=search.source,
            column="storage",
            remedy="Give a URL that SQLAlchemy opens, or null for a journal in the folder",
        ) from error
    so_far = len(study.get_trials(deepcopy=False))
    seed = np.random.SeedSequence([search.seed, so_far, worker]).generate_state(1)[0]
    study.sampler = _sampler(search, int(seed))
    return study


def _sampler(search: Search, seed: int) -> BaseSampler:
    if search.method in ("random", "grid"):  # a grid's settings wait in the study, see `lay_out`
        return RandomSampler(seed=seed)
    return TPESampler(seed=seed, multivariate=True, constant_liar=True)


def lay_out(search: Search, study: optuna.Study) -> None:
    """Let all settings of a grid wait for their turn, in an order drawn by the search's seed.

    Args:
        search: A search by grid.
        study: Its study; settings that it has already are not tried twice.
    """
    grid = grid_of(search.space, search.source or search.base)
    settings = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
    for place in np.random.default_rng(search.seed).permutation(len(settings)):
        study.enqueue_trial(settings[place], skip_if_exists=True)


def try_again(study: optuna.Study) -> None:
    """Try again, with the same settings, what was running when the search was killed.

    Args:
        study: The study, which no other process may be at.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params)


def ended(trial: FrozenTrial) -> bool:
    """Say whether a trial needs no further training. One that was killed failed without a reason, and is tried again.

    Args:
        trial: The trial.
    """
    return trial.state.is_finished() and (trial.state != TrialState.FAIL or FAILURE in trial.user_attrs)


def counts(trial: FrozenTrial) -> bool:
    """Say whether a trial is one of those that were asked for: ended or under way.

    Args:
        trial: The trial.
    """
    return ended(trial) or trial.state == TrialState.RUNNING
