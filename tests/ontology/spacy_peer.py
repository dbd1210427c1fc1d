"""spaCy's PhraseMatcher and negspacy's NegEx on the same terms, and how far two readings of notes agree."""

import re
from collections import Counter
from typing import NamedTuple

import numpy as np
import spacy
from negspacy.negation import Negex
from negspacy.termsets import termset
from spacy.matcher import PhraseMatcher
from spacy.util import filter_spans

from ontology import Recogniser
from ontology.context import find_triggers
from ontology.lexicon_build import sought_terms
from ontology.sentences import sentences
from ontology.tokens import words_of

NEGEX = termset("en_clinical").get_patterns()
DENIALS = {" ".join(re.findall(r"\w+", phrase)) for kind in ("preceding", "following") for phrase in
           NEGEX[f"{kind}_negations"]}  # fmt: skip


class Peer:
    """Blank English with a sentencizer, the ontology's terms in lower case, the longest first, and negex."""

    def __init__(self, ontology):
        terms = sought_terms(ontology)[0]["term"].unique(maintain_order=True).to_list()
        letters = re.compile(r"[^\W\d_]")
        self.terms = {t for t in terms if letters.search(t) and len(re.findall(r"[^\W_]", t)) > 1}
        self.lower = {term.lower() for term in self.terms}
        self.words = {plain(term) for term in self.terms}
        self.nlp = spacy.blank("en")
        self.nlp.add_pipe("sentencizer")
        self.matcher = PhraseMatcher(self.nlp.vocab, attr="LOWER")
        self.matcher.add("term", list(self.nlp.tokenizer.pipe(sorted(self.terms))))
        self.negex = Negex(self.nlp, "negex", NEGEX)

    def __call__(self, text):
        """Give {(start, end): whether it is negated}."""
        doc = self.nlp(text)
        doc.ents = filter_spans(self.matcher(doc, as_spans=True))
        self.negex(doc)
        return {(entity.start_char, entity.end_char): bool(entity._.negex) for entity in doc.ents}


class Note(NamedTuple):
    text: str
    ours: dict
    theirs: dict


def read(ontology, texts):
    """Give each text with {span: polarity} and {span: negated}."""
    peer, recognise = Peer(ontology), Recogniser(ontology)
    found = ({(m.start, m.end): m.polarity for m in mentions} for mentions in recognise.many(texts))
    return peer, [Note(text, ours, peer(text)) for text, ours in zip(texts, found, strict=True)]


def in_our_sentences(peer, notes):
    """Give the notes with what the peer reads when it is given one of our sentences at a time."""
    return [
        Note(note.text, note.ours, {
            (start + s.start, end + s.start): negated
            for s in sentences(note.text)
            for (start, end), negated in peer(note.text[s.start : s.end]).items()
        })
        for note in notes
    ]  # fmt: skip


def plain(text):
    return " ".join(re.findall(r"[^\W_]+", text.lower()))


def overlapping(span, others):
    return [other for other in others if other[0] < span[1] and span[0] < other[1]]


def in_chain(text, span):
    """Whether a span is part of words with hyphens between."""
    before, after = text[max(0, span[0] - 2) : span[0]], text[span[1] : span[1] + 2]
    return bool(re.search(r"\w-$", before) or re.match(r"-\w", after))


def why_only_ours(note, span, peer):
    """Say why PhraseMatcher does not give a span that we give."""
    said = note.text[slice(*span)]
    if said.lower() in peer.lower:
        longer = [
            other for other in overlapping(span, note.theirs) if other[1] - other[0] > span[1] - span[0]
        ]
        if any(in_chain(note.text, other) for other in longer):
            return "a name with hyphens is not cut"
        return "they take the longest first" if longer else "spaCy's tokens end elsewhere"
    return "hyphens and other marks" if plain(said) in peer.words else "inflection"


def why_only_theirs(note, span, peer):
    """Say why we do not give a span that PhraseMatcher gives."""
    said = note.text[slice(*span)]
    if in_chain(note.text, span):
        return "a name with hyphens is not cut"
    if overlapping(span, note.ours):
        return "inside or across a longer term"
    spellings = [term for term in peer.terms if term.lower() == said.lower()]
    if spellings and said not in spellings:
        return "capitals"
    return "a sentence ends inside" if re.search(r"[.\n]", said) else "rest"


