import pytest
import tiny_release
from tiny_release import DATE, IDS, MAP, MODULE

from ontology import ConceptNotFound
from ontology.mapping import concepts_of, map_code, map_concept
from ontology.rules import Patient

ONSET = "IFA 445518008 | Age at onset of clinical finding (observable entity) |"
COUGH = [  # group 1 depends on age; group 2 is an additional code; fever cannot be classified
    (1, 1, f"{ONSET} >= 12.0 years AND {ONSET} < 19.0 years", "Z00.3"),
    (1, 2, f"{ONSET} < 19.0 years", "Z00.2"),
    (1, 3, "OTHERWISE TRUE", ""),
    (2, 1, "TRUE", "R05"),
]


@pytest.fixture
def ontology(release):
    files, load = release
    number = 100
    for group, priority, rule, code in COUGH:
        number += 1
        files[MAP].append([f"m{number}", DATE, 1, MODULE, 447562003, IDS["cough"], group, priority, rule, "advice",
                           code, 447557004, 447639009])  # fmt: skip
    files[MAP].append(["m9", DATE, 1, MODULE, 447562003, IDS["fever"], 1, 1, "TRUE", "CANNOT BE CLASSIFIED", "",
                       447561005, 447638001])  # fmt: skip
    return load()


def codes(choices):
    return [(c.group, c.decided, [t.code for t in c.targets]) for c in choices]


def test_a_code_gives_every_concept_with_its_provenance(ontology):
    found = map_code(ontology, "j99", "ICD10")
    assert [m.sctid for m in found] == sorted([IDS["viral"], IDS["bacterial"]])
    assert {m.origin for m in found} == {"refset:447562003"}
    assert all(m.holds and m.rule == "TRUE" and m.confidence is None for m in found)
    assert [m.as_dict()["code"] for m in found] == ["J99", "J99"]
    assert map_code(ontology, "ICD10:J99", "ICD-10") == found
    assert map_code(ontology, "LOINC:J99", "ICD-10") == []
    assert ontology.map("J99", "ICD-10") == found
    assert (
        ontology.map("nothing", "ICD-10") == [] == ontology.map("", "ICD-10") == ontology.map("J99", "LOINC")
    )


def test_a_rule_says_whether_a_code_stands_for_a_concept(ontology):
    (row,) = map_code(ontology, "Z00.2", "ICD-10")
    assert row.holds is None
    assert row.predicate == "sct:447557004"
    assert map_code(ontology, "Z00.2", "ICD-10", patient=Patient(age=3))[0].holds is True
    assert map_code(ontology, "Z00.2", "ICD-10", patient=Patient(age=30))[0].holds is False
    # the rule of Z00.2 holds at 15 too, but that of Z00.3 comes first
    assert map_code(ontology, "Z00.2", "ICD-10", patient=Patient(age=15))[0].holds is False
    assert map_code(ontology, "Z00.3", "ICD-10", patient=Patient(age=15))[0].holds is True


@pytest.mark.parametrize(
    ("age", "first"),
    [(15, (1, True, ["Z00.3"])), (5, (1, True, ["Z00.2"])), (40, (1, True, [""])),
     (None, (1, False, ["Z00.3", "Z00.2", ""]))],
)  # fmt: skip
def test_a_concept_gives_one_choice_a_group_by_the_first_rule_that_holds(ontology, age, first):
    choices = map_concept(ontology, IDS["cough"], "ICD-10", patient=Patient(age=age))
    assert codes(choices) == [first, (2, True, ["R05"])]
    assert choices[0].classifiable is (age != 40)


def test_what_cannot_be_classified_says_so(ontology):
    (choice,) = map_concept(ontology, IDS["fever"], "ICD-10")
    assert choice.decided
    assert not choice.classifiable
    assert map_concept(ontology, IDS["lung"], "ICD-10") == []
    with pytest.raises(ConceptNotFound):
        map_concept(ontology, 12345678, "ICD-10")


def test_concepts_of_a_code(ontology):
    assert concepts_of(ontology, " J99 ", "icd-10") == sorted([IDS["viral"], IDS["bacterial"]])
    assert concepts_of(ontology, str(IDS["cough"]), "SNOMEDCT") == [IDS["cough"]]
    assert concepts_of(ontology, "12", "SNOMED") == [] == concepts_of(ontology, "x", "SNOMED")
    assert tiny_release.DATE
