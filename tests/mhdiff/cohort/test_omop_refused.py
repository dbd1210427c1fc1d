"""Rows of a CDM that are broken: each is refused once, as a whole, and stands against `--max-bad`."""

import re

import numpy as np
import omop_source
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omop_source import condition, lab, person, put, visit

from mhdiff.cli import main
from mhdiff.cohort import Cohort, omop, omop_refused
from mhdiff.cohort.omop import import_omop
from mhdiff.cohort.refused import MaxBad
from ontology.errors import InputError
from tests.searches import examples

ALL = MaxBad(100, percent=True)
KEY, EARLY = "the key is there twice", "the time is before the birth"
DATE, NUMBER = "the value is no date or time without a zone", "the value is no number"


@pytest.fixture
def content():
    """A sound CDM."""
    found = omop_source.tables()
    found["CONDITION_OCCURRENCE"] = [condition(n, 1 + n % 2, 2, f"2015-03-{n + 1:02}") for n in range(1, 9)]
    found["VISIT_OCCURRENCE"] = [
        visit(10 + n, 1, f"2015-03-0{n + 1} 09:30:00", f"2015-03-0{n + 1} 10:00:00") for n in range(4)
    ]
    return found


@pytest.fixture
def written(tmp_path, content):
    def make(max_bad=ALL, **more):
        source = omop_source.write(tmp_path / "cdm", content)
        report = import_omop(source, tmp_path / "out", max_bad=max_bad, **more)
        cohort = Cohort.open(tmp_path / "out")
        assert cohort.validate() == []
        return cohort, report

    return make


def codes(cohort, pattern):
    return cohort.events.filter(pl.col("code").str.contains(pattern)).height


def test_a_sound_registry_refuses_nothing(written):
    _, report = written(MaxBad(0))
    assert report.refused.to_dict()["rows"] == 0
    assert report.refused.rows["VISIT_OCCURRENCE.csv"] == 4


