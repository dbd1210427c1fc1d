"""What a check says: findings, each of a stated name and level, and what it examined."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

FAILURE, WARNING, ACCEPTED = "failure", "warning", "accepted"

#: Every finding that there can be, and what it means.
NAMES = {
    "patient_in_splits": "a patient is in several splits",
    "group_in_splits": "patients who belong together are in several splits",
    "identical_image": "patients in different splits share an image, byte for byte",
    "identical_record": "patients in different splits have the same record",
    "after_prediction_time": "an event after prediction_time is among the inputs",
    "undated": "an event without a time is among the inputs",
    "day_without_hour": "an event of the same day, at midnight, is among the inputs",
    "later_date_in_note": "a note names a day after prediction_time",
    "predicted_after_death": "a prediction is made after death",
    "predicted_after_outcome": "a prediction is made after the outcome that it excludes",
    "stale_graph": "the graph shows evidence that the task hides today",
    "label_code": "a code that defines the label is among the inputs",
    "label_word": "a word that names the label is left in a note",
    "label_word_inside": "a word that names the label is left inside a longer word",
    "class_name": "the name of a class is left in notes",
    "unknown_concept": "a blinded concept is not in the ontology",
    "near_duplicate_note": "patients in different splits have nearly the same note",
    "near_duplicate_image": "patients in different splits have nearly the same image",
    "shortcut_presence": "which modalities are there tells the label",
    "shortcut_site": "the site tells the label",
    "shortcut_note_length": "the length of the notes tells the label",
    "shortcut_calendar": "the date tells the label",
    "shortcut_blinding": "the number of blinded words tells the label",
    "shortcut_licence": "the licence of the images tells the label",
    "single_feature": "one feature alone tells the label",
    "not_checked": "something could not be checked",
}

CASES = {"subject_id": pl.Int64(), "other_subject_id": pl.Int64(), "what": pl.String()}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or may be.

    Attributes:
        name: One of `NAMES`.
        level: `FAILURE`, `WARNING` or `ACCEPTED`.
        detail: How much of what, and what to do; no words of a patient and no id.
        cases: Columns `CASES`: whose records; for the file that --cases asks for, and nothing else.
    """

    name: str
    level: str
    detail: str
    cases: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=CASES))

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise ValueError(f"finding {self.name!r} has no meaning in NAMES")

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain data, without its cases."""
        return {"name": self.name, "level": self.level, "meaning": NAMES[self.name], "detail": self.detail,
                "cases": self.cases.height}  # fmt: skip


@dataclass(frozen=True)
class Check:
    """What one check did.

    Attributes:
        name: Its name.
        title: What it asks.
        examined: What it looked at, with counts and thresholds.
        findings: What it found.
        tables: Plain rows that belong to it, by name: figures of shortcuts, features.
    """

    name: str
    title: str
    examined: str
    findings: Sequence[Finding] = ()
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """The worst level of its findings, or "passed"."""
        levels = {finding.level for finding in self.findings}
        return next((level for level in (FAILURE, WARNING, ACCEPTED) if level in levels), "passed")


def cases(rows: Iterable[tuple[int, int | None, str]]) -> pl.DataFrame:
    """Make the table of a finding's cases.

    Args:
        rows: Subject, another subject if the finding is of a pair, and where: a code or a file, no text.
    """
    return pl.DataFrame(list(rows), schema=CASES, orient="row").unique(maintain_order=True)
