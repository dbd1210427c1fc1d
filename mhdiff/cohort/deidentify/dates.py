"""Dates finer than a year, and ages over 89, as written in English and German notes.

A year alone stays, as do ages up to 89 and times of day: the limits of the HIPAA Safe Harbor rule,
45 CFR 164.514(b)(2). What has a date's form and a dose's unit behind it, such as "10/12/20 units", is none.
"""

from __future__ import annotations

import re
from typing import Final

_MONTH: Final = (
    "January|February|March|April|May|June|July|August|September|October|November|December|"
    "Januar|Februar|März|Mai|Juni|Juli|Oktober|Dezember"
)
_SHORT: Final = "Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec|Okt|Dez"
#: With a capital, since "may 4" and "dec 2" are no dates.
_NAMED: Final = rf"(?:{_MONTH}|{_MONTH.upper()}|(?:{_SHORT}|{_SHORT.upper()})\b\.?)"
_DAY: Final = r"(?:3[01]|[12]\d|0?[1-9])"
_NUMBER: Final = r"(?:1[0-2]|0?[1-9])"
_YEAR: Final = r"(?:(?:18|19|20|21)\d\d)"
_SHORT_YEAR: Final = rf"(?:{_YEAR}|\d\d)"
_CLOCK: Final = r"(?:[T ]\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)"
_DOSE: Final = r"(?!\s*(?:mg|mcg|µg|g|ml|mL|IU|I\.U\.|units?|U|E|IE|%|mmHg|mmol|tabs?|tablets?|puffs?)\b)"
_EDGE: Final = r"(?<![\w/.-])"
_END: Final = r"(?![\w/-]|\.\d)"
_ON: Final = r"(?:on|since|until|till|dated|admitted|discharged|seen|through|am|vom|seit|bis)(?: on| the)?"

DATES: Final = tuple(
    re.compile(pattern)
    for pattern in (
        rf"{_EDGE}{_YEAR}(?P<s>[-/.]){_NUMBER}(?P=s){_DAY}(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?{_END}",
        rf"{_EDGE}(?:{_DAY}(?P<s>[-/.]){_NUMBER}|{_NUMBER}(?P<t>[-/.]){_DAY})(?(s)(?P=s)|(?P=t)){_SHORT_YEAR}"
        rf"{_END}{_DOSE}",
        rf"{_EDGE}{_DAY}(?:st|nd|rd|th|\.)?(?: of)?[ -]?{_NAMED}(?:,?[ -]?(?:{_YEAR}|['’]\d\d)|-\d\d)?\b",
        rf"(?<!\w){_NAMED}[ -]?{_DAY}(?:st|nd|rd|th)?(?:(?:,? ?| )(?:{_YEAR}|['’]\d\d))?\b(?!/\d|\.\d|:\d)",
        rf"(?<!\w){_NAMED},? (?:of )?(?:{_YEAR}|['’]\d\d)\b",
        rf"\b(?:in|since|last|until|early|late|mid|this|next|of|by|from|im|seit)[ -](?P<it>{_MONTH})\b(?! \d)",
        rf"(?i:\b{_ON}) (?P<it>{_NUMBER}/{_DAY}|{_DAY}\.{_NUMBER}\.){_END}(?!/)",
    )
)

_OLD: Final = r"(?:9\d|1[0-3]\d)"
_TENS: Final = (
    r"(?:ninety|one[ -]hundred(?:[ -]and)?)(?:[ -](?:one|two|three|four|five|six|seven|eight|nine|ten))?"
)
AGES: Final = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?<![\w./-])(?P<it>{_OLD}|{_TENS})"
        r"(?=(?:[ -]?(?:years?|yrs?)[ -]?old|[ -]?y\.?/?o\b|[ -]?jährig|[ -]?Jahre alt))",
        rf"\b(?:age[d]?|alter)(?: of)?:? (?P<it>{_OLD}|{_TENS})\b(?!\s*(?:days?|weeks?|months?|hours?|min))",
        rf"(?<![\w./-])(?P<it>{_OLD})(?= ?[MF]\b(?! ?\d))",
        r"\b(?:his|her|their) (?:early |mid[- ]|late )?(?P<it>90s|nineties)\b",
    )
)