def why_polarity(note, span, peer):
    """Say why a denial is read on one side only."""
    ours, negated = note.ours[span], note.theirs[span]
    sentence = next(s for s in sentences(note.text) if s.start <= span[0] < s.end)
    alone = peer(note.text[sentence.start : sentence.end])
    negated_alone = alone.get((span[0] - sentence.start, span[1] - sentence.start))
    if negated_alone is not None and negated_alone == (ours == "absent"):
        return "a sentence ends"
    if negated and ours == "uncertain":
        return "uncertain is not absent"
    if negated and ours == "family":
        return "somebody else's"
    words = [word.lower() for word in words_of([note.text[sentence.start : sentence.end]])[0]]
    found = find_triggers(words, [False] * len(words))
    phrases = [(" ".join(words[f.start : f.end]), f.effect) for f in found]
    if not negated:
        known = [phrase for phrase, effect in phrases if "absent" in (effect.forward, effect.backward)
                 and phrase in DENIALS]  # fmt: skip
        return "our scope is wider" if known else "a phrase that NegEx has not"
    if any(effect == effect.__class__() for _, effect in phrases):
        return "only looks like a denial"
    if any("absent" in effect.ends or effect.forward not in ("", "absent") for _, effect in phrases):
        return "our scope ends before"
    denied = [p for p, effect in phrases if "absent" in (effect.forward, effect.backward)]
    return "a quality is denied, not the thing" if not denied or "not" in denied else "rest"


def disagreements(peer, notes):
    """Count the classes of spans on one side only, and of polarities that differ."""
    ours, theirs, polarity = Counter(), Counter(), Counter()
    for note in notes:
        both = note.ours.keys() & note.theirs.keys()
        ours.update(why_only_ours(note, span, peer) for span in note.ours.keys() - both)
        theirs.update(why_only_theirs(note, span, peer) for span in note.theirs.keys() - both)
        polarity.update(
            why_polarity(note, span, peer)
            for span in both
            if (note.ours[span] == "absent") != note.theirs[span]
        )
    return ours, theirs, polarity


class Figure(NamedTuple):
    value: float
    low: float
    high: float
    n: int

    def __str__(self):
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f}; n = {self.n})"


def interval(counts, statistic, n, draws=2000):
    """Give a statistic of summed counts [notes, k] with a bootstrap interval (95 %) over notes."""
    weights = np.random.default_rng(0).multinomial(len(counts), [1 / len(counts)] * len(counts), draws)
    drawn = np.array([statistic(row) for row in weights @ counts])
    return Figure(float(statistic(counts.sum(0))), *np.nanpercentile(drawn, [2.5, 97.5]).tolist(), int(n))


def f1(counts):
    both, ours, theirs = counts
    return 2 * both / (2 * both + ours + theirs)


def kappa(counts):
    """Cohen's kappa of a table [both, only a, only b, neither]."""
    table = np.asarray(counts, dtype=float).reshape(2, 2) / max(1, np.sum(counts))
    chance = float(table.sum(0) @ table.sum(1))
    return (np.trace(table) - chance) / (1 - chance) if chance < 1 else np.nan


def span_agreement(notes):
    """Give F1, and the shares of our spans that are theirs and of theirs that are ours."""
    rows = np.array([
        (len(n.ours.keys() & n.theirs.keys()), len(n.ours.keys() - n.theirs.keys()),
         len(n.theirs.keys() - n.ours.keys())) for n in notes
    ])  # fmt: skip
    both, ours, theirs = rows.sum(0)
    return {
        "F1": interval(rows, f1, rows.sum()),
        "of ours, theirs": interval(rows, lambda c: c[0] / (c[0] + c[1]), both + ours),
        "of theirs, ours": interval(rows, lambda c: c[0] / (c[0] + c[2]), both + theirs),
    }


def polarity_agreement(notes, among=None):
    """Give Cohen's kappa of "denied", over spans of both sides, ours in `among` where that is given."""
    rows = []
    for note in notes:
        pairs = Counter(
            (note.ours[span] == "absent", note.theirs[span])
            for span in note.ours.keys() & note.theirs.keys()
            if among is None or note.ours[span] in among
        )
        rows.append([pairs[one, other] for one in (True, False) for other in (True, False)])
    counts = np.array(rows)
    return interval(counts, kappa, counts.sum())
