"""Images that are the same byte for byte and stand with patients of different splits: perhaps one patient, twice.

Whoever shares an image stays together in every split but a stored one, which is taken as it is. Sizes are compared
first, then both ends of files, and only what is still alike is read whole: a training does not wait for all images.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import NamedTuple

import polars as pl

from mhdiff.cohort.cohort import Cohort
from ontology.files import sha256

_END = 4096  # bytes of a file that are compared before all


class Parted(NamedTuple):
    """How many images are in several splits.

    Attributes:
        images: Different images.
        patients: Patients who have one of them.
    """

    images: int
    patients: int


class _Image(NamedTuple):
    subject: int
    split: str
    place: Path


def parted_images(cohort: Cohort, samples: pl.DataFrame) -> Parted:
    """Count images that patients of several splits have; files that cannot be read are left to whoever reads them.

    Args:
        cohort: The cohort.
        samples: Columns subject_id and split.
    """
    home = cohort.path.resolve()
    rows = cohort.images.unique().join(samples.select("subject_id", "split").unique(), on="subject_id")
    images = [
        _Image(subject, split, place)
        for subject, relative, split in rows.select("subject_id", "path", "split").sort("path").iter_rows()
        if (place := (home / relative).resolve()).is_relative_to(home) and place.is_file()
    ]
    groups = [images]
    for key in (_size, _ends, sha256):
        groups = [alike for group in groups for alike in _alike(group, key)]
    return Parted(len(groups), len({image.subject for group in groups for image in group}))


def _alike(images: Iterable[_Image], key: Callable[[Path], Hashable]) -> list[list[_Image]]:
    """Give the groups of one key whose patients are in several splits."""
    found: dict[Hashable, list[_Image]] = {}
    for image in images:
        with contextlib.suppress(OSError):
            found.setdefault(key(image.place), []).append(image)
    return [group for group in found.values() if len({image.split for image in group}) > 1]


def _size(place: Path) -> int:
    return place.stat().st_size


def _ends(place: Path) -> tuple[bytes, bytes]:
    with place.open("rb") as file:
        head = file.read(_END)
        file.seek(-min(_END, place.stat().st_size), 2)
        return head, file.read(_END)
