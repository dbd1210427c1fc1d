"""What the audit says of the real collections, which was read: each is what is known of it."""

import json

import pytest

from mhdiff.cli import main

#: Kind, folder, task, what fails, and what it warns of at least.
REAL = [
    # Every bacterial and other case is from before 2020, every COVID-19 one from 2020; countries differ too.
    ("covid-chestxray", "covid-chestxray", "covid_pneumonia", {"shortcut_calendar"}, {"shortcut_site"}),
    ("hannover", "hannover", "covid_icu", set(), {"not_checked"}),
]


@pytest.fixture(scope="module")
def do(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("do") / "ontology"
    assert main(["ontology", "build", str(shared / "data/rf2/disease-ontology"), "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def imported(shared, tmp_path_factory):
    """Both collections of images, and fewer resamples than are shipped."""
    root = tmp_path_factory.mktemp("imported")
    for kind, name, *_ in REAL:
        assert main(["cohort", "import", kind, str(shared / "data" / name), "--out", str(root / kind)]) == 0
    (root / "limits.yaml").write_text("replicates: 1000\n")
    return root


@pytest.mark.parametrize(("kind", "name", "task", "fails", "warns"), REAL, ids=[r[0] for r in REAL])
def test_a_collection_of_images(imported, do, capsys, kind, name, task, fails, warns):
    limits = ["--thresholds", str(imported / "limits.yaml"), "--ontology", str(do)]
    code = main(["cohort", "audit", str(imported / kind), "--task", task, *limits, "--json"])
    document = json.loads(capsys.readouterr().out)
    assert code == (2 if fails else 0)
    assert set(document["failures"]) == fails
    assert warns <= set(document["warnings"])
    images = next(c for c in document["checks"] if c["name"] == "near_images")
    assert images["findings"] == []  # no two patients' radiographs are alike, and every file was read
    if kind == "covid-chestxray":
        rows = {(r["shortcut"], r["class"]): r["auroc"] for r in document["shortcuts"]}
        assert rows["calendar", "covid"] > 0.99
        assert 0.6 < rows["site", "covid"] < 0.9
        assert ("licence", "covid") in rows


def test_an_omop_database(shared, tmp_path, capsys):
    source, folder, onto = str(shared / "data/omop/synthea27nj"), tmp_path / "cohort", tmp_path / "ontology"
    assert main(["ontology", "build", source, "--out", str(onto)]) == 0
    assert main(["cohort", "import", "omop", source, "--out", str(folder)]) == 0
    task = ["--task", "omop_sinusitis", "--ontology", str(onto)]
    assert main(["cohort", "label", str(folder), *task]) == 0
    capsys.readouterr()
    assert main(["cohort", "audit", str(folder), *task, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["failures"] == []
    # Sinusitis is drawn nearly independently of everything: the year says nothing either, from 2004 on.
    (calendar,) = [r for r in document["shortcuts"] if r["shortcut"] == "calendar"]
    assert calendar["low"] < 0.5 < calendar["high"]
    assert (
        "not_checked" in document["warnings"]
    )  # six people never have sinusitis: too few for single features


def test_a_site_that_is_held_out_excuses_the_site(imported, tmp_path, capsys):
    joined = tmp_path / "joined"
    assert main(["cohort", "join", *(str(imported / r[0]) for r in REAL), "--out", str(joined)]) == 0
    capsys.readouterr()
    limits = ["--thresholds", str(imported / "limits.yaml"), "--split", "site:hannover"]
    assert main(["cohort", "audit", str(joined), "--task", "covid_icu", *limits, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    # Who has notes and who has laboratory values is which hospital it was, and those differ in how ill they are.
    assert "shortcut_presence" in document["warnings"]
