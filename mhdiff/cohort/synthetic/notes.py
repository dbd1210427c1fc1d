"""The clinical note: drawn findings in a site's own style, among things that say nothing about the label.

Affirmed findings are worded with any of their terms. Independently of the label the note also denies
findings, tells of relatives' and of past findings, asks a question that names a diagnosis at random (those
words are blinded by the task), and has sentences without any finding. One sentence has one polarity, and no
sentence that affirms holds a word that would negate it, so that what the note says is never ambiguous to a
careful reader.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Style:
    """How a site writes.

    Attributes:
        headings: Headings of story, negatives, past, family, question and plan; empty for none.
        present: Sentences that affirm {x}.
        again: Sentences that affirm {x} a second time.
        absent: Sentences that deny {x}.
        family: Sentences that tell of a relative's {x}.
        past: Sentences that tell of a past {x}.
        question: Sentences that ask about the diagnosis {x}.
        opening: First sentences; may use {age} and {sex}.
        filler: Sentences without findings.
        joiner: What stands between sentences.
        upper: Whether headings are in capitals.
    """

    headings: tuple[str, str, str, str, str, str]
    present: tuple[str, ...]
    again: tuple[str, ...]
    absent: tuple[str, ...]
    family: tuple[str, ...]
    past: tuple[str, ...]
    question: tuple[str, ...]
    opening: tuple[str, ...]
    filler: tuple[str, ...]
    joiner: str = " "
    upper: bool = False


_FILLER = (
    "Seen with the nurse in charge.",
    "Lives with family.",
    "Walks unaided.",
    "Drug chart reviewed.",
    "Samples sent.",
    "Will be seen again in the morning.",
    "Discussed with the consultant on call.",
    "Works in an office.",
)

STYLES = (
    Style(
        headings=(
            "On admission",
            "Negatives",
            "Past medical history",
            "Family history",
            "Request",
            "Plan",
        ),
        present=(
            "There is {x}.",
            "The patient presents with {x}.",
            "Examination shows {x}.",
            "{X} was noted.",
        ),
        again=("Examination again shows {x}.", "{X} was noted again."),
        absent=("There is no {x}.", "The patient denies {x}.", "No evidence of {x}."),
        family=("The patient's mother had {x}.", "Family history of {x}.", "The father had {x}."),
        past=("Past medical history of {x}.", "History of {x}."),
        question=("Working diagnosis to be confirmed: possible {x}.",),
        opening=("A {age}-year-old {sex} seen in the emergency department.",),
        filler=_FILLER,
    ),
    Style(
        headings=("pc", "neg", "pmh", "fh", "q", "plan"),
        present=("{X}.", "O/E {x}.", "Has {x}.", "Found {x}."),
        again=("Still {x}.", "{X} seen again."),
        absent=("No {x}.", "Denies {x}.", "Negative for {x}."),
        family=("Mother had {x}.", "Brother had {x}."),
        past=("History of {x}.", "Past medical history of {x}."),
        question=("Possible {x}.",),
        opening=("{age} y {sex}.", "{sex}, {age} y."),
        filler=("Drug chart done.", "Samples sent.", "D/w consultant.", "For ward round."),
        joiner="\n",
        upper=True,
    ),
    Style(
        headings=("", "", "", "", "", ""),
        present=(
            "We found {x} on admission.",
            "The admitting team describes {x}.",
            "On arrival there was {x}.",
            "It was clear that {x} was present.",
        ),
        again=("The senior doctor also described {x}.",),
        absent=("We found no {x}.", "There was no evidence of {x}.", "The patient came without {x}."),
        family=("A family history of {x} was given.", "The mother had {x}.", "A sister had {x}."),
        past=("The records tell of a history of {x}.", "The past medical history includes {x}."),
        question=("The referring doctor asks about possible {x}.",),
        opening=(
            "Thank you for referring this {age}-year-old {sex}.",
            "I saw this {age}-year-old {sex} today.",
        ),
        filler=_FILLER,
    ),
)
"""One style a site; further sites begin again."""


def style_of(site: int) -> Style:
    """Give a site's style.

    Args:
        site: Index of the site.
    """
    return STYLES[site % len(STYLES)]


@dataclass(frozen=True)
class Content:
    """What a note says, each finding already worded.

    Attributes:
        present: Affirmed findings in the order drawn.
        repeated: Whether the finding of `present` was affirmed before.
        absent: Denied findings.
        family: Relatives' findings.
        past: Past findings.
        question: The diagnosis that is asked about, or nothing.
        age: Age in years.
        female: Sex.
    """

    present: Sequence[str]
    repeated: Sequence[bool]
    absent: Sequence[str]
    family: Sequence[str]
    past: Sequence[str]
    question: str
    age: int
    female: bool


def compose(content: Content, style: Style, rng: np.random.Generator) -> str:
    """Write the note.

    Args:
        content: What it says.
        style: The site's style.
        rng: Source of the choice of sentences and their order.
    """
    sex = "woman" if content.female else "man"
    story = [_pick(style.opening, rng).format(age=content.age, sex=sex)]
    for term, again in zip(content.present, content.repeated, strict=True):
        story.append(_say(_pick(style.again if again else style.present, rng), term))
    sections = [
        story,
        [_say(_pick(style.absent, rng), term) for term in content.absent],
        [_say(_pick(style.past, rng), term) for term in content.past],
        [_say(_pick(style.family, rng), term) for term in content.family],
        [_say(_pick(style.question, rng), content.question)] if content.question else [],
        [style.filler[i] for i in rng.permutation(len(style.filler))[: rng.integers(1, 4)]],
    ]
    paragraphs = []
    for heading, sentences in zip(style.headings, sections, strict=True):
        if not sentences:
            continue
        body = style.joiner.join(s[0].upper() + s[1:] for s in sentences)
        if heading:
            paragraphs.append(f"{heading.upper() if style.upper else heading}:\n{body}")
        else:
            paragraphs.append(body)
    return "\n\n".join(paragraphs) + "\n"


def inner(term: str) -> str:
    """Give a term as it stands inside a sentence: "Fever" -> "fever", but "CRP raised" as it is.

    Args:
        term: The term.
    """
    first = term.split()[0]
    return (
        term
        if first[1:] != first[1:].lower() or any(c.isdigit() for c in first)
        else term[0].lower() + term[1:]
    )


def _say(template: str, term: str) -> str:
    return template.format(x=inner(term), X=term[0].upper() + term[1:])


def _pick(options: Sequence[str], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]
