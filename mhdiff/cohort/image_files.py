"""Whether a file that a row names can be taken: inside the folder, there, and what its name says."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Final

from mhdiff.cohort.dicom import pydicom_for, read_grey
from mhdiff.cohort.source_files import unusable_image
from mhdiff.cohort.volume_files import unusable_volume
from ontology.errors import InputError

PICTURES: Final = (".png", ".jpg", ".jpeg")
VOLUMES: Final = (".dcm", ".nii", ".nii.gz", ".npy")
_NIFTI: Final = {(348).to_bytes(4, order) for order in ("little", "big")}  # type: ignore[arg-type]
_NIFTI_2: Final = {(540).to_bytes(4, order) for order in ("little", "big")}  # type: ignore[arg-type]
_AGAIN: Final = "Export it again, or empty the cell"


def suffix(name: str) -> str:
    """Give the ending that says what a file is, ".nii.gz" included; "" for one that is not taken.

    Args:
        name: The file's name.
    """
    return next((s for s in (*PICTURES, ".nii.gz", *VOLUMES) if name.lower().endswith(s)), "")


def absent(path: str, root: Path) -> tuple[str, str]:
    """Give the reason why there is no such file in the folder and the remedy, twice "" if there is.

    Args:
        path: What the row says, relative to the folder.
        root: Folder that paths are relative to.
    """
    place = root / path
    try:
        inside = place.resolve().is_relative_to(root.resolve())
        there = inside and place.is_file()
    except (OSError, ValueError):
        return "the path is none", "Write the path of a file, relative to the folder"
    if not inside:
        return "the image's path leaves the folder", "Put the image below the folder"
    return ("", "") if there else ("the image is missing", "Put it there, or empty the cell")


def unusable(path: str, root: Path) -> tuple[str, str]:
    """Give the reason why a file is refused and the remedy, twice "" if it can be taken.

    A picture is decoded, a DICOM too; a volume must hold what its header says, see `volume_files`.

    Args:
        path: What the row says, relative to the folder.
        root: Folder that paths are relative to.
    """
    reason, remedy = absent(path, root)
    if reason:
        return reason, remedy
    place, kind = root / path, suffix(path)
    if not kind:
        return (
            "the image's kind is not known",
            f"Its name must end in one of {', '.join((*PICTURES, *VOLUMES))}",
        )
    if kind in PICTURES:
        return unusable_image(place, root)
    if not _begins_well(place, kind):
        return f"the image is no {kind} file", _AGAIN
    if kind == ".dcm":
        pydicom_for(place)
        try:
            read_grey(place)
        except InputError:
            return "the DICOM image is cut short, or nothing here decodes it", _AGAIN
        return "", ""
    reason = unusable_volume(place)
    return reason, _AGAIN if reason else ""


def _begins_well(place: Path, kind: str) -> bool:
    try:
        with gzip.open(place, "rb") if kind == ".nii.gz" else place.open("rb") as stream:
            head = stream.read(540)
    except (OSError, EOFError, zlib.error):
        return False
    if kind == ".dcm":
        return head[128:132] == b"DICM"
    if kind == ".npy":
        return head.startswith(b"\x93NUMPY")
    return (head[:4] in _NIFTI and len(head) >= 348) or (head[:4] in _NIFTI_2 and len(head) == 540)
