"""Whether a finding is said of the patient now: trigger phrases colour the mentions in their scope (ConText).

A forward trigger reaches to the next terminator, to the end of the sentence, or to where a trigger of
another kind takes over; a backward one reaches the nearest mention before it and those in one list with
that. A phrase that can do both does what the nearer mention suggests. Of several colours the first of
`PRECEDENCE` decides. A terminator that is itself denied ("has not developed") ends nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ontology import triggers
from ontology.triggers import ABSENT, FAMILY, HISTORICAL, PRECEDENCE, PRESENT, UNCERTAIN

# A backward trigger may be this many words away from the mention ("influenza swab by PCR was negative").
_REACH = 4
# What may stand between a negation and a terminator that it denies ("has not yet been diagnosed with").
_BETWEEN_DENIED = frozenset({"been", "yet", "ever", "be", "previously", "clearly"})
_LIST_WORDS = frozenset({",", "and", "or", "nor", "a", "an", "the"})


class Effect(NamedTuple):
    """What a phrase does: colour what follows, what precedes, or both, or end the scope of some kinds.

    Backward it colours a mention at most `reach` words away. One that concludes ends a negation only behind a
    comma: "no opacity suggestive of pneumonia" denies both.
    """

    forward: str = ""
    backward: str = ""
    both: bool = False
    ends: tuple[str, ...] = ()
    concludes: bool = False
    reach: int = _REACH


class Found(NamedTuple):
    """A phrase in a sentence, as a range of words, and what it does."""

    start: int
    end: int
    effect: Effect


class _Normal(dict[str, str]):
    """Words as the table has them: "#" for numbers, "not" for "doesnt"."""

    def __missing__(self, word: str) -> str:
        number = word.isdigit() or word in triggers.NUMBERS
        normal = "#" if number else "not" if word in triggers.CONTRACTED else word
        if len(self) < 1 << 16:
            self[word] = normal
        return normal


_NORMAL = _Normal()


def _normal(words: Iterable[str]) -> list[str]:
    """Give words as the table has them; "isn", "t" are "is", "not"."""
    row = [_NORMAL[word] for word in words]
    if "t" in row:
        for place in range(1, len(row)):
            if row[place] == "t" and row[place - 1] in triggers.AUXILIARIES:
                row[place - 1 : place + 1] = triggers.AUXILIARIES[row[place - 1]], "not"
    return row


def _table() -> dict[tuple[str, ...], Effect]:
    table: dict[tuple[str, ...], Effect] = {}

    def entries(phrases: Iterable[str]) -> Iterable[tuple[tuple[str, ...], Effect]]:
        for phrase in phrases:
            words = tuple(_normal(phrase.split()))
            yield words, table.get(words, Effect())

    for kind, phrases in triggers.FORWARD.items():
        for words, effect in entries(phrases):
            table[words] = effect._replace(forward=kind)
    for kind, phrases in triggers.BACKWARD.items():
        for words, effect in entries(phrases):
            table[words] = effect._replace(backward=kind)
    for kind, phrases in triggers.RIGHT_BEHIND.items():
        for words, effect in entries(phrases):
            table[words] = effect._replace(backward=kind, reach=0)
    for kind, phrases in triggers.BETWEEN.items():
        for words, effect in entries(phrases):
            table[words] = effect._replace(forward=kind, backward=kind, both=True)
    for kind, phrases in triggers.TERMINATORS.items():
        for words, effect in entries(phrases):
            table[words] = effect._replace(ends=(*effect.ends, kind))
    for words, effect in entries(triggers.TERMINATORS_OF_ALL):
        table[words] = effect._replace(ends=PRECEDENCE)
    for words, effect in entries(triggers.CONCLUSIONS):
        table[words] = effect._replace(ends=PRECEDENCE, concludes=True)
    for words, _ in entries(triggers.PSEUDO):
        table[words] = Effect()
    return table


_TABLE = _table()
_SIZES: dict[str, tuple[int, ...]] = {}
for _words in _TABLE:
    _SIZES[_words[0]] = tuple(sorted({*_SIZES.get(_words[0], ()), len(_words)}, reverse=True))
_SECTION_KINDS = {heading: kind for kind, headings in triggers.SECTIONS.items() for heading in headings}


def section_kind(heading: str) -> str:
    """Give what a heading makes of the mentions in its section; empty where it makes nothing of them.

    Args:
        heading: The heading without its colon.
    """
    return _SECTION_KINDS.get(" ".join(heading.lower().split()), "")


def find_triggers(words: list[str], taken: Sequence[bool]) -> list[Found]:
    """Find the trigger phrases of a sentence, the longest at each place, outside of the mentions.

    Args:
        words: The sentence's words.
        taken: Whether a word belongs to a mention.
    """
    # "^" and "." stand for the beginning and the end of the sentence
    row = ["^", *_normal(words), "."]
    found, behind = [], 0
    for i in [place for place, word in enumerate(row) if word in _SIZES]:
        if i < behind:
            continue
        for size in _SIZES[row[i]]:
            effect = _TABLE.get(tuple(row[i : i + size]))
            if effect is not None:
                start, end = max(i - 1, 0), min(i - 1 + size, len(words))
                if not any(taken[start:end]):
                    found.append(Found(start, end, effect))
                    behind = i + size
                    break
    return found


def _takes_over(this: Found, other: Found, words: list[str], taken: Sequence[bool]) -> bool:
    """Whether the scope of one forward trigger ends where another begins."""
    mine, yours = this.effect.forward, other.effect.forward
    if yours in ("", mine) or (yours in (FAMILY, ABSENT) and mine != FAMILY):
        return False  # family and negation win by precedence anyway
    between = words[this.end : other.start]
    if between[-1:] == [","] or between[-2:] == [",", "and"]:
        return True
    # "denies fever or previous pneumonia" is one denial; "no fever and possible pneumonia" is not
    one_denial = mine == ABSENT and yours == HISTORICAL
    far = mine == ABSENT and len(between) > 2  # "without response to antibiotics, suspicious for pneumonia"
    return mine != FAMILY and not one_denial and (far or any(taken[this.end : other.start]))


def _forward_limit(this: Found, found: Sequence[Found], words: list[str], taken: Sequence[bool]) -> int:
    kind = this.effect.forward
    for other in found:
        if other.start < this.end:
            continue
        if kind in other.effect.ends:
            between = words[this.end : other.start]
            denied = kind == ABSENT and _BETWEEN_DENIED.issuperset(between)
            if not denied and not (kind == ABSENT and other.effect.concludes and "," not in between):
                return other.start
        if _takes_over(this, other, words, taken):
            return other.start
    return len(words)


def _listed_before(
    this: Found, found: Sequence[Found], words: list[str], spans: Sequence[tuple[int, int]]
) -> set[int]:
    """Give the mentions that a backward trigger reaches."""
    ends = [
        other.end for other in found if other.end <= this.start and this.effect.backward in other.effect.ends
    ]
    reached: set[int] = set()
    limit, edge = max(ends, default=0), this.start
    for place in sorted(range(len(spans)), key=lambda i: spans[i], reverse=True):
        start, end = spans[place]
        if end > edge or start < limit:
            continue
        gap = words[end:edge]
        if not _LIST_WORDS.issuperset(gap) if reached else len(gap) > this.effect.reach:
            break
        reached.add(place)
        edge = start
    return reached


def _direction(this: Found, spans: Sequence[tuple[int, int]]) -> tuple[bool, bool]:
    """Whether a phrase colours forward, backward; of both, mostly the one where the nearer mention is."""
    forward, backward, both = this.effect[:3]
    if both or not (forward and backward):
        return bool(forward), bool(backward)
    after = min((start - this.end for start, _ in spans if start >= this.end), default=None)
    before = min((this.start - end for _, end in spans if end <= this.start), default=None)
    if after is None or before is None:
        return after is not None, before is not None
    return after <= before, before < after


def carried(words: list[str]) -> str:
    """Give what a line that ends in a colon makes of the list below it; empty where it makes nothing of it.

    Args:
        words: The line's words, as in `polarities`.
    """
    free = [False] * len(words)
    found = find_triggers(words, free)
    kinds = {this.effect.forward for this in found if _forward_limit(this, found, words, free) == len(words)}
    return next((kind for kind in (FAMILY, ABSENT, UNCERTAIN) if kind in kinds), "")


def polarities(words: list[str], spans: Sequence[tuple[int, int]], section: str = "") -> list[str]:
    """Decide for each mention of a sentence what is said of it.

    Args:
        words: The sentence's words, lower case; ",", ";" and "?" are words.
        spans: First word, and the word after the last one, of each mention; none twice.
        section: What the sentence's section says of its mentions, empty for nothing.

    Returns:
        For each mention "present", "absent", "uncertain", "family" or "historical".
    """
    taken = [False] * len(words)
    for start, end in spans:
        taken[start:end] = [True] * (end - start)
    found = find_triggers(words, taken)
    if not found:
        return [section or PRESENT] * len(spans)
    colours: list[set[str]] = [{section} if section else set() for _ in spans]
    for this in found:
        forward, backward = _direction(this, spans)
        if forward:
            limit = _forward_limit(this, found, words, taken)
            for colour, (start, end) in zip(colours, spans, strict=True):
                if start >= this.end and end <= limit:
                    colour.add(this.effect.forward)
        if backward:
            for place in _listed_before(this, found, words, spans):
                colours[place].add(this.effect.backward)
    return [next((kind for kind in PRECEDENCE if kind in colour), PRESENT) for colour in colours]
