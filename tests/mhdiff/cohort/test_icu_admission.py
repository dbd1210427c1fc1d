"""The shipped task of admission to intensive care: from an OMOP registry to an evaluated model, and on MIMIC."""

import json
from datetime import datetime, timedelta

import polars as pl
import pytest
from mimic_source import Source
from registry_source import EHR, HISTORY, INPATIENT, INTENSIVE, LABS, SECRET, SIGNS, Registry

from mhdiff.cli import main
from mhdiff.cohort import Cohort, Task, meds
from mhdiff.cohort.blind import MASK
from mhdiff.cohort.mimic_cxr import import_mimic_cxr
from mhdiff.cohort.omop import import_omop
from mhdiff.cohort.outcome import label
from ontology import Ontology


class Wards(Registry):
    """Adults and children in hospital, some of whom come to intensive care.

    Attributes:
        expected: person_id -> the label, or None for none.
    """

    def __init__(self, people=60, seed=1):
        self.expected = {}
        super().__init__(people, seed)

    def child(self, child):
        """Add a person: admitted, and to intensive care after so many hours."""
        draw, kind = self.random, child % 10
        admitted = datetime(2015, 1, 1) + timedelta(days=draw.randrange(2500), minutes=draw.randrange(1440))
        hours = {0: 1.0, 1: 80.0}.get(kind, draw.uniform(8, 50) if kind in (2, 3, 4, 5) else None)
        days = 0.8 if kind == 6 else 9  # kind 6 goes home before the two days are over, kind 7 dies
        out = admitted + timedelta(days=1 if kind == 7 else days)
        self.expected[child] = {0: None, 1: "no", 6: "no", 7: None}.get(kind, "yes" if hours else "no")
        born = admitted - timedelta(days=draw.randrange(400, 30000))
        self.add("person", person_id=child, gender_concept_id=draw.choice((8507, 8532)), year_of_birth=born.year,
                 month_of_birth=born.month, day_of_birth=born.day, race_concept_id=0, ethnicity_concept_id=0,
                 care_site_id=draw.randint(1, 3), person_source_value=f"{SECRET}{child}")  # fmt: skip
        last = out if kind in (6, 7) else out + timedelta(days=200)
        self.add("observation_period", person_id=child, observation_period_start_date=f"{born:%Y-%m-%d}",
                 observation_period_end_date=f"{last:%Y-%m-%d}")  # fmt: skip
        self.add("visit_occurrence", person_id=child, visit_concept_id=INPATIENT, **self.at("visit_start", admitted),
                 **self.at("visit_end", out), visit_type_concept_id=EHR, care_site_id=1)  # fmt: skip
        stays = [admitted + timedelta(hours=hours)] if hours else []
        stays += (
            [admitted - timedelta(days=300)] if kind in (2, 8) else []
        )  # an earlier stay is no bar, and hidden
        for ward in stays:
            self.add("visit_detail", person_id=child, visit_detail_concept_id=INTENSIVE,
                     **self.at("visit_detail_start", ward), **self.at("visit_detail_end", ward + timedelta(days=2)),
                     visit_detail_type_concept_id=EHR)  # fmt: skip
        self.add("condition_occurrence", person_id=child, condition_concept_id=draw.choice(SIGNS),
                 **self.at("condition_start", admitted + timedelta(hours=2)), condition_type_concept_id=EHR)  # fmt: skip  # noqa: E501
        for after in (1, 20):  # the second one is too late
            for concept, unit, mean, change, spread, (low, high) in LABS:
                value = max(0.1, draw.gauss(mean + 2 * change * bool(hours), spread))
                self.add("measurement", person_id=child, measurement_concept_id=concept,
                         **self.at("measurement", admitted + timedelta(hours=after)), measurement_type_concept_id=EHR,
                         value_as_number=round(value, 1), unit_concept_id=unit, range_low=low,
                         range_high=high)  # fmt: skip
        words = f"{SECRET}{child} with fever. Plan: {'ICU bed' if hours else 'ward'}."
        self.add("note", person_id=child, **self.at("note", admitted + timedelta(hours=3)), note_type_concept_id=EHR,
                 note_class_concept_id=HISTORY, note_title="History", note_text=words)  # fmt: skip
        if kind == 7:
            self.add("death", person_id=child, death_date=f"{out:%Y-%m-%d}", death_type_concept_id=EHR)


