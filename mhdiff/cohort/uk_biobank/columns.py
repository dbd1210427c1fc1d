"""The columns of a main dataset: field, instance and array index, in the three ways in which they are written.

    41270-0.12       ukbconv csv, txt        field 41270, instance 0, array index 12
    f.41270.0.12     ukbconv r
    p41270_i0_a12    the Research Analysis Platform; p41270_a12 and p31 where a field has no instances or no array

See https://biobank.ndph.ox.ac.uk/showcase/ and https://dnanexus.gitbook.io/uk-biobank-rap/ on how columns are named.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from ontology.errors import InputError

#: A main dataset has some thousand columns, all of UK Biobank some thirty thousand.
MOST_COLUMNS: Final = 100_000
_MOST_BYTES: Final = 64 * MOST_COLUMNS
EID: Final = ("eid", "f.eid", "n_eid", "participant.eid")
_CONVERTED = re.compile(r"(?:f\.)?(\d{1,6})[-.](\d{1,3})\.(\d{1,4})")
_PLATFORM = re.compile(r"(?:participant\.)?p(\d{1,6})(?:_i(\d{1,3}))?(?:_a(\d{1,4}))?")
SUFFIXES: Final = (".csv", ".csv.gz", ".tsv", ".txt", ".tab", ".parquet")


class Column(NamedTuple):
    """One column.

    Attributes:
        field: The field, such as 41270.
        instance: Which visit, from 0.
        place: Place in the array, from 0.
        name: How the file calls it, in lower case.
    """

    field: int
    instance: int
    place: int
    name: str


def column(name: str) -> Column | None:
    """Read a column's name; None for one that names no field.

    Args:
        name: As the file has it.
    """
    small = name.strip().strip('"').lower()
    match = _CONVERTED.fullmatch(small) or _PLATFORM.fullmatch(small)
    return Column(int(match[1]), int(match[2] or 0), int(match[3] or 0), small) if match else None


def header(file: Path) -> list[str]:
    """Give the column names of a CSV or TSV, in lower case, without reading more than its first line.

    Args:
        file: The file.

    Raises:
        InputError: If there is no header, it is not UTF-8, or it has more columns than any main dataset.
    """
    with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as stream:
        try:
            line = stream.readline(_MOST_BYTES + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError("the file is not readable", path=file, remedy="Export it again") from error
    if len(line) > _MOST_BYTES or line.count(b",") + line.count(b"\t") >= MOST_COLUMNS:
        raise InputError(
            f"the header has more than {MOST_COLUMNS:,} columns: no main dataset does",
            path=file,
            row=1,
            remedy="Give the main dataset, with a row a participant",
        )
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError("the header is not UTF-8", path=file, row=1, remedy="Export it again") from error
    names = text.rstrip("\r\n").split("\t" if "\t" in text else ",")
    return [name.strip().strip('"').lower() for name in names]


def wanted(names: Iterable[str], fields: Iterable[int]) -> list[Column]:
    """Give the columns of some fields, by field, instance and array index.

    Args:
        names: All columns of a file.
        fields: The fields.
    """
    known = set(fields)
    found = (column(name) for name in names)
    return sorted(c for c in found if c is not None and c.field in known)
