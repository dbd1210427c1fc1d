"""Small sources of every kind that is imported in parts, each with some broken rows; run as a program to be killed.

python import_sources.py KIND SOURCE OUT N      imports what `write` wrote, and kills itself after N finished parts
"""

import csv
import os
import signal
import sys
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import yaml
from PIL import Image

from mhdiff.cohort import looked_at, meds
from mhdiff.cohort.adapters import adapter
from mhdiff.cohort.covid_rows import COLUMNS as COVID
from mhdiff.cohort.eicu import importing
from mhdiff.cohort.eicu.tables import TABLES
from mhdiff.cohort.hannover_rows import COLUMNS as HANNOVER
from mhdiff.cohort.refused import MaxBad
from mhdiff.cohort.resumed import Parts

DAY = datetime(2020, 1, 1)
FEW = MaxBad(9)
OPTIONS = {
    "manifest": {"columns": "columns.yaml"},
    "meds": {"images": "table.csv"},
    "eicu": {"ranges": "ranges.csv"},
}
TABLE = {
    "manifest": "visits.csv",
    "meds": "dataset/data/1.parquet",
    "eicu": "lab.csv",
    "covid-chestxray": "metadata.csv",
    "hannover": "data.csv",
}
IMAGE = {
    "manifest": "x/2.png",
    "meds": "dataset/images/2.png",
    "covid-chestxray": "images/2.png",
    "hannover": "png/2.png",
}


def small_parts():
    """Make parts small enough that these sources have several."""
    looked_at.FILES_A_PART = 2
    importing.ROWS_A_SHARD = 4


def run(kind, source, out, max_bad=FEW):
    """Import a source that `write` wrote."""
    source = Path(source)
    options = {name: source / file for name, file in OPTIONS.get(kind, {}).items()}
    inside = {"manifest": "visits.csv", "meds": "dataset"}.get(kind, "")
    return adapter(kind)(source / inside, Path(out), max_bad=max_bad, **options)


def write(kind, source):
    """Write a source of a kind and give its folder."""
    source.mkdir()
    WRITERS[kind](source)
    return source


def pictures(folder, n):
    """Write n different pictures and one that is cut short."""
    folder.mkdir(parents=True, exist_ok=True)
    for place in range(n):
        Image.new("L", (8, 8), 20 + place).save(folder / f"{place}.png")
    (folder / "cut.png").write_bytes((folder / "0.png").read_bytes()[:40])


def table(file, head, rows):
    """Write a CSV; what is not given is empty."""
    with open(file, "w", newline="", encoding="utf-8") as stream:
        lines = csv.DictWriter(stream, head)
        lines.writeheader()
        lines.writerows({**dict.fromkeys(head, ""), **row} for row in rows)


def manifest(source):
    pictures(source / "x", 7)
    rows = [{"patient": f"P{n % 4}", "exam": f"2020-01-0{n + 1} 08:00", "xray": f"x/{n}.png", "crp": f"{n}.5",
             "sick": "yn"[n % 2], "more": "?"} for n in range(7)]  # fmt: skip
    rows[3]["crp"] = "many"
    rows[4]["xray"] = "x/cut.png"
    rows[6]["scan"] = "x/0.png"
    rows.append({"patient": "P1", "crp": "3"})
    table(source / "visits.csv", ("patient", "exam", "xray", "scan", "crp", "sick", "more"), rows)
    columns = {"subject": "patient", "time": "exam", "images": {"xray": "CXR//PA", "scan": "CT"},
               "labs": {"crp": {"loinc": "1988-5", "unit": "mg/L"}}, "labels": {"ill": "sick"}}  # fmt: skip
    (source / "columns.yaml").write_text(yaml.safe_dump(columns))


