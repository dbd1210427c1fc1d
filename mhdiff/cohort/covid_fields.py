"""How the COVID-19 image data collection writes things, and what it means: one function a kind of field."""

from __future__ import annotations

import hashlib
import math
import re
from datetime import datetime
from typing import Final, NamedTuple

NOT_STATED: Final = frozenset({"", "?", "na", "n/a", "nan", "none", "unknown"})
_DAY_FORMS: Final = ("%B %d, %Y", "%b %d, %Y", "%Y-%m-%d", "%d %B %Y", "%d %b %Y")
_MONTH_FORMS: Final = ("%B %Y", "%b %Y", "%Y-%m")
_COUNTRIES: Final = {"united states": "usa", "us": "usa", "u.s.a.": "usa", "uk": "united kingdom"}
_VIEWS: Final = {
    "PA": "PA",
    "AP": "AP",
    "AP SUPINE": "AP_SUPINE",
    "AP ERECT": "AP_ERECT",
    "L": "LATERAL",
    "LATERAL": "LATERAL",
    "AXIAL": "AXIAL",
    "CORONAL": "CORONAL",
}
FRONTAL: Final = ("PA", "AP", "AP_SUPINE", "AP_ERECT")

# The cause of the pneumonia -> class. A general word counts only where no specific one stands beside it.
_SPECIFIC: Final = {
    **dict.fromkeys(("covid-19",), "covid"),
    **dict.fromkeys(("sars", "mers-cov", "influenza", "h1n1", "varicella", "herpes", "rsv"), "viral"),
    **dict.fromkeys(
        (
            *("streptococcus", "klebsiella", "e.coli", "legionella", "mycoplasma", "chlamydophila"),
            *("mycoplasma bacterial pneumonia", "nocardia", "staphylococcus", "mrsa"),
        ),
        "bacterial",
    ),
    **dict.fromkeys(("pneumocystis", "aspergillosis", "aspiration", "lipoid"), "other"),
}
_GENERAL: Final = {"bacterial": "bacterial", "viral": "viral", "fungal": "other", "ards": "other"}
_CLASSLESS: Final = {
    "todo": "the finding is 'todo'",
    "no finding": "'No Finding' is no kind of pneumonia",
    "pneumonia": "pneumonia without a cause",
}


class LabKind(NamedTuple):
    """One laboratory column: its LOINC code, UCUM unit, plausible values and adult reference range."""

    loinc: str
    description: str
    unit: str
    possible: tuple[float, float]
    reference: tuple[float, float]


LABS: Final = {
    "temperature": LabKind("8310-5", "Body temperature", "Cel", (30.0, 45.0), (36.0, 37.5)),
    "pO2_saturation": LabKind(
        "59408-5", "Oxygen saturation in arterial blood", "%", (30.0, 100.0), (94.0, 100.0)
    ),
    "leukocyte_count": LabKind("6690-2", "Leukocytes in blood", "10*9/L", (0.0, 500.0), (4.0, 11.0)),
    "neutrophil_count": LabKind("751-8", "Neutrophils in blood", "10*9/L", (0.0, 500.0), (2.0, 7.5)),
    "lymphocyte_count": LabKind("731-0", "Lymphocytes in blood", "10*9/L", (0.0, 500.0), (1.0, 4.0)),
}


def subject_id(patient: str) -> int:
    """Give a number for a patient's id: "331b" becomes 33102, and 331 becomes 33100.

    Args:
        patient: The source's id; what is not digits and one letter becomes a number above 10^15, its hash.
    """
    if match := re.fullmatch(r"(0|[1-9]\d{0,11})([a-z]?)", patient):
        return int(match[1]) * 100 + (ord(match[2]) - 96 if match[2] else 0)
    return 10**15 + int(hashlib.sha256(patient.encode()).hexdigest()[:12], 16)


def stated(value: str) -> str | None:
    """Give a field's text, or None where it says nothing ("?" and its like).

    Args:
        value: The field.
    """
    text = value.strip()
    return None if text.lower() in NOT_STATED else text


def date(value: str) -> tuple[datetime, str] | None:
    """Read a date in one of the source's forms.

    Args:
        value: Such as "January 25, 2020", "March 2020" or "2014".

    Returns:
        The first moment of it, and its precision: "day", "month" or "year"; None if it cannot be read.
    """
    forms = [(f, "day") for f in _DAY_FORMS] + [(f, "month") for f in _MONTH_FORMS] + [("%Y", "year")]
    for form, precision in forms:
        try:
            return datetime.strptime(value, form), precision
        except ValueError:
            continue
    return None


