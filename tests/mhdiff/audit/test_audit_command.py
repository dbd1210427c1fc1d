"""What the command does around its checks: splits, what is accepted, what could not be checked, bad input."""

import polars as pl
import pytest
import yaml
from plants import NAME, code_alone, group_torn, site_by_label, word_alone

from mhdiff.audit import Thresholds
from mhdiff.audit.finding import FAILURE, NAMES, Finding
from mhdiff.cli import main
from mhdiff.cohort import window
from mhdiff.config import find
from ontology.errors import InputError


def test_a_defect_of_the_window_is_seen(place, audited, monkeypatch):
    """The window itself is not trusted."""
    monkeypatch.setattr(
        window,
        "_reason",
        lambda days: pl.when(pl.col("modality").is_null()).then(pl.lit("none")).otherwise(None),
    )
    _, document, _ = audited(place.folder)
    assert "after_prediction_time" in document["failures"]


def test_a_word_of_few_patients_is_not_told(place, audited):
    """Nine of the class have a doctor's name in their notes: too few to tell, and to name."""
    sick = set(place.with_label("bacterial")[:9])
    place.write_notes(lambda s, text: f"{text}{NAME}" if s in sick else text)
    _, document, printed = audited(place.folder)
    assert document["features"] == []
    assert "zaphod" not in printed.lower()


def test_a_site_split_turns_the_site_into_a_warning(place, audited):
    site_by_label(place)
    code, document, _ = audited(place.folder, "--split", "site:north")
    assert code == 0
    assert "shortcut_site" in document["warnings"]
    code, document, _ = audited(place.folder, "--split", "fold:0/5")
    assert code == 2
    assert document["failures"] == ["shortcut_site"]


def test_a_made_split_keeps_groups_together(place, audited):
    group_torn(place)
    assert "group_in_splits" in audited(place.folder)[1]["failures"]
    assert "group_in_splits" not in audited(place.folder, "--split", "fold:1/4")[1]["failures"]


def test_what_is_accepted_is_told_and_does_not_fail(place, audited, tmp_path):
    code_alone(place)
    limits = tmp_path / "accepted.yaml"
    limits.write_text(yaml.safe_dump({"accepted": {"single_feature": "an order set"}, "replicates": 200}))
    code, document, printed = audited(place.folder, "--thresholds", str(limits))
    assert code == 0
    assert document["accepted"] == ["single_feature"]
    assert "an order set" in printed


def test_without_an_ontology_it_says_what_it_did_not_check(place, capsys):
    assert main(["cohort", "audit", str(place.folder), "--task", "pneumonia"]) == 0
    told = capsys.readouterr().out
    assert told.count("give --ontology") == 2


def test_a_feature_is_told_with_its_code_and_name(place, audited):
    word_alone(place)
    code, document, _ = audited(place.folder)
    assert code == 2
    (row,) = [r for r in document["features"] if r["name"] == "xylophone"]
    assert row["class"] == "bacterial"
    assert row["auroc"] >= 0.95
    assert row["p_adjusted"] < 1e-6


@pytest.mark.parametrize(
    ("content", "said"),
    [("shortcut_fail: 2", "shortcut_fail"), ("patients: 2", "patients"), ("folds: 2.5", "folds"), ("x: 1", "'x'"),
     ("accepted: {nonsense: why}", "nonsense"), ("accepted: [a]", "accepted"), ("static: GENDER", "static"),
     ("- 1", "mapping"), ("a: [", "YAML"), ("alpha: true", "alpha")],
)  # fmt: skip
def test_wrong_thresholds_are_refused(place, tmp_path, capsys, content, said):
    path = tmp_path / "wrong.yaml"
    path.write_text(content)
    page = tmp_path / "page.html"
    given = [
        "cohort",
        "audit",
        str(place.folder),
        "--task",
        "pneumonia",
        "--thresholds",
        str(path),
        "--html",
        str(page),
    ]
    assert main(given) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert str(path) in told.err
    assert told.out == ""
    assert not page.exists()


def test_the_shipped_thresholds_are_the_classes_own():
    assert Thresholds.load() == Thresholds()
    assert find("audit.yaml").name == "audit.yaml"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [(lambda f: (f / "metadata/groups.parquet").write_bytes(b"no"), "groups.parquet"),
     (lambda f: (f / "metadata/images.parquet").write_bytes(b"no"), "images.parquet"),
     (lambda f: (f / "labels/pneumonia.parquet").unlink(), "no labels")],
)  # fmt: skip
def test_a_broken_cohort_is_refused(place, capsys, spoil, said):
    spoil(place.folder)
    assert main(["cohort", "audit", str(place.folder), "--task", "pneumonia"]) == 2
    assert said in capsys.readouterr().err


def test_images_that_cannot_be_read_are_counted(place, audited):
    for name in sorted((place.folder / "images").iterdir())[:3]:
        name.write_bytes(b"no image")
    code, document, _ = audited(place.folder)
    (check,) = [c for c in document["checks"] if c["name"] == "near_images"]
    assert code == 0
    assert check["findings"][0]["name"] == "not_checked"
    assert check["findings"][0]["detail"].startswith("3 files")


def test_a_finding_has_a_meaning():
    with pytest.raises(ValueError, match="no meaning"):
        Finding("something", FAILURE, "x")
    assert all(meaning[0].islower() for meaning in NAMES.values())


def test_a_split_that_nobody_is_held_out_of_is_refused(place):
    from mhdiff.audit import audit
    from mhdiff.cohort import Cohort, Task

    splits = pl.read_parquet(place.folder / "metadata/subject_splits.parquet")
    splits.with_columns(split=pl.lit("train")).write_parquet(place.folder / "metadata/subject_splits.parquet")
    with pytest.raises(InputError, match="held_out"):
        audit(Cohort.open(place.folder), Task.load("pneumonia"))
