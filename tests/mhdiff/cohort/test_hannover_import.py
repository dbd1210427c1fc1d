import csv
import json
from datetime import datetime, timedelta

import polars as pl
import pytest
from PIL import Image

from mhdiff.cohort import Cohort, Task
from mhdiff.cohort.hannover import import_hannover
from mhdiff.cohort.hannover_rows import COLUMNS, TABLE
from ontology.errors import InputError


@pytest.fixture(scope="module")
def real(shared, tmp_path_factory):
    out = tmp_path_factory.mktemp("hannover") / "cohort"
    report = import_hannover(shared / "data" / "hannover", out)
    return Cohort.open(out), report


@pytest.fixture
def write_hannover(tmp_path):
    """Write data.csv and png/ from partial rows; what is not given is empty."""

    def write(rows):
        source = tmp_path / "source"
        (source / "png").mkdir(parents=True)
        with open(source / TABLE, "w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, COLUMNS)
            writer.writeheader()
            for place, row in enumerate(rows):
                base = {"patient_id": "0a", "image_id": f"{place}", "admission_offset": "0"}
                base |= {"modality": "CR", "projection": "ap", "sex": "m"}
                writer.writerow({**dict.fromkeys(COLUMNS, ""), **base, **row})
                Image.new("L", (8, 8), int(place * 7 % 256)).save(source / "png" / f"{place}.png")
        return source

    return write


def test_real_counts_agree_with_an_independent_count(real, shared):
    cohort, report = real
    with open(shared / "data/hannover" / TABLE, encoding="utf-8") as stream:
        raw = list(csv.DictReader(stream))
    entered = {r["patient_id"] for r in raw if r["icu_admission_offset"]}
    never = [r for r in raw if not r["icu_admission_offset"]]
    before = [r for r in raw if r["icu_admission_offset"] and float(r["icu_admission_offset"]) > 0]
    assert (len(raw), len(entered), len(never), len(before)) == (159, 17, 40, 7)
    assert report.read == {"rows": 159, "patients": 46, "distinct images": 159}
    assert report.labels == {
        "covid_icu": {
            "icu": {"samples": 7, "patients": len({r["patient_id"] for r in before})},
            "no_icu": {"samples": 40, "patients": len({r["patient_id"] for r in never})},
        }
    }
    assert report.labels["covid_icu"]["icu"]["patients"] == 6
    assert report.labels["covid_icu"]["no_icu"]["patients"] == 29
    codes = cohort.events["code"]
    assert (codes == "ICU//ADMISSION").sum() == 17
    assert (codes == "MEDS_DEATH").sum() == len({r["patient_id"] for r in raw if r["death_offset"]})
    crp = {
        (r["patient_id"], float(r["crp_offset"]) - float(r["admission_offset"]), r["crp_val"])
        for r in raw
        if r["crp_val"]
    }
    assert (codes == "LOINC/1988-5//mg/L").sum() == len(crp)
    infinite = sum(v in ("inf", "-inf") for r in raw for k, v in r.items() if k.endswith("_val"))
    limits = sum(n for reason, n in report.changed.counts.items() if "detection limit" in reason)
    assert limits == infinite == 10
    assert set(cohort.events["subject_id"]) == {int(r["patient_id"], 16) for r in raw}
    assert report.sites == {"hannover": 46}
    assert cohort.validate() == []
    assert json.loads((cohort.path / "metadata/import_report.json").read_text()) == report.to_dict()


def test_the_task_reads_no_stay_and_nothing_after_the_exam(real):
    cohort, _ = real
    window = Task.load("covid_icu").window(cohort)
    assert len(Task.load("covid_icu").samples(cohort)) == 47
    read = set(window.events["code"])
    assert all(code.startswith(("IMAGE//CXR", "LOINC/")) for code in read)
    assert {"IMAGE//CXR//AP", "LOINC/1988-5//mg/L"} <= read


def test_times_follow_the_offsets(write_hannover, tmp_path):
    source = write_hannover(
        [
            {"admission_offset": "-2", "icu_admission_offset": "3", "icu_release_offset": "9",
             "death_offset": "9", "crp_offset": "-1", "crp_val": "7", "ldh_offset": "1", "ldh_val": "300"},
            {"admission_offset": "-4", "icu_admission_offset": "1", "icu_release_offset": "7",
             "death_offset": "7", "crp_offset": "-3", "crp_val": "7"},
            {"admission_offset": "-5", "icu_admission_offset": "0", "crp_offset": "0", "crp_val": "inf"},
            {"patient_id": "0b", "admission_offset": "1", "sex": "f", "crp_offset": "0", "crp_val": "-inf"},
            {"patient_id": "0b", "admission_offset": "", "sex": "f"},
            {"patient_id": "0c", "crp_val": "5", "po2_offset": "0", "po2_val": "inf",
             "ldh_offset": "0", "ldh_val": "many"},
        ]
    )  # fmt: skip
    report = import_hannover(source, tmp_path / "out")
    cohort = Cohort.open(tmp_path / "out")
    admitted, day = datetime(2020, 1, 1), timedelta(days=1)
    own = cohort.events.filter(pl.col("subject_id") == 10)

    def times(code):
        return own.filter(pl.col("code") == code)["time"].to_list()

    assert times("IMAGE//CXR//AP") == [admitted + n * day for n in (2, 4, 5)]
    assert times("ICU//ADMISSION") == [admitted + 5 * day]
    assert times("ICU//RELEASE") == times("MEDS_DEATH") == [admitted + 11 * day]
    crp = own.filter(pl.col("code") == "LOINC/1988-5//mg/L")
    assert crp["time"].to_list() == [admitted + day, admitted + 5 * day]
    assert crp["numeric_value"].to_list() == [7.0, 7.0]
    labels = cohort.labels("covid_icu").select("subject_id", "prediction_time", "categorical_value")
    assert labels.rows() == [
        (10, admitted + 2 * day, "icu"),
        (10, admitted + 4 * day, "icu"),
        (11, admitted - day, "no_icu"),
        (12, admitted, "no_icu"),
    ]
    # The lactate dehydrogenase of the first exam was measured a day after it: it is not seen there.
    seen = Task.load("covid_icu").window(cohort).events.filter(pl.col("code").str.contains("2532-0"))
    assert seen["time"].to_list() == [admitted + 3 * day]
    assert report.dropped.counts["lab: the same value on another row of the patient"] == 1
    for reason in (
        "row: no admission_offset, so the exam has no time",
        "lab: no offset",
        "lab: ldh is no number",
        "lab: po2 has no finite value to stand for the limit",
        "covid_icu study: the patient is or was in the ICU already",
    ):
        assert report.dropped.counts[reason] == 1, reason
    assert report.changed.counts["death_offset: rows of a patient disagree, the earliest is used"] == 1
    assert report.changed.counts["lab: crp beyond the detection limit, the highest value is put"] == 1


def test_patients_that_share_an_image_are_one_group(write_hannover, tmp_path):
    source = write_hannover([{}, {"patient_id": "0b"}, {"patient_id": "0c"}])
    (source / "png/1.png").write_bytes((source / "png/0.png").read_bytes())
    import_hannover(source, tmp_path / "out")
    groups = dict(Cohort.open(tmp_path / "out").groups.iter_rows())
    assert groups[10] == groups[11] != groups[12]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"patient_id": "xyz"}, r"line 2, column 'patient_id'.*hexadecimal"),
        ({"image_id": "gone"}, r"line 2, column 'image_id': the image is missing"),
        ({"image_id": "../../secret"}, r"line 2, column 'image_id': the image's path leaves the folder"),
        ({"admission_offset": ""}, "no usable row"),
    ],
)
def test_wrong_source_is_named_and_nothing_is_written(write_hannover, tmp_path, row, message):
    source = write_hannover([row])
    with pytest.raises(InputError, match=message):
        import_hannover(source, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["source"]


@pytest.mark.slow  # the import itself stays; manifest goes the whole way in make test
def test_the_real_cohort_goes_the_whole_way(real, whole_way):
    """With the built-in terminology, which knows LOINC: there are laboratory values and no notes."""
    metrics = whole_way(real[0].path, "covid_icu", ["image", "labs"])
    assert metrics["task"] == "covid_icu"
    assert metrics["n_samples"] >= metrics["n_subjects"] >= 9  # a third of 35
