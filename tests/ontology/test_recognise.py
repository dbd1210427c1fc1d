import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from tiny_release import CONCEPTS, IDS

from ontology import POLARITIES, Recogniser
from ontology.recognise import sentences, singular


@pytest.fixture(scope="module")
def recognise(tiny):
    return Recogniser(tiny)


KEYS = {sctid: key for key, sctid in IDS.items()}


def found(mentions):
    return [(KEYS[m.sctid], m.polarity) for m in mentions]


def keys(mentions):
    return [KEYS[m.sctid] for m in mentions]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Pneumonia.", ["pneumonia"]),
        ("BACTERIAL PNEUMONIA", ["bacterial"]),  # the longest match, once
        ("bacterial pneumonias and coughs", ["bacterial", "cough"]),
        ("ground glass opacities", ["opacity"]),
        ("ground-glass opacity", ["opacity"]),
        ("community acquired pneumonia", ["cap"]),
        ("pneumonia, bacterial", ["bacterial"]),
        ("fever, cough", ["fever", "cough"]),
        ("viral. Pneumonia", ["pneumonia"]),
        ("viral; pneumonia", ["pneumonia"]),
        ("alzheimer disease", ["alzheimer"]),
        ("Alzheimer’s disease", ["alzheimer"]),
        ("CAP is treated", ["cap"]),
        ("a cap was worn", []),  # case-sensitive abbreviation
        ("TB and tb", ["tuberculosis"]),
        ("COVID-19", ["covid"]),
        (
            "Covid-19 or covid-19, COVID 19",
            ["covid", "covid", "covid"],
        ),  # read as a word, and none of every day
        ("the feverish asthmatic", []),
        ("walking pneumonia", ["viral"]),  # the stray quotation mark of the term does not matter
        ("finding site above reference range", ["finding"]),  # attributes and qualifiers are not sought
        ("edema", ["edema_a", "edema_b"]),  # ambiguous: one mention a concept
        ("", []),
        ("\n\n\t ...", []),
    ],
)
def test_terms_are_found(recognise, text, expected):
    assert keys(recognise(text)) == expected


def test_spans_are_those_of_the_text(recognise):
    text = "Übrigens: the patient's lung infection\nand Alzheimer's disease."
    for mention in recognise(text):
        assert text[mention.start : mention.end] == mention.text
        assert mention.polarity in POLARITIES
    assert [m.text for m in recognise(text)] == ["lung infection", "Alzheimer's disease"]


def test_what_is_not_sought_is_counted(recognise):
    assert sum(recognise.skipped.values()) + recognise.terms == sum(
        text.count("|") + 1 for text in CONCEPTS.values()
    )
    assert recognise.skipped["a concept with the tag 'attribute'"] == 2


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("opacities", "opacity"),
        ("effusions", "effusion"),
        ("abscesses", "abscess"),
        ("pertussis", "pertussis"),
        ("virus", "virus"),
        ("masses", "mass"),
        ("gas", "gas"),
        ("reflexes", "reflex"),
    ],
)
def test_singular(word, expected):
    assert singular(word) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A. B is well. C too", 2),
        ("Dr. Smith saw E. coli at 38.5 degrees.", 1),
        ("one line\nwrapped here\nNew line", 2),
        ("- fever\n- cough", 2),
        ("Fever?\n\nCough!", 2),
        ("Dr. Brown", 1),
        ("a Dr. Brown", 1),
        ("Size is normal.There is more. And e.g. this", 3),
    ],
)
def test_sentences(text, expected):
    pieces = list(sentences(text))
    assert len(pieces) == expected
    assert all(a.end <= b.start for a, b in pairwise(pieces))


def test_sections(recognise):
    note = (
        "FAMILY HISTORY:\nMother: asthma.\nFather: pneumonia.\n\nPast medical history: tuberculosis\n"
        "History of present illness: fever.\nImpression: viral pneumonia."
    )
    assert found(recognise(note)) == [
        ("asthma", "family"), ("pneumonia", "family"), ("tuberculosis", "historical"), ("fever", "present"),
        ("viral", "present"),
    ]  # fmt: skip
    note = "PMH: asthma.\n\nThe patient has a fever."
    assert found(recognise(note)) == [("asthma", "historical"), ("fever", "present")]


def test_it_goes_to_other_processes_and_threads(recognise):
    notes = [f"Day {day}: no fever{day}, bacterial pneumonia x{day % 7}, TB." for day in range(300)]
    expected = recognise.many(notes)
    assert pickle.loads(pickle.dumps(recognise)).many(notes) == expected
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(recognise, notes)) == expected


def test_a_long_note_takes_linear_time(recognise):
    text = "No evidence of pneumonia but cough and fever without asthma in the mother " * 500
    start = time.perf_counter()
    assert len(recognise(text.replace("mother", "mother."))) == 2000
    assert time.perf_counter() - start < 5
