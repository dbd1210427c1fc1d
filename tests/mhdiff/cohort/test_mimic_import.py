import json
import shutil
import subprocess
import sys
from datetime import datetime, timedelta

import meds
import mimic_source
import polars as pl
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mhdiff.cli import main
from mhdiff.cohort import Cohort, Task
from mhdiff.cohort.mimic_cxr import import_mimic_cxr, importing, pictures
from mhdiff.cohort.refused import MaxBad
from ontology.errors import InputError
from tests import needs

SEEN = datetime(2150, 3, 5, 0, 1, 31, 500_000)
HOUR, MICRO = timedelta(hours=1), timedelta(microseconds=1)
SECRET = "MARKEDNAME"
FEW = MaxBad(10)
REPORT = (
    f" FINAL REPORT\n INDICATION:  ___F with cough, Mrs. {SECRET}\n\n COMPARISON:  ___\n\n"
    " FINDINGS:  Opacity.\n\n IMPRESSION:  Pneumonia.\n"
)


@pytest.fixture
def source(tmp_path):
    """One subject with two studies, one with a single lateral image, one of whom the hospital knows nothing."""
    made = mimic_source.Source(tmp_path / "source")
    made.person(10_000_032, "F", 91, 2150, dod="2150-06-01")
    made.person(10_000_764, "M", 50, 2150)
    made.study(
        10_000_032, 50_414_267, SEEN, ("PA", "LL"), {"Pneumonia": -1.0, "Edema": 0.0}, REPORT, split="test"
    )
    made.study(10_000_032, 50_414_300, SEEN + 24 * HOUR, ("AP",), {"Pneumonia": 1.0}, split="test")
    made.study(10_000_764, 51_000_000, SEEN, ("LATERAL",), {"Pneumonia": 0.0}, "Clear.\n", split="validate")
    made.study(19_999_987, 52_000_000, SEEN, ("PA",), {})
    made.stay(
        10_000_032, 20_000_001, SEEN - 100 * HOUR, 2, (("J189", 10), ("4019", 9), ("E8859", 9), ("V1582", 9))
    )
    made.tables["procedures_icd"].append(
        {"subject_id": 10_000_032, "hadm_id": 20_000_001, "seq_num": 1, "chartdate": "2150-03-01", "icd_code": "9604",
         "icd_version": 9}
    )  # fmt: skip
    made.tables["icustays"].append(
        {"subject_id": 10_000_032, "hadm_id": 20_000_001, "stay_id": 3, "first_careunit": "Medical Intensive Care Unit",
         "last_careunit": "Medical Intensive Care Unit", "intime": str(SEEN - 90 * HOUR), "outtime": "", "los": ""}
    )  # fmt: skip
    ranged = {"valueuom": "K/uL", "ref_range_lower": "4.0", "ref_range_upper": "11.0"}
    made.lab(1, 10_000_032, 51301, SEEN - 2 * HOUR, "12.5", **ranged)
    made.lab(2, 10_000_032, 50912, SEEN - HOUR / 2, "1.1", valueuom="mg/dL")  # stored after the first study
    made.lab(3, 10_000_032, 51506, SEEN - 2 * HOUR, "Hazy")
    made.lab(4, 10_000_032, 51506, SEEN - 2 * HOUR, "___")
    made.lab(1, 10_000_032, 51301, SEEN - 2 * HOUR, "99", **ranged)  # its id is there already
    made.lab(5, 10_000_032, 51301, SEEN - 2 * HOUR, "", valuenum="many")
    made.lab(6, 10_000_764, 51301, SEEN - 60 * 366 * 24 * HOUR, "7", **ranged)  # before birth
    made.lab(7, 12_345_678, 51301, SEEN, "7", **ranged)  # a subject without radiographs
    return made


def places(report):
    return {reason: [str(place) for place in found] for reason, found in report.refused.places.items()}


def rows(cohort, subject, prefix):
    own = cohort.scan(optional=True).filter(
        pl.col("subject_id") == subject, pl.col("code").str.starts_with(prefix)
    )
    return own.collect().select("time", "code", "numeric_value", "text_value", "ref_low", "ref_high")


