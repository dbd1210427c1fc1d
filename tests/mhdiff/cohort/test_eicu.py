import csv
import gzip
import json
import re
from collections import Counter
from datetime import datetime, timedelta

import meds as published
import polars as pl
import pyarrow.parquet as pq
import pytest

from graph_builders.units import is_ucum
from mhdiff.cli import main
from mhdiff.cohort import Cohort, Task
from mhdiff.cohort.eicu import import_eicu, importing
from mhdiff.cohort.eicu.labs import LABS
from mhdiff.cohort.eicu.stays import LABEL
from mhdiff.cohort.eicu.tables import TABLES
from mhdiff.cohort.eicu.units import WRITTEN
from mhdiff.cohort.refused import MaxBad

PATIENT = (
    *(
        "patientunitstayid",
        "patienthealthsystemstayid",
        "uniquepid",
        "gender",
        "age",
        "hospitalid",
        "unittype",
    ),
    *("hospitaladmittime24", "hospitaladmitoffset", "hospitaldischargeyear", "hospitaldischargeoffset"),
    *("hospitaldischargestatus", "hospitaldischargelocation", "unitdischargeoffset", "unitdischargelocation"),
)
STAY = {"patientunitstayid": "11", "patienthealthsystemstayid": "1", "uniquepid": "002-1", "gender": "Female",
        "age": "40", "hospitalid": "5", "unittype": "MICU", "hospitaladmittime24": "22:30:00",
        "hospitaladmitoffset": "-90", "hospitaldischargeyear": "2015", "hospitaldischargeoffset": "4000",
        "hospitaldischargestatus": "Alive", "unitdischargeoffset": "2000"}  # fmt: skip
UNIT = datetime(2015, 1, 2)  # 22:30 and 90 minutes


@pytest.fixture(scope="module")
def real(shared, tmp_path_factory):
    out = tmp_path_factory.mktemp("eicu") / "cohort"
    report = import_eicu(shared / "data/eicu", out)
    return Cohort.open(out), report


def rows_of(shared, name):
    with open(shared / f"data/eicu/{name}.csv", newline="", encoding="utf-8") as stream:
        return [row for row in csv.DictReader(stream) if row["patientunitstayid"]]


@pytest.fixture
def write(tmp_path):
    """Write eICU's tables from partial rows; what is not given is empty."""

    def make(stays, **tables):
        source = tmp_path / "source"
        source.mkdir()
        heads = {table.name: table.needed for table in TABLES}
        for name, rows in {"patient": stays, **tables}.items():
            head = PATIENT if name == "patient" else heads[name]
            with open(source / f"{name}.csv", "w", newline="", encoding="utf-8") as stream:
                table = csv.DictWriter(stream, head)
                table.writeheader()
                for number, row in enumerate(rows):
                    base = {} if name == "patient" else {head[0]: str(number), "patientunitstayid": "11"}
                    table.writerow({**dict.fromkeys(head, ""), **base, **row})
        return source

    return make


def lab(name, value, unit, offset="60", **more):
    return {
        "labname": name,
        "labresult": value,
        "labmeasurenameinterface": unit,
        "labresultoffset": offset,
        **more,
    }


def test_real_stays_and_labels_agree_with_an_independent_count(real, shared):
    cohort, report = real
    stays = rows_of(shared, "patient")
    hospital = {row["patienthealthsystemstayid"] for row in stays}
    patients = {row["uniquepid"] for row in stays}
    assert (len(stays), len(hospital), len(patients)) == (174, 144, 100)
    assert report.read["stays in units"] == 174
    assert report.read["hospital stays"] == len(cohort.splits) == 144
    assert report.read["patients"] == cohort.groups["group"].n_unique() == 100
    wanted = Counter()
    for stay in hospital:
        first = min(
            (row for row in stays if row["patienthealthsystemstayid"] == stay),
            key=lambda row: -int(row["hospitaladmitoffset"]),
        )
        if int(first["hospitaldischargeoffset"]) > 24 * 60 and first["hospitaldischargestatus"]:
            wanted[first["hospitaldischargestatus"]] += 1
    assert wanted == {"Alive": 121, "Expired": 4}
    assert report.labels[LABEL] == {
        "died": {"samples": 4, "patients": 4},
        "survived": {"samples": 121, "patients": 121},
    }
    codes = Counter(cohort.events["code"])
    died = {row["patienthealthsystemstayid"] for row in stays if row["hospitaldischargestatus"] == "Expired"}
    assert codes["MEDS_DEATH"] == len(died) == 6
    assert sum(n for code, n in codes.items() if code.startswith("ICU_ADMISSION//")) == 174
    sexes = {row["patienthealthsystemstayid"]: row["gender"] for row in stays}
    assert codes["GENDER//F"] == Counter(sexes.values())["Female"]
    assert len(report.sites) == len({row["hospitalid"] for row in stays})
    assert cohort.validate() == []
    assert json.loads((cohort.path / "metadata/import_report.json").read_text()) == report.to_dict()


