"""Sites and files are told in an import's report as far as they name nobody."""

import json

import pytest

from mhdiff.cohort.import_report import ImportReport

SITES = {
    "large ones": ({"A": 30, "B": 9}, {"A": 30, "B": 9}),
    "one small": ({"A": 30, "B": 9, "C": 2}, {"A": 30, "B": "hidden", "all others": "hidden"}),
    "two small": ({"A": 30, "C": 4, "D": 3}, {"A": 30, "all others": 7}),
    "small alone": ({"A": 1}, {"all others": "<5"}),
    "not known": ({"A": 30, "C": 2, "unknown": 7}, {"A": "hidden", "all others": "hidden", "unknown": 7}),
    "few not known": ({"A": 30, "unknown": 2}, {"A": 30, "unknown": "<5"}),
    "nobody": ({}, {}),
}


@pytest.mark.parametrize("case", SITES)
def test_a_site_of_few_is_neither_named_nor_to_be_reckoned(case):
    sites, wanted = SITES[case]
    report = ImportReport("test", sites=sites)
    assert report.to_dict()["sites"] == wanted
    line = next(line for line in report.text().splitlines() if line.startswith("Patients by site:"))
    assert line == "Patients by site: " + ", ".join(f"{site} {n}" for site, n in wanted.items())


def test_of_many_sites_the_largest_are_named():
    told = ImportReport("test", sites={f"S{n}": 10 + n for n in range(100)}).to_dict()["sites"]
    assert len(told) == 30
    assert "S99" in told
    assert "S1" not in told
    assert sum(told.values()) == sum(10 + n for n in range(100))


def test_tables_that_are_not_read_are_named_and_files_of_patients_counted():
    report = ImportReport("test", not_read=[
        "icu/chartevents.csv.gz", "COHORT_DEFINITION", "mimic-cxr-2.0.0-other.csv", "haversham.png", "s50414267.txt",
        "p1234567.csv", "b/Haversham J.csv",
    ])  # fmt: skip
    shown = ["icu/chartevents.csv.gz", "COHORT_DEFINITION", "mimic-cxr-2.0.0-other.csv",
             "(4 more, whose names are not shown)"]  # fmt: skip
    assert report.to_dict()["not_read"] == shown
    assert f"Files not read: {', '.join(shown)}" in report.text()
    assert "aversham" not in report.text() + json.dumps(report.to_dict())
