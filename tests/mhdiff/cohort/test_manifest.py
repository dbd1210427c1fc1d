import csv
import gzip
import json
from datetime import datetime, timedelta

import polars as pl
import pytest
import yaml
from PIL import Image

from mhdiff.cli import main
from mhdiff.cohort import Cohort
from mhdiff.cohort.manifest import import_manifest
from mhdiff.cohort.refused import MaxBad
from ontology.errors import InputError

COLUMNS = {
    "subject": "patient",
    "time": "exam",
    "site": "hospital",
    "sex": "sex",
    "birth": "born",
    "images": {"xray": "CXR//PA"},
    "notes": {"report": "FINDINGS"},
    "labs": {"crp": {"loinc": "1988-5", "unit": "mg/L", "unit_column": "crp_unit", "convert": {"mg/dL": 10},
                     "range": [0, 5], "possible": [0, 900]}},
    "codes": {"icd": {"vocabulary": "ICD10", "separator": ";"}},
    "labels": {"lungs": "finding"},
}  # fmt: skip
TASK = {
    "name": "lungs",
    "labels": "lungs",
    "classes": ["clear", "pneumonia"],
    "modalities": {
        "image": {"prefixes": ["IMAGE//CXR"]},
        "note": {"prefixes": ["NOTE//FINDINGS"]},
        "labs": {"prefixes": ["LOINC/"]},
        "codes": {"prefixes": ["ICD10/"]},
    },
}
HEAD = ("patient", "exam", "hospital", "sex", "born", "xray", "report", "crp", "crp_unit", "icd", "finding")
LAST = timedelta(days=1, microseconds=-1)


@pytest.fixture
def write(tmp_path):
    """Write a manifest, its images and its YAML from partial rows; what is not given is empty."""

    def make(rows, columns=COLUMNS, head=HEAD, name="visits.csv"):
        source = tmp_path / "source"
        (source / "x").mkdir(parents=True)
        for place in range(len(rows)):
            Image.new("L", (24, 24), place * 11 % 256).save(source / "x" / f"{place}.png")
        with open(source / name, "w", newline="", encoding="utf-8") as stream:
            table = csv.DictWriter(stream, head)
            table.writeheader()
            table.writerows({**dict.fromkeys(head, ""), **row} for row in rows)
        (source / "columns.yaml").write_text(yaml.safe_dump(columns))
        return source / name

    return make


def run(file, tmp_path, bad=0):
    return import_manifest(file, tmp_path / "out", columns=file.parent / "columns.yaml", max_bad=MaxBad(bad))


def events(tmp_path, prefix):
    own = Cohort.open(tmp_path / "out").events.filter(pl.col("code").str.starts_with(prefix))
    return own.select("subject_id", "time", "code", "numeric_value", "text_value")


