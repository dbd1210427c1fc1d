"""Map rules of RF2 extended maps: parsed, and decided for a patient as true, false or unknown.

The language is that of the mapRule column: `TRUE`, `OTHERWISE TRUE`, or clauses joined by AND, each `IFA` with a
concept and its term between bars and, for an age, a comparison: `IFA 445518008 | Age at onset ... | < 28.0 days`. A
clause about a finding holds if the patient has it; about something not known of the patient it is unknown, and by
Kleene's logic so is a conjunction unless one of its clauses is false.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from ontology.errors import InputError

MALE, FEMALE = 248153007, 248152002
# Age at onset of clinical finding, current chronological age.
AGES = (445518008, 424144002)

_YEARS = {
    "year": 1.0,
    "month": 1 / 12,
    "week": 7 / 365.25,
    "day": 1 / 365.25,
    "hour": 1 / 8766,
    "minute": 1 / 525960,
}
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq
}  # fmt: skip
_CLAUSE = re.compile(
    r"IFA\s+(?P<concept>[0-9]{6,18})\s*\|(?P<term>[^|]*)\|"
    r"(?:\s*(?P<sign><=|>=|<|>|=)\s*(?P<number>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>year|month|week|day|hour|minute)s?)?",
    re.IGNORECASE,
)
_AND = re.compile(r"\s+AND\s+", re.IGNORECASE)


@dataclass(frozen=True)
class Patient:
    """What is known of a patient for deciding a rule.

    Attributes:
        age: Years at the onset of the finding, None where it is not known. A whole number is of completed years, as
            records have it: 0 may be a day or eleven months. A fraction is exact.
        sex: "male" or "female", None where it is not known.
        concepts: SCTIDs of what the patient has.
        complete: Whether `concepts` is all there is, so that what is not among them is known to be absent.
    """

    age: float | None = None
    sex: str | None = None
    concepts: frozenset[int] = frozenset()
    complete: bool = False

    def __post_init__(self) -> None:
        if self.sex not in (None, "male", "female"):
            raise InputError(f"'{self.sex}' is no sex that map rules know", remedy="Give male or female")
        if self.age is not None and not 0 <= self.age < 200:
            raise InputError(f"{self.age} is no age in years")


@dataclass(frozen=True)
class Clause:
    """One condition of a rule: a concept, and for an age a comparison in years."""

    concept: int
    term: str
    sign: str = ""
    years: float = 0.0

    def holds(self, patient: Patient) -> bool | None:
        """Decide the clause.

        Args:
            patient: What is known.

        Returns:
            None where that is not known.
        """
        if self.sign:
            return self._compared(patient.age) if self.concept in AGES else None
        if self.concept in (MALE, FEMALE):
            return None if patient.sex is None else (patient.sex == "male") == (self.concept == MALE)
        if self.concept in patient.concepts:
            return True
        return False if patient.complete else None

    def _compared(self, age: float | None) -> bool | None:
        if age is None:
            return None
        compare = _COMPARE[self.sign]
        if not isinstance(age, int):
            return compare(age, self.years)
        if self.sign == "=":
            return None if age <= self.years < age + 1 else False
        ends = {compare(age, self.years), compare(math.nextafter(age + 1, 0), self.years)}
        return ends.pop() if len(ends) == 1 else None


@dataclass(frozen=True)
class Rule:
    """A rule: its clauses, all of which must hold; none for TRUE and OTHERWISE TRUE."""

    clauses: tuple[Clause, ...] = ()

    def holds(self, patient: Patient) -> bool | None:
        """Decide the rule; None where what is known does not decide it.

        Args:
            patient: What is known.
        """
        found = [clause.holds(patient) for clause in self.clauses]
        return False if False in found else None if None in found else True


@lru_cache(maxsize=4096)
def parse(text: str) -> Rule:
    """Parse a rule.

    Args:
        text: The content of a mapRule column; empty is TRUE.

    Raises:
        InputError: If it is no rule of this language; it names the position.
    """
    words = " ".join(text.split())
    if words.upper() in ("", "TRUE", "OTHERWISE TRUE"):
        return Rule()
    clauses, place = [], 0
    while True:
        found = _CLAUSE.match(words, place)
        if not found:
            raise InputError(
                f"the map rule cannot be read from character {place + 1}: {words[place : place + 40]!r}",
                remedy="Rules are TRUE, OTHERWISE TRUE, or IFA id | term | with a comparison, joined by AND",
            )
        sign = found["sign"] or ""
        years = float(found["number"]) * _YEARS[found["unit"].lower()] if sign else 0.0
        clauses.append(Clause(int(found["concept"]), found["term"].strip(), sign, years))
        place = found.end()
        if not words[place:].strip():
            return Rule(tuple(clauses))
        joint = _AND.match(words, place)
        if not joint:
            raise InputError(
                f"the map rule cannot be read from character {place + 1}: {words[place : place + 40]!r}",
                remedy="Clauses are joined by AND",
            )
        place = joint.end()


def decide(text: str, patient: Patient | None) -> bool | None:
    """Decide a rule as it is written; a rule in a language that nobody knows is unknown, never true.

    Args:
        text: The content of a mapRule column.
        patient: What is known of the patient; nothing if None.
    """
    try:
        return parse(text).holds(patient or Patient())
    except InputError:
        return None


def readable(text: str) -> bool:
    """Say whether a rule can be read.

    Args:
        text: The content of a mapRule column.
    """
    try:
        parse(text)
    except InputError:
        return False
    return True
