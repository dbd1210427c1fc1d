"""An outcome by an expression, a concept set, codes or answers: what is one, what is blinded, what is refused."""

import json
from datetime import datetime, timedelta

import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from graph_builders.collect import collect_evidence
from mhdiff.audit.run import audit
from mhdiff.cli import main
from mhdiff.cohort import Cohort, Task
from mhdiff.cohort.outcome import END, START, label, outcomes
from ontology import Ontology, load_omop
from ontology.errors import InputError
from tests.searches import examples

ZERO = datetime(2010, 1, 1)
CONCEPT = """concept_id,concept_name,vocabulary_id,concept_code,invalid_reason
1,Sinusitis,SNOMED,36971009,
2,Viral sinusitis,SNOMED,444814009,
3,Cough,SNOMED,49727002,
4,Acute sinusitis,ICD10CM,J01.90,
5,Fever,SNOMED,386661006,
6,aspirin,RxNorm,308,
7,aspirin tablet,RxNorm,308182,
"""
RELATIONSHIP = (
    "concept_id_1,concept_id_2,relationship_id,invalid_reason\n2,1,Is a,\n4,1,Maps to,\n7,6,Is a,\n"
)
VIRAL, ICD, COUGH, FEVER = "SNOMED/444814009", "ICD10CM/J01.90", "SNOMED/49727002", "SNOMED/386661006"
TABLET = "RxNorm/308182"


@pytest.fixture(scope="module")
def ontology(tmp_path_factory) -> Ontology:
    folder = tmp_path_factory.mktemp("vocabulary")
    (folder / "CONCEPT.csv").write_text(CONCEPT)
    (folder / "CONCEPT_RELATIONSHIP.csv").write_text(RELATIONSHIP)
    return load_omop(folder)


def day(n):
    return ZERO + timedelta(days=n)


def content(names=("no", "yes"), **outcome):
    return {
        "name": "t", "labels": "t", "classes": list(names), "modalities": {"codes": {"prefixes": ["SNOMED/", "ICD"]}},
        "outcome": {"index": {"every_days": 100}, "horizon_days": 100, "washout_days": 0, **outcome},
    }  # fmt: skip


def task(**outcome):
    return Task.from_dict(content(**outcome))


def item(code, vocabulary="SNOMED", number=None, *, excluded=False, descendants=False):
    concept = {"CONCEPT_CODE": code, "VOCABULARY_ID": vocabulary, "CONCEPT_NAME": "x"}
    concept |= {} if number is None else {"CONCEPT_ID": number}
    return {
        "concept": concept,
        "isExcluded": excluded,
        "includeDescendants": descendants,
        "includeMapped": False,
    }


#: An event of each code, the answer to a question among them, of one patient.
EVENTS = [
    VIRAL,
    ICD,
    COUGH,
    FEVER,
    TABLET,
    "ICU_ADMISSION//MICU",
    "ICU_ADMISSION//CCU",
    "ICU_ADMISSION",
    "CIEL/5",
]


@pytest.fixture
def cohort(write_cohort):
    rows = [(1, day(0), START, None, None), (1, day(300), END, None, None)]
    rows += [
        (1, day(110 + n), code, None, " Yes " if code == "CIEL/5" else None) for n, code in enumerate(EVENTS)
    ]
    rows += [(2, day(0), START, None, None), (2, day(105), FEVER, None, None), (2, day(300), END, None, None)]
    return Cohort.open(write_cohort(sorted(rows, key=lambda r: r[:2]), {}, {1: "train", 2: "held_out"}))


def found(cohort, ontology, **outcome):
    rows, codes = outcomes(cohort, task(**outcome).outcome, ontology)
    assert set(rows["rank"]) == {1}
    assert set(rows["code"]) <= set(codes)
    return set(rows.filter(pl.col("subject_id") == 1)["code"])


