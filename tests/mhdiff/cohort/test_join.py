from datetime import datetime

import meds as published
import polars as pl
import pyarrow.parquet as pq
import pytest

from mhdiff.cli import main
from mhdiff.cohort import Cohort, Task, meds
from mhdiff.cohort.covid_chestxray import import_covid_chestxray
from mhdiff.cohort.hannover import import_hannover
from mhdiff.cohort.join import JOINED_FILE, join
from ontology.errors import InputError

DAY = datetime(2021, 3, 1)


@pytest.fixture
def write_hospital(tmp_path):
    """Write a cohort of two subjects, 5 and 9, with an image and a value each."""

    def write(name, unit="U/L", high=10.0, labels="icu", images=(b"a", b"b")):
        folder = tmp_path / name
        (folder / "images").mkdir(parents=True)
        events = []
        for subject, image in zip((9, 5), images, strict=True):
            path = f"images/{subject}.png"
            (folder / path).write_bytes(image)
            events += [
                (subject, None, f"SITE//{name}", None, None),
                (subject, DAY, "IMAGE//CXR//AP", None, path),
                (subject, DAY, "LAB//X", float(subject), None),
                (subject, DAY, "NOTE//CLINICAL", None, path),
            ]
        table = pl.DataFrame(events, schema=meds.EVENTS, orient="row")
        codes = table.select(
            pl.col("code").unique(maintain_order=True),
        ).with_columns(
            unit=pl.when(pl.col("code") == "LAB//X").then(pl.lit(unit)),
            ref_high=pl.when(pl.col("code") == "LAB//X").then(pl.lit(high)),
        )
        given = {"subject_id": [5], "prediction_time": [DAY], "categorical_value": ["yes"]}
        meds.write_meds(
            folder,
            events=table,
            codes=codes,
            splits=pl.DataFrame({"subject_id": [5, 9], "split": ["train", "held_out"]}),
            labels={labels: pl.DataFrame(given)},
            metadata={"dataset_name": name, "mhdiff": {"kind": "test"}},
        )
        return folder

    return write


def test_subjects_files_ranges_and_labels_follow(write_hospital, tmp_path):
    a, b = write_hospital("a"), write_hospital("b", high=20.0, labels="death", images=(b"c", b"a"))
    report = join([a, b], tmp_path / "out")
    cohort = Cohort.open(tmp_path / "out")
    assert cohort.validate() == []
    assert pl.read_parquet(cohort.path / JOINED_FILE).rows() == [
        (1, "a", 5), (2, "a", 9), (3, "b", 5), (4, "b", 9)
    ]  # fmt: skip
    # Subject 3 was in train, and shares an image with 2, which is held out.
    assert cohort.splits["split"].to_list() == ["train", "held_out", "held_out", "held_out"]
    assert cohort.sites["site"].to_list() == ["a", "a", "b", "b"]
    held = {s: cohort.image_path(p).read_bytes() for s, p in cohort.images.iter_rows()}
    assert held == {1: b"b", 2: b"a", 3: b"a", 4: b"c"}
    # A note that reads like a path is no path.
    notes = cohort.events.filter(pl.col("code") == "NOTE//CLINICAL")["text_value"]
    assert notes.to_list() == ["images/5.png", "images/9.png"] * 2
    labs = cohort.scan(optional=True).filter(pl.col("code") == "LAB//X").collect()
    assert labs["numeric_value"].to_list() == [5.0, 9.0, 5.0, 9.0]
    assert labs["ref_high"].to_list() == [10.0, 10.0, 20.0, 20.0]
    assert cohort.codes.filter(pl.col("code") == "LAB//X")["ref_high"].to_list() == [None]
    assert cohort.labels("icu")["subject_id"].to_list() == [1]
    assert cohort.labels("death")["subject_id"].to_list() == [3]
    assert dict(cohort.groups.iter_rows()) == {1: 1, 2: 2, 3: 2, 4: 4}
    assert report.changed.counts == {
        "LAB//X: reference ranges differ, each event has that of its cohort": 1,
        "labels icu: cohort 2 (b) has none": 1,
        "labels death: cohort 1 (a) has none": 1,
        "patients of different cohorts that share an image, kept in one group": 2,
        "stored split: moved to that of a patient with the same image": 1,
    }


def test_equal_ranges_stay_with_the_code(write_hospital, tmp_path):
    join([write_hospital("a"), write_hospital("b")], tmp_path / "out")
    cohort = Cohort.open(tmp_path / "out")
    assert cohort.codes.filter(pl.col("code") == "LAB//X")["ref_high"].to_list() == [10.0]
    assert cohort.scan(optional=True).collect()["ref_high"].null_count() == len(cohort.events)


def test_wrong_sources_are_refused_and_nothing_is_written(write_hospital, tmp_path):
    a, b = write_hospital("a"), write_hospital("b", unit="mg/L")
    (tmp_path / "empty").mkdir()
    before = sorted(p.name for p in tmp_path.iterdir())
    for sources, out, message in (
        ([a], "out", "two or more"),
        ([a, a], "out", "two or more"),
        ([a, b], "out", r"'LAB//X' is in U/L in .*a and in mg/L in .*b"),
        ([a, b], "a/out", "lie in one another"),
        ([a, tmp_path / "empty"], "out", "the cohort has no"),
        ([a, tmp_path / "none"], "out", "no such cohort folder"),
    ):
        with pytest.raises(InputError, match=message):
            join(sources, tmp_path / out)
    assert sorted(p.name for p in tmp_path.iterdir()) == before
    assert main(["cohort", "join", str(a), "--out", str(tmp_path / "out")]) == 2


def test_two_real_hospitals(shared, tmp_path):
    covid, hannover = tmp_path / "covid", tmp_path / "hannover"
    import_covid_chestxray(shared / "data/covid-chestxray", covid)
    import_hannover(shared / "data/hannover", hannover)
    parts = [Cohort.open(covid), Cohort.open(hannover)]
    report = join([covid, hannover], tmp_path / "out")
    cohort = Cohort.open(tmp_path / "out")
    assert cohort.validate() == []
    assert len(cohort.events) == sum(len(part.events) for part in parts)
    task = Task.load("covid_icu")
    assert len(task.samples(cohort)) == sum(len(task.samples(part)) for part in parts)
    assert report.sites["hannover"] == 46
    for file in sorted((cohort.path / "data").glob("*.parquet")):
        table = pq.read_table(file)
        published.DataSchema.validate(published.DataSchema.align(table))
    neutrophils = cohort.scan(optional=True).filter(pl.col("code").str.contains("751-8")).collect()
    sited = neutrophils.join(cohort.sites, on="subject_id")
    highs = sited.group_by(pl.col("site") == "hannover").agg(pl.col("ref_high").unique()).sort("site")
    assert highs["ref_high"].to_list() == [[7.5], [pytest.approx(7.7)]]
