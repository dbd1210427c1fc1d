"""From a MEDS dataset to a cohort's folder, some files of events at a time; a killed import goes on.

added/<n>.parquet                   the images of a table, looked at: see `looked_at`
own/<n>/images|signals/<k>.parquet  the files that a file of events names
data/<n>.parquet                    the file of events, checked; linked where it is taken as it is
people/<n>.parquet, files/<n>.parquet, with/<n>.parquet
                                    its subjects, the files it names, and the added images that are in it
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from mhdiff.cohort import meds, splits
from mhdiff.cohort.account import Account
from mhdiff.cohort.cohort import UNKNOWN_SITE
from mhdiff.cohort.from_meds.images import FILES, read_images
from mhdiff.cohort.from_meds.shards import Shard, find_shards, named_files, read_shard, write_shard
from mhdiff.cohort.from_meds.tables import read_codes, read_labels, read_splits
from mhdiff.cohort.image_files import absent, unusable
from mhdiff.cohort.import_report import ImportReport
from mhdiff.cohort.imported import count_labels
from mhdiff.cohort.looked_at import Look, forget_changed, looks
from mhdiff.cohort.refused import DEFAULT, MaxBad, Refused
from mhdiff.cohort.resumed import Parts, Write, resumed, stamps
from mhdiff.cohort.shards import kinds_of_events, used_codes
from mhdiff.cohort.source_files import bring
from mhdiff.cohort.table_files import reading
from ontology.errors import InputError
from ontology.files import atomic_directory
from ontology.progress import step

KIND = "meds"
CHOICES = (
    "Files of events are linked as they are where they keep to the standard, else written again, sorted.",
    "Splits are the dataset's own; who is in none, or all where it has none, are dealt by patient.",
    "Patients that share an image, byte for byte, are in one split: the last that they have.",
    "Sites are read from SITE// codes; a dataset without them has one site, 'unknown'.",
)
_OWN = {"path": pl.String, "subject_id": pl.Int64, "sha256": pl.String, "place": pl.String}


def import_meds(
    source: str | Path, out: str | Path, *, images: str | Path | None = None, max_bad: MaxBad = DEFAULT
) -> ImportReport:
    """Write a cohort from a MEDS dataset.

    Args:
        source: Folder with data/, and where they are there metadata/ and labels/.
        out: Folder of the cohort to make or to replace.
        images: Table of images: see `images`.
        max_bad: How many broken rows are borne.

    Returns:
        What was read, kept, changed, refused and dropped; also in `metadata/import_report.json`.

    Raises:
        InputError: If the dataset does not keep to the standard, or too many rows are refused.
    """
    root = Path(source)
    shards = find_shards(root)
    report = ImportReport(KIND, refused=Refused(max_bad, root), choices=list(CHOICES))
    with (
        resumed(out, _key(root, shards, images)) as parts,
        atomic_directory(out, marker=meds.MARKER) as folder,
    ):
        holder = _subjects(shards)
        for name in ("data", "images", "metadata"):
            (folder / name).mkdir()
        added, files = _images(images, set(holder), root, parts, folder, report)
        sites: dict[int, str] = {}
        pictured = added["subject_id"].unique().sort()
        here = [[subject for subject in pictured if holder[subject] == file] for file in shards]
        makes = [
            _part(number, file, added.filter(pl.col("subject_id").is_in(here[number])), root, parts, report)
            for number, file in enumerate(shards)
        ]
        with parts.make_all(makes) as made:
            for number, account in enumerate(made):
                step(f"file {number + 1} of {len(shards)}", number / len(shards))
                account.into(report, root)
                bring(parts.path(f"data/{number}.parquet"), folder / "data" / f"{number}.parquet")
                files += _own_files(number, parts, folder)
                people = pl.read_parquet(parts.path(f"people/{number}.parquet"))
                sites |= dict.fromkeys(here[number], UNKNOWN_SITE) | dict(people.iter_rows())
        report.read = {"files": len(shards), "events": sum(report.refused.rows[f] for f in _names(shards, root)),
                       "patients": len(sites), **report.read}  # fmt: skip
        labels = read_labels(root, set(sites), report)
        table = pl.DataFrame(files, schema=FILES, orient="row")
        table.write_parquet(folder / "metadata/images.parquet")
        groups = splits.unite(sorted(sites), _pairs(table, set(sites), root))
        groups.write_parquet(folder / meds.GROUPS_FILE)
        report.written = {"patients": len(sites), **kinds_of_events(folder, ours=False)}
        report.sites = dict(Counter(sites.values()).most_common())
        report.worded = set(labels)
        count_labels(report, labels)
        dealt = read_splits(root, sites, groups, labels, report)
        known = read_codes(root, set(used_codes(folder)), report)
        text = json.dumps(report.to_dict(), indent=2, ensure_ascii=False) + "\n"
        (folder / meds.REPORT_FILE).write_text(text, encoding="utf-8")
        meds.write_meds(
            folder, events=None, codes=known, splits=dealt, labels=labels, metadata=_metadata(root)
        )
    return report


def _key(root: Path, shards: list[Path], images: str | Path | None) -> dict[str, Any]:
    """Say what is imported: the dataset's tables and the table of images; their files are looked at by themselves."""
    beside = [file for name in ("labels", "metadata") for file in (root / name).rglob("*") if file.is_file()]
    table = None if images is None else Path(images).resolve()
    given = [] if table is None or not table.is_file() else [table]
    return {
        "kind": KIND,
        "source": str(root.resolve()),
        "files": stamps([*shards, *beside], root),
        "images": [str(table), *(stamps(given, file.parent) for file in given)],
    }


