"""`mhdiff cohort info` tells what becomes of numbers and their units: what a window's account says, and of nobody."""

import json
from collections import Counter
from datetime import datetime, timedelta

import polars as pl
import pytest

from mhdiff.cli import main
from mhdiff.cohort import Cohort, Task
from mhdiff.cohort.measurements.analytes import shipped
from mhdiff.cohort.unit_coverage import OUTCOMES, unit_coverage

NOW = datetime(2022, 5, 1, 12)
SECRET = "Trillian"
#: Code, value, outcome, of how many people.
GLUCOSE = [
    ("LOINC/2345-7//mg/dL", 90.0, "as_stated", 30), ("LOINC/14749-6//mmol/L", 5.0, "converted", 12),
    ("LOINC/2345-7//mg/dl", 91.0, "respelled", 9), ("LOINC/2345-7//s", 91.0, "kept_apart", 8),
    ("LOINC/2345-7//widgets", 90.0, "unit_unknown", 7), ("LOINC/2345-7", 90.0, "unit_missing", 6),
    ("LOINC/14749-6//mmol/l", 400.0, "impossible", 5),
]  # fmt: skip
OTHERS = [
    ("OURS/1//ng/mL", 1.0, "as_stated", 20), ("OURS/1//NG/ML", 1.0, "respelled", 10),
    (f"OURS/1//{SECRET} of Islington", 1.0, "unit_unknown", 11), ("OURS/2", 1.0, "unit_missing", 13),
]  # fmt: skip


@pytest.fixture
def made(write_cohort):
    def write(*rows):
        events = [(s, None, "SITE//north", None, None) for s in range(1, 41)]
        for code, value, _, people in rows:
            events += [(s, NOW - timedelta(days=s), code, value, None) for s in range(1, people + 1)]
        labels = [(s, NOW, "icu" if s % 4 == 0 else "no_icu") for s in range(1, 41)]
        splits = {s: "held_out" if s % 5 == 0 else "train" for s in range(1, 41)}
        return write_cohort(events, {"covid_icu": labels}, splits)

    return write


def info(capsys, *arguments):
    assert main(["cohort", "info", *map(str, arguments)]) == 0
    return "".join(capsys.readouterr())


def rows_of(document):
    return {row["analyte"]: row for row in document["coverage"]["units"]["analytes"]}


def test_every_outcome_is_counted_by_analyte(made, capsys):
    found = rows_of(json.loads(info(capsys, made(*GLUCOSE, *OTHERS), "--json")))
    own = {outcome: n for _, _, outcome, n in GLUCOSE}
    assert found["glucose"] == {"analyte": "glucose", "unit": "mg/dL", "codes": 7, "events": 77, **own}
    other = {outcome: n for _, _, outcome, n in OTHERS}
    none = dict.fromkeys(OUTCOMES, 0)
    assert found["OURS, of no analyte"] == {
        "analyte": "OURS, of no analyte", "unit": None, "codes": 4, "events": 54, **none, **other,
    }  # fmt: skip


def test_it_is_what_a_window_says(made, tmp_path):
    """Every event is in the one window of its subject, so that the two accounts are of the same."""
    folder = made(*GLUCOSE, *OTHERS)
    cohort, task = Cohort.open(folder), Task.load("covid_icu")
    task = Task.from_dict(
        {"name": "t", "labels": "covid_icu", "classes": list(task.classes),
         "modalities": {"labs": {"prefixes": ["LOINC/", "OURS/"]}}}
    )  # fmt: skip
    window = task.window(cohort).report["measurements"]
    told = unit_coverage(cohort, task.measures)["all"]
    for outcome in ("respelled", "kept_apart", "unit_unknown", "impossible"):
        assert told[outcome] == sum(window[outcome].values()), outcome
    assert told["converted"] + told["impossible"] == sum(window["converted"].values())
    assert (
        told["unit_missing"] == sum(window["unit_missing"].values()) + 13
    )  # of no analyte, which nothing is done to


