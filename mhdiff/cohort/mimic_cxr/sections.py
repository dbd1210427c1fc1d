"""A radiology report in its sections, and which of them were known before the images were read.

    FINAL REPORT                                     is left out
     INDICATION:  ___F with cough                    indication, known before
     COMPARISON:  None.                              comparison, known before
                                                     (a blank line ends a section that was known before)
     PA and lateral views.  Lungs are clear.         untitled, concluded
     IMPRESSION:  No acute process.                  impression, concluded

A heading ends with a colon. At the start of a line it is one of `HEADINGS` in any case, or anything else in capitals,
which becomes `other`; within a line it is one of `HEADINGS` in capitals, or in any case one that begins a conclusion.

Whatever is not surely known before the reading counts as concluded from it, since the labels were made from there:
text before any heading or after a blank line, headings that nobody knows, and in a report that has neither findings
nor impression the last section, whatever it is called, because then CheXpert and NegBio were run on the end of the
report (https://physionet.org/content/mimic-cxr-jpg/2.1.0/, on how the labels were made).
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

#: Section -> the headings that begin it, in lower case and without the colon.
HEADINGS: Final[dict[str, tuple[str, ...]]] = {
    "indication": (
        "indication", "indications", "clinical indication", "clinical indications", "reason for exam",
        "reason for examination", "reason for the exam", "reason for study", "reason for the study", "reason",
        "clinical information", "clinical question", "indications for exam",
    ),
    "history": (
        "history", "clinical history", "medical history", "patient history", "past medical history",
        "brief history", "clinical history/indication", "indication/history", "history/indication",
    ),
    "comparison": (
        "comparison", "comparisons", "comparison study", "comparison studies", "comparison exam",
        "compared to", "prior study", "prior studies", "prior", "priors",
    ),
    "technique": ("technique", "techniques", "technical factors", "procedure", "views", "view"),
    "examination": (
        "examination", "exam", "type of examination", "exam type", "examination type", "study", "study type",
        "type of exam",
    ),
    "findings": (
        "findings", "finding", "report", "chest findings", "radiographic findings", "observations",
    ),
    "impression": (
        "impression", "impressions", "conclusion", "conclusions", "opinion", "summary",
        "findings and impression", "findings/impression", "impression and findings", "impression/findings",
        "findings and conclusion", "impression and recommendation", "impression and recommendations",
        "provisional findings impression", "provisional findings impression (pfi)", "final impression",
    ),
    "wet_read": ("wet read", "wet reading", "preliminary read", "preliminary report", "preliminary findings"),
    "recommendation": ("recommendation", "recommendations"),
    "notification": ("notification", "notifications"),
    "addendum": ("addendum", "addenda"),
}  # fmt: skip
#: Known before anybody looked at the images.
BEFORE: Final = ("indication", "history", "comparison", "technique", "examination")
#: All sections that a report may have.
SECTIONS: Final = (*HEADINGS, "other", "untitled")
_LABELLED: Final = ("findings", "impression")
_OF = {heading: section for section, headings in HEADINGS.items() for heading in headings}
_HEADING = re.compile(r"^[ \t]*([A-Za-z][A-Za-z0-9 \t,/()&'.-]{1,78}?)[ \t]*:", re.MULTILINE)
_CONCLUDES = sorted((h for s in (*_LABELLED, "wet_read") for h in HEADINGS[s]), key=len, reverse=True)
_INLINE = re.compile(
    "(?<![A-Za-z/])(?:(?i:{})|{})[ \t]*:".format(
        "|".join(map(re.escape, _CONCLUDES)),
        "|".join(re.escape(h.upper()) for h in sorted(_OF, key=len, reverse=True)),
    )
)
_TITLE = re.compile(r"^[ \t]*(?:FINAL REPORT|FINAL ADDENDUM)[ \t]*$", re.MULTILINE)
_BLANK = re.compile(r"\n[ \t]*\n")


class Section(NamedTuple):
    """A part of a report.

    Attributes:
        name: One of `SECTIONS`.
        start: Where its text begins in the report.
        end: Where it ends.
        concluded: Whether it may hold what was concluded from the images.
    """

    name: str
    start: int
    end: int
    concluded: bool


def sections(report: str) -> list[Section]:
    """Give the sections of a report that hold more than blanks, in its order.

    Args:
        report: The text, with line ends as newlines.
    """
    cuts, found = _cuts(report), list[Section]()
    for cut, following in zip(cuts, [*cuts[1:], _Cut("untitled", len(report), len(report))], strict=True):
        pieces = [(cut.name, cut.start, following.heading)]
        if cut.name in BEFORE and (gap := _first_gap(report, cut.start, following.heading)) is not None:
            pieces = [(cut.name, cut.start, gap), ("untitled", gap, following.heading)]
        found += [Section(*piece, piece[0] not in BEFORE) for piece in _stripped(report, pieces)]
    if found and not any(section.name in _LABELLED for section in found):
        found[-1] = found[-1]._replace(concluded=True)
    return found


class _Cut(NamedTuple):
    """Where a section begins, and where its heading does."""

    name: str
    start: int
    heading: int


def _cuts(report: str) -> list[_Cut]:
    """Give where sections begin: the report's start, the ends of titles, and the ends of headings."""
    marks = {match.end(): (match.start(), "untitled") for match in _TITLE.finditer(report)}
    for match in _INLINE.finditer(report):
        name = " ".join(match[0][:-1].lower().split())
        marks[match.end()] = (match.start(), _OF[name])
    for match in _HEADING.finditer(report):
        name = " ".join(match[1].split())
        section = _OF.get(name.lower()) or ("other" if name == name.upper() and len(name) > 2 else None)
        if section is not None:
            marks[match.end()] = (match.start(), section)
    cuts = [_Cut(section, end, start) for end, (start, section) in sorted(marks.items())]
    return [_Cut("untitled", 0, 0), *cuts]


def _first_gap(report: str, start: int, end: int) -> int | None:
    """Give where the first blank line after the section's first word ends."""
    text = report[start:end]
    first = len(text) - len(text.lstrip())
    gap = _BLANK.search(text, first)
    return None if gap is None else start + gap.end()


def _stripped(report: str, pieces: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    kept = []
    for name, start, end in pieces:
        text = report[start:end]
        if text.strip():
            lead = len(text) - len(text.lstrip())
            kept.append((name, start + lead, start + len(text.rstrip())))
    return kept
