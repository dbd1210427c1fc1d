"""Real ontologies and real cohorts from import to evaluation, with counts that were counted again from the files."""

import csv
import json
from collections import Counter
from datetime import datetime, time, timedelta

import polars as pl
import pytest

from mhdiff.cli import main
from mhdiff.cohort import Cohort

TABLES = {  # file -> column of the concept, column of the date
    "CONDITION_OCCURRENCE": ("condition_concept_id", "condition_start_date"),
    "DRUG_EXPOSURE": ("drug_concept_id", "drug_exposure_start_date"),
    "PROCEDURE_OCCURRENCE": ("procedure_concept_id", "procedure_date"),
    "MEASUREMENT": ("measurement_concept_id", "measurement_date"),
    "OBSERVATION": ("observation_concept_id", "observation_date"),
    "VISIT_OCCURRENCE": ("visit_concept_id", "visit_start_date"),
    "DEATH": ("cause_concept_id", "death_date"),
}


def one_document(capsys):
    return json.loads(capsys.readouterr().out)


def rows_of(folder, name):
    with (folder / f"{name}.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def day(text):
    return datetime.strptime(text[:10], "%Y-%m-%d")


@pytest.fixture(scope="module")
def omop(shared, tmp_path_factory):
    """The OMOP shard, imported, labelled and made a graph; and its rows as (person, day, vocabulary/code)."""
    source, out = shared / "data/omop/synthea27nj", tmp_path_factory.mktemp("omop")
    onto, cohort, graph = (str(out / name) for name in ("O", "C", "G"))
    assert main(["ontology", "build", str(source), "--out", onto]) == 0
    assert main(["cohort", "import", "omop", str(source), "--out", cohort]) == 0
    assert main(["cohort", "label", cohort, "--task", "omop_sinusitis", "--ontology", onto]) == 0
    task = ["--ontology", onto, "--cohort", cohort, "--task", "omop_sinusitis", "--out", graph]
    assert main(["graph", "build", *task]) == 0
    concepts = {row["concept_id"]: row for row in rows_of(source, "CONCEPT")}
    rows = [
        (int(row["person_id"]), day(row[when]), concepts[row[concept]])
        for name, (concept, when) in TABLES.items()
        for row in rows_of(source, name)
    ]
    return source, out, rows


def sinusitis(source):
    """Give the concept_ids of sinusitis and all below it, by the rows that say Subsumes."""
    below = {}
    for row in rows_of(source, "CONCEPT_RELATIONSHIP"):
        if row["relationship_id"] == "Subsumes":
            below.setdefault(row["concept_id_1"], set()).add(row["concept_id_2"])
    found, waiting = set(), ["4283893"]
    while waiting:
        here = waiting.pop()
        if here not in found:
            found.add(here)
            waiting += below.get(here, ())
    return found


def wanted_labels(source, rows):
    """Give {(person, prediction day): class} by plain loops over the rows."""
    targets = sinusitis(source)
    evening = timedelta(days=1) - timedelta(microseconds=1)
    hits, died, found = {}, {}, {}
    for person, when, concept in rows:
        if concept["concept_id"] in targets:
            hits.setdefault(person, []).append(when + evening)
    for row in rows_of(source, "DEATH"):
        died[int(row["person_id"])] = day(row["death_date"]) + evening
    for row in rows_of(source, "OBSERVATION_PERIOD"):
        person, end = int(row["person_id"]), day(row["observation_period_end_date"]) + evening
        at = day(row["observation_period_start_date"]) + timedelta(days=365)
        while at <= end:
            closed = at + timedelta(days=365)
            if at >= datetime(2004, 1, 1) and died.get(person, datetime.max) > at:
                if any(at < hit <= closed for hit in hits.get(person, ())):
                    found[person, at] = "sinusitis"
                elif end >= closed and died.get(person, datetime.max) > closed:
                    found[person, at] = "no_sinusitis"
            at += timedelta(days=365)
    return found


def test_omop_events_are_the_rows_of_the_tables(omop):
    source, out, rows = omop
    cohort = Cohort.open(out / "C")
    coded = cohort.events.filter(
        pl.col("time").is_not_null(), ~pl.col("code").str.contains("^(OBSERVATION_PERIOD|VISIT|MEDS_)")
    )
    here = Counter(
        (subject, when.date(), code.split("//")[0])
        for subject, when, code in coded.select("subject_id", "time", "code").iter_rows()
    )
    there = Counter(
        (person, when.date(), f"{concept['vocabulary_id']}/{concept['concept_code']}")
        for person, when, concept in rows
    )
    assert here == there
    assert sum(here.values()) == 470 + 883 + 1649 + 10_040 + 8_099 + 1_791 + 3
    assert {when.time() for when in coded["time"]} == {time(23, 59, 59, 999_999)}
    numbers = [
        float(row["value_as_number"]) for row in rows_of(source, "MEASUREMENT") if row["value_as_number"]
    ]
    assert len(numbers) == 9_107
    held = cohort.events["numeric_value"].drop_nulls().cast(pl.Float64)
    assert held.len() == len(numbers)
    assert held.sum() == pytest.approx(sum(numbers), rel=1e-6)
    report = json.loads((out / "C/metadata/import_report.json").read_text())
    assert report["dropped"] == {}
    assert report["read"]["values without one"] == 9_107  # this shard states no reference range at all


def test_two_omop_ids_of_one_person_stay_together(omop):
    """Synthea writes who died a second time: 7 is 26, and 11 is 20."""
    groups = Cohort.open(omop[1] / "C").groups
    same = groups.filter(pl.col("group").is_duplicated()).sort("subject_id").rows()
    assert same == [(7, 7), (11, 11), (20, 11), (26, 7)]


def test_omop_labels_are_those_of_plain_loops(omop):
    source, out, rows = omop
    labels = Cohort.open(out / "C").labels("omop_sinusitis")
    here = {
        (s, t): v
        for s, t, v in labels.select("subject_id", "prediction_time", "categorical_value").iter_rows()
    }
    assert here == wanted_labels(source, rows)
    assert Counter(here.values()) == {"no_sinusitis": 328, "sinusitis": 58}


def test_omop_coverage_is_what_the_rows_give(omop, capsys):
    source, out, rows = omop
    capsys.readouterr()
    assert main(["graph", "info", str(out / "G"), "--json"]) == 0
    coverage = one_document(capsys)["coverage"]["modalities"]
    targets, evening = sinusitis(source), timedelta(days=1) - timedelta(microseconds=1)
    pairs = Counter()
    of_person = {}
    for person, when, concept in rows:
        of_person.setdefault(person, []).append((when + evening, concept))
    concepts, asked = {row["concept_id"]: row for row in rows_of(source, "CONCEPT")}, {}
    for person, at in wanted_labels(source, rows):
        asked.setdefault(person, []).append(at)
        for when, concept in of_person[person]:
            if when <= at:
                if concept["vocabulary_id"] in ("SNOMED", "RxNorm"):
                    retired = concept["invalid_reason"] not in ("", "V")
                    hidden = concept["concept_id"] in targets
                    pairs["codes", "unmapped" if retired else "blinded" if hidden else "evidence"] += 1
                elif concept["vocabulary_id"] == "LOINC" and concept["domain_id"] == "Observation":
                    pairs["labs", "no_value"] += 1  # questions without an answer
    assert coverage["codes"]["outcomes"] == {
        key: pairs["codes", key] for key in ("evidence", "blinded", "unmapped") if pairs["codes", key]
    }
    assert coverage["codes"]["outcomes"] == {"evidence": 35_299, "blinded": 587}
    for row in rows_of(source, "MEASUREMENT"):
        if concepts[row["measurement_concept_id"]]["vocabulary_id"] == "LOINC":
            word = row["value_source_value"].removesuffix(" (qualifier value)").lower()
            said = {
                "negative": "in_range",
                "not detected": "in_range",
                "positive": "evidence",
                "detected": "evidence",
            }
            outcome = "no_range" if row["value_as_number"] else said.get(word, "no_value")
            when = day(row["measurement_date"]) + evening
            pairs["labs", outcome] += sum(when <= at for at in asked.get(int(row["person_id"]), ()))
    outcomes = ("evidence", "in_range", "no_range", "no_value")
    assert coverage["labs"]["outcomes"] == {key: pairs["labs", key] for key in outcomes}
    assert (
        coverage["labs"]["outcomes"]["evidence"] < 10
    )  # no range is stated, so no number is called high or low


@pytest.mark.slow  # tests/test_docs.py trains and evaluates the same in docs/omop.md
def test_an_omop_model_is_trained_and_evaluated(omop, capsys):
    _, out, _ = omop
    fit = [
        "-c",
        "configs/omop.yaml",
        "--out",
        str(out / "R"),
        "--trainer.max_epochs=2",
        "--trainer.accelerator=cpu",
    ]
    fit += [f"--data.ontology={out / 'O'}", f"--data.cohort={out / 'C'}", f"--data.graph={out / 'G'}"]
    assert main(["fit", *fit]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(out / "R"), "--replicates", "50", "--json"]) == 0
    metrics = one_document(capsys)
    assert (metrics["n_samples"], metrics["n_subjects"]) == (85, 5)
    auroc = metrics["patterns"]["codes+labs"]["metrics"]["auroc"]
    assert 0 <= auroc["low"] <= auroc["value"] <= auroc["high"] <= 1
    columns = (out / "R/preprocess.json").read_text()
    assert "SNOMED/73595000" in columns  # stress, which is common
    assert not any(f"SNOMED/{code}" in columns for code in (36971009, 40055000, 444814009, 75498004))
    predictions = pl.read_parquet(out / "R/predictions.parquet")
    split = predictions.join(Cohort.open(out / "C").groups, on="subject_id").group_by("group")
    assert split.agg(pl.col("split").n_unique())["split"].max() == 1
    labels = Cohort.open(out / "C").labels("omop_sinusitis")
    assert set(predictions["subject_id"]) <= set(labels["subject_id"])