MEANT = {
    "an expression": ({"ecl": "<< 36971009 OR 49727002"}, {VIRAL, ICD, COUGH}),
    "an expression is no more than it says": ({"ecl": "36971009"}, {ICD}),
    "a number": ({"ecl": 444814009}, {VIRAL}),
    "whole codes": ({"codes": ["ICU_ADMISSION", "RxNorm/308"]}, {"ICU_ADMISSION"}),
    "a beginning": ({"codes": ["ICU_ADMISSION//"]}, {"ICU_ADMISSION//MICU", "ICU_ADMISSION//CCU"}),
    "any ending": ({"codes": ["ICD10CM/J01*", "RxNorm/308*"]}, {ICD, TABLET}),
    "answers": ({"answers": {"CIEL/5": ["yes", "sure"]}}, {"CIEL/5"}),
    "all of them": (
        {"concepts": [36971009], "ecl": "49727002", "codes": ["ICU_ADMISSION"], "answers": {"CIEL/5": ["YES"]}},
        {VIRAL, ICD, COUGH, "ICU_ADMISSION", "CIEL/5"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MEANT)
def test_what_is_an_outcome(cohort, ontology, case):
    outcome, codes = MEANT[case]
    assert found(cohort, ontology, **outcome) == codes


SETS = {
    "one": ([item("36971009")], {ICD}),
    "with descendants": ([item("36971009", descendants=True)], {VIRAL, ICD}),
    "without some": (
        [item("444814009", excluded=True), item("36971009", descendants=True), item("49727002")],
        {ICD, COUGH},
    ),
    "without what is below": (
        [item("36971009", descendants=True, excluded=True), item("444814009"), item("49727002")],
        {COUGH},
    ),
    "another vocabulary": ([item("308", "RxNorm", descendants=True)], {TABLET}),
    "by OMOP's number": ([item("none", "Other", 6, descendants=True)], {TABLET}),
    "a source's code": ([item("J01.90", "ICD10CM", 4)], {ICD}),
    "without a source's code": (
        [item("36971009", descendants=True), item("J01.90", "ICD10CM", excluded=True)],
        {VIRAL},
    ),
    "what no ontology knows": ([item("5", "CIEL")], {"CIEL/5"}),
}


@pytest.mark.parametrize("case", SETS)
def test_a_concept_set_means_what_it_says(cohort, ontology, tmp_path, case):
    items, codes = SETS[case]
    for expression in ({"items": items}, {"name": "n", "expression": {"items": items}}):
        (tmp_path / "set.json").write_text(json.dumps(expression), encoding="utf-8-sig")
        assert found(cohort, ontology, concept_set=str(tmp_path / "set.json")) == codes


def test_the_file_of_a_set_lies_beside_the_task(cohort, ontology, tmp_path, monkeypatch):
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "t.yaml").write_text(yaml.safe_dump(content(concept_set="set.json")))
    (tmp_path / "tasks" / "set.json").write_text(json.dumps({"items": [item("49727002")]}))
    monkeypatch.chdir(tmp_path)
    assert set(outcomes(cohort, Task.load("tasks/t.yaml").outcome, ontology)[1]) == {COUGH}


CODES = st.sampled_from(["36971009", "444814009", "49727002", "386661006"])


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.tuples(CODES, st.booleans(), st.booleans()), min_size=1, max_size=6))
def test_a_concept_set_is_its_included_without_its_excluded(ontology, rows):
    from mhdiff.cohort.concept_set import Item, concepts

    below = {"36971009": {36971009, 444814009}}
    taken, out = (
        {c for code, ex, deep in rows if ex is wanted for c in (below.get(code, {int(code)}) if deep else {int(code)})}
        for wanted in (False, True)
    )  # fmt: skip
    made = [Item("SNOMED", code, None, ex, deep) for code, ex, deep in rows]
    assert concepts(made, ontology) == taken - out


