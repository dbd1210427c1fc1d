"""Reports as note events: a code for every section, those that were concluded from the images later than the images.

    NOTE//RADIOLOGY//INDICATION, //HISTORY, //COMPARISON, //TECHNIQUE, //EXAMINATION     at the study's first image
    NOTE//RADIOLOGY//FINDINGS, //IMPRESSION, //UNTITLED ...                              a microsecond after its last

A report has no time of its own. What was known before is put at the first image; what was concluded is put after the
last one, so that a prediction at the time of the study can read the conclusions of earlier studies and never its own.
A section known before its time that may hold a conclusion (see `sections`) is UNTITLED.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from mhdiff.cohort.account import Account
from mhdiff.cohort.mimic_cxr.marks import without_marks
from mhdiff.cohort.mimic_cxr.sections import BEFORE, SECTIONS, sections
from mhdiff.cohort.mimic_cxr.sources import Sources

PREFIX: Final = "NOTE//RADIOLOGY//"
_AFTER = timedelta(microseconds=1)
_MOST_BYTES = 1 << 20  # no radiologist writes a megabyte
DESCRIPTIONS: Final = {
    f"{PREFIX}{name.upper()}": f"Radiology report, {name.replace('_', ' ')}, "
    + ("written before the images were read" if name in BEFORE else "concluded from the images")
    for name in SECTIONS
}


class Study(NamedTuple):
    """A study of a subject.

    Attributes:
        subject: Its subject_id.
        study: Its study_id.
        first: Time of its first image.
        last: Time of its last image.
        line: Line of the table that names its first image.
    """

    subject: int
    study: int
    first: datetime
    last: datetime
    line: int


Event = tuple[int, datetime, str, str]


def events(sources: Sources, studies: Iterable[Study], table: str, account: Account) -> Iterator[Event]:
    """Give subject_id, time, code and text of every section of every report that there is.

    Args:
        sources: Where the reports are.
        studies: The studies.
        table: The table that names the studies, for messages: paths of reports hold the ids of patients.
        account: Filled.
    """
    for study in studies:
        report = _read(sources, study, table, account)
        if report is None:
            continue
        account.read["reports"] += 1
        for section in sections(report):
            text, marks = without_marks(report[section.start : section.end])
            account.changed.add("report: de-identification marks taken out", n=marks) if marks else None
            if not any(letter.isalnum() for letter in text):
                account.dropped.add("report section: nothing but de-identification marks")
                continue
            name = "untitled" if section.concluded and section.name in BEFORE else section.name
            if name != section.name:
                account.changed.add(
                    "report: neither findings nor impression, its last section counts as concluded"
                )
            time = study.last + _AFTER if section.concluded else study.first
            yield study.subject, time, f"{PREFIX}{name.upper()}", text


def _read(sources: Sources, study: Study, table: str, account: Account) -> str | None:
    file = sources.find(study.subject, study.study)
    if file is None:
        account.read["studies without a report"] += 1
        return None
    if not file.resolve().is_relative_to(sources.root.resolve()):
        account.refuse("the study's report lies outside the folder", table, study.line)
        return None
    if file.stat().st_size > _MOST_BYTES:
        account.refuse("the study's report is larger than a megabyte", table, study.line)
        return None
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        account.refuse("the study's report is not UTF-8", table, study.line)
        return None
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")