def number(value: str, low: float, high: float) -> float | None:
    """Read a number, or None if it is none or lies outside the range.

    Args:
        value: The field's text.
        low: Lowest possible value.
        high: Highest possible value.
    """
    try:
        read = float(value.replace(",", "."))
    except ValueError:
        return None
    return read if math.isfinite(read) and low <= read <= high else None


def lab(column: str, value: str) -> tuple[float | None, str]:
    """Read a laboratory value and bring it to the column's unit.

    Args:
        column: A key of `LABS`.
        value: The field's text.

    Returns:
        The value and "" or what was done to it; None and the reason where it cannot be used.
    """
    read = number(value.removesuffix("%").removesuffix("°C").strip(), -math.inf, math.inf)
    if read is None:
        return None, f"{column} is no number"
    low, high = LABS[column].possible
    if column == "temperature" and 86.0 <= read <= 113.0:
        return (read - 32.0) / 1.8, f"{column} in Fahrenheit, converted"
    if column == "pO2_saturation" and 0.0 < read <= 1.0:
        return read * 100.0, f"{column} as a fraction, converted"
    if column.endswith("_count") and 500.0 < read <= 500_000.0:
        return read / 1000.0, f"{column} in cells per microlitre, converted"
    if not low <= read <= high:
        return None, f"{column} is not possible"
    return read, ""


def site(location: str | None) -> str:
    """Give the country as a site's name: the hospital is stated for few, the country for nearly all.

    Args:
        location: Such as "Myongji Hospital, Goyang, South Korea".
    """
    country = (location or "").split(",")[-1].strip().lower()
    country = _COUNTRIES.get(country, country)
    return "-".join(re.findall(r"\w+", country)) or "unknown"


def view(value: str | None) -> str:
    """Give the view's name in our codes; UNKNOWN where it is not stated or not known.

    Args:
        value: Such as "PA", "AP Supine", "L".
    """
    return _VIEWS.get((value or "").upper(), "UNKNOWN")


def cause(finding: str) -> tuple[str | None, str]:
    """Give the class of a finding.

    Args:
        finding: Names parted by commas or slashes, such as "COVID-19, ARDS" or "Pneumonia/Viral/SARS".

    Returns:
        bacterial, covid, viral or other, and ""; or None and the reason why it has no class.
    """
    names = {name.strip().lower() for name in re.split(r"[,/]", finding)} - NOT_STATED
    classes = {_SPECIFIC[n] for n in names if n in _SPECIFIC} or {_GENERAL[n] for n in names if n in _GENERAL}
    if len(classes) == 1:
        return classes.pop(), ""
    if classes:
        return None, "two causes in one finding"
    for name, reason in _CLASSLESS.items():
        if name in names:
            return None, reason
    return None, "the finding is not known to the adapter" if names else "no finding is stated"


_HEAD: Final = re.compile(
    r"\b(presentation|imaging\s+(?:notes|findings)|(?:case\s+)?discussion|impression)\s*:", re.IGNORECASE
)


def sections(note: str) -> tuple[str, str]:
    """Part a note in what was known at the time and what was concluded later.

    Args:
        note: The note, with or without headings such as "Presentation:", "Imaging Notes:", "Discussion:".

    Returns:
        The clinical part, and the parts under "Discussion" and "Impression" (empty without such headings).
    """
    clinical: list[str] = []
    concluded: list[str] = []
    place, late = 0, False
    for match in _HEAD.finditer(note):
        (concluded if late else clinical).append(note[place : match.start()])
        place = match.start()
        late = match[1].lower().endswith(("discussion", "impression"))
    (concluded if late else clinical).append(note[place:])
    return "".join(clinical).strip(), "".join(concluded).strip()


def case_number(text: str | None) -> str | None:
    """Give the case number of a note that only credits its author, as in "Case courtesy of ..., rID: 75037".

    Args:
        text: The field other_notes.

    Returns:
        The number, "" for a credit without one, None for a note that is no credit.
    """
    if not text or not re.match(r"\s*(case courtesy|image courtesy|courtesy|credit)\b", text, re.IGNORECASE):
        return None
    match = re.search(r"\brID:?\s*(\d+)", text)
    return match[1] if match else ""
