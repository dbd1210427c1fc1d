"""Running a search: trials of settings on the patients that the outer split does not hold out.

    OUT/search.yaml        what is searched; marks the folder as ours
    OUT/journal.log        Optuna's journal, unless a database was named
    OUT/cells/<key>/       predictions.parquet and run.json of every training, found again by whoever asks for the same
    OUT/search.json        the trials, best first
    OUT/best.yaml          the base configuration with the best settings and the outer split, for `mhdiff fit`

The best value is the best of many and flatters: what the settings are worth is measured by training them on the outer
split. A search goes on where it was: what finished is kept, and trials that were running when it was killed are tried
again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import optuna
from optuna.trial import FrozenTrial, TrialState

from mhdiff import console
from mhdiff.ablate.cells import Cell
from mhdiff.ablate.clusters import Runner, here
from mhdiff.ablate.store import claimed, refuse_foreign
from mhdiff.ablate.workers import FitCell
from mhdiff.tune.objective import Objective, TrialFailed
from mhdiff.tune.search import METRICS, Search
from mhdiff.tune.space import options_of
from mhdiff.tune.study import (
    FAILURE,
    alive,
    ask,
    counts,
    ended,
    give_back,
    lay_out,
    miss_the_silent,
    open_study,
    try_again,
)
from ontology.errors import InputError
from ontology.files import atomic_write

MARKER, RESULT, BEST = "search.yaml", "search.json", "best.yaml"
#: Writes a base configuration with options as YAML.
Resolve = Callable[[Path, list[str]], str]


def run(
    search: Search,
    out: str | Path,
    fit_cell: FitCell,
    *,
    workers: int = 1,
    runner: Runner | None = None,
    prepare: Callable[[Path, list[str]], None] | None = None,
    resolve: Resolve | None = None,
) -> dict[str, Any]:
    """Run a search, or what is left of it, and write its result.

    Args:
        search: What to search.
        out: Its folder; may hold an earlier, unfinished run of it.
        fit_cell: Trains one cell, see `mhdiff.ablate.run`; with several workers it must be importable by name.
        workers: How many trials at once, each in a process of its own.
        runner: Where these processes run, see `mhdiff.ablate.clusters`; by default here.
        prepare: Called once before anything is trained, with base configuration and overrides: makes data that are not
            there yet.
        resolve: Writes configuration and overrides as one YAML, for best.yaml.

    Returns:
        The document that is also written to OUT/search.json.

    Raises:
        InputError: If the input is wrong, `out` is somebody else's folder, or another process works in it.
    """
    folder = Path(out)
    if workers < 1:
        raise InputError(f"{workers} workers cannot train anything", remedy="Give 1 or more")
    refuse_foreign(folder, MARKER)
    if prepare is not None:
        prepare(search.base, [*search.common, f"--data.split=nested:0/{search.inner}:{search.split}"])
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with claimed(folder, MARKER):
        _same_search(search, folder)
        study = open_study(search, folder)
        if search.storage is None:  # with a database another machine may be at them
            try_again(study)
        if search.method == "grid":
            lay_out(search, study)
        over = sum(ended(trial) for trial in study.get_trials(deepcopy=False))
        console.say(
            f"Search '{search.name}': {search.trials} trials by {search.method}, {over} already ended"
        )
        many = min(workers, max(search.trials - over, 1))
        waiting = [Cell(f"process {i + 1} of {many}", None, i, (), f"process {i}") for i in range(many)]
        serve = _Serve(search, folder, fit_cell, uuid4().hex)
        while waiting:
            died = []
            for process, failure in (runner or here(workers))(serve, waiting):
                if failure is None:
                    continue
                if give_back(study, serve.name(process)):  # another process may take it up at once
                    died.append(process)
                again = "its trial is tried again" if process in died else "start the search again to go on"
                console.say(f"{process.arm} ended early: {failure.message}; {again}")
            waiting = [] if _enough(search, study) else died
        document = summarise(search, study.get_trials(deepcopy=False))
        atomic_write(folder / RESULT, json.dumps(document, indent=2))
        if document["best"] is not None and resolve is not None:
            options = [*search.common, *document["best"]["options"], f"--data.split={search.split}"]
            atomic_write(folder / BEST, resolve(search.base, options))
    return document


@dataclass(frozen=True)
class _Serve:
    """One process of a search: takes trials until there are enough. A runner of cells runs it like one."""

    search: Search
    folder: Path
    fit_cell: FitCell
    command: str  # no other one's: processes of two commands on one database have the same numbers

    def name(self, cell: Cell) -> str:
        """Name a process, the same one when it is started again.

        Args:
            cell: The process.
        """
        return f"{self.command} {cell.seed}"

    def __call__(self, cell: Cell) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = open_study(self.search, self.folder, cell.seed)
        if give_back(study, self.name(cell)):  # a cluster started it again
            console.say(f"{cell.arm} had died; its trial is tried again")
        objective = Objective(self.search, self.folder, self.fit_cell)
        while (trial := self._next(study, self.name(cell))) is not None:
            try:
                with alive(study, trial):
                    worth = objective(trial)
                study.tell(trial, worth)
            except optuna.TrialPruned:
                study.tell(trial, state=TrialState.PRUNED)
            except TrialFailed as error:
                trial.set_user_attr(FAILURE, str(error))
                study.tell(trial, state=TrialState.FAIL)
            told = study.trials[trial.number]
            reached = "" if told.value is None else f" {self.search.metric} {told.value:.4f}"
            why = f": {told.user_attrs[FAILURE]}" if FAILURE in told.user_attrs else ""
            settings = ", ".join(f"{name}={value}" for name, value in told.params.items())
            console.say(f"trial {trial.number}: {told.state.name.lower()}{reached}{why}  {settings}")

    def _next(self, study: optuna.Study, process: str) -> optuna.Trial | None:
        """Give the next trial, or None where enough are ended or under way."""
        miss_the_silent(study)
        if _enough(self.search, study):
            return None
        trial = ask(study, process)
        if _enough(self.search, study, trial.number):  # another process took the last one at the same moment
            study.tell(trial, state=TrialState.FAIL)
            return None
        return trial


def _enough(search: Search, study: optuna.Study, before: int = sys.maxsize) -> bool:
    """Say whether enough trials are ended or under way, of those before a number."""
    trials = study.get_trials(deepcopy=False)
    return sum(counts(trial) for trial in trials if trial.number < before) >= search.trials


def _same_search(search: Search, folder: Path) -> None:
    """Refuse a folder of another search; more trials of the same one are welcome."""
    here = _description(search)
    old = (folder / MARKER).read_text()
    if old not in ("{}", here):
        raise InputError(
            "the folder holds another search (its base, space, split, folds, seeds or metric differ)",
            path=folder / MARKER,
            remedy="Choose another --out; the number of trials, the method and pruning may change",
        )
    atomic_write(folder / MARKER, here)


def _description(search: Search) -> str:
    return json.dumps(
        {
            "name": search.name,
            "base": search.base.read_text(),
            "set": search.common,
            "space": {name: str(entry) for name, entry in search.space.items()},
            "split": search.split,
            "inner": search.inner,
            "seeds": search.seeds,
            "metric": search.metric,
        },
        indent=1,
    )


def summarise(search: Search, trials: list[FrozenTrial]) -> dict[str, Any]:
    """Tell every trial, the best first; those that failed and were stopped stay visible.

    Args:
        search: The search.
        trials: Its trials.
    """
    sign = 1.0 if METRICS[search.metric] == "minimize" else -1.0
    rows = [
        {
            "number": trial.number,
            "state": trial.state.name.lower(),
            "value": trial.value if trial.state == TrialState.COMPLETE else None,
            "folds": trial.user_attrs.get("folds", []),
            "settings": trial.params,
            "options": options_of(trial.params),
            "failure": trial.user_attrs.get(FAILURE),
        }
        for trial in trials
        if ended(trial)
    ]
    rows.sort(key=lambda row: (row["value"] is None, sign * (row["value"] or 0.0), row["number"]))
    complete = [row for row in rows if row["value"] is not None]
    return {
        "name": search.name,
        "method": search.method,
        "metric": search.metric,
        "split": search.split,
        "inner": search.inner,
        "seeds": list(search.seeds),
        "best": complete[0] if complete else None,
        "trials": rows,
    }
