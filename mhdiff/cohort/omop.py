"""OMOP common data model, CDM 5.3 and 5.4, as a folder of CSV or Parquet, or in a database -> MEDS.

Each table streams through two steps, and none is ever in memory as a whole: its rows are dealt to shards of whole
persons, and shards are made events (codes from CONCEPT), sorted and written one at a time (`omop_shards`). The memory
is that of one shard, of PERSON, and of the concepts that are in use. A database's tables become such a folder
first, batch by batch (`omop_export`).
"""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import polars as pl

from mhdiff.cohort import meds, splits
from mhdiff.cohort.from_meds.images import FILES, read_images
from mhdiff.cohort.gzip_files import check_gzip
from mhdiff.cohort.import_report import ImportReport
from mhdiff.cohort.omop_account import told
from mhdiff.cohort.omop_dealt import BAD, NOBODY, Deal, deal
from mhdiff.cohort.omop_events import code_of
from mhdiff.cohort.omop_export import Exported, exported
from mhdiff.cohort.omop_people import describe_static, name_unknown, read_people
from mhdiff.cohort.omop_places import placed
from mhdiff.cohort.omop_refused import refuse, shared_keys
from mhdiff.cohort.omop_shards import Make, make
from mhdiff.cohort.omop_sql import is_url
from mhdiff.cohort.omop_tables import OTHERS, STAGED, TABLES, VOCABULARY, refuse_bad, stage, whole
from mhdiff.cohort.reference_ranges import read_ranges
from mhdiff.cohort.refused import DEFAULT, MaxBad, Refused
from mhdiff.cohort.resumed import Parts, resumed
from mhdiff.cohort.source_files import bring
from mhdiff.cohort.table_files import find, need, reading, scan, table_name
from mhdiff.cohort.unknown_units import name_unknown_units
from mhdiff.mapped import Mapper, here
from ontology.errors import InputError
from ontology.files import atomic_directory
from ontology.progress import step

KIND = "omop"
FOLDS, SEED = 5, 0
ROWS_A_SHARD = 1_000_000  # what is sorted at once, by each of two: some half GiB
PEOPLE_AT_ONCE = 1 << 14
TWO_AT_ONCE: Mapper = partial(here, workers=2)
CHOICES = (
    "A row without a time of day, or at midnight, which is how OMOP writes that, is put at the last microsecond of its "
    "day: a prediction at noon must not see what may have been found in the evening.",
    "The code of an event is its standard concept; the source concept is in the column source_code, and "
    "metadata/codes.parquet says of a source code which standard ones are its parents.",
    "A measurement's code holds its unit, so that units never mix. No unit is converted.",
    "A measurement without a reference range has none, and then no graph calls it high or low: give --ranges.",
    "The first possible day stands for an unknown day or month of birth, so that no event comes before it.",
    "Two ids of one day of birth and sex whose records agree in a tenth or more are one person, kept in one split.",
    "Rows outside observation periods are kept.",
)
_FIXED = {
    "OBSERVATION_PERIOD//START": "Start of an observation period",
    "OBSERVATION_PERIOD//END": "End of an observation period",
    "VISIT//END": "End of a visit",
    "VISIT_DETAIL//END": "End of a part of a visit",
    "MEDS_DEATH": "Death",
    "NOTE//UNCLASSIFIED": "Note without a class",
}


def import_omop(
    source: str | Path,
    out: str | Path,
    *,
    ranges: str | Path | None = None,
    schema: str | None = None,
    images: str | Path | None = None,
    on: Mapper = TWO_AT_ONCE,
    max_bad: MaxBad = DEFAULT,
) -> ImportReport:
    """Write a cohort from the tables of a CDM.

    Args:
        source: Folder of the tables; CONCEPT lies there, or in a folder `vocabulary` in or beside it. Or the SQLAlchemy
            URL of a database that holds them all.
        out: Folder of the cohort to make or to replace.
        ranges: A table of reference ranges, see `reference_ranges`.
        schema: Schemas of the database where tables are looked for, with commas between; None for the default one.
        images: A table of images with the columns person_id, time, path and modality, see `from_meds.images`.
        on: What runs the steps for each file and each shard, see `mhdiff.mapped`; the result is the same to the byte.
        max_bad: How many broken rows are borne.

    Returns:
        What was read, kept, changed and dropped; also in `metadata/import_report.json`.

    Raises:
        InputError: If a table is missing or not readable, or too many rows hold a value that is not of its column's
            type.
    """
    schemas = tuple(name.strip() for name in (schema or "").split(",") if name.strip())
    given = [Path(file) for file in (ranges, images) if file is not None]
    key = {
        "kind": KIND,
        "rows": ROWS_A_SHARD,
        "with": [str(f.absolute()) for f in given],
        "stamps": _stamps(given),
    }
    if is_url(source):
        with exported(str(source), out, schemas, key) as found:
            return _import(found.folder, out, found.parts, ranges, images, on, max_bad, found)
    root = Path(source)
    if schemas:
        raise InputError("a folder has no schemas", remedy="--schema is for a database: leave it out")
    if not root.is_dir():
        raise InputError(
            "there is no such folder",
            path=None
            if "@" in str(root)
            else root,  # of a URL without its colon, and perhaps with a password
            remedy="Give the folder with the tables of the CDM, or the SQLAlchemy URL of a database",
        )
    names = sorted({*(table.name for table in TABLES), *OTHERS, *VOCABULARY})
    files = [file for name in names for file in find(_vocabulary_folders(root), name)]
    with resumed(out, key | {"source": str(root.resolve()), "files": _stamps(files)}) as parts:
        return _import(root, out, parts, ranges, images, on, max_bad)