def test_real_clocks_agree(real, shared):
    own = real[0].events.filter(pl.col("code").str.starts_with("ICU_ADMISSION"))
    found = Counter(
        (row[0], row[1].strftime("%H:%M")) for row in own.select("subject_id", "time").iter_rows()
    )
    stays = rows_of(shared, "patient")
    assert found == Counter((int(r["patienthealthsystemstayid"]), r["unitadmittime24"][:5]) for r in stays)


def test_real_labs_agree_with_an_independent_count(real, shared):
    cohort, report = real
    raw = rows_of(shared, "lab")
    assert report.read["lab rows"] == len(raw) == 29_961
    numbers = [row for row in raw if re.match(r"^[<>]?=?\s*-?\d", row["labresult"] or row["labresulttext"])]
    events = cohort.events.filter(pl.col("code").str.contains("^(LOINC|EICU_LAB)/"))
    stay = {row["patientunitstayid"]: row for row in rows_of(shared, "patient")}
    spelled = {written: unit for unit, ways in WRITTEN.items() for written in ways}
    wanted, refused = set(), Counter()
    for row in numbers:
        stated = row["labmeasurenameinterface"] or row["labmeasurenamesystem"]
        unit = spelled.get(re.sub(r"\s", "", stated).lower().removesuffix("."))
        known = LABS.get(row["labname"])
        if known is None:
            continue
        if stated and unit != known.unit and unit not in known.others:
            refused["unit"] += 1
            continue
        factor = known.others.get(unit, 1.0)
        value = float(row["labresult"] or row["labresulttext"].strip(" <>=")) * factor
        if row["labname"] == "Temperature" and 86 <= value <= 113:
            value = (value - 32) / 1.8
        if row["labname"] == "FiO2" and 0.2 <= value <= 1:
            value *= 100
        if (
            row["labname"] in ("pH", "FiO2", "Temperature")
            and not known.possible[0] <= value <= known.possible[1]
        ):
            refused["possible"] += 1
            continue
        own = stay[row["patientunitstayid"]]
        clock = datetime.strptime(
            f"{own['hospitaldischargeyear']} {own['hospitaladmittime24']}", "%Y %H:%M:%S"
        )
        minutes = int(row["labresultoffset"]) - int(own["hospitaladmitoffset"])
        code = f"LOINC/{known.loinc}//{known.unit}"
        key = (int(own["patienthealthsystemstayid"]), clock + timedelta(minutes=minutes), code)
        wanted.add((*key, float(pl.Series([value], dtype=pl.Float32)[0])))
    counts = report.refused.counts
    assert counts["the unit is not known for this laboratory value"] >= refused["unit"] > 0
    assert counts["the value is not possible"] == refused["possible"]
    mapped = events.filter(pl.col("code").str.starts_with("LOINC/"))
    assert set(mapped.select("subject_id", "time", "code", "numeric_value").iter_rows()) == wanted
    assert sum(counts.values()) < 0.01 * len(raw)
    unknown = Counter(row["labname"] for row in raw if row["labname"] not in LABS)
    named = report.named["laboratory names without a LOINC code"]
    assert named["PEEP"] == unknown["PEEP"] == 81
    assert set(named) - {"(rare or no codes, not shown)"} <= set(unknown)


