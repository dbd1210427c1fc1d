"""Runs that hold different patients out, such as the folds of a cross-validation, as the predictions of several models.

Each patient is predicted by the run that never saw them. Runs of another task, other classes, modalities or patients
are refused by name, and so is a patient who is held out from two of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import polars as pl

from mhdiff.evaluate.patterns import order_patterns
from mhdiff.evaluate.predictions import MODEL, check_predictions
from mhdiff.evaluate.stored import About, Stored
from ontology.errors import InputError

_ONE_COHORT = "Pool runs on one cohort and task"


@dataclass(frozen=True)
class Member:
    """One of the runs that are pooled.

    Args:
        name: What to call it, such as its folder.
        stored: Its predictions, which say what they are of.
        facts: Its run.json.
        config: Its config.yaml.
    """

    name: str
    stored: Stored
    facts: dict[str, Any]
    config: dict[str, Any]

    @property
    def about(self) -> About:
        """What its predictions are of."""
        assert self.stored.about is not None
        return self.stored.about


def pooled(members: Sequence[Member], path: Path) -> Stored:
    """Pool the predictions of several runs.

    Args:
        members: The runs.
        path: Where the pooled predictions will lie.

    Returns:
        Their rows with the column `model`, the place of each run among them.

    Raises:
        InputError: If there is none, or they do not belong together.
    """
    if not members:
        raise InputError("there is no run to pool", remedy="mhdiff evaluate RUN RUN ... --out DIR")
    for other in members[1:]:
        _refuse_other(members[0], other)
    frames = [check_predictions(one.stored.frame, one.about.classes, path=one.stored.path) for one in members]
    for one, frame in zip(members, frames, strict=True):
        if frame.filter(pl.col("split") == "held_out").is_empty():
            raise InputError(f"'{one.name}' holds nobody out", path=one.stored.path, column="split")
    for i, j in combinations(range(len(members)), 2):
        _refuse_patients(members[i].name, frames[i], members[j].name, frames[j])
        _refuse_patterns(members[i], frames[i], members[j], frames[j])
    numbered = [frame.with_columns(pl.lit(i, pl.Int64).alias(MODEL)) for i, frame in enumerate(frames)]
    first = members[0].about
    counts = [one.about.counts for one in members]
    whole = all(len(count) == len(first.classes) for count in counts)
    about = About(
        first.task,
        first.classes,
        first.modalities,
        ", ".join(dict.fromkeys(one.about.held_out for one in members)),
        tuple(sum(each) for each in zip(*counts, strict=True)) if whole else (),
        next((one.about.ceiling_reason for one in members if one.about.ceiling_reason), ""),
        len(members),
    )
    return Stored(path, pl.concat(numbered, how="diagonal_relaxed"), about)


def lacking(members: Sequence[Member]) -> list[str]:
    """Name the folds of the cross-validation that are not among the runs.

    Args:
        members: The runs.
    """
    matches = [re.fullmatch(r"fold:(\d+)/(\d+)", one.about.held_out) for one in members]
    found = [(int(match[1]), int(match[2])) for match in matches if match]
    if len(found) < len(members) or len({folds for _, folds in found}) != 1:
        return []
    folds, there = found[0][1], {fold for fold, _ in found}
    return [f"fold:{fold}/{folds}" for fold in range(folds) if fold not in there]


def facts_of(members: Sequence[Member], made_from: Sequence[str]) -> dict[str, Any]:
    """Give the run.json of pooled runs: what they share, and `pooled` with what each is.

    Args:
        members: The runs.
        made_from: What stands after `mhdiff evaluate` to pool them again.
    """
    every = [one.facts for one in members]
    parts = ("seconds", "parameters", "best_epoch", "fingerprints", "git")
    seconds = [facts["seconds"] for facts in every if facts.get("seconds") is not None]
    sizes = [facts["parameters"] for facts in every if facts.get("parameters") is not None]
    about = members[0].about
    return shared(every) | {
        "task": about.task,
        "classes": list(about.classes),
        "offered": list(about.modalities),
        "parameters": max(sizes, default=None),
        "seconds": round(sum(seconds), 2) if len(seconds) == len(members) else None,
        "finished": True,
        "pooled": {
            "from": list(made_from),
            "runs": [
                {"run": one.name, "folder": str(one.stored.path.parent), "held_out": one.about.held_out}
                | {part: one.facts[part] for part in parts if part in one.facts}
                for one in members
            ],
        },
    }


def shared(documents: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Give what documents have alike, at every depth.

    Args:
        documents: Such as the configurations of several runs.
    """
    found: dict[str, Any] = {}
    for key, value in documents[0].items():
        if any(key not in document for document in documents):
            continue
        values = [document[key] for document in documents]
        if all(isinstance(each, dict) for each in values):
            if (within := shared(values)) or not value:
                found[key] = within
        elif all(each == value for each in values):
            found[key] = value
    return found


def _refuse_other(first: Member, other: Member) -> None:
    one, two = first.about, other.about
    pairs: list[tuple[str, Any, Any]] = [
        ("task", one.task, two.task),
        ("classes", ", ".join(one.classes), ", ".join(two.classes)),
        ("modalities", ", ".join(one.modalities), ", ".join(two.modalities)),
    ]
    cohorts = [str((m.facts.get("fingerprints") or {}).get("cohort")) for m in (first, other)]
    pairs.append(("cohort", cohorts[0][:12], cohorts[1][:12]))
    for what, here, there in pairs:
        if here != there:
            raise InputError(
                f"'{first.name}' and '{other.name}' cannot be pooled: they differ in {what}, {here} and {there}",
                path=other.stored.path,
                remedy=_ONE_COHORT,
            )


def _refuse_patients(one: str, frame: pl.DataFrame, two: str, other: pl.DataFrame) -> None:
    held = [f.filter(pl.col("split") == "held_out")["subject_id"].unique() for f in (frame, other)]
    twice = int(held[0].is_in(held[1].implode()).sum())
    if twice:
        raise InputError(
            f"{twice} of {len(held[0])} patients are held out from '{one}' and from '{two}'",
            column="subject_id",
            remedy="Pool the folds of one cross-validation, data.split=fold:0/5, fold:1/5, ... with one split_seed",
        )


def _refuse_patterns(one: Member, frame: pl.DataFrame, two: Member, other: pl.DataFrame) -> None:
    names = [order_patterns(f["pattern"].unique().to_list(), one.about.modalities) for f in (frame, other)]
    if names[0] != names[1]:
        raise InputError(
            f"'{one.name}' was predicted under {', '.join(names[0])}, '{two.name}' under {', '.join(names[1])}",
            path=two.stored.path,
            column="pattern",
            remedy="Predict both under the same patterns: delete predictions.parquet, then mhdiff predict RUN",
        )
