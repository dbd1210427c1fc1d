"""A folder in the layout of UK Biobank's main dataset and bulk brain MRI, with invented people.

Column names and values after the Showcase (https://biobank.ndph.ox.ac.uk/showcase/: eid, field-instance.array, every
value quoted by ukbconv, empty where there is none; dates as 2014-05-02; 1900-01-01 where a date is unknown), ICD-10
codes without their point in 41270 and dates at the same array index in 41280; bulk files after the Brain Imaging
Documentation (https://biobank.ctsu.ox.ac.uk/crystal/crystal/docs/brain_mri.pdf): EID_20252_2_0.zip with T1/T1.nii.gz,
T1/T1_brain.nii.gz and others. A list of who withdrew is w<project>_<date>.csv with one eid a line and no header.
"""

from __future__ import annotations

import csv
import gzip
import io
import random
import zipfile
from datetime import date, timedelta
from pathlib import Path

import numpy as np

COLUMNS = (
    "eid", "31-0.0", "34-0.0", "52-0.0", "53-0.0", "53-2.0", "54-0.0", "54-2.0", "20116-0.0", "20252-2.0", "22189-0.0",
    "21001-0.0", "30000-0.0", "30000-1.0", "30710-0.0", "30770-0.0", "40000-0.0", "40001-0.0", "42018-0.0", "42020-0.0",
    "42022-0.0", *(f"41270-0.{k}" for k in range(4)), *(f"41280-0.{k}" for k in range(4)), "20002-0.0",
)  # fmt: skip
BASE = {
    "31-0.0": "0", "34-0.0": "1950", "52-0.0": "7", "53-0.0": "2008-03-04", "53-2.0": "2015-06-07", "54-0.0": "11010",
    "54-2.0": "11025", "20116-0.0": "2", "22189-0.0": "-1.5", "21001-0.0": "27.1", "30000-0.0": "6.7",
}  # fmt: skip


def volume(seed: int, shape: tuple[int, ...] = (20, 24, 22), bright: float = 0.0) -> bytes:
    """A NIfTI volume of noise with a brighter block, gzipped, whose axes point left, anterior, superior."""
    import nibabel

    values = np.random.default_rng(seed).normal(100, 10, shape).astype(np.int16)
    values[5:12, 6:14, 5:12] += int(bright)
    affine = np.diag([-1.5, 1.0, 1.0, 1.0])
    image = nibabel.Nifti1Image(values, affine)
    return gzip.compress(image.to_bytes(), 1, mtime=0)


def packed(members: dict[str, bytes]) -> bytes:
    """A zip of some members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


class Source:
    """Invented participants.

    Args:
        folder: Where to write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[dict[str, object]] = []

    def person(self, eid: object, codes: tuple[tuple[str, str], ...] = (), **fields: object) -> None:
        """Add a participant; fields are named f31_0_0, codes are ICD-10 with dates."""
        row = {**dict.fromkeys(COLUMNS, ""), **BASE, "eid": eid}
        row |= {"{}-{}.{}".format(*name[1:].split("_")): value for name, value in fields.items()}
        for k, (code, day) in enumerate(codes):
            row[f"41270-0.{k}"], row[f"41280-0.{k}"] = code, day
        self.rows.append(row)

    def scan(self, eid: int, content: bytes | None = None, instance: int = 2, bright: float = 0.0) -> Path:
        """Add a zip with brain MRI."""
        file = self.folder / "bulk" / f"{eid}_20252_{instance}_0.zip"
        file.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            members = ("T1/T1.nii.gz", "T1/T1_brain.nii.gz")
            content = packed({name: volume(eid + n, bright=bright) for n, name in enumerate(members)})
        file.write_bytes(content)
        if self.rows and self.rows[-1]["eid"] == eid:
            self.rows[-1][f"20252-{instance}.0"] = file.name
        return file

    def write(self, name: str = "ukb12345.csv") -> Path:
        """Write the main dataset."""
        self.folder.mkdir(parents=True, exist_ok=True)
        tabs = not name.endswith(".csv")
        with open(self.folder / name, "w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(
                stream,
                COLUMNS,
                delimiter="\t" if tabs else ",",
                quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_ALL,
            )
            writer.writeheader()
            writer.writerows(self.rows)
        return self.folder


def many(folder: Path, people: int = 36, seed: int = 0) -> Source:
    """Participants with a scan each, a third of them with AD within three years of it and a brighter block."""
    draw, source = random.Random(seed), Source(folder)
    for i in range(people):
        kind = ("healthy", "ad", "mci_like")[i % 3]
        seen = date(2015, 1, 2) + timedelta(days=13 * i)
        codes = [(("E119", "J459", "I509")[i % 2 + (i % 5 == 0)], str(seen - timedelta(days=400)))]
        if kind == "mci_like":
            codes.append(("F067", str(seen + timedelta(days=200))))
        if i == 0:
            codes.append(("J459", "2022-10-31"))  # the record ends here
        onset = str(seen + timedelta(days=300)) if kind == "ad" else ""
        eid = 1_000_000 + 7 * i
        source.person(
            eid, tuple(codes), f31_0_0=i % 2, f53_2_0=seen, f42020_0_0=onset, f42018_0_0=onset,
            f30000_0_0=f"{draw.gauss(7, 1):.2f}", f30710_0_0=f"{draw.gauss(2.6 if kind == 'ad' else 2, 0.6):.2f}",
        )  # fmt: skip
        source.scan(eid, bright={"ad": 120, "mci_like": 60}.get(kind, 0))
    return source
