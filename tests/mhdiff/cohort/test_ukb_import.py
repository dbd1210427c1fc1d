import gzip
import json
import shutil
import zipfile
from datetime import date, datetime, timedelta

import meds
import polars as pl
import pyarrow.parquet as pq
import pytest
import ukb_source

from graph_builders.units import is_ucum
from mhdiff.cli import main
from mhdiff.cohort import Cohort, Task
from mhdiff.cohort.measurements.analytes import shipped
from mhdiff.cohort.refused import MaxBad
from mhdiff.cohort.uk_biobank import columns, dementia, fields, import_uk_biobank, importing, volumes
from ontology.errors import InputError
from tests import needs

needs.module("nibabel")
LAST = timedelta(days=1) - timedelta(microseconds=1)
FIRST, IMAGED = datetime(2008, 3, 4) + LAST, datetime(2015, 6, 7) + LAST
EID, SECRET = 1_234_567, "MARKEDTEXT"
FEW = MaxBad(10)


@pytest.fixture
def source(tmp_path):
    made = ukb_source.Source(tmp_path / "ukb")
    made.person(
        EID,
        (("I10", "2010-01-02"), ("J189", "2016-02-03"), ("I209", "1900-01-01"), (f"{SECRET}", "2011-01-01")),
        f30000_1_0="7.1", f30710_0_0="many", f40000_0_0="2021-01-05", f40001_0_0="C349", f42018_0_0="2018-03-01",
        f20002_0_0=SECRET,
    )  # fmt: skip
    made.scan(EID)
    made.person(
        2_000_001,
        f31_0_0="1",
        f52_0_0="",
        f54_2_0="",
        f54_0_0="11002",
        f20116_0_0="-3",
        f42020_0_0="1900-01-01",
    )
    made.scan(2_000_001)
    made.person("-1")
    made.person(SECRET)
    made.person(EID, f31_0_0="1")
    made.person(
        2_000_003, (("J459", "2022-10-31"), ("E109", "1940-01-01")), f53_2_0="", f20252_2_0="x_20252_2_0.zip"
    )
    return made


def approx(number):
    """As a column of Float32 holds it."""
    return pl.Series([number], dtype=pl.Float32).item()


def rows(cohort, subject, prefix=""):
    own = cohort.events.filter(pl.col("subject_id") == subject, pl.col("code").str.starts_with(prefix))
    return own.select("time", "code", "numeric_value", "text_value").rows()


def test_fields_become_events_at_their_visit(tmp_path, source):
    report = import_uk_biobank(source.write(), tmp_path / "cohort", max_bad=FEW)
    cohort = Cohort.open(tmp_path / "cohort")
    assert cohort.validate() == []
    path = f"images/{EID}_20252_2.nii.gz"
    assert sorted(rows(cohort, EID), key=str) == sorted(
        [
            (None, "GENDER//F", None, None),
            (None, "SITE//Cheadle (imaging)", None, None),
            (datetime(1950, 7, 1), "MEDS_BIRTH", None, None),
            (FIRST, "UKB_VISIT//0", None, None),
            (FIRST, "UKB/20116//CURRENT", None, None),
            (FIRST, "UKB/22189//{score}", -1.5, None),
            (FIRST, "LOINC/39156-5//kg/m2", approx(27.1), None),
            (FIRST, "LOINC/6690-2//10*9/L", approx(6.7), None),
            (datetime(2010, 1, 2) + LAST, "ICD10/I10", None, None),
            (IMAGED, "UKB_VISIT//2", None, None),
            (IMAGED, "IMAGE//MRI//T1", None, path),
            (datetime(2016, 2, 3) + LAST, "ICD10/J18.9", None, None),
            (datetime(2018, 3, 1) + LAST, "UKB_OUTCOME//42018", None, None),
            (datetime(2021, 1, 5) + LAST, "ICD10/C34.9", None, None),
            (datetime(2021, 1, 5) + LAST, "MEDS_DEATH", None, None),
        ],
        key=str,
    )
    assert rows(cohort, 2_000_001, "MEDS_BIRTH")[0][0] == datetime(1950, 1, 1)
    assert rows(cohort, 2_000_001, "SITE//")[0][1] == "SITE//Oxford"
    with zipfile.ZipFile(source.folder / "bulk" / f"{EID}_20252_2_0.zip") as archive:
        assert (cohort.path / path).read_bytes() == archive.read("T1/T1.nii.gz")
    table = "ukb12345.csv"
    assert {r: [str(place) for place in found] for r, found in report.refused.places.items()} == {
        "the eid is missing or no number": [f"{table}:5:eid"],
        "the eid is there twice": [f"{table}:6:eid"],
        "the value is no number": [f"{table}:2:field 30710"],
        "the value is no ICD-10 code": [f"{table}:2:field 41270"],
        "the event is before the birth": [table],
    }
    assert report.dropped.counts == {
        "participant: withdrawn (a negative eid)": 1,
        "value: its visit has no date": 1,
        "choice: prefers not to answer, does not know, or another value": 1,
        "diagnosis: no date, or one that stands for an unknown one": 1,
        "outcome: its date stands for an unknown one": 1,
        "brain MRI: listed in the main dataset and not there": 1,
    }
    text = report.text() + json.dumps(report.to_dict())
    assert SECRET not in text
    assert str(EID) not in text
    codes = {row["code"]: row for row in cohort.codes.to_dicts()}
    assert codes["LOINC/6690-2//10*9/L"]["parent_codes"] == ["LOINC/6690-2"]
    assert codes["UKB/20116//CURRENT"]["description"] == "Smoking: current"


