import gzip
import json
import re
import shutil
from datetime import datetime

import meds
import omop_source
import polars as pl
import pyarrow.parquet as pq
import pytest
from omop_source import put

from mhdiff.cli import main
from mhdiff.cohort import Cohort, omop
from mhdiff.cohort.omop import import_omop
from mhdiff.cohort.refused import MaxBad
from ontology.errors import InputError

EVENING = 23, 59, 59, 999_999


@pytest.fixture
def content():
    return omop_source.tables()


@pytest.fixture
def source(tmp_path, content):
    return omop_source.write(tmp_path / "cdm", content)


@pytest.fixture
def imported(tmp_path, source):
    report = import_omop(source, tmp_path / "cohort")
    return Cohort.open(tmp_path / "cohort"), report


def coded(cohort, subject, optional=False):
    events = cohort.scan(optional=optional).filter(pl.col("subject_id") == subject).collect()
    return events.filter(pl.col("time").is_not_null())


def test_every_row_is_an_event_or_dropped_for_a_reason(imported):
    cohort, report = imported
    dropped = {reason: (n["count"], n["first_lines"]) for reason, n in report.dropped.to_dict().items()}
    unknown = "no concept: concept_id and source concept_id are 0 or empty"
    assert dropped == {
        f"condition: {unknown}": (2, [4, 5]),
        "condition: the person is not in PERSON": (1, [7]),
        "condition: no date": (1, [8]),
        "note: no text": (1, [3]),
    }
    assert report.named == {
        "conditions without a concept, by source value": {
            "(rare or no codes, not shown)": 1,
            "(words, not shown)": 1,
        },
        "conditions whose concept is not in CONCEPT": {"OMOP/999": 1},
        "persons whose race or ethnicity is not in CONCEPT": {"OMOP/777": 1},
    }
    said = report.text() + json.dumps(report.to_dict())
    assert "Jane" not in said
    assert "LOCAL-7" not in said  # it stands in one row, and could be a record's number
    assert report.read["condition rows"] == 8
    conditions = cohort.events.filter(
        pl.col("code").str.contains("^(SNOMED/(444814009|36971009)|ICD9CM|OMOP/999)")
    )
    assert conditions.height == 8 - 4 + 1  # and the cause of the death


def test_a_source_value_of_few_rows_is_not_named(tmp_path, content):
    row = next(r for r in content["CONDITION_OCCURRENCE"] if r["condition_source_value"] == "LOCAL-7")
    for n, value in enumerate(["LOCAL-7"] * 4 + ["Haversham"] * 4 + ["MRN8812345"]):
        new = {"condition_occurrence_id": 500 + n, "condition_source_value": value}
        content["CONDITION_OCCURRENCE"].append(row | new)
    report = import_omop(omop_source.write(tmp_path / "cdm", content), tmp_path / "cohort")
    assert report.named["conditions without a concept, by source value"] == {
        "LOCAL-7": 5, "(rare or no codes, not shown)": 5, "(words, not shown)": 1,
    }  # fmt: skip


def test_codes_units_and_times(imported):
    cohort, _ = imported
    first = [(time, code) for time, code in coded(cohort, 1).select("time", "code").iter_rows()]
    assert first == [
        (datetime(1980, 5, 17), "MEDS_BIRTH"),
        (datetime(2010, 1, 1), "OBSERVATION_PERIOD//START"),
        (datetime(2015, 3, 1, 9, 30), "Visit/OP"),
        (datetime(2015, 3, 1, 9, 45), "SNOMED/444814009"),
        (datetime(2015, 3, 1, 10), "VISIT//END"),
        (datetime(2015, 3, 1, 11), "NOTE//LOINC:11506-3"),
        (datetime(2015, 3, 1, 12), "RxNorm/243670"),
        (datetime(2015, 3, 1, *EVENING), "LOINC/2339-0//mg/dL"),
        (datetime(2015, 3, 1, *EVENING), "OBSERVATION//NOT_AFFIRMED//SNOMED:160303001"),
        (datetime(2015, 3, 2, *EVENING), "ICD9CM/461.9"),
        (datetime(2015, 3, 2, *EVENING), "LOINC/2339-0//mg/dL"),
        (datetime(2019, 12, 31, *EVENING), "OBSERVATION_PERIOD//END"),
    ]
    codes = {row["code"]: row for row in cohort.codes.to_dicts()}
    assert codes["LOINC/2339-0//mg/dL"]["parent_codes"] == ["LOINC/2339-0"]
    assert codes["LOINC/2339-0//mg/dL"]["unit"] == "mg/dL"
    assert codes["LOINC/2339-0//mmol/L"]["description"] == "Glucose [Mass/volume] in Blood, mmol/L"
    assert codes["ICD10CM/J01.90"]["parent_codes"] == ["SNOMED/444814009"]  # by the rows
    assert codes["ICD9CM/461.9"]["parent_codes"] == ["SNOMED/36971009"]  # by "Maps to"
    assert codes["OMOP/999"]["description"] == "concept 999, not in CONCEPT"
    assert codes["NOTE//LOINC:11506-3"]["description"] == "Progress note"
    rows = coded(cohort, 1, optional=True).filter(pl.col("code") == "SNOMED/444814009")
    assert rows["source_code"].to_list() == ["ICD10CM/J01.90"]
    answers = (
        coded(cohort, 2)
        .filter(pl.col("code").str.starts_with("LOINC/94500"))
        .select("numeric_value", "text_value")
    )
    assert answers.rows() == [(None, "Positive"), (None, "Not detected")]
    static = cohort.events.filter(pl.col("time").is_null()).select("subject_id", "code").rows()
    assert static == [
        (1, "GENDER//M"), (1, "SITE//North"), (1, "Race/5"), (2, "GENDER//F"), (2, "SITE//NJ"), (2, "OMOP/777"),
        (3, "SITE//unknown"), (4, "GENDER//F"), (4, "SITE//care_site 2"),
    ]  # fmt: skip


