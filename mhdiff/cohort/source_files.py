"""What adapters of a CSV beside a folder of images read alike: its records, and whether an image can be used."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from mhdiff.cohort.refused import Refused
from ontology.errors import InputError
from ontology.progress import step

_TOLD = 100  # lines
_SUFFIXES = {".jpg", ".jpeg", ".png"}


def records(
    file: Path, columns: Iterable[str], remedy: str, refused: Refused
) -> Iterator[tuple[int, dict[str, str]]]:
    """Give the first line and the fields of each record of a CSV; a record of another width is refused.

    Args:
        file: The CSV, UTF-8, with a header.
        columns: Columns that the header must have.
        remedy: What to do where the file is another one.
        refused: Where rows of another width are counted, and every row that is read.

    Raises:
        InputError: If it is no such CSV.
    """
    line = 1
    try:
        with open(file, encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = next(reader, [])
            for column in columns:
                if column not in header:
                    raise InputError("the column is missing", path=file, row=1, column=column, remedy=remedy)
            line = reader.line_num + 1
            for record in reader:
                refused.read(file)
                if record and len(record) != len(header):
                    refused.add(
                        f"the row has {len(record)} fields, the header {len(header)}",
                        file,
                        line,
                        remedy="Repair the quotes or commas of this row",
                    )
                else:
                    if line % _TOLD == 0:
                        step(f"line {line} of {file.name}")
                    yield line, dict(zip(header, record or [""] * len(header), strict=True))
                line = reader.line_num + 1
    except UnicodeDecodeError as error:
        raise InputError("the file is not UTF-8", path=file, row=line, remedy="Save it as UTF-8") from error
    except csv.Error as error:
        raise InputError("the file is not a CSV", path=file, row=line, remedy=remedy) from error


def unusable_image(place: Path, source: Path) -> tuple[str, str]:
    """Give the reason why an image is refused and the remedy, twice "" if it can be used.

    Args:
        place: The image file.
        source: Folder that it must lie in.
    """
    from PIL import Image

    if not place.resolve().is_relative_to(source.resolve()):
        return "the image's path leaves the folder", "Put the image below the folder"
    if not place.is_file():
        return "the image is missing", "Download it again, or remove the row"
    if place.suffix.lower() not in _SUFFIXES:
        return "the image is not JPEG or PNG", "Convert it, or remove the row"
    try:
        with Image.open(place) as image:
            image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return "the image is truncated or not readable", "Download it again, or remove the row"
    return "", ""


def bring(place: Path, target: Path) -> None:
    """Link a file into the cohort, or copy it where another file system is.

    Args:
        place: The file.
        target: Its new place, whose folder is there.
    """
    try:
        os.link(place.resolve(), target)
    except OSError:
        shutil.copyfile(place, target)