def test_images_reports_and_labels(tmp_path, source):
    report = import_mimic_cxr(source.write(), tmp_path / "cohort", max_bad=FEW)
    cohort = Cohort.open(tmp_path / "cohort")
    assert cohort.validate() == []
    images = rows(cohort, 10_000_032, "IMAGE//")
    assert images.select("time", "code").rows() == [
        (SEEN, "IMAGE//CXR//LATERAL"),
        (SEEN, "IMAGE//CXR//PA"),  # the frontal view is the latest
        (SEEN + 24 * HOUR, "IMAGE//CXR//AP"),
    ]
    assert (cohort.path / images["text_value"][1]).read_bytes() == source.image(
        10_000_032, 50_414_267
    ).read_bytes()
    notes = rows(cohort, 10_000_032, "NOTE//").select("time", "code", "text_value").rows()
    assert notes == [
        (SEEN, "NOTE//RADIOLOGY//INDICATION", f"F with cough, Mrs. {SECRET}"),
        (SEEN + MICRO, "NOTE//RADIOLOGY//FINDINGS", "Opacity."),
        (SEEN + MICRO, "NOTE//RADIOLOGY//IMPRESSION", "Pneumonia."),
    ]
    assert report.dropped.counts["report section: nothing but de-identification marks"] == 1
    assert rows(cohort, 10_000_764, "NOTE//")["code"].to_list() == ["NOTE//RADIOLOGY//UNTITLED"]
    labels = cohort.labels("chexpert_pneumonia").select("subject_id", "prediction_time", "categorical_value")
    assert labels.rows() == [
        (10_000_032, SEEN, "uncertain"),
        (10_000_032, SEEN + 24 * HOUR, "positive"),
        (19_999_987, SEEN, "blank"),
    ]
    assert report.dropped.counts["chexpert: its study has no usable frontal image"] == 1
    assert "negbio_edema" in cohort.label_names
    assert len(cohort.label_names) == 28
    split = dict(cohort.splits.iter_rows())
    assert set(split) == {10_000_032, 10_000_764, 19_999_987}


def test_the_hospital_is_joined_by_subject_and_time(tmp_path, source):
    report = import_mimic_cxr(source.write(), tmp_path / "cohort", max_bad=FEW)
    cohort = Cohort.open(tmp_path / "cohort")
    events = cohort.events.filter(pl.col("subject_id") == 10_000_032)
    times = dict(events.filter(~pl.col("code").str.contains("IMAGE|NOTE")).select("code", "time").iter_rows())
    left = SEEN - 52 * HOUR
    assert times["GENDER//F"] is None
    assert times["MEDS_BIRTH"] == datetime(2059, 1, 1)
    assert times["MEDS_DEATH"] == datetime(2150, 6, 1, 23, 59, 59, 999_999)
    assert times["HOSPITAL_ADMISSION//EW EMER."] == SEEN - 100 * HOUR
    assert {c for c, t in times.items() if t == left} == {
        "HOSPITAL_DISCHARGE//HOME", "ICD10CM/J18.9", "ICD9CM/401.9", "ICD9CM/E885.9", "ICD9CM/V15.82"
    }  # fmt: skip
    assert times["ICD9Proc/96.04"] == datetime(2150, 3, 1, 23, 59, 59, 999_999)
    assert times["ICU_ADMISSION//MEDICAL INTENSIVE CARE UNIT"] == SEEN - 90 * HOUR
    assert "ICU_DISCHARGE//MEDICAL INTENSIVE CARE UNIT" not in times
    labs = rows(cohort, 10_000_032, "LOINC/").rows()
    assert labs == [
        (SEEN - HOUR, "LOINC/6690-2//10*3/uL", 12.5, None, 4.0, 11.0),
        (SEEN + HOUR / 2, "LOINC/2160-0//mg/dL", pytest.approx(1.1), None, None, None),
    ]
    assert rows(cohort, 10_000_032, "MIMIC_LABITEM/")["text_value"].to_list() == ["Hazy"]
    codes = {row["code"]: row for row in cohort.codes.to_dicts()}
    assert codes["LOINC/6690-2//10*3/uL"]["parent_codes"] == ["LOINC/6690-2"]
    assert codes["LOINC/6690-2//10*3/uL"]["unit"] == "10*3/uL"
    assert codes["MIMIC_LABITEM/51506"]["description"] == "Urine Appearance in urine"
    # the creatinine was drawn before the first study and known after it
    window = Task.load("mimic_pneumonia").window(cohort).events
    at_first = window.filter(pl.col("sample_id") == 0)  # the second study: the first is uncertain
    assert "LOINC/2160-0//mg/dL" in set(at_first["code"])
    table = "mimiciv/hosp/labevents.csv.gz"
    assert places(report) == {
        "labevent_id is there twice": [f"{table}:6:labevent_id"],
        "the value is missing or no number": [f"{table}:7:valuenum"],
        "the event is before the birth": [table],
    }
    assert report.dropped.lines["lab: neither a number nor a text that is left"] == [5]
    assert report.read["labevents rows"] == 7  # and not that of the subject without radiographs
    assert rows(cohort, 10_000_764, "LOINC/").is_empty()