def test_a_manifest_goes_the_whole_way(write, tmp_path, whole_way, capsys):
    rows = []
    for patient in range(36):
        ill = patient % 2
        word = "pneumonia in the left lung" if ill else "no effusion"
        row = {"patient": f"P{patient}", "exam": f"2021-02-{patient % 28 + 1:02} 08:00", "sex": "fm"[patient % 2],
               "hospital": "AB"[patient % 2], "born": "1950-01-01", "finding": ["clear", "pneumonia"][ill],
               "report": f"SECRET-{patient}: {word}", "crp": str(3 + 40 * ill), "crp_unit": "mg/L",
               "icd": "R05;R50.9"}  # fmt: skip
        row["xray"] = f"x/{patient}.png" if patient % 3 else ""  # a missing modality is a normal row
        rows.append(row)
    file = write(rows)
    (tmp_path / "task.yaml").write_text(yaml.safe_dump(TASK))
    command = ["cohort", "import", "manifest", str(file), "--columns", str(file.parent / "columns.yaml")]
    assert main([*command, "--out", str(tmp_path / "C"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["written"] == {
        "patients": 36, "GENDER events": 36, "ICD10 events": 72, "IMAGE events": 24, "LOINC events": 36,
        "MEDS_BIRTH events": 36, "NOTE events": 36, "SITE events": 36,
    }  # fmt: skip
    assert report["refused"]["rows"] == 0
    assert report["labels"]["lungs"]["pneumonia"] == {"samples": 18, "patients": 18}
    # its patients are of two kinds, each with a hospital of its own
    leaks = ("identical_record", "shortcut_note_length", "shortcut_site", "single_feature")
    modalities = ["image", "note", "labs", "codes"]
    metrics = whole_way(tmp_path / "C", tmp_path / "task.yaml", modalities, leaks=leaks)
    assert metrics["held_out"] == "fold:0/3"
    said = capsys.readouterr()
    assert "SECRET" not in json.dumps(report) + said.out + said.err


def test_visits_times_units_codes_and_people(write, tmp_path):
    file = write(
        [
            {"patient": "7", "exam": "2020-05-02", "hospital": "A", "sex": "F", "born": "1960-03-04", "crp": "12",
             "crp_unit": "mg/L", "report": "line one\nline two, \"quoted\"", "finding": "clear"},
            {"patient": "7", "exam": "2020-05-09T10:30:00", "hospital": "B", "sex": "F", "born": "1961-01-01",
             "crp": "1.5", "crp_unit": "mg/dL", "icd": " J18.9 ; R05;R05", "finding": "pneumonia"},
            {"patient": "007", "exam": "2020-05-01 00:00", "sex": "x", "report": "NA", "crp": "n/a"},
            {"patient": "7", "exam": "2020-05-09T10:30:00", "hospital": "B", "sex": "F", "born": "1961-01-01",
             "crp": "1.5", "crp_unit": "mg/dL", "icd": " J18.9 ; R05;R05", "finding": "pneumonia"},
            {},
        ]
    )  # fmt: skip
    report = run(file, tmp_path)
    cohort = Cohort.open(tmp_path / "out")
    first, second = datetime(2020, 5, 2) + LAST, datetime(2020, 5, 9, 10, 30)
    assert events(tmp_path, "LOINC/").rows() == [
        (7, first, "LOINC/1988-5//mg/L", 12.0, None),
        (7, second, "LOINC/1988-5//mg/L", 15.0, None),
    ]
    assert [row[2] for row in events(tmp_path, "ICD10/").rows()] == ["ICD10/J18.9", "ICD10/R05"]
    notes = dict(events(tmp_path, "NOTE//").select("subject_id", "text_value").iter_rows())
    other = next(subject for subject in cohort.splits["subject_id"] if subject != 7)
    assert notes == {7: 'line one\nline two, "quoted"', other: "NA"}
    assert other >= 10**15
    assert events(tmp_path, "MEDS_BIRTH").rows() == [(7, datetime(1960, 3, 4), "MEDS_BIRTH", None, None)]
    assert events(tmp_path, "GENDER").rows() == [(7, None, "GENDER//F", None, None)]
    assert report.sites == {"A": 1, "unknown": 1}
    assert cohort.labels("lungs").select("prediction_time", "categorical_value").rows() == [
        (first, "clear"),
        (second, "pneumonia"),
    ]
    codes = {row["code"]: row for row in cohort.codes.iter_rows(named=True)}
    assert codes["LOINC/1988-5//mg/L"]["parent_codes"] == ["LOINC/1988-5"]
    assert codes["LOINC/1988-5//mg/L"]["ref_high"] == 5.0
    for reason in ("row: another row says the same", "row: empty", "icd: the same value twice in a cell",
                   "sex: neither female nor male as declared"):  # fmt: skip
        assert report.dropped.counts[reason] == 1, reason
    assert report.dropped.lines["row: empty"] == [7]  # a note of two lines is one row
    for reason in ("crp: converted to mg/L, as declared", "birth: rows of a subject disagree, the first is used",
                   "exam: no time of day, put at the end of the day"):  # fmt: skip
        assert report.changed.counts[reason] == 1, reason
    ids = pl.read_parquet(tmp_path / "out/metadata/subjects.parquet")
    assert dict(ids.select("source_id", "subject_id").iter_rows()) == {"7": 7, "007": other}
    assert cohort.validate() == []


BAD = {
    "the row has no subject": ({"patient": ""}, "patient"),
    "the row has no time": ({"exam": ""}, "exam"),
    "the time is none, or has a zone": ({"exam": "03/04/2020"}, "exam"),
    "the row's time is before the birth": ({"patient": "2", "born": "2030-01-01"}, "exam"),
    "the birth is none": ({"born": "SECRET"}, "born"),
    "the value is no number": ({"crp": "SECRET", "crp_unit": "mg/L"}, "crp"),
    "the unit is not declared": ({"crp": "5", "crp_unit": "SECRET words"}, "crp_unit"),
    "the value is not possible, as declared": ({"crp": "901", "crp_unit": "mg/L"}, "crp"),
    "the value is no code": ({"icd": "SECRET words"}, "icd"),
    "the image's path leaves the folder": ({"xray": "../SECRET.png"}, "xray"),
    "the image is missing": ({"xray": "x/SECRET.png"}, "xray"),
    "the image's kind is not known": ({"xray": "columns.yaml"}, "xray"),
    "the image is truncated or not readable": ({"xray": "x/cut.png"}, "xray"),
    "the image is no .nii.gz file": ({"xray": "x/cut.nii.gz"}, "xray"),
    "the image is no .dcm file": ({"xray": "x/cut.dcm"}, "xray"),
    "the path is none": ({"xray": "x/" + "SECRET" * 100 + ".png"}, "xray"),
    "the subject has another label at the same time": (
        {"exam": "2020-01-01 10:00", "finding": "clear"},
        "finding",
    ),
}


@pytest.mark.parametrize("reason", BAD)
def test_what_is_broken_is_refused_with_its_line(write, tmp_path, reason, capsys):
    fields, column = BAD[reason]
    good = {"patient": "1", "exam": "2020-01-01 10:00", "finding": "pneumonia", "icd": "R05"}
    file = write([good, {**good, "exam": "2020-01-02 10:00", "icd": "", **fields}])
    for name in ("cut.png", "cut.nii.gz", "cut.dcm"):
        (file.parent / "x" / name).write_bytes(b"SECRET")
    (tmp_path / "SECRET.png").write_bytes((file.parent / "x/0.png").read_bytes())
    command = [
        "cohort",
        "import",
        "manifest",
        str(file),
        "--columns",
        str(file.parent / "columns.yaml"),
        "--out",
    ]
    assert main([*command, str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    assert f"visits.csv, line 3, column '{column}': {reason}" in said.err
    assert not (tmp_path / "out").exists()
    assert main([*command, str(tmp_path / "out"), "--max-bad", "1"]) == 0
    said = (
        said.err + "".join(capsys.readouterr()) + (tmp_path / "out/metadata/import_report.json").read_text()
    )
    assert "SECRET" not in said
    report = json.loads((tmp_path / "out/metadata/import_report.json").read_text())["refused"]
    assert report["reasons"] == {
        reason: {"count": 1, "first": [{"file": "visits.csv", "line": 3, "column": column}]}
    }
    assert Cohort.open(tmp_path / "out").validate() == []


def test_a_laboratory_may_be_declared_in_its_fewest_words(write, tmp_path):
    rows = [{"patient": str(i), "exam": "2020-01-01", "crp": str(-i)} for i in range(7)]
    run(write(rows, COLUMNS | {"labs": {"crp": LAB}}), tmp_path)
    assert sorted(events(tmp_path, "LOINC")["numeric_value"]) == [-6, -5, -4, -3, -2, -1, 0]


def test_a_key_may_not_repeat_and_a_short_row_costs_itself(write, tmp_path):
    head = ("row", *HEAD)
    rows = [{"row": str(i % 2), "patient": str(i), "exam": "2020-01-01"} for i in range(3)]
    file = write(rows, {**COLUMNS, "key": "row"}, head)
    with open(file, "a") as stream:
        stream.write("9,1\n")
    report = run(file, tmp_path, bad=2)
    assert report.refused.places == {
        "the key is there twice": [("visits.csv", 4, "row")],
        "the row has 2 fields, the header 12": [("visits.csv", 5, None)],
    }
    assert report.read == {"rows": 3, "patients": 2, "distinct images": 0}


@pytest.mark.parametrize("kind", ["tsv.gz", "jsonl", "parquet"])
def test_other_kinds_of_files_say_the_same(write, tmp_path, kind):
    rows = [
        {
            "patient": "1",
            "exam": "2020-05-02",
            "crp": "12",
            "crp_unit": "mg/L",
            "report": "a, b",
            "xray": "x/0.png",
        },
        {"patient": "2", "exam": "2020-05-03 10:00", "hospital": "H", "icd": "R05;J18.9", "finding": "clear"},
    ]
    file = write(rows)
    run(file, tmp_path)
    wanted = Cohort.open(tmp_path / "out").fingerprint
    frame = pl.read_csv(file, infer_schema=False)
    other = file.with_name(f"visits.{kind}")
    if kind == "parquet":
        typed = frame.with_columns(pl.col("patient").cast(pl.Float64), pl.col("crp").cast(pl.Int64))
        typed.write_parquet(other)
    elif kind == "jsonl":
        frame.with_columns(pl.col("crp").cast(pl.Int64)).write_ndjson(other)
    else:
        other.write_bytes(gzip.compress(frame.write_csv(separator="\t").encode()))
    report = run(other, tmp_path)
    assert Cohort.open(tmp_path / "out").fingerprint == wanted
    assert report.refused.counts.total() == 0


def test_encodings_are_told_apart_line_by_line(write, tmp_path):
    file = write([{"patient": "1", "exam": "2020-01-01", "report": "Größe"}])
    line = file.read_text(encoding="utf-8").splitlines()[1]
    second = line.replace("1,2020-01-01", "2,2020-01-01")
    head = b"\xef\xbb\xbf" + ",".join(HEAD).encode()
    file.write_bytes(b"\n".join([head, line.encode("utf-8"), second.encode("cp1252"), b""]))
    report = run(file, tmp_path)
    assert set(events(tmp_path, "NOTE//")["text_value"]) == {"Größe"}
    assert report.changed.lines["line: not UTF-8, read as Windows-1252"] == [3]
    file.write_bytes(file.read_bytes().decode("utf-8", "ignore").encode("utf-16"))
    with pytest.raises(InputError, match="UTF-16"):
        run(file, tmp_path)


@pytest.mark.parametrize(
    ("time", "cell", "wanted"),
    [
        ({"column": "exam", "format": "%d.%m.%Y %H:%M"}, "03.04.2020 07:05", datetime(2020, 4, 3, 7, 5)),
        ({"column": "exam", "format": "%d.%m.%Y"}, "03.04.2020", datetime(2020, 4, 3) + LAST),
        ({"offset": "exam", "unit": "hours"}, "-1.5", datetime(2019, 12, 31, 22, 30)),
        ({"offset": "exam", "unit": "minutes", "from": "start"}, "90", datetime(2021, 6, 1, 13, 30)),
        (None, "", datetime(2020, 1, 1)),
    ],
)
def test_times_are_read_as_declared(write, tmp_path, time, cell, wanted):
    columns = {k: v for k, v in COLUMNS.items() if k not in ("time", "birth")}
    columns |= {"age": "born"} | ({"time": time} if time else {})
    row = {"patient": "1", "exam": cell, "born": "40", "icd": "R05", "start": "2021-06-01 12:00"}
    run(write([row], columns, (*HEAD, "start")), tmp_path)
    assert events(tmp_path, "ICD10")["time"].to_list() == [wanted]
    born = events(tmp_path, "MEDS_BIRTH")["time"][0]
    assert 40.4 < (wanted - born).days / 365.25 < 40.6


def test_a_value_may_have_a_time_of_its_own_and_a_label_a_moment(write, tmp_path):
    columns = COLUMNS | {
        "labels": {
            "lungs": {"column": "finding", "time": "asked", "values": {"y": "pneumonia", "n": "clear"}}
        },
        "notes": {"report": {"section": "IMPRESSION", "time": "dictated"}},
    }
    row = {"patient": "1", "exam": "2020-01-01 10:00", "finding": "y", "asked": "2020-01-01 09:00", "report": "a",
           "dictated": "2020-01-01 12:00"}  # fmt: skip
    other = {**row, "patient": "2", "finding": "maybe", "dictated": ""}
    report = run(write([row, other], columns, (*HEAD, "asked", "dictated")), tmp_path, bad=1)
    assert report.refused.places == {"the value is none of those declared": [("visits.csv", 3, "finding")]}
    assert events(tmp_path, "NOTE//IMPRESSION")["time"].to_list() == [
        datetime(2020, 1, 1, 12),
        datetime(2020, 1, 1, 10),
    ]
    labels = Cohort.open(tmp_path / "out").labels("lungs")
    assert labels["prediction_time"].to_list() == [datetime(2020, 1, 1, 9)]


def test_columns_that_nobody_declared_are_named(write, tmp_path):
    rows = [{"patient": "1", "exam": "2020-01-01", "extra": "SECRET", "comment": "SECRET"}]
    report = run(write(rows, COLUMNS | {"ignore": ["comment"]}, (*HEAD, "extra", "comment")), tmp_path)
    assert report.named == {"columns not read, since they are not declared": {"extra": 1}}
    assert "SECRET" not in report.text()


def test_a_million_columns_are_refused_at_once(write, tmp_path):
    file = write([{"patient": "1", "exam": "2020-01-01"}])
    file.write_text(",".join(map(str, range(1_000_000))) + "\n")
    with pytest.raises(InputError, match=r"line 1: the file has 1,000,000 or more columns"):
        run(file, tmp_path)


def test_a_bomb_is_not_inflated(write, tmp_path):
    file = write([{"patient": "1", "exam": "2020-01-01"}])
    bomb = file.with_name("visits.csv.gz")
    bomb.write_bytes(gzip.compress(file.read_bytes() + (b"a" * 1_000_000 + b"\n") * 40))
    with pytest.raises(InputError, match=r"the gzip file holds more than 200 times its size"):
        run(bomb, tmp_path, bad=100)


def test_a_quote_that_never_ends_is_named(write, tmp_path):
    file = write([{"patient": "1", "exam": "2020-01-01"}])
    with open(file, "a") as stream:
        stream.write('2,2020-01-01,,,,,"SECRET\n' * 3)
    with pytest.raises(InputError, match=r"line 3: the file is not a CSV from here on.*quote") as stop:
        run(file, tmp_path)
    assert "SECRET" not in str(stop.value)


LAB = {"loinc": "1988-5", "unit": "mg/L"}
WRONG = {
    "'the file' has no key 'subject'": "nothing",
    "'the file' has the unknown key 'lab'": {"lab": {}},
    "lacks the column that 'time' of columns.yaml declares. Is it one of these: exam": {"time": "exams"},
    "'labs.crp' has no key 'unit'": {"labs": {"crp": {"loinc": "1988-5"}}},
    "'labs.crp.unit' is not written as UCUM": {"labs": {"crp": LAB | {"unit": "mg per litre"}}},
    "'labs.crp.loinc' is no LOINC code": {"labs": {"crp": LAB | {"loinc": "crp"}}},
    "'labs.crp.convert' needs 'unit_column'": {"labs": {"crp": LAB | {"convert": {"g/L": 1000}}}},
    "'labs.crp.range' must be": {"labs": {"crp": LAB | {"range": [5, 0]}}},
    "'time.unit' must be one of": {"time": {"offset": "exam", "unit": "weeks"}},
    "'time.format' must be a form": {"time": {"column": "exam", "format": "%Y-%m-%d %z"}},
    "'time.format' is no form of a day": {"time": {"column": "exam", "format": "%H:%M"}},
    "'images.xray' must be letters": {"images": {"xray": "a b"}},
    "'codes.icd.vocabulary' must be a name": {"codes": {"icd": "ICD 10"}},
    "'age' and 'birth' are both": {"age": "a", "birth": "b"},
    "has yes, no, true or false without quotes": {
        "labels": {"l": {"column": "finding", "values": {True: "ill"}}}
    },
    "'labels.a/b' must have a name": {"labels": {"a/b": "finding"}},
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_declaration_is_named(write, tmp_path, message, capsys):
    wrong = {"time": "exam"} if WRONG[message] == "nothing" else {"subject": "patient", **WRONG[message]}
    file = write([{"patient": "1", "exam": "2020-01-01"}], wrong)
    command = ["cohort", "import", "manifest", str(file), "--columns", str(file.parent / "columns.yaml")]
    assert main([*command, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert [p.name for p in tmp_path.iterdir()] == ["source"]


def test_free_text_is_no_label(write, tmp_path):
    file = write([{"patient": str(i), "exam": "2020-01-01", "finding": f"SECRET {i}"} for i in range(101)])
    with pytest.raises(InputError, match="the label has 101 different values") as stop:
        run(file, tmp_path)
    assert "SECRET" not in str(stop.value)
