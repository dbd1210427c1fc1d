"""Notes to concepts: the longest term at each place, and what the sentence says of it.

A dictionary from the words of every term to its concepts; words are compared in lower case and singular,
hyphens and possessive endings do not count. Where case matters (a case-sensitive term with capitals inside,
or an abbreviation that spells an everyday word, as "CAP" does), the text must be written as the term is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import polars as pl

from ontology.context import polarities, section_kind
from ontology.model import Ontology, untagged
from ontology.triggers import ABSENT, FAMILY, HISTORICAL, PRESENT, RELATIVES, UNCERTAIN

POLARITIES = (PRESENT, ABSENT, UNCERTAIN, FAMILY, HISTORICAL)

# Semantic tags whose concepts describe the model or grade other concepts; a note's words are not about them.
NOT_SOUGHT = frozenset({
    "attribute", "core metadata concept", "foundation metadata concept", "link assertion", "linkage concept",
    "metadata", "namespace concept", "OWL metadata concept", "qualifier value", "SNOMED RT+CTV3",
})  # fmt: skip

# Abbreviations in these spellings are everyday words in lower case.
_EVERYDAY = """
    add age aid aids aim air all am an and are arm art as at ate bad ban bar bat be bed bid big but by can
    cap care cat chip cold cope copes crest dad day did do due ear end eye fan far fat fed fee few fit for
    gap gas get go got had ham has hat he her hip his hot how ice if ill in is it jet lab lad lap led leg
    let lip low mad man map mass may me men met mild mom ms my no nor not now of off old on one or our out
    own pad pan past pat pen pet pin raft rap rash red rest sad said see set she side sit six so star stat
    step stop sun tab tan tap tar team ten that the tic tie tin tip to toe too top two up us use vast wait
    was wet who why will with yes you
