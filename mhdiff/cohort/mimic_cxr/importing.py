"""MIMIC-CXR (JPG or DICOM and reports) with MIMIC-IV -> MEDS, in shards of subjects; a killed import goes on.

    radiographs.parquet, staged/<table>.parquet     one pass over each table
    files/<n>.parquet                               which images and reports there are of a shard's subjects
    placed/<n>.parquet                              the images of a shard's subjects, looked at and put into place
    data/<n>.parquet                                all events of a shard's subjects

The memory is that of one shard. Who is in the cohort is who has a radiograph.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import polars as pl

from mhdiff.cohort import meds
from mhdiff.cohort.account import Account
from mhdiff.cohort.import_report import ImportReport
from mhdiff.cohort.mimic_cxr import finish, hospital, labels, on_disk, pictures, radiographs, reports, stays
from mhdiff.cohort.mimic_cxr.labitems import Items, read_items
from mhdiff.cohort.mimic_cxr.sources import Sources, find_sources
from mhdiff.cohort.refused import DEFAULT, MaxBad, Refused
from mhdiff.cohort.resumed import Parts, resumed, stamps
from mhdiff.cohort.shards import from_birth
from mhdiff.cohort.typed import TIME
from ontology.errors import InputError
from ontology.progress import step

KIND: Final = "mimic-cxr"
SUBJECTS_A_SHARD: Final = 1_000  # of MIMIC-IV some two million rows
_PLACED: Final = {
    **radiographs.SCHEMA,
    "path": pl.String(),  # null where the image is refused
    "bytes": pl.Int64(),
}
_NOTES: Final[dict[str, pl.DataType]] = {
    "subject_id": pl.Int64(),
    "time": TIME,
    "code": pl.String(),
    "text_value": pl.String(),
}


def import_mimic_cxr(
    source: str | Path,
    out: str | Path,
    *,
    max_bad: MaxBad = DEFAULT,
    loinc: str | Path | None = None,
    split: str = "ours",
) -> ImportReport:
    """Write a cohort from a folder with MIMIC-CXR-JPG or MIMIC-CXR, and perhaps MIMIC-IV.

    Args:
        source: The folder, see `sources`.
        out: Folder of the cohort to make or to replace.
        max_bad: How many broken rows are borne.
        loinc: A CSV with itemid and loinc_code, for laboratory items.
        split: `ours`, or `official` for the published one (validate becomes tuning, test held_out).

    Returns:
        What was read, kept, changed and dropped; also in `metadata/import_report.json`.

    Raises:
        InputError: If a table is missing or not readable, too many rows are refused, or `split` is neither.
    """
    if split not in finish.SPLITS:
        raise InputError(f"there is no split '{split}'", remedy=f"Use {' or '.join(finish.SPLITS)}")
    sources = find_sources(Path(source))
    if split == "official" and "split" not in sources.tables:
        raise InputError("there is no mimic-cxr-...-split.csv", path=sources.root, remedy="Leave --split out")
    own = None if loinc is None else Path(loinc)
    account, dictionary = Account(), "d_labitems"
    held = dictionary in sources.tables
    name = sources.name(dictionary) if held else dictionary
    items = read_items(sources.tables.get(dictionary), own, name, account)
    files = [*sources.tables.values()]
    key = {
        "kind": KIND,
        "source": str(sources.root.resolve()),
        "files": stamps(files, sources.root),
        "loinc": items.table.rows(),
        "split": split,
    }
    report = ImportReport(KIND, refused=Refused(max_bad, sources.root), not_read=sorted(sources.passed))
    account.into(report, sources.root)
    with resumed(out, key) as parts:
        work = _Work(sources, parts, items, report)
        shards = work.prepare()
        for number, subjects in enumerate(shards):
            step(f"shard {number + 1} of {len(shards)}", number / max(1, len(shards)))
            work.shard(number, subjects)
        finish.finish(sources, parts, items, split, len(shards), Path(out), report)
    return report


class _Work:
    """One import."""

    def __init__(self, sources: Sources, parts: Parts, items: Items, report: ImportReport) -> None:
        self.sources, self.parts, self.items, self.report = sources, parts, items, report
        self.listed = sources.name("metadata" if "metadata" in sources.tables else "cxr-record-list")
        self.images = pl.DataFrame(schema=radiographs.SCHEMA)

    def _told(self, account: Account) -> None:
        account.into(self.report, self.sources.root)

    def prepare(self) -> list[pl.Series]:
        """Make the parts that are of all subjects; give the subjects of each shard."""
        parts, sources = self.parts, self.sources
        step("reading the list of images")
        self._told(
            parts.make(
                "radiographs.parquet",
                lambda target, told: radiographs.write_radiographs(sources, target, told),
            )
        )
        self.images = pl.read_parquet(parts.path("radiographs.parquet"))
        subjects = self.images["subject_id"].unique().sort()
        if subjects.is_empty():
            raise InputError(
                "the table lists no image", path=sources.root / self.listed, remedy="Download it again"
            )
        for name in hospital.TABLES:
            if name in sources.tables:
                step(f"reading {sources.tables[name].name}")
                self._told(
                    parts.make(
                        f"staged/{name}.parquet",
                        lambda target, told, name=name: hospital.stage(sources, name, subjects, target, told),  # type: ignore[misc]
                    )
                )
        for labeller in labels.LABELLERS:
            if labeller in sources.tables:
                self._told(
                    parts.make(
                        f"staged/{labeller}.parquet",
                        lambda target, told, labeller=labeller: labels.write_labels(
                            sources, labeller, target, told
                        ),  # type: ignore[misc]
                    )
                )
        count = -(-len(subjects) // SUBJECTS_A_SHARD)
        return [subjects.slice(n * SUBJECTS_A_SHARD, SUBJECTS_A_SHARD) for n in range(count)]

    def shard(self, number: int, subjects: pl.Series) -> None:
        """Make the parts of a shard."""
        first, last = int(subjects[0]), int(subjects[-1])
        own = self.images.filter(pl.col("subject_id").is_between(first, last))
        on_disk.forget_changed(self.parts, number, self.sources, own)
        self._told(
            self.parts.make(f"placed/{number}.parquet", lambda target, told: self._place(own, target, told))
        )
        placed = pl.read_parquet(self.parts.path(f"placed/{number}.parquet"))
        self._told(
            self.parts.make(
                f"data/{number}.parquet", lambda target, told: self._events(placed, subjects, target, told)
            )
        )

    def _place(self, own: pl.DataFrame, target: Path, account: Account) -> None:
        """Look at the images, several at a time, and write which of them are in place."""

        def one(row: tuple[int, str, int, int]) -> pictures.Placed:
            _, image, subject, study = row
            file = on_disk.find_image(self.sources, image, subject, study)
            name = f"images/p{subject}/s{study}/{image}"
            return pictures.place(file, self.sources.root, self.parts.folder, name)

        keys = own.select("line", "dicom_id", "subject_id", "study_id").rows()
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as workers:
            done = list(workers.map(one, keys))
        for (line, *_), image in zip(keys, done, strict=True):
            if image.reason:
                account.refuse(image.reason, self.listed, line)
        stated = pl.DataFrame(
            [(image.path or None, image.size, image.time, image.view) for image in done],
            schema={
                "path": pl.String,
                "bytes": pl.Int64,
                "its_time": TIME,
                "its_view": pl.String,
            },
            orient="row",
        )
        table = pl.concat([own, stated], how="horizontal").with_columns(
            time=pl.coalesce("time", "its_time"),
            view=pl.coalesce("view", radiographs.view_of(pl.col("its_view"))),
        )
        for line in table.filter(pl.col("time").is_null(), pl.col("path").is_not_null())["line"]:
            account.refuse("neither a table nor the DICOM states when the image was taken", self.listed, line)
        table.filter(pl.col("time").is_not_null()).select(list(_PLACED)).write_parquet(target)

    def _events(self, placed: pl.DataFrame, subjects: pl.Series, target: Path, account: Account) -> None:
        """Write all events of the subjects."""
        tables = {
            name: hospital.rows_of(
                self.parts.path(f"staged/{name}.parquet"), name, int(subjects[0]), int(subjects[-1]),
                self.sources.name(name), account,
            )
            for name in hospital.TABLES if name in self.sources.tables
        }  # fmt: skip
        told = list(reports.events(self.sources, studies_of(placed), self.listed, account))
        made = [
            (self.listed, _image_events(placed)),
            (self.listed, pl.DataFrame(told, schema=_NOTES, orient="row")),
        ]
        if set(tables) & set(stays.STAYS):
            first = next(name for name in stays.STAYS if name in tables)
            made.insert(0, (self.sources.name(first), stays.stay_events(tables, account)))
        if "labevents" in tables:
            labs = stays.lab_events(tables["labevents"], self.items, account)
            made.append((self.sources.name("labevents"), labs))
        frames = [stays.person_events(tables, subjects, account), *(frame for _, frame in made)]
        if "patients" in tables:
            born = stays.births(tables["patients"])
            frames[1:] = [from_birth(frame, born, table, account) for table, frame in made]
        every = pl.concat([meds.conform(frame, stays.SCHEMA) for frame in frames])
        meds.ordered(every).write_parquet(target)


def _image_events(placed: pl.DataFrame) -> pl.DataFrame:
    """One event an image that is in place; at one time the frontal views come last."""
    frontal = pl.col("view").is_in(radiographs.FRONTAL)
    return (
        placed.drop_nulls("path")
        .sort("subject_id", "time", frontal, "line")
        .select("subject_id", "time", code=pl.concat_str(pl.lit("IMAGE//CXR//"), "view"), text_value="path")
    )


def studies_of(placed: pl.DataFrame) -> Sequence[reports.Study]:
    """Give the studies of some images.

    Args:
        placed: subject_id, study_id, time, line.
    """
    grouped = (
        placed.group_by("subject_id", "study_id")
        .agg(first=pl.col("time").min(), last=pl.col("time").max(), line=pl.col("line").min())
        .sort("subject_id", "study_id")
    )
    return [reports.Study(*row) for row in grouped.iter_rows()]