def dataset(source):
    pictures(source / "dataset/images", 5)
    (source / "dataset/data").mkdir()
    for number in range(3):
        rows = []
        for subject in (2 * number + 1, 2 * number + 2):
            rows += [
                (subject, None, f"SITE//{'AB'[number % 2]}", None, None),
                (subject, DAY, "LOINC/1988-5//mg/L", float(subject), None),
                (subject, DAY + timedelta(days=1), "IMAGE//CXR", None, f"images/{(subject + 1) % 5}.png"),
            ]
        frame = pl.DataFrame(rows, schema=meds.EVENTS, orient="row")
        if number == 1:  # is written again: not sorted, and two events are broken
            bad = [(3, DAY, None, None, None), (4, DAY, "IMAGE//CXR", None, "images/cut.png")]
            frame = pl.concat([frame.reverse(), pl.DataFrame(bad, schema=meds.EVENTS, orient="row")])
        if number > 0:
            frame = frame.with_columns(extra=pl.lit(1))
        frame.write_parquet(source / f"dataset/data/{number}.parquet")
    (source / "dataset/labels").mkdir()
    label = {"subject_id": [1, 3, 6], "prediction_time": [DAY] * 3, "boolean_value": [True, False, True]}
    pl.DataFrame(label).write_parquet(source / "dataset/labels/sick.parquet")
    pictures(source / "more", 3)
    rows = [
        {"subject_id": str(s), "time": "2020-01-03 10:00", "path": f"more/{p}.png", "modality": "MR"}
        for s, p in ((1, 0), (5, 1), (6, "cut"), (6, 2), (9, 0))
    ]
    table(source / "table.csv", ("subject_id", "time", "path", "modality"), rows)


def eicu(source):
    stays = [
        {"patientunitstayid": str(10 + n), "patienthealthsystemstayid": str(n), "uniquepid": f"002-{n // 2}",
         "gender": "Female", "age": "40", "hospitalid": "56"[n % 2], "unittype": "MICU",
         "hospitaladmittime24": "22:30:00",
         "hospitaladmitoffset": "-90", "hospitaldischargeyear": "2015", "hospitaldischargeoffset": "4000",
         "hospitaldischargestatus": "Alive", "hospitaldischargelocation": "Home", "unitdischargeoffset": "2000",
         "unitdischargelocation": "Floor"} for n in range(5)
    ]  # fmt: skip
    table(source / "patient.csv", tuple(stays[0]), stays)
    lab = {"labname": "BUN", "labmeasurenameinterface": "mg/dL", "labresultoffset": "60"}
    rows = {
        "lab": [{**lab, "labresult": str(value)} for value in (*range(5), "many")]
        + [{**lab, "labname": "none of ours", "labresult": "1"}] * 6,
        "medication": [{"drugname": "WARFARIN", "drugstartoffset": "60", "drugorderoffset": "30"}] * 5,
        "treatment": [{"treatmentstring": "a|b", "treatmentoffset": "9"}] * 3
        + [{"treatmentstring": "a", "treatmentoffset": "x"}],
    }
    for one in TABLES:
        if one.name in rows:
            keyed = [
                {one.id: str(n), "patientunitstayid": str(10 + n % 5)} | row
                for n, row in enumerate(rows[one.name])
            ]
            table(source / f"{one.name}.csv", one.needed, keyed)
    (source / "ranges.csv").write_text("code,unit,low,high\nLOINC/3094-0,mg/dL,2,4\n")


def covid(source):
    pictures(source / "images", 6)
    rows = [{"patientid": str(n // 2), "offset": str(n), "finding": "COVID-19", "modality": "X-ray", "view": "PA",
             "folder": "images", "filename": f"{n}.png", "location": "Rome, Italy"} for n in range(6)]  # fmt: skip
    rows[3]["filename"] = "cut.png"
    rows += [{"finding": "COVID-19"}, {"patientid": "9", "modality": "X-ray", "filename": "none.png"}]
    table(source / "metadata.csv", COVID, rows)


def hannover(source):
    pictures(source / "png", 6)
    rows = [{"patient_id": f"0{n // 2}", "image_id": str(n), "modality": "CR", "projection": "AP", "sex": "f",
             "admission_offset": str(-n), "crp_offset": "0", "crp_val": "9"} for n in range(6)]  # fmt: skip
    rows[3]["image_id"] = "cut"
    rows.append({"patient_id": "xyz"})
    table(source / "data.csv", HANNOVER, rows)


WRITERS = {
    "manifest": manifest,
    "meds": dataset,
    "eicu": eicu,
    "covid-chestxray": covid,
    "hannover": hannover,
}


def files(folder):
    """Give name -> bytes of all files of a folder."""
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def stopped(after, stop, made=None):
    """Give a `Parts.make` that stops after so many finished parts, and notes which it makes."""
    real, done = Parts.make, []

    def make(self, name, write):
        def noted(target, account):
            write(target, account)
            if made is not None:
                made.append(name)

        told = real(self, name, noted)
        done.append(name)
        if len(done) == after:
            stop()
        return told

    return make


if __name__ == "__main__":
    small_parts()
    Parts.make = stopped(int(sys.argv[4]), lambda: os.kill(os.getpid(), signal.SIGKILL))
    run(*sys.argv[1:4])