@pytest.fixture(scope="module")
def wards():
    return Wards()


def test_from_an_omop_registry_to_an_evaluated_model(wards, small_data, tmp_path, whole_way, capsys):
    folder = tmp_path / "cohort"
    import_omop(wards.write(tmp_path / "cdm"), folder)
    onto = str(small_data / "ontology")
    assert main(["cohort", "label", str(folder), "--task", "icu_admission", "--ontology", onto]) == 0
    cohort, task = Cohort.open(folder), Task.load("icu_admission")
    labels = dict(cohort.labels("icu_admission").select("subject_id", "categorical_value").iter_rows())
    assert labels == {person: value for person, value in wards.expected.items() if value}
    told = json.loads((folder / meds.MARKER).read_text())["mhdiff"]["labels"]["icu_admission"]
    assert told["excluded"] == {
        "outcome already before the prediction time": 6,
        "died before the horizon's end, without the outcome": 6,
    }
    assert told["codes"] == {"Visit/OMOP4822460": "Intensive Care"}
    window = task.window(cohort)
    events = window.events.join(task.samples(cohort).select("sample_id", "prediction_time"), on="sample_id")
    assert (events["time"] <= events["prediction_time"]).all()
    assert set(events["modality"]) == {"note", "labs", "codes"}
    assert not events["code"].str.contains("OMOP4822460|VISIT").any()
    assert (
        events.filter(pl.col("code").str.starts_with("LOINC/")).group_by("sample_id").len()["len"].max() == 3
    )
    notes = events.filter(pl.col("modality") == "note")["text_value"]
    assert notes.str.contains("ward", literal=True).any()
    assert notes.str.contains(MASK, literal=True).any()
    assert not notes.str.contains("ICU").any()
    metrics = whole_way(folder, "icu_admission", ["note", "labs", "codes"])
    assert metrics["classes"] == ["no", "yes"]
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err


def test_the_same_task_on_mimic(tmp_path, small_data):
    source, start = Source(tmp_path / "physionet.org"), datetime(2150, 3, 1, 8)
    for subject, hours in enumerate((2, 20, 70, None), 10_000_001):
        source.person(subject)
        source.stay(subject, subject + 10_000_000, start, days=1 if hours is None else 5)
        source.study(subject, subject + 40_000_000, start + timedelta(hours=3), ("PA",), {"Pneumonia": 1.0})
        if hours is not None:
            unit = {"first_careunit": "MICU", "last_careunit": "MICU", "los": 1.0}
            came = {
                "intime": str(start + timedelta(hours=hours)),
                "outtime": str(start + timedelta(hours=hours + 24)),
            }
            ids = {"subject_id": subject, "hadm_id": subject + 10_000_000, "stay_id": subject + 30_000_000}
            source.tables["icustays"].append(ids | unit | came)
    import_mimic_cxr(source.write(), tmp_path / "cohort")
    cohort, made = Cohort.open(tmp_path / "cohort"), Task.load("icu_admission")
    found = label(cohort, made, Ontology.open(small_data / "ontology"))
    assert found.labels.rows() == [
        (10_000_002, start + timedelta(hours=6), "yes"),
        (10_000_003, start + timedelta(hours=6), "no"),
        (10_000_004, start + timedelta(hours=6), "no"),
    ]
    assert found.report["excluded"] == {"outcome already before the prediction time": 1}
    assert list(found.report["codes"]) == ["ICU_ADMISSION//MICU"]
