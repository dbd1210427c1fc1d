"""UK Biobank -> MEDS, in shards of participants; a killed import goes on.

staged/<n>.parquet      the columns of a main dataset that are read, as text
scans/<n>.parquet       the brain MRI of a shard's participants, out of their zips and looked at
data/<n>.parquet        all events of a shard's participants
labels/<n>.parquet      what `dementia` says of their scans
"""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Final

import polars as pl

from mhdiff.cohort import meds
from mhdiff.cohort.account import Account
from mhdiff.cohort.import_report import ImportReport
from mhdiff.cohort.reference_ranges import read_ranges
from mhdiff.cohort.refused import DEFAULT, MaxBad, Refused
from mhdiff.cohort.resumed import Parts, resumed, stamps
from mhdiff.cohort.shards import from_birth
from mhdiff.cohort.typed import TIME
from mhdiff.cohort.uk_biobank import dementia, events, finish, longer, people, volumes, withdrawn
from mhdiff.cohort.uk_biobank import fields as f
from mhdiff.cohort.uk_biobank.columns import Column
from ontology.errors import InputError
from ontology.files import sha256
from ontology.progress import step

KIND: Final = "uk-biobank"
SUBJECTS_A_SHARD: Final = 10_000
_SCANS: Final[dict[str, pl.DataType]] = {
    "subject_id": pl.Int64(),
    "instance": pl.Int64(),
    "time": TIME,
    "path": pl.String(),
    "line": pl.Int64(),
}


def import_uk_biobank(
    source: str | Path,
    out: str | Path,
    *,
    max_bad: MaxBad = DEFAULT,
    volume: str = "T1",
    ranges: str | Path | None = None,
) -> ImportReport:
    """Write a cohort from the folder of a main dataset and, below it, bulk brain MRI.

    Args:
        source: Folder with one or more main datasets, perhaps a list of withdrawn participants (w12345_2024.csv), and
            zips such as 1234567_20252_2_0.zip at any depth.
        out: Folder of the cohort to make or to replace.
        max_bad: How many broken rows are borne.
        volume: Which T1 image is taken out of the zips: `T1`, or `T1_brain` without the skull.
        ranges: A table of reference ranges, see `reference_ranges`; UK Biobank publishes none.

    Returns:
        What was read, kept, changed and dropped; also in `metadata/import_report.json`.

    Raises:
        InputError: If there is no main dataset, it is not readable, too many rows are refused, there is no such
            volume, a list of who withdrew holds anything but eids, or the table of ranges is wrong.
    """
    if volume not in volumes.MEMBERS:
        raise InputError(f"there is no volume '{volume}'", remedy=f"Use {' or '.join(volumes.MEMBERS)}")
    own = None if ranges is None else read_ranges(ranges)
    root = Path(source)
    report = ImportReport(KIND, refused=Refused(max_bad, root))
    tables = longer.find_tables(root)
    bulk = list(volumes.find_bulk(root))
    lists = withdrawn.find_lists(root)
    gone = withdrawn.read_lists(lists)
    if lists:
        report.read["eids in lists of who withdrew"] = len(gone)
    fields, others = volumes.find_others(root)
    report.name("bulk files of fields that are not read", fields)
    read = Counter(place.name for place in (*tables, *lists))
    report.not_read = sorted((Counter(others) - read).elements())
    files = [*tables, *lists, *(scan.file for scan in bulk)]
    key = {"kind": KIND, "source": str(root.resolve()), "files": stamps(files, root), "volume": volume}
    if ranges is not None:
        key["ranges"] = sha256(ranges)
    with resumed(out, key) as parts:
        work = _Work(root, tables, bulk, volume, own, parts, report)
        shards = work.prepare(gone)
        for number, subjects in enumerate(shards):
            step(f"shard {number + 1} of {len(shards)}", number / max(1, len(shards)))
            work.shard(number, subjects)
        finish.finish(parts, work.subjects.to_list(), len(shards), Path(out), root, report)
    return report