def test_the_published_schema_holds(tmp_path, source):
    import_uk_biobank(source.write(), tmp_path / "cohort", max_bad=FEW)
    for name, schema in (
        ("data/0.parquet", meds.DataSchema),
        (meds.code_metadata_filepath, meds.CodeMetadataSchema),
        (meds.subject_splits_filepath, meds.SubjectSplitSchema),
        ("labels/ukb_dementia.parquet", meds.LabelSchema),
    ):
        schema.validate(schema.align(pq.read_table(tmp_path / "cohort" / name)))


def as_platform(name):
    field, _, rest = name.partition("-")
    instance, _, index = rest.partition(".")
    if name == "eid":
        return name
    return f"p{field}_i{instance}" + (f"_a{index}" if field.startswith("412") else "")


def test_every_way_of_writing_gives_the_same(tmp_path):
    source = ukb_source.many(tmp_path / "a", 6)
    import_uk_biobank(source.write(), tmp_path / "first")
    wanted = Cohort.open(tmp_path / "first").events
    frame = pl.read_csv(tmp_path / "a" / "ukb12345.csv", infer_schema=False)
    other = tmp_path / "other"
    other.mkdir()
    (other / "bulk").symlink_to(tmp_path / "a" / "bulk")  # a folder that is a link is not walked into
    shutil.copytree(tmp_path / "a" / "bulk", other / "mri" / "20")
    listed = frame.with_columns(
        pl.concat_str([f"41270-0.{k}" for k in range(4)], separator="|", ignore_nulls=True)
        .str.replace_all(r"\|+$", "").alias("41270-0.0")
    ).drop([f"41270-0.{k}" for k in range(1, 4)])  # fmt: skip
    spelled = {
        "ukb.tsv": frame,
        "ukb.tab": frame.rename(lambda n: "f.eid" if n == "eid" else "f." + n.replace("-", ".")),
        "ukb.parquet": frame.with_columns(pl.col("eid").cast(pl.Int64)),
        "data_participant.csv": listed.rename(as_platform),
        "basket.csv.gz": frame,
    }
    for name, table in spelled.items():
        for old in other.glob("*.*"):
            old.unlink()
        if name.endswith("parquet"):
            table.write_parquet(other / name)
        elif name.endswith(".gz"):
            (other / name).write_bytes(gzip.compress(table.write_csv().encode()))
        else:
            table.write_csv(other / name, separator="\t" if name.endswith(("tsv", "tab")) else ",")
        import_uk_biobank(other, tmp_path / "again")
        assert Cohort.open(tmp_path / "again").events.equals(wanted), name


