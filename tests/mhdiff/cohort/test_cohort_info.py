"""`mhdiff cohort info`: its numbers are those of an independent count, its page and picture show nothing else."""

import csv
import json
import re
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from xml.etree import ElementTree

import polars as pl
import pytest

from mhdiff.cli import main
from mhdiff.cohort import meds
from mhdiff.report.upset import MOST, upset

SECRET = "Trillian Astra of Islington"
NOW = datetime(2022, 5, 1, 12)


@pytest.fixture
def cohort(write_cohort):
    """Forty people: 20 with an image and a note, 17 with a note, three with labs alone; three are women."""
    events, labels, splits, images = [], [], {}, {}
    for s in range(1, 41):
        born = NOW - timedelta(days=365.25 * (30 if s <= 25 else 70))
        events.append((s, None, "SITE//north" if s % 2 else "SITE//south", None, None))
        events.append((s, None, "GENDER//F" if s > 37 else "GENDER//M", None, None))
        events.append((s, born, meds.BIRTH, None, None))
        before = NOW - timedelta(days=s)
        if s <= 20:
            images[f"images/{s}.png"] = bytes([s])
            events.append((s, before, "IMAGE//CXR//PA", None, f"images/{s}.png"))
        if s <= 37:
            events.append((s, before, "NOTE//CLINICAL", None, f"{SECRET} has a cough."))
        else:
            events.append((s, before, "LOINC/6690-2//10*9/L", 7.0, None))
            events.append((s, before, "LOINC/1-1//widgets", 7.0, None))
        labels.append((s, NOW, "icu" if s % 4 == 0 else "no_icu"))
        splits[s] = "held_out" if s % 5 == 0 else "train"
    return write_cohort(events, {"covid_icu": labels}, splits, images)


def info(capsys, *arguments):
    assert main(["cohort", "info", *map(str, arguments)]) == 0
    return "".join(capsys.readouterr())


def test_every_number_is_that_of_a_count(cohort, capsys):
    told = json.loads(info(capsys, cohort, "--task", "covid_icu", "--json"))
    assert told["subjects"] == 40
    assert told["subjects_by_split"] == {"train": 32, "held_out": 8}
    assert told["subjects_by_site"] == {"north": 20, "south": 20}
    assert told["subjects_by_sex"] == {"F": "hidden", "M": "hidden"}
    assert told["subjects_by_age"] == {"18-39": 25, "60-79": 15}
    assert told["span"] == {"from": 2022, "to": 2022, "days": [0, 0, 0]}
    task = told["task"]
    assert task["labels"] == {"no_icu": 30, "icu": 10}
    assert task["labels_by_site"] == {
        "north": {"no_icu": 20, "icu": 0, "all": 20}, "south": {"no_icu": 10, "icu": 10, "all": 20},
    }  # fmt: skip
    # Of 8 held out, 2 have icu: hidden, and with it what would give it away.
    assert task["labels_by_split"] == {
        "train": {"no_icu": "hidden", "icu": "hidden", "all": 32},
        "held_out": {"no_icu": "hidden", "icu": "hidden", "all": 8},
    }
    assert set(task["labels_by_sex"]) == {"F", "M"}
    assert {v for row in task["labels_by_sex"].values() for v in row.values()} == {"hidden"}
    # Three have labs alone: neither their pattern, nor the labs, nor what is left of the whole, is told.
    assert task["modality_patterns"]["labs"] == "hidden"
    assert task["samples_with"]["labs"] == "hidden"
    assert "hidden" in {task["modality_patterns"]["image+note"], task["modality_patterns"]["note"]}


def test_units_and_vocabularies(cohort, capsys):
    told = json.loads(info(capsys, cohort, "--json"))["coverage"]
    rows = {row["vocabulary"]: row for row in told["vocabularies"]}
    assert rows["SITE"]["events"] == 40
    assert rows["SITE"]["people"] == 40
    assert (rows["IMAGE"]["codes"], rows["IMAGE"]["people"]) == (1, 20)
    assert rows["LOINC"]["people"] == "<5"
    numbers = told["numbers"]
    assert (numbers["events"], numbers["with_unit"], numbers["with_ucum_unit"]) == ("hidden", 1.0, 0.5)
    assert numbers["codes_without_unit"] == 0
    assert numbers["strange_units"] == {}  # of three people only


