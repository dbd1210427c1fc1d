"""The text with every identifier replaced by the placeholder of its kind, and how many were.

A placeholder is not as long as what it replaces. It need not be: notes are de-identified before anything reads them,
so that mentions, tokens and explanations all speak of places in the text that the model sees, and nobody keeps places
in the one before. A text that is de-identified twice is the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from mhdiff.cohort.deidentify.contacts import ADDRESSES, IDS, MAILS, PHONES, URLS
from mhdiff.cohort.deidentify.dates import AGES, DATES
from mhdiff.cohort.deidentify.names import Names
from mhdiff.cohort.deidentify.rules import Rules
from mhdiff.cohort.deidentify.spans import Span, united
from ontology.removed import PLACEHOLDERS

_PATTERNS = {
    "date": DATES,
    "age": AGES,
    "id": IDS,
    "phone": PHONES,
    "mail": MAILS,
    "url": URLS,
    "address": ADDRESSES,
}


@dataclass
class Deidentification:
    """What was taken out.

    Attributes:
        replaced: Kind -> how many.
        notes: Number of notes in which something was replaced.
    """

    replaced: Counter[str] = field(default_factory=Counter)
    notes: int = 0


class Deidentifier:
    """Replaces identifiers.

    Args:
        rules: What is taken out.

    Raises:
        InputError: If a list cannot be read, or Presidio is asked for and not there.
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._names = Names(list(rules.listed("names")), list(rules.listed("keep")))
        self._presidio: Callable[[str], list[Span]] | None = None
        if rules.presidio is not None:
            from mhdiff.cohort.deidentify.presidio import Presidio

            self._presidio = Presidio(rules.presidio)

    def spans(self, text: str) -> list[Span]:
        """Give where identifiers stand, in the order of the text.

        Args:
            text: A note.
        """
        wanted = self.rules.kinds
        found = [
            Span(*match.span("it" if "it" in pattern.groupindex else 0), kind)
            for kind in wanted
            for pattern in _PATTERNS.get(kind, ())
            for match in pattern.finditer(text)
        ]
        if "name" in wanted:
            found += self._names(text)
        if self._presidio is not None:
            found += [span for span in self._presidio(text) if span.kind in wanted]
        return united(found, text)

    def __call__(self, text: str, report: Deidentification | None = None) -> str:
        """Give the text with every identifier replaced.

        Args:
            text: A note.
            report: Where to count.
        """
        spans = self.spans(text)
        if not spans:
            return text
        parts, end = [], 0
        for span in spans:
            parts += [text[end : span.start], PLACEHOLDERS[span.kind]]
            end = span.end
        if report is not None:
            report.notes += 1
            report.replaced.update(span.kind for span in spans)
        return "".join([*parts, text[end:]])