def test_real_codes_agree_with_an_independent_count(real, shared):
    cohort, report = real
    stay = {row["patientunitstayid"]: row["patienthealthsystemstayid"] for row in rows_of(shared, "patient")}

    def wanted(name, code):
        return Counter(code(row) for row in rows_of(shared, name))

    def found(prefix):
        return cohort.events.filter(pl.col("code").str.starts_with(prefix))

    diagnoses = rows_of(shared, "diagnosis")
    icd = {
        (stay[row["patientunitstayid"]], row["diagnosisoffset"], row["patientunitstayid"], code.strip())
        for row in diagnoses
        for code in row["icd9code"].split(",")
        if code.strip()
    }
    own = pl.concat([found("ICD9CM/"), found("ICD10CM/")])
    assert len(own) == len(icd)
    assert set(own["code"].str.replace("^[^/]*/", "")) == {code for *_, code in icd}
    assert report.read["diagnosis rows"] == len(diagnoses) == 1518
    assert found("ICD10CM/E23.0")["subject_id"].to_list() == [int(stay["257802"])]
    drugs = rows_of(shared, "medication")
    cancelled = sum(row["drugordercancelled"] == "Yes" for row in drugs)
    nameless = sum(
        row["drugordercancelled"] != "Yes" and not row["drughiclseqno"] and not row["drugname"]
        for row in drugs
    )
    assert report.dropped.counts["medication: the order was cancelled"] == cancelled == 182
    assert report.dropped.counts["medication: neither a number nor a name"] == nameless
    treatments = {
        (row["patientunitstayid"], row["treatmentoffset"], row["treatmentstring"])
        for row in rows_of(shared, "treatment")
    }
    assert len(found("EICU_TREATMENT//")) == len(treatments)
    assert len(found("EICU_ADMISSION_DX//")) == len(rows_of(shared, "admissionDx")) == 522


def test_nothing_of_after_24_hours_is_seen(real):
    cohort, _ = real
    task = Task.load("eicu_mortality")
    window = task.window(cohort).events
    samples = task.samples(cohort)
    seen = window.join(samples.select("sample_id", "prediction_time"), on="sample_id")
    assert (seen["time"] <= seen["prediction_time"]).all()
    assert not seen["code"].str.contains("^(MEDS_DEATH|HOSPITAL_|ICU_DISCHARGE)").any()
    units = cohort.events.filter(pl.col("code").str.starts_with("ICU_ADMISSION"))
    first = units.group_by("subject_id").agg(pl.col("time").min())
    asked = samples.join(first, on="subject_id")
    assert ((asked["prediction_time"] - asked["time"]) == timedelta(hours=24)).all()


def test_real_folder_satisfies_the_published_schema(real):
    folder = real[0].path
    for name, schema in {
        "data/0.parquet": published.DataSchema,
        published.code_metadata_filepath: published.CodeMetadataSchema,
        published.subject_splits_filepath: published.SubjectSplitSchema,
        f"labels/{LABEL}.parquet": published.LabelSchema,
    }.items():
        schema.validate(schema.align(pq.read_table(folder / name)))
    published.DatasetMetadataSchema.validate(
        json.loads((folder / published.dataset_metadata_filepath).read_text())
    )


def test_stays_of_one_patient_share_a_split(real, shared):
    cohort, _ = real
    patient = {int(r["patienthealthsystemstayid"]): r["uniquepid"] for r in rows_of(shared, "patient")}
    splits = {}
    for subject, split in cohort.splits.iter_rows():
        assert splits.setdefault(patient[subject], split) == split


def test_shards_and_gzip_give_the_same(real, shared, tmp_path, monkeypatch):
    source = tmp_path / "source"
    source.mkdir()
    for table in ("patient", "lab", "diagnosis", "medication", "treatment", "admissionDx"):
        packed = gzip.compress((shared / f"data/eicu/{table}.csv").read_bytes(), 1)
        (source / f"{table}.csv.gz").write_bytes(packed)
    monkeypatch.setattr(importing, "ROWS_A_SHARD", 5_000)
    import_eicu(source, tmp_path / "out")
    cohort = Cohort.open(tmp_path / "out")
    assert len(list((tmp_path / "out/data").iterdir())) > 5
    order = ["subject_id", "time", "code", "numeric_value"]
    assert cohort.events.sort(order).equals(real[0].events.sort(order))


def test_every_unit_is_ucum_and_every_spelling_has_one_meaning():
    units = {unit for one in LABS.values() for unit in (one.unit, *one.others)}
    assert all(is_ucum(unit) for unit in {*units, *WRITTEN})
    assert units <= set(WRITTEN)
    written = [way for ways in WRITTEN.values() for way in ways]
    assert len(written) == len(set(written))
    assert all(re.fullmatch(r"\d+-\d", one.loinc) for one in LABS.values())
    assert len({one.loinc for one in LABS.values()}) == len(LABS)