def test_two_baskets_are_one_cohort_and_who_withdrew_is_not_in_it(tmp_path, source):
    folder = source.write()
    frame = pl.read_csv(folder / "ukb12345.csv", infer_schema=False)
    frame.select("eid", "41270-0.0", "41280-0.0").write_csv(folder / "ukb2.csv")
    frame.drop("41270-0.0", "41280-0.0").write_csv(folder / "ukb12345.csv")
    (folder / "w12345_20240101.csv").write_text("2000003\n")
    report = import_uk_biobank(folder, tmp_path / "cohort", max_bad=FEW)
    cohort = Cohort.open(tmp_path / "cohort")
    assert set(cohort.splits["subject_id"]) == {EID, 2_000_001}
    assert (datetime(2010, 1, 2) + LAST, "ICD10/I10", None, None) in rows(cohort, EID)
    assert report.dropped.counts["participant: withdrawn (in a list w..._....csv)"] == 1


def bomb():
    return ukb_source.packed({"T1/T1.nii.gz": b"\0" * (80 << 20)})


def absurd():
    """A volume of a few bytes whose header claims terabytes."""
    import nibabel

    header = nibabel.Nifti1Header()
    header.set_data_shape((30_000, 30_000, 30_000))
    header.set_data_dtype("float64")
    header["vox_offset"], header["magic"] = 352, b"n+1"
    return ukb_source.packed({"T1/T1.nii.gz": gzip.compress(header.binaryblock + b"\0" * 100)})


ZIPS = {
    "no member": (lambda: ukb_source.packed({"T2/T2.nii.gz": b"x"}), "the zip has no T1/T1.nii.gz"),
    "leaves": (
        lambda: ukb_source.packed({"../../T1.nii.gz": b"x"}),
        "the zip is not read: a name in it leads out of it",
    ),
    "bomb": (bomb, "the zip is not read: it would inflate beyond reason"),
    "absurd": (absurd, "the volume is larger than any T1 image"),
    "no zip": (lambda: SECRET.encode(), "the zip is not read: it is no zip, or damaged"),
    "cut volume": (
        lambda: ukb_source.packed({"T1/T1.nii.gz": ukb_source.volume(1)[:-4000]}),
        "the volume is truncated or not readable",
    ),
    "no volume": (
        lambda: ukb_source.packed({"T1/T1.nii.gz": b"x"}),
        "the volume is truncated or not readable",
    ),
    "four axes": (
        lambda: ukb_source.packed({"T1/T1.nii.gz": ukb_source.volume(1, (9, 9, 9, 2))}),
        "the volume is not three-dimensional",
    ),
}


@pytest.mark.parametrize("case", ZIPS)
def test_a_zip_that_is_not_what_it_should_be_is_refused_and_counted(tmp_path, source, case):
    make, reason = ZIPS[case]
    folder = source.write()
    (folder / "bulk" / f"{EID}_20252_2_0.zip").write_bytes(make())
    report = import_uk_biobank(folder, tmp_path / "cohort", max_bad=FEW)
    places = report.refused.places[f"brain MRI: {reason}"]
    assert [str(place) for place in places] == ["ukb12345.csv:2:field 20252"]
    assert not list(tmp_path.rglob(f"{EID}*.nii.gz"))
    assert SECRET not in report.text()
    assert rows(Cohort.open(tmp_path / "cohort"), EID, "IMAGE//") == []
    assert len(rows(Cohort.open(tmp_path / "cohort"), 2_000_001, "IMAGE//")) == 1


def test_a_link_out_of_the_folder_is_refused(tmp_path, source):
    folder = source.write()
    file = folder / "bulk" / f"{EID}_20252_2_0.zip"
    shutil.move(file, tmp_path / "outside.zip")
    file.symlink_to(tmp_path / "outside.zip")
    report = import_uk_biobank(folder, tmp_path / "cohort", max_bad=FEW)
    assert report.refused.counts["brain MRI: the zip lies outside the folder"] == 1