def test_the_cohort_is_what_the_published_schema_says(imported):
    cohort, _ = imported
    for name, schema in (
        ("data/0.parquet", meds.DataSchema),
        (meds.code_metadata_filepath, meds.CodeMetadataSchema),
        (meds.subject_splits_filepath, meds.SubjectSplitSchema),
    ):
        schema.validate(schema.align(pq.read_table(cohort.path / name)))
    meds.DatasetMetadataSchema.validate(
        json.loads((cohort.path / meds.dataset_metadata_filepath).read_text())
    )
    assert cohort.validate() == []
    assert not (cohort.path / ".work").exists()


def test_a_value_has_its_own_range_or_the_users(tmp_path, source):
    table = tmp_path / "ranges.csv"
    table.write_text(
        "code,unit,low,high,sex,from_age,to_age\nLOINC/2339-0,mg/dL,60,200,,18,\nLOINC/2339-0,mmol/L,4,7,M,,\n"
    )
    report = import_omop(source, tmp_path / "cohort", ranges=table)
    cohort = Cohort.open(tmp_path / "cohort")
    rows = cohort.scan(optional=True).filter(pl.col("code").str.starts_with("LOINC/2339")).collect()
    assert rows.select("subject_id", "numeric_value", "ref_low", "ref_high").rows() == [
        (1, 95, 70, 140),  # its laboratory's
        (1, 300, 60, 200),
        (2, pytest.approx(5.2), None, None),  # a man's
        (2, 500, 60, 200),
    ]
    assert report.read["values with a reference range"] == 3
    assert report.read["values without one"] == 1


BAD_RANGES = {
    "LOINC/2339-0,mg/dL,x,1,,,\n": r"line 2, column 'low': the value is no number",
    "LOINC/2339-0,mg/dL,,,,,\n": r"line 2, column 'low': there is neither low nor high",
    "LOINC/2339-0,mg/dL,9,1,,,\n": r"line 2, column 'low': low is above high",
    "LOINC/2339-0,mg/dL,1,9,female,,\n": r"line 2, column 'sex'",
    ",mg/dL,1,9,,,\n": r"line 2, column 'code'",
    "LOINC/2339-0,mg/dL,1,9,F,18,\nLOINC/2339-0,mg/dL,2,8,,,20\n": r"line 3, column 'code': the row and line 2",
}


@pytest.mark.parametrize("rows", BAD_RANGES)
def test_bad_ranges_are_refused(tmp_path, source, rows):
    table = tmp_path / "ranges.csv"
    table.write_text("code,unit,low,high,sex,from_age,to_age\n" + rows)
    with pytest.raises(InputError, match=BAD_RANGES[rows]):
        import_omop(source, tmp_path / "cohort", ranges=table)
    assert not (tmp_path / "cohort").exists()


