"""Who trains and who tests: always whole patients, and whole groups of patients that share an image.

    stored         the split that the cohort's folder holds
    site:<name>    all patients of one site are held out; tuning is carved from the others
    after:<date>   all patients with a sample at or after the date (2020-03-31) are held out; likewise: whoever is
                   trained on was predicted before it, so the future never trains (not for cohorts with shifted dates)
    file:<path>    as a table of subject_id and split says, .parquet or .csv: one's own, or the splits.parquet of an
                   earlier run. Whoever it does not name is an error, and so is a group in two splits
    fold:<i>/<k>   fold i of k (i = 0 .. k-1) is held out; tuning is carved from the others
    nested:<j>/<m>:<outer>
                   what the outer split (any of the above) holds out is left out altogether, and of the rest fold j of m
                   is held out: for choosing settings without a look at the outer patients

Folds are dealt like cards: groups are shuffled within the stratum of their rarest label and, within it, of their rarest
site, the strata follow each other from rare to common, and the dealer goes round the folds. So every fold gets its
share of every label, and of every site within it, to within one group, whatever the group sizes are.
"""

from __future__ import annotations

import io
import re
from collections.abc import Hashable, Iterable, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from mhdiff.cohort import meds
from ontology.errors import InputError
from ontology.files import atomic_write

TUNING_PARTS = 5  # one part in five of what is not held out becomes `tuning`
_HOWS = (
    "stored, file:<path>, site:<name>, after:<date>, fold:<i>/<k> with i from 0 to k-1, or "
    "nested:<j>/<m>:<one of these>"
)