def test_the_brain_alone_is_another_volume(tmp_path, source, capsys):
    call = ["cohort", "import", "uk-biobank", str(source.write()), "--out", str(tmp_path / "c")]
    assert main([*call, "--volume", "T1_brain", "--max-bad", "4"]) == 2
    assert not (tmp_path / "c").exists()
    assert main([*call, "--volume", "T1_brain", "--max-bad", "5"]) == 0
    cohort = Cohort.open(tmp_path / "c")
    code, path = rows(cohort, EID, "IMAGE//")[0][1::2]
    assert code == "IMAGE//MRI//T1_BRAIN"
    with zipfile.ZipFile(source.folder / "bulk" / f"{EID}_20252_2_0.zip") as archive:
        assert (cohort.path / path).read_bytes() == archive.read("T1/T1_brain.nii.gz")


def test_all_fields_of_blood_biochemistry_have_a_unit_that_the_table_reads():
    blood = {field: kind for field, kind in fields.NUMBERS.items() if 30600 <= field <= 30890}
    assert len(blood) == 30
    assert all(is_ucum(kind.unit) for kind in blood.values())
    known = [(shipped().by_code.get(fields.code_of(field)), kind.unit) for field, kind in blood.items()]
    converted = [row.conversion(unit) for row, unit in known if row is not None]
    assert len(converted) == 24
    assert None not in converted


def test_ranges_of_ones_own_are_given_by_sex_and_unit(tmp_path, source):
    made = source.write()
    table = tmp_path / "ranges.csv"
    table.write_text(
        "code,unit,low,high,sex,from_age,to_age\nLOINC/6690-2,10*9/L,4,7,F,40,60\nLOINC/6690-2,10*9/L,5,9,M,,\n"
        "LOINC/6690-2,10*9/L,4,8,F,60,\nLOINC/39156-5,g/L,1,2,,,\n"
    )
    command = [
        "cohort",
        "import",
        "uk-biobank",
        str(made),
        "--out",
        str(tmp_path / "cohort"),
        "--max-bad",
        "10",
    ]
    assert main([*command, "--ranges", str(table)]) == 0
    cohort = Cohort.open(tmp_path / "cohort")
    assert cohort.validate() == []
    found = cohort.scan(optional=True).filter(pl.col("ref_low").is_not_null()).collect()
    assert set(found["code"]) == {"LOINC/6690-2//10*9/L"}
    own = found.filter(pl.col("subject_id") == EID)  # 57 years old
    assert own.select("ref_low", "ref_high").rows() == [(4.0, 7.0)]
    assert found.filter(pl.col("subject_id") == 2_000_001)["ref_high"].to_list() == [9.0]
    assert main([*command, "--ranges", str(tmp_path / "gone.csv")]) == 2


def test_a_killed_import_goes_on_and_is_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "SUBJECTS_A_SHARD", 4)
    folder = ukb_source.many(tmp_path / "ukb", 12).write()
    whole = import_uk_biobank(folder, tmp_path / "whole")
    real, done = volumes.extract, []

    def extract(*args):
        done.append(args[0].subject)
        if len(done) == 7:
            raise KeyboardInterrupt
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(volumes, "extract", extract)
        with pytest.raises(KeyboardInterrupt):
            import_uk_biobank(folder, tmp_path / "cohort")
    assert not (tmp_path / "cohort").exists()
    again = []
    monkeypatch.setattr(volumes, "extract", lambda *args: (again.append(args[0].subject), real(*args))[1])
    report = import_uk_biobank(folder, tmp_path / "cohort")
    assert len(again) == 8  # the first four are done
    assert report.to_dict() == whole.to_dict()
    assert Cohort.open(tmp_path / "cohort").fingerprint == Cohort.open(tmp_path / "whole").fingerprint


DAYS = [(10, "before"), (1000, "within"), (1200, "after")]
ENDS = datetime(2022, 10, 31)


def labelled(*events, ends=ENDS, undated=()):
    table = pl.DataFrame(
        [(1, datetime(2015, 1, 1) + timedelta(days=days), code) for days, code in events],
        schema={"subject_id": pl.Int64, "time": pl.Datetime("us"), "code": pl.String},
        orient="row",
    )
    scans = pl.DataFrame(
        {"subject_id": [1], "time": [datetime(2015, 1, 1)]}, schema_overrides={"time": pl.Datetime("us")}
    )
    return dementia.label(table, scans, list(undated), ends)["categorical_value"].item()