SPOILT = {
    "person": ("VISIT_OCCURRENCE", "person_id", "P-1", NUMBER),
    "start": ("VISIT_OCCURRENCE", "visit_start_date", "01/02/2015", DATE),
    "end": ("VISIT_OCCURRENCE", "visit_end_datetime", "soon", DATE),
    "concept": ("VISIT_OCCURRENCE", "visit_concept_id", "OP", NUMBER),
    "observed from": ("OBSERVATION_PERIOD", "observation_period_start_date", "2010", DATE),
    "observed until": ("OBSERVATION_PERIOD", "observation_period_end_date", "2010", DATE),
    "death": ("DEATH", "death_date", "2018", DATE),
    "cause": ("DEATH", "cause_concept_id", "none", NUMBER),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_row_is_refused_once_and_as_a_whole(tmp_path, content, case):
    table, column, value, reason = SPOILT[case]
    source = omop_source.write(tmp_path / "cdm", content)
    whole = import_omop(source, tmp_path / "whole", max_bad=MaxBad(0))
    put(source, table, 2, column, value)
    report = import_omop(source, tmp_path / "out", max_bad=MaxBad(1))
    assert report.refused.places == {reason: [(f"{table}.csv", 2, column)]}
    assert report.refused.rows[f"{table}.csv"] == len(content[table])
    kinds = {"VISIT_OCCURRENCE": "Visit", "OBSERVATION_PERIOD": "OBSERVATION_PERIOD", "DEATH": "MEDS_DEATH"}
    before, after = (Cohort.open(tmp_path / name) for name in ("whole", "out"))
    own = f"(?i)^{kinds[table]}"
    each = 1 if table == "DEATH" else 2  # a beginning and an end
    assert codes(before, own) - codes(after, own) == each
    lost = {"DEATH": 2}.get(table, each)  # and the cause of the death
    assert before.events.height - after.events.height == lost
    assert whole.read.get("visit rows", 0) - report.read.get("visit rows", 0) == (table == "VISIT_OCCURRENCE")


def test_a_share_is_of_the_rows_that_there_are(tmp_path, content):
    source = omop_source.write(tmp_path / "cdm", content)
    put(source, "VISIT_OCCURRENCE", 3, "visit_start_date", "01/02/2015")
    with pytest.raises(InputError, match="1 of the 4 rows refused"):
        import_omop(source, tmp_path / "out", max_bad=MaxBad(20, percent=True))
    import_omop(source, tmp_path / "out", max_bad=MaxBad(25, percent=True))


def test_a_key_that_a_person_holds_twice_is_refused(written, content):
    content["CONDITION_OCCURRENCE"].append(condition(3, 2, 1, "2016-01-01"))
    cohort, report = written()
    assert report.refused.places == {KEY: [("CONDITION_OCCURRENCE.csv", 10, "condition_occurrence_id")]}
    assert codes(cohort, "SNOMED/36971009") == 1  # the cause of the death


def test_a_row_that_says_the_same_again_is_dropped(written, content):
    content["CONDITION_OCCURRENCE"].append(dict(content["CONDITION_OCCURRENCE"][2]))
    content["VISIT_OCCURRENCE"].append(dict(content["VISIT_OCCURRENCE"][1]))
    cohort, report = written(MaxBad(0))
    dropped = {r: (n["count"], n["first_lines"]) for r, n in report.dropped.to_dict().items()}
    assert dropped["condition: the same row twice"] == (1, [10])
    assert dropped["visit: the same row twice"] == (1, [6])
    assert codes(cohort, "^SNOMED/444814009") == 8
    assert codes(cohort, "^VISIT//END") == codes(cohort, "^Visit/OP") == 4


def test_a_visit_that_differs_in_its_end_alone_is_not_the_same(written, content):
    content["VISIT_OCCURRENCE"].append(content["VISIT_OCCURRENCE"][1] | {"visit_end_datetime": ""})
    cohort, report = written()
    assert report.refused.places == {KEY: [("VISIT_OCCURRENCE.csv", 6, "visit_occurrence_id")]}
    assert codes(cohort, "^VISIT//END") == codes(cohort, "^Visit/OP") == 4


@pytest.mark.parametrize("far", [False, True])
@pytest.mark.parametrize("rows_a_shard", [3, 1_000_000])
def test_a_key_that_two_persons_hold_is_refused_wherever_they_are(
    written, content, monkeypatch, rows_a_shard, far
):
    monkeypatch.setattr(omop, "ROWS_A_SHARD", rows_a_shard)
    monkeypatch.setattr(omop_refused, "_AT_ONCE", 3)
    if far:  # keys that are no numbering are not marked but sorted
        monkeypatch.setattr(omop_refused, "_WIDE", 100)
        content["MEASUREMENT"].append(lab(2**60, 4, 3, "2015-03-01", 90, unit=4))
    content["MEASUREMENT"] += [lab(1, 2, 3, "2015-03-05", 99, unit=4), lab(1, 4, 3, "2015-03-05", 98, unit=4)]
    content["MEASUREMENT"] += [lab(1, 1, 3, "2015-03-06", 97, unit=4), lab(3, 77, 3, "2015-03-05", 96)]
    n = len(content["MEASUREMENT"])
    cohort, report = written()
    lines = [n - 2, n - 1, n]
    assert report.refused.places == {KEY: [("MEASUREMENT.csv", line, "measurement_id") for line in lines]}
    assert report.dropped.counts["measurement: the person is not in PERSON"] == 1  # whose key is nobody's
    numbers = cohort.events["numeric_value"].drop_nulls()
    assert not numbers.is_in([96.0, 97.0, 98.0, 99.0]).any()
    assert report.read["measurement rows"] == n


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(st.lists(st.integers(-40, 40), max_size=5), max_size=6), st.integers(20, 200))
def test_keys_are_seen_twice_where_they_are(pieces, wide):
    arrays = [np.array(piece, dtype=np.int64) for piece in pieces]
    every = [key for piece in pieces for key in piece]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(omop_refused, "_keys", lambda one: [one])
        patch.setattr(omop_refused, "_WIDE", wide)
        found = omop_refused._unique(arrays)
    unique = len(set(every)) == len(every)
    assert not found or unique
    if unique and (not every or 3 * (max(every) - min(every) + 1) <= wide):
        assert found


def test_parts_of_a_table_are_told_apart(tmp_path, content):
    source = omop_source.write(tmp_path / "cdm", content)
    frame = pl.read_csv(source / "MEASUREMENT.csv")
    (source / "MEASUREMENT.csv").unlink()
    (source / "measurement").mkdir()
    parts = [frame.head(3), frame.slice(3), frame.head(2).with_columns(person_id=pl.lit(4))]
    parts.append(frame.slice(5).with_columns(measurement_id=99, measurement_date=pl.lit("1066-10-14")))
    for number, part in enumerate(parts):
        part.write_parquet(source / f"measurement/{number}.parquet")
    report = import_omop(source, tmp_path / "out", max_bad=ALL)
    assert report.refused.places == {
        KEY: [("measurement/2.parquet", line, "measurement_id") for line in (2, 3)],
        EARLY: [("measurement/3.parquet", 2, "measurement_date")],
    }
    assert report.refused.rows["measurement/2.parquet"] == 2


