from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mhdiff.cohort.mimic_cxr.marks import without_marks
from mhdiff.cohort.mimic_cxr.sections import BEFORE, HEADINGS, SECTIONS, sections


def parted(report):
    return [(s.name, report[s.start : s.end], s.concluded) for s in sections(report)]


def test_a_report_as_mimic_prints_it():
    report = (
        "                                 FINAL REPORT\n EXAMINATION:  CHEST (PA AND LAT)\n\n"
        " INDICATION:  ___F with cough\n"
        "  and fever  // ?pneumonia\n\n TECHNIQUE:  Chest PA and lateral\n\n COMPARISON:  ___\n\n FINDINGS: \n\n"
        " Lungs are clear.\n\n Heart is normal.\n\n IMPRESSION: \n\n No acute process.\n"
    )
    assert parted(report) == [
        ("examination", "CHEST (PA AND LAT)", False),
        ("indication", "___F with cough\n  and fever  // ?pneumonia", False),
        ("technique", "Chest PA and lateral", False),
        ("comparison", "___", False),
        ("findings", "Lungs are clear.\n\n Heart is normal.", True),
        ("impression", "No acute process.", True),
    ]


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        # findings that have no heading of their own stand after a blank line
        (
            "INDICATION: Cough.\n\nThe lungs are clear.\n\nIMPRESSION: Normal.",
            [("indication", "Cough."), ("untitled", "The lungs are clear."), ("impression", "Normal.")],
        ),
        # one line, and the conclusion's heading in any case
        ("HISTORY: Cough. IMPRESSION: Pneumonia.", [("history", "Cough."), ("impression", "Pneumonia.")]),
        ("History: cough.  Findings: opacity.", [("history", "cough."), ("findings", "opacity.")]),
        ("REASON FOR EXAM: fall COMPARISON: None.\nWET READ: ___ 10:32 PM\n rib fracture",
         [("indication", "fall"), ("comparison", "None."), ("wet_read", "___ 10:32 PM\n rib fracture")]),
        # what nobody knows is no referral
        ("AP CHEST, 5 A.M.:  Effusion.\nIMPRESSION: Same.", [("other", "Effusion."), ("impression", "Same.")]),
        ("CLINICAL INDICATION: cough\nFINDINGS AND IMPRESSION: clear",
         [("indication", "cough"), ("impression", "clear")]),
        ("Chest clear.\n", [("untitled", "Chest clear.")]),
        ("", []),
        (" FINAL REPORT\n", []),
    ],
)  # fmt: skip
def test_headings_vary(report, expected):
    assert [(name, text) for name, text, _ in parted(report)] == expected


def test_the_last_section_counts_as_concluded_where_nothing_else_was_labelled():
    found = sections("TECHNIQUE: AP\nHISTORY: Cough. Right lower lobe pneumonia.")
    assert [(s.name, s.concluded) for s in found] == [("technique", False), ("history", True)]
    assert [s.concluded for s in sections("HISTORY: Cough.\nIMPRESSION: Clear.")] == [False, True]


def test_every_heading_is_known_once():
    every = [heading for headings in HEADINGS.values() for heading in headings]
    assert len(every) == len(set(every))
    for name, headings in HEADINGS.items():
        for heading in headings:
            for spelled in (heading.upper(), heading.capitalize()):
                assert sections(f"{spelled}: word\n\nIMPRESSION: x")[0].name == name


WORDS = st.text("abcdefgh", min_size=1, max_size=8)
BODIES = st.lists(WORDS, min_size=1, max_size=6).map(" ".join)


@given(
    st.lists(st.tuples(st.sampled_from(sorted(HEADINGS)), st.integers(0, 3), BODIES), min_size=1, max_size=8)
)
def test_what_was_written_under_headings_is_found_again(written):
    lines = [f" {HEADINGS[name][n % len(HEADINGS[name])].upper()}:  {body}\n\n" for name, n, body in written]
    found = sections("FINAL REPORT\n" + "".join(lines))
    assert [s.name for s in found] == [name for name, _, _ in written]
    report = "FINAL REPORT\n" + "".join(lines)
    assert [report[s.start : s.end] for s in found] == [body for _, _, body in written]


@given(st.text("aB:_ \n\tFINDGSMPREO/.", max_size=200))
def test_no_word_is_lost_or_said_twice_and_no_conclusion_is_called_a_referral(report):
    found = sections(report)
    assert all(s.name in SECTIONS for s in found)
    assert all(a.end <= b.start for a, b in pairwise(found))
    between = [0, *(edge for s in found for edge in (s.start, s.end)), len(report)]
    left = [report[a:b] for a, b in zip(between[::2], between[1::2], strict=True)]
    for gap in left:  # only blanks, headings and titles lie outside sections
        for line in gap.split("\n"):
            assert (
                not line.strip()
                or line.rstrip().endswith(":")
                or ":" in line
                or line.strip() == "FINAL REPORT"
            )
    for section in found:
        text = report[section.start : section.end]
        assert text == text.strip() != ""
        if section.name in BEFORE and not section.concluded:
            assert "\n\n" not in text
            assert "IMPRESSION:" not in text
            assert "FINDINGS:" not in text


@pytest.mark.parametrize(
    ("text", "clean", "n"),
    [
        ("___F with cough", "F with cough", 1),
        ("Seen by Dr. ___ on ___.", "Seen by Dr. on.", 2),
        ("___-year-old man with ___ // fever", "year-old man with // fever", 2),
        ("___", "", 1),
        ("snake_case is no mark", "snake_case is no mark", 0),
        ("line one ___\nline two", "line one\nline two", 1),
    ],
)
def test_marks_are_taken_out(text, clean, n):
    made, count = without_marks(text)
    assert (made.strip(), count) == (clean, n)


@given(st.text("ab_ .\n-", max_size=60))
def test_no_mark_is_left_and_no_letter_is_lost(text):
    clean, _ = without_marks(text)
    assert "__" not in clean
    assert [c for c in clean if c.isalpha()] == [c for c in text if c.isalpha()]
    assert without_marks(clean)[0].split() == clean.split()
