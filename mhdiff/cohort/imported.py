"""What adapters of a collection of images gather and write alike: events, labels, stored splits and counts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from mhdiff.cohort import meds, splits
from mhdiff.cohort.import_report import ImportReport

FOLDS, SEED = 5, 0
_VALUES = ("categorical_value", "integer_value", "boolean_value", "float_value")


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


def deal(labels: Mapping[str, pl.DataFrame], sites: Mapping[int, str], groups: pl.DataFrame) -> pl.DataFrame:
    """Deal the patients to train, tuning and held_out, stratified by their first labels.

    Args:
        labels: Name -> columns subject_id and categorical_value.
        sites: Subject -> site.
        groups: Columns subject_id and group.
    """
    first: dict[int, str] = {}
    for name, given in labels.items():
        for subject, value in given.select("subject_id", "categorical_value").iter_rows():
            first.setdefault(subject, f"{name}:{value}")
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
    events: pl.DataFrame,
    sites: Mapping[int, str],
    labels: Mapping[str, pl.DataFrame],
) -> None:
    """Count in the report what is written.

    Args:
        report: Filled.
        events: Column code.
        sites: Subject -> site, of every patient.
        labels: Name -> columns subject_id and categorical_value.
    """
    kinds = events.group_by(kind=pl.col("code").str.extract(r"^([^/]+)")).len().sort("kind")
    report.written = {"patients": len(sites), **{f"{kind} events": n for kind, n in kinds.iter_rows()}}
    report.sites = dict(Counter(sites.values()).most_common())
    count_labels(report, labels)


def count_labels(report: ImportReport, labels: Mapping[str, pl.DataFrame]) -> None:
    """Count the labels in the report.

    Args:
        report: Filled.
        labels: Name -> columns subject_id and the value columns of `meds.LABELS`.
    """
    for name, given in labels.items():
        value = pl.coalesce(pl.col(c).cast(pl.String) for c in _VALUES if c in given.columns).fill_null(
            "none"
        )
        table = given.group_by(value.alias("value")).agg(pl.len(), pl.col("subject_id").n_unique())
        rows = table.sort("value").rows()
        report.labels[name] = {v: {"samples": n, "patients": people} for v, n, people in rows}


def write(
    folder: Path,
    report: ImportReport,
    tables: Tables,
    sites: Mapping[int, str],
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
        sites: Subject -> site, of every patient.
        labels: Name -> labels.
        groups: Columns subject_id and group: subjects that share a split.
        licence: Of the collection.
        uri: Where it is published.
    """
    pl.DataFrame(tables.images, infer_schema_length=None).write_parquet(folder / "metadata/images.parquet")
    report.licences = dict(Counter(image["licence"] for image in tables.images).most_common())
    write_frames(
        folder,
        report,
        events=pl.DataFrame(tables.events, schema=meds.EVENTS, orient="row"),
        codes=pl.DataFrame(list(tables.codes.values()), schema=meds.CODES),
        sites=sites,
        labels={name: labels_frame(given) for name, given in labels.items()},
        groups=groups,
        metadata={"license": licence, "location_uri": uri},
    )


def write_frames(
    folder: Path,
    report: ImportReport,
    *,
    events: pl.DataFrame,
    codes: pl.DataFrame,
    sites: Mapping[int, str],
    labels: Mapping[str, pl.DataFrame],
    groups: pl.DataFrame,
    metadata: Mapping[str, Any],
) -> None:
    """Write the tables of a cohort, stored splits and its report, inside `atomic_directory(..., marker=meds.MARKER)`.

    Args:
        folder: The folder, whose `metadata` is there.
        report: The account of the import, which gets its counts.
        events: Columns of `meds.EVENTS`.
        codes: Columns of `meds.CODES`.
        sites: Subject -> site, of every patient.
        labels: Name -> columns subject_id, prediction_time, categorical_value.
        groups: Columns subject_id and group: subjects that share a split.
        metadata: More of MEDS' metadata.
    """
    groups.write_parquet(folder / meds.GROUPS_FILE)
    count(report, events, sites, labels)
    text = json.dumps(report.to_dict(), indent=2, ensure_ascii=False) + "\n"
    (folder / meds.REPORT_FILE).write_text(text, encoding="utf-8")
    meds.write_meds(
        folder,
        events=events,
        codes=codes,
        splits=deal(labels, sites, groups),
        labels=labels,
        metadata={"dataset_name": report.kind, **metadata, "mhdiff": {"kind": report.kind}},
    )
