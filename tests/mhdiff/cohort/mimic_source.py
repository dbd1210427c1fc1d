"""A folder in the layout of MIMIC-CXR-JPG 2.x, MIMIC-CXR reports and MIMIC-IV, with invented people.

Layout, headers and types after https://physionet.org/content/mimic-cxr-jpg/2.1.0/ (metadata, split, chexpert, negbio;
files/p10/p10000032/s50414267/<dicom_id>.jpg), https://physionet.org/content/mimic-cxr/2.1.0/ (reports as
files/p10/p10000032/s50414267.txt, beginning with FINAL REPORT, names and dates as ___) and
https://mimic.mit.edu/docs/iv/modules/hosp/ (patients, admissions, labevents, d_labitems, diagnoses_icd ...; the columns
of MIT-LCP/mimic-code, mimic-iv/buildmimic/postgres/create.sql). Oddities that they describe: StudyTime is a number and
has lost leading zeros, icd_code has no point and may be padded, icd_version is 9 or 10, anchor_age 91 stands for over
89, storetime is later than charttime, valuenum is empty where the result is a text.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import random
from datetime import datetime, timedelta
from pathlib import Path

from PIL import Image

FINDINGS = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Enlarged Cardiomediastinum", "Fracture",
    "Lung Lesion", "Lung Opacity", "No Finding", "Pleural Effusion", "Pleural Other", "Pneumonia",
    "Pneumothorax", "Support Devices",
)  # fmt: skip
METADATA = (
    "dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription", "ViewPosition", "Rows", "Columns",
    "StudyDate", "StudyTime", "ProcedureCodeSequence_CodeMeaning", "ViewCodeSequence_CodeMeaning",
    "PatientOrientationCodeSequence_CodeMeaning",
)  # fmt: skip
LABEVENTS = (
    "labevent_id", "subject_id", "hadm_id", "specimen_id", "itemid", "order_provider_id", "charttime", "storetime",
    "value", "valuenum", "valueuom", "ref_range_lower", "ref_range_upper", "flag", "priority", "comments",
)  # fmt: skip
ADMISSIONS = (
    "subject_id", "hadm_id", "admittime", "dischtime", "deathtime", "admission_type", "admit_provider_id",
    "admission_location", "discharge_location", "insurance", "language", "marital_status", "race", "edregtime",
    "edouttime", "hospital_expire_flag",
)  # fmt: skip
ITEMS = [
    {"itemid": 50912, "label": "Creatinine", "fluid": "Blood", "category": "Chemistry"},
    {"itemid": 51301, "label": "White Blood Cells", "fluid": "Blood", "category": "Hematology"},
    {"itemid": 51506, "label": "Urine Appearance", "fluid": "Urine", "category": "Hematology"},
]
REPORT = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  ___F with {complaint}  // ?pneumonia

 TECHNIQUE:  Chest PA and lateral

 COMPARISON:  ___

 FINDINGS:

 {findings}

 IMPRESSION:

 {impression}
"""


def dicom_id(*parts: object) -> str:
    """Five groups of eight hexadecimal digits, as there."""
    digits = hashlib.sha256(repr(parts).encode()).hexdigest()[:40]
    return "-".join(digits[i : i + 8] for i in range(0, 40, 8))


