from pathlib import Path

import pytest
from tiny_release import IDS

from ontology import Recogniser

KEYS = {sctid: key for key, sctid in IDS.items()}
P, A, U, F, H = "present", "absent", "uncertain", "family", "historical"


@pytest.fixture(scope="module")
def recognise(tiny):
    return Recogniser(tiny)


CASES = [
    # negation
    ("No pneumonia.", [A]),
    ("No evidence of pneumonia.", [A]),
    ("Denies fever, cough or asthma.", [A, A, A]),
    ("Negative for COVID-19.", [A]),
    ("Without fever.", [A]),
    ("No fever, cough, or asthma was noted", [A, A, A]),
    ("Pneumonia was ruled out.", [A]),
    ("Fever is present, pneumonia was ruled out.", [P, A]),
    ("Fever and cough were absent.", [A, A]),
    ("COVID-19 PCR was negative.", [A]),
    ("COVID-19: negative", [A]),
    ("Pneumonia not seen.", [A]),
    ("CT excluded pneumonia.", [A]),
    ("He has never had asthma.", [A]),
    ("No history of asthma.", [A]),
    ("The patient has no fever and has pneumonia.", [A, P]),
    ("Neither fever nor cough.", [A, A]),
    # scope
    ("No fever but cough.", [A, P]),
    ("No fever; pneumonia.", [A, P]),
    ("No fever. Pneumonia.", [A, P]),
    ("Denies asthma, presented with cough.", [A, P]),
    ("Pneumonia without fever.", [P, A]),
    ("No asthma however there is viral pneumonia", [A, P]),
    ("Without fever, with cough.", [A, P]),
    # pseudo-negation
    ("No increase in the ground-glass opacity.", [P]),
    ("No change in pneumonia.", [P]),
    ("Not only fever, also cough", [P, P]),
    ("Gram-negative pneumonia", [P]),
    ("Pneumonia not improving.", [P]),
    # uncertainty
    ("Possible pneumonia.", [U]),
    ("Suspected tuberculosis", [U]),
    ("Cannot exclude pneumonia.", [U]),
    ("Pneumonia cannot be excluded.", [U]),
    ("?pneumonia", [U]),
    ("Pneumonia?", [U]),
    ("Fever. ? TB.", [P, U]),
    ("Rule out pneumonia.", [U]),
    ("r/o COVID-19", [U]),
    ("Pneumonia is likely.", [U]),
    ("Pneumonia versus tuberculosis.", [U, U]),
    ("No definite pneumonia.", [U]),
    ("Fever, possible pneumonia", [P, U]),
    ("No fever, possible pneumonia", [A, U]),
    ("Pneumonia possible, asthma absent.", [U, A]),
    ("Fever with cough, suspicious for tuberculosis", [P, P, U]),
    ("Asthma, temperature 38?C, 39.1 ?", [P]),
    ("Cough without response to antibiotics is suspicious for pneumonia.", [P, U]),
    ("Not tested for COVID-19", [U]),
    # family
    ("Mother had asthma.", [F]),
    ("Family history of asthma and tuberculosis.", [F, F]),
    ("Asthma in her father.", [F]),
    ("No family history of asthma.", [F]),
    ("His mother had asthma, but he has fever.", [F, P]),
    ("His wife reports that he had fever", [P]),
    ("Mother with Alzheimer's disease; patient has cough", [F, P]),
    # history
    ("History of asthma.", [H]),
    ("History of tuberculosis, now with pneumonia.", [H, P]),
    ("Previous pneumonia.", [H]),
    ("s/p pneumonia", [H]),
    ("h/o asthma", [H]),
    ("Asthma in childhood", [H]),
    ("Treated for tuberculosis 3 years ago", [H]),
    ("A 3-day history of fever and cough", [P, P]),
    ("45 year old man with pneumonia", [P]),
    ("History of asthma, possible pneumonia, no fever", [H, U, A]),
    ("No fever, previous pneumonia", [A, H]),
    ("denies fever or previous pneumonia", [A, A]),
    ("Compared with the prior study, pneumonia is unchanged", [P]),
    ("Previously healthy woman with fever", [P]),
    # nothing
    ("Fever and cough.", [P, P]),
    ("Consistent with viral pneumonia.", [P]),
    ("Tested positive for COVID-19", [P]),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_what_is_said_of_a_finding(recognise, text, expected):
    mentions = recognise(text)
    assert [m.polarity for m in mentions] == expected, [(KEYS[m.sctid], m.polarity) for m in mentions]


def labelled():
    """Give text, term and polarity of each row; "#" begins the heading of a rule, and a line break is a \\n."""
    lines = (Path(__file__).parent / "context_cases.tsv").read_text(encoding="utf-8").splitlines()
    assert lines[0].split("\t") == ["text", "term", "polarity"]
    rule = ""
    for line in lines[1:]:
        if line.startswith("#"):
            rule = line.strip("# ")
        else:
            text, term, polarity = line.split("\t")
            yield pytest.param(text.replace("\\n", "\n"), term, polarity, id=f"{rule}: {text} [{term}]")


@pytest.mark.parametrize(("text", "term", "polarity"), list(labelled()))
def test_labelled_sentences(recognise, text, term, polarity):
    said = [m for m in recognise(text) if m.text.lower() == term.lower()]
    assert said, f"'{term}' is not found"
    assert {m.polarity for m in said} == {polarity}
