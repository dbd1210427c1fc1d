"""Volumes, NIfTI and NumPy, looked at before they are taken: a file must hold what its header says, to the last byte.

A header that claims more than `MOST_BYTES` refuses the file, so that no bomb is inflated. A gzipped NIfTI is then read
to its end, where its checksum is, piece by piece; nothing of it stays in memory.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np

from ontology.errors import InputError

MOST_BYTES: Final = 2**32  # a CT of 1,500 slices of 512 x 512 and 2 bytes is a fifth of it
_MORE: Final = 1 << 24  # bytes that may follow the voxels
_PIECE: Final = 1 << 20
_NUMBERS: Final = "biufc"  # kinds of NumPy's types
_CUT: Final = "the volume is truncated or not readable"


def nibabel_for(place: Path) -> Any:
    """Give nibabel.

    Args:
        place: The file or folder that needs it.

    Raises:
        InputError: If it is not installed.
    """
    try:
        return import_module("nibabel")
    except ImportError as error:
        raise InputError(
            "NIfTI volumes need nibabel", path=place, remedy="pip install 'mh-diff[imaging]'"
        ) from error


@contextmanager
def reading_volume(path: Path) -> Iterator[None]:
    """Let errors inside the block name the file.

    Args:
        path: The volume that is read there.

    Raises:
        InputError: Instead of all others: nibabel, gzip, NumPy and MONAI raise a dozen kinds for what is damaged.
    """
    try:
        yield
    except (InputError, ImportError):
        raise
    except Exception as error:
        raise InputError(
            f"the volume cannot be read ({type(error).__name__})",
            path=path,
            remedy="Replace it by a whole file, or drop it from the cohort",
        ) from error


def unusable_volume(place: Path) -> str:
    """Give the reason why a volume is refused, "" if it can be taken.

    Args:
        place: A file ending in .nii, .nii.gz or .npy.

    Raises:
        InputError: If it is NIfTI and nibabel is not installed.
    """
    if place.suffix.lower() == ".npy":
        found = array_of(place)
        return _CUT if found is None else _unfit(found.shape, found.dtype)
    nibabel = nibabel_for(place)
    try:
        with reading_volume(place):
            image = nibabel.load(place)
            dtype = np.dtype(image.get_data_dtype())
            if np.isnan(nibabel.io_orientation(image.affine)).any():
                return "the volume's header says not where its axes point"
            if reason := _unfit(image.shape, dtype):
                return reason
            end = int(image.dataobj.offset) + math.prod(image.shape) * dtype.itemsize
            return _held(place, end)
    except InputError:
        return _CUT


def array_of(place: Path) -> np.ndarray[Any, Any] | None:
    """Give a NumPy file's array without reading it; None where the file holds less than its header says.

    Args:
        place: The file.
    """
    try:
        with reading_volume(place):
            found = np.load(place, mmap_mode="r", allow_pickle=False)
            return found if isinstance(found, np.ndarray) else None
    except InputError:
        return None


def _unfit(shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    if dtype.kind not in _NUMBERS or 0 in shape or not shape:
        return "the volume holds no numbers"
    if math.prod(map(int, shape)) * dtype.itemsize > MOST_BYTES:
        return f"the volume is larger than {MOST_BYTES >> 30} GiB"
    return ""


def _held(place: Path, end: int) -> str:
    """Whether a NIfTI holds all its voxels."""
    if not place.name.lower().endswith(".gz"):
        return "" if place.stat().st_size >= end else _CUT
    held = 0
    with gzip.open(place, "rb") as stream:
        while piece := stream.read(_PIECE):
            held += len(piece)
            if held > end + _MORE:
                return "the volume holds more than its header says"
    return "" if held >= end else _CUT
