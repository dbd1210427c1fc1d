"""Is the label still in the words of the notes, after blinding? What a person would read there, a text encoder learns.

label_word          a term of a blinded concept, found as evidence is found (synonyms, plurals), or a blinded word
                    behind letters that only look different: soft hyphens, ligatures, a word broken over two lines
label_word_inside   a blinded word of five letters or more within a longer word ("antiviral")
class_name          a word of a class's name, unless every language is full of it ("other", "no")
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

import polars as pl

from mhdiff.audit.finding import FAILURE, WARNING, Check, Finding, cases
from mhdiff.audit.material import Material
from mhdiff.cohort.blind import MASK, Blinder

LEAST_INSIDE = 5  # letters of a blinded word that is looked for inside others
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_BROKEN = re.compile(r"(?<=[^\W\d_])[-\u2010\u2011]\s*\n\s*(?=[^\W\d_])")
_WORD = re.compile(r"[^\W\d_]{3,}")


def check(material: Material) -> Check:
    """Look for what names the label in the blinded notes.

    Args:
        material: What is audited.
    """
    notes = material.notes.unique(["subject_id", "text_value"], maintain_order=True)
    found = [
        *_terms(material, notes),
        *_disguised(material, notes),
        *_inside(material, notes),
        *_classes(material, notes),
    ]
    if material.ontology is None and material.needs_ontology and notes.height:
        told = "which terms of the blinded concepts are left in notes: give --ontology"
        found.append(Finding("not_checked", WARNING, told))
    return Check(
        "label_words",
        "Is the label still in the words of the notes?",
        f"{notes.height:,} notes of {notes['subject_id'].n_unique():,} patients, {len(material.task.blinded.words)} "
        f"blinded words" + (", terms of the blinded concepts" if material.ontology is not None else ""),
        found,
    )


def plain(text: str) -> str:
    """Give a text as a reader sees it: without letters that do not show, ligatures and words broken over lines.

    Args:
        text: A note.
    """
    return unicodedata.normalize("NFKC", _UNSEEN.sub("", _BROKEN.sub("", text)))


def _terms(material: Material, notes: pl.DataFrame) -> list[Finding]:
    ontology, hidden = material.ontology, set()
    if ontology is None or notes.is_empty():
        return []
    from graph_builders.collect import blinded_closure
    from ontology.recognise import Recogniser

    hidden = set(blinded_closure(ontology, material.hidden)[0].tolist())
    if not hidden:
        return []
    concepts: Counter[int] = Counter()
    rows = []
    mentions = Recogniser(ontology).stream(notes["text_value"])
    for (subject, code), named in zip(notes.select("subject_id", "code").iter_rows(), mentions, strict=True):
        mine = {mention.sctid for mention in named} & hidden
        concepts.update(mine)
        rows += [(subject, None, code)] * bool(mine)
    if not rows:
        return []
    shown = [
        f"{ontology.term(c)} {n:,}" for c, n in sorted(concepts.items(), key=lambda i: (-i[1], i[0]))[:5]
    ]
    more = f" and {len(concepts) - 5} more" if len(concepts) > 5 else ""
    told = f"{len(rows):,} notes name blinded concepts: {', '.join(shown)}{more}. Add their terms to `blinded.words`"
    return [Finding("label_word", FAILURE, told, cases(rows))]


def _disguised(material: Material, notes: pl.DataFrame) -> list[Finding]:
    blinder = Blinder(material.task.blinded.words)
    regex = blinder.regex
    if regex is None:
        return []
    words: Counter[str] = Counter()
    rows = []
    for subject, code, text in notes.select("subject_id", "code", "text_value").iter_rows():
        hits = {blinder.words[(m.lastindex or 1) - 1] for m in regex.finditer(plain(text))}
        words.update(hits)
        rows += [(subject, None, code)] * bool(hits)
    if not rows:
        return []
    told = f"{len(rows):,} notes, behind letters that only look different: {_counted(words)}. Clean the texts on import"
    return [Finding("label_word", FAILURE, told, cases(rows))]


def _inside(material: Material, notes: pl.DataFrame) -> list[Finding]:
    stems = sorted({w.removesuffix("*").casefold() for w in material.task.blinded.words
                    if w.removesuffix("*").isalpha() and len(w.removesuffix("*")) >= LEAST_INSIDE})  # fmt: skip
    if not stems:
        return []
    regex = re.compile("|".join(map(re.escape, sorted(stems, key=lambda s: (-len(s), s)))))
    words: Counter[str] = Counter()
    rows = []
    for subject, code, text in notes.select("subject_id", "code", "text_value").iter_rows():
        hits = set(regex.findall(text.replace(MASK, " ").casefold()))
        words.update(hits)
        rows += [(subject, None, code)] * bool(hits)
    if not rows:
        return []
    told = f"{len(rows):,} notes: {_counted(words)}. Where the longer word tells the label, blind it"
    return [Finding("label_word_inside", WARNING, told, cases(rows))]


def _classes(material: Material, notes: pl.DataFrame) -> list[Finding]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    blinded = Blinder(material.task.blinded.words)
    names = {
        word for name in material.task.classes for word in _WORD.findall(name.replace("_", " ").casefold())
    }
    sought = sorted(word for word in names - ENGLISH_STOP_WORDS if blinded(word) == word)
    regex = Blinder(sought).regex
    if regex is None:
        return []
    words: Counter[str] = Counter()
    rows = []
    for subject, code, text in notes.select("subject_id", "code", "text_value").iter_rows():
        hits = {match[0].casefold() for match in regex.finditer(text)}
        words.update(w for w in sought if any(hit.startswith(w) for hit in hits))
        rows += [(subject, None, code)] * bool(hits)
    if not rows:
        return []
    told = f"{len(rows):,} notes: {_counted(words)}. Add them to `blinded.words` if they tell the label"
    return [Finding("class_name", WARNING, told, cases(rows))]


def _counted(words: Counter[str]) -> str:
    shown = sorted(words.items(), key=lambda item: (-item[1], item[0]))
    more = f" and {len(shown) - 5} more" if len(shown) > 5 else ""
    return ", ".join(f"{word} {n:,}" for word, n in shown[:5]) + more
