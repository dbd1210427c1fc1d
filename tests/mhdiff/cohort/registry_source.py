"""A paediatric ICU registry in CDM 5.4, invented: children with HIV, staged by the WHO's clinical stages.

Columns are those of https://ohdsi.github.io/CommonDataModel/cdm54.html, all of them, in their order. A stage is
recorded at the end of the stay, by two hospitals as a condition and by a third as an answer to a question.
"""

import csv
import random
from datetime import datetime, timedelta
from pathlib import Path

SECRET = "MARKEDWORD"
_ENDS = "provider_id visit_occurrence_id visit_detail_id"
COLUMNS = {
    "person": "person_id gender_concept_id year_of_birth month_of_birth day_of_birth birth_datetime race_concept_id "
    "ethnicity_concept_id location_id provider_id care_site_id person_source_value gender_source_value "
    "gender_source_concept_id race_source_value race_source_concept_id ethnicity_source_value "
    "ethnicity_source_concept_id",
    "observation_period": "observation_period_id person_id observation_period_start_date observation_period_end_date "
    "period_type_concept_id",
    "visit_occurrence": "visit_occurrence_id person_id visit_concept_id visit_start_date visit_start_datetime "
    "visit_end_date visit_end_datetime visit_type_concept_id provider_id care_site_id visit_source_value "
    "visit_source_concept_id admitted_from_concept_id admitted_from_source_value discharged_to_concept_id "
    "discharged_to_source_value preceding_visit_occurrence_id",
    "visit_detail": "visit_detail_id person_id visit_detail_concept_id visit_detail_start_date "
    "visit_detail_start_datetime visit_detail_end_date visit_detail_end_datetime visit_detail_type_concept_id "
    "provider_id care_site_id visit_detail_source_value visit_detail_source_concept_id admitted_from_concept_id "
    "admitted_from_source_value discharged_to_source_value discharged_to_concept_id preceding_visit_detail_id "
    "parent_visit_detail_id visit_occurrence_id",
    "condition_occurrence": "condition_occurrence_id person_id condition_concept_id condition_start_date "
    "condition_start_datetime condition_end_date condition_end_datetime condition_type_concept_id "
    f"condition_status_concept_id stop_reason {_ENDS} condition_source_value condition_source_concept_id "
    "condition_status_source_value",
    "drug_exposure": "drug_exposure_id person_id drug_concept_id drug_exposure_start_date "
    "drug_exposure_start_datetime drug_exposure_end_date drug_exposure_end_datetime verbatim_end_date "
    f"drug_type_concept_id stop_reason refills quantity days_supply sig route_concept_id lot_number {_ENDS} "
    "drug_source_value drug_source_concept_id route_source_value dose_unit_source_value",
    "procedure_occurrence": "procedure_occurrence_id person_id procedure_concept_id procedure_date procedure_datetime "
    f"procedure_end_date procedure_end_datetime procedure_type_concept_id modifier_concept_id quantity {_ENDS} "
    "procedure_source_value procedure_source_concept_id modifier_source_value",
    "measurement": "measurement_id person_id measurement_concept_id measurement_date measurement_datetime "
    "measurement_time measurement_type_concept_id operator_concept_id value_as_number value_as_concept_id "
    f"unit_concept_id range_low range_high {_ENDS} measurement_source_value measurement_source_concept_id "
    "unit_source_value unit_source_concept_id value_source_value measurement_event_id meas_event_field_concept_id",
    "observation": "observation_id person_id observation_concept_id observation_date observation_datetime "
    "observation_type_concept_id value_as_number value_as_string value_as_concept_id qualifier_concept_id "
    f"unit_concept_id {_ENDS} observation_source_value observation_source_concept_id unit_source_value "
    "qualifier_source_value value_source_value observation_event_id obs_event_field_concept_id",
    "death": "person_id death_date death_datetime death_type_concept_id cause_concept_id cause_source_value "
    "cause_source_concept_id",
    "note": "note_id person_id note_date note_datetime note_type_concept_id note_class_concept_id note_title note_text "
    f"encoding_concept_id language_concept_id {_ENDS} note_source_value note_event_id note_event_field_concept_id",
    "care_site": "care_site_id care_site_name place_of_service_concept_id location_id care_site_source_value "
    "place_of_service_source_value",
    "concept": "concept_id concept_name domain_id vocabulary_id concept_class_id standard_concept concept_code "
    "valid_start_date valid_end_date invalid_reason",
}
EHR, INPATIENT, INTENSIVE = 32817, 9201, 32037
STAGES = (1001, 1002, 1003, 1004)
QUESTION, ANSWERS = 1010, (1011, 1012, 1013, 1014)
HIV, SIGNS, INDICATORS = 1020, (1021, 1022), (1031, 1032, 1033, 1034)
DRUGS, INTUBATION, HISTORY, DISCHARGE = (1041, 1042, 1043), 1050, 1060, 1061
CELLS, GRAMS, MMOL = 1070, 1071, 1072
CONCEPTS = [
    (EHR, "EHR", "Type Concept", "OMOP4976890"),
    (INPATIENT, "Inpatient Visit", "Visit", "IP"),
    (INTENSIVE, "Intensive Care", "Visit", "OMOP4822460"),
    *((STAGES[n], f"World Health Organization 2007 HIV infection clinical stage {n + 1}", "SNOMED", code)
      for n, code in enumerate(("737378009", "737379001", "737380003", "737381004"))),
    (QUESTION, "Current WHO HIV stage", "CIEL", "5356"),
    *((ANSWERS[n], f"WHO stage {n + 1} peds", "CIEL", f"{1220 + n}") for n in range(4)),
    (HIV, "HIV infection", "SNOMED", "23009999001106"),  # concept codes of the built-in terminology
    (SIGNS[0], "Fever", "SNOMED", "9079999001107"),
    (SIGNS[1], "Pneumonia", "SNOMED", "21009999001107"),
    (INDICATORS[0], "Persistent generalized lymphadenopathy due to HIV", "SNOMED", "23149999001107"),
    (INDICATORS[1], "Angular cheilitis", "SNOMED", "23169999001106"),
    (INDICATORS[2], "Oral candidiasis", "SNOMED", "23219999001101"),
    (INDICATORS[3], "Pneumocystis pneumonia", "SNOMED", "21409999001104"),
    (DRUGS[0], "zidovudine", "RxNorm", "11413"),
    (DRUGS[1], "lamivudine", "RxNorm", "68244"),
    (DRUGS[2], "ceftriaxone", "RxNorm", "2193"),
    (INTUBATION, "Insertion of endotracheal tube", "SNOMED", "112798008"),
    (HISTORY, "History and physical note", "LOINC", "34117-2"),
    (DISCHARGE, "Discharge summary", "Note Type", "OMOP generated"),
    (CELLS, "cells per microliter", "UCUM", "{cells}/uL"),
    (GRAMS, "gram per deciliter", "UCUM", "g/dL"),
    (MMOL, "millimole per liter", "UCUM", "mmol/L"),
    (1081, "CD3+CD4+ (T4 helper) cells [#/volume] in Blood", "LOINC", "24467-3"),
    (1082, "Hemoglobin [Mass/volume] in Blood", "LOINC", "718-7"),
    (1083, "Lactate [Moles/volume] in Blood", "LOINC", "2524-7"),
]  # fmt: skip
#: concept, unit, mean in stage 1, change a stage, spread, range
LABS = (
    (1081, CELLS, 900, -170, 220, (500, 1500)),
    (1082, GRAMS, 11.0, -0.3, 1.2, (11, 14.5)),
    (1083, MMOL, 2.0, 0.2, 0.8, (0.5, 2.0)),
)