def _subjects(shards: list[Path]) -> dict[int, Path]:
    """Give the file of each subject, and refuse a dataset that has one in two files."""
    seen: dict[int, Path] = {}
    for file in shards:
        with reading(file):
            schema = pl.read_parquet_schema(file)
        if "subject_id" not in schema or not schema["subject_id"].is_integer():
            raise InputError(
                "there is no column of whole numbers", path=file, column="subject_id", remedy="See MEDS 0.4"
            )
        with reading(file):
            own = pl.scan_parquet(file).select(pl.col("subject_id").unique()).collect(engine="streaming")
        for subject in own["subject_id"].drop_nulls():
            if (other := seen.setdefault(subject, file)) != file:
                raise InputError(
                    f"a subject is in this file and in {other.name}",
                    path=file,
                    column="subject_id",
                    remedy="MEDS wants all events of a subject in one file: write data/ again",
                )
    return seen


def _images(
    table: str | Path | None, subjects: set[int], root: Path, parts: Parts, folder: Path, report: ImportReport
) -> tuple[pl.DataFrame, list[tuple[Any, ...]]]:
    if table is None:
        return pl.DataFrame(schema=meds.EVENTS), []
    below, number = "images/added", 1
    while (root / below).exists():  # of a dataset that has had images added before
        number += 1
        below = f"images/added-{number}"
    events, files = read_images(Path(table), subjects, parts, folder, report, below=below)
    return events, files.rows()


def _part(
    number: int, file: Path, added: pl.DataFrame, root: Path, parts: Parts, report: ImportReport
) -> tuple[str, Write]:
    """Give the part of a file of events, and what makes it; forget one that was made of other images."""
    name, held = f"data/{number}.parquet", parts.path(f"with/{number}.parquet")
    looked = [p.relative_to(parts.folder).as_posix() for p in parts.folder.glob(f"own/{number}/*/*.parquet")]
    changed = [part for part in looked if forget_changed(parts, part, root)]
    if changed or not (held.is_file() and pl.read_parquet(held).equals(added)):
        parts.path(name).unlink(missing_ok=True)
    return name, partial(_write, number, file, added, root, parts, report)


def _write(
    number: int,
    file: Path,
    added: pl.DataFrame,
    root: Path,
    parts: Parts,
    whole: ImportReport,
    target: Path,
    account: Account,
) -> None:
    def look(kind: str, paths: list[str]) -> Iterator[Look]:
        check = unusable if kind == "images" else absent
        return looks(parts, f"own/{number}/{kind}", root, paths, check)

    shard = read_shard(file, account.report(whole), look)
    sites = pl.DataFrame(
        list(_sites(shard).items()), schema={"subject_id": pl.Int64, "site": pl.String}, orient="row"
    )
    files = [
        (path, subject, shard.named[path].sha256, str(shard.named[path].place.relative_to(parts.folder)))
        for subject, path in named_files(shard).iter_rows()
    ]
    for place, table in (
        ("people", sites),
        ("files", pl.DataFrame(files, schema=_OWN, orient="row")),
        ("with", added),
    ):
        parts.path(place).mkdir(exist_ok=True)
        table.write_parquet(parts.path(f"{place}/{number}.parquet"))
    write_shard(target, shard, added)


def _own_files(number: int, parts: Parts, folder: Path) -> list[tuple[Any, ...]]:
    """Bring the files that events of the dataset name themselves, under their own paths."""
    found = []
    for path, subject, digest, place in pl.read_parquet(parts.path(f"files/{number}.parquet")).iter_rows():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            bring(parts.path(place), target)
        found.append((path, subject, digest, None))
    return found


def _sites(shard: Shard) -> dict[int, str]:
    sites = dict.fromkeys(shard.events["subject_id"].unique().sort().to_list(), UNKNOWN_SITE)
    named = shard.events.filter(pl.col("code").str.starts_with("SITE//")).unique("subject_id", keep="first")
    return sites | dict(named.select("subject_id", pl.col("code").str.strip_prefix("SITE//")).iter_rows())


def _names(shards: list[Path], root: Path) -> list[str]:
    return [file.relative_to(root).as_posix() for file in shards]


def _pairs(table: pl.DataFrame, subjects: set[int], root: Path) -> list[tuple[int, str]]:
    pairs = [(s, f"image {digest}") for s, digest in table.select("subject_id", "sha256").iter_rows()]
    if (root / meds.GROUPS_FILE).is_file():
        with reading(root / meds.GROUPS_FILE):
            stored = pl.read_parquet(root / meds.GROUPS_FILE).select("subject_id", "group")
        pairs += [(s, f"group {g}") for s, g in stored.iter_rows() if s in subjects]
    return pairs


def _metadata(root: Path) -> dict[str, Any]:
    """Give what the dataset says of itself."""
    file, own = root / meds.MARKER, {}
    if file.is_file():
        try:
            own = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError("the file is not JSON", path=file, remedy="Correct or remove it") from error
    said = (
        {k: v for k, v in own.items() if k not in ("mhdiff", "meds_version")} if isinstance(own, dict) else {}
    )
    return {"dataset_name": root.resolve().name, **said, "mhdiff": {"kind": KIND}}