def test_what_an_expression_or_a_set_gives_is_blinded(cohort, ontology, tmp_path):
    (tmp_path / "set.json").write_text(json.dumps({"items": [item("49727002"), item("5", "CIEL")]}))
    made = task(
        ecl="<< 36971009", concept_set=str(tmp_path / "set.json"), codes=["ICU_ADMISSION//", "LOCAL/1*"]
    )
    assert made.blinded.concepts == ()
    assert set(made.blinded_in(ontology)) == {36971009, 444814009, 49727002}
    assert set(made.blinded.codes) == {"ICU_ADMISSION//", "LOCAL/1", "SNOMED/49727002", "CIEL/5"}
    window = pl.DataFrame(
        {
            "sample_id": [0] * 3, "time": [ZERO] * 3, "modality": ["codes"] * 3, "code": [VIRAL, ICD, FEVER],
            "numeric_value": [None] * 3, "text_value": [None] * 3, "parent_codes": [None] * 3,
        },
        schema_overrides={"numeric_value": pl.Float32, "text_value": pl.String, "parent_codes": pl.List(pl.String)},
    )  # fmt: skip
    report = collect_evidence(window, ontology, blinded=made.blinded_in(ontology)).report["blinded"]
    assert {VIRAL, ICD, COUGH} <= set(report["codes"])
    assert FEVER not in report["codes"]


def test_graph_and_audit_hide_what_an_expression_gives(write_cohort, ontology, tmp_path, capsys):
    """Without the outcome's expression both would show an earlier sinusitis as an input."""
    rows = []
    for subject in range(1, 9):
        rows += [(subject, day(0), START, None, None), (subject, day(50), VIRAL, None, None)]
        rows += [(subject, day(60), COUGH, None, None)]
        rows += [(subject, day(150), ICD, None, None)] * (subject % 2)
        rows += [(subject, day(250), END, None, None)]
    splits = {subject: "train" if subject < 6 else "held_out" for subject in range(1, 9)}
    folder = write_cohort(rows, {}, splits)
    ontology.save(tmp_path / "O")
    (tmp_path / "t.yaml").write_text(
        yaml.safe_dump(content(ecl="<< 36971009", index={"date": day(100).date()}))
    )
    verb = ["--task", str(tmp_path / "t.yaml"), "--ontology", str(tmp_path / "O")]
    assert main(["cohort", "label", str(folder), *verb]) == 0
    cohort, made = Cohort.open(folder), Task.load(tmp_path / "t.yaml")
    assert cohort.labels("t")["categorical_value"].to_list() == ["yes", "no"] * 4
    assert main(["graph", "build", "--cohort", str(folder), *verb, "--out", str(tmp_path / "G")]) == 0
    assert "none of the" not in capsys.readouterr().err
    from graph_builders import PatientGraph

    evidence = PatientGraph.open(tmp_path / "G").evidence
    assert set(evidence.table["source"]) == {COUGH}
    assert VIRAL in evidence.report["blinded"]["codes"]
    told = audit(cohort, made, ontology=ontology, graph=tmp_path / "G", split="stored")
    assert "label_code" not in {f.name for f in told.findings("failure")}
    assert "2 blinded concepts" in next(c.examined for c in told.checks if c.name == "label_codes")
    bare = audit(cohort, made, split="stored")
    labels = next(check for check in bare.checks if check.name == "label_codes")
    assert "what the outcome means" in labels.findings[0].detail