class Registry:
    """Rows of the tables, each with all of its columns.

    Attributes:
        rows: Table -> rows.
        stages: person_id -> stage of those who are staged within 30 days.
    """

    def __init__(self, children=60, seed=0):
        self.random = random.Random(seed)
        self.rows = {name: [] for name in COLUMNS}
        self.stages = {}
        for concept, name, vocabulary, code in CONCEPTS:
            self.add("concept", concept_id=concept, concept_name=name, vocabulary_id=vocabulary, concept_code=code,
                     standard_concept="S", valid_start_date="1970-01-01", valid_end_date="2099-12-31")  # fmt: skip
        for site in (1, 2, 3):
            self.add("care_site", care_site_id=site, care_site_name=f"Hospital {site}")
        for child in range(1, children + 1):
            self.child(child)

    def add(self, table, **values):
        """Add a row; the first column counts where it is the table's own key."""
        names = COLUMNS[table].split()
        row = dict.fromkeys(names, "") | values
        if names[0] == f"{table}_id" and row[names[0]] == "":
            row[names[0]] = len(self.rows[table]) + 1
        assert list(row) == names
        self.rows[table].append(row)

    def at(self, column, when):
        """Give date and datetime of a column's name."""
        return {f"{column}_date": f"{when:%Y-%m-%d}", f"{column}_datetime": f"{when:%Y-%m-%d %H:%M:%S}"}

    def child(self, child):
        """Add a child: born, seen in a clinic, a stay with intensive care, and what was found."""
        draw = self.random
        stage, site = child % 4, draw.randint(1, 3)
        admitted = datetime(2015, 1, 1) + timedelta(days=draw.randrange(2500), minutes=draw.randrange(1440))
        born = admitted - timedelta(days=draw.randrange(400, 4000))
        ward, out = admitted + timedelta(hours=5), admitted + timedelta(days=9)
        self.add("person", person_id=child, gender_concept_id=draw.choice((8507, 8532)), year_of_birth=born.year,
                 month_of_birth=born.month, day_of_birth=born.day, race_concept_id=0, ethnicity_concept_id=0,
                 care_site_id=site, person_source_value=f"{SECRET}{child}")  # fmt: skip
        self.add("observation_period", person_id=child, observation_period_start_date=f"{born:%Y-%m-%d}",
                 observation_period_end_date=f"{out + timedelta(days=200):%Y-%m-%d}")  # fmt: skip
        self.add("visit_occurrence", person_id=child, visit_concept_id=INPATIENT, **self.at("visit_start", admitted),
                 **self.at("visit_end", out), visit_type_concept_id=EHR, care_site_id=site)  # fmt: skip
        self.add("visit_detail", person_id=child, visit_detail_concept_id=INTENSIVE,
                 **self.at("visit_detail_start", ward), **self.at("visit_detail_end", ward + timedelta(days=4)),
                 visit_detail_type_concept_id=EHR)  # fmt: skip
        conditions = [(HIV, born + timedelta(days=100)), (draw.choice(SIGNS), ward)]
        conditions += [(INDICATORS[stage], ward)] if draw.random() < 0.7 else []
        before = draw.random() < 0.3  # an earlier stage, which must not be seen
        conditions += [(STAGES[max(0, stage - 1)], admitted - timedelta(days=60))] if before else []
        staged = child % 15 > 0  # of the others every second one has died
        if staged and site < 3:
            conditions.append((STAGES[stage], out))
        for concept, when in sorted(conditions, key=lambda one: one[1]):
            self.add("condition_occurrence", person_id=child, condition_concept_id=concept,
                     **self.at("condition_start", when), condition_type_concept_id=EHR)  # fmt: skip
        if staged and site == 3:
            self.add("observation", person_id=child, observation_concept_id=QUESTION, **self.at("observation", out),
                     observation_type_concept_id=EHR, value_as_concept_id=ANSWERS[stage])  # fmt: skip
        if staged:
            self.stages[child] = stage + 1
        for hours in (1, 10, 70):  # the last one is too late
            for concept, unit, mean, change, spread, (low, high) in LABS:
                value = max(0.1, draw.gauss(mean + change * stage, spread))
                self.add("measurement", person_id=child, measurement_concept_id=concept,
                         **self.at("measurement", ward + timedelta(hours=hours)), measurement_type_concept_id=EHR,
                         value_as_number=round(value, 1), unit_concept_id=unit, range_low=low,
                         range_high=high)  # fmt: skip
        for drug in draw.sample(DRUGS, 2):
            self.add("drug_exposure", person_id=child, drug_concept_id=drug, drug_type_concept_id=EHR,
                     **self.at("drug_exposure_start", ward + timedelta(hours=2)))  # fmt: skip
        if draw.random() < 0.5:
            self.add("procedure_occurrence", person_id=child, procedure_concept_id=INTUBATION,
                     **self.at("procedure", ward + timedelta(hours=1)), procedure_type_concept_id=EHR)  # fmt: skip
        self.notes(child, stage, ward, out)
        if not staged and child % 30:
            self.add("death", person_id=child, death_date=f"{out:%Y-%m-%d}", death_type_concept_id=EHR)

    def notes(self, child, stage, ward, out):
        """Add what was written at the beginning, and the summary that names the stage."""
        signs = self.random.sample(("fever", "cough", "dyspnea", "vomiting"), 2)
        words = f"Child {SECRET}{child} with {signs[0]} and {signs[1]}. WHO stage {self.random.randint(1, 4)} before."
        if self.random.random() < 0.7:
            self.add("note", person_id=child, **self.at("note", ward + timedelta(hours=3)), note_type_concept_id=EHR,
                     note_class_concept_id=HISTORY, note_title="History", note_text=words)  # fmt: skip
        self.add("note", person_id=child, **self.at("note", out), note_type_concept_id=DISCHARGE,
                 note_class_concept_id=0, note_text=f"WHO clinical stage {stage + 1}.")  # fmt: skip

    def write(self, folder: Path) -> Path:
        """Write the tables as CSV; empty ones with their header."""
        folder.mkdir(parents=True)
        for name, rows in self.rows.items():
            with open(folder / f"{name.upper()}.csv", "w", newline="", encoding="utf-8") as stream:
                writer = csv.DictWriter(stream, COLUMNS[name].split())
                writer.writeheader()
                writer.writerows(rows)
        return folder