def _stamps(files: list[Path]) -> list[list[int | str]]:
    """Give size and time of change, by which a changed source is noticed."""
    held = [file.absolute() for file in files if file.is_file()]
    return [[file.as_posix(), file.stat().st_size, file.stat().st_mtime_ns] for file in held]


def _import(
    root: Path,
    out: str | Path,
    parts: Parts,
    ranges: str | Path | None,
    images: str | Path | None,
    on: Mapper,
    max_bad: MaxBad,
    database: Exported | None = None,
) -> ImportReport:
    report = ImportReport(KIND, refused=Refused(max_bad, root), choices=list(CHOICES))
    own = None if ranges is None else read_ranges(ranges)
    if database is not None:
        report.refused.names, report.not_read = database.names(), database.others
    people = read_people([root], report)
    if database is None:
        _not_read(root, report)
    with atomic_directory(out, marker=meds.MARKER) as target:
        folder, work = parts.path("made"), parts.path("made/.work")
        work.mkdir(parents=True, exist_ok=True)
        deals = _files(root, work)
        table = placed(people.table, deals, ROWS_A_SHARD)
        # In the order of the shards, so that each of them reads its own.
        by_shard = table.sort("shard", maintain_order=True)
        by_shard.write_parquet(work / "people.parquet", row_group_size=PEOPLE_AT_ONCE)
        if own is not None:
            own.write_parquet(work / "ranges.parquet")
        _deal_all(deals, report.refused, on)
        step("looking for keys that are there twice")
        shared = shared_keys(deals)
        shared.write_parquet(work / "shared.parquet")
        concepts = _concepts(root, _used(deals) | people.concepts)
        concepts.write_parquet(work / "concepts.parquet")
        name_unknown(table, concepts, report)
        (folder / "metadata").mkdir(exist_ok=True)
        added, files = _images(images, table, parts, folder, report)
        held = work / "images.parquet"
        if held.is_file() and not pl.read_parquet(held).equals(added):
            shutil.rmtree(work / "told", ignore_errors=True)  # what shards there are hold other images
        added.write_parquet(held)
        made = _make_all(folder, deals, table, on)
        pairs = _told(made, "pairs").rows()
        keys = [(s, f"image {digest}") for s, digest in files.select("subject_id", "sha256").iter_rows()]
        keys += [(s, f"ids {one} {other}") for one, other in pairs for s in (one, other)]
        groups = splits.unite(table["subject_id"].to_list(), keys)
        if pairs:
            report.changed.add(
                "persons that are one under two ids, kept in one split", n=len({s for p in pairs for s in p})
            )
        groups.write_parquet(folder / meds.GROUPS_FILE)
        seen = meds.Seen(*(_told(made, name).to_series().unique() for name in ("used", "subjects")))
        described = _told(made, "codes").unique()
        codes = _codes(seen.codes, root, described, concepts, deals)
        name_unknown_units(_numbers(_told(made, "used"), described), report)
        counts = _told(made, "counts")
        refuse(counts, shared, deals, report.refused)
        kinds = told([counts], report)
        report.written = {"persons": table.height, "shards": int(table["shard"].max() or 0) + 1, **kinds}  # type: ignore[arg-type]
        text = json.dumps(report.to_dict(), indent=2, ensure_ascii=False) + "\n"
        (folder / meds.REPORT_FILE).write_text(text, encoding="utf-8")
        step("checking")
        meds.write_meds(
            folder, events=None, seen=seen, codes=codes, splits=_splits(table, groups), labels={},
            metadata={"dataset_name": database.name if database else root.resolve().name, "mhdiff": {"kind": KIND}},
        )  # fmt: skip
        # Linked and not moved: a killed import must find all that it had made.
        ours = shutil.ignore_patterns(".work")
        shutil.copytree(folder, target, dirs_exist_ok=True, copy_function=_link, ignore=ours)
    return report


def _link(place: str, target: str) -> None:
    bring(Path(place), Path(target))