def test_text_and_page_tell_the_same_and_no_words_of_a_unit(made, tmp_path, capsys):
    page = tmp_path / "info.html"
    printed = info(capsys, made(*GLUCOSE, *OTHERS), "--html", page)
    shown = page.read_text(encoding="utf-8")
    (line,) = (line for line in printed.splitlines() if line.strip().startswith("glucose"))
    for told in ("mg/dL", "77", "converted 12", "cannot be 5", "without a unit 6", "unknown unit 7"):
        assert told in line
    assert "Numbers by what becomes of their unit" in shown
    assert SECRET not in printed + shown
    assert "(words, not shown)" in printed
    row = shown.split("glucose</th>")[1].split("</tr>")[0]
    for n in (77, 30, 12, 9, 8, 7, 6, 5):
        assert f">{n}<" in row


def test_few_people_are_hidden_and_cannot_be_reckoned(made, capsys):
    few = [(code, value, outcome, 3 if outcome == "impossible" else n) for code, value, outcome, n in GLUCOSE]
    document = json.loads(info(capsys, made(*few, *OTHERS), "--json"))
    row, whole = rows_of(document)["glucose"], document["coverage"]["units"]["all"]
    assert row["impossible"] == "hidden"
    assert whole["impossible"] == "hidden"
    assert Counter(isinstance(row[o], str) for o in ("events", *OUTCOMES))[True] >= 2
    assert Counter(isinstance(whole[o], str) for o in ("events", *OUTCOMES))[True] >= 2


@pytest.mark.parametrize(
    ("outcome", "hidden"), [("unit_missing", "with_unit"), ("unit_unknown", "with_ucum_unit")]
)
def test_shares_and_names_of_units_do_not_give_it_away(made, capsys, outcome, hidden):
    few = [(code, value, o, 3 if o == outcome else n) for code, value, o, n in GLUCOSE]
    coverage = json.loads(info(capsys, made(*few, ("OURS/3//widgets", 1.0, "", 12)), "--json"))["coverage"]
    assert coverage["units"]["all"][outcome] == "hidden"
    assert coverage["numbers"][hidden] is None
    assert coverage["numbers"]["strange_units"] == {"widgets": "hidden" if outcome == "unit_unknown" else 19}


def test_what_a_hidden_vocabulary_has_cannot_be_reckoned_from_its_numbers(made, capsys):
    """ICD10 is of three people and hides LOINC with it; all that LOINC has are numbers."""
    folder = made(("LOINC/2345-7//mg/dL", 90.0, "", 30), ("ICD10/J18", None, "", 3))
    coverage = json.loads(info(capsys, folder, "--json"))["coverage"]
    events = {row["vocabulary"]: row["events"] for row in coverage["vocabularies"]}
    assert events["LOINC"] == "hidden"
    units = coverage["units"]
    assert units["all"]["events"] == "hidden"
    assert not any(
        isinstance(row[o], int) and row[o] for row in units["analytes"] for o in ("events", *OUTCOMES)
    )


def test_a_task_s_own_table_is_used(made, tmp_path, capsys):
    (tmp_path / "ours.yaml").write_text(
        "analytes:\n  - {name: our marker, codes: [OURS/1], unit: ug/L, possible: [2, null], source: us}\n"
    )
    task = {
        "name": "t", "labels": "covid_icu", "classes": ["no_icu", "icu"], "analytes": "ours.yaml",
        "modalities": {"labs": {"prefixes": ["OURS/"]}},
    }  # fmt: skip
    (tmp_path / "task.yaml").write_text(json.dumps(task))
    folder = made(*OTHERS)
    found = rows_of(json.loads(info(capsys, folder, "--task", tmp_path / "task.yaml", "--json")))
    assert found["our marker"]["impossible"] == 30
    assert found["our marker"]["unit_unknown"] == 11


def test_a_cohort_without_numbers_has_no_table(made, tmp_path, capsys):
    folder = made(("ICD10/J18", None, "", 30))
    assert unit_coverage(Cohort.open(folder), shipped())["analytes"] == []
    assert "Numbers by what becomes" not in info(capsys, folder)


def test_rare_analytes_are_put_together(made):
    analytes = [row for row in shipped().rows if row.unit == "mg/dL"][:4]
    rows = [(f"{row.codes[0]}//mg/dL", 5.0, "", 2 if i else 30) for i, row in enumerate(analytes)]
    cohort = Cohort.open(made(*rows))
    found = unit_coverage(cohort, shipped())
    assert {row["analyte"] for row in found["analytes"]} == {analytes[0].name, "all others"}
    assert cohort.events.filter(pl.col("numeric_value").is_not_null()).height == 36
