"""Texts are split into words as a plain regular expression splits them, and every span is that of the text."""

import re
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tiny_release import DESCRIPTION, IDS

from ontology import Recogniser
from ontology.tokens import HYPHEN, JOINED, OPEN, STOP, Batch, Numbers, words_of
from tests.searches import examples

PIECES = [
    "fever", "Cough", "no ", "possible ", "bacterial", "pneumonia", "ground-glass opacities", "Alzheimer’s disease",
    "Alzheimer's", "'s", "’S", "TB", "COVID-19", "-", "‐", "–", "/", ".", ". ", ",", ";", "?", "_", ":", "\n", "\r\n",
    "\r\n\r\n", "\r", "\t", " ", "\u00a0", "\u2009", "\u2028", "\u200b", "\ufeff", "\u00ad", "e\u0301", "\u0301", "é",
    "ﬁ", "ß", "İ", "ǅ",
    "🤒", "❤\ufe0f", "1\ufe0f\u20e3", "👩\u200d⚕\ufe0f", "中", "हिन्दी", "عربي", "²", "µ", "\x00", "\ud800",
    "PMH: ", "Denies:\n- ", "\n- ", "s", "S", "x",
]  # fmt: skip
TEXTS = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), max_size=25).map("".join)


def mark(character):
    selector = 0xFE00 <= ord(character) <= 0xFE0F or 0xE0100 <= ord(character) <= 0xE01EF
    return unicodedata.category(character) in ("Mn", "Mc") and not selector


def plainly(text):
    """Give (start, end, kind of the gap behind) of each word, one character after the other."""
    letter = [c.isalnum() or mark(c) for c in text]
    spans, i = [], 0
    while i < len(text):
        if letter[i]:
            j = i
            while j < len(text) and letter[j]:
                j += 1
            whole = j
            ending = re.compile(r"['’][sS]").match(text, j)
            if ending and not (
                ending.end() < len(text) and (letter[ending.end()] or text[ending.end()] == "_")
            ):
                whole = ending.end()
            spans.append((i, j, whole))
            i = whole
        elif text[i] in ",;?":
            spans.append((i, i + 1, i + 1))
            i += 1
        else:
            i += 1
    found = []
    for (start, end, whole), following in zip(spans, [*spans, (len(text),)][1:], strict=True):
        gap = text[whole : following[0]]
        joined = all(c.isspace() or c in "-‐‑–/'’\"“”()[]+.*%&\u200b\u2060\ufeff" for c in gap)
        kind = HYPHEN if gap and gap in "-‐‑" and len(gap) == 1 else JOINED
        if not joined:
            kind = OPEN
        elif kind == JOINED and ("." in gap or "\n" in gap):
            kind = STOP
        found.append((start, end, kind))
    return found


@settings(deadline=None, max_examples=examples(500))
@given(TEXTS)
@example("a's's's b's_ c''s 's s's")
@example("")
def test_words_are_those_of_a_plain_reading(text):
    batch = Batch([text], None)
    expected = plainly(text)
    assert list(zip(batch.starts.tolist(), batch.ends.tolist(), batch.gaps.tolist(), strict=True)) == expected
    assert words_of([text, "x", text])[2] == [text[start:end] for start, end, _ in expected]


@settings(deadline=None, max_examples=examples(300))
@given(st.lists(TEXTS, max_size=5))
def test_numbers_are_those_of_the_words(texts):
    known: dict[str, int] = {}
    numbers = Numbers(lambda word: known.setdefault(word, len(known)))
    for _ in range(2):  # once new, once remembered
        for chosen in (texts, texts[:1]):
            if chosen:
                batch = Batch(chosen, numbers)
                assert [known[batch.word(i)] for i in range(len(batch))] == batch.numbers.tolist()


def test_words_that_share_a_slot_are_told_apart():
    known: dict[str, int] = {}
    numbers = Numbers(lambda word: known.setdefault(word, len(known)))
    # more words than slots, more characters than are hashed together, and a word longer than that
    text = " ".join(f"w{i} {i}" for i in range(150_000)) + " " + "x" * 600_000 + " end"
    for _ in range(2):
        batch = Batch([text], numbers)
        assert batch.numbers.tolist() == [known[word] for word in text.split()]


@pytest.fixture(scope="module")
def recognise(tiny):
    return Recogniser(tiny)


@settings(deadline=None, max_examples=examples(300))
@given(st.lists(TEXTS, max_size=6))
def test_spans_are_those_of_the_text_and_batches_are_single_notes(recognise, texts):
    together = recognise.many(texts)
    assert together == [recognise(text) for text in texts]
    assert together == list(recognise.stream(iter(texts)))
    for text, mentions in zip(texts, together, strict=True):
        assert all(text[m.start : m.end] == m.text for m in mentions)
        assert all(m.start < m.end for m in mentions)


@settings(deadline=None, max_examples=examples(300))
@given(st.lists(TEXTS, max_size=6), st.booleans())
def test_walking_finds_what_levels_find(tiny, texts, overlapping):
    """Short texts are walked word by word, batches level by level."""
    recognise = Recogniser(tiny, overlapping=overlapping)
    found = []
    for few in (0, 10_000):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("ontology.matching._FEW", few)
            found.append(recognise.spans(texts))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fe\u0301ver fever", [("fever", 7)]),  # another word, as "féver" is
        ("🤒fever❤\ufe0fcough", [("fever", 1), ("cough", 8)]),
        ("bacterial\u00a0pneumonia", [("bacterial\u00a0pneumonia", 0)]),
        ("bacterial\u200b pneumonia", [("bacterial\u200b pneumonia", 0)]),
        ("bacterial\r\npneumonia", [("bacterial\r\npneumonia", 0)]),
        ("No fever\r\n\r\nCough", [("fever", 3), ("Cough", 12)]),
        ("中fever", []),
    ],
)
def test_characters_count_as_python_counts_them(recognise, text, expected):
    assert [(m.text, m.start) for m in recognise(text)] == expected


@pytest.mark.parametrize(
    ("written", "term"),
    [
        ("Sjo\u0308gren syndrome", "Sjögren syndrome"),
        ("Sjögren syndrome", "Sjo\u0308gren syndrome"),
        ("\ufb01brosis", "fibrosis"),
        ("Ménière’s disease", "Me\u0301nie\u0300re's disease"),
    ],
)
def test_accents_in_one_character_or_two(release, written, term):
    files, load = release
    for row in files[DESCRIPTION]:
        row[7] = term if row[7] == "Cough" else row[7]
    (mention,) = Recogniser(load())(f"Known {written}.")
    assert (mention.sctid, mention.text) == (IDS["cough"], written)
