"""Radiographs on disk: looked at whole, and given a place in the cohort's folder; a broken one is refused.

A JPEG is decoded at an eighth of its size, which reads every byte of it and is quicker. A DICOM becomes a PNG of 16
bits: modality LUT (rescale), VOI LUT or window where the file states one, MONOCHROME1 turned over so that bone is
bright, and the range stretched to 0 .. 65535.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from mhdiff.cohort.dicom import grey, pydicom_for
from mhdiff.cohort.source_files import bring

SUFFIXES: Final = (".jpg", ".dcm")
_BROKEN = "the image is truncated or not readable"
_OUTSIDE = "the image lies outside the folder"


class Placed(NamedTuple):
    """What became of an image.

    Attributes:
        reason: Why it is refused; "" where it is not.
        size: Bytes of the file in the cohort's folder.
        path: Its place, relative to the cohort's folder.
        time: When the study began, as the DICOM says; None of a JPEG.
        view: ViewPosition of the DICOM; None of a JPEG.
    """

    reason: str
    size: int = 0
    path: str = ""
    time: datetime | None = None
    view: str | None = None


def place(source: Path | None, root: Path, folder: Path, name: str) -> Placed:
    """Check an image and put it into a folder.

    Args:
        source: The file; None where there is none.
        root: Folder that it must lie in.
        folder: The cohort's folder.
        name: Its new place without suffix, relative to the folder.

    Raises:
        InputError: If it is a DICOM and pydicom is not installed.
    """
    if source is None:
        return Placed("the image is missing")
    if not source.resolve().is_relative_to(root.resolve()):
        return Placed(_OUTSIDE)
    relative = name + (".png" if source.suffix == ".dcm" else source.suffix)
    target = folder / relative
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)  # what a killed import may have left
    if source.suffix == ".dcm":
        return _dicom(source, target, relative)
    if not _whole(source):
        return Placed(_BROKEN)
    bring(source, target)
    return Placed("", target.stat().st_size, relative)


def _whole(source: Path) -> bool:
    from PIL import Image

    try:
        with Image.open(source) as image:
            image.draft("L", (max(1, image.width // 8), max(1, image.height // 8)))
            image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
    return True


def _dicom(source: Path, target: Path, relative: str) -> Placed:
    from PIL import Image

    pydicom = pydicom_for(source.parent)
    try:
        dataset = pydicom.dcmread(source)
        pixels = grey(dataset)
        time, view = _study_time(dataset), str(dataset.get("ViewPosition") or "")
    except Exception:  # of the many that pydicom and its decoders raise; their words may quote the header
        return Placed(_BROKEN)
    if pixels.ndim != 2 or 0 in pixels.shape:
        return Placed("the image is no single grey frame")
    low, high = float(pixels.min()), float(pixels.max())
    scaled = (pixels - low) / (high - low) * 65535 if high > low else np.zeros_like(pixels)
    Image.fromarray(scaled.round().astype(np.uint16)).save(target)
    return Placed("", target.stat().st_size, relative, time, view)


def _study_time(dataset: Any) -> datetime | None:
    day, clock = str(dataset.get("StudyDate") or ""), str(dataset.get("StudyTime") or "")
    whole, _, part = clock.partition(".")
    try:
        moment = datetime.strptime(day + whole.rjust(6, "0"), "%Y%m%d%H%M%S")
    except ValueError:
        return None
    return moment.replace(microsecond=int((part + "000000")[:6]) if part.isdigit() else 0)
