"""A planted leak of every kind is found by the command line; the clean cohort passes."""

import csv

import pytest
from plants import ALONE, FEATURES, NAME, PLANTS, SHORTCUTS, SMALL

from mhdiff.audit.finding import NAMES


def told(document):
    return {f["name"]: f for check in document["checks"] for f in check["findings"]}


def test_the_clean_cohort_passes(small_data, audited):
    code, document, _ = audited(small_data / "cohort", "--graph", str(small_data / "graph"))
    assert code == 0
    assert document["failures"] == []
    assert document["clean"]
    assert [c["name"] for c in document["checks"]] == [
        "overlap", "time", "label_codes", "label_words", "near_notes", "near_images", "shortcuts", "single_features",
        "graph",
    ]  # fmt: skip
    # What it warns of is there (sites differ in how frequent rare pneumonias are), or is one interval in forty.
    assert {name for name in document["warnings"] if not name.startswith("shortcut_")} <= {"not_checked"}


def test_every_kind_of_finding_is_planted():
    assert {plant.found for plant in PLANTS} == set(NAMES) - {"not_checked"}


@pytest.mark.parametrize("plants", [SMALL, SHORTCUTS, FEATURES], ids=["small", "shortcuts", "features"])
def test_leaks_do_not_hide_each_other(place, audited, plants):
    for plant in plants:
        assert plant.plant(place) is None
    code, document, _ = audited(place.folder)
    assert code == 2
    found = told(document)
    for plant in plants:
        assert plant.found in found, plant.plant.__name__
        assert plant.fails == (plant.found in document["failures"])
    if plants is FEATURES:
        assert {row["kind"]: row["class"] for row in document["features"]} == dict.fromkeys(
            ("code", "word", "value"), "bacterial"
        )


def test_a_code_of_every_kind_is_named(place, audited):
    for plant in SMALL:
        if plant.found == "label_code":
            plant.plant(place)
    _, document, _ = audited(place.folder)
    details = " ".join(
        f["detail"] for check in document["checks"] for f in check["findings"] if f["name"] == "label_code"
    )
    for code in ("ICD10/J15.9", "ICD10/local-11", "ICD10/J15.91", "ICD10/X77"):
        assert code in details


@pytest.mark.parametrize("plant", ALONE, ids=lambda p: p.plant.__name__)
def test_what_needs_a_task_or_a_graph_is_found(place, audited, plant):
    check_alone(place, audited, plant)


@pytest.mark.slow
@pytest.mark.parametrize("plant", [*SMALL, *SHORTCUTS, *FEATURES], ids=lambda p: p.plant.__name__)
def test_a_planted_leak_is_found_and_nothing_else_fails(place, audited, plant):
    check_alone(place, audited, plant)


def check_alone(place, audited, plant):
    """It is found by name, nothing else fails, and nowhere is a word of a patient."""
    arguments = plant.plant(place) or []
    page, cases = place.folder.parent / "audit.html", place.folder.parent / "cases.csv"
    code, document, printed = audited(place.folder, *arguments, "--html", str(page), "--cases", str(cases))
    found = told(document)
    assert plant.found in found
    assert code == (2 if plant.fails else 0)
    assert set(document["failures"]) == ({plant.found} if plant.fails else set()) | plant.also
    if plant.fails:
        assert plant.found in printed.splitlines()[-1]
    shown = page.read_text(encoding="utf-8")
    assert NAMES[plant.found] in shown
    for word in NAME.split():
        assert word not in printed + shown + cases.read_text(encoding="utf-8")
    rows = list(csv.DictReader(cases.open(encoding="utf-8")))
    assert len([r for r in rows if r["finding"] == plant.found]) == found[plant.found]["cases"]
