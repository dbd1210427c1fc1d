"""The last step: shards, volumes, codes, labels and splits put together as one cohort folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import polars as pl

from mhdiff.cohort import imported, meds
from mhdiff.cohort import splits as dealing
from mhdiff.cohort.import_report import ImportReport
from mhdiff.cohort.resumed import Parts
from mhdiff.cohort.shards import kinds_of_events, used_codes
from mhdiff.cohort.source_files import bring
from mhdiff.cohort.uk_biobank import fields as f
from mhdiff.cohort.uk_biobank.volumes import MEMBERS
from ontology.files import atomic_directory, sha256
from ontology.progress import step

LABELS: Final = "ukb_dementia"
CHOICES: Final = (
    "Days have no time of day: what was measured or asked at a visit is at the end of its day, and so are diagnoses.",
    "Dates that stand for an unknown one (1900-01-01, 1909-09-09, 2037-07-07 ...) are no dates.",
    "Site is the centre of the first visit with imaging, else of the first visit.",
    "A blood value has a unit and no reference range: UK Biobank publishes none. Give --ranges.",
    "A birth is at the beginning of its month.",
    "ukb_dementia: AD, other dementia or MCI-like within three years of the scan by hospital, death and algorithmic "
    "records; nobody was examined for it. See docs/uk-biobank.md.",
    "The record ends with the last diagnosis of anybody; England, Scotland and Wales in truth end on different days.",
)
_FIXED: Final = {
    meds.BIRTH: "Birth, at the beginning of its month",
    "MEDS_DEATH": "Death",
    "GENDER//F": "Female",
    "GENDER//M": "Male",
    MEMBERS["T1"]: "MRI of the brain, T1",
    MEMBERS["T1_brain"]: "MRI of the brain, T1, without the skull",
    **{f"UKB_OUTCOME//{field}": f"{what}, as algorithmically defined" for field, what in f.OUTCOMES.items()},
}


def finish(
    parts: Parts, subjects: list[int], shards: int, out: Path, root: Path, report: ImportReport
) -> None:
    """Write the cohort's folder from the finished parts.

    Args:
        parts: The parts.
        subjects: All participants.
        shards: Number of shards.
        out: Folder of the cohort.
        root: Folder of the source.
        report: The report, which gets its last counts.
    """
    step("putting the cohort together")
    scans = pl.concat([pl.read_parquet(parts.path(f"scans/{n}.parquet")) for n in range(shards)])
    labels = pl.concat([pl.read_parquet(parts.path(f"labels/{n}.parquet")) for n in range(shards)])
    groups = _groups(parts.folder, scans, subjects, report)
    with atomic_directory(out, marker=meds.MARKER) as folder:
        for name in ("data", "metadata", "images"):
            (folder / name).mkdir()
        for number in range(shards):
            bring(parts.path(f"data/{number}.parquet"), folder / "data" / f"{number}.parquet")
        for path in scans["path"]:
            bring(parts.path(path), folder / path)
        groups.write_parquet(folder / meds.GROUPS_FILE)
        sites = _sites(folder)
        _count(folder, subjects, sites, labels, report)
        text = json.dumps(report.to_dict(), indent=2, ensure_ascii=False) + "\n"
        (folder / meds.REPORT_FILE).write_text(text, encoding="utf-8")
        meds.write_meds(
            folder, events=None, codes=_codes(folder), splits=imported.deal({LABELS: labels}, sites, groups),
            labels={LABELS: labels} if labels.height else {},
            metadata={
                "dataset_name": root.resolve().name,
                "license": "UK Biobank Material Transfer Agreement",
                "location_uri": "https://www.ukbiobank.ac.uk",
                "mhdiff": {"kind": report.kind},
            },
        )  # fmt: skip


def _groups(folder: Path, scans: pl.DataFrame, subjects: list[int], report: ImportReport) -> pl.DataFrame:
    """Unite participants that share a volume, byte for byte: only those of one size can."""
    sizes = [(folder / path).stat().st_size for path in scans["path"]]
    alike = scans.with_columns(bytes=pl.Series(sizes, dtype=pl.Int64)).filter(pl.col("bytes").is_duplicated())
    pairs = [
        (subject, sha256(folder / path)) for subject, path in alike.select("subject_id", "path").iter_rows()
    ]
    groups = dealing.unite(subjects, pairs)
    if shared := int(groups["group"].is_duplicated().sum()):
        report.changed.add("participants that share a volume, kept in one split", n=shared)
    return groups


def _sites(folder: Path) -> dict[int, str]:
    named = pl.scan_parquet(folder / "data" / "*.parquet").filter(pl.col("code").str.starts_with("SITE//"))
    rows = named.select("subject_id", pl.col("code").str.strip_prefix("SITE//")).collect(engine="streaming")
    return dict(rows.sort("subject_id").iter_rows())


def _count(
    folder: Path, subjects: list[int], sites: dict[int, str], labels: pl.DataFrame, report: ImportReport
) -> None:
    report.written = {"participants": len(subjects), **kinds_of_events(folder)}
    report.choices = list(CHOICES)
    counted = pl.Series(list(sites.values())).value_counts(name="n").sort("n", descending=True)
    report.sites = dict(counted.iter_rows())
    grouped = labels.group_by("categorical_value").agg(pl.len(), pl.col("subject_id").n_unique())
    for value, samples, patients in grouped.sort("categorical_value").iter_rows():
        report.labels.setdefault(LABELS, {})[value] = {"samples": samples, "patients": patients}


def _codes(folder: Path) -> pl.DataFrame:
    """Describe every code of the events."""
    numbers = {f"{f.code_of(field)}//{kind.unit}": kind for field, kind in f.NUMBERS.items()}
    rows = []
    for code in used_codes(folder):
        base, _, rest = code.partition("//")
        parents, unit, text = None, None, _FIXED.get(code)
        if code in numbers:
            text, unit = f"{numbers[code].description}, {numbers[code].unit}", numbers[code].unit
            parents = [base] if base.startswith("LOINC/") else None
        elif base.startswith("UKB/"):
            text = f"{f.CHOICES[int(base.removeprefix('UKB/'))][0]}: {rest.lower().replace('_', ' ')}"
        elif base == "UKB_VISIT":
            text = f"Visit of an assessment centre, instance {rest}"
        rows.append((code, text or code.replace("//", ": "), parents, unit))
    schema = {name: meds.CODES[name] for name in ("code", "description", "parent_codes", "unit")}
    return pl.DataFrame(rows, schema=schema, orient="row")
