"""Cohorts of several hospitals as one: subjects are numbered anew, and each hospital keeps its own ranges.

Where cohorts give a code another reference range, the range stands on the events (`meds.EVENTS_OPTIONAL`) and no
longer with the code. Patients of different cohorts that have an image of the same bytes are in one group.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from graph_builders.collect import names_a_file
from mhdiff.cohort import meds
from mhdiff.cohort.cohort import Cohort
from mhdiff.cohort.import_report import ImportReport, told_kinds
from mhdiff.cohort.splits import unite
from ontology.errors import InputError
from ontology.files import atomic_directory, sha256

KIND = "join"
JOINED_FILE = "metadata/joined.parquet"
CHOICES = (
    "Subjects are numbered anew in the order of the cohorts; metadata/joined.parquet says who they were.",
    "Where cohorts disagree on a code's reference range, each event carries the range of its own cohort.",
    "Stored splits are those of the cohorts, but a group across cohorts is held out whole if a part is.",
    "Tables of ours beside them, such as truth files, are not carried.",
    "Patients of different cohorts that share an image, byte for byte, are in one split of folds and sites.",
)
_VALUES = ("boolean_value", "integer_value", "float_value", "categorical_value")


def join(sources: Sequence[str | Path], out: str | Path) -> ImportReport:
    """Write one cohort from several; one shard of events is in memory at a time.

    Args:
        sources: Folders of two or more cohorts.
        out: Folder of the cohort to make or to replace.

    Returns:
        What was read and changed; also in `metadata/import_report.json`.

    Raises:
        InputError: If they are fewer than two, one is given twice or holds `out`, one is no cohort or has a
            subject in no split, or a code has two units.
    """
    roots = [Path(source).resolve() for source in sources]
    if len(roots) < 2 or len(set(roots)) < len(roots):
        raise InputError("a join needs two or more different cohorts", remedy="Give each folder once")
    target = Path(out).resolve()
    for root in roots:
        if target.is_relative_to(root) or root.is_relative_to(target):
            raise InputError(
                "--out and a joined cohort lie in one another", path=out, remedy="Choose another --out"
            )
    cohorts = [Cohort.open(root) for root in roots]
    report = ImportReport(KIND, choices=list(CHOICES))
    codes, differing = _codes(cohorts, report)
    people = _people(cohorts)
    with atomic_directory(out, marker=meds.MARKER) as folder:
        kinds: Counter[str] = Counter()
        pairs: list[tuple[int, str]] = []
        shard = 0
        for number, cohort in enumerate(cohorts, start=1):
            anew = people.filter(pl.col("number") == number).select("source_subject_id", "subject_id")
            ids = dict(anew.iter_rows())
            paths = _files(cohort, number, ids, folder, pairs)
            pairs += [(ids[s], f"group {number} {g}") for s, g in cohort.groups.iter_rows()]
            ranges = cohort.codes.filter(pl.col("code").is_in(list(differing)))
            for file in sorted((cohort.path / "data").rglob("*.parquet")):
                events = _events(file, ids, paths, ranges)
                kinds.update(events["code"].str.extract(r"^([^/]+)").drop_nulls())
                meds.write_shard(folder, shard, events)
                shard += 1
        (folder / "metadata").mkdir()
        groups = _groups(people, pairs, report)
        groups.write_parquet(folder / meds.GROUPS_FILE)
        people.select("subject_id", "cohort", "source_subject_id").write_parquet(folder / JOINED_FILE)
        labels = _labels(cohorts, people, report)
        report.read = {f"patients of {n} ({c.name})": len(c.splits) for n, c in enumerate(cohorts, start=1)}
        report.written = {"patients": len(people), **{f"{k} events": n for k, n in told_kinds(kinds).items()}}
        sites = Counter(site for cohort in cohorts for site in cohort.sites["site"])
        report.sites = dict(sites.most_common())
        text = json.dumps(report.to_dict(), indent=2, ensure_ascii=False) + "\n"
        (folder / meds.REPORT_FILE).write_text(text, encoding="utf-8")
        meds.write_meds(
            folder,
            events=None,
            codes=codes,
            splits=_splits(people, groups, report),
            labels=labels,
            metadata={
                "dataset_name": " + ".join(cohort.name for cohort in cohorts),
                "license": "; ".join(f"{c.name}: {c.metadata.get('license', 'not stated')}" for c in cohorts),
                "mhdiff": {"kind": KIND},
            },
        )
    return report


def _codes(cohorts: list[Cohort], report: ImportReport) -> tuple[pl.DataFrame, set[str]]:
    """Give the united codes, and those whose range differs and therefore stands on the events."""
    united: dict[str, dict[str, object]] = {}
    holder: dict[str, Cohort] = {}
    ranges: dict[str, set[tuple[float | None, float | None]]] = {}
    for cohort in cohorts:
        for row in cohort.codes.iter_rows(named=True):
            code = row["code"]
            known = united.setdefault(code, dict(row))
            if known["unit"] and row["unit"] and known["unit"] != row["unit"]:
                raise InputError(
                    f"the code '{code}' is in {known['unit']} in {holder[code].path} and in {row['unit']} in "
                    f"{cohort.path}",
                    remedy="Convert one of them, or name the unit in the code, as in LOINC/1988-5//mg/L",
                )
            if row["unit"] or code not in holder:
                holder[code] = cohort
            for column in ("description", "parent_codes", "unit"):
                known[column] = known[column] or row[column]
            ranges.setdefault(code, set()).add((row["ref_low"], row["ref_high"]))
    differing = {code for code, given in ranges.items() if len(given) > 1}
    for code in sorted(differing):
        united[code] |= {"ref_low": None, "ref_high": None}
        report.changed.add(f"{code}: reference ranges differ, each event has that of its cohort")
    return pl.DataFrame(list(united.values()), schema=meds.CODES), differing


def _people(cohorts: list[Cohort]) -> pl.DataFrame:
    """Number the subjects 1..N in the order of the cohorts."""
    rows: list[tuple[int, int, str, int, str]] = []
    for number, cohort in enumerate(cohorts, start=1):
        splits = dict(cohort.splits.sort("subject_id").iter_rows())
        used = {
            *cohort.sites["subject_id"],
            *(s for n in cohort.label_names for s in cohort.labels(n)["subject_id"]),
        }
        if not used <= set(splits):
            raise InputError(
                "the cohort has subjects in no split",
                path=cohort.path,
                remedy="`mhdiff cohort validate` lists them; import it again",
            )
        for subject, split in splits.items():
            rows.append((len(rows) + 1, number, cohort.name, subject, split))
    schema = {"subject_id": pl.Int64, "number": pl.Int64, "cohort": pl.String}
    schema |= {"source_subject_id": pl.Int64, "split": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _files(
    cohort: Cohort, number: int, ids: dict[int, int], folder: Path, pairs: list[tuple[int, str]]
) -> dict[str, str]:
    """Link or copy the files that events name, note their hashes, and give old path -> new path."""
    paths: dict[str, str] = {}
    digests: dict[str, str] = {}
    for subject, relative in cohort.images.unique().sort("subject_id", "path").iter_rows():
        if relative not in paths:
            place = cohort.image_path(relative)
            inside = place.relative_to(cohort.path.resolve()).as_posix()
            new = f"images/{number}/{inside}"
            (folder / new).parent.mkdir(parents=True, exist_ok=True)
            if not (folder / new).exists():
                try:
                    os.link(place, folder / new)
                except OSError:  # another file system
                    shutil.copyfile(place, folder / new)
            paths[relative], digests[relative] = new, sha256(place)
        pairs.append((ids[subject], f"image {digests[relative]}"))
    return paths


def _events(file: Path, ids: dict[int, int], paths: dict[str, str], ranges: pl.DataFrame) -> pl.DataFrame:
    """Give a shard's events with the new subjects and paths, and their cohort's ranges where these differ."""
    events = meds.conform(pl.read_parquet(file), meds.EVENTS | meds.EVENTS_OPTIONAL)
    text = pl.when(names_a_file()).then(pl.col("text_value").replace(paths)).otherwise("text_value")
    own = ranges.select("code", pl.col("ref_low").alias("low"), pl.col("ref_high").alias("high"))
    bare = pl.col("ref_low").is_null() & pl.col("ref_high").is_null()
    return (
        events.join(own, on="code", how="left", maintain_order="left")
        .with_columns(
            pl.col("subject_id").replace_strict(ids, return_dtype=pl.Int64),
            text.alias("text_value"),
            pl.when(bare).then("low").otherwise("ref_low").cast(pl.Float32).alias("ref_low"),
            pl.when(bare).then("high").otherwise("ref_high").cast(pl.Float32).alias("ref_high"),
        )
        .drop("low", "high")
    )


def _groups(people: pl.DataFrame, pairs: list[tuple[int, str]], report: ImportReport) -> pl.DataFrame:
    """Unite the cohorts' groups and the patients that share an image across them."""
    groups = unite(people["subject_id"].to_list(), pairs)
    across = groups.join(people, on="subject_id").group_by("group").agg(pl.col("number").n_unique(), pl.len())
    for size in across.filter(pl.col("number") > 1)["len"]:
        report.changed.add("patients of different cohorts that share an image, kept in one group", n=size)
    return groups


