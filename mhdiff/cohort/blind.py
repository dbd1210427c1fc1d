"""Words that name the label are taken out of notes before anything else reads them.

A word of the task matches whatever its case, its plural or possessive, and whatever stands between its parts:
`COVID-19` also takes "covid19", "Covid 19" and "COVID–19". A trailing `*` takes any ending: `pneumococc*`.
Longer words are tried first, so that no half of a longer one is left.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

MASK = "[blinded]"
_PART = re.compile(r"[^\W\d_]+|\d+")
_BETWEEN = r"[\W_]{0,3}"


@dataclass
class BlindingReport:
    """What was taken out.

    Attributes:
        words: Word of the task -> how often it was replaced.
        notes: Number of notes in which something was replaced.
    """

    words: Counter[str] = field(default_factory=Counter)
    notes: int = 0


class Blinder:
    """Replaces a task's words.

    Args:
        words: Words and phrases, with an optional trailing `*`.
    """

    def __init__(self, words: Sequence[str]) -> None:
        patterns = {word: _pattern(word) for word in words}
        self.words = sorted((w for w in words if patterns[w]), key=lambda w: (-len(patterns[w]), w))
        alternatives = "|".join(f"({patterns[word]})" for word in self.words)
        self.regex = (
            re.compile(rf"(?<![^\W_])(?:{alternatives})(?![^\W_])", re.IGNORECASE) if self.words else None
        )

    def __call__(self, text: str, report: BlindingReport | None = None) -> str:
        """Give the text with every word replaced by `[blinded]`.

        Args:
            text: A note.
            report: Where to count what was replaced.
        """
        if self.regex is None:
            return text
        found: Counter[str] = Counter()

        def replace(match: re.Match[str]) -> str:
            found[self.words[(match.lastindex or 1) - 1]] += 1
            return MASK

        clean = self.regex.sub(replace, text)
        if report is not None and found:
            report.words.update(found)
            report.notes += 1
        return clean


def _pattern(word: str) -> str:
    stem = word.removesuffix("*")
    parts = [re.escape(part) for part in _PART.findall(stem)]
    if not parts:
        return ""
    ending = r"[^\W_]*" if word.endswith("*") else r"(?:e?s|['’]s)?"
    return _BETWEEN.join(parts) + ending
