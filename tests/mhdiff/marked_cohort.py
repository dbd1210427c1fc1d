"""A manifest in which every note, name, id and file name of a patient is a string that occurs nowhere else."""

from __future__ import annotations

import csv
import random
import string
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import yaml
from PIL import Image

COLUMNS = {
    "subject": "patient",
    "time": "exam",
    "site": "hospital",
    "sex": "sex",
    "birth": "born",
    "images": {"xray": "CXR//PA"},
    "notes": {"report": "FINDINGS"},
    "labs": {"crp": {"loinc": "1988-5", "unit": "mg/L", "unit_column": "unit", "range": [0, 5]}},
    "codes": {"icd": {"vocabulary": "ICD10", "separator": ";"}},
    "labels": {"lungs": "finding"},
}
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
    "deidentify": {"names": "names.txt"},
}
OUTCOME = TASK | {
    "name": "later",
    "labels": "later",
    "classes": ["without", "with"],
    "blinded": {},
}


@dataclass
class Marks:
    """The strings, by what they stand for; `numbers` are the subject_ids that the import gave."""

    rng: random.Random
    strings: dict[str, list[str]] = field(default_factory=dict)
    numbers: list[int] = field(default_factory=list)

    def new(self, kind: str) -> str:
        word = "".join(self.rng.choices(string.ascii_lowercase, k=9))
        word = word.capitalize() if kind == "name" else word
        self.strings.setdefault(kind, []).append(word)
        return word

    def found_in(self, text: str) -> list[str]:
        """What of them a text holds, by kind."""
        plain = text.casefold()
        found = [
            f"{kind} {w}" for kind, words in self.strings.items() for w in words if w.casefold() in plain
        ]
        return found + [f"subject {n}" for n in self.numbers if str(n) in plain]


def write_source(folder: Path, marks: Marks, patients: int = 36, **broken: str) -> Path:
    """Write the manifest, its YAML, images, task and list of names; `broken` cells go into a last row of their own."""
    (folder / "x").mkdir(parents=True)
    rows, names = [], []
    for patient in range(patients):
        ill = (patient // 3) % 2
        told = "pneumonia in the left lung" if ill else "no effusion"
        name, listed, file = marks.new("name"), marks.new("name"), marks.new("file")
        names.append(listed)
        row = {
            "patient": marks.new("id"),
            "exam": f"2021-02-{patient % 28 + 1:02} 08:00",
            "hospital": "AB"[patient % 2],
            "sex": "fm"[patient % 2],
            "born": f"19{50 + patient}-03-04",
            "report": f"{marks.new('text')} Mrs. {name}, known to {listed}, has {told}. MRN 88{patient:05d}",
            "crp": str(3 + 30 * ill + patient % 5),
            "unit": "mg/L",
            "icd": "R05;R50.9",
            "finding": ["clear", "pneumonia"][ill],
            "xray": f"x/{file}.png" if patient % 4 else "",
        }
        if row["xray"]:
            Image.new("L", (24, 24), patient * 6 + 5).save(folder / row["xray"])
        rows.append(row)
    if broken:
        rows.append(rows[0] | {"patient": marks.new("id"), "icd": ""} | broken)
    with open(folder / "visits.csv", "w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    (folder / "columns.yaml").write_text(yaml.safe_dump(COLUMNS))
    (folder / "names.txt").write_text("\n".join(names), encoding="utf-8")
    (folder / "task.yaml").write_text(yaml.safe_dump(TASK, sort_keys=False))
    return folder / "visits.csv"


def learn_numbers(cohort: Path, marks: Marks) -> None:
    """Remember which subject_ids the import gave."""
    marks.numbers = pl.read_parquet(cohort / "metadata/subjects.parquet")["subject_id"].to_list()
