"""Labels of CheXpert and NegBio as the tables state them: positive, negative, uncertain, or blank.

    chexpert_pneumonia, chexpert_pleural_effusion ..., negbio_pneumonia ...
    1.0 -> positive    0.0 -> negative    -1.0 -> uncertain    empty -> blank (the report does not mention it)

Nothing is decided here: what a blank and an uncertain one count as is a policy, and stands in the task (`merge`,
`exclude`). A label is of a study, at the time of its last image; studies without a usable frontal image have none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from mhdiff.cohort.account import Account
from mhdiff.cohort.import_report import ImportReport
from mhdiff.cohort.mimic_cxr.sources import Sources
from mhdiff.cohort.typed import sink, typed

LABELLERS: Final = ("chexpert", "negbio")
FINDINGS: Final = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Enlarged Cardiomediastinum", "Fracture",
    "Lung Lesion", "Lung Opacity", "No Finding", "Pleural Effusion", "Pleural Other", "Pneumonia",
    "Pneumothorax", "Support Devices",
)  # fmt: skip
_VALUES: Final = {1: "positive", 0: "negative", -1: "uncertain"}
_KEYS: Final = {"subject_id": pl.Int64(), "study_id": pl.Int64()}
_COLUMNS: Final = _KEYS | {finding.lower(): pl.Int64() for finding in FINDINGS}


def write_labels(sources: Sources, labeller: str, target: Path, account: Account) -> None:
    """Write a labeller's table as Parquet: line, subject_id, study_id, and -1, 0, 1 or null for each finding.

    Args:
        sources: Where the tables are.
        labeller: One of `LABELLERS`.
        target: The Parquet file.
        account: Filled.
    """
    file = sources.tables[labeller]
    rows = typed(file, _COLUMNS, tuple(_COLUMNS), tuple(_KEYS))
    strange = pl.coalesce(
        pl.when(pl.col(name).abs() > 1).then(pl.lit(name)) for name in _COLUMNS if name not in _KEYS
    )
    sink(
        file,
        sources.name(labeller),
        rows.with_columns(bad=pl.coalesce("bad", strange)),
        target,
        account,
        _COLUMNS,
    )


def frames(
    rows: pl.DataFrame, studies: pl.DataFrame, labeller: str, report: ImportReport
) -> dict[str, pl.DataFrame]:
    """Give the labels of every finding, with subject_id, prediction_time and categorical_value.

    Args:
        rows: What `write_labels` wrote.
        studies: subject_id, study_id, last, frontal.
        labeller: One of `LABELLERS`.
        report: Filled.
    """
    sound = rows.filter(pl.col("bad").is_null())
    known = sound.join(studies, on=["subject_id", "study_id"], how="left")
    for what, wrong in (
        ("its study has no image in the metadata", pl.col("last").is_null()),
        ("its study has no usable frontal image", ~pl.col("frontal").fill_null(False)),
    ):
        lost = known.filter(wrong)
        _drop(report, f"{labeller}: {what}", lost)
        known = known.filter(~wrong)
    known = known.sort("subject_id", "last", "study_id")
    first = pl.struct("subject_id", "last").is_first_distinct()
    _drop(report, f"{labeller}: another study of the subject has the same time", known.filter(~first))
    known = known.filter(first)
    made = {}
    for finding in FINDINGS:
        value = pl.col(finding.lower()).replace_strict(_VALUES, default="blank", return_dtype=pl.String)
        name = f"{labeller}_{finding.lower().replace(' ', '_')}"
        made[name] = known.select(
            "subject_id", pl.col("last").alias("prediction_time"), value.alias("categorical_value")
        )
        counts = made[name].group_by("categorical_value").agg(pl.len(), pl.col("subject_id").n_unique())
        report.labels[name] = {
            value: {"samples": samples, "patients": patients}
            for value, samples, patients in counts.sort("categorical_value").iter_rows()
        }
    return made


def _drop(report: ImportReport, reason: str, rows: pl.DataFrame) -> None:
    for place, line in enumerate(rows["row"].sort().head(5)):
        n = rows.height - min(rows.height, 5) + 1 if place == 0 else 1
        report.dropped.add(reason, line, n=n)
