"""From eICU's tables to a MEDS folder, in shards of whole stays; a killed import goes on.

    staged/<n>.parquet      one pass over each table: its rows as events
    data/<n>.parquet        all events of a shard's stays

The table of the stays is small and read anew.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Final

import polars as pl

from mhdiff.cohort import meds
from mhdiff.cohort.account import Account
from mhdiff.cohort.eicu.stays import LABEL, REMEDY, Stays, read_stays
from mhdiff.cohort.eicu.tables import TABLES, Table, stage
from mhdiff.cohort.import_report import ImportReport, presentable
from mhdiff.cohort.imported import count_labels, deal
from mhdiff.cohort.reference_ranges import fill_ranges, read_ranges
from mhdiff.cohort.refused import DEFAULT, MaxBad, Refused
from mhdiff.cohort.resumed import Parts, resumed, stamps
from mhdiff.cohort.shards import kinds_of_events
from mhdiff.cohort.source_files import bring
from mhdiff.cohort.table_files import find, need, reading, scan, table_name
from ontology.errors import InputError
from ontology.files import atomic_directory
from ontology.progress import step

KIND: Final = "eicu"
ROWS_A_SHARD: Final = 2_000_000
CHOICES: Final = (
    "A subject is a hospital stay, since the order of a patient's hospital stays within a year is not known; "
    "those of one patient are in one split. Figures count hospital stays, and intervals resample them.",
    "Every hospital stay begins on 1 January of the year in which it ended; clock and distances are real.",
    "Site is the hospital's number. Birth is computed from the age, with half a year added; '> 89' is 90.",
    f"{LABEL}: asked 24 hours after the first admission to a unit that the tables hold, of those who are in hospital "
    "then; 'died' if the hospital stay ended in death.",
    "A laboratory value is in the unit that its interface states, not in the one of the name: ionised calcium of 1.1 "
    "is in mmol/L where the name's unit says mg/dL.",
    "A laboratory value is at the time when it was drawn, as eICU has it: its result came somewhat later.",
    "No laboratory value has a reference range: the tables hold none. Give --ranges.",
    "A diagnosis is where it was entered, whatever it is called; activeupondischarge is the future's and not read.",
    "A drug is where it was started, or ordered if that is later. HICL numbers are First Databank's.",
)
_EVENT: Final = ("subject_id", "time", "code", "numeric_value", "text_value", "ref_low", "ref_high")
_NAMES: Final = r"^[A-Za-z0-9' ()%.,/&+-]{1,40}$"


def import_eicu(
    source: str | Path, out: str | Path, *, ranges: str | Path | None = None, max_bad: MaxBad = DEFAULT
) -> ImportReport:
    """Write a cohort from the tables of eICU.

    Args:
        source: Folder of the tables, .csv, .csv.gz or .parquet, names in any case.
        out: Folder of the cohort to make or to replace.
        ranges: A table of reference ranges, see `reference_ranges`.
        max_bad: How many broken rows are borne.

    Returns:
        What was read, kept, changed, refused and dropped; also in `metadata/import_report.json`.

    Raises:
        InputError: If a table is missing or not readable, or too many rows are refused.
    """
    root = Path(source)
    if not root.is_dir():
        raise InputError("there is no such folder", path=root, remedy=REMEDY)
    report = ImportReport(KIND, refused=Refused(max_bad, root), choices=list(CHOICES))
    given = [] if ranges is None else [Path(ranges).resolve()]
    names = ("patient", *(table.name for table in TABLES))
    key = {
        "kind": KIND,
        "source": str(root.resolve()),
        "files": stamps([file for name in names for file in find([root], name)], root),
        "ranges": [[str(file), stamps([file], file.parent)] for file in given if file.is_file()],
        "rows": ROWS_A_SHARD,
    }
    with resumed(out, key) as parts, atomic_directory(out, marker=meds.MARKER) as folder:
        own = None if ranges is None else read_ranges(ranges)
        stays = read_stays(root, report)
        report.not_read = sorted(p.name for p in root.iterdir() if table_name(p) not in names)
        staged = _stage_all(root, parts, stays, report)
        for name in ("data", "metadata"):
            (folder / name).mkdir()
        for shard, place in enumerate(_shards(staged, parts, stays, own, report)):
            bring(place, folder / "data" / f"{shard}.parquet")
        sites = dict(stays.table.select("subject_id", "site").iter_rows())
        report.written = {"hospital stays": len(sites), **kinds_of_events(folder)}
        report.sites = dict(Counter(sites.values()).most_common())
        labels = {LABEL: stays.labels}
        count_labels(report, labels)
        stays.groups.write_parquet(folder / meds.GROUPS_FILE)
        text = json.dumps(report.to_dict(), indent=2, ensure_ascii=False) + "\n"
        (folder / meds.REPORT_FILE).write_text(text, encoding="utf-8")
        step("checking")
        meds.write_meds(
            folder, events=None, codes=_codes(staged, stays), splits=deal(labels, sites, stays.groups), labels=labels,
            metadata={"dataset_name": "eICU", "location_uri": "https://eicu-crd.mit.edu", "mhdiff": {"kind": KIND}},
        )  # fmt: skip
    return report


def _stage_all(root: Path, parts: Parts, stays: Stays, report: ImportReport) -> list[Path]:
    """Make the parts that are of a table each; give their files."""
    found: list[tuple[Path, Table]] = []
    for table in TABLES:
        files = find([root], table.name)
        if not files:
            report.changed.add(f"table {table.name}: not there")
        found += [(file, table) for file in files]
    if not found:
        raise InputError("there is no table of events", path=root, remedy=REMEDY)
    makes = [
        (f"staged/{number}.parquet", partial(_stage, file, table, stays, report))
        for number, (file, table) in enumerate(found)
    ]
    step("reading the tables")
    with parts.make_all(makes) as made:
        for done, account in enumerate(made, 1):
            account.into(report, root)
            step(f"read {done} of {len(makes)} files", done / len(makes))
    return [parts.path(name) for name, _ in makes]


def _stage(
    file: Path, table: Table, stays: Stays, whole: ImportReport, target: Path, account: Account
) -> None:
    """Write what becomes events of a table, and count its rows."""
    rows = scan(file)
    need(file, rows.collect_schema().names(), table.needed)
    every = target.with_name(target.name + ".every")
    with reading(file):
        stage(rows, table, stays.table).sink_parquet(every)
    _account(every, file, table, account.report(whole)).sink_parquet(target)
    every.unlink()


def _account(place: Path, file: Path, table: Table, report: ImportReport) -> pl.LazyFrame:
    """Count a staged table, and give what becomes events of it."""
    rows = pl.scan_parquet(place)
    keys = (
        rows.select("row", "id").unique("row", keep="first", maintain_order=True).collect(engine="streaming")
    )
    report.read[f"{table.name} rows"] = report.read.get(f"{table.name} rows", 0) + keys.height
    report.refused.read(file, keys.height)
    again = keys.filter(pl.col("id").is_not_null() & ~pl.col("id").is_first_distinct())["row"]
    report.refused.add_lines("the key is there twice", file, again, table.id, remedy="Keep one row a key")
    bad = (
        rows.filter(pl.col("reason").is_not_null())
        .select("reason", "column", "row", "stated")
        .collect(engine="streaming")
    )
    bad = bad.filter(~pl.col("row").is_in(again.implode())).sort("row")
    for reason, column in bad.select("reason", "column").unique(maintain_order=True).iter_rows():
        lines = bad.filter(pl.col("reason") == reason, pl.col("column") == column)["row"].unique(
            maintain_order=True
        )
        report.refused.add_lines(
            reason, file, lines, column, remedy="Correct the row, or see whether its columns are shifted"
        )
    report.refused.check()
    whole = rows.filter(pl.col("reason").is_null(), ~pl.col("row").is_in(again.implode()))
    for column, tally in (("out", report.dropped), ("changed", report.changed)):
        kept = whole if column == "out" else whole.filter(pl.col("out").is_null())
        counted = (
            kept.filter(pl.col(column).is_not_null()).group_by(column).agg(pl.len(), pl.col("row").min())
        )
        for what, n, row in counted.sort(column).collect(engine="streaming").iter_rows():
            tally.add(f"{table.name}: {what}", row, n)
    units = bad["stated"].drop_nulls().value_counts()
    report.name("units that are not known", presentable(dict(units.iter_rows())))
    names = whole.filter(pl.col("name").is_not_null()).group_by("name").len().collect(engine="streaming")
    report.name(
        "laboratory names without a LOINC code", presentable(dict(names.iter_rows()), _NAMES, most=60)
    )
    return whole.filter(pl.col("out").is_null())


def _shards(
    staged: list[Path], parts: Parts, stays: Stays, ranges: pl.DataFrame | None, report: ImportReport
) -> list[Path]:
    """Make the parts that are shards of whole subjects; give their files."""
    subjects = stays.table["subject_id"].unique().sort()
    total = sum(pl.scan_parquet(place).select(pl.len()).collect().item() for place in staged)
    shards = min(max(1, -(-total // ROWS_A_SHARD)), len(subjects))
    size = -(-len(subjects) // shards)
    makes = [
        (
            f"data/{shard}.parquet",
            partial(_write_shard, staged, stays, subjects[shard * size : (shard + 1) * size], ranges),
        )
        for shard in range(shards)
    ]
    step("writing the shards")
    with parts.make_all(makes) as made:
        for done, account in enumerate(made, 1):
            account.into(report, report.refused.root)
            step(f"wrote {done} of {shards} shards", done / shards)
    return [parts.path(name) for name, _ in makes]


def _write_shard(
    staged: list[Path],
    stays: Stays,
    subjects: pl.Series,
    ranges: pl.DataFrame | None,
    target: Path,
    account: Account,
) -> None:
    own = pl.col("subject_id").is_in(subjects.implode())
    found = [pl.scan_parquet(place).filter(own).collect(engine="streaming") for place in staged]
    events = pl.concat([stays.events.filter(own), *found], how="diagonal")
    same = ("subject_id", "time", "code", "numeric_value")
    twice = ~pl.struct(*same).is_first_distinct()
    if n := events.filter(twice).height:
        account.dropped.add("event: the same subject, time, code and value again", n=n)
    empty = (pl.lit(None, pl.Float64).alias(name) for name in ("ref_low", "ref_high"))
    events = events.filter(~twice).with_columns(*empty, text_value=pl.lit(None, pl.String))
    if ranges is not None:
        people = stays.table.unique("subject_id", keep="first").select("subject_id", "gender", "born")
        events = fill_ranges(events.join(people, on="subject_id", how="left", maintain_order="left"), ranges)
    meds.write_events(target, events.select(_EVENT))


def _codes(staged: list[Path], stays: Stays) -> pl.DataFrame:
    """Describe every code; a LOINC code with a unit has the bare one as its parent."""
    wanted = ("code", "base", "unit", "description")
    described = [
        pl.scan_parquet(place)
        .group_by("code")
        .agg(pl.col(c).drop_nulls().first() for c in wanted[1:])
        .collect()
        for place in staged
    ]
    names = {"MEDS_BIRTH": "Birth", "MEDS_DEATH": "Death", "GENDER//F": "Female", "GENDER//M": "Male"}
    fixed = stays.events.select(pl.col("code").unique().sort())
    said = pl.col("code").replace_strict(names, default=pl.col("code").str.replace("//", ": ", literal=True))
    parent = pl.when(pl.col("base").str.starts_with("LOINC/")).then(pl.concat_list("base"))
    table = pl.concat([fixed.with_columns(description=said), *described], how="diagonal")
    if "base" not in table.columns:
        return meds.conform(table, meds.CODES)
    return meds.conform(table.with_columns(parent_codes=parent).unique("code", keep="first"), meds.CODES)