WRONG = {
    "unknown key": ({"ecl": "36971009", "elc": "1"}, "unknown key 'elc'"),
    "no ECL": ({"ecl": "<< "}, r"'outcome.ecl' is not understood: .*character"),
    "a list": ({"ecl": ["1"]}, "'outcome.ecl' must be an expression"),
    "codes": ({"codes": "ICU"}, "'outcome' must list 'codes' as texts"),
    "every code": ({"codes": ["*"]}, "every event would begin with"),
    "nothing": ({}, "must say what is predicted"),
    "empty": ({"codes": []}, "'outcome' says nothing"),
    "a set": ({"concept_set": 3}, "'outcome.concept_set' must name a file"),
    "no file": ({"concept_set": "none.json"}, "no such file of a concept set"),
    "with classes": (
        {"ecl": "1", "classes": {"no": {"codes": ["a"]}, "yes": {"codes": ["b"]}}},
        "'outcome' has 'ecl' or 'classes', not both",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_not_understood_is_refused_with_its_file(tmp_path, case):
    outcome, message = WRONG[case]
    (tmp_path / "t.yaml").write_text(yaml.safe_dump(content(**outcome)))
    with pytest.raises(InputError, match=message) as caught:
        Task.load(tmp_path / "t.yaml")
    assert str(caught.value.path).endswith((".yaml", "none.json"))


FILES = {
    "no JSON": ("{", "is not JSON"),
    "no items": ({"items": 3}, "no list 'items'"),
    "no concept": ({"items": [item("1"), {"concept": 3}]}, "item 2 of the concept set has no 'concept'"),
    "no code": ({"items": [{"concept": {"VOCABULARY_ID": "SNOMED"}}]}, "item 1 .* no 'CONCEPT_CODE'"),
    "number": ({"items": [item("1", number="1")]}, "'CONCEPT_ID' that is no whole number"),
    "flag": ({"items": [item("1") | {"isExcluded": "no"}]}, "'isExcluded' that is not true or false"),
    "only excluded": ({"items": [item("1", excluded=True)]}, "includes nothing"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_set_that_is_not_understood_is_refused(tmp_path, case):
    given, message = FILES[case]
    path = tmp_path / "set.json"
    path.write_text(given if isinstance(given, str) else json.dumps(given))
    with pytest.raises(InputError, match=message) as caught:
        task(concept_set=str(path))
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        ({"ecl": "<< 22298006"}, r"'outcome.ecl' cannot be evaluated in '.*22298006"),
        ({"ecl": "< 444814009"}, "'outcome.ecl' gives no concept of"),
        ({"codes": ["NONE/1"]}, "no event of the cohort records the outcome"),
        ({"codes": ["ICD10CM/J01"]}, r"'outcome.codes' has ICD10CM/J01, .*Write ICD10CM/J01\*"),
        ({"concepts": [22298006], "codes": ["ICU_ADMISSION"]}, "holds none of the outcome's concepts"),
    ],
)
def test_what_gives_nothing_is_refused(cohort, ontology, tmp_path, outcome, message):
    (tmp_path / "t.yaml").write_text(yaml.safe_dump(content(**outcome)))
    made = Task.load(tmp_path / "t.yaml")
    with pytest.raises(InputError, match=message) as caught:
        label(cohort, made, ontology)
    if "ecl" in outcome:
        assert caught.value.path == tmp_path / "t.yaml"
        with pytest.raises(InputError, match=message):
            made.blinded_in(ontology)


def test_an_expression_in_a_class_is_named_by_its_place(cohort, ontology):
    classes = {"no": {"ecl": "< 444814009"}, "yes": {"codes": ["ICU_ADMISSION//"]}}
    with pytest.raises(InputError, match=r"'outcome.classes.no.ecl' gives no concept"):
        label(cohort, task(classes=classes), ontology)


def test_what_is_not_said_is_no_part_of_what_embeddings_read():
    """The content of a task of before, as embeddings of before have its digest."""
    from mhdiff.training.embeddings import task_content

    told = task_content(task(concepts=[36971009]))
    assert list(told) == [
        "name", "labels", "classes", "modalities", "window_days", "blinded", "merge", "exclude", "outcome", "analytes"
    ]  # fmt: skip
    assert list(told["outcome"]) == [
        "concepts", "horizon_days", "every_days", "since", "event", "nth", "after_days", "day", "history_days",
        "washout_days", "gap_days", "classes",
    ]  # fmt: skip
    classes = task(classes={"no": {"concepts": [1]}, "yes": {"codes": ["b"]}})
    assert list(task_content(classes)["outcome"]["classes"]["no"]) == ["concepts", "codes", "answers"]
    assert task_content(task(ecl="1")) != task_content(task(ecl="2"))


def test_meds_codes_of_a_set_are_spelled_as_the_import_does():
    from mhdiff.cohort.concept_set import Item

    assert Item("Nebraska Lexicon", "a//b").meds == "Nebraska_Lexicon/a/b"