class Source:
    """Invented subjects, gathered as rows and written at once.

    Args:
        folder: Where to write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = folder / "mimic-cxr-jpg" / "files"
        self.metadata: list[dict[str, object]] = []
        self.chexpert: list[dict[str, object]] = []
        self.split: list[dict[str, object]] = []
        self.tables: dict[str, list[dict[str, object]]] = {
            name: []
            for name in ("patients", "admissions", "labevents", "diagnoses_icd", "procedures_icd", "icustays")
        }

    def study(
        self,
        subject: int,
        study: int,
        time: datetime,
        views: tuple[str, ...] = ("PA", "LATERAL"),
        values: dict[str, float] | None = None,
        report: str | None = None,
        grey: int | None = None,
        split: str = "train",
    ) -> None:
        """Add a study with an image a view, its labels and its report."""
        for place, view in enumerate(views):
            name = dicom_id(subject, study, place)
            clock = float(f"{time:%H%M%S}.{time.microsecond // 1000:03}")
            row = dict.fromkeys(METADATA, "") | {
                "dicom_id": name, "subject_id": subject, "study_id": study, "ViewPosition": view, "Rows": 16,
                "Columns": 16, "StudyDate": f"{time:%Y%m%d}", "StudyTime": clock,
            }  # fmt: skip
            self.metadata.append(row)
            self.split.append({"dicom_id": name, "study_id": study, "subject_id": subject, "split": split})
            shade = grey if grey is not None else int(name[:2], 16)
            file = self.image(subject, study, place)
            file.parent.mkdir(parents=True, exist_ok=True)
            image = Image.effect_noise((48, 40), 40)
            image.paste(shade, (8, 8, 30, 30))
            image.save(file, quality=90)
        row = {"subject_id": subject, "study_id": study} | {f: "" for f in FINDINGS}
        self.chexpert.append(row | {k: f"{v:.1f}" for k, v in (values or {}).items()})
        if report is not None:
            (self.files / f"p{subject}"[:3] / f"p{subject}" / f"s{study}.txt").write_text(report)

    def image(self, subject: int, study: int, place: int = 0) -> Path:
        """The file of an image."""
        name = f"{dicom_id(subject, study, place)}.jpg"
        return self.files / f"p{subject}"[:3] / f"p{subject}" / f"s{study}" / name

    def person(self, subject: int, gender: str = "F", age: int = 60, year: int = 2150, dod: str = "") -> None:
        """Add a row of patients."""
        self.tables["patients"].append(
            {"subject_id": subject, "gender": gender, "anchor_age": age, "anchor_year": year,
             "anchor_year_group": "2011 - 2013", "dod": dod}
        )  # fmt: skip

    def stay(
        self,
        subject: int,
        stay: int,
        start: datetime,
        days: float = 3,
        codes: tuple[tuple[str, int], ...] = (),
    ) -> None:
        """Add an admission with its diagnoses."""
        end = start + timedelta(days=days)
        row = dict.fromkeys(ADMISSIONS, "") | {
            "subject_id": subject, "hadm_id": stay, "admittime": str(start), "dischtime": str(end),
            "admission_type": "EW EMER.", "discharge_location": "HOME", "race": "WHITE",
        }  # fmt: skip
        self.tables["admissions"].append(row)
        self.tables["diagnoses_icd"] += [
            {"subject_id": subject, "hadm_id": stay, "seq_num": n, "icd_code": code.ljust(7), "icd_version": version}
            for n, (code, version) in enumerate(codes, 1)
        ]  # fmt: skip

    def lab(self, number: int, subject: int, item: int, time: datetime, value: str, **more: object) -> None:
        """Add a row of labevents."""
        row = dict.fromkeys(LABEVENTS, "") | {
            "labevent_id": number, "subject_id": subject, "specimen_id": number, "itemid": item,
            "charttime": str(time), "storetime": str(time + timedelta(hours=1)), "value": value, "priority": "ROUTINE",
        }  # fmt: skip
        if value.replace(".", "").isdigit():
            row["valuenum"] = value
        self.tables["labevents"].append(row | more)

    def write(self, *, packed: bool = True, hospital: bool = True) -> Path:
        """Write all tables."""
        jpg = self.folder / "mimic-cxr-jpg"
        _table(jpg / "mimic-cxr-2.0.0-metadata.csv", METADATA, self.metadata, packed)
        labels = ("subject_id", "study_id", *FINDINGS)
        for name in ("chexpert", "negbio"):
            _table(jpg / f"mimic-cxr-2.0.0-{name}.csv", labels, self.chexpert, packed)
        _table(
            jpg / "mimic-cxr-2.0.0-split.csv",
            ("dicom_id", "study_id", "subject_id", "split"),
            self.split,
            packed,
        )
        if not hospital:
            return self.folder
        columns = {
            "patients": ("subject_id", "gender", "anchor_age", "anchor_year", "anchor_year_group", "dod"),
            "admissions": ADMISSIONS,
            "labevents": LABEVENTS,
            "diagnoses_icd": ("subject_id", "hadm_id", "seq_num", "icd_code", "icd_version"),
            "procedures_icd": ("subject_id", "hadm_id", "seq_num", "chartdate", "icd_code", "icd_version"),
            "icustays": (
                "subject_id", "hadm_id", "stay_id", "first_careunit", "last_careunit", "intime", "outtime", "los",
            ),
        }  # fmt: skip
        for name, rows in self.tables.items():
            module = "icu" if name == "icustays" else "hosp"
            _table(self.folder / "mimiciv" / module / f"{name}.csv", columns[name], rows, packed)
        hosp = self.folder / "mimiciv" / "hosp"
        _table(hosp / "d_labitems.csv", tuple(ITEMS[0]), ITEMS, packed)
        _table(
            hosp / "d_icd_diagnoses.csv",
            ("icd_code", "icd_version", "long_title"),
            [{"icd_code": "I10", "icd_version": 10, "long_title": "Essential (primary) hypertension"}],
            packed,
        )
        return self.folder


def _table(file: Path, columns: tuple[str, ...], rows: list[dict[str, object]], packed: bool) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    place = file.with_name(file.name + ".gz") if packed else file
    with gzip.open(place, "wt", newline="") if packed else open(place, "w", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)


def many(folder: Path, subjects: int = 60, seed: int = 0) -> Source:
    """Subjects with one or two studies each; whoever has pneumonia has a bright square and often many white cells."""
    draw, source = random.Random(seed), Source(folder)
    for i in range(subjects):
        subject, start = 10_000_000 + 37 * i, datetime(2150, 1, 3, 8, 30) + timedelta(days=11 * i)
        source.person(subject, "FM"[i % 2], 40 + i % 50)
        source.stay(subject, 20_000_000 + i, start - timedelta(days=90), codes=(("I10", 10), ("486", 9)))
        for k in range(1 + i % 2):
            time, ill = start + timedelta(days=5 * k), draw.random() < 0.4
            report = REPORT.format(
                complaint=draw.choice(["cough", "fever and cough", "dyspnea"]),
                findings="There is a right lower lobe consolidation." if ill else "Lungs are clear.",
                impression="Pneumonia." if ill else "No acute process.",
            )
            value = {"Pneumonia": 1.0} if ill else {"Pneumonia": 0.0} if draw.random() < 0.5 else {}
            source.study(
                subject, 50_000_000 + 10 * i + k, time, values=value, report=report, grey=220 if ill else 60
            )
            cells = draw.gauss(11, 3) if ill else draw.gauss(8, 3)  # a value alone is not the answer
            source.lab(
                1000 * i + k, subject, 51301, time - timedelta(hours=4), f"{cells:.1f}",
                valueuom="K/uL", ref_range_lower="4.0", ref_range_upper="11.0",
            )  # fmt: skip
    return source