def test_no_conclusion_is_an_input_and_the_uncertain_are_no_sample(tmp_path, source):
    import_mimic_cxr(source.write(), tmp_path / "cohort", max_bad=FEW)
    cohort, task = Cohort.open(tmp_path / "cohort"), Task.load("mimic_pneumonia")
    assert task.samples(cohort).select("subject_id", "label").rows() == [(10_000_032, 1), (19_999_987, 0)]
    window = task.window(cohort)
    notes = window.events.filter(pl.col("modality") == "note")
    assert set(notes["code"]) == {"NOTE//RADIOLOGY//INDICATION"}
    assert window.report["left_out"]["no modality of the task takes its code"] > 0
    # a task that reads impressions sees those of earlier studies and never the study's own
    greedy = Task(**{**task.__dict__, "modalities": {"note": ("NOTE//RADIOLOGY//IMPRESSION",)}, "exclude": ()} | {
        "merge": {**task.merge, "uncertain": "no_pneumonia"}
    })  # fmt: skip
    seen = greedy.window(cohort).events
    assert seen["sample_id"].to_list() == [1]
    assert (seen["time"] < SEEN + 24 * HOUR).all()


def test_the_published_schema_holds(tmp_path, source):
    import_mimic_cxr(source.write(), tmp_path / "cohort", max_bad=FEW)
    for name, schema in (
        ("data/0.parquet", meds.DataSchema),
        (meds.code_metadata_filepath, meds.CodeMetadataSchema),
        (meds.subject_splits_filepath, meds.SubjectSplitSchema),
        ("labels/chexpert_pneumonia.parquet", meds.LabelSchema),
    ):
        schema.validate(schema.align(pq.read_table(tmp_path / "cohort" / name)))


def test_broken_images_and_reports_are_refused_with_their_line(tmp_path, source):
    folder = source.write()
    cut = source.image(10_000_032, 50_414_267)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    source.image(10_000_032, 50_414_300).unlink()
    (source.files / "p10/p10000764/s51000000.txt").write_bytes(b"\xff\xfe" + SECRET.encode())
    outside = tmp_path / f"{SECRET}.jpg"
    Image.new("L", (8, 8)).save(outside)
    link = source.image(19_999_987, 52_000_000)
    link.unlink()
    link.symlink_to(outside)
    report = import_mimic_cxr(folder, tmp_path / "cohort", max_bad=FEW)
    table = "mimic-cxr-jpg/mimic-cxr-2.0.0-metadata.csv.gz"
    found = {reason: where for reason, where in places(report).items() if where[0].startswith(table)}
    assert found == {
        "the image is truncated or not readable": [f"{table}:2"],
        "the image is missing": [f"{table}:4"],
        "the study's report is not UTF-8": [f"{table}:5"],
        "the image lies outside the folder": [f"{table}:6"],
    }
    assert SECRET not in report.text() + json.dumps(report.to_dict())
    assert "10000032" not in report.text()
    cohort = Cohort.open(tmp_path / "cohort")
    assert cohort.validate() == []
    assert rows(cohort, 10_000_032, "IMAGE//")["code"].to_list() == ["IMAGE//CXR//LATERAL"]


@pytest.mark.parametrize("stop", [1, 3])
def test_a_killed_import_goes_on_and_is_the_same(tmp_path, monkeypatch, stop):
    monkeypatch.setattr(importing, "SUBJECTS_A_SHARD", 4)
    folder = mimic_source.many(tmp_path / "source", 10).write()
    whole = import_mimic_cxr(folder, tmp_path / "whole")
    real, placed = pictures.place, []

    def place(*args):
        placed.append(args[-1])
        if len(placed) == 6 * stop:
            raise KeyboardInterrupt
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(pictures, "place", place)
        with pytest.raises(KeyboardInterrupt):
            import_mimic_cxr(folder, tmp_path / "cohort")
    assert not (tmp_path / "cohort").exists()
    assert (tmp_path / ".cohort.import").is_dir()
    again = []
    monkeypatch.setattr(pictures, "place", lambda *args: (again.append(args[-1]), real(*args))[1])
    report = import_mimic_cxr(folder, tmp_path / "cohort")
    assert report.to_dict() == whole.to_dict()
    assert Cohort.open(tmp_path / "cohort").fingerprint == Cohort.open(tmp_path / "whole").fingerprint
    assert stop < 3 or len(again) < 30  # finished shards are not looked at again
    assert not (tmp_path / ".cohort.import").exists()


