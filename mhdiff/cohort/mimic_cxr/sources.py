"""Where the files of MIMIC-CXR, MIMIC-CXR-JPG and MIMIC-IV lie below a folder, as PhysioNet lays them out.

    mimic-cxr-2.0.0-metadata.csv.gz, -split, -chexpert, -negbio     MIMIC-CXR-JPG (any version number)
    cxr-record-list.csv.gz                                          MIMIC-CXR
    files/p10/p10000032/s50414267/<dicom_id>.jpg or .dcm            images
    files/p10/p10000032/s50414267.txt                               reports
    hosp/patients.csv.gz, admissions, labevents, d_labitems ...     MIMIC-IV; icu/icustays.csv.gz

Folders are searched some levels down, but not into `files/p10`. See https://physionet.org/content/mimic-cxr-jpg/,
https://physionet.org/content/mimic-cxr/ and https://mimic.mit.edu/docs/iv/.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ontology.errors import InputError

_CXR = re.compile(r"mimic-cxr-\d+\.\d+\.\d+-(metadata|split|chexpert|negbio)\.csv(?:\.gz)?")
_PLAIN = re.compile(r"([a-z_-]+)\.csv(?:\.gz)?")
HOSPITAL: Final = (
    "patients", "admissions", "labevents", "d_labitems", "diagnoses_icd", "d_icd_diagnoses", "procedures_icd",
    "d_icd_procedures", "icustays",
)  # fmt: skip
_RECORDS = "cxr-record-list"
_MODULES: Final = ("hosp", "icu", "ed", "note")  # of MIMIC-IV: a folder each
_DEPTH = 6
_REMEDY = (
    "Give the folder that holds mimic-cxr-jpg (with mimic-cxr-2.0.0-metadata.csv and files/), or mimic-cxr with "
    "cxr-record-list.csv and files/, and perhaps mimic-iv beside it"
)


@dataclass(frozen=True)
class Sources:
    """What was found.

    Attributes:
        root: The folder that was given.
        tables: Name -> file: metadata, split, chexpert, negbio, cxr-record-list, and those of `HOSPITAL`.
        images: The folders that are called `files` and hold p10, p11 ...
        passed: Files of other folders that nothing here reads, by the name of their module and their own.
    """

    root: Path
    tables: dict[str, Path] = field(default_factory=dict)
    images: list[Path] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)

    def name(self, table: str) -> str:
        """Give a table's file relative to the folder.

        Args:
            table: Its name.
        """
        return self.tables[table].relative_to(self.root).as_posix()

    def find(self, subject: int, study: int, file: str = "") -> Path | None:
        """Give a file of a study, or its report; None where there is none.

        Args:
            subject: Its subject_id.
            study: Its study_id.
            file: Name of the file in the study's folder; "" for the report.
        """
        name = f"p{subject}"
        end = f"s{study}/{file}" if file else f"s{study}.txt"
        for folder in self.images:
            place = folder / name[:3] / name / end
            if place.is_file():
                return place
        return None


def find_sources(root: Path) -> Sources:
    """Find the files.

    Args:
        root: The folder.

    Raises:
        InputError: If there is no such folder, it names no images, or a table is there twice.
    """
    if not root.is_dir():
        raise InputError("there is no such folder", path=root, remedy=_REMEDY)
    found = Sources(root)
    for folder, below, files in os.walk(root):
        place = Path(folder)
        below.sort()
        if place.name == "files" and any(re.fullmatch(r"p1\d", name) for name in below):
            found.images.append(place)
            below.clear()
        if len(place.relative_to(root).parts) >= _DEPTH:
            below.clear()
        for file in sorted(files):
            table = _table(file)
            if table is None:
                if not any(part.startswith(".") for part in place.relative_to(root).parts):
                    found.passed.append(f"{place.name}/{file}" if place.name in _MODULES else file)
                continue
            if table in found.tables:
                raise InputError(
                    f"the table '{table}' is there twice, also as {found.tables[table].relative_to(root)}",
                    path=place / file,
                    remedy="Leave one of them",
                )
            found.tables[table] = place / file
    if "metadata" not in found.tables and _RECORDS not in found.tables:
        raise InputError(
            "the folder holds neither mimic-cxr-...-metadata.csv nor cxr-record-list.csv",
            path=root,
            remedy=_REMEDY,
        )
    if "metadata" in found.tables and _RECORDS in found.tables:  # says no more
        found.passed.append(found.tables.pop(_RECORDS).name)
    if not found.images:
        raise InputError("the folder holds no files/p10, files/p11 ...", path=root, remedy=_REMEDY)
    return found


def _table(file: str) -> str | None:
    if match := _CXR.fullmatch(file):
        return match[1]
    match = _PLAIN.fullmatch(file)
    return match[1] if match and match[1] in (*HOSPITAL, _RECORDS) else None
