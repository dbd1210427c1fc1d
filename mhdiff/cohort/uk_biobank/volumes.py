"""Brain MRI out of its zip, `EID_20252_2_0.zip` with `T1/T1.nii.gz` inside, into the cohort's folder, looked at whole.

The zip comes from elsewhere: names that lead out of it, links, entries that lie about their size or inflate beyond
reason refuse it before anything is written, as does a missing member. Of the volume the header is read first, and one
that claims more than `MOST_BYTES` is refused, so that no gzip bomb is inflated. Layout after the Brain Imaging
Documentation, https://biobank.ctsu.ox.ac.uk/crystal/crystal/docs/brain_mri.pdf.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from mhdiff.cohort.uk_biobank.fields import T1
from mhdiff.cohort.volume_files import nibabel_for, reading_volume
from ontology.errors import InputError
from ontology.rf2_source import entries

#: Member -> the code of its events.
MEMBERS: Final = {"T1": "IMAGE//MRI//T1", "T1_brain": "IMAGE//MRI//T1_BRAIN"}
MOST_BYTES: Final = 2**30  # 208 x 256 x 256 voxels of 8 bytes are a tenth of it
_ZIP = re.compile(rf"(\d{{1,9}})_{T1}_(\d{{1,3}})_\d{{1,4}}\.zip")
_BULK = re.compile(r"\d{1,9}_(\d{3,6})_\d{1,3}_\d{1,4}\.(\w{1,5})(?:\.\w{1,5})?")
_DAMAGED = "the volume is truncated or not readable"


class Bulk(NamedTuple):
    """A zip with a T1 image.

    Attributes:
        subject: Whose it is.
        instance: Of which visit.
        file: The zip.
    """

    subject: int
    instance: int
    file: Path


def find_bulk(root: Path) -> Iterator[Bulk]:
    """Give the zips below a folder, in the order of folders and names.

    Args:
        root: The folder.
    """
    for folder, below, files in os.walk(root):
        below.sort()
        for name in sorted(files):
            if match := _ZIP.fullmatch(name):
                yield Bulk(int(match[1]), int(match[2]), Path(folder) / name)


def find_others(root: Path) -> tuple[dict[str, int], list[str]]:
    """Give how many bulk files there are of each field that is not read, and the names of all other files.

    Args:
        root: The folder; tables and lists in it are among the others.
    """
    fields: Counter[str] = Counter()
    others: list[str] = []
    for _, below, files in os.walk(root):
        below[:] = (
            name for name in below if not name.startswith(".")
        )  # such as that of an import that goes on
        for name in files:
            if match := _BULK.fullmatch(name):
                if not _ZIP.fullmatch(name):
                    fields[f"{match[1]}.{match[2]}"] += 1
            else:
                others.append(name)
    return dict(sorted(fields.items())), sorted(others)


def extract(bulk: Bulk, root: Path, member: str, target: Path) -> str:
    """Write a zip's volume to a file; give the reason why it is refused, "" if it is not.

    Args:
        bulk: The zip.
        root: Folder that it must lie in.
        member: A key of `MEMBERS`.
        target: The file, ending in .nii.gz.

    Raises:
        InputError: If nibabel is not installed.
    """
    if not bulk.file.resolve().is_relative_to(root.resolve()):
        return "the zip lies outside the folder"
    try:
        found = [entry for entry in entries(bulk.file) if entry.name == f"T1/{member}.nii.gz"]
    except InputError as error:
        return f"the zip is not read: {_kind(error)}"
    if not found:
        return f"the zip has no T1/{member}.nii.gz"
    if found[0].size > MOST_BYTES:
        return "the volume is larger than any T1 image"
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with target.open("wb") as file:
            for piece in found[0].pieces():
                file.write(piece)
    except InputError:
        target.unlink(missing_ok=True)
        return "the zip is damaged"
    reason = _look(target)
    if reason:
        target.unlink(missing_ok=True)
    return reason


def _kind(error: InputError) -> str:
    """Which of the refusals of `ontology.rf2_source` it was, in words that hold no name of an entry."""
    for part, words in (
        ("leads out", "a name in it leads out of it"),
        ("symbolic link", "it holds a symbolic link"),
        ("two entries", "it holds two entries of one name"),
        ("inflate", "it would inflate beyond reason"),
        ("lie", "it lies about sizes"),
        ("entries", "it has too many entries"),
    ):
        if part in error.problem:
            return words
    return "it is no zip, or damaged"


def _look(file: Path) -> str:
    """Read the volume to its end."""
    nibabel = nibabel_for(file.parent)
    try:
        with reading_volume(file):
            image = nibabel.load(file)
            shape, width = image.shape, image.get_data_dtype().itemsize
            if len(shape) != 3 or min(shape) < 8:
                return "the volume is not three-dimensional"
            if math.prod(shape) * width > MOST_BYTES:
                return "the volume is larger than any T1 image"
            values = np.asanyarray(image.dataobj)
    except InputError:
        return _DAMAGED
    return (
        ""
        if np.isfinite(values).all() and values.max() > values.min()
        else "the volume is empty or no number"
    )
