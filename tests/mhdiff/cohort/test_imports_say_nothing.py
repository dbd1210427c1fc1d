"""Every adapter, on sources whose every id, note, name, file name and broken cell is a string of its own.

None of these may be in what an import prints, shows as progress or logs, nor in its report, with good rows or broken,
borne or not. A new adapter fails here until it has a marked source.
"""

import json
import random

import polars as pl
import pytest
from marked_cohort import Marks
from marked_sources import WRITERS
from marked_told import Told

from mhdiff.cohort import Cohort, meds
from mhdiff.cohort.adapters import KINDS
from tests import needs

BROKEN = 3  # rows that every source has at least


@pytest.fixture(params=KINDS)
def kind(request):
    if request.param == "uk-biobank":
        needs.module("nibabel")
    return request.param


def test_an_import_says_nothing_of_a_patient(kind, tmp_path):
    t = Told(Marks(random.Random(11)))
    source = WRITERS[kind](tmp_path / "source", t.marks, spoiled=False)
    t.run("cohort import", kind, *source, "--out", tmp_path / "C", "--max-bad", 99)
    learn(t, tmp_path / "C")
    report(t, tmp_path / "C")
    assert t.leaks("cohort import") == []


def test_broken_rows_are_told_without_what_is_in_them(kind, tmp_path):
    t = Told(Marks(random.Random(13)))
    source = WRITERS[kind](tmp_path / "source", t.marks, spoiled=True)
    t.run("cohort import", kind, *source, "--out", tmp_path / "C", "--max-bad", 0, code=2)
    assert not (tmp_path / "C").exists()
    t.run("cohort import", kind, *source, "--out", tmp_path / "C", "--max-bad", 999)
    learn(t, tmp_path / "C")
    told = report(t, tmp_path / "C")
    assert told["refused"]["rows"] >= BROKEN
    assert t.leaks("cohort import") == []
    events = Cohort.open(tmp_path / "C").events
    said = events["code"].str.join(" ").item() + " ".join(events["text_value"].drop_nulls())
    assert t.marks.found_in(said)  # what must not be told is what was read


def learn(t, cohort):
    """Remember which subject_ids the import gave."""
    t.marks.numbers = pl.read_parquet(cohort / meds.SPLITS_FILE)["subject_id"].to_list()
    assert min(t.marks.numbers) > 10**6  # none is in a text by chance


def report(t, cohort):
    """Take what is written of the cohort as said, and give the report."""
    place = cohort / meds.REPORT_FILE
    t.wrote("cohort import", place, cohort / "metadata/dataset.json")
    return json.loads(place.read_text(encoding="utf-8"))