def _splits(people: pl.DataFrame, groups: pl.DataFrame, report: ImportReport) -> pl.DataFrame:
    """Give the stored splits; a group across cohorts in several is put in the last of `meds.SPLITS` that it has."""
    rank = pl.col("split").replace_strict(
        {split: i for i, split in enumerate(meds.SPLITS)}, return_dtype=pl.Int64
    )
    ranked = people.join(groups, on="subject_id", maintain_order="left").with_columns(rank.alias("rank"))
    across = pl.col("number").n_unique().over("group") > 1
    put = ranked.with_columns(
        pl.when(across).then(pl.col("rank").max().over("group")).otherwise("rank").alias("put")
    )
    if moved := put.filter(pl.col("put") != pl.col("rank")).height:
        report.changed.add("stored split: moved to that of a patient with the same image", n=moved)
    split = pl.col("put").replace_strict(dict(enumerate(meds.SPLITS)), return_dtype=pl.String).alias("split")
    return put.select("subject_id", split)


def _labels(cohorts: list[Cohort], people: pl.DataFrame, report: ImportReport) -> dict[str, pl.DataFrame]:
    """Unite the labels by name, count them, and say which only some cohorts have."""
    united = {}
    for name in sorted({name for cohort in cohorts for name in cohort.label_names}):
        frames = []
        for number, cohort in enumerate(cohorts, start=1):
            if name not in cohort.label_names:
                report.changed.add(f"labels {name}: cohort {number} ({cohort.name}) has none")
                continue
            anew = people.filter(pl.col("number") == number).select(
                "source_subject_id", pl.col("subject_id").alias("new")
            )
            held = cohort.labels(name).join(anew, left_on="subject_id", right_on="source_subject_id")
            frames.append(held.with_columns(subject_id="new").drop("new"))
        united[name] = frame = pl.concat(frames)
        value = pl.coalesce(pl.col(c).cast(pl.String) for c in _VALUES).fill_null("none").alias("value")
        counts = frame.group_by(value).agg(pl.len(), pl.col("subject_id").n_unique()).sort("value")
        report.worded.add(name)
        report.labels[name] = {v: {"samples": n, "patients": p} for v, n, p in counts.iter_rows()}
    return united