def test_parquet_gzip_parts_and_a_vocabulary_folder_give_the_same(tmp_path, source, imported):
    other = tmp_path / "other" / "cdm"
    (other / "measurement").mkdir(parents=True)
    (tmp_path / "other" / "Vocabulary").mkdir()
    for file in source.iterdir():
        name = file.stem.lower()
        if name.startswith("concept"):  # as Athena writes them: tabs, no quotes
            rows = [line.replace(",", "\t") for line in file.read_text().splitlines()]
            rows = [
                row.replace('"', "").replace("sinusitis\t unspecified", "sinusitis, unspecified")
                for row in rows
            ]
            (tmp_path / "other" / "Vocabulary" / f"{file.name}").write_text("\n".join(rows) + "\n")
        elif name == "measurement":
            frame = pl.read_csv(file, try_parse_dates=True)
            frame.head(2).write_parquet(other / "measurement" / "part-0.parquet")
            frame.tail(-2).write_parquet(other / "measurement" / "part-1.parquet")
        elif name == "person":
            pl.read_csv(file).write_parquet(other / "Person.parquet")
        else:
            with gzip.open(other / f"{name}.csv.gz", "wb") as stream:
                stream.write(file.read_bytes())
    import_omop(other, tmp_path / "again")
    assert Cohort.open(tmp_path / "again").fingerprint == imported[0].fingerprint


def test_shards_hold_whole_persons_and_the_same_events(tmp_path, source, imported, monkeypatch):
    monkeypatch.setattr(omop, "ROWS_A_SHARD", 7)
    import_omop(source, tmp_path / "cut")
    cut = Cohort.open(tmp_path / "cut")
    shards = [set(pl.read_parquet(f)["subject_id"]) for f in sorted((cut.path / "data").glob("*.parquet"))]
    assert len(shards) > 1
    assert sum(map(len, shards)) == len(set().union(*shards)) == 4
    order = ["subject_id", "time", "code", "numeric_value", "text_value"]
    assert cut.events.sort(order, nulls_last=False).equals(imported[0].events.sort(order, nulls_last=False))


def test_persons_of_a_shard_may_have_no_rows(tmp_path, content, monkeypatch):
    monkeypatch.setattr(omop, "ROWS_A_SHARD", 1)
    few = {name: content[name] for name in ("CONCEPT", "PERSON")}
    few["CONDITION_OCCURRENCE"] = content["CONDITION_OCCURRENCE"][:2]  # of one person
    import_omop(omop_source.write(tmp_path / "few", few), tmp_path / "out")
    cohort = Cohort.open(tmp_path / "out")
    assert cohort.validate() == []
    files = sorted((cohort.path / "data").glob("*.parquet"))
    assert len(files) == 2
    assert sorted(pl.concat([pl.read_parquet(file) for file in files])["subject_id"].unique()) == [1, 2, 3, 4]


def test_two_ids_of_one_person_share_a_split(tmp_path, content):
    content["PERSON"] += [omop_source.person(i, 8507, 1970 + i % 7, 2, 3) for i in range(20, 40)]
    content["PERSON"] += [omop_source.person(i, 8532, 1950, 2, 3) for i in (50, 51, 52)]
    days = [f"2014-01-{day:02}" for day in range(1, 8)]
    content["CONDITION_OCCURRENCE"] += [
        omop_source.condition(1000 * who + i, who, 2, day) for who in (50, 51) for i, day in enumerate(days)
    ]
    content["CONDITION_OCCURRENCE"].append(omop_source.condition(52000, 52, 2, days[0]))
    import_omop(omop_source.write(tmp_path / "cdm", content), tmp_path / "cohort")
    cohort = Cohort.open(tmp_path / "cohort")
    group = dict(cohort.groups.select("subject_id", "group").iter_rows())
    assert group[50] == group[51] == 50
    assert group[52] == 52  # one event in common is no proof
    assert len(set(group.values())) == len(group) - 1
    splits = dict(cohort.splits.iter_rows())
    assert splits[50] == splits[51]


def drop_column(source, name, column):
    frame = pl.read_csv(source / f"{name}.csv", infer_schema=False).drop(column)
    frame.write_csv(source / f"{name}.csv")


def cut_gzip(source, name):
    packed = gzip.compress((source / f"{name}.csv").read_bytes() * 50)
    (source / f"{name}.csv").unlink()
    (source / f"{name}.csv.gz").write_bytes(packed[: len(packed) - 12])


