"""What a search YAML says.

base: demo.yaml                   # what every trial starts from: a file beside this one, or a shipped one
set: [--trainer.max_epochs=7]     # overrides that all trials share
method: tpe                       # grid, random or tpe
trials: 30                        # how many settings are tried; null for a grid: all
space: {model.dim: [32, 64]}      # see `mhdiff.tune.space`
split: stored                     # the outer split, whose held-out patients no trial sees: stored, site:<name>, fold:<i>/<k>
inner: 3                          # inner folds of the rest, on which a trial is judged
seeds: [1]                        # trainings of each inner fold
metric: log_loss                  # log_loss, brier (less is better), auroc or accuracy
prune: median                     # stop a trial that is worse than the median after as many inner folds; or none
seed: 0                           # of the search
storage: null                     # null: a journal in the folder; or a database for several machines, sqlite:///..., postgresql://...
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from optuna.distributions import BaseDistribution

from mhdiff.ablate.entries import find_base, read_overrides, read_seeds
from mhdiff.config import find
from mhdiff.tune.space import grid_of, read_space, size_of
from ontology.errors import InputError

METHODS = ("grid", "random", "tpe")
METRICS = {"log_loss": "minimize", "brier": "minimize", "auroc": "maximize", "accuracy": "maximize"}
_KNOWN = (
    "name", "base", "set", "method", "trials", "space", "split", "inner", "seeds", "metric", "prune", "seed", "storage",
)  # fmt: skip


@dataclass(frozen=True)
class Search:
    """One search, as its YAML describes it.

    Args:
        base: The configuration that every trial starts from.
        space: What may be chosen, by option.
        method: `grid`, `random` or `tpe`.
        trials: Number of trials.
        common: Overrides that all trials share, before what is chosen.
        split: The outer split; its held-out patients are seen by no trial.
        inner: Number of inner folds.
        seeds: Seeds of the trainings of an inner fold.
        metric: What is compared, a name in `METRICS`.
        prune: Whether trials that fall behind are stopped.
        seed: Seed of the search.
        storage: URL of a database; None: a journal in the folder.
        name: What the search is called.
        source: Its file.
    """

    base: Path
    space: dict[str, BaseDistribution]
    method: str = "tpe"
    trials: int = 30
    common: tuple[str, ...] = ()
    split: str = "stored"
    inner: int = 3
    seeds: tuple[int, ...] = (1,)
    metric: str = "log_loss"
    prune: bool = True
    seed: int = 0
    storage: str | None = None
    name: str = "search"
    source: Path | None = field(default=None, compare=False)

    @classmethod
    def load(cls, path: str | Path) -> Search:
        """Read a search from YAML.

        Args:
            path: A file, or the name of a shipped one such as `searches/demo.yaml`.

        Raises:
            InputError: If the file is no YAML mapping, or a key or value is unknown, missing or impossible.
        """
        source = find(path)
        try:
            document = yaml.safe_load(source.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            mark = getattr(error, "problem_mark", None)
            row = None if mark is None else mark.line + 1
            raise InputError("this is no readable YAML", path=source, row=row) from error
        if not isinstance(document, Mapping):
            raise InputError(
                "a search is a mapping of keys", path=source, remedy=f"Keys: {', '.join(_KNOWN)}"
            )
        if unknown := [str(key) for key in document if key not in _KNOWN]:
            raise InputError(
                f"unknown key '{unknown[0]}'", path=source, remedy=f"Known keys: {', '.join(_KNOWN)}"
            )
        for key in ("base", "space"):
            if document.get(key) is None:
                raise InputError(f"the key '{key}' is missing", path=source)
        space = read_space(document["space"], source)
        method = _among(document, "method", METHODS, "tpe", source)
        most = size_of(grid_of(space, source)) if method == "grid" else None
        trials = document.get("trials", most or 30)
        return cls(
            base=find_base(source, str(document["base"])),
            space=space,
            method=method,
            trials=min(
                _whole(trials if trials is not None else most or 30, "trials", 1, source), most or 10**9
            ),
            common=read_overrides(document.get("set"), "set", source),
            split=str(document.get("split", "stored")),
            inner=_whole(document.get("inner", 3), "inner", 2, source),
            seeds=read_seeds(document.get("seeds", [1]), "seeds", source),
            metric=_among(document, "metric", tuple(METRICS), "log_loss", source),
            prune=_among(document, "prune", ("median", "none"), "median", source) == "median",
            seed=_whole(document.get("seed", 0), "seed", 0, source),
            storage=None if document.get("storage") is None else str(document["storage"]),
            name=str(document.get("name") or source.stem),
            source=source,
        )


def _among(document: Mapping[Any, Any], key: str, known: tuple[str, ...], default: str, source: Path) -> str:
    value = document.get(key, default)
    value = "none" if value is None else value
    if value not in known:
        raise InputError(f"'{key}' is {value!r}", path=source, remedy=f"Choose among {', '.join(known)}")
    return str(value)


def _whole(value: Any, key: str, least: int, source: Path) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"'{key}' must be a whole number of at least {least}, not {value!r}", path=source)
    return value