def test_disease_ontology_windows_are_what_the_events_give(shared, tmp_path, capsys):
    data = shared / "data"
    onto, cohort, graph = (str(tmp_path / name) for name in ("D", "C", "G"))
    assert main(["ontology", "build", str(data / "rf2/disease-ontology"), "--out", onto]) == 0
    assert main(["cohort", "import", "covid-chestxray", str(data / "covid-chestxray"), "--out", cohort]) == 0
    task = ["--ontology", onto, "--cohort", cohort, "--task", "covid_pneumonia", "--out", graph]
    assert main(["graph", "build", *task]) == 0
    capsys.readouterr()
    assert main(["graph", "info", graph, "--json"]) == 0
    coverage = one_document(capsys)["coverage"]["modalities"]
    events = pl.read_parquet(tmp_path / "C/data/0.parquet")
    labels = pl.read_parquet(tmp_path / "C/labels/covid_pneumonia.parquet")
    assert labels.height == 120
    for modality, prefix in (("image", "IMAGE//CXR"), ("note", "NOTE//CLINICAL"), ("labs", "LOINC/")):
        n = 0
        for subject, at in labels.select("subject_id", "prediction_time").iter_rows():
            own = events.filter(subject_id=subject).filter(pl.col("time") <= at)
            n += own["code"].str.starts_with(prefix).sum()
        assert coverage[modality]["events"] == n
        assert sum(coverage[modality]["outcomes"].values()) == n
    # The open disease ontology names diseases: no view of a radiograph, no laboratory value.
    assert set(coverage["image"]["outcomes"]) == {"no_code"}
    assert set(coverage["labs"]["outcomes"]) == {"unmapped"}
    assert coverage["note"]["outcomes"]["evidence"] >= 35
    ours = ["--ontology", str(tmp_path / "B"), *task[2:-1], str(tmp_path / "GB")]
    assert main(["ontology", "build", "builtin", "--out", str(tmp_path / "B")]) == 0
    assert main(["graph", "build", *ours]) == 0
    captured = capsys.readouterr()
    assert "warning" not in captured.err  # the task blinds concepts of this terminology too
    assert "none of the" not in captured.err
    assert main(["graph", "info", str(tmp_path / "GB"), "--json"]) == 0
    found = one_document(capsys)["coverage"]["modalities"]
    assert found["labs"]["outcomes"] == {"evidence": 33, "in_range": 5}
    assert found["note"]["outcomes"]["evidence"] >= 3 * coverage["note"]["outcomes"]["evidence"]