def test_times_units_and_codes(write, tmp_path):
    labs = [lab("ionized calcium", "1.1", "mmol/L"), lab("ionized calcium", "4.4", "MG/DL", "61"),
            lab("troponin - I", "", "ng/mL", labresulttext="<0.02"),
            lab("Temperature", "98.6", "", labmeasurenamesystem="&#176;C"),
            lab("FiO2", "0.5", "%"), lab("SECRET name", "7", "SECRET"), lab("pH", "7.4", "")]  # fmt: skip
    drugs = [{"drughiclseqno": "2812.0", "drugname": "WARFARIN", "drugstartoffset": "-60", "drugorderoffset": "30"},
             {"drugname": "dextrose  50% / water", "drugstartoffset": "90", "drugorderoffset": "30"},
             {"drugname": "SECRET", "drugordercancelled": "Yes", "drugstartoffset": "1",
              "drugorderoffset": "1"}]  # fmt: skip
    diagnoses = [
        {"icd9code": code, "diagnosisoffset": str(i)}
        for i, code in enumerate(["V45.1, Z99.2", "V45.1", "E23.0"])
    ]
    diagnoses.append({"diagnosisstring": "a|b/c", "diagnosisoffset": "7"})
    source = write([STAY], lab=labs, medication=drugs, diagnosis=diagnoses)
    report = import_eicu(source, tmp_path / "out")
    cohort = Cohort.open(tmp_path / "out")
    rows = {row[2]: row for row in cohort.events.iter_rows()}
    hour = timedelta(hours=1)
    assert rows["HOSPITAL_ADMISSION"][1] == datetime(2015, 1, 1, 22, 30)
    assert rows["ICU_ADMISSION//MICU"][1] == UNIT
    assert rows["LOINC/1994-3//mmol/L"][1:4] == (
        UNIT + hour + timedelta(minutes=1),
        "LOINC/1994-3//mmol/L",
        pytest.approx(1.0978),
    )
    assert rows["LOINC/10839-9//ng/mL"][3] == pytest.approx(0.02)
    assert rows["LOINC/8310-5//Cel"][3] == pytest.approx(37.0)
    assert rows["LOINC/3150-6//%"][3] == 50.0
    assert rows["EICU_LAB/SECRET_name"][3] == 7.0
    assert rows["HICL/2812"][1] == UNIT + hour / 2
    assert rows["EICU_DRUG//DEXTROSE 50% or WATER"][1] == UNIT + hour * 1.5
    assert rows["MEDS_BIRTH"][1] == datetime(2015, 1, 1) - timedelta(days=round(40.5 * 365.25))
    assert {code for code in rows if code.startswith(("ICD", "EICU_DIAG"))} == {
        "ICD9CM/V45.1", "ICD10CM/Z99.2", "EICU_DIAGNOSIS//a|b or c", "ICD10CM/E23.0",
    }  # fmt: skip
    codes = {row["code"]: row for row in cohort.codes.iter_rows(named=True)}
    assert codes["LOINC/1994-3//mmol/L"]["parent_codes"] == ["LOINC/1994-3"]
    assert codes["HICL/2812"]["description"] == "WARFARIN"
    assert "SECRET" not in report.text() + json.dumps(report.to_dict())
    assert cohort.validate() == []


def other(**fields):
    return [STAY, {**STAY, "patientunitstayid": "12", **fields}]


