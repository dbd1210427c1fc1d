import pytest
from hypothesis import given
from hypothesis import strategies as st

from ontology import InputError
from ontology.rules import Patient, decide, parse

ONSET = "445518008 | Age at onset of clinical finding (observable entity) |"
MALE = "248153007 | Male (finding) |"


@pytest.mark.parametrize(
    ("rule", "patient", "expected"),
    [
        ("TRUE", Patient(), True),
        ("OTHERWISE TRUE", Patient(), True),
        ("", Patient(), True),
        (f"IFA {ONSET} < 28.0 days", Patient(age=0.05), True),
        (f"IFA {ONSET} < 28.0 days", Patient(age=0.08), False),
        (f"IFA {ONSET} < 28.0 days", Patient(sex="male"), None),
        (f"IFA {ONSET} >= 12.0 years AND IFA {ONSET} < 19.0 years", Patient(age=12), True),
        (f"IFA {ONSET} >= 12.0 years AND IFA {ONSET} < 19.0 years", Patient(age=19), False),
        (f"IFA {ONSET} < 1 year", Patient(age=0.99), True),
        (f"IFA {ONSET} < 28.0 days", Patient(age=0), None),  # completed years: a day or eleven months
        (f"IFA {ONSET} < 28.0 days", Patient(age=1), False),
        (f"IFA {ONSET} < 1 year", Patient(age=0), True),
        (f"IFA {ONSET} = 1 year", Patient(age=1), None),
        (f"IFA {ONSET} = 1 year", Patient(age=2), False),
        (f"IFA {ONSET} >= 6 months", Patient(age=0.5), True),
        (f"IFA {MALE}", Patient(sex="male"), True),
        (f"IFA {MALE}", Patient(sex="female"), False),
        (f"ifa {MALE}", Patient(), None),
        (f"IFA {MALE} AND IFA {ONSET} < 1 year", Patient(sex="female"), False),
        (f"IFA {MALE} AND IFA {ONSET} < 1 year", Patient(sex="male"), None),
        ("IFA 77386006 | Pregnancy (finding) |", Patient(concepts=frozenset([77386006])), True),
        ("IFA 77386006 | Pregnancy (finding) |", Patient(), None),
        ("IFA 77386006 | Pregnancy (finding) |", Patient(complete=True), False),
        ("IF THE MOON IS FULL", Patient(age=3, sex="male"), None),
    ],
)
def test_rules_are_decided(rule, patient, expected):
    assert decide(rule, patient) is expected


@pytest.mark.parametrize(
    ("rule", "place"),
    [
        ("IF A", 1),
        (f"IFA {MALE} OR IFA {MALE}", 33),
        (f"IFA {MALE} AND", 33),
        ("IFA 12 | x |", 1),
        (f"IFA {MALE} AND x", 38),
    ],
)
def test_what_is_no_rule_is_refused_with_its_place(rule, place):
    with pytest.raises(InputError, match=f"from character {place}[:]"):
        parse(rule)


def test_patients_that_cannot_be_are_refused():
    with pytest.raises(InputError, match="no sex"):
        Patient(sex="m")
    with pytest.raises(InputError, match="no age"):
        Patient(age=-1)


@given(st.text(max_size=60))
def test_any_text_is_decided_or_unknown(text):
    assert decide(text, Patient(age=40, sex="female", complete=True)) in (True, False, None)


@given(st.floats(0, 100), st.floats(0.1, 90))
def test_below_and_from_are_each_others_opposite(age, bound):
    below = decide(f"IFA {ONSET} < {bound:.4f} years", Patient(age=age))
    assert decide(f"IFA {ONSET} >= {bound:.4f} years", Patient(age=age)) is (not below)
