"""Names of people, by their context and by lists.

By context: behind a title (Dr. X), in a field (Patient name: X), beside a degree (X, MD), behind a relation (her
husband X). By lists: ours of given names, with the surname behind or before the comma, and the user's own. Whoever is
found so is found again anywhere in the note. An eponym ("Parkinson's disease", "Foley") is a name behind a title, and
where a patient or a physician of that name is in the note.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from mhdiff.cohort.deidentify.spans import Span
from mhdiff.cohort.deidentify.words import HEADS, listed

_LETTERS: Final = r"[^\W\d_]"
_CAPITAL: Final = r"[A-ZÀ-ÖØ-ÞĀĆČĐĒĘĞĪŁŃŌŚŠŞŪŹŻŽ]"
#: O'Brien, McAllister, Baker-Lee, SMITH; not a word of one letter
_WORD: Final = rf"(?:{_CAPITAL}['’])?{_CAPITAL}(?:{_LETTERS})+(?:[-'’]{_CAPITAL}(?:{_LETTERS})+)*"
_INITIAL: Final = rf"{_CAPITAL}\.(?: ?{_CAPITAL}\.)*"
_PARTICLE: Final = r"(?:(?:van|von|de|del|della|di|da|dos|du|la|le|der|den|zu|ter|ten|bin|al|el|St\.)[ -])"
_SURNAME: Final = rf"{_PARTICLE}{{0,2}}{_WORD}"
#: A whole name: initials and one to three words.
_NAME: Final = rf"(?:{_INITIAL} ?)?{_SURNAME}(?:,? (?:{_INITIAL} ?)?{_SURNAME}){{0,2}}"
_SPACED: Final = rf"(?:{_INITIAL} ?)?{_SURNAME}(?: (?:{_INITIAL} ?)?{_SURNAME}){{0,2}}"

_TITLE: Final = re.compile(
    r"\b(?:(?:[Dd]rs?|[Mm]rs?|[Mm]s|[Pp]rof|Hr|Fr)\.?|DRS?\.|MRS?\.|MS\.|PROF\.|DOCTOR|[Dd]octor|[Pp]rofessor|Miss|"
    rf"Herrn?|Frau|Nurse|RN|[Pp]astor|Rev\.|Reverend|Sir)[ \n]+(?:Dr\. |Prof\. |med\. )*(?P<it>{_SPACED})"
)
_LOWER_TITLE: Final = re.compile(rf"\b(?:dr|mr|mrs)\.? (?P<it>{_LETTERS}{{3,}})\b")
_FIELD: Final = re.compile(
    r"(?i:\b(?:(?:patient|full|first|last|family|maiden|father'?s|mother'?s)(?:'s)? ?name|surname|attending|resident|"
    r"radiologist|physician|surgeon|provider|pcp|gp|referr(?:ing|ed)(?: by)?|dictated by|reported by|transcribed by|"
    r"read by|reviewed by|electronically signed(?: by)?|signed(?: by)?|sign(?:ed)? off by|cc|next of kin|"
    r"emergency contact|contact|witness|author|caregiver|patientenname|name des patienten))"
    rf"[:,]? *[:,]? *(?P<it>{_NAME})"
)
_LINE: Final = re.compile(
    rf"^(?i:name|patient|pt|re|dear)[:,]? *(?P<it>{_SURNAME},? (?:{_INITIAL} ?)?{_SURNAME})", re.M
)
_DEGREE: Final = re.compile(
    rf"(?P<it>{_SPACED}),? (?:M\.D\.|MD|D\.O\.|DO|Ph\.?D\.?|R\.?N\.?|NP|PA-C|MBBS|FRCR|FACR|FRCP|DVM|DDS)\b"
)
_RELATION: Final = re.compile(
    r"\b(?i:wife|husband|daughter|son|mother|father|brother|sister|mom|dad|partner|spouse|aunt|uncle|niece|nephew|cousin|"
    r"friend|neighbou?r|grandson|granddaughter|fiancée?|guardian|caretaker|named|called|paged|contacted|notified|"
    rf"informed|texted|emailed|(?:spoke|talked|discussed|d/w)(?: (?:to|with))?),? (?P<it>{_SPACED})"
)
_PAIR: Final = re.compile(rf"(?P<a>{_SURNAME})(?P<comma>,)? (?:(?:{_INITIAL} ?))?(?P<b>{_SURNAME})")
_SINGLE: Final = re.compile(rf"(?<![\w'’-]){_WORD}(?![\w-])")
_EPONYM: Final = re.compile(
    rf"(?<!\w){_WORD}(?:[ -](?:{_WORD}|and|of))*(?:['’]s|s['’]|['’])?[ -](?:{HEADS})\b", re.DOTALL
)


class Names:
    """Finds names.

    Args:
        own: The user's own: surnames, given names or whole ones. Matched as written and in capitals.
        keep: Words that are never names.
    """

    def __init__(self, own: Sequence[str] = (), keep: Iterable[str] = ()) -> None:
        self.keep = {_bare(word) for word in keep}
        self.common = {_bare(word) for word in listed("common")} | self.keep
        self.never = {_bare(word) for word in listed("eponyms")} | self.common
        self.given = {_bare(name) for name in listed("given_names")} - self.keep
        alternatives = sorted(
            {form for name in own for form in (name, name.upper())}, key=lambda w: (-len(w), w)
        )
        pattern = "|".join(re.escape(form).replace(r"\ ", r"\s+") for form in alternatives)
        self.listed = re.compile(rf"(?<!\w)(?:{pattern})(?!\w)") if alternatives else None

    def __call__(self, text: str) -> list[Span]:
        """Give where names stand.

        Args:
            text: A note.
        """
        eponyms = [match.span() for match in _EPONYM.finditer(text)]
        sure = list(self._behind_titles(text))
        less = [*self._beside(text), *self._of_lists(text)]
        found = sure + [span for span in less if not _inside(span, eponyms)]
        again = self._words(sure, text) - self.common | self._words(found, text) - self.never
        for match in _SINGLE.finditer(text):
            word = _without_s(match)
            bare, span = _bare(text[word[0] : word[1]]), Span(*word, "name")
            # "Parkinson's" beside Dr. Parkinson is the disease all the same
            possessive = word[1] < match.end() and bare in self.never
            if bare in again and not possessive and not _inside(span, eponyms):
                found.append(span)
        return found

    def _words(self, spans: Iterable[Span], text: str) -> set[str]:
        words = (match for span in spans for match in _SINGLE.finditer(text, span.start, span.end))
        return {_bare(match[0]) for match in words}

    def _behind_titles(self, text: str) -> Iterator[Span]:
        for pattern in (_TITLE, _FIELD, _LINE):
            for match in pattern.finditer(text):
                yield from self._trimmed(match)
        for match in _LOWER_TITLE.finditer(text):
            if match["it"].capitalize() not in listed("common") and match["it"].islower():
                yield Span(*match.span("it"), "name")

    def _beside(self, text: str) -> Iterator[Span]:
        for pattern in (_DEGREE, _RELATION):
            for match in pattern.finditer(text):
                # without a title an eponym or a common word is no name ("mother Parkinson"), nor is "mother HIV"
                first = match["it"].split()[0]
                known = self._known(first)
                shouted = pattern is _RELATION and first.isupper() and not match[0][0].isupper()
                if known or (known is None and not shouted):
                    yield from self._trimmed(match)

    def _trimmed(self, match: re.Match[str]) -> Iterator[Span]:
        """Cut a name where a common word begins."""
        start, end = match.span("it")
        for word in re.finditer(r"\S+", match["it"]):
            bare = word[0].strip(",.'’")
            if bare in listed("common") or (bare.capitalize() in listed("common") and len(bare) > 1):
                end = start + word.start()
                break
        name = match.string[start:end].rstrip(" ,")
        if name:
            yield Span(start, start + len(name), "name")

    def _known(self, word: str) -> bool | None:
        """True for a given name, False for what is never a name, None for neither."""
        bare = _bare(word.strip(",.").removesuffix("'s").removesuffix("’s"))
        return True if bare in self.given else False if bare in self.never else None

    def _of_lists(self, text: str) -> Iterator[Span]:
        if self.listed is not None:
            for match in self.listed.finditer(text):
                if _bare(match[0]) not in self.keep:
                    yield Span(*match.span(), "name")
        for match in _SINGLE.finditer(text):
            if self._known(match[0]):
                yield Span(*_without_s(match), "name")
                behind = _PAIR.match(text, match.start())
                if behind and not behind["comma"] and _bare(behind["b"].split()[-1]) not in self.common:
                    yield Span(match.start(), behind.end(), "name")
        place = 0
        while before := _PAIR.search(text, place):  # Smith, John
            if (
                before["comma"]
                and self._known(before["b"])
                and self._known(before["a"].split()[-1]) is not False
            ):
                yield Span(*before.span(), "name")
            place = before.start("b")


def _bare(word: str) -> str:
    return word.casefold()


def _without_s(match: re.Match[str]) -> tuple[int, int]:
    """Leave the possessive ending where it is."""
    start, end = match.span()
    return start, end - 2 if match[0].endswith(("'s", "’s")) else end


def _inside(span: Span, places: list[tuple[int, int]]) -> bool:
    return any(a <= span.start and span.end <= b for a, b in places)
