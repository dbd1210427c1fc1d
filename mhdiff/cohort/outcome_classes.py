"""An outcome with classes of its own, such as the stages of a disease: each is recorded by its own codes.

    outcome:
      classes:                       # in the place of `concepts`; every class of the task, the least severe first
        stage_1: {concepts: [737378009], answers: {CIEL/5356: [WHO stage 1 peds]}}
        stage_2: {concepts: [737379001], codes: [CIEL/1221]}

    concepts    SCTIDs with their descendants in the ontology; the code SNOMED/<SCTID> itself counts in any case
    codes       codes of events, whole
    answers     codes of questions -> the answers that mean the class, whatever their case

Of several classes in the horizon the last one in the task's order counts. Whatever records a class is blinded: the
concepts, the codes, and the questions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from ontology.errors import InputError

if TYPE_CHECKING:
    from mhdiff.cohort.cohort import Cohort

#: Gives the codes of a cohort that stand for some concepts, with their descriptions.
Find = Callable[[tuple[int, ...]], dict[str, str | None]]


@dataclass(frozen=True)
class Recorded:
    """What records a class.

    Attributes:
        concepts: SCTIDs, with their descendants.
        codes: Codes.
        answers: Codes of questions, and the answers to each.
    """

    concepts: tuple[int, ...] = ()
    codes: tuple[str, ...] = ()
    answers: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @classmethod
    def from_dict(cls, content: Any, name: str) -> Recorded:
        """Make it of plain data.

        Args:
            content: The mapping as in the YAML file.
            name: Name of the class.

        Raises:
            ValueError: If a key is unknown or of the wrong kind, or nothing is given; the message says which.
        """
        place = f"'outcome.classes.{name}'"
        known = ("concepts", "codes", "answers")
        if not isinstance(content, dict) or not content or set(content) - set(known):
            raise ValueError(f"{place} must be a mapping with one or more of {', '.join(known)}")
        concepts, codes, answers = (content.get(key) for key in known)
        if not isinstance(concepts or [], list) or not all(type(c) is int for c in concepts or []):
            raise ValueError(f"{place} must list 'concepts' as whole numbers")
        if not _texts(codes or []) or not isinstance(answers or {}, dict):
            raise ValueError(
                f"{place} must list 'codes' as texts, and map 'answers' from codes to lists of texts"
            )
        if not all(
            isinstance(q, str) and q and given and _texts(given) for q, given in (answers or {}).items()
        ):
            raise ValueError(f"{place} must map 'answers' from codes to lists of texts")
        if not (concepts or codes or answers):
            raise ValueError(f"{place} says nothing")
        made = tuple((question, tuple(given)) for question, given in (answers or {}).items())
        return cls(tuple(concepts or ()), tuple(codes or ()), made)

    @property
    def hidden(self) -> tuple[str, ...]:
        """Codes whose events give the class away."""
        return (
            *(f"SNOMED/{c}" for c in self.concepts),
            *self.codes,
            *(question for question, _ in self.answers),
        )


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) and v for v in value)


def recorded(
    cohort: Cohort, classes: Mapping[str, Recorded], find: Find
) -> tuple[pl.DataFrame, dict[str, str | None]]:
    """Find the events that record a class.

    Args:
        cohort: The cohort.
        classes: Class -> what records it, the least severe first.
        find: Gives the codes that stand for concepts.

    Returns:
        subject_id, code, e (its time) and rank (place of its class); and code -> description of the codes that occur.

    Raises:
        InputError: If an event can be of two classes, or there is none of any.
    """
    held = dict(cohort.codes.select("code", "description").iter_rows())
    events = cohort.scan().filter(pl.col("time").is_not_null())
    codes: dict[str, int] = {}
    told: dict[str, str | None] = {}
    frames = []
    for rank, own in enumerate(classes.values()):
        named = dict.fromkeys([*own.codes, *(f"SNOMED/{c}" for c in own.concepts)])
        for code in [*find(own.concepts), *(code for code in named if code in held)]:
            if codes.setdefault(code, rank) != rank:
                one, other = (list(classes)[place] for place in (codes[code], rank))
                raise InputError(
                    f"the code {code} records the classes '{one}' and '{other}'",
                    path=cohort.path,
                    remedy="Let concepts of the outcome's classes have no descendants in common",
                )
        for question, answers in own.answers:
            said = pl.col("text_value").str.strip_chars().str.to_lowercase()
            answered = events.filter(
                pl.col("code") == question, said.is_in([a.strip().lower() for a in answers])
            )
            frames.append(answered.select("subject_id", "code", e="time", rank=pl.lit(rank, pl.Int64)))
            told |= {question: held[question]} if question in held else {}
    ranks = pl.LazyFrame(list(codes.items()), schema={"code": pl.String, "rank": pl.Int64}, orient="row")
    frames.append(events.join(ranks, on="code").select("subject_id", "code", e="time", rank="rank"))
    found = pl.concat([frame.collect() for frame in frames])
    if found.is_empty():
        raise InputError(
            "no event of the cohort records a class of the outcome",
            path=cohort.path,
            remedy="See the codes in `mhdiff cohort info`, and `outcome.classes` of the task",
        )
    return found, {code: held.get(code) for code in codes} | told
