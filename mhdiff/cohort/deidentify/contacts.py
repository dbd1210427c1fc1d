"""Identifiers with a form of their own: numbers, telephones, mails, the web, and where somebody lives."""

from __future__ import annotations

import re
from typing import Final

_LABEL: Final = (
    r"(?:MRN|medical record(?: number)?|record|"
    r"(?:patient|hospital|member|insurance|policy|account|case|device|serial|"
    r"licen[cs]e|certificate|encounter|visit|study|specimen|subject)(?: (?:id|number|no))|ID|"
    r"accession(?: (?:number|no))?|"
    r"acc(?: (?:no|number))?|SSN|social security(?: number)?|NHS(?: (?:no|number))?|NPI|DEA|"
    r"Fallnummer|Patientennummer|Versichertennummer|PID)"
)
#: Behind a number of these it is a count of something, or a code of a vocabulary.
_COUNTED: Final = (
    r"(?!\s*(?:units?|IU|I\.U\.|U|E|IE|copies|cells|CFU|mg|mcg|µg|g|ml|mL|k?cal|per|/)\b|\s*/|[.,]\d|%)"
)
IDS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?i:\b{_LABEL})\.?\s*(?:#|:|=|\bis\b|№)*\s*(?P<it>"
        r"(?=[\w/-]*\d[\w/-]*\d)[A-Za-z0-9](?:[\w/-]*\w)?(?: \d{2,}\b)*)",
        r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])",
        r"(?<![\w-])\d{3} \d{3} \d{4}(?![\w-])",
        rf"(?<!SNOMED )(?<!SCTID )(?<!LOINC )(?<!RxNorm )(?<![\w.,/-])\d{{7,}}(?![\w-]){_COUNTED}",
        r"(?<![\w-])[A-Z]{1,4}[-_ ]?\d{6,}(?![\w-])",
        r"(?<![\w-])[A-Z]{1,3}\d{2}-\d{5,}(?![\w-])",
    )
)

PHONES: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?<![\w-])(?:\+?1[ .-])?(?:\(\d{3}\) ?|\d{3}[.-])\d{3}[.-]\d{4}(?:,? ?(?:x|ext\.?) ?\d{1,6})?(?![\w-])",
        r"(?<![\w+])(?:\+|00)[1-9](?:[ ()/.-]{0,2}\d){7,14}(?!\d)",
        r"(?<![\w.,/-])0\d{2,4}[ /-]\d{3,4}[ -]?\d{3,6}(?![\w-])",
        r"(?i:\b(?:tel|telephone|phone|fax|pager|paged?|beeper|mobile|cell|ext|extension|telefon|handy))\.?"
        r"(?: ?(?:no|number|#))?\.?:? (?P<it>\(?\+?\d(?:[ ()/.-]{0,2}\d){3,14})(?![\w/])",
    )
)

_HOST: Final = r"(?:[\w-]+\.)+"
MAILS: Final = (re.compile(rf"(?<![\w.+-])[\w.+-]+@(?:{_HOST}[A-Za-z]{{2,}}|\w+)"),)
URLS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"\b(?:https?|ftp)://[^\s<>\"')\]]*[\w/]",
        rf"\bwww\.{_HOST}[a-z]{{2,}}(?:/[^\s<>\"')\]]*[\w/])?",
        rf"(?<![\w@.-]){_HOST}(?:com|org|net|edu|gov|mil|info|io|de|uk|eu|fr|ch|at|ca|au)\b"
        r"(?:/[^\s<>\"')\]]*[\w/])?",
        r"(?<![\w.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w.])",
    )
)

_WAY: Final = (
    r"(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Drive|Dr|Lane|Ln|Court|Ct|Place|Pl|Terrace|Way|Circle|"
    r"Crescent|"
    r"Close|Highway|Hwy|Parkway|Square|Row|Mews)"
)
_STATE: Final = (
    "A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[AEINOST]|N[CDEHJMVY]|O[HKR]|RI|S[CD]|T[NX]|UT|V[AT]|"
    "W[AIVY]"
)
_TOWN: Final = r"[A-Z][a-zà-ÿ]+(?:[ -][A-Z][a-zà-ÿ]+){0,2}"
ADDRESSES: Final = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?<![\w./-])\d{{1,5}}[A-Z]? (?:[NESW]\.? )?(?:[A-Z][\w'’-]+ ){{1,4}}{_WAY}\b"
        r"(?:,? (?:Apt|Apartment|Unit|Suite|Ste|No)\.? ?#?\w{1,5})?",
        r"\bP\. ?O\. ?Box \d+|\bPO Box \d+",
        rf"\b{_TOWN}, (?:(?:{_STATE}|MD|PA) \d{{5}}(?:-\d{{4}})?|(?:{_STATE})\b)(?!\w)",
        rf"(?<!\w)(?:{_STATE}|MD|PA) \d{{5}}(?:-\d{{4}})?(?![\w-])",
        r"(?<![\w-])[A-Z]{1,2}\d[A-Z\d]? \d[ABD-HJLNP-UW-Z]{2}(?![\w-])",
        r"\b[A-ZÄÖÜ][a-zäöüß-]+(?:straße|strasse|str\.|weg|allee|platz|gasse|ring) \d{1,4} ?[a-z]?\b"
        r"(?:, (?:D-)?\d{5} [A-ZÄÖÜ]\w+)?",
        rf"\b(?:live[sd]?|living|reside[sd]?|residing|resident|born|moved|relocated|home|wohnhaft)(?: \w+)? "
        rf"(?:in|at|of|near|to|from) (?P<it>{_TOWN})",
    )
)
