"""A small CDM, invented: two sites, units, answers, codes that nobody knows, and every kind of row that is dropped."""

import csv
from pathlib import Path

import polars as pl

CONCEPT = [
    # concept_id, name, vocabulary, code
    (1, "Sinusitis", "SNOMED", "36971009"),
    (2, "Viral sinusitis", "SNOMED", "444814009"),
    (3, "Glucose [Mass/volume] in Blood", "LOINC", "2339-0"),
    (4, "milligram per deciliter", "UCUM", "mg/dL"),
    (5, "Acute sinusitis, unspecified", "ICD10CM", "J01.90"),
    (6, "Outpatient Visit", "Visit", "OP"),
    (7, "aspirin 81 MG Oral Tablet", "RxNorm", "243670"),
    (8, "Family history of diabetes", "SNOMED", "160303001"),
    (9, "No", "SNOMED", "373067005"),
    (10, "Positive", "SNOMED", "10828004"),
    (11, "SARS-CoV-2 RNA Presence", "LOINC", "94500-6"),
    (12, "Progress note", "LOINC", "11506-3"),
    (13, "White", "Race", "5"),
    (14, "Place of Service", "CMS Place of Service", "11"),
    (15, "Old code", "ICD9CM", "461.9"),
]


def tables():
    """Give name -> rows as dicts."""
    return {
        "CONCEPT": [
            {"concept_id": i, "concept_name": n, "vocabulary_id": v, "concept_code": c} for i, n, v, c in CONCEPT
        ],
        "CONCEPT_RELATIONSHIP": [
            {"concept_id_1": 15, "concept_id_2": 1, "relationship_id": "Maps to", "invalid_reason": ""},
            {"concept_id_1": 2, "concept_id_2": 1, "relationship_id": "Is a", "invalid_reason": ""},
        ],
        "CARE_SITE": [{"care_site_id": 1, "care_site_name": "North"}, {"care_site_id": 2, "care_site_name": ""}],
        "LOCATION": [{"location_id": 9, "state": "NJ"}],
        "PERSON": [
            person(1, 8507, 1980, 5, 17, care_site=1, race=13),
            person(2, 8532, 1990, "", "", location=9, race=777),
            person(3, 0, "", "", ""),
            person(4, 8532, 2000, 1, 1),
        ],
        "OBSERVATION_PERIOD": [
            {"observation_period_id": i, "person_id": p, "observation_period_start_date": "2010-01-01",
             "observation_period_end_date": "2019-12-31"} for i, p in ((1, 1), (2, 2), (3, 3))
        ],
        "VISIT_OCCURRENCE": [
            visit(10, 1, "2015-03-01 09:30:00", "2015-03-01 10:00:00"),
            visit(11, 4, "2015-03-01 00:00:00", "", care_site=2),
        ],
        "CONDITION_OCCURRENCE": [
            condition(1, 1, 2, "2015-03-01", "2015-03-01 09:45:00", source=5),
            condition(2, 1, 0, "2015-03-02", source=15),  # only the source concept is known
            condition(3, 1, 0, "2015-03-02", value="LOCAL-7"),  # nothing is known
            condition(4, 2, 0, "2015-03-02", value="patient Jane feels bad"),
            condition(5, 2, 999, "2015-03-02"),  # not in CONCEPT
            condition(6, 77, 1, "2015-03-02"),  # nobody
            condition(7, 1, 1, ""),  # no date
            condition(10, 2, 2, "2017-06-01", source="5.0"),
        ],
        "DRUG_EXPOSURE": [
            {"drug_exposure_id": 1, "person_id": 1, "drug_concept_id": 7,
             "drug_exposure_start_date": "2015-03-01", "drug_exposure_start_datetime": "2015-03-01T12:00:00"}
        ],
        "MEASUREMENT": [
            lab(1, 1, 3, "2015-03-01", 95, unit=4, low=70, high=140),
            lab(2, 1, 3, "2015-03-02", 300, unit=4),
            lab(3, 2, 3, "2015-03-02", 5.2, unit_text="mmol/L"),
            lab(4, 2, 11, "2015-03-02", "", value=10),
            lab(5, 2, 3, "2015-03-03", 500, unit=4, operator=4172704),
            lab(6, 2, 11, "2015-03-04", "", words="Not detected (qualifier value)"),
        ],
        "OBSERVATION": [
            {"observation_id": 1, "person_id": 1, "observation_concept_id": 8, "observation_date": "2015-03-01",
             "value_as_concept_id": 9, "value_as_string": ""},
            {"observation_id": 2, "person_id": 2, "observation_concept_id": 8, "observation_date": "2015-03-01",
             "value_as_concept_id": 0, "value_as_string": ""},
        ],
        "NOTE": [
            {"note_id": 1, "person_id": 1, "note_date": "2015-03-01", "note_datetime": "2015-03-01 11:00:00",
             "note_class_concept_id": 12, "note_text": "Cough,\nno fever."},
            {"note_id": 2, "person_id": 1, "note_date": "2015-03-01", "note_datetime": "",
             "note_class_concept_id": 0, "note_text": " "},
        ],
        "DEATH": [{"person_id": 2, "death_date": "2018-01-01", "death_datetime": "", "cause_concept_id": 1}],
    }  # fmt: skip


def person(identity, gender, year, month, day, care_site="", location="", race=0):
    return {"person_id": identity, "gender_concept_id": gender, "year_of_birth": year, "month_of_birth": month,
            "day_of_birth": day, "birth_datetime": "", "race_concept_id": race, "ethnicity_concept_id": 0,
            "location_id": location, "care_site_id": care_site}  # fmt: skip


def visit(identity, who, start, end, care_site=""):
    return {"visit_occurrence_id": identity, "person_id": who, "visit_concept_id": 6, "visit_start_date": start[:10],
            "visit_start_datetime": start, "visit_end_date": end[:10], "visit_end_datetime": end,
            "care_site_id": care_site}  # fmt: skip


def condition(identity, who, concept, date, moment="", source=0, value=""):
    return {"condition_occurrence_id": identity, "person_id": who, "condition_concept_id": concept,
            "condition_start_date": date, "condition_start_datetime": moment, "condition_source_value": value,
            "condition_source_concept_id": source}  # fmt: skip


def lab(
    identity, who, concept, date, number, unit=0, unit_text="", low="", high="", value=0, operator=0, words=""
):
    return {"measurement_id": identity, "person_id": who, "measurement_concept_id": concept,
            "measurement_date": date, "measurement_datetime": "", "value_as_number": number,
            "value_as_concept_id": value, "unit_concept_id": unit, "unit_source_value": unit_text,
            "range_low": low, "range_high": high, "operator_concept_id": operator,
            "value_source_value": words}  # fmt: skip


def write(folder: Path, content, suffix=".csv") -> Path:
    """Write the tables as files named after them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in content.items():
        with open(folder / f"{name}{suffix}", "w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return folder


def put(source, name, row, column, value):
    """Change a value of a table that was written."""
    file = source / f"{name}.csv"
    frame = pl.read_csv(file, infer_schema=False)
    changed = pl.when(pl.int_range(pl.len()) == row - 2).then(pl.lit(value)).otherwise(pl.col(column))
    frame.with_columns(changed.alias(column)).write_csv(file)