def test_no_text_and_no_small_number_anywhere(cohort, tmp_path, capsys):
    page, picture = tmp_path / "info.html", tmp_path / "upset.svg"
    printed = info(capsys, cohort, "--task", "covid_icu", "--html", page, "--svg", picture)
    shown = page.read_text(encoding="utf-8")
    for word in ("Trillian", "Astra", "Islington"):
        assert word not in printed + shown + picture.read_text(encoding="utf-8")
    assert not re.search(r"<(?:script|link|iframe)|https?://(?!www\.w3\.org)", shown)
    for told in (printed, shown):
        assert "hidden" in told


def test_the_picture_draws_what_it_is_told():
    patterns = {"image+note": 30, "note": 12, "image": "hidden", "none": "<5"}
    svg = upset(patterns, {"image": 41, "note": 42})
    root = ElementTree.fromstring(svg)
    tag = "{http://www.w3.org/2000/svg}"
    filled = [c for c in root.iter(f"{tag}circle") if c.get("fill") == "#0072b2"]
    assert len(filled) == 2 + 1 + 1
    bars = [r for r in root.iter(f"{tag}rect") if r.get("fill") == "#0072b2"]
    assert [float(b.get("width")) for b in bars] == pytest.approx([190 * 30 / 42, 190 * 12 / 42], abs=0.06)
    assert len([r for r in root.iter(f"{tag}rect") if r.get("stroke-dasharray")]) == 2
    said = " ".join(t.text for t in root.iter(f"{tag}text"))
    for word in ("30", "12", "hidden", "<5", "none", "41 image", "42 note"):
        assert word in said
    assert "image and note: 30" in root.get("aria-label")
    wide = float(root.get("viewBox").split()[2])
    assert all(
        float(t.get("x")) + 7 * len(t.text) <= wide + 14
        for t in root.iter(f"{tag}text")
        if not t.get("transform")
    )


def test_many_patterns_are_cut_and_said_to_be():
    patterns = {f"a{i}": 100 - i for i in range(MOST + 3)}
    assert "and 3 rarer patterns" in upset(patterns, {"a1": 5})


def test_the_picture_needs_a_task(cohort, tmp_path, capsys):
    assert main(["cohort", "info", str(cohort), "--svg", str(tmp_path / "u.svg")]) == 2
    assert "--task" in capsys.readouterr().err
    assert not (tmp_path / "u.svg").exists()


def test_the_real_collection_is_counted_right(shared, tmp_path, capsys):
    """Of patients whose rows agree on sex; by the source's own table."""
    folder = tmp_path / "covid"
    assert (
        main(
            [
                "cohort",
                "import",
                "covid-chestxray",
                str(shared / "data/covid-chestxray"),
                "--out",
                str(folder),
            ]
        )
        == 0
    )
    capsys.readouterr()
    told = json.loads(info(capsys, folder, "--task", "covid_pneumonia", "--json"))
    sexes = defaultdict(set)
    with open(shared / "data/covid-chestxray/metadata.csv", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            sexes[row["patientid"].strip()] |= {row["sex"].strip().upper()} - {""}
    counted = Counter(
        next(iter(own)) if len(own) == 1 and own <= {"M", "F"} else "not stated" for own in sexes.values()
    )
    assert told["subjects"] == len(sexes)
    assert told["subjects_by_sex"] == dict(counted)
    labels = pl.read_parquet(folder / "labels/covid_pneumonia.parquet")
    people = labels.unique(["subject_id", "categorical_value"])["categorical_value"].value_counts()
    assert told["task"]["labels"] == dict(people.iter_rows())
