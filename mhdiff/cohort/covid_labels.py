"""The labels of the COVID-19 image data collection: what a study's patient has, and whether the ICU follows.

A study is a patient's rows at one time, if there is a usable radiograph among them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from mhdiff.cohort import covid_fields as fields
from mhdiff.cohort.covid_rows import Row
from mhdiff.cohort.import_report import ImportReport
from mhdiff.cohort.imported import Label

_PRESUMED_NO = "would have been stated"


def studies(rows: list[Row]) -> Iterator[tuple[datetime, list[Row]]]:
    """Give a patient's studies in the order of time.

    Args:
        rows: The patient's rows, sorted by time.
    """
    for time in sorted({row.time for row in rows}):
        yield time, [row for row in rows if row.time == time]


def pneumonia_labels(patients: Mapping[int, list[Row]], report: ImportReport) -> list[Label]:
    """Give the class of the cause that the finding states: bacterial, covid, viral or other.

    Args:
        patients: Subject -> rows, sorted by time.
        report: Where studies without a label are counted.
    """
    labels = []
    for subject, rows in patients.items():
        own = []
        for time, study in studies(rows):
            line = study[0].line
            if not _has_radiograph(study):
                report.dropped.add("covid_pneumonia study: no radiograph", line)
                continue
            found = [fields.cause(row.get("finding") or "") for row in study]
            classes = {value for value, _ in found if value}
            if len(classes) == 1:
                own.append((Label(subject, time, classes.pop()), line))
            else:
                reason = "rows of the study disagree" if classes else next(why for _, why in found)
                report.dropped.add(f"covid_pneumonia study: {reason}", line)
        if len({label.value for label, _ in own}) > 1:
            for _, line in own:
                report.dropped.add("covid_pneumonia study: the patient's studies disagree", line)
            continue
        labels += [label for label, _ in own]
    return labels


def icu_labels(patients: Mapping[int, list[Row]], report: ImportReport) -> list[Label]:
    """Give icu or no_icu for the studies before the first one in the ICU.

    Args:
        patients: Subject -> rows, sorted by time.
        report: Where studies without a label are counted.
    """
    labels = []
    for subject, rows in patients.items():
        said = {(row.get(c) or "").lower() for row in rows for c in ("went_icu", "in_icu")}
        value = "icu" if "y" in said else "no_icu" if said & {"n", _PRESUMED_NO} else None
        if value == "no_icu" and "n" not in said:
            report.changed.add("covid_icu patient: 'Would have been stated' read as no", rows[0].line)
        entered = [row.time for row in rows if (row.get("in_icu") or "").lower() == "y"]
        for time, study in studies(rows):
            line = study[0].line
            if value is None:
                report.dropped.add("covid_icu study: not stated", line)
            elif not _has_radiograph(study):
                report.dropped.add("covid_icu study: no radiograph", line)
            elif entered and time >= min(entered):
                report.dropped.add("covid_icu study: the patient is or was in the ICU already", line)
            else:
                labels.append(Label(subject, time, value))
    return labels


def _has_radiograph(study: list[Row]) -> bool:
    return any(row.code.startswith("IMAGE//CXR") for row in study)