"""
EVERYDAY = frozenset(_EVERYDAY.split())

_TOKEN = re.compile(r"[^\W_]+(?:['’][sS]\b)?|[,;?]")
_WORD = re.compile(r"[^\W_]+(?:['’][sS]\b)?|,")
_POSSESSIVE = re.compile(r"['’][sS]$")
# "38?C", "39.1 ?": a character that the note has lost, no query
_LOST_CHARACTER = re.compile(r"[^\W_]\?[^\W_]|\d ?\?")
_GAP = re.compile(r"(?:['’][sS]\b)?[\s\-‐‑–/'’\"“”()\[\]+.*%&]*")
_BREAK = re.compile(r"[.!?](?=[\s\"')\]]|$)|\n")
_HEADING = re.compile(r"[ \t]*([A-Za-z][A-Za-z /&-]{1,40}?)[ \t]*:")
_ABBREVIATIONS = frozenset(
    {"dr", "mr", "mrs", "ms", "st", "vs", "e.g", "i.e", "approx", "resp", "pt", "pts", "fig", "cf", "ca"}
)


class Mention(NamedTuple):
    """A concept that a text names: characters `start` to `end`, and what is said of it."""

    start: int
    end: int
    text: str
    sctid: int
    polarity: str


class Sentence(NamedTuple):
    """A stretch of text in which triggers have their scope, and what its section says of its mentions."""

    start: int
    end: int
    section: str


class _Token(NamedTuple):
    start: int
    end: int
    text: str
    lower: str


class _Entry(NamedTuple):
    node: int
    cased: tuple[tuple[int, str], ...]  # words that must be written like this, by their place


class Recogniser:
    """Find an ontology's concepts in clinical text.

    Args:
        ontology: Whose terms to look for: synonyms, and FSNs without their tag.
        not_sought: Semantic tags of concepts to leave out.

    Attributes:
        terms: How many terms are looked for.
        skipped: How many terms are not, by reason.
    """

    def __init__(self, ontology: Ontology, *, not_sought: Iterable[str] = NOT_SOUGHT) -> None:
        self.ontology = ontology
        self.skipped: dict[str, int] = {}
        self._entries: dict[str, list[_Entry]] = {}
        self._sizes: dict[str, tuple[int, ...]] = {}
        unwanted = frozenset(not_sought)
        tag = pl.col("term").str.extract(r"\(([^()]*)\)$")
        rows = ontology.terms.filter(pl.col("kind").is_in(["fsn", "synonym"]))
        tags = rows.filter(pl.col("kind") == "fsn").select("concept", tag=tag).unique("concept", keep="first")
        sought = rows.join(tags, on="concept", how="left", maintain_order="left").select(
            "concept", "term", "kind", "case_significance", "tag"
        )
        for node, term, kind, case, of_tag in sought.iter_rows():
            if of_tag in unwanted:
                self._skip(f"a concept with the tag '{of_tag}'")
            else:
                self._add(node, untagged(term) if kind == "fsn" else term, case)
        self.terms = sum(len(entries) for entries in self._entries.values())

    def _skip(self, reason: str) -> None:
        self.skipped[reason] = self.skipped.get(reason, 0) + 1

    def _add(self, node: int, term: str, case: str) -> None:
        words = [_POSSESSIVE.sub("", word) for word in _WORD.findall(term)]
        if not any(character.isalpha() for word in words for character in word) or len("".join(words)) < 2:
            self._skip("too short to be told from other text")
            return
        strict = case != "ci" or (len(words) == 1 and words[0].isupper() and words[0].lower() in EVERYDAY)
        cased = tuple((i, w) for i, w in enumerate(words) if strict and sum(c.isupper() for c in w) > 1)
        keys = [singular(word.lower()) for word in words]
        entries = self._entries.setdefault(" ".join(keys), [])
        if any(entry == (node, cased) or entry == (node, ()) for entry in entries):
            self._skip("the same words name the concept already")
            return
        entries.append(_Entry(node, cased))
        self._sizes[keys[0]] = tuple(sorted({*self._sizes.get(keys[0], ()), len(keys)}, reverse=True))

    def __call__(self, text: str) -> list[Mention]:
        """Find the concepts that a text names.

        Args:
            text: A clinical note.

        Returns:
            The mentions in the order of the text; a term of several concepts gives one mention each.
        """
        mentions = []
        for sentence in sentences(text):
            tokens = list(_tokens(text, sentence))
            found = list(self._matches(text, tokens))
            spans = [(first, last) for first, last, _ in found]
            colours = polarities([token.lower for token in tokens], spans, sentence.section)
            for (first, last, nodes), polarity in zip(found, colours, strict=True):
                start, end = tokens[first].start, tokens[last - 1].end
                for node in nodes:
                    sctid = int(self.ontology.sctids[node])
                    mentions.append(Mention(start, end, text[start:end], sctid, polarity))
        return mentions

    def _matches(self, text: str, tokens: list[_Token]) -> Iterator[tuple[int, int, list[int]]]:
        """Give non-overlapping terms, the longest at each place, as ranges of tokens with their concepts."""
        keys = [singular(token.lower) for token in tokens]
        # a term may run over blanks, hyphens and brackets, and not over other punctuation
        joined = [bool(_GAP.fullmatch(text, a.end, b.start)) for a, b in pairwise(tokens)]
        i = 0
        while i < len(tokens):
            for size in self._sizes.get(keys[i], ()):
                if i + size > len(tokens) or not all(joined[i : i + size - 1]):
                    continue
                nodes = self._fitting(" ".join(keys[i : i + size]), tokens, i)
                if nodes:
                    yield i, i + size, nodes
                    i += size
                    break
            else:
                i += 1

    def _fitting(self, key: str, tokens: list[_Token], first: int) -> list[int]:
        return sorted({
            entry.node
            for entry in self._entries.get(key, ())
            if all(_same_case(tokens[first + place].text, word) for place, word in entry.cased)
        })  # fmt: skip


def _same_case(written: str, word: str) -> bool:
    return written.removesuffix("s") == word.removesuffix("s")


def singular(word: str) -> str:
    """Bring an English plural to its singular, lightly: the same rule for terms and text is all that matters.

    Args:
        word: A word in lower case.
    """
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1]


def _tokens(text: str, sentence: Sentence) -> Iterator[_Token]:
    for match in _TOKEN.finditer(text, sentence.start, sentence.end):
        word = _POSSESSIVE.sub("", match.group())
        if word == "?" and _LOST_CHARACTER.search(
            text, max(sentence.start, match.start() - 2), match.end() + 1
        ):
            continue
        yield _Token(match.start(), match.start() + len(word), word, word.lower())


def sentences(text: str) -> Iterator[Sentence]:
    """Split a note into sentences, each with what its section says of its mentions.

    A sentence ends at a full stop that is not that of an abbreviation, at a blank line, and at a line break
    before a capital letter, a digit or a bullet. A heading ("Family history:") begins a section, which ends
    at the next heading or at the first blank line after its text.

    Args:
        text: A clinical note.
    """
    section, filled, start = "", False, 0
    for stop in [*_breaks(text), len(text)]:
        piece = text[start:stop]
        if heading := _heading(text, start, stop):
            kind, after = section_kind(heading.group(1)), text[heading.end() : stop]
            section, filled = kind, bool(after.strip())
        elif not piece.strip():
            if filled and start and text[start - 1] == "\n":
                section, filled = "", False
        else:
            filled = True
        if piece.strip():
            yield Sentence(start, stop, section)
        start = stop


def _heading(text: str, start: int, stop: int) -> re.Match[str] | None:
    if start and text[start - 1] != "\n":
        return None
    found = _HEADING.match(text, start, stop)
    # "Mother: asthma" goes on with the family history
    return None if found and found.group(1).split()[0].lower() in RELATIVES else found


def _breaks(text: str) -> Iterator[int]:
    """Give the places where sentences end."""
    for match in _BREAK.finditer(text):
        end = match.end()
        if match.group() == "\n":
            following = text[end : end + 40].lstrip(" \t")
            if not following or not following[0].islower():
                yield end
        elif match.group() == ".":
            words = text[max(0, match.start() - 12) : match.start()].split()
            last = words[-1].lower().lstrip("(") if words else ""
            next_word = text[end : end + 3].lstrip(" \t")
            initial = len(last) == 1 and last.isalpha()  # "E. coli"
            if not (initial or last in _ABBREVIATIONS) and not next_word[:1].islower():
                yield end
        elif not text[match.start() - 1 : match.start()].strip():
            continue  # the query in "fever, ? TB"
        elif match.group() == "!" or not text[end : end + 3].lstrip()[:1].islower():
            yield end
