"""What adapters of a collection of images gather and write alike: events, labels, stored splits and counts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sized
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from mhdiff.cohort import meds, splits
from mhdiff.cohort.import_report import SMALL_CLASS, ImportReport

FOLDS, SEED = 5, 0


class Label(NamedTuple):
    """A label value at a prediction time."""

    subject: int
    time: datetime
    value: str


@dataclass
class Tables:
    """What is collected for `write_meds`."""

    events: list[tuple[int, datetime | None, str, float | None, str | None]] = field(default_factory=list)
    codes: dict[str, dict[str, Any]] = field(default_factory=dict)
    images: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self,
        subject: int,
        time: datetime | None,
        code: str,
        description: str,
        number: float | None = None,
        text: str | None = None,
        **more: Any,
    ) -> None:
        """Add an event, and its code where it is new."""
        self.codes.setdefault(code, {"code": code, "description": description, **more})
        self.events.append((subject, time, code, number, text))


def deal(labels: dict[str, list[Label]], sites: dict[int, str], groups: pl.DataFrame) -> pl.DataFrame:
    """Deal the patients to train, tuning and held_out, stratified by their first labels."""
    first: dict[int, str] = {}
    for name, given in labels.items():
        for label in given:
            first.setdefault(label.subject, f"{name}:{label.value}")
    kinds = {kind: i for i, kind in enumerate(sorted({*first.values(), "none"}))}
    samples = pl.DataFrame(
        [(subject, kinds[first.get(subject, "none")], site) for subject, site in sites.items()],
        schema={"subject_id": pl.Int64, "label": pl.Int64, "site": pl.String},
        orient="row",
    )
    if groups["group"].n_unique() < FOLDS:
        return samples.select("subject_id", pl.lit("train").alias("split"))
    return splits.assign(samples, f"fold:0/{FOLDS}", SEED, groups=groups).select("subject_id", "split")


def labels_frame(labels: list[Label]) -> pl.DataFrame:
    """Give labels as the table that `write_meds` takes."""
    rows = [(label.subject, label.time, label.value) for label in labels]
    schema = {name: meds.LABELS[name] for name in ("subject_id", "prediction_time", "categorical_value")}
    return pl.DataFrame(rows, schema=schema, orient="row")


def count(
    report: ImportReport,
    tables: Tables,
    patients: Sized,
    sites: dict[int, str],
    labels: dict[str, list[Label]],
) -> None:
    """Count in the report what is written."""
    kinds = Counter(event[2].split("//")[0].split("/")[0] for event in tables.events)
    report.written = {"patients": len(patients), **{f"{kind} events": n for kind, n in sorted(kinds.items())}}
    report.licences = dict(Counter(image["licence"] for image in tables.images).most_common())
    report.sites = dict(Counter(sites.values()).most_common())
    for name, given in labels.items():
        samples = Counter(label.value for label in given)
        people = Counter(value for _, value in {(label.subject, label.value) for label in given})
        report.labels[name] = {v: {"samples": samples[v], "patients": people[v]} for v in sorted(samples)}
        report.small_classes += [
            f"{name}: {v} ({people[v]})" for v in sorted(people) if people[v] < SMALL_CLASS
        ]


def write(
    folder: Path,
    report: ImportReport,
    tables: Tables,
    patients: Sized,
    sites: dict[int, str],
    labels: dict[str, list[Label]],
    groups: pl.DataFrame,
    licence: str,
    uri: str,
) -> None:
    """Write all tables of the cohort and its report; call it inside `atomic_directory(..., marker=meds.MARKER)`.

    Args:
        folder: The folder, whose `images` and `metadata` are there.
        report: The account of the import, which gets its counts.
        tables: Events, codes and images.
        patients: Those who are written.
        sites: Subject -> site.
        labels: Name -> labels.
        groups: Columns subject_id and group: subjects that share a split.
        licence: Of the collection.
        uri: Where it is published.
    """
    groups.write_parquet(folder / meds.GROUPS_FILE)
    pl.DataFrame(tables.images, infer_schema_length=None).write_parquet(folder / "metadata/images.parquet")
    count(report, tables, patients, sites, labels)
    text = json.dumps(report.to_dict(), indent=2, ensure_ascii=False) + "\n"
    (folder / meds.REPORT_FILE).write_text(text, encoding="utf-8")
    meds.write_meds(
        folder,
        events=pl.DataFrame(tables.events, schema=meds.EVENTS, orient="row"),
        codes=pl.DataFrame(list(tables.codes.values()), schema=meds.CODES),
        splits=deal(labels, sites, groups),
        labels={name: labels_frame(given) for name, given in labels.items()},
        metadata={
            "dataset_name": report.kind,
            "license": licence,
            "location_uri": uri,
            "mhdiff": {"kind": report.kind},
        },
    )