BUN = lab("BUN", "3", "mg/dL")
BAD = {
    "the stay is there twice": ([STAY, STAY], {}, ("patient.csv", 3, "patientunitstayid")),
    "the time of day is none": (other(hospitaladmittime24="SECRET"), {}, ("patient.csv", 3, "hospitaladmittime24")),
    "the age is none": (other(age="SECRET"), {}, ("patient.csv", 3, "age")),
    "the stay is not in the table patient": (
        [STAY], {"lab": [{**BUN, "patientunitstayid": "9"}]}, ("lab.csv", 2, "patientunitstayid")),
    "the offset is no number of minutes": (
        [STAY], {"treatment": [{"treatmentstring": "a", "treatmentoffset": "SECRET"}]},
        ("treatment.csv", 2, "treatmentoffset")),
    "the offset is more than ten years": (
        [STAY], {"lab": [{**BUN, "labresultoffset": "99999999"}]}, ("lab.csv", 2, "labresultoffset")),
    "the time is before the birth": (
        [{**STAY, "age": "0"}], {"lab": [{**BUN, "labresultoffset": "-600000"}]}, ("lab.csv", 2, "labresultoffset")),
    "the value is no number": ([STAY], {"lab": [{**BUN, "labresult": "SECRET"}]}, ("lab.csv", 2, "labresult")),
    "the unit is not known for this laboratory value": (
        [STAY], {"lab": [lab("BUN", "3", "SECRET")]}, ("lab.csv", 2, "labmeasurenameinterface")),
    "the value is not possible": ([STAY], {"lab": [lab("pH", "74", "units")]}, ("lab.csv", 2, "labresult")),
    "the code is neither ICD-9-CM nor ICD-10-CM": (
        [STAY], {"diagnosis": [{"icd9code": "SECRET", "diagnosisoffset": "1"}]}, ("diagnosis.csv", 2, "icd9code")),
    "the key is there twice": (
        [STAY], {"lab": [{**BUN, "labid": "4"}, {**BUN, "labid": "4"}]}, ("lab.csv", 3, "labid")),
}  # fmt: skip


@pytest.mark.parametrize("reason", BAD)
def test_what_is_broken_is_refused_with_its_line(write, tmp_path, reason, capsys):
    stays, tables, (file, line, column) = BAD[reason]
    source = write(stays, **{"lab": [BUN], **tables})
    command = ["cohort", "import", "eicu", str(source), "--out", str(tmp_path / "out")]
    assert main(command) == 2
    said = "".join(capsys.readouterr())
    assert f"{file}, line {line}, column '{column}': {reason}" in said
    assert [p.name for p in tmp_path.iterdir()] == ["source"]
    report = import_eicu(source, tmp_path / "out", max_bad=MaxBad(1))
    assert report.refused.places == {reason: [(file, line, column)]}
    assert "SECRET" not in said + report.text()
    assert Cohort.open(tmp_path / "out").validate() == []


def test_wrong_folders_are_named(write, tmp_path, capsys):
    source = write([STAY])
    command = ["cohort", "import", "eicu", str(source), "--out", str(tmp_path / "out")]
    assert main(command) == 2
    assert "there is no table of events" in capsys.readouterr().err
    (source / "lab.csv").write_text("labid\n")
    assert main(command) == 2
    assert (
        "lab.csv, line 1, column 'patientunitstayid': the table lacks the column" in capsys.readouterr().err
    )
    (source / "patient.csv").unlink()
    assert main(command) == 2
    assert "there is no table 'patient'" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["source"]


def test_ranges_of_the_user_are_taken(write, tmp_path):
    source = write([STAY], lab=[lab("BUN", "30", "mg/dL")])
    table = tmp_path / "ranges.csv"
    table.write_text("code,unit,low,high,sex,from_age,to_age\nLOINC/3094-0,mg/dL,7,20,F,18,\n")
    import_eicu(source, tmp_path / "out", ranges=table)
    own = (
        Cohort.open(tmp_path / "out")
        .scan(optional=True)
        .filter(pl.col("code").str.starts_with("LOINC"))
        .collect()
    )
    assert own.select("ref_low", "ref_high").rows() == [(7.0, 20.0)]


def test_the_real_cohort_goes_the_whole_way(shared, tmp_path, whole_way, capsys):
    out = tmp_path / "eicu"
    assert main(["cohort", "import", "eicu", str(shared / "data/eicu"), "--out", str(out)]) == 0
    ontology = str(tmp_path / "ontology")
    assert main(["ontology", "build", str(shared / "data/rf2/disease-ontology"), "--out", ontology]) == 0
    metrics = whole_way(out, "eicu_mortality", ["codes", "labs"], ontology=ontology)
    assert metrics["n_samples"] == metrics["n_subjects"]  # one prediction per hospital stay
    capsys.readouterr()
    assert main(["graph", "info", str(tmp_path / "graph"), "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)["counts"]
    assert counts["edges"]["concept evidences observation"] > 100