BAD = {
    "no folder": (lambda s: shutil.rmtree(s), r"there is no such folder"),
    "no person": (lambda s: (s / "PERSON.csv").unlink(), r"there is no table 'person'"),
    "no concept": (lambda s: (s / "CONCEPT.csv").unlink(), r"there is no table 'concept'.*vocabulary"),
    "no column": (
        lambda s: drop_column(s, "CONDITION_OCCURRENCE", "condition_start_date"),
        r"CONDITION_OCCURRENCE.csv, line 1, column 'condition_start_date': the table lacks the column",
    ),
    "person": (
        lambda s: put(s, "MEASUREMENT", 3, "person_id", "P-1"),
        r"MEASUREMENT.csv, line 3, column 'person_id': the value is no number",
    ),
    "date": (
        lambda s: put(s, "MEASUREMENT", 4, "measurement_date", "01/02/2015"),
        r"MEASUREMENT.csv, line 4, column 'measurement_date': the value is no date",
    ),
    "zone": (
        lambda s: put(s, "DRUG_EXPOSURE", 2, "drug_exposure_start_datetime", "2015-03-01T12:00:00+02:00"),
        r"DRUG_EXPOSURE.csv, line 2, column 'drug_exposure_start_datetime'.*without a zone",
    ),
    "value": (
        lambda s: put(s, "MEASUREMENT", 2, "value_as_number", "95 mg"),
        r"MEASUREMENT.csv, line 2, column 'value_as_number': the value is no number",
    ),
    "twice": (lambda s: put(s, "PERSON", 3, "person_id", "1"), r"PERSON.csv, line 3, column 'person_id'.*twice"),
    "birthday": (lambda s: put(s, "PERSON", 2, "day_of_birth", "31") or put(s, "PERSON", 2, "month_of_birth", "2"),
                 r"PERSON.csv, line 2, column 'day_of_birth': the birthday is no day"),
    "two files": (lambda s: shutil.copy(s / "PERSON.csv", s / "person.csv"), r"'person' is there twice"),
    "encoding": (
        lambda s: (s / "NOTE.csv").write_bytes(b"note_id,person_id\n1,\xff\xfe\n"),
        r"NOTE.csv",
    ),
    "too wide": (
        lambda s: (s / "DEATH.csv").write_text("person_id,death_date,cause_concept_id\n2,2018-01-01,1,5,6\n"),
        r"DEATH.csv, line 2: the line has more values than the header",
    ),
    "cut": (lambda s: cut_gzip(s, "MEASUREMENT"), r"MEASUREMENT.csv.gz: the file is not readable"),
    "no gzip": (
        lambda s: (s / "DEATH.csv").rename(s / "DEATH.csv.gz"),
        r"DEATH.csv.gz: the file is not readable",
    ),
    "no parquet": (
        lambda s: (s / "DEATH.csv").rename(s / "DEATH.parquet"),
        r"DEATH.parquet: the file is not readable",
    ),
    "concept too wide": (
        lambda s: (s / "CONCEPT.csv").write_text("concept_id,concept_name,vocabulary_id,concept_code\n1,a,b,c,d\n"),
        r"CONCEPT.csv, line 2: the line has more values",
    ),
    "empty": (lambda s: (s / "DEATH.csv").write_text(""), r"DEATH.csv, line 1: the file has no header"),
    "concept twice": (
        lambda s: put(s, "CONCEPT", 3, "concept_id", "1"), r"CONCEPT.csv: concept_id 1 is there twice"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_sources_are_refused_and_leave_nothing(tmp_path, source, case, capsys):
    spoil, message = BAD[case]
    spoil(source)
    out = tmp_path / "cohort"
    assert main(["cohort", "import", "omop", str(source), "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert re.search(message, error), error
    assert "Traceback" not in error
    assert [p.name for p in tmp_path.iterdir() if p.name not in ("cdm",)] == []


def test_broken_rows_are_left_out_where_that_is_borne(tmp_path, source):
    put(source, "MEASUREMENT", 4, "measurement_date", "01/02/2015")
    put(source, "PERSON", 3, "person_id", "1")
    before = pl.read_csv(source / "MEASUREMENT.csv", infer_schema=False).height
    report = import_omop(source, tmp_path / "cohort", max_bad=MaxBad(2))
    assert report.refused.places == {
        "the person is there twice": [("PERSON.csv", 3, "person_id")],
        "the value is no date or time without a zone": [("MEASUREMENT.csv", 4, "measurement_date")],
    }
    assert report.read["measurement rows"] == before - 1
    assert Cohort.open(tmp_path / "cohort").validate() == []


def test_an_option_of_another_adapter_is_refused(tmp_path, capsys):
    out = str(tmp_path / "c")
    assert main(["cohort", "import", "covid-chestxray", "x", "--out", out, "--ranges", "y"]) == 2
    assert "'covid-chestxray' has no --ranges. These have: eicu, omop" in capsys.readouterr().err