def test_times_before_birth_stand_against_the_limit(tmp_path, content, capsys):
    content["CONDITION_OCCURRENCE"] = [
        condition(n, 1, 2, "1979-01-01" if n else "2015-03-01") for n in range(10)
    ]
    source = omop_source.write(tmp_path / "cdm", content)
    assert main(["cohort", "import", "omop", str(source), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert re.search(rf"CONDITION_OCCURRENCE.csv, line 3, column 'condition_start_date': {EARLY}", error)
    assert "9 of the 10 rows refused" in error
    assert [p.name for p in tmp_path.iterdir()] == ["cdm"]
    report = import_omop(source, tmp_path / "out", max_bad=MaxBad(9))
    assert report.refused.counts == {EARLY: 9}
    assert [place.line for place in report.refused.places[EARLY]] == [3, 4, 5, 6, 7]
    with pytest.raises(InputError, match=EARLY):
        import_omop(source, tmp_path / "out", max_bad=MaxBad(8))


def test_a_visit_that_begins_before_birth_has_no_end(written, content):
    content["VISIT_OCCURRENCE"].append(visit(90, 1, "1979-03-01 09:30:00", "2015-03-01 10:00:00"))
    content["VISIT_OCCURRENCE"].append(visit(91, 1, "2015-03-01 09:30:00", "1979-03-01 10:00:00"))
    cohort, report = written()
    assert report.refused.places == {
        EARLY: [("VISIT_OCCURRENCE.csv", line, "visit_start_date") for line in (6, 7)]
    }
    assert codes(cohort, "^VISIT//END") == codes(cohort, "^Visit/OP") == 4


def test_nobody_is_dead_before_birth(written, content):
    content["DEATH"] = [
        {"person_id": 1, "death_date": "1979-01-01", "death_datetime": "", "cause_concept_id": 1}
    ]
    cohort, report = written()
    assert report.refused.places == {EARLY: [("DEATH.csv", 2, "death_date")]}
    assert codes(cohort, "^MEDS_DEATH|SNOMED/36971009") == 0
    assert not any("after the person's death" in reason for reason in report.changed.counts)


def test_the_year_of_birth_alone_refuses_nothing_of_that_year(written, content):
    content["PERSON"][1] = person(2, 8532, 1990, "", "")
    content["CONDITION_OCCURRENCE"] += [condition(50, 2, 1, "1990-01-01"), condition(51, 2, 1, "1989-12-31")]
    _, report = written()
    assert report.refused.places == {EARLY: [("CONDITION_OCCURRENCE.csv", 11, "condition_start_date")]}


def test_real_tables_refuse_nothing(shared, tmp_path):
    report = import_omop(shared / "data/omop/synthea27nj", tmp_path / "out")
    assert report.refused.to_dict()["rows"] == 0


def births(tmp_path, born, n=1500):
    """A registry of n persons, each with three conditions."""
    draw = np.random.default_rng(0)
    content = {name: omop_source.tables()[name] for name in ("CONCEPT",)}
    content["PERSON"] = [person(7 * i, (8507, 8532)[i % 2], *born(draw)) for i in range(1, n + 1)]
    content["CONDITION_OCCURRENCE"] = [
        condition(3 * i + k, 7 * i, 2, f"2015-03-0{k + 1}") for i in range(1, n + 1) for k in range(3)
    ]
    return omop_source.write(tmp_path / "cdm", content)


@pytest.mark.parametrize("born", [lambda d: (int(d.integers(1985, 1997)), "", ""), lambda d: ("", "", ""),
                                  lambda d: ("", 3, 4)])  # fmt: skip
def test_persons_whose_day_of_birth_is_not_known_fill_shards_evenly(tmp_path, monkeypatch, born):
    monkeypatch.setattr(omop, "ROWS_A_SHARD", 100)
    import_omop(births(tmp_path, born), tmp_path / "out")
    files = sorted((tmp_path / "out/data").glob("*.parquet"))
    rows = [pl.read_parquet(file)["subject_id"].n_unique() for file in files]
    assert len(rows) == 45
    assert max(rows) - min(rows) <= 1


def test_persons_of_one_day_of_birth_meet_in_a_shard(tmp_path, monkeypatch):
    monkeypatch.setattr(omop, "ROWS_A_SHARD", 100)
    import_omop(
        births(tmp_path, lambda d: (1990, int(d.integers(1, 13)), int(d.integers(1, 20)))), tmp_path / "out"
    )
    files = sorted((tmp_path / "out/data").glob("*.parquet"))
    day = pl.datetime(1990, 1, 1)
    for file in files:
        rows = pl.read_parquet(file)
        born = rows.filter(code="MEDS_BIRTH").select((pl.col("time") - day).dt.total_days()).to_series()
        male = rows.filter(pl.col("code").str.starts_with("GENDER"))["code"] == "GENDER//M"
        place = (3 * (born + 7305) + 1 + male.cast(pl.Int64)) % 45
        assert set(place) == {int(file.stem)}
