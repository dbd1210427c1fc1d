"""Who trains and who tests: always whole patients, and whole groups of patients that share an image.

    stored         the split that the cohort's folder holds
    site:<name>    all patients of one site are held out; tuning is carved from the others
    after:<date>   all patients with a sample at or after the date (2020-03-31) are held out; likewise: whoever is
                   trained on was predicted before it, so the future never trains (not for cohorts with shifted dates)
    fold:<i>/<k>   fold i of k (i = 0 .. k-1) is held out; tuning is carved from the others
    nested:<j>/<m>:<outer>
                   what the outer split (any of the above) holds out is left out altogether, and of the rest fold j of m
                   is held out: for choosing settings without a look at the outer patients

Folds are dealt like cards: groups are shuffled within the stratum of their rarest label, the strata follow
each other from rare to common, and the dealer goes round the folds. So every fold gets its share of every
stratum to within one group, whatever the group sizes are.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence
from datetime import datetime

import numpy as np
import polars as pl

from ontology.errors import InputError

TUNING_PARTS = 5  # one part in five of what is not held out becomes `tuning`
_HOWS = (
    "stored, site:<name>, after:<date>, fold:<i>/<k> with i from 0 to k-1, or nested:<j>/<m>:<one of these>"
)


def assign(
    samples: pl.DataFrame, how: str = "stored", seed: int = 0, *, groups: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Give the samples with their column `split` set to train, tuning or held_out.

    Args:
        samples: Columns subject_id, label, site, split where `how` is "stored", and prediction_time where it is a date.
        how: `stored`, `site:<name>`, `after:<date>`, `fold:<i>/<k>` or `nested:<j>/<m>:<outer>`.
        seed: Seed of the dealing; the same for all folds of one cross-validation.
        groups: `Cohort.groups`: subjects of one group stay together. Without it each subject is a group.

    Raises:
        InputError: If `how` is not understood, or no such split can be made of these samples.
    """
    if how == "stored":
        if "split" not in samples.columns or samples["split"].null_count():
            raise InputError("not every sample has a stored split", remedy="Use fold:<i>/<k> or site:<name>")
        return samples
    if match := re.fullmatch(r"nested:(\d+/\d+):(stored|site:.+|after:.+|fold:.+)", how):
        outer = assign(samples, match[2], seed, groups=groups)
        inner = outer.filter(pl.col("split") != "held_out").drop("split")
        return assign(inner, f"fold:{match[1]}", seed + 2, groups=groups)
    group_of = _group_of(samples, groups)
    members = sorted(set(group_of.values()))
    if how.startswith("site:"):
        held = _site(samples, group_of, how.removeprefix("site:"))
    elif how.startswith("after:"):
        held = _after(samples, group_of, how.removeprefix("after:"))
    elif match := re.fullmatch(r"fold:(\d+)/(\d+)", how):
        fold, folds = int(match[1]), int(match[2])
        if folds < 2 or fold >= folds:
            raise InputError(
                f"there is no fold {fold} of {folds}", remedy="Count folds from 0 to k-1, k at least 2"
            )
        if len(members) < folds:
            raise InputError(
                f"{len(members)} groups of patients cannot make {folds} folds", remedy="Ask for fewer folds"
            )
        dealt = deal(samples, group_of, folds, seed)
        held = {group for group, place in dealt.items() if place == fold}
    else:
        raise InputError(f"split '{how}' is not understood", remedy=f"Use {_HOWS}")
    rest = [group for group in members if group not in held]
    if len(rest) < 2:
        raise InputError(
            f"split '{how}' leaves too few patients to train and to tune on", remedy="Hold out fewer"
        )
    left = samples.filter(pl.col("subject_id").replace_strict(group_of, return_dtype=pl.Int64).is_in(rest))
    parts = min(TUNING_PARTS, len(rest))
    tuning = {g for g, place in deal(left, group_of, parts, seed + 1).items() if place == parts - 1}
    name = {g: "held_out" if g in held else "tuning" if g in tuning else "train" for g in members}
    splits = {subject: name[group] for subject, group in group_of.items()}
    return samples.with_columns(
        pl.col("subject_id").replace_strict(splits, return_dtype=pl.String).alias("split")
    )


