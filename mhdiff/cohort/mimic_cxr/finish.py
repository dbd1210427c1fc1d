"""The last step: shards, images, codes, labels and splits put together as one cohort folder."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import polars as pl

from mhdiff.cohort import imported, meds
from mhdiff.cohort import splits as dealing
from mhdiff.cohort.account import Account
from mhdiff.cohort.import_report import ImportReport
from mhdiff.cohort.mimic_cxr import labels, radiographs, reports, stays
from mhdiff.cohort.mimic_cxr.hospital import icd
from mhdiff.cohort.mimic_cxr.labitems import Items
from mhdiff.cohort.mimic_cxr.sources import Sources
from mhdiff.cohort.resumed import Parts
from mhdiff.cohort.shards import kinds_of_events, used_codes
from mhdiff.cohort.source_files import bring
from mhdiff.cohort.typed import refused, typed
from mhdiff.cohort.unknown_units import name_unknown_units
from ontology.files import atomic_directory, sha256
from ontology.progress import step

SPLITS: Final = ("ours", "official")
OFFICIAL: Final = {"train": "train", "validate": "tuning", "test": "held_out"}
_OFFICIAL_FILE = "metadata/official_splits.parquet"
CHOICES: Final = (
    "In the cohort is who has a radiograph; MIMIC-IV's rows of other subjects are not read.",
    "An image is at its StudyDate and StudyTime. A label and a prediction are at the time of the study's last image.",
    "A report's indication, history, comparison, technique and examination are at the study's first image; findings, "
    "impression and whatever else may have been concluded from the images a microsecond after its last, so that no "
    "study reads its own conclusions.",
    "Labels are as CheXpert and NegBio state them: positive, negative, uncertain or blank; what the last two count "
    "as is said by the task.",
    "De-identification marks (___) are left out of texts.",
    "A laboratory value stands at the time when its result was stored, a diagnosis at the discharge, a procedure at "
    "the end of its day, a birth at the beginning of anchor_year - anchor_age.",
    "Units are spelled as UCUM has them and never converted; a unit is part of the code. A value's reference range is "
    "the laboratory's own.",
    "Days are shifted by subject: the calendar says nothing, and a split by date means nothing.",
)
_FIXED: Final = {
    "MEDS_BIRTH": "Birth, at the beginning of the year that anchor_year and anchor_age state",
    "MEDS_DEATH": "Death",
    "GENDER//F": "Female",
    "GENDER//M": "Male",
    "IMAGE//CXR//PA": "Radiograph of the chest, PA",
    "IMAGE//CXR//AP": "Radiograph of the chest, AP",
    "IMAGE//CXR//LATERAL": "Radiograph of the chest, lateral",
    "IMAGE//CXR//OTHER": "Radiograph of the chest, view not stated or another one",
    **reports.DESCRIPTIONS,
}
_WORDS: Final = {
    "SITE": "Site", "RACE": "Race", "HOSPITAL_ADMISSION": "Admission to hospital", "ICU_DISCHARGE": "Leaves the ICU",
    "HOSPITAL_DISCHARGE": "Discharge from hospital", "ICU_ADMISSION": "Enters the ICU",
}  # fmt: skip
_DICTIONARIES: Final = {"d_icd_diagnoses": False, "d_icd_procedures": True}


def finish(
    sources: Sources, parts: Parts, items: Items, split: str, shards: int, out: Path, report: ImportReport
) -> None:
    """Write the cohort's folder from the finished parts.

    Args:
        sources: Where the tables are.
        parts: The parts.
        items: What laboratory items are.
        split: One of `SPLITS`.
        shards: Number of shards.
        out: Folder of the cohort.
        report: The report, which gets its last counts.
    """
    step("putting the cohort together")
    placed = pl.concat([pl.read_parquet(parts.path(f"placed/{n}.parquet")) for n in range(shards)])
    subjects = pl.read_parquet(parts.path("radiographs.parquet"))["subject_id"].unique().sort().to_list()
    tables = _labels(parts, sources, placed, report)
    groups = _groups(parts.folder, placed, subjects, report)
    official = _official(sources, report)
    titles = _titles(sources, report)
    with atomic_directory(out, marker=meds.MARKER) as folder:
        for name in ("data", "metadata"):
            (folder / name).mkdir()
        for number in range(shards):
            bring(parts.path(f"data/{number}.parquet"), folder / "data" / f"{number}.parquet")
        images = placed.drop_nulls("path")
        for path in images["path"]:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            bring(parts.path(path), folder / path)
        images.write_parquet(folder / "metadata/images.parquet")
        groups.write_parquet(folder / meds.GROUPS_FILE)
        if official is not None:
            official.write_parquet(folder / _OFFICIAL_FILE)
        stored = _stored(subjects, tables, groups, official if split == "official" else None, report)
        codes = _codes(folder, titles, items)
        _count(folder, subjects, items, report, sources)
        text = json.dumps(report.to_dict(), indent=2, ensure_ascii=False) + "\n"
        (folder / meds.REPORT_FILE).write_text(text, encoding="utf-8")
        meds.write_meds(
            folder, events=None, codes=codes, splits=stored, labels=tables,
            metadata={
                "dataset_name": "mimic-cxr",
                "license": "PhysioNet Credentialed Health Data License 1.5.0",
                "location_uri": "https://physionet.org/content/mimic-cxr-jpg/",
                "mhdiff": {"kind": report.kind},
            },
        )  # fmt: skip


def _labels(
    parts: Parts, sources: Sources, placed: pl.DataFrame, report: ImportReport
) -> dict[str, pl.DataFrame]:
    usable = pl.col("path").is_not_null() & pl.col("view").is_in(radiographs.FRONTAL)
    studies = placed.group_by("subject_id", "study_id").agg(last=pl.col("time").max(), frontal=usable.any())
    made: dict[str, pl.DataFrame] = {}
    for labeller in labels.LABELLERS:
        if labeller in sources.tables:
            rows = pl.read_parquet(parts.path(f"staged/{labeller}.parquet"))
            made |= labels.frames(rows, studies, labeller, report)
    return made


def _groups(folder: Path, placed: pl.DataFrame, subjects: list[int], report: ImportReport) -> pl.DataFrame:
    """Unite subjects that share an image, byte for byte; only images of one size can be the same."""
    images = placed.drop_nulls("path")
    alike = images.filter(pl.col("bytes").is_duplicated())
    pairs = [
        (subject, sha256(folder / path)) for subject, path in alike.select("subject_id", "path").iter_rows()
    ]
    groups = dealing.unite(subjects, pairs)
    if shared := int(groups["group"].is_duplicated().sum()):
        report.changed.add("subjects that share an image, kept in one split", n=shared)
    return groups


def _official(sources: Sources, report: ImportReport) -> pl.DataFrame | None:
    """The published split of each subject; rows that name none are refused."""
    if "split" not in sources.tables:
        return None
    columns = {"subject_id": pl.Int64(), "split": pl.String()}
    rows = typed(sources.tables["split"], columns, tuple(columns), tuple(columns)).collect()
    sound = _sound(rows, sources, "split", columns, report)
    known = sound.filter(pl.col("split").is_in(list(OFFICIAL)))
    strange = sound.filter(~pl.col("split").is_in(list(OFFICIAL)))
    if strange.height:
        account = Account()
        reason = f"the split is none of {', '.join(OFFICIAL)}"
        account.refuse(reason, sources.name("split"), strange["row"][0], "split", strange.height)
        account.into(report, sources.root)
    return (
        known.select("subject_id", pl.col("split").replace_strict(OFFICIAL, return_dtype=pl.String))
        .unique()
        .sort("subject_id")
    )


def _sound(
    rows: pl.DataFrame, sources: Sources, name: str, columns: Mapping[str, pl.DataType], report: ImportReport
) -> pl.DataFrame:
    """Refuse the rows of a small table that `typed` found broken; give the others."""
    account, table = Account(), sources.name(name)
    account.rows[table] += rows.height
    refused(rows.lazy(), table, account, columns)
    account.into(report, sources.root)
    return rows.filter(pl.col("bad").is_null())


def _stored(
    subjects: list[int],
    tables: dict[str, pl.DataFrame],
    groups: pl.DataFrame,
    official: pl.DataFrame | None,
    report: ImportReport,
) -> pl.DataFrame:
    if official is not None:
        own = official.filter(pl.col("subject_id").is_in(subjects))
        several = own["subject_id"].is_duplicated()
        one = own.filter(~several)
        if missing := len(subjects) - one.height:
            report.changed.add("subjects in several or no official splits, put into train", n=missing)
        rows = pl.DataFrame({"subject_id": subjects}).join(one, on="subject_id", how="left")
        return rows.with_columns(pl.col("split").fill_null("train"))
    name = f"{labels.LABELLERS[0]}_pneumonia"
    first = {name: tables[name]} if name in tables else {}
    return imported.deal(first, dict.fromkeys(subjects, stays.SITE), groups)


def _codes(folder: Path, titles: Mapping[str, str], items: Items) -> pl.DataFrame:
    """Describe every code of the events."""
    named = dict(items.table.select("base", "description").unique("base", keep="first").iter_rows())
    rows = []
    for code in used_codes(folder):
        base, _, unit = code.partition("//")
        kind = base if base in _WORDS else ""
        lab = base.startswith(("LOINC/", "MIMIC_LABITEM/"))
        text = _FIXED.get(code) or titles.get(code) or (f"{_WORDS[kind]}: {unit.lower()}" if kind else None)
        if lab:
            text = named.get(base, "Laboratory item") + (f", {unit}" if unit else "")
        parents = [base] if lab and unit and base.startswith("LOINC/") else None
        rows.append((code, text or base, parents, unit if lab and unit else None))
    schema = {name: meds.CODES[name] for name in ("code", "description", "parent_codes", "unit")}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _titles(sources: Sources, report: ImportReport) -> dict[str, str]:
    """The titles of the dictionaries of ICD codes."""
    made: dict[str, str] = {}
    columns = {"icd_code": pl.String(), "icd_version": pl.Int64(), "long_title": pl.String()}
    for name, procedure in _DICTIONARIES.items():
        if name in sources.tables:
            every = typed(sources.tables[name], columns, tuple(columns)).collect()
            rows = _sound(every, sources, name, columns, report)
            code = icd(pl.col("icd_code"), pl.col("icd_version"), procedure=procedure)
            made |= dict(rows.select(code.alias("code"), "long_title").drop_nulls().iter_rows())
    return made


def _count(folder: Path, subjects: list[int], items: Items, report: ImportReport, sources: Sources) -> None:
    report.written = {
        "patients": len(subjects),
        "shards": len(os.listdir(folder / "data")),
        **kinds_of_events(folder),
    }
    report.sites = {stays.SITE: len(subjects)}
    report.choices = list(CHOICES)
    if "labevents" in sources.tables:
        name_unknown_units(_numbers(folder), report)
    if "d_labitems" in sources.tables:
        report.read["laboratory items"] = items.table.height
        report.read["of them with a LOINC code"] = items.by_code


def _numbers(folder: Path) -> pl.DataFrame:
    """Give unit and n, how many numbers are in it, of every laboratory code that has one."""
    labs = pl.col("code").str.contains(r"^(LOINC|MIMIC_LABITEM)/[^/]+//")
    rows = pl.scan_parquet(folder / "data" / "*.parquet").filter(labs, pl.col("numeric_value").is_not_null())
    counts = rows.group_by("code").agg(n=pl.len()).collect(engine="streaming")
    return counts.select("n", unit=pl.col("code").str.replace("^[^/]+/[^/]+//", ""))
