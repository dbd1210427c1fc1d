"""Where trials are kept and how the next one is chosen: Optuna's storage, sampler and pruner.

A trial says which process is at it. When that process is known to have died, its settings wait for their turn again:
whoever started it says so, or itself where a cluster starts it again. In a database, where machines search together
that do not know of one another, a process says every minute that it lives, and a silent one is taken for dead.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, fail_stale_trials
from optuna.storages._heartbeat import get_heartbeat_thread
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from mhdiff.tune.search import METRICS, Search
from mhdiff.tune.space import grid_of
from ontology.errors import InputError

JOURNAL = "journal.log"
#: Attributes of a trial: why it failed, which process is at it, how many died at these settings.
FAILURE, PROCESS, DEATHS = "failure", "process", "deaths"
#: How many processes may die at the same settings before these are given up.
BORNE = 3
#: With a database: how often a process says that it lives, and after which silence it is taken for dead, in seconds.
BEAT, SILENCE = 60, 300


def open_study(search: Search, folder: Path, worker: int = 0) -> optuna.Study:
    """Open the study; its sampler goes on where the trials so far have left it.

    Args:
        search: The search.
        folder: Its folder.
        worker: Number of the process.

    Raises:
        InputError: If the database cannot be opened.
    """
    try:
        study = optuna.create_study(
            storage=_storage(search, folder),
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


def _storage(search: Search, folder: Path) -> BaseStorage:
    if search.storage is None:
        return JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
    with _told_already():
        return RDBStorage(
            search.storage,
            heartbeat_interval=BEAT,
            grace_period=SILENCE,
            heartbeat_stale_trial_callback=died,
        )


@contextmanager
def _told_already() -> Iterator[None]:
    """Leave out what Optuna says of heartbeats: that they may change, and that `optimize` would see to them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        warnings.filterwarnings("ignore", message="Heartbeat of storage")
        yield


def miss_the_silent(study: optuna.Study) -> None:
    """Try again, where there is a database, what processes were at that have been silent for long.

    Args:
        study: The study.
    """
    with _told_already():
        fail_stale_trials(study)


def ask(study: optuna.Study, process: str) -> optuna.Trial:
    """Take the next trial.

    Args:
        study: The study.
        process: The process that will be at it, by a name that no other one has and that it has again when it is
            started again.
    """
    with _told_already():
        trial = study.ask()
    trial.set_user_attr(PROCESS, process)
    return trial


@contextmanager
def alive(study: optuna.Study, trial: optuna.Trial) -> Iterator[None]:
    """Say, where there is a database, every minute that this process is at a trial.

    Args:
        study: The study.
        trial: The trial.
    """
    with get_heartbeat_thread(trial._trial_id, study._storage):
        yield


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


def give_back(study: optuna.Study, process: str) -> int:
    """Try again what a process was at when it died.

    Args:
        study: The study.
        process: The process, which is at no trial now.

    Returns:
        How many trials it had been at.
    """
    left = [
        trial
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        if trial.user_attrs.get(PROCESS) == process
    ]
    for trial in left:
        if _fail(study, trial):
            died(study, trial)
    return len(left)


def died(study: optuna.Study, trial: FrozenTrial) -> None:
    """Let the settings of a trial whose process died wait for their turn again, or for being given up.

    Args:
        study: The study.
        trial: The trial, which has failed by now.
    """
    deaths = int(trial.user_attrs.get(DEATHS, 0)) + 1
    attributes: dict[str, Any] = {DEATHS: deaths}
    if deaths > BORNE:
        attributes[FAILURE] = f"its process died {deaths} times (killed, or out of memory)"
    _wait_again(study, trial, attributes)


def try_again(study: optuna.Study) -> None:
    """Try again, with the same settings, what was running when the search was killed.

    Args:
        study: The study, which no other process may be at.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if _fail(study, trial):
            _wait_again(study, trial, {})


def _fail(study: optuna.Study, trial: FrozenTrial) -> bool:
    """End a running trial without a reason; False where another process has ended it before."""
    try:
        study.tell(trial.number, state=TrialState.FAIL)
    except (ValueError, RuntimeError):  # what Optuna says of a finished trial, as it reads it or as it writes
        return False
    return True


def _wait_again(study: optuna.Study, trial: FrozenTrial, attributes: dict[str, Any]) -> None:
    # A trial that died before it chose anything may have waited with settings given.
    study.enqueue_trial(trial.params or trial.system_attrs.get("fixed_params", {}), user_attrs=attributes)


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