def assign(
    samples: pl.DataFrame, how: str = "stored", seed: int = 0, *, groups: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Give the samples with their column `split` set to train, tuning or held_out.

    Args:
        samples: Columns subject_id, label, site, split where `how` is "stored", and prediction_time where it is a date.
        how: `stored`, `file:<path>`, `site:<name>`, `after:<date>`, `fold:<i>/<k>` or `nested:<j>/<m>:<outer>`.
        seed: Seed of the dealing; the same for all folds of one cross-validation.
        groups: `Cohort.groups`: subjects of one group stay together. Without it each subject is a group.

    Raises:
        InputError: If `how` is not understood, or no such split can be made of these samples.
    """
    if how == "stored":
        if "split" not in samples.columns or samples["split"].null_count():
            raise InputError("not every sample has a stored split", remedy="Use fold:<i>/<k> or site:<name>")
        return samples
    if match := re.fullmatch(r"nested:(\d+/\d+):(stored|file:.+|site:.+|after:.+|fold:.+)", how):
        outer = assign(samples, match[2], seed, groups=groups)
        inner = outer.filter(pl.col("split") != "held_out").drop("split")
        return assign(inner, f"fold:{match[1]}", seed + 2, groups=groups)
    united = _united(samples, groups)
    if how.startswith("file:"):
        return _from_file(samples, dict(united.iter_rows()), Path(how.removeprefix("file:")))
    grouped = samples.drop("group", strict=False).join(
        united, on="subject_id", how="left", maintain_order="left"
    )
    members = united["group"].unique()
    if how.startswith("site:"):
        held = _site(grouped, how.removeprefix("site:"))
    elif how.startswith("after:"):
        held = _after(grouped, how.removeprefix("after:"))
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
        held = deal(grouped, folds, seed).filter(pl.col("fold") == fold)["group"]
    else:
        raise InputError(f"split '{how}' is not understood", remedy=f"Use {_HOWS}")
    out = pl.col("group").is_in(held.implode())
    left = grouped.filter(~out)
    rest = len(members) - held.n_unique()
    if rest < 2:
        raise InputError(
            f"split '{how}' leaves too few patients to train and to tune on", remedy="Hold out fewer"
        )
    parts = min(TUNING_PARTS, rest)
    tuning = deal(left, parts, seed + 1).filter(pl.col("fold") == parts - 1)["group"]
    name = (
        pl.when(out)
        .then(pl.lit("held_out"))
        .when(pl.col("group").is_in(tuning.implode()))
        .then(pl.lit("tuning"))
        .otherwise(pl.lit("train"))
    )
    return samples.with_columns(grouped.select(split=name)["split"])


def deal(samples: pl.DataFrame, folds: int, seed: int) -> pl.DataFrame:
    """Deal groups to folds, stratified by each group's rarest label, and within it by its rarest site.

    Args:
        samples: Columns group and label, and site where there are any.
        folds: Number of folds.
        seed: Seed of the shuffling.

    Returns:
        Columns group and fold, for every group that has a sample with a label, in the order of the dealing.
    """
    ranked = _rarest(samples, "label").sort("group")
    if "site" in samples.columns:
        sites = _rarest(samples, "site").select("group", site="rank")
        ranked = ranked.join(sites, on="group", how="left", maintain_order="left")
    else:
        ranked = ranked.with_columns(site=pl.lit(None, pl.UInt32))
    ranked = ranked.with_columns(pl.col("site").fill_null(0))  # the ranks of those who have one begin at 1
    generator = np.random.default_rng(seed)
    dealt = []
    for stratum in ranked.sort("rank", maintain_order=True).partition_by("rank", maintain_order=True):
        shuffled = stratum[generator.permutation(stratum.height)]
        # A stable order: where there is one site, folds are what they were before sites were looked at.
        dealt.append(shuffled.sort("site", maintain_order=True)["group"])
    groups = pl.concat(dealt) if dealt else pl.Series(dtype=pl.Int64)
    return groups.alias("group").to_frame().with_columns(fold=pl.int_range(pl.len()) % folds)


def _rarest(samples: pl.DataFrame, column: str) -> pl.DataFrame:
    """Give each group with a value of a column the rank of its rarest one, 1 for the rarest of all.

    Values that as many groups have follow each other by themselves.
    """
    held = samples.select("group", value=column).drop_nulls().unique()
    rank = (
        held.group_by("value").len().sort("len", "value").select("value", rank=pl.int_range(1, pl.len() + 1))
    )
    return held.join(rank, on="value").group_by("group").agg(pl.col("rank").min())


def unite(subjects: Sequence[int], pairs: Iterable[tuple[int, Hashable]]) -> pl.DataFrame:
    """Unite subjects that share a key, transitively.

    Args:
        subjects: All subjects.
        pairs: Subject and a key that it holds, such as the hash of an image.

    Returns:
        Columns subject_id and group, the smallest subject_id of the united ones.

    Raises:
        ValueError: If a pair names nobody among the subjects: a defect of the caller, not of its input.
    """
    parent: dict[int, int] = {}  # of those that hold a key

    def root(subject: int) -> int:
        parent.setdefault(subject, subject)
        while parent[subject] != subject:
            parent[subject] = parent[parent[subject]]
            subject = parent[subject]
        return subject

    first: dict[Hashable, int] = {}
    for subject, key in pairs:
        a, b = root(subject), root(first.setdefault(key, subject))
        parent[max(a, b)] = min(a, b)
    every = (
        pl.DataFrame({"subject_id": subjects}, schema={"subject_id": pl.Int64}).unique().sort("subject_id")
    )
    roots = {subject: root(subject) for subject in list(parent)}
    if not pl.Series(list(roots), dtype=pl.Int64).is_in(every["subject_id"].implode()).all():
        raise ValueError("a pair names nobody among the subjects")
    return every.with_columns(group=pl.col("subject_id").replace(roots))


def _united(samples: pl.DataFrame, groups: pl.DataFrame | None) -> pl.DataFrame:
    """Give each subject that has a sample its group, by default itself: columns subject_id and group."""
    subjects = samples.select(pl.col("subject_id").unique().sort())
    if groups is None:
        return subjects.with_columns(group="subject_id")
    held = groups.select("subject_id", "group").unique("subject_id", keep="last")
    united = subjects.join(held, on="subject_id", how="left", maintain_order="left")
    return united.with_columns(pl.col("group").fill_null(pl.col("subject_id")))


def _site(samples: pl.DataFrame, site: str) -> pl.Series:
    """Give the groups with a patient at the site: a group that crosses its border is held out whole."""
    held = samples.filter(pl.col("site") == site)["group"]
    if held.is_empty():
        known = ", ".join(sorted(samples["site"].unique()))
        raise InputError(f"no sample is from the site '{site}'", remedy=f"Sites of this task: {known}")
    return held.unique()


def _after(samples: pl.DataFrame, date: str) -> pl.Series:
    """Give the groups with a sample at or after the beginning of a date: one on both sides of it is held out whole."""
    try:
        moment = datetime.fromisoformat(date)
    except ValueError as error:
        raise InputError(
            f"split 'after:{date}' names no date", remedy="Write it as after:2020-03-31"
        ) from error
    first, last = samples["prediction_time"].min(), samples["prediction_time"].max()
    held = samples.filter(pl.col("prediction_time") >= moment)["group"]
    if held.is_empty():
        raise InputError(
            f"no sample is from {date} or later",
            remedy=f"The samples of this task are from {str(first)[:10]} to {str(last)[:10]}",
        )
    return held.unique()


def write_splits(samples: pl.DataFrame, path: Path) -> None:
    """Write who is in which split, for `file:<path>`.

    Args:
        samples: subject_id and split.
        path: The file, .parquet.
    """
    stream = io.BytesIO()
    samples.select("subject_id", "split").unique().sort("subject_id").write_parquet(stream)
    atomic_write(path, stream.getvalue())


def _from_file(samples: pl.DataFrame, group_of: dict[int, int], path: Path) -> pl.DataFrame:
    """Give the samples the split that a table says; it must name everybody once, and tear no group apart.

    What is wrong is told by its line, since the table's ids are patients'.
    """
    remedy = "Give a .parquet or .csv of subject_id and split, such as the splits.parquet of a run"
    if not path.is_file():
        raise InputError("there is no such table of splits", path=path, remedy=remedy)
    try:
        table = pl.read_csv(path) if path.suffix == ".csv" else pl.read_parquet(path)
        table = table.select(pl.col("subject_id").cast(pl.Int64), pl.col("split").cast(pl.String))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError("the table of splits cannot be read", path=path, remedy=remedy) from error
    header = 1 if path.suffix == ".csv" else 0
    table = (
        table.with_row_index("line", offset=1 + header)
        .unique(["subject_id", "split"], keep="first")
        .sort("line")
    )
    strange = table.filter(~pl.col("split").is_in(list(meds.SPLITS)).fill_null(False))
    if strange.height:
        raise InputError(
            f"the split is none of {', '.join(meds.SPLITS)}",
            path=path, row=strange["line"][0], column="split", remedy=remedy,
        )  # fmt: skip
    again = table.filter(~pl.col("subject_id").is_first_distinct())
    if again.height:
        raise InputError(
            "the subject is in another split above", path=path, row=again["line"][0], remedy="Keep one"
        )
    split_of, line_of = (dict(table.select("subject_id", name).iter_rows()) for name in ("split", "line"))
    missing = sum(subject not in split_of for subject in group_of)
    if missing:
        raise InputError(
            f"{missing} of {len(group_of)} subjects of the task are in no split", path=path,
            remedy="Name every subject_id of the cohort, or split anew",
        )  # fmt: skip
    first: dict[int, int] = {}
    for subject, group in group_of.items():
        other = first.setdefault(group, subject)
        if split_of[other] != split_of[subject]:
            lines = sorted((line_of[other], line_of[subject]))
            raise InputError(
                f"the subject belongs together with that of line {lines[0]}, and they are in two splits",
                path=path, row=lines[1],
                remedy="They share an image, or the cohort says that they do: put them in one split",
            )  # fmt: skip
    return samples.with_columns(
        pl.col("subject_id").replace_strict(split_of, return_dtype=pl.String).alias("split")
    )