def deal(samples: pl.DataFrame, group_of: dict[int, int], folds: int, seed: int) -> dict[int, int]:
    """Deal groups to folds, stratified by each group's rarest label.

    Args:
        samples: Columns subject_id and label.
        group_of: Subject -> group.
        folds: Number of folds.
        seed: Seed of the shuffling.

    Returns:
        Group -> fold, for every group that has a sample.
    """
    labels: dict[int, set[int]] = {}
    for subject, label in samples.select("subject_id", "label").unique().iter_rows():
        labels.setdefault(group_of[subject], set()).add(label)
    frequency: dict[int, int] = {}
    for held in labels.values():
        for label in held:
            frequency[label] = frequency.get(label, 0) + 1
    strata: dict[int, list[int]] = {}
    for group in sorted(labels):
        rarest = min(labels[group], key=lambda label: (frequency[label], label))
        strata.setdefault(rarest, []).append(group)
    generator = np.random.default_rng(seed)
    order: list[int] = []
    for label in sorted(strata, key=lambda label: (frequency[label], label)):
        order += generator.permutation(np.asarray(strata[label], dtype=np.int64)).tolist()
    return {group: place % folds for place, group in enumerate(order)}


def unite(subjects: Sequence[int], pairs: Iterable[tuple[int, Hashable]]) -> pl.DataFrame:
    """Unite subjects that share a key, transitively.

    Args:
        subjects: All subjects.
        pairs: Subject and a key that it holds, such as the hash of an image.

    Returns:
        Columns subject_id and group, the smallest subject_id of the united ones.
    """
    parent = {subject: subject for subject in subjects}

    def root(subject: int) -> int:
        while parent[subject] != subject:
            parent[subject] = parent[parent[subject]]
            subject = parent[subject]
        return subject

    first: dict[Hashable, int] = {}
    for subject, key in pairs:
        a, b = root(subject), root(first.setdefault(key, subject))
        parent[max(a, b)] = min(a, b)
    rows = [(subject, root(subject)) for subject in sorted(parent)]
    return pl.DataFrame(rows, schema={"subject_id": pl.Int64, "group": pl.Int64}, orient="row")


def _group_of(samples: pl.DataFrame, groups: pl.DataFrame | None) -> dict[int, int]:
    united = dict(groups.select("subject_id", "group").iter_rows()) if groups is not None else {}
    return {subject: united.get(subject, subject) for subject in samples["subject_id"].unique().sort()}


def _site(samples: pl.DataFrame, group_of: dict[int, int], site: str) -> set[int]:
    """Give the groups with a patient at the site: a group that crosses its border is held out whole."""
    subjects = samples.filter(pl.col("site") == site)["subject_id"]
    if subjects.is_empty():
        known = ", ".join(sorted(samples["site"].unique()))
        raise InputError(f"no sample is from the site '{site}'", remedy=f"Sites of this task: {known}")
    return {group_of[subject] for subject in subjects}


def _after(samples: pl.DataFrame, group_of: dict[int, int], date: str) -> set[int]:
    """Give the groups with a sample at or after the beginning of a date: one on both sides of it is held out whole."""
    try:
        moment = datetime.fromisoformat(date)
    except ValueError as error:
        raise InputError(
            f"split 'after:{date}' names no date", remedy="Write it as after:2020-03-31"
        ) from error
    first, last = samples["prediction_time"].min(), samples["prediction_time"].max()
    subjects = samples.filter(pl.col("prediction_time") >= moment)["subject_id"]
    if subjects.is_empty():
        raise InputError(
            f"no sample is from {date} or later",
            remedy=f"The samples of this task are from {str(first)[:10]} to {str(last)[:10]}",
        )
    return {group_of[subject] for subject in subjects}