KILLED = """
import os, sys
from mhdiff.cohort.mimic_cxr import import_mimic_cxr, importing, pictures
importing.SUBJECTS_A_SHARD = 4
real, placed = pictures.place, []
def place(*args):
    placed.append(args)
    if len(placed) == 18:
        os.kill(os.getpid(), 9)
    return real(*args)
pictures.place = place
import_mimic_cxr(sys.argv[1], sys.argv[2])
"""


def test_an_import_that_the_system_killed_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "SUBJECTS_A_SHARD", 4)
    folder = mimic_source.many(tmp_path / "source", 10).write()
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder), str(tmp_path / "cohort")], check=False)
    assert done.returncode == -9
    assert not (tmp_path / "cohort").exists()
    assert (tmp_path / ".cohort.import/data/0.parquet").is_file()
    report, whole = (import_mimic_cxr(folder, tmp_path / name) for name in ("cohort", "whole"))
    assert report.to_dict() == whole.to_dict()
    assert Cohort.open(tmp_path / "cohort").fingerprint == Cohort.open(tmp_path / "whole").fingerprint
    assert {p.name for p in tmp_path.iterdir()} == {"source", "cohort", "whole"}


def test_parts_of_another_source_are_thrown_away(tmp_path, monkeypatch):
    source = mimic_source.many(tmp_path / "source", 4)
    folder = source.write()
    with monkeypatch.context() as patch:
        patch.setattr(importing._Work, "_events", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            import_mimic_cxr(folder, tmp_path / "cohort")
    source.study(10_000_001, 1, SEEN)
    source.write()
    import_mimic_cxr(folder, tmp_path / "cohort")
    assert 10_000_001 in Cohort.open(tmp_path / "cohort").splits["subject_id"]


def test_the_official_split_is_an_option(tmp_path, source, capsys):
    folder = source.write(packed=False)
    call = ["cohort", "import", "mimic-cxr", str(folder), "--out", str(tmp_path / "c"), "--split", "official"]
    assert main(call) == 2  # three rows are broken
    assert main([*call, "--max-bad", "3"]) == 0
    cohort = Cohort.open(tmp_path / "c")
    assert dict(cohort.splits.iter_rows()) == {
        10_000_032: "held_out",
        10_000_764: "tuning",
        19_999_987: "train",
    }
    import_mimic_cxr(folder, tmp_path / "ours", max_bad=FEW)
    stored = pl.read_parquet(tmp_path / "ours" / "metadata/official_splits.parquet")
    assert dict(stored.iter_rows()) == dict(cohort.splits.iter_rows())


def test_loinc_codes_of_the_users_own_come_first(tmp_path, source):
    table = tmp_path / "loinc.csv"
    table.write_text("itemid,loinc_code\n51506,5767-9\n51301,804-5\n50912,\n")
    import_mimic_cxr(source.write(), tmp_path / "cohort", loinc=table, max_bad=FEW)
    codes = set(Cohort.open(tmp_path / "cohort").events["code"])
    assert {"LOINC/5767-9", "LOINC/804-5//10*3/uL", "LOINC/2160-0//mg/dL"} <= codes
    table.write_text("itemid,loinc_code\n51506,turbidity\n")
    with pytest.raises(InputError, match=r"loinc.csv, line 2: the row names no item, or no LOINC code"):
        import_mimic_cxr(source.folder, tmp_path / "other", loinc=table)


def test_subjects_that_share_an_image_share_a_split(tmp_path):
    source = mimic_source.many(tmp_path / "source", 12)
    folder = source.write()
    one, other = source.image(10_000_000, 50_000_000), source.image(10_000_037, 50_000_010)
    shutil.copy(one, other)
    report = import_mimic_cxr(folder, tmp_path / "cohort")
    cohort = Cohort.open(tmp_path / "cohort")
    split = dict(cohort.splits.iter_rows())
    assert split[10_000_000] == split[10_000_037]
    assert report.changed.counts["subjects that share an image, kept in one split"] == 2
    assert cohort.validate() == []


def test_dicoms_are_read_without_the_metadata(tmp_path):
    pydicom = needs.module("pydicom")
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    folder = tmp_path / "source"
    table = "subject_id,study_id,dicom_id,path\n"
    for number, photometric in enumerate(("MONOCHROME2", "MONOCHROME1", "cut")):
        name = f"{number}" * 8
        file = folder / f"files/p10/p1000000{number}/s5000000{number}/{name}.dcm"
        file.parent.mkdir(parents=True)
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data = FileDataset(str(file), {}, file_meta=meta, preamble=b"\0" * 128)
        data.Rows, data.Columns, data.BitsAllocated, data.BitsStored, data.HighBit = 4, 4, 16, 12, 11
        data.SamplesPerPixel, data.PixelRepresentation = 1, 0
        data.PhotometricInterpretation = photometric if photometric != "cut" else "MONOCHROME2"
        data.StudyDate, data.StudyTime, data.ViewPosition = "21500305", "000131.500", "PA"
        data.PixelData = b"".join(int(v).to_bytes(2, "little") for v in range(16))
        pydicom.dcmwrite(file, data)
        if photometric == "cut":
            file.write_bytes(file.read_bytes()[:-20])
        table += f"1000000{number},5000000{number},{name},{file.relative_to(folder)}\n"
    (folder / "cxr-record-list.csv").write_text(table)
    report = import_mimic_cxr(folder, tmp_path / "cohort", max_bad=FEW)
    assert places(report) == {"the image is truncated or not readable": ["cxr-record-list.csv:4"]}
    cohort = Cohort.open(tmp_path / "cohort")
    images = cohort.events.filter(pl.col("code") == "IMAGE//CXR//PA")
    assert images["time"].to_list() == [SEEN, SEEN]
    first, second = (Image.open(cohort.path / path) for path in images["text_value"])
    assert [first.getpixel((0, 0)), first.getpixel((3, 3))] == [0, 65535]
    assert [second.getpixel((0, 0)), second.getpixel((3, 3))] == [65535, 0]


BAD = {
    "no folder": (lambda s: shutil.rmtree(s), "there is no such folder"),
    "no metadata": (
        lambda s: next(s.rglob("*metadata.csv.gz")).unlink(),
        r"the folder holds neither mimic-cxr-...-metadata.csv nor cxr-record-list.csv",
    ),
    "no files": (lambda s: shutil.rmtree(s / "mimic-cxr-jpg/files"), r"the folder holds no files/p10"),
    "twice": (
        lambda s: shutil.copy(s / "mimiciv/hosp/patients.csv.gz", s / "patients.csv.gz"),
        "the table 'patients' is there twice",
    ),
    "no column": (
        lambda s: (
            (s / "mimiciv/hosp/patients.csv.gz").unlink()
            or (s / "mimiciv/hosp/patients.csv").write_text("subject_id,gender\n10000032,F\n")
        ),
        r"patients.csv, line 1, column 'anchor_year': the table lacks the column",
    ),
    "cut": (
        lambda s: (f := s / "mimiciv/hosp/labevents.csv.gz").write_bytes(f.read_bytes()[:-40]),
        r"labevents.csv.gz: the file is not readable",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_wrong_source_is_named_and_leaves_nothing(tmp_path, source, case, capsys):
    spoil, message = BAD[case]
    folder = source.write()
    spoil(folder)
    with pytest.raises(InputError, match=message) as caught:
        import_mimic_cxr(folder, tmp_path / "cohort")
    assert SECRET not in str(caught.value)
    assert {p.name for p in tmp_path.iterdir()} <= {"source"}
    assert main(["cohort", "import", "mimic-cxr", str(folder), "--out", str(tmp_path / "cohort")]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_real_truncated_dicom_is_refused_and_a_whole_one_is_not(shared, tmp_path):
    needs.module("pydicom")
    folder = shared / "data/imaging/pydicom/src/pydicom/data/test_files"
    cut = pictures.place(folder / "MR_truncated.dcm", folder, tmp_path, "images/cut")
    assert cut.reason == "the image is truncated or not readable"
    assert not (tmp_path / "images/cut.png").exists()
    whole = pictures.place(folder / "CT_small.dcm", folder, tmp_path, "images/whole")
    assert (whole.reason, whole.path) == ("", "images/whole.png")
    assert Image.open(tmp_path / whole.path).size == (128, 128)