def _not_read(root: Path, report: ImportReport) -> None:
    known = {*(t.name for t in TABLES), *OTHERS, *VOCABULARY, "vocabulary"}
    report.not_read = sorted(p.name for p in root.iterdir() if table_name(p) not in known)


def _images(
    file: str | Path | None, people: pl.DataFrame, parts: Parts, folder: Path, report: ImportReport
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Bring the images of a table into the cohort; give their events, and whose file is which."""
    if file is None:
        return pl.DataFrame(schema=meds.EVENTS), pl.DataFrame(schema=FILES)
    shutil.rmtree(folder / "images", ignore_errors=True)  # of a killed import, which had not reached its end
    subjects = set(people["subject_id"])
    events, files = read_images(Path(file), subjects, parts, folder, report, key="person_id")
    files.write_parquet(folder / "metadata" / "images.parquet")
    return events, files


def _files(root: Path, work: Path) -> list[Deal]:
    """Give every file of every table that is there, in the order of `TABLES`."""
    found = [(rank, file) for rank, table in enumerate(TABLES) for file in find([root], table.name)]
    packed = [file for file in dict.fromkeys(file for _, file in found) if file.suffix.lower() == ".gz"]
    list(TWO_AT_ONCE(check_gzip, packed))
    deals = [Deal(number, rank, file, work) for number, (rank, file) in enumerate(found)]
    if all(TABLES[one.rank].fixed for one in deals):
        raise InputError(
            "the folder holds no table of events", path=root,
            remedy="Put there at least one of: " + ", ".join(dict.fromkeys(t.name for t in TABLES if not t.fixed)),
        )  # fmt: skip
    return deals


def _deal_all(deals: list[Deal], refused: Refused, on: Mapper) -> None:
    """Deal every file; refuse rows with a bad value."""
    step("reading the tables")
    for done, _ in enumerate(on(deal, deals), 1):
        step(f"read {done} of {len(deals)} files", done / len(deals))
    first = {one.file: one for one in reversed(deals)}  # once a file, whatever kinds of rows it has
    for one in sorted(first.values(), key=lambda one: one.number):
        refuse_bad(one.rows(BAD), one.file, refused, more=one.rows().select(pl.len()).collect().item())


def _make_all(folder: Path, deals: list[Deal], people: pl.DataFrame, on: Mapper) -> list[Make]:
    """Write every shard, and account for the rows of nobody."""
    shards = [NOBODY, *people["shard"].unique().sort().to_list()]
    made = [Make(shard, folder, tuple(deals)) for shard in shards]
    step("writing the shards")
    for done, _ in enumerate(on(make, made), 1):
        step(f"wrote {done - 1} of {len(made) - 1} shards", done / len(made))
    return made


def _told(made: list[Make], what: str) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(one.told / f"{what}.parquet") for one in made])


def _numbers(used: pl.DataFrame, described: pl.DataFrame) -> pl.DataFrame:
    """Give unit and n, how many numbers are in it, of every code that has one."""
    whole = described.filter(pl.col("code").str.ends_with(pl.concat_str(pl.lit("//"), "unit")))
    return used.join(whole.select("code", "unit").unique(), on="code").select("unit", "n")


def _used(deals: list[Deal]) -> set[int]:
    names = [name for name in STAGED if name.endswith("concept")]
    used: set[int] = set()
    for one in deals:
        rows = one.rows()
        if one.file.suffix.lower() == ".parquet":  # gives its columns apart, and in half the time
            rows = stage(one.file, TABLES[one.rank]).filter(pl.col("bad").is_null())
        asked = [rows.select(pl.col(name).unique()) for name in names]
        with reading(one.file):
            for column in pl.collect_all(asked, engine="streaming"):  # all columns in one pass
                used.update(column.to_series().to_list())
    return used - {0}


def _vocabulary_folders(root: Path) -> list[Path]:
    beside = [p for place in (root, root.resolve().parent) for p in sorted(place.iterdir()) if p.is_dir()]
    return [root, *(p for p in beside if p.name.lower() in ("vocabulary", "vocabularies", "vocab"))]


def _concepts(root: Path, used: set[int]) -> pl.DataFrame:
    """Give concept_id, code and name of the concepts that are in use."""
    files = find(_vocabulary_folders(root), "concept")
    if not files:
        raise InputError(
            "there is no table 'concept'",
            path=root,
            remedy="Put the vocabulary tables into the folder, or into a folder 'vocabulary' in or beside it",
        )
    wanted = pl.LazyFrame({"concept_id": sorted(used)}, schema={"concept_id": pl.Int64})
    frames = []
    for file in files:
        step(f"reading {file.name}")
        rows = scan(file, plain=True)
        need(
            file,
            rows.collect_schema().names(),
            ("concept_id", "concept_name", "vocabulary_id", "concept_code"),
        )
        with reading(file):
            frames.append(
                rows.select(
                    whole("concept_id"),
                    code=code_of(
                        pl.col("vocabulary_id").cast(pl.String), pl.col("concept_code").cast(pl.String)
                    ),
                    name=pl.col("concept_name").cast(pl.String).str.strip_chars(),
                )
                .join(wanted, on="concept_id", how="semi")
                .collect(engine="streaming")
            )
    found = pl.concat(frames)
    if found["concept_id"].is_duplicated().any():
        twice = found.filter(pl.col("concept_id").is_duplicated()).sort("concept_id")["concept_id"][0]
        raise InputError(f"concept_id {twice} is there twice", path=files[0], remedy="Keep one row a concept")
    return found.sort("concept_id")


def _codes(
    used: pl.Series, root: Path, rows: pl.DataFrame, concepts: pl.DataFrame, deals: list[Deal]
) -> pl.DataFrame:
    """Describe every code of the events, and every source code, with its parents."""
    names = dict(concepts.select("code", "name").iter_rows())
    maps = _maps(root, concepts, deals)
    table: dict[str, dict[str, object]] = {}
    for code, base, unit in rows.select("code", "base", "unit").unique().sort("code").iter_rows():
        known = (
            names.get(base) or names.get(base.removeprefix("NOTE//").replace(":", "/", 1)) or _FIXED.get(base)
        )
        text = known or f"concept {base.removeprefix('OMOP/')}, not in CONCEPT"
        text += f", {unit}" if unit else ", not affirmed" if "//NOT_AFFIRMED//" in code else ""
        parents = maps.get(base) or ([base] if unit and "/" in base else None)
        if "//NOT_AFFIRMED//" in code:
            parents = None
        table[code] = {"code": code, "description": text, "parent_codes": parents, "unit": unit}
    for source, parents in (
        rows.drop_nulls("source_code")
        .group_by("source_code")
        .agg(pl.col("base").unique().sort())
        .sort("source_code")
        .iter_rows()
    ):
        meant = [code for code in parents if not code.startswith("NOTE//")]  # a note's type means no class
        table.setdefault(
            source,
            {"code": source, "description": names.get(source), "parent_codes": meant or None, "unit": None},
        )
    for code in used.to_list():
        description = (
            describe_static(code)
            or names.get(code)
            or f"concept {code.removeprefix('OMOP/')}, not in CONCEPT"
        )
        table.setdefault(code, {"code": code, "description": description, "parent_codes": None, "unit": None})
    return meds.conform(pl.DataFrame(list(table.values()), infer_schema_length=None), meds.CODES)


def _maps(root: Path, concepts: pl.DataFrame, deals: list[Deal]) -> dict[str, list[str]]:
    """Give the standard concepts of source concepts that stand alone in their row, by "Maps to"."""
    files = find(_vocabulary_folders(root), "concept_relationship")
    if not files:
        return {}
    alone: set[int] = set()
    for one in deals:
        rows = one.rows().filter(pl.col("concept") == 0, pl.col("source_concept") != 0)
        alone.update(rows.select(pl.col("source_concept").unique()).collect()["source_concept"].to_list())
    if not alone:
        return {}
    wanted = pl.LazyFrame({"one": sorted(alone)}, schema={"one": pl.Int64})
    pairs = []
    for file in files:
        rows = scan(file, plain=True)
        held = rows.collect_schema().names()
        need(file, held, ("concept_id_1", "concept_id_2", "relationship_id"))
        valid = (
            pl.col("invalid_reason").cast(pl.String).fill_null("").is_in(["", "V"])
            if "invalid_reason" in held
            else True
        )
        with reading(file):
            pairs.append(
                rows.filter(pl.col("relationship_id") == "Maps to", valid)
                .select(
                    one=whole("concept_id_1"),
                    two=whole("concept_id_2"),
                )
                .join(wanted, on="one", how="semi")
                .collect(engine="streaming")
            )
    found = pl.concat(pairs).filter(pl.col("one") != pl.col("two"))
    targets = _concepts(root, set(found["two"].to_list()))
    sources = concepts.select(one="concept_id", source="code")
    joined = found.join(sources, on="one").join(targets.select(two="concept_id", target="code"), on="two")
    return dict(joined.group_by("source").agg(pl.col("target").unique().sort()).iter_rows())


def _splits(people: pl.DataFrame, groups: pl.DataFrame) -> pl.DataFrame:
    """Deal the persons to train, tuning and held_out; tasks deal again, stratified by label, for folds."""
    samples = people.select("subject_id", "site", label=pl.lit(0, pl.Int64))
    if groups["group"].n_unique() < FOLDS:
        return samples.select("subject_id", pl.lit("train").alias("split"))
    return splits.assign(samples, f"fold:0/{FOLDS}", SEED, groups=groups).select("subject_id", "split")