@pytest.mark.parametrize(
    ("events", "value"),
    [
        ([], "healthy"),
        ([(-500, "ICD10/G30.9")], "ad"),
        ([(1000, "UKB_OUTCOME//42020"), (900, "UKB_OUTCOME//42018")], "ad"),
        ([(1200, "UKB_OUTCOME//42020")], "healthy"),  # after three years
        ([(1000, "UKB_OUTCOME//42018")], "other_dementia"),
        ([(100, "ICD10/F01.9"), (200, "ICD10/F06.7")], "other_dementia"),
        ([(100, "ICD10/F06.7"), (200, "MEDS_DEATH")], "mci_like"),
        ([(-100, "ICD10/R41.3"), (-200, "ICD10/I63.9")], "mci_like"),
        ([(-100, "ICD10/I63.9")], "neurological"),
        ([(100, "ICD10/I63.9")], "healthy"),
        ([(100, "MEDS_DEATH")], "died"),
        ([(100, "ICD10/F05.0")], "healthy"),
    ],
)
def test_the_definition_of_the_labels(events, value):
    assert labelled(*events) == value


def test_who_is_not_followed_up_is_not_called_healthy():
    assert labelled(ends=datetime(2017, 12, 31)) == labelled(ends=None) == "short_follow_up"
    assert labelled(undated=[1]) == "other_dementia"
    assert set(dementia.VALUES) >= {labelled(), labelled((1, "MEDS_DEATH"))}


def test_a_diagnosis_before_the_scan_is_not_its_own_answer(tmp_path):
    source = ukb_source.many(tmp_path / "ukb", 6)
    early = str(date(2012, 1, 1))
    source.person(3_000_001, (("G309", early), ("F067", early), ("I10", early)), f42020_0_0=early)
    source.scan(3_000_001)
    import_uk_biobank(source.write(), tmp_path / "cohort", max_bad=FEW)
    cohort, task = Cohort.open(tmp_path / "cohort"), Task.load("ukb_dementia")
    window = task.window(cohort)
    sick = window.events.filter(pl.col("subject_id") == 3_000_001)
    assert set(sick.filter(pl.col("modality") == "codes")["code"]) == {"ICD10/I10"}
    assert not set(window.events["code"]) & {"ICD10/G30.9", "ICD10/F06.7", "UKB_OUTCOME//42020"}


BAD = {
    "no folder": (lambda s: shutil.rmtree(s), "there is no such folder"),
    "no table": (lambda s: (s / "ukb12345.csv").unlink(), "the folder holds no main dataset"),
    "nobody": (
        lambda s: (s / "ukb12345.csv").write_text("eid,31-0.0\n"),
        "the main dataset has no participant",
    ),
    "a million columns": (
        lambda s: (s / "ukb12345.csv").write_text("eid," + ",".join(f"31-0.{k}" for k in range(1_000_000)) + "\n"),
        r"ukb12345.csv, line 1: the header has more than 100,000 columns",
    ),
    "encoding": (
        lambda s: (s / "ukb12345.csv").write_bytes(b"eid,31-0.0\xff\n"),
        r"line 1: the header is not UTF-8",
    ),
    "too wide": (
        lambda s: (s / "ukb12345.csv").write_text("eid,31-0.0\n1,0,5,6\n"),
        r"ukb12345.csv, line 2: the line has more values than the header",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_wrong_source_is_named_and_leaves_nothing(tmp_path, source, case, capsys):
    spoil, message = BAD[case]
    folder = source.write()
    spoil(folder)
    with pytest.raises(InputError, match=message):
        import_uk_biobank(folder, tmp_path / "cohort")
    assert {p.name for p in tmp_path.iterdir()} <= {"ukb"}
    assert main(["cohort", "import", "uk-biobank", str(folder), "--out", str(tmp_path / "cohort")]) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("41270-0.12", (41270, 0, 12)),
        ("f.20252.2.0", (20252, 2, 0)),
        ("p30000_i1", (30000, 1, 0)),
        ("participant.p41280_a3", (41280, 0, 3)),
        ("p31", (31, 0, 0)),
        ("eid", None),
        ("31", None),
        ("31-0", None),
    ],
)
def test_names_of_columns(name, found):
    column = columns.column(name)
    assert (column and column[:3]) == found
