"""What records an outcome or a class of it: concepts, an expression, a concept set, codes, or answers to a question.

    outcome:
      classes:                     # the task's classes in their order, the least severe first
        stage_1: {concepts: [737378009], answers: {CIEL/5356: [WHO stage 1 peds]}}
        stage_2: {ecl: <<737379001, codes: [CIEL/1221, ICU_ADMISSION//], concept_set: stage_2.json}
        none: {otherwise: true}

    concepts    SCTIDs with their descendants in the ontology; the code SNOMED/<SCTID> itself counts in any case
    ecl         an expression of SNOMED CT's query language (`ontology.ecl`), evaluated in the ontology
    concept_set a file beside the task's, as OHDSI's ATLAS exports it (`mhdiff.cohort.concept_set`)
    codes       codes of events, whole; one that ends with `*` or `/` stands for all that begin so
    answers     codes of questions -> the answers that mean the class, whatever their case
    otherwise   true: the class of those whom no other one takes, where they were observed long enough to know

Several of them are united. Of several classes in the horizon the last one in the task's order counts. Whatever records
a class is blinded: concepts and what an expression or a set gives with all that is below, codes, and questions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from mhdiff.cohort.concept_set import Item, hidden, read_concept_set
from ontology.errors import InputError

if TYPE_CHECKING:
    from mhdiff.cohort.cohort import Cohort

KEYS: Final = ("concepts", "ecl", "concept_set", "codes", "answers")


@dataclass(frozen=True)
class Recorded:
    """What records a class.

    Attributes:
        concepts: SCTIDs, with their descendants.
        codes: Codes; with `*` or `/` at the end beginnings of codes.
        answers: Codes of questions, and the answers to each.
        ecl: An expression constraint; empty for none.
        concept_set: A concept set of OMOP.
        otherwise: Nothing does: it is the class of all others.
    """

    concepts: tuple[int, ...] = ()
    codes: tuple[str, ...] = ()
    answers: tuple[tuple[str, tuple[str, ...]], ...] = ()
    ecl: str = field(default="", metadata={"later": True})
    concept_set: tuple[Item, ...] = field(default=(), metadata={"later": True})
    otherwise: bool = field(default=False, metadata={"later": True})

    @classmethod
    def from_dict(cls, content: Any, place: str, beside: Callable[[str], Path] = Path) -> Recorded:
        """Make it of plain data.

        Args:
            content: The mapping as in the YAML file.
            place: Where it stands in the task, such as `outcome.classes.stage_1`.
            beside: Gives the file that the task names.

        Raises:
            ValueError: If a key is unknown or of the wrong kind, or nothing is given; the message says which.
            InputError: If the file of a concept set cannot be read.
        """
        known = (*KEYS, "otherwise")
        if not isinstance(content, dict) or not content or set(content) - set(known):
            raise ValueError(f"'{place}' must be a mapping with one or more of {', '.join(known)}")
        if "otherwise" in content:
            if content["otherwise"] is not True or len(content) > 1:
                raise ValueError(f"'{place}.otherwise' must be true, with nothing beside it")
            return cls(otherwise=True)
        concepts, codes, answers = (content.get(key) for key in ("concepts", "codes", "answers"))
        if not isinstance(concepts or [], list) or not all(type(c) is int for c in concepts or []):
            raise ValueError(f"'{place}' must list 'concepts' as whole numbers")
        if not _texts(codes or []) or not isinstance(answers or {}, dict):
            raise ValueError(
                f"'{place}' must list 'codes' as texts, and map 'answers' from codes to lists of texts"
            )
        if any(not code.rstrip("*/") for code in codes or []):
            raise ValueError(f"'{place}.codes' has a code that every event would begin with")
        if not all(
            isinstance(q, str) and q and given and _texts(given) for q, given in (answers or {}).items()
        ):
            raise ValueError(f"'{place}' must map 'answers' from codes to lists of texts")
        file = content.get("concept_set")
        if file is not None and not (isinstance(file, str) and file):
            raise ValueError(f"'{place}.concept_set' must name a file")
        ecl = _expression(content.get("ecl"), f"{place}.ecl")
        if not (concepts or codes or answers or ecl or file):
            raise ValueError(f"'{place}' says nothing")
        made = tuple((question, tuple(given)) for question, given in (answers or {}).items())
        items = () if file is None else read_concept_set(beside(file))
        return cls(tuple(concepts or ()), tuple(codes or ()), made, ecl, items)

    @property
    def whole(self) -> tuple[str, ...]:
        """Codes that are meant as they stand, those of concepts among them."""
        named = [code for code in self.codes if not code.endswith(("*", "/"))]
        return tuple(dict.fromkeys([*named, *(f"SNOMED/{c}" for c in self.concepts)]))

    @property
    def beginnings(self) -> tuple[str, ...]:
        """Beginnings of codes that are meant."""
        return tuple(_begins(code) for code in self.codes if code.endswith(("*", "/")))

    @property
    def hidden(self) -> tuple[str, ...]:
        """Beginnings of codes whose events give the class away."""
        return (
            *(f"SNOMED/{c}" for c in self.concepts),
            *(_begins(code) for code in self.codes),
            *(question for question, _ in self.answers),
            *hidden(self.concept_set),
        )


def _begins(code: str) -> str:
    return code.removesuffix("*")


def _expression(value: Any, place: str) -> str:
    from ontology.ecl import parse

    if value is None:
        return ""
    if type(value) is int:  # a single SCTID, which YAML reads as a number
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"'{place}' must be an expression of ECL as a text, such as '<< 36971009'")
    try:
        parse(value)
    except InputError as error:
        raise ValueError(f"'{place}' is not understood: {error.problem}") from error
    return value


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) and v for v in value)


def not_cut_short(cohort: Cohort, own: Recorded, path: Path | None = None) -> None:
    """Refuse whole codes that no event has and that others only begin with: ICD10CM/J18 where J18.9 is meant.

    Args:
        cohort: The cohort.
        own: What records the outcome.
        path: The task's file, for messages.

    Raises:
        InputError: If there is such a code.
    """
    held = set(cohort.codes["code"])
    for code in own.codes:
        longer = sorted(c for c in held if c.startswith((f"{code}.", f"{code}//")))
        if code not in held and longer and not code.endswith(("*", "/")):
            raise InputError(
                f"'outcome.codes' has {code}, which no event has; {len(longer)} codes begin so, as {longer[0]} does",
                path=path,
                remedy=f"Write {code}* to mean them all",
            )


def recorded(
    cohort: Cohort,
    classes: Mapping[str, Recorded],
    find: Callable[[str, Recorded], dict[str, str | None]],
) -> tuple[pl.DataFrame, dict[str, str | None]]:
    """Find the events that record a class.

    Args:
        cohort: The cohort.
        classes: Class -> what records it, the least severe first.
        find: Gives the codes that a class means by its concepts, expression or set, with their descriptions.

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
    for rank, (name, own) in enumerate(classes.items()):
        named = [
            *(code for code in own.whole if code in held),
            *(code for code in sorted(held) if own.beginnings and code.startswith(own.beginnings)),
        ]
        for code in dict.fromkeys([*find(name, own), *named]):
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
        what, key = ("a class of the outcome", ".classes") if len(classes) > 1 else ("the outcome", "")
        raise InputError(
            f"no event of the cohort records {what}",
            path=cohort.path,
            remedy=f"See the codes in `mhdiff cohort info`, and `outcome{key}` of the task",
        )
    return found, {code: held.get(code) for code in codes} | told
