"""What is predicted, when, and how far ahead: the `outcome` of a task file, as `mhdiff.cohort.outcome` reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final

from mhdiff.cohort.outcome_classes import KEYS, Recorded

_MOST_DAYS: Final = 100_000  # 273 years; beyond the calendar nothing can be added
_INDEX: Final = (
    {"every_days"},
    {"every_days", "since"},
    {"date"},
    {"event"},
    {"event", "nth"},
    {"event", "after_days"},
    {"event", "nth", "after_days"},
)


@dataclass(frozen=True)
class Outcome:
    """What is predicted, when, and how far ahead.

    Attributes:
        concepts: SCTIDs; with their descendants they are the outcome, or a class of it.
        horizon_days: Length of the window that is looked at.
        every_days: Predict from the end of the history on, at steps of this length.
        since: Of these steps, none before this day: records are thin before a hospital's system began, and then the
            year tells who has an outcome.
        event: Or at the nth time of an event whose code begins with one of these.
        nth: Which one, from 1.
        after_days: So long after that event.
        day: Or at the beginning of this day.
        history_days: Least time under observation before.
        washout_days: Time before in which there may be no outcome; None for ever.
        gap_days: Time after in which there may be none.
        classes: Class -> what records it, the least severe first; empty where the outcome happens or does not.
        own: What the outcome is recorded by where it happens or does not, and that is more than `concepts`.
        complete_at: Beginnings of codes; after such an event in the horizon nothing more is to be waited for.
    """

    concepts: tuple[int, ...]
    horizon_days: float
    every_days: float | None = None
    since: date | None = None
    event: tuple[str, ...] = ()
    nth: int = 1
    after_days: float = 0
    day: date | None = None
    history_days: float = 0
    washout_days: float | None = None
    gap_days: float = 0
    classes: Mapping[str, Recorded] = field(default_factory=dict)
    own: Recorded | None = field(default=None, metadata={"later": True})
    complete_at: tuple[str, ...] = field(default=(), metadata={"later": True})

    @property
    def places(self) -> dict[str, Recorded]:
        """Where the task says what records the outcome or a class -> what does."""
        if self.own is not None:
            return {"outcome": self.own}
        return {f"outcome.classes.{name}": own for name, own in self.classes.items()}

    @property
    def asks_ontology(self) -> bool:
        """Whether an expression or a concept set says what is meant, so that only an ontology knows."""
        return any(own.ecl or own.concept_set for own in self.places.values())

    @property
    def otherwise(self) -> int | None:
        """Place of the class of those of whom nothing is recorded; None where they get no label."""
        if not self.classes:
            return 0
        return next((place for place, own in enumerate(self.classes.values()) if own.otherwise), None)

    @property
    def hidden(self) -> tuple[str, ...]:
        """Codes whose events are blinded besides those of the concepts."""
        return tuple(dict.fromkeys(code for own in self.places.values() for code in own.hidden))

    @classmethod
    def from_dict(cls, content: dict[str, Any], beside: Callable[[str], Path] = Path) -> Outcome:
        """Make an outcome of plain data.

        Args:
            content: The mapping as in the YAML file.
            beside: Gives the file that the task names.

        Raises:
            ValueError: If a key is unknown, missing or of the wrong kind; the message says which.
            InputError: If the file of a concept set cannot be read.
        """
        days = ("horizon_days", "history_days", "washout_days", "gap_days")
        known = (*KEYS, "classes", "index", *days, "complete_at")
        if not isinstance(content, dict):
            raise ValueError("'outcome' must be a mapping")
        if unknown := [str(key) for key in content if key not in known]:
            raise ValueError(f"'outcome' has the unknown key '{unknown[0]}'; it knows {', '.join(known)}")
        classes, more, concepts = _classes(content, beside), None, content.get("concepts")
        given = {key: content[key] for key in KEYS if content.get(key) is not None}
        if classes:
            concepts = [concept for own in classes.values() for concept in own.concepts]
        elif not given:
            raise ValueError(f"'outcome' must say what is predicted: {', '.join(KEYS)}, or classes")
        elif "concepts" in given and (
            not isinstance(concepts, list) or not concepts or not all(type(c) is int for c in concepts)
        ):
            raise ValueError("'outcome.concepts' must list SCTIDs as whole numbers")
        elif set(given) != {"concepts"}:
            more = Recorded.from_dict(given, "outcome", beside)
        index = content.get("index")
        if not isinstance(index, dict) or set(index) not in _INDEX:
            raise ValueError(
                "'outcome.index' must be {every_days: N, since: DAY}, {event: [PREFIX], nth: N, after_days: N} or "
                "{date: DAY}"
            )
        event, nth, day = index.get("event"), index.get("nth", 1), index.get("date")
        prefixes = event if isinstance(event, list) else []
        if "event" in index and (not prefixes or not all(isinstance(p, str) and p for p in prefixes)):
            raise ValueError("'outcome.index.event' must list prefixes of codes")
        if type(nth) is not int or nth < 1:
            raise ValueError("'outcome.index.nth' must be a whole number from 1")
        for key in ("date", "since"):
            if key in index and type(index[key]) is not date:
                raise ValueError(f"'outcome.index.{key}' must be a day such as 2015-01-01")
        complete = content.get("complete_at", [])
        if not isinstance(complete, list) or not all(isinstance(p, str) and p for p in complete):
            raise ValueError("'outcome.complete_at' must list prefixes of codes")
        washout = content.get("washout_days")
        return cls(
            tuple(concepts or ()),
            _days(content.get("horizon_days"), "horizon_days", positive=True),
            every_days=_days(index["every_days"], "index.every_days", positive=True)
            if "every_days" in index
            else None,
            since=index.get("since"),
            event=tuple(prefixes),
            nth=nth,
            after_days=_days(index.get("after_days", 0), "index.after_days"),
            day=day,
            history_days=_days(content.get("history_days", 0), "history_days"),
            washout_days=None if washout is None else _days(washout, "washout_days"),
            gap_days=_days(content.get("gap_days", 0), "gap_days"),
            classes=classes,
            own=more,
            complete_at=tuple(complete),
        )


def _classes(content: dict[str, Any], beside: Callable[[str], Path]) -> dict[str, Recorded]:
    given = content.get("classes")
    if given is None:
        return {}
    if both := [key for key in KEYS if key in content]:
        raise ValueError(f"'outcome' has '{both[0]}' or 'classes', not both")
    if not isinstance(given, dict) or len(given) < 2:
        raise ValueError("'outcome.classes' must map two or more classes to what records them")
    made = {
        str(name): Recorded.from_dict(own, f"outcome.classes.{name}", beside) for name, own in given.items()
    }
    others = [name for name, own in made.items() if own.otherwise]
    if len(others) > 1 or len(others) == len(made):
        raise ValueError(f"'outcome.classes' has several classes 'otherwise': {', '.join(others)}")
    return made


def _days(value: Any, name: str, *, positive: bool = False) -> float:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 <= value <= _MOST_DAYS or (positive and value == 0):
        raise ValueError(f"'outcome.{name}' must be a number of days{' above 0' if positive else ''}")
    return float(value)