def _path(scan: volumes.Bulk) -> str:
    """The place of a scan in the cohort's folder."""
    return f"images/{scan.subject}_{f.T1}_{scan.instance}.nii.gz"


class _Work:
    """One import."""

    def __init__(
        self,
        root: Path,
        tables: dict[Path, list[Column]],
        bulk: list[volumes.Bulk],
        volume: str,
        ranges: pl.DataFrame | None,
        parts: Parts,
        report: ImportReport,
    ) -> None:
        self.root, self.tables, self.volume, self.parts, self.report = root, tables, volume, parts, report
        self.ranges = ranges
        self.bulk: dict[int, list[volumes.Bulk]] = {}
        for scan in bulk:
            self.bulk.setdefault(scan.subject, []).append(scan)
        self.main = next(iter(tables)).name
        self.subjects = pl.Series("subject_id", [], dtype=pl.Int64)
        self.ends: datetime | None = None
        self.held: tuple[int, pl.DataFrame] | None = None  # the first participant of a shard, and its values
        self.differing = 0  # values of that shard that a later basket states differently

    def _staged(self) -> list[tuple[str, Path, list[Column]]]:
        return [
            (file.name, self.parts.path(f"staged/{number}.parquet"), columns)
            for number, (file, columns) in enumerate(self.tables.items())
        ]

    def prepare(self, gone: list[int]) -> list[pl.Series]:
        """Stage the main datasets; give the participants of each shard."""
        for number, (file, columns) in enumerate(self.tables.items()):
            step(f"reading {file.name}")
            self.parts.make(
                f"staged/{number}.parquet",
                lambda target, told, file=file, columns=columns: longer.stage(
                    file, file.name, columns, target, told
                ),  # type: ignore[misc]
            ).into(self.report, self.root)
        found = [
            pl.read_parquet(place, columns=["subject_id"])["subject_id"] for _, place, _ in self._staged()
        ]
        every = pl.concat(found).drop_nulls().unique().sort()
        self.subjects = every.filter((every >= 0) & ~every.is_in(gone))
        if n := int(every.is_in(gone).sum()):
            self.report.dropped.add("participant: withdrawn (in a list w..._....csv)", n=n)
        if self.subjects.is_empty():
            raise InputError("the main dataset has no participant", path=next(iter(self.tables)))
        strangers = [
            scan for eid, scans in self.bulk.items() if eid not in set(self.subjects) for scan in scans
        ]
        if strangers:
            self.report.dropped.add(
                "brain MRI: its participant withdrew or is not in the main dataset", n=len(strangers)
            )
        self.ends = self._end()
        size = SUBJECTS_A_SHARD
        return [self.subjects.slice(start, size) for start in range(0, len(self.subjects), size)]

    def _end(self) -> datetime | None:
        """When the record of diagnoses ends."""
        last: list[datetime] = []
        for _, place, columns in self._staged():
            dates = [pl.col(c.name) for c in columns if c.field == f.ICD10_DATES]
            if dates:
                most = pl.scan_parquet(place).select(
                    events.day(date).max().alias(f"{n}") for n, date in enumerate(dates)
                )
                last += [time for time in most.collect(engine="streaming").row(0) if time is not None]
        return max(last, default=None)

    def shard(self, number: int, subjects: pl.Series) -> None:
        """Make the parts of a shard."""
        for name, make in (("scans", self._scans), ("data", self._data), ("labels", self._labels)):
            self.parts.make(
                f"{name}/{number}.parquet",
                lambda target, told, make=make: make(number, subjects, target, told),  # type: ignore[misc]
            ).into(self.report, self.root)

    def _values(self, subjects: pl.Series) -> pl.DataFrame:
        """All values of a shard's participants; of a field that two baskets hold the first one's."""
        first = int(subjects[0])
        if self.held is None or self.held[0] != first:
            self.held = (first, self._read(subjects))
        return self.held[1]

    def _read(self, subjects: pl.Series) -> pl.DataFrame:
        found = [
            longer.values(place, columns, int(subjects[0]), int(subjects[-1]))
            for _, place, columns in self._staged()
        ]
        keys = ["subject_id", "field", "instance", "index"]
        every = pl.concat(found).filter(pl.col("subject_id").is_in(subjects.implode()))
        first = every.unique(keys, keep="first", maintain_order=True)
        both = every.join(first.select(*keys, taken="value"), on=keys)
        self.differing = both.filter(pl.col("value") != pl.col("taken")).height
        return first.sort(keys)

    def _scans(self, number: int, subjects: pl.Series, target: Path, account: Account) -> None:
        """Take the scans out of their zips."""
        values = self._values(subjects)
        seen = {(s, i): (time, line) for s, i, line, time in events.visits(values).iter_rows()}
        listed = values.filter(pl.col("field") == f.T1, pl.col("index") == 0)
        lines = {(s, i): row for row, s, _, i, *_ in listed.iter_rows()}
        rows, column = [], f"field {f.T1}"
        ours = [scan for subject in subjects for scan in self.bulk.get(subject, [])]
        dated = [scan for scan in ours if (scan.subject, scan.instance) in seen]
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as workers:
            reasons = dict(zip(dated, workers.map(self._extract, dated), strict=True))
        for scan in ours:
            subject, instance, _ = scan
            listed_at = lines.pop((subject, instance), None)
            time, line = seen.get((subject, instance), (None, listed_at))
            account.read["zips with brain MRI"] += 1
            reason = reasons.get(scan, "its visit has no date")
            if reason:
                account.refuse(f"brain MRI: {reason}", self.main, line, column)
            else:
                rows.append((subject, instance, time, _path(scan), line))
        if lines:
            account.dropped.add(
                "brain MRI: listed in the main dataset and not there", min(lines.values()), n=len(lines)
            )
        pl.DataFrame(rows, schema=_SCANS, orient="row").write_parquet(target)

    def _extract(self, scan: volumes.Bulk) -> str:
        return volumes.extract(scan, self.root, self.volume, self.parts.path(_path(scan)))

    def _data(self, number: int, subjects: pl.Series, target: Path, account: Account) -> None:
        """Write all events of the participants."""
        values = self._values(subjects)
        scans = pl.read_parquet(self.parts.path(f"scans/{number}.parquet"))
        seen = events.visits(values)
        events.refuse_dates(values, self.main, account)
        events.count_visits(values, account)
        if self.differing:
            reason = "value: another main dataset states another one, the first one's is taken"
            account.dropped.add(reason, n=self.differing)
        made = [
            people.people(values, subjects, self.main, account),
            seen.select(
                "subject_id",
                "time",
                code=pl.concat_str(pl.lit("UKB_VISIT//"), pl.col("instance").cast(pl.String)),
            ),
            events.measured(values, seen, self.main, account),
            events.diagnoses(values, self.main, account),
            events.later(values, self.main, account),
            scans.select("subject_id", "time", code=pl.lit(volumes.MEMBERS[self.volume]), text_value="path"),
        ]
        every = pl.concat([meds.conform(frame, meds.EVENTS) for frame in made])
        births = every.filter(pl.col("code") == meds.BIRTH).select("subject_id", born="time")
        whole = from_birth(every, births, self.main, account)
        if self.ranges is not None:
            whole = events.ranged(whole, births, self.ranges)
        meds.ordered(whole).write_parquet(target)

    def _labels(self, number: int, subjects: pl.Series, target: Path, account: Account) -> None:
        """Label the scans."""
        values = self._values(subjects)
        found = pl.read_parquet(
            self.parts.path(f"data/{number}.parquet"), columns=["subject_id", "time", "code"]
        )
        scans = pl.read_parquet(self.parts.path(f"scans/{number}.parquet"))
        outcomes = values.filter(pl.col("field").is_in(list(f.OUTCOMES)))
        undated = outcomes.filter(events.day(pl.col("value")).is_null())["subject_id"].unique().to_list()
        dementia.label(found, scans, undated, self.ends).write_parquet(target)
